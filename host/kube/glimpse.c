#include "kube/glimpse.h"

#include <stdio.h>
#include <string.h>

/* A place in the line, and a piece of it; a piece of length 0 was not there. */
struct at {
  const char *p, *end;
};

struct piece {
  const char *p;
  size_t len;
};

static void skip_space(struct at *a) {
  while (a->p < a->end && (*a->p == ' ' || *a->p == '\t' || *a->p == '\r' || *a->p == '\n'))
    a->p++;
}

/* Takes C, behind space. */
static bool take(struct at *a, char c) {
  skip_space(a);
  if (a->p == a->end || *a->p != c)
    return false;
  a->p++;
  return true;
}

static bool is(const struct piece *s, const char *text) {
  return s->len == strlen(text) && memcmp(s->p, text, s->len) == 0;
}

/* Goes behind the quote that ends a string, of which the first is taken; *PLAIN: it had no escapes. */
static bool end_string(struct at *a, bool *plain) {
  for (; a->p < a->end; a->p++) {
    if (*a->p == '"') {
      a->p++;
      return true;
    }
    if (*a->p == '\\') {
      *plain = false;
      a->p++;
    }
  }
  return false;
}

/* A string that says what it is without being decoded. */
static bool take_plain(struct at *a, struct piece *out) {
  bool plain = true;

  if (!take(a, '"'))
    return false;
  out->p = a->p;
  if (!end_string(a, &plain) || !plain)
    return false;
  out->len = (size_t)(a->p - 1 - out->p);
  return true;
}

/* Any value, whatever it holds.  What parsers forgive, quotes of another kind and comments, is left to them. */
static bool skip_value(struct at *a) {
  size_t depth = 0;
  bool ignored = true;

  for (; a->p < a->end; a->p++) {
    switch (*a->p) {
    case '{':
    case '[':
      depth++;
      break;
    case '}':
    case ']':
      if (depth == 0)
        return true; /* of what is around it */
      if (--depth == 0) {
        a->p++;
        return true;
      }
      break;
    case ',':
      if (depth == 0)
        return true;
      break;
    case '"':
      a->p++;
      if (!end_string(a, &ignored))
        return false;
      if (depth == 0)
        return true;
      a->p--;
      break;
    case '\'':
    case '/':
      return false;
    default:
      break;
    }
  }
  return false;
}

/* A text into its place, once. */
static bool take_once(struct at *a, struct piece *out) {
  return !out->p && take_plain(a, out);
}

struct reading {
  struct piece type, ns, name, version;
  bool object, metadata; /* were there */
};

typedef bool member_fn(struct at *a, const struct piece *key, struct reading *r);

/* The members of an object, each by FN, which takes its value. */
static bool members(struct at *a, member_fn *fn, struct reading *r) {
  if (!take(a, '{'))
    return false;
  if (take(a, '}'))
    return true;
  do {
    struct piece key;
    if (!take_plain(a, &key) || !take(a, ':') || !fn(a, &key, r))
      return false;
  } while (take(a, ','));
  return take(a, '}');
}

static bool in_metadata(struct at *a, const struct piece *key, struct reading *r) {
  if (is(key, "name"))
    return take_once(a, &r->name);
  if (is(key, "namespace"))
    return take_once(a, &r->ns);
  return is(key, "resourceVersion") ? take_once(a, &r->version) : skip_value(a);
}

static bool in_object(struct at *a, const struct piece *key, struct reading *r) {
  if (!is(key, "metadata"))
    return skip_value(a);
  if (r->metadata)
    return false;
  r->metadata = true;
  return members(a, in_metadata, r);
}

static bool in_event(struct at *a, const struct piece *key, struct reading *r) {
  if (is(key, "type"))
    return take_once(a, &r->type);
  if (!is(key, "object"))
    return skip_value(a);
  if (r->object)
    return false;
  r->object = true;
  return members(a, in_object, r);
}

bool glimpse_event(const char *line, size_t len, struct glimpse *out) {
  struct at a = {line, line + len};
  struct reading r = {0};

  if (memchr(line, '\0', len) || !members(&a, in_event, &r))
    return false;
  skip_space(&a);
  if (a.p != a.end || !(is(&r.type, "ADDED") || is(&r.type, "MODIFIED")) || !r.name.len || !r.version.len ||
      r.ns.len + r.name.len + 2 > sizeof(out->key) || r.version.len >= sizeof(out->version))
    return false;
  (void)snprintf(out->key, sizeof(out->key), "%.*s/%.*s", (int)r.ns.len, r.ns.p ? r.ns.p : "", (int)r.name.len,
                 r.name.p);
  (void)snprintf(out->version, sizeof(out->version), "%.*s", (int)r.version.len, r.version.p);
  return true;
}
