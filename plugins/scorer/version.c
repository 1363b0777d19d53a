#include "version.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { PRE, BUILD, DEV, TAILS };

struct version {
  uint64_t number[3];
  int precision; /* parts given: 1 to 3 */
  int prefixed;  /* "v1" */
  /* What follows the patch number, by its first character; lists are compared as text between separators. */
  const char *tail[TAILS];
  size_t tail_len[TAILS];
};

/* Digits only, no leading zero, fits.  [s, s+len) */
static int parse_number(const char *s, size_t len, uint64_t *out) {
  uint64_t n = 0;

  if (len == 0 || (len > 1 && s[0] == '0'))
    return 0;
  for (size_t i = 0; i < len; i++) {
    if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(n, (uint64_t)10, &n) ||
        __builtin_add_overflow(n, (uint64_t)(s[i] - '0'), &n))
      return 0;
  }
  *out = n;
  return 1;
}

/* A dot-separated list without empty elements. */
static int valid_list(const char *s, size_t len) {
  if (len == 0 || s[0] == '.' || s[len - 1] == '.')
    return 0;
  for (size_t i = 1; i < len; i++)
    if (s[i] == '.' && s[i - 1] == '.')
      return 0;
  return 1;
}

/* Cuts [s, s+*len) at the first SEPARATOR and keeps what follows as a tail. */
static int cut_tail(struct version *v, int which, const char *s, size_t *len, char separator) {
  const char *at = memchr(s, separator, *len);

  if (!at)
    return 1;
  v->tail[which] = at + 1;
  v->tail_len[which] = *len - (size_t)(at + 1 - s);
  *len = (size_t)(at - s);
  return valid_list(v->tail[which], v->tail_len[which]);
}

static int parse(const char *s, struct version *v) {
  memset(v, 0, sizeof(*v));
  v->prefixed = *s == 'v';
  s += v->prefixed;
  while (v->precision < 3) {
    size_t len = strlen(s);
    int last = v->precision == 2;
    const char *dot = last ? NULL : memchr(s, '.', len);
    if (dot)
      len = (size_t)(dot - s);
    /* Only the third part may carry tails. */
    if (last &&
        (!cut_tail(v, BUILD, s, &len, '+') || !cut_tail(v, PRE, s, &len, '-') || !cut_tail(v, DEV, s, &len, '.')))
      return 0;
    if (!parse_number(s, len, &v->number[v->precision++]))
      return 0;
    if (!dot)
      return 1;
    s = dot + 1;
  }
  return 1;
}

static int compare_tail(const struct version *a, const struct version *b, int which) {
  const char *x = a->tail[which];
  const char *y = b->tail[which];
  size_t nx = a->tail_len[which];
  size_t ny = b->tail_len[which];

  while (nx && ny) {
    const char *dx = memchr(x, '.', nx);
    const char *dy = memchr(y, '.', ny);
    size_t ex = dx ? (size_t)(dx - x) : nx;
    size_t ey = dy ? (size_t)(dy - y) : ny;
    int c = memcmp(x, y, ex < ey ? ex : ey);
    if (c != 0)
      return c;
    if (ex != ey)
      return ex < ey ? -1 : 1;
    x += ex + (dx != NULL);
    y += ey + (dy != NULL);
    nx -= ex + (dx != NULL);
    ny -= ey + (dy != NULL);
  }
  return nx ? 1 : ny ? -1 : 0;
}

static int compare(const struct version *a, const struct version *b) {
  for (int i = 0; i < 3; i++)
    if (a->number[i] != b->number[i])
      return a->number[i] < b->number[i] ? -1 : 1;
  for (int i = 0; i < TAILS; i++) {
    int c = compare_tail(a, b, i);
    if (c != 0)
      return c;
  }
  return 0;
}

static int unofficial(const struct version *v) {
  return v->tail[PRE] || v->tail[BUILD] || v->tail[DEV];
}

int version_match(const char *runtime, const char *op, const char *model) {
  struct version r;
  struct version m;

  if (!parse(runtime, &r) || !parse(model, &m))
    return 0;
  int c = compare(&r, &m);
  if (unofficial(&r) || unofficial(&m) || strcmp(op, "Equal") == 0)
    return c == 0;
  if (r.precision != m.precision || r.prefixed != m.prefixed)
    return 0;
  if (strcmp(op, "GreaterThan") == 0)
    return c > 0;
  if (strcmp(op, "GreaterThanOrEqual") == 0)
    return c >= 0;
  return c == 0;
}

const char *version_operator_note(const char *op) {
  static const char *const known[] = {"Equal", "GreaterThan", "GreaterThanOrEqual"};

  for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
    if (strcmp(op, known[i]) == 0)
      return "";
  return ", which is none and taken for Equal";
}
