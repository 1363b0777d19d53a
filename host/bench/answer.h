/* What an OpenAI-compatible server's answer says: that a token came, how many there were, that it was the last. */
#ifndef HOST_BENCH_ANSWER_H
#define HOST_BENCH_ANSWER_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer {
  uint64_t prompt_tokens, completion_tokens; /* of "usage" */
  bool has_usage;
  uint32_t pieces;  /* that carried text */
  bool ended;       /* "[DONE]", or a finish_reason */
  bool results;     /* embeddings or ranks are there */
  struct buf *text; /* borrowed: gets what a chat's answer says, as it stands in JSON strings; NULL: nobody asks */
  struct buf *all;  /* the same of everything that the model wrote */
};

enum answer_kind {
  ANSWER_NOTHING, /* a role, a usage, a keep-alive */
  ANSWER_TEXT,    /* generated text */
  ANSWER_ERROR,   /* the server says that it failed */
  ANSWER_BAD      /* no JSON */
};

/* One event's data of a stream, or the whole body of an answer that is not streamed; gathers into A. [any-thread] */
enum answer_kind answer_take(struct answer *a, const char *text, size_t len);

#endif
