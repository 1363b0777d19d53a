#include "live.h"

#include <stdio.h>
#include <string.h>

uint32_t live_count(struct json_object *o, const char *path, int64_t dflt) {
  int64_t n = doc_int(o, path, dflt);

  return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

void live_observe(const struct request_docs *d, struct json_object *objects, const char *kind, live_judge *judge,
                  struct ome_status *out) {
  struct json_object *live = doc_item(objects, 0);

  doc_service_url(out->url, sizeof(out->url), doc_str(d->component, "app", ""), doc_str(d->component, "namespace", ""),
                  d->cluster, 0);
  if (live) {
    judge(live, out);
    return;
  }
  out->phase = OME_PHASE_PENDING;
  doc_text(out->reason, sizeof(out->reason), "Initializing");
  doc_text(out->message, sizeof(out->message), "the %s does not exist yet", kind);
}
