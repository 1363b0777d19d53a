#include "tokens/cut.h"

#include <stdint.h>
#include <string.h>

struct reader {
  const char *p, *end;
};

static void skip_space(struct reader *r) {
  while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\t' || *r->p == '\r'))
    r->p++;
}

static bool take(struct reader *r, char c) {
  skip_space(r);
  if (r->p == r->end || *r->p != c)
    return false;
  r->p++;
  return true;
}

/* Behind the quote that ends the string which begins at P; false: none does. */
static bool skip_string(struct reader *r) {
  for (r->p++; r->p < r->end; r->p++) {
    if (*r->p == '"') {
      r->p++;
      return true;
    }
    if (*r->p == '\\')
      r->p++;
  }
  return false;
}

/* Behind the bracket that closes the one at P. */
static bool skip_brackets(struct reader *r) {
  size_t depth = 0;

  while (r->p < r->end) {
    char c = *r->p;
    if (c == '"') {
      if (!skip_string(r))
        return false;
      continue;
    }
    r->p++;
    depth += c == '{' || c == '[';
    if ((c == '}' || c == ']') && --depth == 0)
      return true;
  }
  return false;
}

static bool skip_scalar(struct reader *r) {
  const char *from = r->p;

  while (r->p < r->end && !strchr(",]} \n\t\r", *r->p))
    r->p++;
  return r->p > from;
}

static bool take_value(struct reader *r, struct cut *out) {
  skip_space(r);
  if (r->p == r->end)
    return false;
  out->text = r->p;
  bool ok = *r->p == '"' ? skip_string(r) : *r->p == '{' || *r->p == '[' ? skip_brackets(r) : skip_scalar(r);
  out->len = (size_t)(r->p - out->text);
  return ok && r->p <= r->end;
}

static bool take_name(struct reader *r, struct cut *out) {
  if (!take_value(r, out) || !cut_is(*out, '"') || !take(r, ':'))
    return false;
  out->text++;
  out->len -= 2;
  return true;
}

bool cut_each(struct cut of, cut_fn *each, void *arg) {
  struct reader r = {.p = of.text, .end = of.len ? of.text + of.len : of.text};
  bool object = cut_is(of, '{');

  if (!of.len || !take(&r, object ? '{' : '['))
    return false;
  if (take(&r, object ? '}' : ']'))
    return true;
  do {
    struct cut name = {0}, value;
    if ((object && !take_name(&r, &name)) || !take_value(&r, &value) || !each(arg, name, value))
      return false;
  } while (take(&r, ','));
  return take(&r, object ? '}' : ']');
}

struct wanted {
  const char *name;
  struct cut value;
};

static bool look(void *arg, struct cut name, struct cut value) {
  struct wanted *w = arg;

  if (strlen(w->name) == name.len && memcmp(w->name, name.text, name.len) == 0)
    w->value = value;
  return w->value.text == NULL;
}

struct cut cut_get(struct cut of, const char *name) {
  struct wanted w = {.name = name};

  if (cut_is(of, '{'))
    (void)cut_each(of, look, &w);
  return w.value;
}

bool cut_is(struct cut value, char first) {
  return value.len && *value.text == first;
}

bool cut_is_null(struct cut value) {
  return !value.len || (value.len == 4 && memcmp(value.text, "null", 4) == 0);
}

bool cut_number(struct cut value, unsigned long max, unsigned long *out) {
  unsigned long n = 0;

  for (size_t i = 0; i < value.len; i++) {
    if (value.text[i] < '0' || value.text[i] > '9')
      return false;
    n = n * 10 + (unsigned long)(value.text[i] - '0');
    if (n > max)
      return false;
  }
  *out = n;
  return value.len > 0;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

/* Four hexadecimal digits at P; -1: there are none. */
static int32_t hex4(const char *p, const char *end) {
  int32_t n = 0;

  if (end - p < 4)
    return -1;
  for (int i = 0; i < 4; i++) {
    char c = p[i];
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0)
      return -1;
    n = n * 16 + digit;
  }
  return n;
}

static void add_character(struct buf *out, uint32_t c) {
  char bytes[4] = {(char)c};
  size_t n = 1;

  if (c >= 0x80) {
    n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
      bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)((0xf00u >> n & 0xf0u) | c);
  }
  buf_add(out, bytes, n);
}

/* Behind "\u" at P. */
static const char *add_code(const char *p, const char *end, struct buf *out) {
  int32_t c = hex4(p, end);

  if (c < 0)
    return NULL;
  p += 4;
  if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
    int32_t low = hex4(p + 2, end);
    if (low >= 0xdc00 && low < 0xe000) {
      add_character(out, 0x10000u + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
      return p + 6;
    }
  }
  add_character(out, c >= 0xd800 && c < 0xe000 ? 0xfffdu : (uint32_t)c);
  return p;
}

bool cut_unescape(const char *text, size_t len, struct buf *out) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *end = text + len;

  while (text < end) {
    const char *plain = text;
    while (text < end && *text != '\\')
      text++;
    buf_add(out, plain, (size_t)(text - plain));
    if (text == end)
      break;
    if (++text == end)
      return false;
    const char *known = *text ? strchr(names, *text) : NULL;
    if (known)
      buf_addc(out, values[known - names]);
    else if (*text != 'u')
      return false;
    text = known ? text + 1 : add_code(text + 1, end, out);
    if (!text)
      return false;
  }
  return buf_ok(out);
}

bool cut_string(struct cut value, struct buf *out) {
  buf_clear(out);
  return cut_is(value, '"') && value.len >= 2 && cut_unescape(value.text + 1, value.len - 2, out);
}
