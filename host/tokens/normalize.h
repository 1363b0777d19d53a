/* Normalizers of tokenizer.json: what becomes of a text before it is cut. */
#ifndef HOST_TOKENS_NORMALIZE_H
#define HOST_TOKENS_NORMALIZE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/vec.h"

struct normal_step;
struct normalizer {
  VEC(struct normal_step *) steps;
};

/* O is "normalizer" of the file; NULL: nothing is done. */
int32_t normalizer_read(struct json_object *o, struct normalizer *out, struct ome_err *err);
void normalizer_fini(struct normalizer *n);
/* TEXT in its place; SCRATCH is the caller's, so that nothing is allocated in the end. */
int32_t normalizer_run(const struct normalizer *n, struct buf *text, struct buf *scratch, struct ome_err *err);

/* Of "pattern": {"String": ...} or {"Regex": ...}; one of both is set then. */
struct regex;
int32_t pattern_read(struct json_object *o, char **literal, struct regex **re, struct ome_err *err);

#endif
