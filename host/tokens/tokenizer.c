#include "tokens/tokenizer.h"

#include "base/json.h"
#include "base/str.h"
#include "tokens/added.h"
#include "tokens/bytes.h"
#include "tokens/model.h"
#include "tokens/normalize.h"
#include "tokens/presplit.h"

#include <stdio.h>
#include <string.h>

#define MAX_PART ((size_t)16 << 20) /* of the file but its model: a map of characters is 400 KiB */

struct tokenizer {
  struct vocabulary words;
  struct bpe *bpe; /* one of both */
  struct unigram *unigram;
  struct normalizer normalizer;
  struct presplitter presplitter;
  struct added raw, normalized; /* looked for before and after normalization */
  struct buf text, scratch;     /* of the count at hand */
  struct pieces pieces, others;
};

/* ---- both models ------------------------------------------------------------------------------------------------- */

bool model_has_bytes(const struct vocabulary *words, const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    char name[8];
    int n = snprintf(name, sizeof(name), "<0x%02X>", (unsigned char)text[i]);
    if (vocabulary_find(words, name, (size_t)n) == VOCABULARY_NONE)
      return false;
  }
  return true;
}

bool model_flag(struct cut model, const char *name) {
  struct cut value = cut_get(model, name);

  return value.len == 4 && memcmp(value.text, "true", 4) == 0;
}

static int32_t read_model(struct tokenizer *t, struct cut model, struct ome_err *err) {
  _cleanup_buf_ struct buf type = BUF_INIT;

  if (!cut_is(model, '{'))
    return fail(err, OME_E_INVALID, "model: is missing");
  bool named = cut_string(cut_get(model, "type"), &type);
  if (streq(buf_str(&type), "BPE") || (!named && cut_is(cut_get(model, "merges"), '[')))
    return bpe_new(model, &t->words, &t->bpe, err);
  if (streq(buf_str(&type), "Unigram"))
    return unigram_new(model, &t->words, &t->unigram, err);
  return fail(err, OME_E_UNSUPPORTED, "model.type: %.40s is not understood; BPE and Unigram are",
              *buf_str(&type) ? buf_str(&type) : "an unnamed model");
}

/* ---- the parts around them --------------------------------------------------------------------------------------- */

/* new: the member NAME as a tree; *OUT is NULL where it is absent or null. */
static int32_t parse_part(struct cut top, const char *name, struct json_object **out, struct ome_err *err) {
  struct cut part = cut_get(top, name);

  if (cut_is_null(part))
    return OME_OK;
  return json_parse(part.text, part.len, MAX_PART, out, err) == OME_OK ? OME_OK : fail_prefix(err, "%s", name);
}

static int32_t read_normalizer(struct tokenizer *t, struct cut top, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  int32_t rc = parse_part(top, "normalizer", &o, err);

  return rc == OME_OK ? normalizer_read(o, &t->normalizer, err) : rc;
}

static int32_t read_presplitter(struct tokenizer *t, struct cut top, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  int32_t rc = parse_part(top, "pre_tokenizer", &o, err);

  return rc == OME_OK ? presplitter_read(o, &t->presplitter, err) : rc;
}

static int32_t put_added(struct tokenizer *t, struct json_object *o, struct ome_err *err) {
  const char *text = json_str(o, "content", "");
  unsigned flags = (json_flag(o, "lstrip", false) ? ADDED_LEFT : 0u) |
                   (json_flag(o, "rstrip", false) ? ADDED_RIGHT : 0u) |
                   (json_flag(o, "single_word", false) ? ADDED_WORD : 0u);

  if (!json_flag(o, "normalized", !json_flag(o, "special", false)))
    return added_put(&t->raw, text, strlen(text), flags) ? OME_OK : fail_memory(err);
  buf_clear(&t->text);
  buf_adds(&t->text, text);
  int32_t rc = normalizer_run(&t->normalizer, &t->text, &t->scratch, err);
  if (rc == OME_OK && !added_put(&t->normalized, buf_str(&t->text), t->text.len, flags))
    rc = fail_memory(err);
  return rc;
}

static int32_t read_added(struct tokenizer *t, struct cut top, struct ome_err *err) {
  _cleanup_json_ struct json_object *all = NULL;
  int32_t rc = parse_part(top, "added_tokens", &all, err);

  for (size_t i = 0; i < json_len(all) && rc == OME_OK; i++)
    rc = put_added(t, json_index(all, i), err);
  return rc;
}

int32_t tokenizer_read(const char *name, const char *text, size_t len, struct tokenizer **out, struct ome_err *err) {
  struct cut top = {.text = text, .len = len};
  struct tokenizer *t = calloc(1, sizeof(*t));
  int32_t rc = OME_OK;

  if (!t)
    return fail_memory(err);
  t->text.max = t->scratch.max = t->pieces.text.max = t->others.text.max = 4 * TOKENIZER_MAX_TEXT;
  while (top.len && strchr(" \t\r\n", *top.text)) {
    top.text++;
    top.len--;
  }
  if (len > TOKENIZER_MAX_FILE || !cut_is(top, '{') || !is_utf8(text, len))
    rc = fail(err, OME_E_INVALID, "is no JSON object of at most %zu MiB", TOKENIZER_MAX_FILE >> 20);
  if (rc == OME_OK)
    rc = read_model(t, cut_get(top, "model"), err);
  if (rc == OME_OK)
    rc = read_normalizer(t, top, err);
  if (rc == OME_OK)
    rc = read_presplitter(t, top, err);
  if (rc == OME_OK)
    rc = read_added(t, top, err);
  if (rc == OME_OK) {
    *out = t;
    return OME_OK;
  }
  tokenizer_free(t);
  return fail_prefix(err, "tokenizer: %.200s", name);
}

void tokenizer_free(struct tokenizer *t) {
  if (!t)
    return;
  vocabulary_fini(&t->words);
  bpe_free(t->bpe);
  unigram_free(t->unigram);
  normalizer_fini(&t->normalizer);
  presplitter_fini(&t->presplitter);
  added_fini(&t->raw);
  added_fini(&t->normalized);
  buf_fini(&t->text);
  buf_fini(&t->scratch);
  pieces_fini(&t->pieces);
  pieces_fini(&t->others);
  free(t);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

struct counting {
  struct tokenizer *t;
  uint64_t n;
  bool begins; /* the part at hand is the beginning of the whole text */
};

/* A part without any added token. */
static int32_t count_plain(void *arg, const char *text, size_t len, size_t at, struct ome_err *err) {
  struct counting *c = arg;
  struct tokenizer *t = c->t;

  pieces_clear(&t->pieces);
  pieces_add(&t->pieces, text, len);
  int32_t rc = presplitter_run(&t->presplitter, c->begins && at == 0, &t->pieces, &t->others, err);
  for (size_t i = 0; i < t->pieces.ends.len && rc == OME_OK; i++) {
    size_t begin = i ? t->pieces.ends.items[i - 1] : 0, size = t->pieces.ends.items[i] - begin;
    const char *piece = buf_str(&t->pieces.text) + begin;
    uint64_t n = t->bpe ? bpe_count(t->bpe, piece, size) : unigram_count(t->unigram, piece, size);
    if (n == UINT64_MAX)
      return fail_memory(err);
    c->n += n;
  }
  return rc;
}

/* A part without those added tokens that are looked for in what was written. */
static int32_t count_written(void *arg, const char *text, size_t len, size_t at, struct ome_err *err) {
  struct counting *c = arg;
  struct tokenizer *t = c->t;

  buf_clear(&t->text);
  buf_add(&t->text, text, len);
  int32_t rc = normalizer_run(&t->normalizer, &t->text, &t->scratch, err);
  if (rc != OME_OK)
    return rc;
  c->begins = at == 0;
  return added_each(&t->normalized, buf_str(&t->text), t->text.len, count_plain, c, &c->n, err);
}

int32_t tokenizer_count(struct tokenizer *t, const char *text, size_t len, uint64_t *out, struct ome_err *err) {
  struct counting c = {.t = t};

  if (len > TOKENIZER_MAX_TEXT || !is_utf8(text, len))
    return fail(err, OME_E_INVALID, "tokenizer: the text is no UTF-8, or longer than %zu MiB",
                TOKENIZER_MAX_TEXT >> 20);
  int32_t rc = added_each(&t->raw, text, len, count_written, &c, &c.n, err);
  *out = c.n;
  return rc;
}

const char *tokenizer_token(const struct tokenizer *t, size_t i) {
  return i < t->words.entries.len ? t->words.text.data + t->words.entries.items[i].at : NULL;
}
