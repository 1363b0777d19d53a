/* The model's quantization must be the entry's: both state one, or neither does.  A GGUF file says itself how each of
 * its tensors is quantized, so an entry for GGUF that asks for nothing takes all of them. */
#include "match.h"

#include <string.h>

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  const struct ome_supported_format *e = entry_of(req);
  const char *wants = e ? e->quantization : "";
  const char *has = req->model->quantization;

  (void)self, (void)call, (void)err;
  if (strcmp(wants, has) == 0)
    return *has ? points(req, out, 0, "quantization %.60s matches", has) : OME_OK;
  if (!*has)
    return reject(req, out, "model has no quantization but runtime requires %.60s", wants);
  if (*wants)
    return reject(req, out, "quantization mismatch (model=%.60s, runtime=%.60s)", has, wants);
  if (e && strcmp(e->format, "gguf") == 0)
    return points(req, out, 0, "quantization %.60s is in the GGUF file", has);
  return reject(req, out, "model has quantization %.60s but runtime has no quantization requirement", has);
}

SCORER_FACTORY(quantization, "quantization", OME_SCORER_BY_ENTRY);
