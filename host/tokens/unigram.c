#include "base/cleanup.h"
#include "tokens/bytes.h"
#include "tokens/model.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#define NONE VOCABULARY_NONE
#define UNKNOWN_PENALTY 10.0 /* below the least likely token: SentencePiece's */

struct way { /* the likeliest to what ends here */
  double score;
  uint32_t from; /* where its last token begins; NONE: there is no way */
  uint32_t token;
};

struct unigram {
  struct vocabulary *words; /* borrowed */
  uint32_t unknown;         /* NONE: the model has none */
  bool byte_fallback;
  double unknown_score;
  VEC(struct way) ways;
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct reading {
  struct unigram *u;
  struct buf text;
  double score, least;
  unsigned long unknown;
  uint32_t count, part;
};

static bool take_part(void *arg, struct cut name, struct cut value) {
  struct reading *r = arg;
  char number[40], *end;

  (void)name;
  if (r->part++ == 0)
    return cut_string(value, &r->text);
  (void)snprintf(number, sizeof(number), "%.*s", (int)(value.len < 39 ? value.len : 39), value.text);
  r->score = strtod(number, &end);
  return end > number && !*end && r->part == 2 && r->score >= -1e9 && r->score <= 1e9;
}

/* ["token", -3.2] */
static bool take_word(void *arg, struct cut name, struct cut value) {
  struct reading *r = arg;

  (void)name;
  r->part = 0;
  if (!cut_is(value, '[') || !cut_each(value, take_part, r) || r->part != 2)
    return false;
  uint32_t word = vocabulary_add(r->u->words, buf_str(&r->text), r->text.len, r->score);
  if (r->count++ == r->unknown)
    r->u->unknown = word;
  r->least = r->score < r->least ? r->score : r->least;
  return word != NONE;
}

int32_t unigram_new(struct cut model, struct vocabulary *words, struct unigram **out, struct ome_err *err) {
  struct unigram *u = calloc(1, sizeof(*u));
  struct reading r = {.u = u, .least = DBL_MAX, .unknown = NONE};
  struct cut unknown = cut_get(model, "unk_id");

  if (!u)
    return fail_memory(err);
  u->words = words;
  u->unknown = NONE;
  u->byte_fallback = model_flag(model, "byte_fallback");
  bool has_unknown = !cut_is_null(unknown);
  bool known = !has_unknown || cut_number(unknown, VOCABULARY_MAX, &r.unknown);
  bool ok = known && cut_is(cut_get(model, "vocab"), '[') && cut_each(cut_get(model, "vocab"), take_word, &r);
  buf_fini(&r.text);
  u->unknown_score = r.least - UNKNOWN_PENALTY;
  if (ok && (!has_unknown || u->unknown != NONE)) {
    *out = u;
    return OME_OK;
  }
  unigram_free(u);
  if (!ok)
    return fail(err, OME_E_INVALID, "model.vocab[%u]: is no pair of token and score", r.count);
  return fail(err, OME_E_INVALID, "model.unk_id: is none of the vocabulary");
}

void unigram_free(struct unigram *u) {
  if (!u)
    return;
  VEC_FREE(&u->ways);
  free(u);
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static void offer(struct unigram *u, size_t from, size_t to, double score, uint32_t token) {
  struct way *w = &u->ways.items[to];

  score += u->ways.items[from].score;
  if (w->from == NONE || score > w->score)
    *w = (struct way){.score = score, .from = (uint32_t)from, .token = token};
}

/* Every token that begins at FROM, where a character of N bytes is. */
static void offer_all(struct unigram *u, const char *text, size_t len, size_t from, size_t n) {
  uint32_t hash = VOCABULARY_HASH;
  bool alone = false; /* the character is a token */

  for (size_t i = from; i < len && i - from < u->words->longest; i++) {
    hash = vocabulary_hash(hash, text[i]);
    if (i + 1 < len && ((unsigned char)text[i + 1] & 0xc0) == 0x80)
      continue; /* within a character */
    uint32_t token = vocabulary_find_hashed(u->words, text + from, i + 1 - from, hash);
    if (token == NONE)
      continue;
    offer(u, from, i + 1, u->words->entries.items[token].score, token);
    alone |= i + 1 - from == n;
  }
  if (!alone)
    offer(u, from, from + n, u->unknown_score, u->unknown);
}

/* Tokens that an unknown stretch becomes. */
static uint64_t count_unknown(const struct unigram *u, const char *text, size_t len) {
  return u->byte_fallback && model_has_bytes(u->words, text, len) ? len : 1;
}

/* From the end to the beginning; unknown characters beside each other are one. */
static uint64_t count_back(const struct unigram *u, const char *text, size_t len) {
  size_t unknown_end = 0; /* of the stretch at hand */
  uint64_t n = 0;

  for (size_t at = len; at;) {
    const struct way *w = &u->ways.items[at];
    bool unknown = w->token == u->unknown;
    if (unknown && !unknown_end)
      unknown_end = at;
    if (!unknown && unknown_end)
      n += count_unknown(u, text + at, unknown_end - at);
    unknown_end = unknown ? unknown_end : 0;
    n += !unknown;
    at = w->from;
  }
  return unknown_end ? n + count_unknown(u, text, unknown_end) : n;
}

uint64_t unigram_count(struct unigram *u, const char *text, size_t len) {
  const struct way nowhere = {.from = NONE};

  u->ways.len = 0;
  for (size_t i = 0; i <= len; i++)
    if (!VEC_PUSH(&u->ways, nowhere))
      return UINT64_MAX;
  for (size_t at = 0; at < len;) {
    size_t n = character_at(text + at, text + len, NULL);
    n = n ? n : 1;
    offer_all(u, text, len, at, n);
    at += n;
  }
  return count_back(u, text, len);
}
