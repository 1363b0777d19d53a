/* Defaults and rules of pod specs, alone and in templates. */
#include "api/builtin_internal.h"

#include "base/quantity.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const char *const container_lists[] = {"initContainers", "containers"};

/* ---- defaults --------------------------------------------------------------------------------------------------- */

/* ":latest" and no tag at all are pulled always, anything else when it is not there. */
static void default_pull_policy(struct json_object *container) {
  const char *image = json_str(container, "image", "");
  const char *slash = strrchr(image, '/');
  const char *tag = strrchr(slash ? slash : image, ':');
  bool latest = !strchr(image, '@') && (!tag || streq(tag, ":latest"));

  if (!*json_str(container, "imagePullPolicy", ""))
    (void)json_set_str(container, "imagePullPolicy", latest ? "Always" : "IfNotPresent");
}

/* What is limited and not requested is requested as limited. */
static void default_requests(struct json_object *container) {
  struct json_object *limits = json_at(container, "resources.limits");

  if (!json_is(limits, json_type_object) || json_empty(limits))
    return;
  struct json_object *requests = json_ensure(container, "resources.requests");
  json_object_object_foreach (limits, key, v) {
    if (requests && !json_get(requests, key))
      (void)json_put(requests, key, json_copy(v));
  }
}

/* A volume that names no source is an empty directory. */
static void default_volumes(struct json_object *volumes) {
  for (size_t i = 0; i < json_len(volumes); i++) {
    struct json_object *v = json_index(volumes, i);
    if (json_is(v, json_type_object) && json_object_object_length(v) == 1 && json_get(v, "name"))
      (void)json_set(v, "emptyDir", json_object_new_object());
  }
}

void pod_default(struct json_object *spec) {
  if (!spec)
    return;
  for (size_t k = 0; k < ARRAY_LEN(container_lists); k++) {
    struct json_object *list = json_get(spec, container_lists[k]);
    for (size_t i = 0; i < json_len(list); i++) {
      default_pull_policy(json_index(list, i));
      default_requests(json_index(list, i));
    }
  }
  default_volumes(json_get(spec, "volumes"));
  const char *account = json_str(spec, "serviceAccountName", "");
  if (!*account)
    account = json_str(spec, "serviceAccount", "");
  if (*account) {
    _cleanup_free_ char *name = strdup(account);
    (void)json_set_str(spec, "serviceAccountName", name);
    (void)json_set_str(spec, "serviceAccount", name);
  }
}

/* ---- resources -------------------------------------------------------------------------------------------------- */

/* Resources of vendors: whole, and never overcommitted. */
static bool is_extended(const char *name) {
  return strchr(name, '/') && !strstr(name, "kubernetes.io/");
}

static bool is_standard(const char *name) {
  return streq(name, "cpu") || streq(name, "memory") || streq(name, "ephemeral-storage") ||
         has_prefix(name, "hugepages-");
}

static void check_amounts(struct json_object *list, const char *path, struct field_errors *out) {
  if (!json_is(list, json_type_object))
    return;
  json_object_object_foreach (list, name, v) {
    const char *text = v ? json_object_get_string(v) : "";
    int64_t milli = 0;
    _cleanup_free_ char *at = str_printf("%s[%s]", path, name);
    if (!is_standard(name) && !(strchr(name, '/') && is_qualified_name(name)))
      rule_error(out, FIELD_INVALID, at, "",
                 "Invalid value: \"%s\": must be a standard resource type or fully qualified", name);
    if (quantity_milli(text, &milli) && milli < 0)
      rule_error(out, FIELD_INVALID, at, "", "Invalid value: \"%s\": must be greater than or equal to 0", text);
    if (is_extended(name) && milli % 1000 != 0)
      rule_error(out, FIELD_INVALID, at, "", "Invalid value: \"%s\": must be an integer", text);
  }
}

static void check_resources(struct json_object *container, const char *path, struct field_errors *out) {
  struct json_object *limits = json_at(container, "resources.limits");
  struct json_object *requests = json_at(container, "resources.requests");
  _cleanup_free_ char *limits_path = str_printf("%s.resources.limits", path);
  _cleanup_free_ char *requests_path = str_printf("%s.resources.requests", path);

  check_amounts(limits, limits_path, out);
  check_amounts(requests, requests_path, out);
  if (!json_is(requests, json_type_object))
    return;
  json_object_object_foreach (requests, name, v) {
    struct json_object *limit = json_get(limits, name);
    const char *text = v ? json_object_get_string(v) : "";
    int64_t wanted;
    int64_t most;
    if (!limit) {
      if (is_extended(name))
        rule_error(out, FIELD_REQUIRED, limits_path, "",
                   "Required value: Limit must be set for non overcommitable resources");
      continue;
    }
    if (!quantity_milli(text, &wanted) || !quantity_milli(json_object_get_string(limit), &most))
      continue;
    if (is_extended(name) && wanted != most)
      rule_error(out, FIELD_INVALID, requests_path, "", "Invalid value: \"%s\": must be equal to %s limit of %s", text,
                 name, json_object_get_string(limit));
    else if (wanted > most)
      rule_error(out, FIELD_INVALID, requests_path, "",
                 "Invalid value: \"%s\": must be less than or equal to %s limit of %s", text, name,
                 json_object_get_string(limit));
  }
}

/* ---- containers ------------------------------------------------------------------------------------------------- */

/* A name that must be a DNS label and no other's; SEEN collects them. */
static void check_name(struct json_object *o, struct json_object *seen, const char *path, struct field_errors *out) {
  const char *name = json_str(o, "name", "");

  if (!*name) {
    if (json_get(o, "name")) /* the schema misses an absent one */
      rule_error(out, FIELD_REQUIRED, path, ".name", "Required value");
  } else if (!is_dns_label(name)) {
    rule_error(out, FIELD_INVALID, path, ".name", "Invalid value: \"%s\": " DNS_LABEL_RULE, name);
  } else if (json_has(seen, name)) {
    rule_error(out, FIELD_DUPLICATE, path, ".name", "Duplicate value: \"%s\"", name);
  } else {
    (void)json_put(seen, name, NULL);
  }
}

static void check_ports(struct json_object *ports, const char *path, struct field_errors *out) {
  _cleanup_json_ struct json_object *names = json_object_new_object();

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *p = json_index(ports, i);
    int64_t number = json_i64(p, "containerPort", 1);
    const char *name = json_str(p, "name", "");
    _cleanup_free_ char *at = str_printf("%s.ports[%zu]", path, i);
    if (number < 1 || number > 65535)
      rule_error(out, FIELD_INVALID, at, ".containerPort",
                 "Invalid value: %lld: must be between 1 and 65535, inclusive", (long long)number);
    if (*name && json_has(names, name))
      rule_error(out, FIELD_DUPLICATE, at, ".name", "Duplicate value: \"%s\"", name);
    else if (*name && (!is_dns_label(name) || strlen(name) > 15))
      rule_error(out, FIELD_INVALID, at, ".name",
                 "Invalid value: \"%s\": must be no more than 15 characters, alphanumeric or '-'", name);
    else if (*name)
      (void)json_put(names, name, NULL);
  }
}

static void check_mounts(struct json_object *container, struct json_object *volumes, const char *path,
                         struct field_errors *out) {
  struct json_object *mounts = json_get(container, "volumeMounts");
  _cleanup_json_ struct json_object *paths = json_object_new_object();

  for (size_t i = 0; i < json_len(mounts); i++) {
    struct json_object *m = json_index(mounts, i);
    const char *name = json_str(m, "name", "");
    const char *place = json_str(m, "mountPath", "");
    _cleanup_free_ char *at = str_printf("%s.volumeMounts[%zu]", path, i);
    if (*name && !json_find(volumes, "name", name))
      rule_error(out, FIELD_NOT_FOUND, at, ".name", "Not found: \"%s\"", name);
    if (!*place && json_get(m, "mountPath"))
      rule_error(out, FIELD_REQUIRED, at, ".mountPath", "Required value");
    else if (*place && json_has(paths, place))
      rule_error(out, FIELD_INVALID, at, ".mountPath", "Invalid value: \"%s\": must be unique", place);
    else if (*place)
      (void)json_put(paths, place, NULL);
  }
}

static void check_container(struct json_object *c, struct json_object *volumes, const char *path,
                            struct field_errors *out) {
  if (!*json_str(c, "image", ""))
    rule_error(out, FIELD_REQUIRED, path, ".image", "Required value");
  check_ports(json_get(c, "ports"), path, out);
  check_mounts(c, volumes, path, out);
  check_resources(c, path, out);
}

/* ---- the pod ---------------------------------------------------------------------------------------------------- */

static void check_volumes(struct json_object *volumes, const char *path, struct field_errors *out) {
  _cleanup_json_ struct json_object *names = json_object_new_object();

  for (size_t i = 0; i < json_len(volumes); i++) {
    struct json_object *v = json_index(volumes, i);
    _cleanup_free_ char *at = str_printf("%s.volumes[%zu]", path, i);
    check_name(v, names, at, out);
    if (json_is(v, json_type_object) && json_object_object_length(v) > 2)
      rule_error(out, FIELD_FORBIDDEN, at, "", "Forbidden: may not specify more than 1 volume type");
  }
}

void pod_validate(struct json_object *spec, const char *path, struct field_errors *out) {
  _cleanup_json_ struct json_object *names = json_object_new_object();
  struct json_object *volumes = json_get(spec, "volumes");

  check_volumes(volumes, path, out);
  if (json_get(spec, "containers") && json_len(json_get(spec, "containers")) == 0)
    rule_error(out, FIELD_REQUIRED, path, ".containers", "Required value");
  for (size_t k = 0; k < ARRAY_LEN(container_lists); k++) {
    struct json_object *list = json_get(spec, container_lists[k]);
    for (size_t i = 0; i < json_len(list); i++) {
      _cleanup_free_ char *at = str_printf("%s.%s[%zu]", path, container_lists[k], i);
      check_name(json_index(list, i), names, at, out);
      check_container(json_index(list, i), volumes, at, out);
    }
  }
}
