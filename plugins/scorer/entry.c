#include "match.h"

#include <stdarg.h>
#include <stdio.h>

enum { DEFAULT_FORMAT_WEIGHT = 10, DEFAULT_FRAMEWORK_WEIGHT = 5 };

const struct ome_supported_format *entry_of(const struct ome_score_req *req) {
  return req->runtime->formats.count ? req->runtime->formats.data : NULL;
}

int64_t format_points(const struct ome_supported_format *e) {
  return e->format_weight ? e->format_weight : DEFAULT_FORMAT_WEIGHT;
}

int64_t framework_points(const struct ome_supported_format *e) {
  return e->framework_weight ? e->framework_weight : DEFAULT_FRAMEWORK_WEIGHT;
}

int32_t reject(const struct ome_score_req *req, struct ome_term_sink *out, const char *fmt, ...) {
  char reason[256];
  va_list ap;

  if (req->flags & OME_SCORE_NO_REASONS)
    return out->reject(out, NULL);
  va_start(ap, fmt);
  (void)vsnprintf(reason, sizeof(reason), fmt, ap);
  va_end(ap);
  return out->reject(out, reason);
}

int32_t points(const struct ome_score_req *req, struct ome_term_sink *out, int64_t n, const char *fmt, ...) {
  char reason[256];
  va_list ap;

  if (req->flags & OME_SCORE_NO_REASONS)
    return out->points(out, n, NULL);
  va_start(ap, fmt);
  (void)vsnprintf(reason, sizeof(reason), fmt, ap);
  va_end(ap);
  return out->points(out, n, reason);
}

int32_t scorer_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err) {
  (void)host, (void)cfg, (void)ncfg, (void)err;
  *out_self = NULL;
  return OME_OK;
}

void scorer_destroy(void *self) {
  (void)self;
}
