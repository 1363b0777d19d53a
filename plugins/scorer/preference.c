#include "preference.h"

#include "match.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct preference {
  int64_t points;
  int require;
};

static const struct ome_key points_key = {
    .struct_size = sizeof(points_key),
    .type = OME_KEY_INT,
    .name = "points",
    .dflt = "0",
    .doc = "What a runtime that suits is worth; with 0 it is only said.",
};
static const struct ome_key require_key = {
    .struct_size = sizeof(require_key),
    .type = OME_KEY_BOOL,
    .name = "require",
    .dflt = "false",
    .doc = "Reject a runtime that does not suit, instead of only saying so.",
};
const struct ome_key *const preference_keys[] = {&points_key, &require_key, NULL};

int32_t preference_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                          struct ome_err *err) {
  struct preference *p = calloc(1, sizeof(*p));

  (void)host;
  if (!p)
    return err->code = OME_E_NO_MEMORY;
  for (uint32_t i = 0; i < ncfg; i++) {
    if (strcmp(cfg[i].key, points_key.name) == 0)
      p->points = strtoll(cfg[i].value, NULL, 10);
    else if (strcmp(cfg[i].key, require_key.name) == 0)
      p->require = strcmp(cfg[i].value, "true") == 0;
  }
  *out_self = p;
  return OME_OK;
}

void preference_destroy(void *self) {
  free(self);
}

int32_t prefer(void *self, const struct ome_score_req *req, struct ome_term_sink *out, int good, const char *fmt, ...) {
  const struct preference *p = self;
  char reason[256] = "";
  va_list ap;

  if (!(req->flags & OME_SCORE_NO_REASONS)) {
    va_start(ap, fmt);
    (void)vsnprintf(reason, sizeof(reason), fmt, ap);
    va_end(ap);
  }
  if (!good && p && p->require)
    return reject(req, out, "%s", reason);
  return points(req, out, good && p ? p->points : 0, "%s", reason);
}

const struct ome_wish_facts *wish_of(const struct ome_score_req *req) {
  return OME_HAS(ome_score_req, req, wish) ? req->wish : NULL;
}

int list_has(const char *const *list, const char *name) {
  for (; list && *list; list++)
    if (strcmp(*list, name) == 0)
      return 1;
  return 0;
}
