#include "base/quantity.h"

#include "base/cleanup.h"
#include "base/str.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
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

/* ---- canonical form --------------------------------------------------------------------------------------------- */

__extension__ typedef __int128 wide;

#define NANO 1000000000

/* The decimal number of N characters times 10^EXPONENT and FACTOR, in billionths, rounded away from zero. */
static bool in_nano(const char *digits, size_t n, int exponent, int64_t factor, wide *out) {
  const wide most = (wide)1 << 100;
  wide v = 0;
  int scale = 9 + exponent;
  bool inexact = false;
  bool fraction = false;

  for (size_t i = *digits == '+' || *digits == '-'; i < n; i++) {
    if (digits[i] == '.') {
      fraction = true;
      continue;
    }
    if (v > most / 10)
      return false;
    v = v * 10 + (digits[i] - '0');
    scale -= fraction;
  }
  if (factor > 1 && v > most / factor)
    return false;
  v *= factor;
  for (; scale > 0 && v; scale--) {
    if (v > most / 10)
      return false;
    v *= 10;
  }
  for (; scale < 0 && v; scale++) {
    inexact = inexact || v % 10 != 0;
    v /= 10;
  }
  *out = v + inexact;
  return true;
}

static void put_wide(wide v, bool negative, const char *suffix, char out[QUANTITY_TEXT]) {
  char digits[48];
  size_t n = sizeof(digits);

  digits[--n] = '\0';
  do
    digits[--n] = (char)('0' + (int)(v % 10));
  while ((v /= 10) && n > 0);
  (void)snprintf(out, QUANTITY_TEXT, "%s%s%s", negative ? "-" : "", digits + n, suffix);
}

/* Powers of 1000 from billionths on. */
static void put_decimal(wide nano, bool negative, bool exponent, char out[QUANTITY_TEXT]) {
  static const char *const letters[] = {"n", "u", "m", "", "k", "M", "G", "T", "P", "E"};
  char suffix[8];
  size_t i = 0;

  for (; nano && nano % 1000 == 0 && i + 1 < ARRAY_LEN(letters); i++)
    nano /= 1000;
  if (!nano)
    i = 3;
  (void)snprintf(suffix, sizeof(suffix), "e%d", ((int)i - 3) * 3);
  put_wide(nano, negative, !exponent ? letters[i] : i == 3 ? "" : suffix, out);
}

static void put_binary(wide nano, bool negative, char out[QUANTITY_TEXT]) {
  static const char *const letters[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  wide v = (nano + NANO - 1) / NANO;
  size_t i = 0;

  for (; v && v % 1024 == 0 && i + 1 < ARRAY_LEN(letters); i++)
    v /= 1024;
  put_wide(v, negative, letters[i], out);
}

bool quantity_canonical(const char *text, char out[QUANTITY_TEXT]) {
  static const int exponents[] = {0, -9, -6, -3, 3, 6, 9, 12, 15, 18};
  size_t n = text ? number_length(text) : 0;
  size_t mantissa = text ? strcspn(text, "eE") : 0;
  const bool has_exponent = mantissa < n;
  size_t i = 0;
  wide nano;

  while (i < ARRAY_LEN(suffixes) && n && !streq(text + n, suffixes[i].text))
    i++;
  if (n == 0 || i == ARRAY_LEN(suffixes) || strlen(text) >= QUANTITY_TEXT || (has_exponent && i))
    return false;
  const bool binary = i >= ARRAY_LEN(exponents);
  long exponent = has_exponent ? strtol(text + mantissa + 1, NULL, 10) : binary ? 0 : exponents[i];
  if (exponent < -40 || exponent > 40 ||
      !in_nano(text, has_exponent ? mantissa : n, (int)exponent, binary ? (int64_t)suffixes[i].factor : 1, &nano)) {
    (void)snprintf(out, QUANTITY_TEXT, "%s", text);
    return true;
  }
  if (binary)
    put_binary(nano, *text == '-', out);
  else
    put_decimal(nano, *text == '-', has_exponent, out);
  return true;
}
