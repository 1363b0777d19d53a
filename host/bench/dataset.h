/* Prompts from a file: a line each.  A line that begins with '{' is a JSON object with "messages" (as chat requests
 * have them), "prompt" or "text", and perhaps "max_tokens" (or "output_tokens"); any other is the prompt itself.
 *
 * Bad rows are counted and the first is named; the good ones are used. */
#ifndef HOST_BENCH_DATASET_H
#define HOST_BENCH_DATASET_H

#include "base/err.h"
#include "base/vec.h"

#include <stdbool.h>

#define DATASET_MAX_BYTES ((size_t)256 << 20)
#define DATASET_MAX_ROWS 1000000u
#define DATASET_MAX_ROW ((size_t)4 << 20)

struct dataset_row {
  char *json; /* the prompt as a JSON string, or the array of messages */
  bool messages;
  uint32_t output_tokens; /* 0: not said */
  uint64_t tokens;        /* of the prompt; 0 before dataset_count() */
};

struct dataset {
  VEC(struct dataset_row) rows;
  uint64_t bad;
  char first_bad[200]; /* "line 3: ..." */
};

/* TEXT is the file's content, LEN bytes.  OME_E_INVALID: no row is good. */
int32_t dataset_read(const char *name, const char *text, size_t len, struct dataset *out, struct ome_err *err);
/* Counts the tokens of every row. */
struct tokenizer;
int32_t dataset_count(struct dataset *d, struct tokenizer *t, struct ome_err *err);
void dataset_fini(struct dataset *d);

#endif
