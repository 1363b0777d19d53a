/* The model's framework must be the entry's; an entry without one does not ask. */
#include "match.h"
#include "version.h"

#include <string.h>

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_supported_format *e = entry_of(req);
  const struct ome_model_facts *m = req->model;

  (void)self, (void)call, (void)err;
  if (!e || !*e->framework)
    return OME_OK;
  if (!*m->framework)
    return reject(req, out, "model has no framework but runtime requires %.60s", e->framework);
  if (strcmp(e->framework, m->framework) != 0)
    return reject(req, out, "framework name mismatch (model=%.60s, runtime=%.60s)", m->framework, e->framework);
  if (*e->framework_version && !*m->framework_version)
    return reject(req, out, "model has no framework version but runtime requires %.60s", e->framework_version);
  if (!*e->framework_version && *m->framework_version)
    return reject(req, out, "model has framework version %.60s but runtime has no version requirement",
                  m->framework_version);
  if (*e->framework_version && !version_match(e->framework_version, e->framework_operator, m->framework_version))
    return reject(req, out, "framework version mismatch (model=%.60s, runtime=%.60s, operator=%.30s%s)",
                  m->framework_version, e->framework_version, e->framework_operator,
                  version_operator_note(e->framework_operator));
  return points(req, out, framework_points(e), "framework %.60s matches", e->framework);
}

SCORER_FACTORY(framework, "framework", OME_SCORER_BY_ENTRY);
