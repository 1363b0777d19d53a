#include "api/builtin_internal.h"

#include "base/str.h"

#include <ctype.h>
#include <string.h>

#define NAME_PART "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"

static bool is_name_part(const char *s, size_t len) {
  if (len == 0 || len > 63 || !isalnum((unsigned char)s[0]) || !isalnum((unsigned char)s[len - 1]))
    return false;
  for (size_t i = 0; i < len; i++)
    if (!isalnum((unsigned char)s[i]) && !strchr("-_.", s[i]))
      return false;
  return true;
}

bool is_qualified_name(const char *s) {
  const char *slash = strchr(s, '/');

  if (!slash)
    return is_name_part(s, strlen(s));
  _cleanup_free_ char *prefix = str_copy(s, (size_t)(slash - s));
  return prefix && is_dns_subdomain(prefix) && is_name_part(slash + 1, strlen(slash + 1));
}

static void check_labels(struct json_object *labels, struct field_errors *out) {
  if (!json_is(labels, json_type_object))
    return;
  json_object_object_foreach (labels, key, v) {
    const char *value = json_as_str(v, "");
    if (!is_qualified_name(key))
      field_errors_add(out, FIELD_INVALID, "metadata.labels",
                       "Invalid value: \"%s\": name part must consist of alphanumeric characters, '-', '_' or '.', and "
                       "must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
                       "'123-abc', regex used for validation is '" NAME_PART "')",
                       key);
    if (strlen(value) > 63)
      field_errors_add(out, FIELD_INVALID, "metadata.labels",
                       "Invalid value: \"%s\": must be no more than 63 characters", value);
    else if (*value && !is_name_part(value, strlen(value)))
      field_errors_add(out, FIELD_INVALID, "metadata.labels",
                       "Invalid value: \"%s\": a valid label must be an empty string or consist of alphanumeric "
                       "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. "
                       "'MyValue',  or 'my_value',  or '12345', regex used for validation is '(" NAME_PART ")?')",
                       value);
  }
}

static void check_annotations(struct json_object *annotations, struct field_errors *out) {
  size_t total = 0;

  if (!json_is(annotations, json_type_object))
    return;
  json_object_object_foreach (annotations, key, v) {
    _cleanup_free_ char *lower = str_lower(key);
    total += strlen(key) + (v ? strlen(json_object_get_string(v)) : 0);
    if (!lower || !is_qualified_name(lower))
      field_errors_add(out, FIELD_INVALID, "metadata.annotations",
                       "Invalid value: \"%s\": name part must consist of alphanumeric characters, '-', '_' or '.', and "
                       "must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
                       "'123-abc', regex used for validation is '" NAME_PART "')",
                       key);
  }
  if (total > 256 * 1024)
    field_errors_add(out, FIELD_TOO_LONG, "metadata.annotations", "Too long: must have at most 262144 bytes");
}

static void check_owners(struct json_object *refs, struct field_errors *out) {
  static const char *const required[] = {"apiVersion", "kind", "name", "uid"};
  size_t controllers = 0;

  for (size_t i = 0; i < json_len(refs); i++) {
    struct json_object *ref = json_index(refs, i);
    controllers += json_flag(ref, "controller", false);
    for (size_t k = 0; k < ARRAY_LEN(required); k++) {
      if (*json_str(ref, required[k], ""))
        continue;
      _cleanup_free_ char *field = str_printf("metadata.ownerReferences[%zu].%s", i, required[k]);
      field_errors_add(out, FIELD_INVALID, field, "Invalid value: \"\": must not be empty");
    }
  }
  if (controllers > 1)
    field_errors_add(out, FIELD_INVALID, "metadata.ownerReferences",
                     "Invalid value: only one reference can have Controller set to true");
}

void api_validate_meta(struct json_object *o, struct json_object *old, struct field_errors *out) {
  struct json_object *finalizers = json_at(o, "metadata.finalizers");

  (void)old;
  check_labels(json_at(o, "metadata.labels"), out);
  check_annotations(json_at(o, "metadata.annotations"), out);
  check_owners(json_at(o, "metadata.ownerReferences"), out);
  for (size_t i = 0; i < json_len(finalizers); i++) {
    const char *name = json_object_get_string(json_index(finalizers, i));
    if (!is_qualified_name(name))
      field_errors_add(out, FIELD_INVALID, "metadata.finalizers",
                       "Invalid value: \"%s\": name part must consist of alphanumeric characters, '-', '_' or '.'",
                       name);
  }
}
