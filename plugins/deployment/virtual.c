/* deployment "virtual": nothing is deployed; what serves is somebody else's, behind a Service of the component's name.
 */
#include "../common/plugin.h"
#include "live.h"

static int32_t render(void *self, const struct ome_call *call, const struct ome_render_req *req,
                      struct ome_object_sink *out, struct ome_err *err) {
  (void)self, (void)call, (void)req, (void)out, (void)err;
  return OME_OK;
}

static int32_t observe(void *self, const struct ome_call *call, const struct ome_render_req *req,
                       struct ome_bytes observed, struct ome_status *out, struct ome_err *err) {
  struct request_docs d;
  int32_t rc = docs_open(req, &d, err);

  (void)self, (void)call, (void)observed;
  if (rc != OME_OK)
    return rc;
  out->phase = OME_PHASE_READY;
  doc_text(out->reason, sizeof(out->reason), "VirtualDeployment");
  doc_text(out->message, sizeof(out->message), "%s is in VirtualDeployment mode: nothing is deployed for it",
           doc_str(d.component, "component", "the component"));
  doc_service_url(out->url, sizeof(out->url), doc_str(d.component, "app", ""), doc_str(d.component, "namespace", ""),
                  d.cluster, 0);
  docs_close(&d);
  return OME_OK;
}

static int32_t needs(void *self, const struct ome_render_req *req, struct ome_object_sink *out, struct ome_err *err) {
  (void)self, (void)req, (void)out, (void)err;
  return OME_OK;
}

RENDER_PLUGIN(OME_KIND_DEPLOYMENT, "deployment-virtual", "virtual", "Nothing: the component is served elsewhere");
