/* The model's architecture must be the entry's: both state one, or neither does. */
#include "match.h"

#include <string.h>

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_supported_format *e = entry_of(req);
  const char *wants = e ? e->architecture : "";
  const char *has = req->model->architecture;

  (void)self, (void)call, (void)err;
  if (strcmp(wants, has) == 0)
    return *has ? points(req, out, 0, "architecture %.80s matches", has) : OME_OK;
  if (!*has)
    return reject(req, out, "model has no architecture but runtime requires %.80s", wants);
  if (!*wants)
    return reject(req, out, "model has architecture %.80s but runtime has no architecture requirement", has);
  return reject(req, out, "architecture mismatch (model=%.80s, runtime=%.80s)", has, wants);
}

SCORER_FACTORY(architecture, "architecture", OME_SCORER_BY_ENTRY);
