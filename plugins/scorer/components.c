/* What the service's components need: a container for each, from the service or from the runtime.  OME does not look at
 * it, so nothing is rejected unless the site says so.  (A router has a default, and the engine is what every runtime is
 * for.) */
#include "preference.h"

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_wish_facts *wish = wish_of(req);
  const struct ome_runtime_facts *r = req->runtime;
  uint32_t has = OME_HAS(ome_runtime_facts, r, components) ? r->components : 0;

  (void)call, (void)err;
  if (!wish || !(wish->components & (OME_COMPONENT_DECODER | OME_COMPONENT_ROUTER)))
    return OME_OK;
  uint32_t missing = wish->components & ~(has | wish->own);
  if (missing & OME_COMPONENT_DECODER)
    return prefer(self, req, out, 0,
                  "neither the runtime (decoderConfig) nor the service has a container for its decoder");
  if (missing & OME_COMPONENT_ROUTER)
    return prefer(self, req, out, 1, "runtime has no routerConfig, so the router is the default one");
  return prefer(self, req, out, 1, "runtime has containers for every component of the service");
}

PREFERENCE_FACTORY(components, "components");
