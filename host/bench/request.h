/* The bodies of requests: prompts of the wanted length, in the shape of the OpenAI API.
 *
 * A prompt is common English words, one token each in the usual vocabularies; what the server counted is in its answer,
 * and that is what is reported.  A prompt begins with random words, so that no server finds it in its prefix cache
 * unless the scenario wants a shared prefix. */
#ifndef HOST_BENCH_REQUEST_H
#define HOST_BENCH_REQUEST_H

#include "base/buf.h"
#include "base/json.h"
#include "bench/conversation.h"
#include "bench/dataset.h"
#include "bench/prompt_words.h"
#include "bench/scenario.h"

#define REQUEST_IMAGES 8 /* pictures that are sent in turn */

struct request_source {
  enum bench_task task;
  bool stream;
  bool own_length; /* the parameters say how long answers are */
  char *model;     /* a JSON string */
  char *params;    /* ,"name":value for every further parameter */
  struct prompt_words words;
  const struct dataset *dataset; /* borrowed; NULL: made-up prompts */
  size_t next_row;
  uint32_t documents; /* a request, where the scenario does not say; 0: 1 */
  struct random random;
  bool exact;      /* lengths are measured */
  uint64_t tokens; /* of the body being made, as far as they are known */
  char *images[REQUEST_IMAGES];
  uint32_t image_width, image_height; /* of these */
};

/* PARAMS (may be NULL): members added to every body; one that is null takes a default out. */
int32_t request_source_init(struct request_source *s, enum bench_task task, bool stream, const char *model,
                            struct json_object *params, uint64_t seed, struct ome_err *err);
/* From now on N tokens of a prompt are N as T counts them.  OME_E_UNSUPPORTED: T has no words for that. */
int32_t request_source_measure(struct request_source *s, struct tokenizer *t, struct ome_err *err);
void request_source_fini(struct request_source *s);

/* Appends the next body to OUT, as SAMPLE wants it; with a dataset, the prompt is the next row's.  TALK (NULL: none) is
 * what a chat's body begins with, and gets what is new.  Answers how many tokens of text that is, without what a
 * server's chat template adds; 0 without request_source_measure(). */
uint64_t request_body(struct request_source *s, const struct sample *sample, struct conversation *talk,
                      struct buf *out);

#endif
