#include "base/str.h"
#include "compose/names.h"
#include "controller/internal.h"
#include "kube/meta.h"

/* Whether SERVICE has a workload of kind K for COMPONENT, be it on its way out. */
static bool has_workload(struct child_kind *k, struct json_object *service, const char *component) {
  struct kube_cache *cache = child_cache(k);
  _cleanup_json_ struct json_object *owned = cache ? kube_cache_owned(cache, meta_uid(service)) : NULL;

  for (size_t i = 0; i < json_len(owned); i++)
    if (streq(meta_label(json_index(owned, i), LABEL_COMPONENT), component))
      return true;
  return false;
}

/* The first object of a part is its workload. */
static const struct child_kind *holder_of(struct controller *c, struct json_object *service, const struct plan *plan,
                                          const struct plan_component *part) {
  struct json_object *workload = json_index(plan->objects, part->deployment.first);
  const struct child_kind *own = part->deployment.count ? child_kind_of(c, workload) : NULL;

  for (size_t i = 0; own && i < CHILD_KINDS; i++)
    if (c->children[i].workload && &c->children[i] != own && has_workload(&c->children[i], service, part->kind))
      return &c->children[i];
  return NULL;
}

void takeover_find(struct controller *c, struct json_object *service, const struct plan *plan,
                   const struct child_kind **holders) {
  for (size_t i = 0; i < plan->nparts; i++)
    holders[i] = holder_of(c, service, plan, &plan->parts[i]);
}

bool takeover_waits(const struct plan *plan, const struct child_kind *const *holders, size_t i, size_t *part) {
  struct json_object *o = json_index(plan->objects, i);

  if (!streq(json_str(o, "kind", ""), KUBE_SERVICES.kind) ||
      !streq(json_str(o, "apiVersion", ""), KUBE_SERVICES.version))
    return false;
  for (*part = 0; *part < plan->nparts; (*part)++)
    if (holders[*part] && i - plan->parts[*part].deployment.first < plan->parts[*part].deployment.count)
      return true;
  return false;
}
