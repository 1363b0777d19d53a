#include "bench/scenario.h"

#include "base/cleanup.h"
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define QUERY_TOKENS 32 /* of R(n) */
#define IMAGE_TOKENS 32 /* of the question about an image */
#define IMAGE_OUTPUT 100

/* '#' is a number; everything else stands for itself. */
static const struct {
  char letter;
  bool short_form;
  const char *pattern;
} notations[] = {
    {'D', false, "D(#,#)"},   {'N', false, "N(#,#)/(#,#)"}, {'U', false, "U(#,#)/(#,#)"}, {'U', true, "U(#,#)"},
    {'P', false, "P(#,#)/#"}, {'E', true, "E(#)"},          {'E', false, "E(#,#)"},       {'R', true, "R(#)"},
    {'R', false, "R(#,#)"},   {'I', true, "I(#,#)"},        {'I', false, "I(#,#,#)"},
};

/* Up to nine digits: what is larger is beyond every bound. */
static bool read_number(const char **at, uint32_t *out) {
  uint32_t n = 0;
  int digits = 0;

  for (; isdigit((unsigned char)**at) && digits < 9; (*at)++, digits++)
    n = n * 10 + (uint32_t)(**at - '0');
  *out = n;
  return digits > 0 && !isdigit((unsigned char)**at);
}

static bool match(const char *pattern, const char *text, uint32_t numbers[4]) {
  size_t n = 0;

  for (; *pattern; pattern++) {
    if (*pattern == '#') {
      if (n == 4 || !read_number(&text, &numbers[n++]))
        return false;
    } else if (*text++ != *pattern) {
      return false;
    }
  }
  return *text == '\0';
}

static bool within(uint32_t n, uint32_t lo, uint32_t hi) {
  return lo <= n && n <= hi;
}

static const char *complain_of_image(const struct scenario *s) {
  if (!within(s->n[0], 1, SCENARIO_MAX_PIXELS) || !within(s->n[1], 1, SCENARIO_MAX_PIXELS))
    return "an image has 1 to 8192 pixels either way";
  return s->short_form || within(s->n[2], 1, 16) ? NULL : "a request has 1 to 16 images";
}

static const char *complain_of_range(const struct scenario *s) {
  const uint32_t *n = s->n;

  if (s->short_form)
    return n[0] && n[1] ? NULL : "an upper bound is 0";
  if (n[0] > n[1] || n[2] > n[3])
    return "the lower bound is above the upper one";
  return n[1] && n[3] ? NULL : "an upper bound is 0";
}

/* What no request could be like; NULL: one could. */
static const char *complaint(const struct scenario *s) {
  const uint32_t *n = s->n;

  if (s->letter == 'I')
    return complain_of_image(s);
  for (int i = 0; i < 4; i++)
    if (n[i] > SCENARIO_MAX_TOKENS || (s->letter == 'P' && n[0] + n[1] > SCENARIO_MAX_TOKENS))
      return "there are at most 1000000 tokens";
  if (s->letter == 'U')
    return complain_of_range(s);
  if (s->letter == 'E' && !s->short_form && !within(n[1], 1, SCENARIO_MAX_COUNT))
    return "a request has 1 to 256 documents";
  return s->letter != 'P' && n[0] == 0 ? "the prompt would be empty" : NULL;
}

int32_t scenario_parse(const char *text, enum bench_task task, struct scenario *out, struct ome_err *err) {
  const struct task_facts *facts = task_facts(task);
  struct scenario s = {0};

  for (size_t i = 0; i < ARRAY_LEN(notations) && strlen(text) < SCENARIO_TEXT; i++) {
    memset(s.n, 0, sizeof(s.n));
    if (!match(notations[i].pattern, text, s.n))
      continue;
    s.letter = notations[i].letter;
    s.short_form = notations[i].short_form;
    (void)snprintf(s.text, sizeof(s.text), "%s", text);
    const char *why = complaint(&s);
    if (why)
      return fail(err, OME_E_INVALID, "scenario %s: %s", text, why);
    if (!strchr(facts->scenarios, s.letter))
      return fail(err, OME_E_INVALID, "scenario %s: is not for the task %s, which takes %s", text, facts->name,
                  facts->scenarios);
    *out = s;
    return OME_OK;
  }
  return fail(err, OME_E_INVALID,
              "scenario %.64s: cannot be read; write D(in,out), N(mean,sd)/(mean,sd), U(min,max)/(min,max), "
              "P(prefix,suffix)/out, E(tokens), R(tokens,query) or I(width,height)",
              text);
}

/* Drawn numbers are cut to what a request can have, as genai-bench does: at least LEAST. */
static uint32_t tokens(double drawn, uint32_t least) {
  return drawn < least ? least : drawn > SCENARIO_MAX_TOKENS ? SCENARIO_MAX_TOKENS : (uint32_t)drawn;
}

static uint32_t uniform(struct random *r, uint32_t lo, uint32_t hi, uint32_t least) {
  return tokens((double)random_between(r, lo, hi), least);
}

void scenario_sample(const struct scenario *s, struct random *r, struct sample *out) {
  const uint32_t *n = s->n;

  *out = (struct sample){0};
  switch (s->letter) {
  case 'N':
    out->input_tokens = tokens(random_normal(r, n[0], n[1]), 1);
    out->output_tokens = tokens(random_normal(r, n[2], n[3]), 2);
    break;
  case 'U':
    out->input_tokens = s->short_form ? uniform(r, 1, n[0], 1) : uniform(r, n[0], n[1], 1);
    out->output_tokens = s->short_form ? uniform(r, 1, n[1], 2) : uniform(r, n[2], n[3], 2);
    break;
  case 'P':
    out->prefix_tokens = n[0];
    out->input_tokens = n[0] + n[1];
    out->output_tokens = n[2];
    break;
  case 'E':
    out->input_tokens = n[0];
    out->count = s->short_form ? 1 : n[1];
    break;
  case 'R':
    out->input_tokens = n[0];
    out->query_tokens = s->short_form ? QUERY_TOKENS : n[1];
    out->count = 1;
    break;
  case 'I':
    out->input_tokens = IMAGE_TOKENS;
    out->output_tokens = IMAGE_OUTPUT;
    out->width = n[0];
    out->height = n[1];
    out->count = s->short_form ? 1 : n[2];
    break;
  default: /* 'D' */
    out->input_tokens = n[0];
    out->output_tokens = n[1];
  }
}
