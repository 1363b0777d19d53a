#include "compose/clash.h"

#include "base/str.h"
#include "kube/meta.h"

/* new: what no two objects of a cluster share. */
static char *name_of(struct json_object *o) {
  return str_printf("%s/%s/%s/%s", json_str(o, "apiVersion", ""), json_str(o, "kind", ""), meta_namespace(o),
                    meta_name(o));
}

static int32_t claim_names(struct strmap *names, const struct plan *plan, struct ome_err *err) {
  for (size_t i = 0; i < json_len(plan->objects); i++) {
    _cleanup_free_ char *name = name_of(json_index(plan->objects, i));
    char *owner =
        str_printf("%s/%s", json_str(plan->service, "metadata.namespace", "default"), meta_name(plan->service));
    if (!name || !owner || !strmap_put(names, name, owner)) {
      free(owner);
      return fail_memory(err);
    }
  }
  return OME_OK;
}

int32_t clash_check(struct strmap *names, struct plan *plan, struct ome_err *err) {
  for (size_t i = 0; i < json_len(plan->objects); i++) {
    struct json_object *o = json_index(plan->objects, i);
    _cleanup_free_ char *name = name_of(o);
    const char *owner = name ? strmap_get(names, name) : NULL;
    if (!name)
      return fail_memory(err);
    if (owner)
      plan_refuse(plan, "EngineReady", "NameConflict",
                  "metadata.name: %s %s/%s is of InferenceService %s, too; give one of them another name",
                  json_str(o, "kind", ""), meta_namespace(o), meta_name(o), owner);
  }
  return plan->nproblems ? OME_OK : claim_names(names, plan, err);
}
