/* One owner of a replica count at a time. */
#include "base/str.h"
#include "compose/names.h"
#include "compose/scaling.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <string.h>

/* Holds what we leave to a scaler that has not scaled yet. */
#define HANDOVER_MANAGER "ome-controller-replicas"

/* ---- rivals ------------------------------------------------------------------------------------------------------ */

/* The scalers of others, read again only when one of them has changed: a namespace may hold thousands of ours. */
static int32_t load_foreign(struct service_worker *w, struct ome_err *err) {
  struct controller *c = w->c;
  uint64_t version = atomic_load(&c->foreign_version);

  if (w->foreign && w->foreign_seen == version)
    return OME_OK;
  json_unref(w->foreign);
  w->foreign = json_object_new_array();
  for (size_t i = 0; w->foreign && i < CHILD_KINDS; i++) {
    struct child_kind *k = &c->children[i];
    struct kube_cache *cache = k->scaler ? child_cache(k) : NULL;
    _cleanup_json_ struct json_object *some = cache ? kube_cache_list(cache, NULL) : NULL;
    for (size_t j = 0; j < json_len(some); j++)
      if (scaling_is_foreign(json_index(some, j)))
        (void)json_add(w->foreign, json_object_get(json_index(some, j)));
  }
  w->foreign_seen = version;
  return w->foreign ? OME_OK : fail_memory(err);
}

static void withhold(struct plan *plan, const struct plan_part *part) {
  for (size_t i = 0; i < part->count; i++)
    (void)json_object_array_put_idx(plan->objects, part->first + i, NULL);
}

static void yield_one(struct plan *plan, const struct plan_component *c) {
  if (c->autoscaler.plugin)
    withhold(plan, &c->autoscaler);
  for (size_t i = 0; streq(json_str(c->doc, "autoscaler", ""), "none") && i < c->deployment.count; i++) {
    struct json_object *o = json_index(plan->objects, c->deployment.first + i);
    if (streq(json_str(o, "kind", ""), json_str(c->doc, "scaling.target.kind", "")))
      json_del(o, "spec.replicas");
  }
}

int32_t scalers_yield(struct service_worker *w, struct plan *plan, char **rivals, struct ome_err *err) {
  int32_t rc = load_foreign(w, err);

  for (size_t i = 0; rc == OME_OK && json_len(w->foreign) > 0 && i < plan->nparts; i++) {
    rivals[i] = scaling_rival(plan->parts[i].doc, w->foreign);
    if (rivals[i])
      yield_one(plan, &plan->parts[i]);
  }
  return rc;
}

char *scalers_service(struct json_object *scaler) {
  const char *target = json_str(scaler, "spec.scaleTargetRef.name", "");

  for (size_t i = 0; *target && scaling_is_foreign(scaler) && i < COMPONENT_KINDS; i++) {
    _cleanup_free_ char *suffix = str_printf("-%s", component_kinds[i]);
    const char *name = has_prefix(target, "lws-") ? target + 4 : target;
    if (suffix && has_suffix(name, suffix))
      return str_copy(name, strlen(name) - strlen(suffix));
  }
  return NULL;
}

/* ---- change of class --------------------------------------------------------------------------------------------- */

/* *GONE is whether O is really away: finalizers may keep it. */
static int32_t delete_scaler(struct controller *c, struct child_kind *k, struct json_object *o, bool *gone,
                             struct ome_err *err) {
  _cleanup_json_ struct json_object *left = NULL;
  int32_t rc = OME_OK;

  if (!meta_deleting(o))
    rc = kube_delete(c->client, k->resource, meta_namespace(o), meta_name(o), meta_uid(o), KUBE_BACKGROUND, err);
  if (rc == OME_OK)
    rc = kube_get(c->client, k->resource, meta_namespace(o), meta_name(o), &left, err);
  *gone = rc == OME_E_NOT_FOUND;
  if (rc == OME_OK || rc == OME_E_NOT_FOUND)
    return OME_OK;
  return fail_prefix(err, "delete %s %s/%s", k->resource->kind, meta_namespace(o), meta_name(o));
}

bool scalers_stays(struct controller *c, const struct plan *plan, struct json_object *scaler) {
  const char *component = meta_label(scaler, LABEL_COMPONENT);

  for (size_t i = 0; component && i < plan->nparts; i++) {
    const struct plan_part *part = &plan->parts[i].autoscaler;
    for (size_t n = 0; streq(plan->parts[i].kind, component) && n < part->count; n++) {
      struct json_object *o = json_index(plan->objects, part->first + n);
      if (o && !child_kind_of(c, o))
        return true;
    }
  }
  return false;
}

int32_t scalers_clear(struct controller *c, struct json_object *service, struct plan *plan, struct ome_err *err) {
  bool waiting = false;

  for (size_t i = 0; i < CHILD_KINDS; i++) {
    struct child_kind *k = &c->children[i];
    _cleanup_json_ struct json_object *unwanted = k->scaler ? children_unwanted(k, service, plan) : NULL;
    for (size_t j = 0; j < json_len(unwanted); j++) {
      bool gone = true;
      if (scalers_stays(c, plan, json_index(unwanted, j)))
        continue;
      int32_t rc = delete_scaler(c, k, json_index(unwanted, j), &gone, err);
      if (rc != OME_OK)
        return rc;
      waiting |= !gone;
    }
  }
  for (size_t i = 0; waiting && i < plan->nparts; i++)
    withhold(plan, &plan->parts[i].autoscaler);
  return OME_OK;
}

/* ---- spec.replicas ----------------------------------------------------------------------------------------------- */

static bool owns_replicas(struct json_object *live) {
  struct json_object *list = json_at(live, "metadata.managedFields");

  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *m = json_index(list, i);
    struct json_object *spec = json_get(json_get(m, "fieldsV1"), "f:spec");
    if (streq(json_str(m, "manager", ""), CONTROLLER_MANAGER) && streq(json_str(m, "operation", ""), "Apply") &&
        json_get(spec, "f:replicas"))
      return true;
  }
  return false;
}

int32_t scalers_hand_over(struct controller *c, const struct child_kind *k, struct json_object *want,
                          struct json_object *live, struct ome_err *err) {
  struct json_object *replicas = json_at(live, "spec.replicas");
  _cleanup_json_ struct json_object *o = NULL;
  _cleanup_json_ struct json_object *after = NULL;

  if (!replicas || json_at(want, "spec.replicas") || !owns_replicas(live))
    return OME_OK;
  o = json_object_new_object();
  if (!o || !json_set_str(o, "apiVersion", k->api_version) || !json_set_str(o, "kind", k->resource->kind) ||
      !json_set_str(o, "metadata.name", meta_name(want)) ||
      !json_set_str(o, "metadata.namespace", meta_namespace(want)) ||
      !json_set(o, "spec.replicas", json_object_get(replicas)))
    return fail_memory(err);
  int32_t rc = kube_apply(c->client, k->resource, o, NULL, HANDOVER_MANAGER, true, &after, err);
  return rc == OME_OK ? OME_OK
                      : fail_prefix(err, "%s %s/%s: hand over replicas", k->resource->kind, meta_namespace(want),
                                    meta_name(want));
}
