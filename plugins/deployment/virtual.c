/* deployment "virtual": nothing is deployed; what serves is somebody else's, behind a Service of the component's name.
 */
#include "../common/plugin.h"
#include "live.h"

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  (void)d, (void)out, (void)err;
  return OME_OK;
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  (void)live, (void)err;
  out->phase = OME_PHASE_READY;
  doc_text(out->reason, sizeof(out->reason), "VirtualDeployment");
  doc_text(out->message, sizeof(out->message), "%s is in VirtualDeployment mode: nothing is deployed for it",
           doc_str(d->component, "component", "the component"));
  doc_service_url(out->url, sizeof(out->url), doc_str(d->component, "app", ""), doc_str(d->component, "namespace", ""),
                  d->cluster, 0);
  return OME_OK;
}

static const struct api_kind needed = {0};

RENDER_PLUGIN(OME_KIND_DEPLOYMENT, "deployment-virtual", "virtual", "Nothing: the component is served elsewhere");
