#include "bench/scan.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

struct scan {
  const char *p, *end;
  scan_fn *each;
  void *arg;
  int depth;
  size_t path_len; /* also of what did not fit */
  char path[SCAN_PATH];
};

static bool scan_value(struct scan *s);

static void skip_space(struct scan *s) {
  while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
    s->p++;
}

static bool take(struct scan *s, char c) {
  skip_space(s);
  if (s->p == s->end || *s->p != c)
    return false;
  s->p++;
  return true;
}

/* ---- the path ---------------------------------------------------------------------------------------------------- */

static void path_push(struct scan *s, const char *name, size_t len) {
  size_t dot = s->path_len > 0;

  if (s->path_len + dot + len < SCAN_PATH) {
    if (dot)
      s->path[s->path_len] = '.';
    memcpy(s->path + s->path_len + dot, name, len);
    s->path[s->path_len + dot + len] = '\0';
  }
  s->path_len += dot + len;
}

static void path_pop(struct scan *s, size_t len) {
  s->path_len = len;
  if (len < SCAN_PATH)
    s->path[len] = '\0';
}

static void tell(struct scan *s, enum scan_type type, const char *text, size_t len) {
  s->each(s->arg, s->path_len < SCAN_PATH ? s->path : "", type, text, len);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* After a backslash at P: the escape's length; 0: none. */
static size_t escape_length(const char *p, const char *end) {
  if (p < end && strchr("\"\\/bfnrt", *p) && *p)
    return 1;
  if (end - p < 5 || *p != 'u')
    return 0;
  for (int i = 1; i < 5; i++)
    if (!isxdigit((unsigned char)p[i]))
      return 0;
  return 5;
}

/* A string, its opening quote taken. */
static bool scan_string(struct scan *s, const char **text, size_t *len) {
  const char *p = s->p;

  while (p < s->end && *p != '"') {
    if ((unsigned char)*p < ' ')
      return false;
    if (*p++ == '\\') {
      size_t n = escape_length(p, s->end);
      if (n == 0)
        return false;
      p += n;
    }
  }
  if (p >= s->end)
    return false;
  *text = s->p;
  *len = (size_t)(p - s->p);
  s->p = p + 1;
  return true;
}

static bool digits(struct scan *s) {
  const char *from = s->p;

  while (s->p < s->end && isdigit((unsigned char)*s->p))
    s->p++;
  return s->p > from;
}

static bool scan_number(struct scan *s) {
  const char *from = s->p;

  if (*s->p == '-')
    s->p++;
  const char *whole = s->p;
  if (!digits(s) || (*whole == '0' && s->p - whole > 1)) /* no leading zeros */
    return false;
  if (s->p < s->end && *s->p == '.' && (s->p++, !digits(s)))
    return false;
  if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
    s->p++;
    if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
      s->p++;
    if (!digits(s))
      return false;
  }
  tell(s, SCAN_NUMBER, from, (size_t)(s->p - from));
  return true;
}

static bool scan_word(struct scan *s, const char *word, enum scan_type type) {
  size_t n = strlen(word);

  if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
    return false;
  tell(s, type, s->p, n);
  s->p += n;
  return true;
}

static bool scan_object(struct scan *s) {
  size_t outer = s->path_len;

  tell(s, SCAN_OBJECT, s->p, 0);
  if (take(s, '}'))
    return true;
  do {
    const char *name;
    size_t len;
    if (!take(s, '"') || !scan_string(s, &name, &len) || !take(s, ':'))
      return false;
    path_push(s, name, len);
    if (!scan_value(s))
      return false;
    path_pop(s, outer);
  } while (take(s, ','));
  return take(s, '}');
}

static bool scan_array(struct scan *s) {
  size_t outer = s->path_len;
  unsigned i = 0;

  tell(s, SCAN_ARRAY, s->p, 0);
  if (take(s, ']'))
    return true;
  do {
    char name[16];
    int n = snprintf(name, sizeof(name), "%u", i++);
    path_push(s, name, (size_t)n);
    if (!scan_value(s))
      return false;
    path_pop(s, outer);
  } while (take(s, ','));
  return take(s, ']');
}

static bool scan_value(struct scan *s) {
  const char *text;
  size_t len;

  skip_space(s);
  if (s->p == s->end)
    return false;
  switch (*s->p) {
  case '{':
  case '[': {
    bool object = *s->p++ == '{';
    bool ok = ++s->depth <= SCAN_MAX_DEPTH && (object ? scan_object(s) : scan_array(s));
    s->depth--;
    return ok;
  }
  case '"':
    s->p++;
    if (!scan_string(s, &text, &len))
      return false;
    tell(s, SCAN_STRING, text, len);
    return true;
  case 't':
    return scan_word(s, "true", SCAN_BOOL);
  case 'f':
    return scan_word(s, "false", SCAN_BOOL);
  case 'n':
    return scan_word(s, "null", SCAN_NULL);
  default:
    return (*s->p == '-' || isdigit((unsigned char)*s->p)) && scan_number(s);
  }
}

bool scan_json(const char *text, size_t len, scan_fn *each, void *arg) {
  struct scan s = {.p = text, .end = text + len, .each = each, .arg = arg};

  if (!scan_value(&s))
    return false;
  skip_space(&s);
  return s.p == s.end;
}
