/* Validation by schema, in the words of a real API server. */
#include "api/schema_internal.h"

#include "base/clock.h"
#include "base/regex.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct validator {
  struct field_errors *out;
  struct buf path;
};

static const char *at(struct validator *v) {
  return v->path.len ? buf_str(&v->path) : "<nil>";
}

static size_t enter_key(struct validator *v, const char *key) {
  size_t before = v->path.len;

  buf_addf(&v->path, "%s%s", before ? "." : "", key);
  return before;
}

static void leave(struct validator *v, size_t before) {
  v->path.len = before;
  if (v->path.data)
    v->path.data[before] = '\0';
}

/* The value as an error shows it: strings quoted, the rest as JSON. */
static char *shown(struct json_object *o) {
  if (json_is(o, json_type_string))
    return str_printf("\"%s\"", json_object_get_string(o));
  return json_text(o);
}

static const char *type_name(struct json_object *o) {
  switch (json_object_get_type(o)) {
  case json_type_null:
    return "null";
  case json_type_boolean:
    return "boolean";
  case json_type_double:
    return "number";
  case json_type_int:
    return "integer";
  case json_type_object:
    return "object";
  case json_type_array:
    return "array";
  case json_type_string:
    return "string";
  }
  return "unknown";
}

static void invalid(struct validator *v, struct json_object *o, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void invalid(struct validator *v, struct json_object *o, const char *fmt, ...) {
  _cleanup_free_ char *value = shown(o);
  _cleanup_buf_ struct buf why = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&why, fmt, ap);
  va_end(ap);
  field_errors_add(v->out, FIELD_INVALID, at(v), "Invalid value: %s: %s", value, buf_str(&why));
}

/* ---- types ------------------------------------------------------------------------------------------------------ */

static const char *const wanted_names[] = {
    [SCHEMA_OBJECT] = "object", [SCHEMA_ARRAY] = "array",
    [SCHEMA_STRING] = "string", [SCHEMA_INTEGER] = "integer",
    [SCHEMA_NUMBER] = "number", [SCHEMA_BOOLEAN] = "boolean",
    [SCHEMA_ANY] = "",          [SCHEMA_INT_OR_STRING] = "integer,string",
};

static bool has_type(const struct schema *s, struct json_object *o) {
  double d;

  switch (s->type) {
  case SCHEMA_ANY:
    return true;
  case SCHEMA_OBJECT:
    return json_is(o, json_type_object);
  case SCHEMA_ARRAY:
    return json_is(o, json_type_array);
  case SCHEMA_STRING:
    return json_is(o, json_type_string);
  case SCHEMA_BOOLEAN:
    return json_is(o, json_type_boolean);
  case SCHEMA_NUMBER:
    return json_is(o, json_type_int) || json_is(o, json_type_double);
  case SCHEMA_INTEGER:
    d = json_object_get_double(o);
    return json_is(o, json_type_int) || (json_is(o, json_type_double) && d == floor(d));
  case SCHEMA_INT_OR_STRING:
    return json_is(o, json_type_int) || json_is(o, json_type_string);
  }
  return false;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static bool is_base64(const char *s) {
  size_t len;
  _cleanup_free_ char *out = base64_decode(s, &len);

  return out != NULL;
}

static bool is_date_time(const char *s) {
  int64_t ms;

  return time_parse(s, &ms);
}

static bool is_date(const char *s) {
  _cleanup_free_ char *full = str_printf("%sT00:00:00Z", s);
  int64_t ms;

  return strlen(s) == 10 && time_parse(full, &ms);
}

static bool is_ipv4(const char *s) {
  unsigned char b[16];

  return inet_pton(AF_INET, s, b) == 1;
}

static bool is_ipv6(const char *s) {
  unsigned char b[16];

  return inet_pton(AF_INET6, s, b) == 1;
}

static bool is_uuid(const char *s) {
  if (strlen(s) != 36)
    return false;
  for (size_t i = 0; i < 36; i++)
    if (i == 8 || i == 13 || i == 18 || i == 23 ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
      return false;
  return true;
}

static bool is_email(const char *s) {
  const char *sign = strchr(s, '@');

  return sign && sign != s && sign[1] && !strchr(sign + 1, '@') && !strchr(s, ' ');
}

static bool is_hostname(const char *s) {
  _cleanup_free_ char *lower = str_lower(s);

  return lower && is_dns_subdomain(lower);
}

static bool is_uri(const char *s) {
  const char *colon = strchr(s, ':');

  return s[0] == '/' || (colon && colon != s && !strchr(s, ' '));
}

static const struct {
  const char *name;
  bool (*check)(const char *);
} formats[] = {
    {"byte", is_base64}, {"date-time", is_date_time}, {"date", is_date}, {"ipv4", is_ipv4},         {"ipv6", is_ipv6},
    {"uuid", is_uuid},   {"email", is_email},         {"uri", is_uri},   {"hostname", is_hostname},
};

static void check_format(struct validator *v, const struct schema *s, struct json_object *o) {
  if (!s->format)
    return;
  if (json_is(o, json_type_string)) {
    const char *text = json_object_get_string(o);
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
      if (streq(formats[i].name, s->format) && !formats[i].check(text))
        field_errors_add(v->out, FIELD_INVALID, at(v), "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
                         text, at(v), s->format, text);
    return;
  }
  int64_t n = json_object_get_int64(o);
  if (json_is(o, json_type_int) && streq(s->format, "int32") && (n < INT32_MIN || n > INT32_MAX))
    field_errors_add(v->out, FIELD_INVALID, at(v), "Invalid value: %lld: %s in body must be of type int32: \"%lld\"",
                     (long long)n, at(v), (long long)n);
}

static size_t count_characters(const char *s) {
  size_t n = 0;

  for (; *s; s++)
    n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

/* A pattern that cannot be used holds nothing back, as the server that took the CRD would have refused it. */
static bool matches(const char *pattern, const char *text) {
  _cleanup_(regex_freep) struct regex *re = NULL;
  struct ome_err err = ERR_INIT;
  struct regex_match m;

  if (regex_new(pattern, strlen(pattern), &re, &err) != OME_OK)
    return true;
  return regex_find(re, text, strlen(text), 0, &m, &err) == OME_OK && m.found;
}

static void check_string(struct validator *v, const struct schema *s, struct json_object *o) {
  const char *text = json_object_get_string(o);
  size_t n = count_characters(text);

  if (s->max_length >= 0 && n > (size_t)s->max_length)
    field_errors_add(v->out, FIELD_TOO_LONG, at(v), "Too long: may not be longer than %lld", (long long)s->max_length);
  if (s->min_length >= 0 && n < (size_t)s->min_length)
    invalid(v, o, "%s in body should be at least %lld chars long", at(v), (long long)s->min_length);
  if (s->pattern && !matches(s->pattern, text))
    invalid(v, o, "%s in body should match '%s'", at(v), s->pattern);
}

static void check_number(struct validator *v, const struct schema *s, struct json_object *o) {
  double d = json_object_get_double(o);

  if (s->has_minimum && (s->exclusive_minimum ? d <= s->minimum : d < s->minimum))
    invalid(v, o, "%s in body should be greater than %s%.17g", at(v), s->exclusive_minimum ? "" : "or equal to ",
            s->minimum);
  if (s->has_maximum && (s->exclusive_maximum ? d >= s->maximum : d > s->maximum))
    invalid(v, o, "%s in body should be less than %s%.17g", at(v), s->exclusive_maximum ? "" : "or equal to ",
            s->maximum);
  if (s->multiple_of > 0 && fabs(d / s->multiple_of - round(d / s->multiple_of)) > 1e-9)
    invalid(v, o, "%s in body should be a multiple of %.17g", at(v), s->multiple_of);
}

static void check_enum(struct validator *v, const struct schema *s, struct json_object *o) {
  _cleanup_buf_ struct buf list = BUF_INIT;

  if (!s->enumeration)
    return;
  for (size_t i = 0; i < json_len(s->enumeration); i++) {
    struct json_object *e = json_index(s->enumeration, i);
    _cleanup_free_ char *text = shown(e);
    if (json_equal(e, o))
      return;
    buf_addf(&list, "%s%s", i ? ", " : "", text);
  }
  _cleanup_free_ char *value = shown(o);
  field_errors_add(v->out, FIELD_UNSUPPORTED, at(v), "Unsupported value: %s: supported values: %s", value,
                   buf_str(&list));
}

/* ---- structure -------------------------------------------------------------------------------------------------- */

static void check(struct validator *v, const struct schema *s, struct json_object *o, struct json_object *old,
                  bool resource, int depth);

static bool is_meta_field(const char *key) {
  return streq(key, "apiVersion") || streq(key, "kind") || streq(key, "metadata");
}

static void check_object(struct validator *v, const struct schema *s, struct json_object *o, struct json_object *old,
                         bool resource, int depth) {
  int64_t n = json_object_object_length(o);

  for (const char *const *r = s->required; r && *r; r++) {
    if (json_has(o, *r) || (resource && is_meta_field(*r)))
      continue;
    size_t before = enter_key(v, *r);
    field_errors_add(v->out, FIELD_REQUIRED, at(v), "Required value");
    leave(v, before);
  }
  if (s->max_length >= 0 && n > s->max_length)
    field_errors_add(v->out, FIELD_TOO_MANY, at(v), "Too many: %lld: must have at most %lld items", (long long)n,
                     (long long)s->max_length);
  if (s->min_length >= 0 && n < s->min_length)
    invalid(v, o, "%s in body should have at least %lld properties", at(v), (long long)s->min_length);
  json_object_object_foreach (o, key, value) {
    const struct schema *field = schema_field(s, key);
    if (!field || (resource && is_meta_field(key)))
      continue;
    size_t before = enter_key(v, key);
    check(v, field, value, json_get(old, key), field->embedded_resource, depth + 1);
    leave(v, before);
  }
}

/* The value of a list-map item's keys as text; new. */
static char *item_key(const struct schema *s, struct json_object *item) {
  _cleanup_json_ struct json_object *key = json_object_new_object();

  for (const char *const *k = s->list_map_keys; k && *k; k++) {
    struct json_object *value = json_get(item, *k);
    const struct schema *field = schema_field(s->items, *k);
    if (!value && field)
      value = field->dflt;
    if (value)
      (void)json_put(key, *k, json_object_get(value));
  }
  return json_text(key);
}

static void check_unique(struct validator *v, const struct schema *s, struct json_object *o) {
  bool map = s->list_type == SCHEMA_LIST_MAP && s->list_map_keys && s->items;
  _cleanup_json_ struct json_object *seen = json_object_new_object();

  if (!map && s->list_type != SCHEMA_LIST_SET && !s->unique_items)
    return;
  for (size_t i = 0; i < json_len(o); i++) {
    _cleanup_free_ char *key = map ? item_key(s, json_index(o, i)) : json_canonical(json_index(o, i));
    if (key && json_has(seen, key)) {
      size_t before = v->path.len;
      buf_addf(&v->path, "[%zu]", i);
      field_errors_add(v->out, FIELD_DUPLICATE, at(v), "Duplicate value: %s", key);
      leave(v, before);
    } else if (key) {
      (void)json_put(seen, key, NULL);
    }
  }
}

/* The item of OLD that ITEM was: the one with the same keys; NULL in lists that have none. */
static struct json_object *old_item(const struct schema *s, struct json_object *old, struct json_object *item) {
  if (!json_is(old, json_type_array) || s->list_type != SCHEMA_LIST_MAP || !s->list_map_keys || !s->items)
    return NULL;
  _cleanup_free_ char *key = item_key(s, item);
  for (size_t i = 0; key && i < json_len(old); i++) {
    _cleanup_free_ char *other = item_key(s, json_index(old, i));
    if (other && streq(key, other))
      return json_index(old, i);
  }
  return NULL;
}

static void check_array(struct validator *v, const struct schema *s, struct json_object *o, struct json_object *old,
                        int depth) {
  int64_t n = (int64_t)json_len(o);

  if (s->max_length >= 0 && n > s->max_length)
    field_errors_add(v->out, FIELD_TOO_MANY, at(v), "Too many: %lld: must have at most %lld items", (long long)n,
                     (long long)s->max_length);
  if (s->min_length >= 0 && n < s->min_length)
    invalid(v, o, "%s in body should have at least %lld items", at(v), (long long)s->min_length);
  check_unique(v, s, o);
  for (size_t i = 0; s->items && i < (size_t)n; i++) {
    size_t before = v->path.len;
    buf_addf(&v->path, "[%zu]", i);
    check(v, s->items, json_index(o, i), old_item(s, old, json_index(o, i)), s->items->embedded_resource, depth + 1);
    leave(v, before);
  }
}

/* ---- anyOf and the rest ----------------------------------------------------------------------------------------- */

/* Whether O satisfies the bare OpenAPI fragment. */
static bool satisfies(struct json_object *fragment, struct json_object *o) {
  struct schema_doc *doc = NULL;
  struct ome_err err = ERR_INIT;
  struct field_errors errors = {{0}};
  _cleanup_json_ struct json_object *copy = json_copy(fragment);
  bool ok;

  /* A fragment need not say its type. */
  if (!json_at(copy, "type") && !json_get(copy, "properties"))
    (void)json_put(copy, "x-kubernetes-preserve-unknown-fields", json_object_new_boolean(1));
  if (schema_from_fragment(copy, &doc, &err) != OME_OK)
    return true;
  struct validator v = {&errors, BUF_INIT};
  check(&v, schema_root(doc), o, NULL, false, 0);
  ok = errors.list.len == 0;
  buf_fini(&v.path);
  field_errors_fini(&errors);
  schema_doc_free(doc);
  return ok;
}

static size_t count_satisfied(struct json_object *list, struct json_object *o) {
  size_t n = 0;

  for (size_t i = 0; i < json_len(list); i++)
    n += satisfies(json_index(list, i), o);
  return n;
}

static void check_junctors(struct validator *v, const struct schema *s, struct json_object *o) {
  struct json_object *any = json_get(s->junctors, "anyOf");
  struct json_object *all = json_get(s->junctors, "allOf");
  struct json_object *one = json_get(s->junctors, "oneOf");
  struct json_object *not_this = json_get(s->junctors, "not");

  if (any && count_satisfied(any, o) == 0)
    invalid(v, o, "%s in body must validate at least one schema (anyOf)", at(v));
  if (all && count_satisfied(all, o) != json_len(all))
    invalid(v, o, "%s in body must validate all the schemas (allOf)", at(v));
  if (one && count_satisfied(one, o) != 1)
    invalid(v, o, "%s in body must validate one and only one schema (oneOf)", at(v));
  if (not_this && satisfies(not_this, o))
    invalid(v, o, "%s in body must not validate the schema (not)", at(v));
}

static void check_value(struct validator *v, const struct schema *s, struct json_object *o, struct json_object *old,
                        bool resource, int depth) {
  check_enum(v, s, o);
  check_format(v, s, o);
  if (json_is(o, json_type_string))
    check_string(v, s, o);
  else if (json_is(o, json_type_int) || json_is(o, json_type_double))
    check_number(v, s, o);
  else if (json_is(o, json_type_object))
    check_object(v, s, o, old, resource, depth);
  else if (json_is(o, json_type_array))
    check_array(v, s, o, old, depth);
}

/* Whether O is what the schema says, as far as the errors from FIRST on tell: a rule may take that for granted.  That
 * items are there once is no matter of the schema. */
static bool is_sound(const struct field_errors *errors, size_t first) {
  for (size_t i = first; i < errors->list.len; i++)
    if (errors->list.items[i].type != FIELD_DUPLICATE)
      return false;
  return true;
}

static void check(struct validator *v, const struct schema *s, struct json_object *o, struct json_object *old,
                  bool resource, int depth) {
  size_t before = v->out->list.len;

  if (depth > JSON_MAX_DEPTH || (!o && s->nullable))
    return;
  if (!o && s->type == SCHEMA_ANY)
    return;
  if (!has_type(s, o)) {
    field_errors_add(v->out, FIELD_TYPE, at(v), "Invalid value: \"%s\": %s in body must be of type %s: \"%s\"",
                     type_name(o), at(v), wanted_names[s->type], type_name(o));
    return;
  }
  check_value(v, s, o, old, resource, depth);
  if (s->junctors)
    check_junctors(v, s, o);
  if (s->nrules && is_sound(v->out, before))
    schema_check_rules(s, o, old, v->path.len ? buf_str(&v->path) : "", v->out);
}

void schema_validate(const struct schema *s, struct json_object *o, struct json_object *old, struct field_errors *out) {
  struct validator v = {out, BUF_INIT};

  check(&v, s, o, old, true, 0);
  buf_fini(&v.path);
}
