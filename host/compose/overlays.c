#include "compose/overlays.h"

#include "base/buf.h"
#include "base/str.h"
#include "compose/claim.h"
#include "compose/container.h"
#include "compose/modelmount.h"
#include "kube/meta.h"

#include <ctype.h>
#include <string.h>

#define CONDITION "OverlaysReady"

static struct json_object *wanted_of(struct json_object *service) {
  return json_at(service, "spec.model.overlays");
}

static const char *namespace_of(struct json_object *service) {
  return json_str(service, "metadata.namespace", "default");
}

/* new: "OVERLAY_SOME_NAME_MODEL_PATH" */
static char *variable_of(const char *name) {
  char *v = str_printf("OVERLAY_%s_MODEL_PATH", name);

  for (char *p = v; p && *p; p++)
    *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
  return v;
}

/* ---- finding ----------------------------------------------------------------------------------------------------- */

/* What keeps the model from being mounted; new, NULL without ERR: nothing. */
static char *why_not(struct json_object *model, const char *ns, struct json_object *claims, struct ome_err *err) {
  _cleanup_(claim_fini) struct claim claim = {0};
  struct ome_err reason = ERR_INIT;

  if (!model)
    return strdup("there is no such ClusterBaseModel or BaseModel");
  if (json_flag(model, "spec.disabled", false))
    return strdup("it is disabled");
  if (claim_is(json_str(model, "spec.storage.storageUri", ""))) {
    int32_t rc = claim_of_model(model, ns, &claim, &reason);
    if (rc == OME_OK)
      rc = claim_check(&claim, ns, claims, &reason);
    if (rc == OME_E_NO_MEMORY)
      (void)fail_memory(err);
    return rc == OME_E_INVALID || rc == OME_E_NOT_FOUND ? strdup(reason.msg) : NULL;
  }
  return *model_mount_path(model) ? NULL : strdup("spec.storage.path is not known yet; its agent fills it in");
}

int32_t overlays_find(const struct plan_world *world, struct plan *plan, struct ome_err *err) {
  struct json_object *wanted = wanted_of(plan->service);
  const char *ns = namespace_of(plan->service);
  _cleanup_buf_ struct buf skipped = BUF_INIT;

  plan->overlays = json_object_new_array();
  for (size_t i = 0; plan->overlays && i < json_len(wanted); i++) {
    const char *name = json_str(json_index(wanted, i), "name", "");
    struct json_object *model = plan_find_model(world->models, ns, name);
    _cleanup_free_ char *why = why_not(model, ns, world->claims, err);
    if (err->code == OME_E_NO_MEMORY)
      return err->code;
    if (why)
      buf_addf(&skipped, "%sspec.model.overlays[%zu]: %s is left out: %s", skipped.len ? "; " : "", i, name, why);
    else if (!json_add(plan->overlays, json_object_get(model)))
      return fail_memory(err);
  }
  plan->overlays_skipped = skipped.len ? buf_take(&skipped) : NULL;
  return plan->overlays ? OME_OK : fail_memory(err);
}

/* ---- mounting ---------------------------------------------------------------------------------------------------- */

static int32_t mount_one(struct json_object *model, const char *ns, struct json_object *group,
                         struct json_object *container, struct ome_err *err) {
  _cleanup_free_ char *path = str_printf(OVERLAY_MOUNT "/%s", meta_name(model));
  _cleanup_free_ char *variable = variable_of(meta_name(model));
  const struct model_mount mount = {.model = model, .ns = ns, .path = path, .variable = variable};
  struct json_object *selector = json_ensure(group, "nodeSelector");

  if (!path || !variable || !selector || !model_select_nodes(model, selector))
    return fail_memory(err);
  int32_t rc = model_mount_volume(model, ns, group, err);
  return rc == OME_OK ? model_mount_container(&mount, container, err) : rc;
}

static int32_t apply_group(const struct overlays_request *req, struct json_object *group, struct ome_err *err) {
  struct json_object *container = container_serving(group);
  int32_t rc = OME_OK;

  for (size_t i = 0; container && rc == OME_OK && i < json_len(req->models); i++)
    rc = mount_one(json_index(req->models, i), namespace_of(req->service), group, container, err);
  return rc;
}

int32_t overlays_apply(const struct overlays_request *req, struct ome_err *err) {
  struct json_object *leader = req->grouped ? json_get(req->component, "leader") : NULL;
  struct json_object *worker = req->grouped ? json_get(req->component, "worker") : NULL;
  int32_t rc = apply_group(req, leader ? leader : req->component, err);

  return rc == OME_OK && worker ? apply_group(req, worker, err) : rc;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static bool put_mounted(struct json_object *list, struct json_object *model) {
  _cleanup_free_ char *path = str_printf(OVERLAY_MOUNT "/%s", meta_name(model));
  _cleanup_free_ char *variable = variable_of(meta_name(model));
  struct json_object *o = json_object_new_object();

  return o && json_add(list, o) && path && variable && json_set_str(o, "name", meta_name(model)) &&
         json_set_str(o, "envVar", variable) && json_set_str(o, "mountPath", path) &&
         json_set_str(o, "distribution", json_str(model, "spec.distribution", "PerNode"));
}

bool overlays_put_status(const struct plan *plan, struct json_object *holder, int64_t now_ms) {
  struct json_object *status = json_get(holder, "status");

  if (json_len(wanted_of(plan->service)) == 0) {
    json_del(status, "mountedOverlays");
    meta_drop_condition(holder, CONDITION);
    return true;
  }
  struct json_object *list = json_object_new_array();
  bool ok = list && json_set(status, "mountedOverlays", list);
  for (size_t i = 0; ok && i < json_len(plan->overlays); i++)
    ok = put_mounted(list, json_index(plan->overlays, i));
  const char *skipped = plan->overlays_skipped;
  (void)meta_set_condition(holder, CONDITION, skipped ? "False" : "True",
                           skipped ? "OverlaysSkipped" : "AllOverlaysMounted", skipped ? skipped : "", now_ms);
  return ok;
}
