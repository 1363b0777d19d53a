#include "bench/prompt_words.h"

#include "base/str.h"
#include "tokens/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#define MOST 72u /* different ones */
#define LEAST 8u /* with fewer, prompts would begin alike */
#define LONGEST 12u

static const char *const common[] = {
    "the",    "time",  "people", "way",    "water", "day",    "part",  "place",  "work",   "week",    "case",
    "point",  "hand",  "home",   "world",  "house", "number", "night", "area",   "money",  "story",   "fact",
    "month",  "book",  "eye",    "job",    "word",  "side",   "kind",  "head",   "line",   "end",     "member",
    "law",    "car",   "city",   "name",   "team",  "minute", "idea",  "body",   "back",   "face",    "level",
    "office", "door",  "health", "person", "art",   "war",    "party", "result", "change", "morning", "reason",
    "moment", "air",   "force",  "light",  "table", "green",  "high",  "large",  "small",  "early",   "young",
    "clear",  "white", "open",   "simple", "local", "strong",
};

struct choice {
  struct tokenizer *t;
  const char *words[MOST];
  size_t lens[MOST];
  size_t n;
};

static bool is_tokens(struct tokenizer *t, const char *text, size_t len, uint64_t wanted) {
  struct ome_err ignored = ERR_INIT;
  uint64_t n;

  return tokenizer_count(t, text, len, &n, &ignored) == OME_OK && n == wanted;
}

/* Whether A and then B are two tokens. */
static bool are_two(struct choice *c, const char *a, size_t alen, const char *b, size_t blen) {
  char text[2 * LONGEST + 2];

  memcpy(text, a, alen);
  text[alen] = ' ';
  memcpy(text + alen + 1, b, blen);
  return is_tokens(c->t, text, alen + 1 + blen, 2);
}

static void consider(struct choice *c, const char *word, size_t len) {
  bool ok = len >= 2 && len <= LONGEST && strspn(word, "abcdefghijklmnopqrstuvwxyz") >= len &&
            is_tokens(c->t, word, len, 1) && are_two(c, word, len, word, len);

  for (size_t i = 0; i < c->n && ok; i++) {
    bool known = c->lens[i] == len && memcmp(c->words[i], word, len) == 0;
    ok = !known && are_two(c, word, len, c->words[i], c->lens[i]) && are_two(c, c->words[i], c->lens[i], word, len);
  }
  if (!ok || c->n == MOST)
    return;
  c->words[c->n] = word;
  c->lens[c->n++] = len;
}

/* A word of the tokenizer's own, behind its sign for a space. */
static const char *own_word(const char *token) {
  static const char *const signs[] = {"\u0120", "\u2581"};

  for (size_t i = 0; i < ARRAY_LEN(signs); i++)
    if (has_prefix(token, signs[i]))
      return token + strlen(signs[i]);
  return token;
}

static void choose(struct choice *c) {
  const char *token;

  for (size_t i = 0; i < ARRAY_LEN(common); i++) {
    if (c->t) {
      consider(c, common[i], strlen(common[i]));
    } else {
      c->words[c->n] = common[i];
      c->lens[c->n++] = strlen(common[i]);
    }
  }
  for (size_t i = 0; c->t && c->n < LEAST * 2 && (token = tokenizer_token(c->t, i)); i++) {
    const char *word = own_word(token);
    consider(c, word, strlen(word));
  }
}

int32_t prompt_words_init(struct prompt_words *w, struct tokenizer *t, struct random *r, struct ome_err *err) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  struct choice c = {.t = t};

  _Static_assert(ARRAY_LEN(common) <= MOST, "room for all of them");
  *w = (struct prompt_words){.offsets = calloc(WORDS + 1, sizeof(*w->offsets)), .exact = t != NULL};
  choose(&c);
  if (c.n < LEAST)
    return fail(err, OME_E_UNSUPPORTED,
                "tokenizer: has %zu words that are a token each, %u are needed for prompts of "
                "exact lengths; give prompts with --dataset",
                c.n, LEAST);
  for (uint32_t i = 0; w->offsets && i < WORDS; i++) {
    size_t word = random_next(r) % c.n;
    w->offsets[i] = (uint32_t)text.len;
    buf_addc(&text, ' ');
    buf_add(&text, c.words[word], c.lens[word]);
  }
  if (!w->offsets || !buf_ok(&text))
    return fail_memory(err);
  w->offsets[WORDS] = (uint32_t)text.len;
  if (t && !is_tokens(t, buf_str(&text) + 1, text.len - 1, WORDS))
    return fail(err, OME_E_UNSUPPORTED,
                "tokenizer: many words are not as many tokens as they are one by one; give "
                "prompts with --dataset");
  w->text = buf_take(&text);
  return w->text ? OME_OK : fail_memory(err);
}

void prompt_words_fini(struct prompt_words *w) {
  free(w->text);
  free(w->offsets);
  *w = (struct prompt_words){0};
}

void prompt_words_add(const struct prompt_words *w, size_t at, size_t count, bool first, struct buf *out) {
  size_t skip = first && w->exact;

  while (count) {
    size_t n = count < WORDS - at ? count : WORDS - at;
    buf_add(out, w->text + w->offsets[at] + skip, w->offsets[at + n] - w->offsets[at] - skip);
    count -= n;
    at = skip = 0;
  }
}
