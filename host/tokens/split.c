#include "tokens/split.h"

#include "base/str.h"

#include <string.h>

struct span {
  size_t begin, end;
  bool match;
};

/* Spans come one after another; each is kept back until it is known what the next does to it. */
struct splitting {
  const struct splitter *how;
  const char *text;
  struct pieces *out;
  size_t at;        /* up to here all is in spans */
  struct span kept; /* empty at first */
};

bool split_behavior_find(const char *name, enum split_behavior *out) {
  static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    if (streq(names[i], name)) {
      *out = (enum split_behavior)i;
      return true;
    }
  }
  return false;
}

void splitter_fini(struct splitter *s) {
  free(s->literal);
  regex_free(s->re);
}

/* Whether NEXT belongs to what is kept. */
static bool joins(enum split_behavior b, const struct span *kept, const struct span *next) {
  switch (b) {
  case SPLIT_MERGED_WITH_PREVIOUS: /* KEPT is no match: a piece that has taken its match takes no other */
    return next->match && !kept->match;
  case SPLIT_MERGED_WITH_NEXT:
    return kept->match && !next->match;
  case SPLIT_CONTIGUOUS:
    return kept->match == next->match;
  default:
    return false;
  }
}

static void add_span(struct splitting *s, size_t begin, size_t end, bool match) {
  const struct span next = {.begin = begin, .end = end, .match = match != s->how->invert};

  if (begin == end)
    return;
  if (s->kept.end > s->kept.begin && joins(s->how->behavior, &s->kept, &next)) {
    s->kept.end = end;
    s->kept.match = next.match;
    return;
  }
  if (!(s->kept.match && s->how->behavior == SPLIT_REMOVED))
    pieces_add(s->out, s->text + s->kept.begin, s->kept.end - s->kept.begin);
  s->kept = next;
}

static void add_match(void *arg, size_t begin, size_t end) {
  struct splitting *s = arg;

  add_span(s, s->at, begin, false);
  add_span(s, begin, end, true);
  s->at = end;
}

int32_t split_text(const struct splitter *how, const char *text, size_t len, struct pieces *out, struct ome_err *err) {
  struct splitting s = {.how = how, .text = text, .out = out};
  int32_t rc = OME_OK;

  if (how->re) {
    rc = regex_each(how->re, text, len, add_match, &s, err);
  } else {
    size_t n = strlen(how->literal);
    for (const char *p; (p = memmem(text + s.at, len - s.at, how->literal, n));)
      add_match(&s, (size_t)(p - text), (size_t)(p - text) + n);
  }
  add_span(&s, s.at, len, false);
  if (!(s.kept.match && how->behavior == SPLIT_REMOVED))
    pieces_add(out, text + s.kept.begin, s.kept.end - s.kept.begin);
  return rc;
}
