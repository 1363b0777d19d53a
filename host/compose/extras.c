#include "compose/extras.h"

#include "base/str.h"
#include "compose/cluster.h"
#include "compose/names.h"

#include <string.h>

static struct json_object *object(const char *api_version, const char *kind, const char *name, const char *ns) {
  struct json_object *o = json_object_new_object();

  if (o && json_set_str(o, "apiVersion", api_version) && json_set_str(o, "kind", kind) &&
      json_set_str(o, "metadata.name", name) && json_set_str(o, "metadata.namespace", ns))
    return o;
  json_unref(o);
  return NULL;
}

/* ---- model config ------------------------------------------------------------------------------------------------ */

static bool fill_spec(struct json_object *spec, struct json_object *model) {
  static const struct {
    const char *key;
    const char *path;
  } fields[] = {{"storageUri", "spec.storage.storageUri"},
                {"path", "spec.storage.path"},
                {"schemaPath", "spec.storage.schemaPath"},
                {"parameters", "spec.storage.parameters"},
                {"storageKey", "spec.storage.key"},
                {"modelFormatName", "spec.modelFormat.name"},
                {"modelFormatVersion", "spec.modelFormat.version"},
                {"modelType", "spec.modelType"},
                {"modelFrameworkName", "spec.modelFramework.name"},
                {"modelFrameworkVersion", "spec.modelFramework.version"}};

  for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
    struct json_object *v = json_at(model, fields[i].path);
    if (v && !json_set(spec, fields[i].key, json_object_get(v)))
      return false;
  }
  return true;
}

/* [{modelName, modelSpec{...}, fineTunedWeightSpec{...}?}] as JSON text; new. */
static char *models_json(struct json_object *model, struct json_object *weights) {
  _cleanup_json_ struct json_object *list = json_object_new_array();
  struct json_object *entry = json_object_new_object();
  struct json_object *spec = json_object_new_object();
  struct json_object *tuned = json_len(weights) ? json_object_new_object() : NULL;

  if (!list || !json_add(list, entry) || !json_set_str(entry, "modelName", json_str(model, "metadata.name", "")) ||
      !json_set(entry, "modelSpec", spec) || !fill_spec(spec, model))
    return NULL;
  if (json_len(weights) &&
      (!tuned || !json_set(entry, "fineTunedWeightSpec", tuned) || !fill_spec(tuned, json_index(weights, 0))))
    return NULL;
  return json_canonical(list);
}

static struct json_object *model_config(struct json_object *service, struct json_object *model,
                                        struct json_object *weights) {
  const char *name = json_str(service, "metadata.name", "");
  size_t len = strlen(name);
  _cleanup_free_ char *config = str_printf("modelconfig-%s", len > 20 ? name + len - 20 : name);
  _cleanup_free_ char *text = models_json(model, weights);
  _cleanup_json_ struct json_object *o =
      config ? object("v1", "ConfigMap", config, json_str(service, "metadata.namespace", "default")) : NULL;
  struct json_object *data = o ? json_ensure(o, "data") : NULL;

  if (!text || !data || !json_put_str(data, "models.json", text))
    return NULL;
  return TAKE_PTR(o);
}

/* ---- router access ----------------------------------------------------------------------------------------------- */

static struct json_object *strings(const char *const *s, size_t n) {
  struct json_object *a = json_object_new_array();

  for (size_t i = 0; a && i < n; i++)
    (void)json_add_str(a, s[i]);
  return a;
}

static bool fill_role(struct json_object *role) {
  static const char *const groups[] = {""};
  static const char *const resources[] = {"pods"};
  static const char *const verbs[] = {"get", "list", "watch"};
  struct json_object *rules = json_object_new_array();
  struct json_object *rule = json_object_new_object();

  return rules && json_add(rules, rule) && json_set(role, "rules", rules) &&
         json_set(rule, "apiGroups", strings(groups, 1)) && json_set(rule, "resources", strings(resources, 1)) &&
         json_set(rule, "verbs", strings(verbs, 3));
}

static bool fill_binding(struct json_object *binding, const char *name, const char *ns) {
  struct json_object *subjects = json_object_new_array();
  struct json_object *subject = json_object_new_object();

  return subjects && json_add(subjects, subject) && json_set(binding, "subjects", subjects) &&
         json_set_str(subject, "kind", "ServiceAccount") && json_set_str(subject, "name", name) &&
         json_set_str(subject, "namespace", ns) &&
         json_set_str(binding, "roleRef.apiGroup", "rbac.authorization.k8s.io") &&
         json_set_str(binding, "roleRef.kind", "Role") && json_set_str(binding, "roleRef.name", name);
}

static bool add_labelled(struct json_object *objects, struct json_object *o, struct json_object *labels) {
  return o && json_set(o, "metadata.labels", json_copy(labels)) && json_add(objects, o);
}

static bool router_access(struct json_object *router, struct json_object *cluster, struct json_object *objects) {
  const char rbac[] = "rbac.authorization.k8s.io/v1";
  const char *name = json_str(router, "name", "");
  const char *ns = json_str(router, "namespace", "");
  struct json_object *labels = json_get(router, "labels");

  if (cluster_has(cluster, "v1", "ServiceAccount") &&
      !add_labelled(objects, object("v1", "ServiceAccount", name, ns), labels))
    return false;
  if (!cluster_has(cluster, rbac, "Role"))
    return true;
  struct json_object *role = object(rbac, "Role", name, ns);
  struct json_object *binding = object(rbac, "RoleBinding", name, ns);
  return role && binding && fill_role(role) && fill_binding(binding, name, ns) && add_labelled(objects, role, labels) &&
         add_labelled(objects, binding, labels);
}

int32_t extras_render(struct json_object *service, struct json_object *model, struct json_object *weights,
                      struct json_object *router, struct json_object *cluster, struct json_object *objects,
                      struct ome_err *err) {
  if (model) {
    struct json_object *config = model_config(service, model, weights);
    if (!config || !json_add(objects, config))
      return fail_memory(err);
  }
  if (router && !router_access(router, cluster, objects))
    return fail_memory(err);
  return OME_OK;
}
