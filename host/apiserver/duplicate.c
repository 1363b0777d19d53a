/* Keys that stand twice in one JSON object: parsers take the last; fieldValidation wants to hear of them.  Pure. */
#include "apiserver/server.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/strmap.h"

#include <string.h>

/* How many members the objects of O have. */
static size_t count_members(struct json_object *o) {
  size_t n = 0;

  if (json_is(o, json_type_object)) {
    json_object_object_foreach (o, key, v) {
      (void)key;
      n += 1 + count_members(v);
    }
  } else {
    for (size_t i = 0; i < json_len(o); i++)
      n += count_members(json_index(o, i));
  }
  return n;
}

/* How many members TEXT spells out: one for each colon outside of strings. */
static size_t count_colons(const char *text, size_t len) {
  size_t n = 0;
  bool quoted = false;

  for (size_t i = 0; i < len; i++) {
    if (quoted && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      quoted = !quoted;
    else if (!quoted && text[i] == ':')
      n++;
  }
  return n;
}

struct scan {
  const char *at, *end;
  struct buf path;
  struct json_object *found;
};

static void cut_path(struct scan *s, size_t len) {
  s->path.len = len;
  if (s->path.data)
    s->path.data[len] = '\0';
}

static void skip_space(struct scan *s) {
  while (s->at < s->end && strchr(" \t\r\n", *s->at))
    s->at++;
}

/* The string at hand, quotes left out and escapes as they are written: good enough to compare and to name. */
static char *take_string(struct scan *s) {
  const char *start = ++s->at;

  while (s->at < s->end && *s->at != '"')
    s->at += *s->at == '\\' ? 2 : 1;
  char *text = str_copy(start, (size_t)(s->at - start));
  s->at++;
  return text;
}

static void scan_value(struct scan *s);

static void scan_member(struct scan *s, struct strmap *seen) {
  _cleanup_free_ char *key = take_string(s);
  size_t before = s->path.len;

  buf_addf(&s->path, "%s%s", before ? "." : "", key ? key : "");
  if (key && strmap_has(seen, key))
    (void)json_add_str(s->found, buf_str(&s->path));
  else if (key)
    (void)strmap_put(seen, key, NULL);
  skip_space(s);
  s->at++; /* the colon */
  scan_value(s);
  cut_path(s, before);
}

static void scan_object(struct scan *s) {
  _cleanup_strmap_ struct strmap *seen = strmap_new(NULL);

  for (s->at++; seen && s->at < s->end; s->at++) {
    skip_space(s);
    if (*s->at == '"')
      scan_member(s, seen);
    skip_space(s);
    if (s->at < s->end && *s->at == '}')
      break;
  }
  s->at++;
}

static void scan_array(struct scan *s) {
  size_t before = s->path.len;
  size_t i = 0;

  for (s->at++; s->at < s->end; s->at++) {
    skip_space(s);
    if (*s->at == ']')
      break;
    buf_addf(&s->path, "[%zu]", i++);
    scan_value(s);
    cut_path(s, before);
    skip_space(s);
    if (s->at < s->end && *s->at == ']')
      break;
  }
  s->at++;
}

/* TEXT parsed before, so that its depth is bounded and its form right. */
static void scan_value(struct scan *s) {
  skip_space(s);
  if (s->at >= s->end)
    return;
  switch (*s->at) {
  case '{':
    scan_object(s);
    break;
  case '[':
    scan_array(s);
    break;
  case '"':
    free(take_string(s));
    break;
  default:
    while (s->at < s->end && !strchr(",]} \t\r\n", *s->at))
      s->at++;
    break;
  }
}

struct json_object *json_duplicates(const char *text, size_t len, struct json_object *doc) {
  struct scan s = {.at = text, .end = text + len};

  if (count_colons(text, len) == count_members(doc))
    return NULL;
  s.found = json_object_new_array();
  buf_init(&s.path, (size_t)1 << 16);
  scan_value(&s);
  buf_fini(&s.path);
  return s.found;
}
