#include "live.h"

#include <stdio.h>
#include <string.h>

uint32_t live_count(struct json_object *o, const char *path, int64_t dflt) {
  int64_t n = doc_int(o, path, dflt);

  return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

int32_t live_observe(const struct ome_render_req *req, struct ome_bytes observed, const char *kind, live_judge *judge,
                     struct ome_status *out, struct ome_err *err) {
  struct json_object *list = NULL;
  struct request_docs d;
  int32_t rc = docs_open(req, &d, err);

  if (rc != OME_OK)
    return rc;
  rc = doc_parse(observed, &list, err);
  if (rc == OME_OK) {
    doc_service_url(out->url, sizeof(out->url), doc_str(d.component, "app", ""), doc_str(d.component, "namespace", ""),
                    d.cluster, 0);
    struct json_object *live = doc_item(list, 0);
    if (live) {
      judge(live, out);
    } else {
      out->phase = OME_PHASE_PENDING;
      doc_text(out->reason, sizeof(out->reason), "Initializing");
      doc_text(out->message, sizeof(out->message), "the %s does not exist yet", kind);
    }
  }
  (void)json_object_put(list);
  docs_close(&d);
  return rc;
}
