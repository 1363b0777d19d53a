#include "select/size.h"

#include <stddef.h>

static unsigned suffix_digits(char c) {
  switch (c) {
  case 'K':
    return 3;
  case 'M':
    return 6;
  case 'B':
    return 9;
  case 'T':
    return 12;
  default:
    return 0;
  }
}

static bool add_digit(uint64_t *n, char c) {
  return !__builtin_mul_overflow(*n, (uint64_t)10, n) && !__builtin_add_overflow(*n, (uint64_t)(c - '0'), n);
}

bool size_parse(const char *text, uint64_t *out) {
  uint64_t n = 0;
  unsigned digits = 0;
  unsigned fraction = 0;
  bool point = false;

  if (!text)
    return false;
  for (; (*text >= '0' && *text <= '9') || *text == '.'; text++) {
    if (*text == '.') {
      if (point || digits == 0)
        return false;
      point = true;
      continue;
    }
    if (!add_digit(&n, *text))
      return false;
    digits++;
    fraction += point;
  }
  unsigned scale = suffix_digits(*text);
  text += scale != 0;
  if (digits == 0 || *text)
    return false;
  /* Digits below one parameter ("1.23456789M") are cut. */
  for (; fraction > scale; fraction--)
    n /= 10;
  for (; scale > fraction; scale--)
    if (!add_digit(&n, '0'))
      return false;
  if (n == 0)
    return false;
  *out = n;
  return true;
}
