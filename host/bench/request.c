#include "bench/request.h"

#include "base/str.h"
#include "bench/image.h"

#include <string.h>

#define FRESH 8u /* words at random before the cut: no two prompts begin alike */

/* ---- made ahead -------------------------------------------------------------------------------------------------- */

/* What a body has beside model, prompt and length.  Servers that generate are told not to stop early, as genai-bench
 * does, and to count tokens in the stream. */
static char *render_params(const struct request_source *s, struct json_object *params) {
  _cleanup_json_ struct json_object *all = json_object_new_object();
  _cleanup_buf_ struct buf out = BUF_INIT;

  if (!all)
    return NULL;
  if (task_facts(s->task)->generates) {
    (void)json_set_bool(all, "ignore_eos", true);
    (void)json_set_bool(all, "stream", s->stream);
    if (s->stream)
      (void)json_set_bool(all, "stream_options.include_usage", true);
  }
  if (params) {
    json_object_object_foreach (params, key, value) {
      json_object_object_del(all, key);
      if (value)
        (void)json_put(all, key, json_object_get(value));
    }
  }
  _cleanup_free_ char *text = json_text(all);
  if (text && strlen(text) > 2) {
    buf_addc(&out, ',');
    buf_add(&out, text + 1, strlen(text) - 2);
  }
  return text ? str_copy(buf_str(&out), out.len) : NULL;
}

int32_t request_source_init(struct request_source *s, enum bench_task task, bool stream, const char *model,
                            struct json_object *params, uint64_t seed, struct ome_err *err) {
  _cleanup_json_ struct json_object *name = json_object_new_string(model);

  memset(s, 0, sizeof(*s));
  s->task = task;
  s->stream = stream;
  s->random.state = seed;
  s->model = name ? json_text(name) : NULL;
  s->own_length = params && (json_get(params, "max_tokens") || json_get(params, "max_completion_tokens"));
  s->params = render_params(s, params);
  int32_t rc = s->model && s->params ? prompt_words_init(&s->words, NULL, &s->random, err) : fail_memory(err);
  if (rc != OME_OK)
    request_source_fini(s);
  return rc;
}

int32_t request_source_measure(struct request_source *s, struct tokenizer *t, struct ome_err *err) {
  s->exact = true;
  prompt_words_fini(&s->words);
  return prompt_words_init(&s->words, t, &s->random, err);
}

void request_source_fini(struct request_source *s) {
  free(s->model);
  free(s->params);
  prompt_words_fini(&s->words);
  for (size_t i = 0; i < REQUEST_IMAGES; i++)
    free(s->images[i]);
  memset(s, 0, sizeof(*s));
}

/* ---- prompts ----------------------------------------------------------------------------------------------------- */

/* A JSON string: PREFIX words that are always the same, then others that never are; COUNT in all. */
static void add_prompt(struct request_source *s, size_t count, size_t prefix, struct buf *out) {
  size_t shared = prefix < count ? prefix : count;
  size_t own = count - shared;

  buf_addc(out, '"');
  prompt_words_add(&s->words, 0, shared, true, out);
  for (size_t i = 0; own && i < FRESH; i++, own--)
    prompt_words_add(&s->words, random_next(&s->random) % WORDS, 1, !shared && i == 0, out);
  prompt_words_add(&s->words, random_next(&s->random) % WORDS, own, false, out);
  buf_addc(out, '"');
  s->tokens += count;
}

static void add_row(struct request_source *s, const char *json, size_t len, const struct dataset_row *row,
                    struct buf *out) {
  buf_add(out, json, len);
  s->tokens += row->tokens;
}

static const struct dataset_row *next_row(struct request_source *s) {
  if (!s->dataset || !s->dataset->rows.len)
    return NULL;
  return &s->dataset->rows.items[s->next_row++ % s->dataset->rows.len];
}

/* The prompt as a JSON string, from the dataset where there is one. */
static void add_text(struct request_source *s, const struct dataset_row *row, const struct sample *sample,
                     struct buf *out) {
  if (row && !row->messages)
    add_row(s, row->json, strlen(row->json), row, out);
  else
    add_prompt(s, sample->input_tokens, sample->prefix_tokens, out);
}

static const char *next_image(struct request_source *s, const struct sample *sample) {
  if (s->image_width != sample->width || s->image_height != sample->height)
    for (size_t i = 0; i < REQUEST_IMAGES; i++) {
      free(s->images[i]);
      s->images[i] = image_url(&s->random, sample->width, sample->height);
    }
  s->image_width = sample->width;
  s->image_height = sample->height;
  const char *url = s->images[random_next(&s->random) % REQUEST_IMAGES];
  return url ? url : "";
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static void add_documents(struct request_source *s, const struct sample *sample, struct buf *out) {
  uint32_t count = s->documents ? s->documents : sample->count ? sample->count : 1;

  buf_addc(out, '[');
  for (uint32_t i = 0; i < count; i++) {
    if (i)
      buf_addc(out, ',');
    add_text(s, next_row(s), sample, out);
  }
  buf_addc(out, ']');
}

static void add_image_parts(struct request_source *s, const struct dataset_row *row, const struct sample *sample,
                            struct buf *out) {
  buf_adds(out, "[{\"type\":\"text\",\"text\":");
  add_text(s, row, sample, out);
  buf_addc(out, '}');
  for (uint32_t i = 0; i < (sample->count ? sample->count : 1); i++) {
    buf_adds(out, ",{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
    buf_adds(out, next_image(s, sample));
    buf_adds(out, "\"}}");
  }
  buf_addc(out, ']');
}

/* What the user says now: JSON objects with commas between them. */
static void add_turn(struct request_source *s, const struct dataset_row *row, const struct sample *sample,
                     struct buf *out) {
  if (row && row->messages) {
    add_row(s, row->json + 1, strlen(row->json) - 2, row, out); /* without the array's brackets */
    return;
  }
  buf_adds(out, "{\"role\":\"user\",\"content\":");
  if (sample->width)
    add_image_parts(s, row, sample, out);
  else
    add_text(s, row, sample, out);
  buf_addc(out, '}');
}

static void add_messages(struct request_source *s, const struct dataset_row *row, const struct sample *sample,
                         struct conversation *talk, struct buf *out) {
  struct sample own = *sample;

  buf_adds(out, ",\"messages\":[");
  if (talk && talk->messages.len) { /* which begin with what is shared */
    buf_add(out, buf_str(&talk->messages), talk->messages.len);
    buf_addc(out, ',');
    own.input_tokens -= own.prefix_tokens;
    own.prefix_tokens = 0;
  }
  size_t before = out->len;
  add_turn(s, row, &own, out);
  if (talk && buf_ok(out))
    conversation_say(talk, buf_str(out) + before, out->len - before, s->tokens);
  buf_addc(out, ']');
}

/* The part that differs from request to request. */
static void add_input(struct request_source *s, const struct dataset_row *row, const struct sample *sample,
                      struct conversation *talk, struct buf *out) {
  switch (s->task) {
  case TASK_COMPLETIONS:
    buf_adds(out, ",\"prompt\":");
    add_text(s, row, sample, out);
    break;
  case TASK_EMBEDDINGS:
    buf_adds(out, ",\"input\":");
    add_documents(s, sample, out);
    break;
  case TASK_RERANK:
    buf_adds(out, ",\"query\":");
    add_prompt(s, sample->query_tokens ? sample->query_tokens : 1, 0, out);
    buf_adds(out, ",\"documents\":");
    add_documents(s, sample, out);
    break;
  default: /* chat, also about images; image embeddings are asked for by messages too */
    add_messages(s, row, sample, talk, out);
  }
}

uint64_t request_body(struct request_source *s, const struct sample *sample, struct conversation *talk,
                      struct buf *out) {
  bool documents = s->task == TASK_EMBEDDINGS || s->task == TASK_RERANK;
  const struct dataset_row *row = documents ? NULL : next_row(s);
  uint32_t tokens = row && row->output_tokens ? row->output_tokens : sample->output_tokens;
  uint64_t said = talk ? talk->tokens : 0;

  s->tokens = 0;
  buf_adds(out, "{\"model\":");
  buf_adds(out, s->model);
  if (tokens && !s->own_length && task_facts(s->task)->generates)
    buf_addf(out, ",\"max_tokens\":%u", tokens);
  buf_adds(out, s->params);
  add_input(s, row, sample, talk, out);
  buf_addc(out, '}');
  return s->exact ? said + s->tokens : 0;
}
