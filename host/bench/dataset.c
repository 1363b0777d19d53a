#include "bench/dataset.h"

#include "base/json.h"
#include "base/str.h"
#include "bench/scenario.h"
#include "tokens/tokenizer.h"

#include <stdio.h>
#include <string.h>

/* new: S as a JSON string; NULL: S is no UTF-8, or memory ran out. */
static char *quoted(const char *s) {
  struct ome_err ignored = ERR_INIT;
  _cleanup_json_ struct json_object *o = json_object_new_string(s);
  _cleanup_json_ struct json_object *back = NULL;
  _cleanup_free_ char *text = o ? json_text(o) : NULL;

  return text && json_parse(text, strlen(text), 2 * DATASET_MAX_ROW, &back, &ignored) == OME_OK ? TAKE_PTR(text) : NULL;
}

static bool is_message(struct json_object *m) {
  return *json_str(m, "role", "") && json_get(m, "content");
}

/* What is wrong with the row; NULL: nothing, and *ROW is filled. */
static const char *read_object(struct json_object *o, struct dataset_row *row) {
  struct json_object *messages = json_get(o, "messages");
  const char *prompt = json_str(o, "prompt", json_str(o, "text", ""));
  int64_t tokens = json_i64(o, "max_tokens", json_i64(o, "output_tokens", 0));

  if (tokens < 0 || tokens > SCENARIO_MAX_TOKENS)
    return "max_tokens is not 0 to 1000000";
  row->output_tokens = (uint32_t)tokens;
  if (json_len(messages)) {
    for (size_t i = 0; i < json_len(messages); i++)
      if (!is_message(json_index(messages, i)))
        return "a message has no role or no content";
    row->messages = true;
    row->json = json_text(messages);
    return row->json ? NULL : "memory ran out";
  }
  if (!*prompt)
    return "has neither messages nor a prompt";
  row->json = quoted(prompt);
  return row->json ? NULL : "the prompt is not UTF-8";
}

static const char *read_row(const char *line, size_t len, struct dataset_row *row) {
  struct ome_err bad = ERR_INIT;
  _cleanup_json_ struct json_object *o = NULL;

  if (len > DATASET_MAX_ROW)
    return "is longer than 4 MiB";
  if (*line != '{') {
    row->json = quoted(line);
    return row->json ? NULL : "is not UTF-8";
  }
  if (json_parse(line, len, DATASET_MAX_ROW, &o, &bad) != OME_OK)
    return "is no JSON object";
  return read_object(o, row);
}

int32_t dataset_read(const char *name, const char *text, size_t len, struct dataset *out, struct ome_err *err) {
  size_t number = 0;

  for (const char *p = text; p < text + len;) {
    const char *newline = memchr(p, '\n', (size_t)(text + len - p));
    size_t n = newline ? (size_t)(newline - p) : (size_t)(text + len - p);
    size_t kept = n && p[n - 1] == '\r' ? n - 1 : n;
    _cleanup_free_ char *line = str_copy(p, kept);
    struct dataset_row row = {0};
    p += n + (newline != NULL);
    number++;
    if (!line)
      return fail_memory(err);
    if (kept == 0)
      continue;
    const char *why = memchr(line, '\0', kept) ? "has a zero byte" : read_row(line, kept, &row);
    if (why) {
      if (out->bad++ == 0)
        (void)snprintf(out->first_bad, sizeof(out->first_bad), "line %zu: %s", number, why);
      continue;
    }
    if (out->rows.len == DATASET_MAX_ROWS || !VEC_PUSH(&out->rows, row)) {
      free(row.json);
      return fail(err, OME_E_INVALID, "dataset %s: has more than %u rows", name, DATASET_MAX_ROWS);
    }
  }
  if (out->rows.len)
    return OME_OK;
  return fail(err, OME_E_INVALID, "dataset %s: has no row to send%s%s; see the documentation of --dataset", name,
              out->bad ? "; " : "", out->first_bad);
}

/* What is text in O: a string, a message's content, the texts of its parts. */
static int32_t count_text(struct json_object *o, struct tokenizer *t, uint64_t *sum, struct ome_err *err) {
  int32_t rc = OME_OK;
  uint64_t n = 0;

  if (json_is(o, json_type_string)) {
    rc = tokenizer_count(t, json_object_get_string(o), (size_t)json_object_get_string_len(o), &n, err);
    *sum += n;
  } else if (json_is(o, json_type_object)) {
    struct json_object *content = json_get(o, "content");
    rc = count_text(content ? content : json_get(o, "text"), t, sum, err);
  }
  for (size_t i = 0; i < json_len(o) && rc == OME_OK; i++)
    rc = count_text(json_index(o, i), t, sum, err);
  return rc;
}

int32_t dataset_count(struct dataset *d, struct tokenizer *t, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; i < d->rows.len && rc == OME_OK; i++) {
    struct dataset_row *row = &d->rows.items[i];
    _cleanup_json_ struct json_object *o = NULL;
    rc = json_parse(row->json, strlen(row->json), 2 * DATASET_MAX_ROW, &o, err);
    row->tokens = 0;
    if (rc == OME_OK)
      rc = count_text(o, t, &row->tokens, err);
  }
  return rc;
}

void dataset_fini(struct dataset *d) {
  for (size_t i = 0; i < d->rows.len; i++)
    free(d->rows.items[i].json);
  VEC_FREE(&d->rows);
  memset(d, 0, sizeof(*d));
}
