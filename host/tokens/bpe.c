#include "base/cleanup.h"
#include "tokens/bytes.h"
#include "tokens/model.h"

#include <stdio.h>
#include <string.h>

#define MAX_MERGES 4000000u
#define NONE VOCABULARY_NONE

struct merge {   /* of the table */
  uint64_t pair; /* two tokens */
  uint32_t rank; /* and 1; 0: free */
  uint32_t token;
};

struct symbol { /* of the piece at hand, a list in an array */
  uint32_t token;
  uint32_t before, after; /* NONE: the first, the last */
  bool gone;
};

struct chance { /* to join a symbol and the next; may be over when its turn comes */
  uint32_t rank, at, token;
};

struct bpe {
  struct vocabulary *words; /* borrowed */
  struct merge *merges;
  uint32_t mask, nmerges;
  uint32_t unknown; /* NONE: what is unknown is left out */
  bool fuse_unknown, byte_fallback, whole_words;
  struct buf prefix, suffix; /* of what continues a word, of what ends it */
  struct buf scratch;
  VEC(struct symbol) symbols;
  VEC(struct chance) chances; /* a heap */
};

/* ---- merges ------------------------------------------------------------------------------------------------------ */

static struct merge *slot_of(const struct bpe *b, uint64_t pair) {
  uint64_t hash = pair * 0x9e3779b97f4a7c15u;

  for (uint32_t i = (uint32_t)(hash >> 32) & b->mask;; i = (i + 1) & b->mask)
    if (!b->merges[i].rank || b->merges[i].pair == pair)
      return &b->merges[i];
}

static const struct merge *find_merge(const struct bpe *b, uint32_t left, uint32_t right) {
  const struct merge *m = slot_of(b, (uint64_t)left << 32 | right);

  return m->rank ? m : NULL;
}

struct reading {
  struct bpe *b;
  struct buf parts[2];
  size_t nparts;
  uint32_t count;
  const char *wrong; /* NULL: nothing */
};

static bool count_one(void *arg, struct cut name, struct cut value) {
  uint32_t *n = arg;

  (void)name, (void)value;
  return ++*n < MAX_MERGES;
}

static bool take_part(void *arg, struct cut name, struct cut value) {
  struct reading *r = arg;

  (void)name;
  return r->nparts < 2 && cut_string(value, &r->parts[r->nparts++]);
}

/* ["a", "b"], or "a b" as older files have it. */
static bool take_parts(struct reading *r, struct cut value) {
  r->nparts = 0;
  if (cut_is(value, '['))
    return cut_each(value, take_part, r) && r->nparts == 2;
  if (!cut_string(value, &r->parts[0]))
    return false;
  const char *text = buf_str(&r->parts[0]), *space = strchr(text, ' ');
  if (!space || strchr(space + 1, ' '))
    return false;
  buf_clear(&r->parts[1]);
  buf_adds(&r->parts[1], space + 1);
  buf_truncate(&r->parts[0], (size_t)(space - text));
  return buf_ok(&r->parts[1]);
}

static bool take_merge(void *arg, struct cut name, struct cut value) {
  struct reading *r = arg;
  struct bpe *b = r->b;

  (void)name;
  if (!take_parts(r, value)) {
    r->wrong = "is no pair of tokens";
    return false;
  }
  uint32_t left = vocabulary_find(b->words, buf_str(&r->parts[0]), r->parts[0].len);
  uint32_t right = vocabulary_find(b->words, buf_str(&r->parts[1]), r->parts[1].len);
  size_t skip = b->prefix.len < r->parts[1].len ? b->prefix.len : r->parts[1].len;
  buf_add(&r->parts[0], buf_str(&r->parts[1]) + skip, r->parts[1].len - skip);
  uint32_t joined = vocabulary_find(b->words, buf_str(&r->parts[0]), r->parts[0].len);
  if (left == NONE || right == NONE || joined == NONE) {
    r->wrong = "has a token, or makes one, that the vocabulary does not have";
    return false;
  }
  struct merge *m = slot_of(b, (uint64_t)left << 32 | right);
  *m = (struct merge){.pair = (uint64_t)left << 32 | right, .rank = ++r->count, .token = joined};
  return true;
}

static int32_t read_merges(struct bpe *b, struct cut merges, struct ome_err *err) {
  struct reading r = {.b = b};
  uint32_t slots = 16;

  if (!cut_each(merges, count_one, &b->nmerges))
    return fail(err, OME_E_INVALID, "model.merges: is no list, or of more than %u", MAX_MERGES);
  while (slots < b->nmerges * 2)
    slots *= 2;
  b->merges = calloc(slots, sizeof(*b->merges));
  if (!b->merges)
    return fail_memory(err);
  b->mask = slots - 1;
  bool ok = cut_each(merges, take_merge, &r);
  buf_fini(&r.parts[0]);
  buf_fini(&r.parts[1]);
  return ok ? OME_OK
            : fail(err, OME_E_INVALID, "model.merges[%u]: %s", r.count, r.wrong ? r.wrong : "the list is broken off");
}

/* ---- the vocabulary ---------------------------------------------------------------------------------------------- */

struct words {
  struct vocabulary *words;
  struct buf text;
};

static bool take_word(void *arg, struct cut name, struct cut value) {
  struct words *w = arg;

  (void)value;
  buf_clear(&w->text);
  return cut_unescape(name.text, name.len, &w->text) &&
         vocabulary_add(w->words, buf_str(&w->text), w->text.len, 0) != NONE;
}

static int32_t read_words(struct vocabulary *words, struct cut vocabulary, struct ome_err *err) {
  struct words w = {.words = words};
  bool ok = cut_is(vocabulary, '{') && cut_each(vocabulary, take_word, &w);

  buf_fini(&w.text);
  return ok ? OME_OK
            : fail(err, OME_E_INVALID, "model.vocab: is no object of tokens, or of more than %u, after %zu of them",
                   VOCABULARY_MAX, words->entries.len);
}

static int32_t read_unknown(struct bpe *b, struct cut model, struct ome_err *err) {
  struct cut unknown = cut_get(model, "unk_token");
  _cleanup_buf_ struct buf text = BUF_INIT;

  b->unknown = NONE;
  if (cut_is_null(unknown))
    return OME_OK;
  if (cut_string(unknown, &text))
    b->unknown = vocabulary_find(b->words, buf_str(&text), text.len);
  return b->unknown != NONE ? OME_OK : fail(err, OME_E_INVALID, "model.unk_token: is not in the vocabulary");
}

int32_t bpe_new(struct cut model, struct vocabulary *words, struct bpe **out, struct ome_err *err) {
  struct bpe *b = calloc(1, sizeof(*b));

  if (!b)
    return fail_memory(err);
  b->words = words;
  b->fuse_unknown = model_flag(model, "fuse_unk");
  b->byte_fallback = model_flag(model, "byte_fallback");
  b->whole_words = model_flag(model, "ignore_merges");
  (void)cut_string(cut_get(model, "continuing_subword_prefix"), &b->prefix);
  (void)cut_string(cut_get(model, "end_of_word_suffix"), &b->suffix);
  int32_t rc = read_words(words, cut_get(model, "vocab"), err);
  if (rc == OME_OK)
    rc = read_unknown(b, model, err);
  if (rc == OME_OK)
    rc = read_merges(b, cut_get(model, "merges"), err);
  if (rc == OME_OK)
    *out = b;
  else
    bpe_free(b);
  return rc;
}

void bpe_free(struct bpe *b) {
  if (!b)
    return;
  free(b->merges);
  buf_fini(&b->prefix);
  buf_fini(&b->suffix);
  buf_fini(&b->scratch);
  VEC_FREE(&b->symbols);
  VEC_FREE(&b->chances);
  free(b);
}

/* ---- characters become symbols ----------------------------------------------------------------------------------- */

static bool add_symbol(struct bpe *b, uint32_t token) {
  uint32_t n = (uint32_t)b->symbols.len;
  const struct symbol s = {.token = token, .before = n ? n - 1 : NONE, .after = NONE};

  if (!VEC_PUSH(&b->symbols, s))
    return false;
  if (n)
    b->symbols.items[n - 1].after = n;
  return true;
}

/* The character as the vocabulary has it at its place in the word. */
static uint32_t find_character(struct bpe *b, const char *p, size_t n, bool first, bool last) {
  if ((first || !b->prefix.len) && (!last || !b->suffix.len))
    return vocabulary_find(b->words, p, n);
  buf_clear(&b->scratch);
  if (!first)
    buf_add(&b->scratch, buf_str(&b->prefix), b->prefix.len);
  buf_add(&b->scratch, p, n);
  if (last)
    buf_add(&b->scratch, buf_str(&b->suffix), b->suffix.len);
  return vocabulary_find(b->words, buf_str(&b->scratch), b->scratch.len);
}

static bool add_bytes(struct bpe *b, const char *p, size_t n) {
  bool ok = true;

  for (size_t i = 0; i < n; i++) {
    char name[8];
    int len = snprintf(name, sizeof(name), "<0x%02X>", (unsigned char)p[i]);
    ok = ok && add_symbol(b, vocabulary_find(b->words, name, (size_t)len));
  }
  return ok;
}

/* UNKNOWN: one is waiting, for others to be one with it. */
static bool add_unknown(struct bpe *b, bool *unknown) {
  bool ok = b->unknown == NONE || !*unknown || b->fuse_unknown || add_symbol(b, b->unknown);

  *unknown = b->unknown != NONE;
  return ok;
}

static bool make_symbols(struct bpe *b, const char *text, size_t len) {
  const char *end = text + len;
  bool unknown = false, ok = true;

  b->symbols.len = 0;
  for (const char *p = text; p < end && ok;) {
    size_t n = character_at(p, end, NULL);
    n = n ? n : 1;
    uint32_t token = find_character(b, p, n, p == text, p + n == end);
    if (token != NONE) {
      ok = (!unknown || add_symbol(b, b->unknown)) && add_symbol(b, token);
      unknown = false;
    } else if (b->byte_fallback && model_has_bytes(b->words, p, n)) {
      ok = add_bytes(b, p, n);
    } else {
      ok = add_unknown(b, &unknown);
    }
    p += n;
  }
  return ok && (!unknown || add_symbol(b, b->unknown));
}

/* ---- symbols are joined ------------------------------------------------------------------------------------------ */

static bool comes_first(const struct chance *a, const struct chance *b) {
  return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static bool push_chance(struct bpe *b, uint32_t at) {
  const struct symbol *s = &b->symbols.items[at];
  const struct merge *m = s->after == NONE ? NULL : find_merge(b, s->token, b->symbols.items[s->after].token);
  size_t i = b->chances.len;

  if (!m)
    return true;
  const struct chance c = {.rank = m->rank, .at = at, .token = m->token};
  if (!VEC_PUSH(&b->chances, c))
    return false;
  struct chance *heap = b->chances.items;
  for (; i && comes_first(&c, &heap[(i - 1) / 2]); i = (i - 1) / 2)
    heap[i] = heap[(i - 1) / 2];
  heap[i] = c;
  return true;
}

static struct chance pop_chance(struct bpe *b) {
  struct chance *heap = b->chances.items, top = heap[0], last = heap[--b->chances.len];
  size_t n = b->chances.len, i = 0;

  for (size_t child; (child = 2 * i + 1) < n; i = child) {
    child += child + 1 < n && comes_first(&heap[child + 1], &heap[child]);
    if (!comes_first(&heap[child], &last))
      break;
    heap[i] = heap[child];
  }
  heap[i] = last;
  return top;
}

/* Joins what C says, if that is still there; whether memory sufficed. */
static bool join(struct bpe *b, const struct chance *c) {
  struct symbol *s = &b->symbols.items[c->at];
  const struct merge *m =
      s->gone || s->after == NONE ? NULL : find_merge(b, s->token, b->symbols.items[s->after].token);

  if (!m || m->token != c->token)
    return true;
  struct symbol *next = &b->symbols.items[s->after];
  next->gone = true;
  s->token = c->token;
  s->after = next->after;
  if (s->after != NONE)
    b->symbols.items[s->after].before = c->at;
  return (s->before == NONE || push_chance(b, s->before)) && push_chance(b, c->at);
}

uint64_t bpe_count(struct bpe *b, const char *text, size_t len) {
  uint64_t n = 0;
  bool ok = true;

  if (b->whole_words && vocabulary_find(b->words, text, len) != NONE)
    return 1;
  if (!make_symbols(b, text, len))
    return UINT64_MAX;
  b->chances.len = 0;
  for (uint32_t i = 0; i < b->symbols.len && ok; i++)
    ok = push_chance(b, i);
  while (b->chances.len && ok) {
    struct chance c = pop_chance(b);
    ok = join(b, &c);
  }
  for (size_t i = 0; i < b->symbols.len; i++)
    n += !b->symbols.items[i].gone;
  return ok ? n : UINT64_MAX;
}
