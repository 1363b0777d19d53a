/* Pre-tokenizers of tokenizer.json: where a text is cut before the model sees it. */
#ifndef HOST_TOKENS_PRESPLIT_H
#define HOST_TOKENS_PRESPLIT_H

#include "base/json.h"
#include "tokens/pieces.h"

struct presplit_step;
struct presplitter {
  VEC(struct presplit_step *) steps;
};

/* O is "pre_tokenizer" of the file; NULL: nothing is cut. */
int32_t presplitter_read(struct json_object *o, struct presplitter *out, struct ome_err *err);
void presplitter_fini(struct presplitter *p);
/* IN in its place; SCRATCH is the caller's.  BEGINS: the first piece is where the whole text begins. */
int32_t presplitter_run(const struct presplitter *p, bool begins, struct pieces *in, struct pieces *scratch,
                        struct ome_err *err);

#endif
