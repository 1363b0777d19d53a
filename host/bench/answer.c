#include "bench/answer.h"

#include "base/str.h"
#include "bench/scan.h"

#include <string.h>

struct look {
  struct answer *answer;
  bool text, error;
};

/* The members below "choices.0." that carry what the model wrote. */
static bool is_text(const char *member) {
  static const char *const names[] = {"delta.content",           "text",
                                      "delta.reasoning_content", "message.content",
                                      "delta.reasoning",         "message.reasoning_content"};

  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (streq(member, names[i]))
      return true;
  return has_prefix(member, "delta.tool_calls.") && has_suffix(member, ".arguments");
}

static uint64_t number(const char *text, size_t len) {
  uint64_t n = 0;

  for (size_t i = 0; i < len && text[i] >= '0' && text[i] <= '9' && n < (uint64_t)1 << 40; i++)
    n = n * 10 + (uint64_t)(text[i] - '0');
  return n;
}

static void look_at_usage(struct answer *a, const char *member, const char *text, size_t len) {
  if (streq(member, "prompt_tokens")) {
    a->prompt_tokens = number(text, len);
    a->has_usage = true;
  } else if (streq(member, "completion_tokens")) {
    a->completion_tokens = number(text, len);
  } else if (streq(member, "total_tokens") && !a->has_usage) { /* rerankers say no more */
    a->prompt_tokens = number(text, len);
  }
}

/* What a client keeps of an answer: not its reasoning.  The pieces, escapes and all, make one string again. */
static bool is_said(const char *member) {
  return streq(member, "delta.content") || streq(member, "message.content");
}

static void look_at_choice(struct look *l, const char *member, const char *text, size_t len) {
  if (l->answer->text && is_said(member))
    buf_add(l->answer->text, text, len);
  if (len && is_text(member)) {
    l->text = true;
    if (l->answer->all)
      buf_add(l->answer->all, text, len);
  } else if (streq(member, "finish_reason")) {
    l->answer->ended = true;
  }
}

/* Embeddings are in "data", ranks in "results" or the answer itself. */
static bool is_result(const char *path) {
  return streq(path, "data.0") || streq(path, "results.0") || streq(path, "0");
}

static void look_at(void *arg, const char *path, enum scan_type type, const char *text, size_t len) {
  struct look *l = arg;

  if (has_prefix(path, "choices.0.")) {
    if (type == SCAN_STRING)
      look_at_choice(l, path + strlen("choices.0."), text, len);
  } else if (type == SCAN_NUMBER && has_prefix(path, "usage.")) {
    look_at_usage(l->answer, path + strlen("usage."), text, len);
  } else if (type == SCAN_STRING && streq(path, "object")) {
    l->error |= len == 5 && memcmp(text, "error", 5) == 0;
  } else if (type != SCAN_NULL && streq(path, "error")) {
    l->error = true;
  } else if (type == SCAN_OBJECT && is_result(path)) {
    l->answer->results = true;
  }
}

enum answer_kind answer_take(struct answer *a, const char *text, size_t len) {
  struct look l = {.answer = a};

  if (len == 6 && memcmp(text, "[DONE]", 6) == 0) {
    a->ended = true;
    return ANSWER_NOTHING;
  }
  if (!scan_json(text, len, look_at, &l))
    return ANSWER_BAD;
  a->pieces += l.text;
  return l.error ? ANSWER_ERROR : l.text ? ANSWER_TEXT : ANSWER_NOTHING;
}
