#include "cel/lex.h"

#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool lex_is(const struct lexer *l, const char *text) {
  return (l->now.kind == TOKEN_SIGN || l->now.kind == TOKEN_NAME) && l->now.len == strlen(text) &&
         memcmp(l->now.ptr, text, l->now.len) == 0;
}

int32_t lex_fail(const struct lexer *l, struct ome_err *err, const char *what) {
  return fail(err, OME_E_INVALID, "syntax error at character %zu: %s", (size_t)(l->now.ptr - l->text) + 1, what);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static size_t number_length(const char *s, bool *is_double) {
  size_t n = 0;

  *is_double = false;
  if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
    for (n = 2; isxdigit((unsigned char)s[n]); n++)
      continue;
    return n;
  }
  while (isdigit((unsigned char)s[n]))
    n++;
  if (s[n] == '.' && isdigit((unsigned char)s[n + 1])) {
    *is_double = true;
    for (n++; isdigit((unsigned char)s[n]); n++)
      continue;
  }
  size_t digits = n + 1 + (s[n] && (s[n + 1] == '+' || s[n + 1] == '-'));
  if ((s[n] == 'e' || s[n] == 'E') && isdigit((unsigned char)s[digits])) {
    *is_double = true;
    for (n = digits; isdigit((unsigned char)s[n]); n++)
      continue;
  }
  return n;
}

static int32_t lex_number(struct lexer *l, struct ome_err *err) {
  bool is_double;
  struct token *t = &l->now;
  size_t n = number_length(l->at, &is_double);
  _cleanup_free_ char *digits = str_copy(l->at, n);

  if (!digits)
    return fail_memory(err);
  errno = 0;
  if (is_double) {
    t->kind = TOKEN_DOUBLE;
    t->value = (struct cel_value){.kind = CEL_DOUBLE, .d = strtod(digits, NULL)};
  } else if (l->at[n] == 'u' || l->at[n] == 'U') {
    t->kind = TOKEN_UINT;
    t->value = (struct cel_value){.kind = CEL_UINT, .u = strtoull(digits, NULL, 0)};
    n++;
  } else {
    /* -9223372036854775808 is written with its sign before it: one more is let through here. */
    unsigned long long u = strtoull(digits, NULL, digits[1] == 'x' || digits[1] == 'X' ? 16 : 10);
    if (u > (unsigned long long)INT64_MAX + 1)
      errno = ERANGE;
    t->kind = TOKEN_INT;
    t->value = value_int((int64_t)u);
  }
  t->len = n;
  return errno ? lex_fail(l, err, "the number is too large") : OME_OK;
}

/* ---- strings ----------------------------------------------------------------------------------------------------- */

static size_t put_utf8(char *out, uint32_t c) {
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
  out[0] = (char)(lead[more] | (c >> (6 * more)));
  for (size_t i = 1; i <= more; i++)
    out[i] = (char)(0x80 | ((c >> (6 * (more - i))) & 0x3f));
  return more + 1;
}

/* The value of a digit in BASE; -1: it is none. */
static int digit_of(char c, int base) {
  int n = isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : 99;

  return n < base ? n : -1;
}

/* \xHH, \uHHHH, \UHHHHHHHH or \OOO at S behind the backslash: how many characters it takes; 0: none of these. */
static size_t numeric_escape(const char *s, uint32_t *code) {
  static const struct {
    const char *lead; /* "": the digits themselves */
    size_t digits;
    int base;
  } forms[] = {{"x", 2, 16}, {"X", 2, 16}, {"u", 4, 16}, {"U", 8, 16}, {"", 3, 8}};
  size_t i = 0, used;

  while (!has_prefix(s, forms[i].lead))
    i++;
  *code = 0;
  for (used = strlen(forms[i].lead); used < strlen(forms[i].lead) + forms[i].digits; used++) {
    int digit = digit_of(s[used], forms[i].base);
    if (digit < 0)
      return 0;
    *code = *code * (uint32_t)forms[i].base + (uint32_t)digit;
  }
  bool octal_fits = forms[i].base == 16 || *code <= 0377;
  return octal_fits && *code <= 0x10ffff && (*code < 0xd800 || *code > 0xdfff) ? used : 0;
}

/* What the escape at S (behind the backslash) stands for; returns how much of S it is, 0: no escape. */
static size_t unescape(const char *s, bool bytes, char *out, size_t *n) {
  static const char from[] = "abfnrtv\\?\"'`", to[] = "\a\b\f\n\r\t\v\\?\"'`";
  const char *simple = *s ? strchr(from, *s) : NULL;
  uint32_t code;

  if (simple) {
    out[(*n)++] = to[simple - from];
    return 1;
  }
  size_t used = numeric_escape(s, &code);
  if (used && bytes && *s != 'u' && *s != 'U')
    out[(*n)++] = (char)code;
  else if (used)
    *n += put_utf8(out + *n, code);
  return used;
}

/* A string literal at AT, its prefix letters read already. */
static int32_t lex_quoted(struct lexer *l, const char *at, bool raw, bool bytes, struct ome_err *err) {
  size_t marks = has_prefix(at, "\"\"\"") || has_prefix(at, "'''") ? 3 : 1;
  const char *quote = at, *s = at + marks;
  char *out = arena_new(l->arena, strlen(s) + 5);
  size_t n = 0;

  if (!out)
    return fail_memory(err);
  while (strncmp(s, quote, marks) != 0) {
    if (*s == '\0' || (marks == 1 && *s == '\n'))
      return lex_fail(l, err, "the string does not end");
    if (*s != '\\' || raw) {
      out[n++] = *s++;
      continue;
    }
    size_t used = unescape(s + 1, bytes, out, &n);
    if (!used)
      return lex_fail(l, err, "an unknown escape in a string");
    s += used + 1;
  }
  l->now.kind = bytes ? TOKEN_BYTES : TOKEN_STRING;
  l->now.value = value_text(bytes ? CEL_BYTES : CEL_STRING, out, n);
  l->now.len = (size_t)(s + marks - l->now.ptr);
  return OME_OK;
}

/* Where the quote of a string with prefix r, b, rb, br starts; NULL: it is a name. */
static const char *string_prefix(const char *s, bool *raw, bool *bytes) {
  *raw = *bytes = false;
  for (; *s; s++) {
    if (*s == '"' || *s == '\'')
      return s;
    bool *flag = *s == 'r' || *s == 'R' ? raw : *s == 'b' || *s == 'B' ? bytes : NULL;
    if (!flag || *flag)
      return NULL;
    *flag = true;
  }
  return NULL;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void skip_blanks(struct lexer *l) {
  for (;;) {
    l->at += strspn(l->at, " \t\r\n\f");
    if (!has_prefix(l->at, "//"))
      return;
    l->at += strcspn(l->at, "\n");
  }
}

static size_t sign_length(const char *s) {
  static const char *const two[] = {"==", "!=", "<=", ">=", "&&", "||"};

  for (size_t i = 0; i < ARRAY_LEN(two); i++)
    if (has_prefix(s, two[i]))
      return 2;
  return strchr("+-*/%<>!?:.,()[]{}", *s) ? 1 : 0;
}

int32_t lex_next(struct lexer *l, struct ome_err *err) {
  bool raw, bytes;
  int32_t rc = OME_OK;

  skip_blanks(l);
  l->now = (struct token){.kind = TOKEN_END, .ptr = l->at};
  const char *quote = string_prefix(l->at, &raw, &bytes);
  if (*l->at == '\0')
    return OME_OK;
  if (quote) {
    rc = lex_quoted(l, quote, raw, bytes, err);
  } else if (isdigit((unsigned char)*l->at) || (*l->at == '.' && isdigit((unsigned char)l->at[1]))) {
    rc = lex_number(l, err);
  } else if (isalpha((unsigned char)*l->at) || *l->at == '_') {
    l->now.kind = TOKEN_NAME;
    while (isalnum((unsigned char)l->at[l->now.len]) || l->at[l->now.len] == '_')
      l->now.len++;
  } else {
    l->now.kind = TOKEN_SIGN;
    l->now.len = sign_length(l->at);
    if (!l->now.len)
      rc = lex_fail(l, err, "an unexpected character");
  }
  l->at += l->now.len;
  return rc;
}
