#include "compose/shape.h"

#include "base/str.h"

#include <stdio.h>

enum shape { OBJECT, OBJECTS, STRINGS, MAP };

struct rule {
  const char *key;
  enum shape shape;
};

static const char *const words[] = {
    [OBJECT] = "an object",
    [OBJECTS] = "an array of objects",
    [STRINGS] = "an array of strings",
    [MAP] = "a map of strings",
};

static const struct rule container_rules[] = {
    {"env", OBJECTS},  {"ports", OBJECTS},   {"volumeMounts", OBJECTS}, {"envFrom", OBJECTS},
    {"args", STRINGS}, {"command", STRINGS}, {"resources", OBJECT},
};
static const struct rule resource_rules[] = {{"limits", MAP}, {"requests", MAP}};
static const struct rule pod_rules[] = {
    {"containers", OBJECTS},       {"initContainers", OBJECTS}, {"volumes", OBJECTS}, {"tolerations", OBJECTS},
    {"imagePullSecrets", OBJECTS}, {"nodeSelector", MAP},       {"affinity", OBJECT}, {"securityContext", OBJECT},
};
static const struct rule component_rules[] = {
    {"labels", MAP},    {"annotations", MAP},           {"config", MAP}, {"runner", OBJECT}, {"leader", OBJECT},
    {"worker", OBJECT}, {"deploymentStrategy", OBJECT},
};
static const struct rule metadata_rules[] = {{"labels", MAP}, {"annotations", MAP}};

static bool each_is(struct json_object *array, enum json_type type) {
  for (size_t i = 0; i < json_len(array); i++)
    if (!json_is(json_index(array, i), type))
      return false;
  return json_is(array, json_type_array);
}

/* Values may be numbers: people write `cpu: 4`. */
static bool is_map(struct json_object *o) {
  if (!json_is(o, json_type_object))
    return false;
  json_object_object_foreach (o, key, value) {
    (void)key;
    if (json_is(value, json_type_object) || json_is(value, json_type_array))
      return false;
  }
  return true;
}

static bool fits(struct json_object *o, enum shape shape) {
  switch (shape) {
  case OBJECTS:
    return each_is(o, json_type_object);
  case STRINGS:
    return each_is(o, json_type_string);
  case MAP:
    return is_map(o);
  case OBJECT:
  default:
    return json_is(o, json_type_object);
  }
}

static int32_t check(struct json_object *o, const struct rule *rules, size_t n, const char *where,
                     struct ome_err *err) {
  if (o && !json_is(o, json_type_object))
    return fail(err, OME_E_INVALID, "%s: must be an object", where);
  for (size_t i = 0; i < n; i++) {
    struct json_object *v = json_get(o, rules[i].key);
    if (v && !fits(v, rules[i].shape))
      return fail(err, OME_E_INVALID, "%s.%s: must be %s", where, rules[i].key, words[rules[i].shape]);
  }
  return OME_OK;
}

#define CHECK(o, rules, where, err) check(o, rules, ARRAY_LEN(rules), where, err)

/* The API server takes each name of a LIST once; it would say so of the workload, where nobody looks. */
static int32_t check_names(struct json_object *list, const char *where, struct ome_err *err) {
  for (size_t i = 0; i < json_len(list); i++) {
    const char *name = json_str(json_index(list, i), "name", "");
    for (size_t j = 0; *name && j < i; j++)
      if (streq(json_str(json_index(list, j), "name", ""), name))
        return fail(err, OME_E_INVALID, "%s[%zu].name: \"%.100s\" is the name of %s[%zu], too; give it another", where,
                    i, name, where, j);
  }
  return OME_OK;
}

static int32_t check_container(struct json_object *o, const char *where, struct ome_err *err) {
  char path[256];
  int32_t rc = CHECK(o, container_rules, where, err);

  (void)snprintf(path, sizeof(path), "%s.resources", where);
  if (rc == OME_OK)
    rc = CHECK(json_get(o, "resources"), resource_rules, path, err);
  (void)snprintf(path, sizeof(path), "%s.ports", where);
  return rc == OME_OK ? check_names(json_get(o, "ports"), path, err) : rc;
}

/* Pod fields and a runner beside them. */
static int32_t check_pod(struct json_object *o, const char *where, struct ome_err *err) {
  static const char *const lists[] = {"containers", "initContainers"};
  char path[200];
  int32_t rc = CHECK(o, pod_rules, where, err);

  for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
    struct json_object *list = json_get(o, lists[l]);
    (void)snprintf(path, sizeof(path), "%s.%s", where, lists[l]);
    rc = rc == OME_OK ? check_names(list, path, err) : rc;
    for (size_t i = 0; rc == OME_OK && i < json_len(list); i++) {
      (void)snprintf(path, sizeof(path), "%s.%s[%zu]", where, lists[l], i);
      rc = check_container(json_index(list, i), path, err);
    }
  }
  (void)snprintf(path, sizeof(path), "%s.runner", where);
  return rc == OME_OK ? check_container(json_get(o, "runner"), path, err) : rc;
}

int32_t shape_check_component(struct json_object *o, const char *where, struct ome_err *err) {
  static const char *const groups[] = {"leader", "worker"};
  char path[128];
  int32_t rc = CHECK(o, component_rules, where, err);

  if (rc == OME_OK)
    rc = check_pod(o, where, err);
  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(groups); i++) {
    (void)snprintf(path, sizeof(path), "%s.%s", where, groups[i]);
    rc = check_pod(json_get(o, groups[i]), path, err);
  }
  return rc;
}

int32_t shape_check_metadata(struct json_object *o, const char *where, struct ome_err *err) {
  return CHECK(json_get(o, "metadata"), metadata_rules, where, err);
}
