#include "live.h"

#include <stdio.h>
#include <string.h>

struct json_object *live_condition(struct json_object *o, const char *type) {
  struct json_object *list = doc_at(o, "status.conditions");

  for (size_t i = 0; i < doc_len(list); i++)
    if (strcmp(doc_str(doc_item(list, i), "type", ""), type) == 0)
      return doc_item(list, i);
  return NULL;
}

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

int32_t live_need(struct ome_object_sink *out, const char *group, const char *version, const char *kind,
                  struct ome_err *err) {
  char text[256];
  int n = snprintf(text, sizeof(text), "{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}", group, version, kind);
  int32_t rc = out->object(out, (struct ome_bytes){text, (size_t)n});

  return rc == OME_OK ? OME_OK : doc_fail(err, rc, "the host did not take an API kind");
}
