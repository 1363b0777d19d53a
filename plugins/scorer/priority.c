/* An entry's priority multiplies what its format and framework are worth. */
#include "match.h"

#include <string.h>

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_supported_format *e = entry_of(req);

  (void)self, (void)call, (void)err;
  if (!e || !(e->flags & OME_FORMAT_HAS_PRIORITY) || strcmp(e->format, req->model->format) != 0)
    return OME_OK;
  int64_t base = format_points(e);
  if (*e->framework && strcmp(e->framework, req->model->framework) == 0)
    base += framework_points(e);
  /* The host bounds weights and priorities: no overflow. */
  return points(req, out, base * (e->priority - 1), "priority %lld times the %lld points of format and framework",
                (long long)e->priority, (long long)base);
}

SCORER_FACTORY(priority, "priority", OME_SCORER_BY_ENTRY);
