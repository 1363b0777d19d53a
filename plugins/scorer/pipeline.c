/* The diffusion pipeline that an entry states must be the model's: its class, and of each component that is stated the
 * library and the type. */
#include "match.h"

#include <string.h>

static const char *value_in(const struct ome_kv *parts, const char *key) {
  for (; parts->key; parts++)
    if (strcmp(parts->key, key) == 0)
      return parts->value;
  return NULL;
}

/* WANT is one part: "className", a component, or "vae.library". */
static int32_t reject_part(const struct ome_score_req *req, struct ome_term_sink *out, const struct ome_kv *want,
                           const char *has) {
  const char *dot = strrchr(want->key, '.');

  if (!dot && !*want->value)
    return reject(req, out, "component %.64s required by runtime but not specified in model", want->key);
  if (!dot)
    return reject(req, out, "pipeline class mismatch (model=%.64s, runtime=%.64s)", has, want->value);
  int name = (int)(dot - want->key);
  return reject(req, out, "%.*s %s mismatch (model=%.64s, runtime=%.64s)", name > 64 ? 64 : name, want->key, dot + 1,
                has, want->value);
}

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_supported_format *e = entry_of(req);
  const struct ome_kv *wants = e && OME_HAS(ome_supported_format, e, pipeline) ? e->pipeline : NULL;
  const struct ome_kv *has = OME_HAS(ome_model_facts, req->model, pipeline) ? req->model->pipeline : NULL;

  (void)self, (void)call, (void)err;
  if (!wants)
    return OME_OK;
  if (!has)
    return reject(req, out, "diffusion pipeline required by runtime but not specified in model");
  for (const struct ome_kv *want = wants; want->key; want++) {
    const char *value = value_in(has, want->key);
    if (!value || strcmp(value, want->value) != 0)
      return reject_part(req, out, want, value ? value : "");
  }
  const char *class = value_in(wants, "className");
  return points(req, out, 0, "diffusion pipeline%s%.64s matches", class ? " " : "", class ? class : "");
}

SCORER_FACTORY(pipeline, "pipeline", OME_SCORER_BY_ENTRY);
