/* The accelerator: every class that the service names must be in the runtime's list, and the weights should fit what a
 * replica of the engine has of it.  Room for the KV cache is for the engines' tune() to find. */
#include "match.h"
#include "preference.h"

#define GIB 1073741824.0

static const char *missing_class(const struct ome_score_req *req, const struct ome_wish_facts *wish) {
  const struct ome_runtime_facts *r = req->runtime;
  const char *const *has = OME_HAS(ome_runtime_facts, r, accelerators) ? r->accelerators : NULL;

  for (const char *const *name = wish->accelerators; name && *name; name++)
    if (!list_has(has, *name))
      return *name;
  return NULL;
}

static int32_t say_fit(void *self, const struct ome_score_req *req, struct ome_term_sink *out) {
  const struct ome_accelerator_facts *a = req->accelerator;
  const struct ome_runtime_facts *r = req->runtime;
  uint32_t devices = OME_HAS(ome_runtime_facts, r, devices) ? r->devices : 0;
  uint32_t nodes = OME_HAS(ome_runtime_facts, r, nodes) ? r->nodes : 1;
  double weights = (double)req->model->weight_bytes / GIB;
  double memory = (double)a->memory_bytes / GIB;

  if (req->model->weight_bytes == 0)
    return points(req, out, 0, "how large the weights are is not known, so whether they fit %.60s is not either",
                  a->name);
  if (a->memory_bytes == 0)
    return points(req, out, 0, "accelerator %.60s states no memory, so whether the weights fit is not known", a->name);
  if (devices == 0)
    return points(req, out, 0, "how many of %.60s the weights of %.1f GiB take is computed", a->name, weights);
  int fits = weights < memory * devices * nodes;
  if (nodes > 1)
    return prefer(self, req, out, fits, "%.1f GiB of weights %s %u nodes of %u x %.0f GiB of %.60s", weights,
                  fits ? "fit" : "do not fit", nodes, devices, memory, a->name);
  return prefer(self, req, out, fits, "%.1f GiB of weights %s %u x %.0f GiB of %.60s", weights,
                fits ? "fit" : "do not fit", devices, memory, a->name);
}

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_wish_facts *wish = wish_of(req);

  (void)call, (void)err;
  if (wish && missing_class(req, wish))
    return reject(req, out, "runtime does not support the required accelerator class");
  return req->accelerator ? say_fit(self, req, out) : OME_OK;
}

PREFERENCE_FACTORY(accelerator, "accelerator");
