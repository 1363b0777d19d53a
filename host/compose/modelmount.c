#include "compose/modelmount.h"

#include "base/str.h"
#include "compose/claim.h"
#include "compose/container.h"
#include "compose/names.h"

static bool is_claimed(struct json_object *model) {
  return claim_is(json_str(model, "spec.storage.storageUri", ""));
}

const char *model_mount_path(struct json_object *model) {
  return is_claimed(model) ? MODEL_MOUNT : json_str(model, "spec.storage.path", "");
}

static char *volume_name(struct json_object *model) {
  return name_dns_label(json_str(model, "metadata.name", ""));
}

static bool fill_volume(struct json_object *volume, struct json_object *model, const struct claim *claim) {
  if (!claim->name)
    return json_set_str(volume, "hostPath.path", json_str(model, "spec.storage.path", ""));
  return json_set_str(volume, "persistentVolumeClaim.claimName", claim->name) &&
         json_set_bool(volume, "persistentVolumeClaim.readOnly", true);
}

int32_t model_mount_volume(struct json_object *model, const char *ns, struct json_object *pod, struct ome_err *err) {
  _cleanup_(claim_fini) struct claim claim = {0};

  if (!*model_mount_path(model))
    return OME_OK;
  int32_t rc = is_claimed(model) ? claim_of_model(model, ns, &claim, err) : OME_OK;
  if (rc != OME_OK)
    return rc;
  _cleanup_free_ char *name = volume_name(model);
  struct json_object *volumes = list_in(pod, "volumes");
  if (name && volumes && json_find(volumes, "name", name))
    return OME_OK;
  struct json_object *v = json_object_new_object();
  if (!name || !volumes || !v || !json_add(volumes, v) || !json_set_str(v, "name", name) ||
      !fill_volume(v, model, &claim))
    return fail_memory(err);
  return OME_OK;
}

int32_t model_mount_container(const struct model_mount *m, struct json_object *container, struct ome_err *err) {
  _cleanup_(claim_fini) struct claim claim = {0};

  if (!*m->path)
    return OME_OK;
  int32_t rc = is_claimed(m->model) ? claim_of_model(m->model, m->ns, &claim, err) : OME_OK;
  if (rc != OME_OK)
    return rc;
  _cleanup_free_ char *volume = volume_name(m->model);
  if (!volume || !container_set_env(container, m->variable, m->path, false) ||
      !container_mount(container, volume, m->path, claim.path))
    return fail_memory(err);
  return OME_OK;
}

bool model_select_nodes(struct json_object *model, struct json_object *selector) {
  if (is_claimed(model))
    return true;
  bool cluster = streq(json_str(model, "kind", ""), "ClusterBaseModel");
  _cleanup_free_ char *label = name_model_label(cluster ? NULL : json_str(model, "metadata.namespace", "default"),
                                                json_str(model, "metadata.name", ""));

  return label && (json_get(selector, label) || json_put_str(selector, label, "Ready"));
}
