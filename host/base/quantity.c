#include "base/quantity.h"

#include "base/cleanup.h"
#include "base/str.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct suffix {
  const char *text;
  long double factor;
} suffixes[] = {
    {"", 1.0L},
    {"n", 1e-9L},
    {"u", 1e-6L},
    {"m", 1e-3L},
    {"k", 1e3L},
    {"M", 1e6L},
    {"G", 1e9L},
    {"T", 1e12L},
    {"P", 1e15L},
    {"E", 1e18L},
    {"Ki", 1024.0L},
    {"Mi", 1048576.0L},
    {"Gi", 1073741824.0L},
    {"Ti", 1099511627776.0L},
    {"Pi", 1125899906842624.0L},
    {"Ei", 1152921504606846976.0L},
};

/* Length of the leading decimal number, exponent included only where digits follow it ("1E" is the suffix E). */
static size_t number_length(const char *s) {
  size_t i = s[0] == '+' || s[0] == '-';
  size_t digits = 0;

  for (; isdigit((unsigned char)s[i]); i++)
    digits++;
  if (s[i] == '.')
    for (i++; isdigit((unsigned char)s[i]); i++)
      digits++;
  if (!digits)
    return 0;
  if (s[i] == 'e' || s[i] == 'E') {
    size_t j = i + 1 + (s[i + 1] == '+' || s[i + 1] == '-');
    if (isdigit((unsigned char)s[j])) {
      while (isdigit((unsigned char)s[j]))
        j++;
      return j;
    }
  }
  return i;
}

static bool scaled(const char *text, long double scale, int64_t *out) {
  char digits[64];
  size_t n = text ? number_length(text) : 0;

  if (n == 0 || n >= sizeof(digits))
    return false;
  memcpy(digits, text, n);
  digits[n] = '\0';
  for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
    if (!streq(text + n, suffixes[i].text))
      continue;
    long double v = ceill(strtold(digits, NULL) * suffixes[i].factor * scale - 1e-6L);
    if (!(fabsl(v) < 9.2e18L))
      return false;
    *out = (int64_t)v;
    return true;
  }
  return false;
}

bool quantity_milli(const char *text, int64_t *out) {
  return scaled(text, 1000.0L, out);
}

bool quantity_value(const char *text, int64_t *out) {
  return scaled(text, 1.0L, out);
}
