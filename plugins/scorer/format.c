/* The model's file format must be the entry's. */
#include "match.h"
#include "version.h"

#include <string.h>

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_supported_format *e = entry_of(req);
  const struct ome_model_facts *m = req->model;

  (void)self, (void)call, (void)err;
  if (!e || !*e->format)
    return reject(req, out, "runtime entry has no modelFormat");
  if (strcmp(e->format, m->format) != 0)
    return reject(req, out, "format name mismatch (model=%.60s, runtime=%.60s)", m->format, e->format);
  if (*e->format_version && !*m->format_version)
    return reject(req, out, "model has no format version but runtime requires %.60s", e->format_version);
  /* An entry that names no framework, which OME itself refuses, states only what it cares about. */
  if (!*e->format_version && *m->format_version && *e->framework)
    return reject(req, out, "model has format version %.60s but runtime has no version requirement", m->format_version);
  if (*e->format_version && !version_match(e->format_version, e->format_operator, m->format_version))
    return reject(req, out, "format version mismatch (model=%.60s, runtime=%.60s, operator=%.30s%s)", m->format_version,
                  e->format_version, e->format_operator, version_operator_note(e->format_operator));
  return points(req, out, format_points(e), "format %.60s matches", e->format);
}

SCORER_FACTORY(format, "format", OME_SCORER_BY_ENTRY);
