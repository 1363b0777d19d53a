#include "base/clock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t mono_ns(void) {
  struct timespec ts;

  (void)clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t mono_ms(void) {
  return mono_ns() / 1000000u;
}

uint64_t cpu_ns(void) {
  struct timespec ts;

  (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
  return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int64_t wall_us(void) {
  struct timespec ts;

  (void)clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t wall_ms(void) {
  return wall_us() / 1000;
}

/* Writes the stamp of SECONDS with FRACTION in DIGITS digits; years 0000 to 9999. */
static void format(int64_t seconds, int64_t fraction, int digits, char *out, size_t size) {
  time_t t = (time_t)seconds;
  struct tm tm;
  char base[32];
  size_t n;

  (void)gmtime_r(&t, &tm);
  n = strftime(base, sizeof(base), "%Y-%m-%dT%H:%M:%S", &tm);
  if (n != 19) /* a year beyond four digits */
    (void)snprintf(base, sizeof(base), "0001-01-01T00:00:00");
  if (digits)
    (void)snprintf(out, size, "%.19s.%0*dZ", base, digits, (int)fraction);
  else
    (void)snprintf(out, size, "%.19sZ", base);
}

void time_format(int64_t seconds, char out[TIME_TEXT]) {
  format(seconds, 0, 0, out, TIME_TEXT);
}

void time_format_ms(int64_t ms, char out[TIME_TEXT_MS]) {
  format(ms / 1000, ms % 1000, 3, out, TIME_TEXT_MS);
}

void time_format_us(int64_t us, char out[TIME_TEXT_US]) {
  format(us / 1000000, us % 1000000, 6, out, TIME_TEXT_US);
}

/* "+01:30" at P, exactly to the end of the text, in seconds. */
static bool parse_offset(const char *p, int64_t *out) {
  for (int i = 1; i < 6; i++)
    if (i == 3 ? p[i] != ':' : !isdigit((unsigned char)p[i]))
      return false;
  if (p[6])
    return false;
  int64_t minutes = ((p[1] - '0') * 10 + p[2] - '0') * 60 + (p[4] - '0') * 10 + p[5] - '0';
  *out = minutes * 60 * (*p == '-' ? -1 : 1);
  return true;
}

bool time_parse(const char *text, int64_t *out_ms) {
  struct tm tm;
  int64_t ms = 0;
  int64_t offset = 0;
  const char *p;

  memset(&tm, 0, sizeof(tm));
  p = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
  if (!p)
    return false;
  if (*p == '.') {
    int64_t scale = 100;
    p++;
    if (!isdigit((unsigned char)*p))
      return false;
    for (; isdigit((unsigned char)*p); p++, scale /= 10)
      ms += (*p - '0') * scale;
  }
  if (*p == 'Z' || *p == 'z') {
    p++;
  } else if (*p == '+' || *p == '-') {
    if (!parse_offset(p, &offset))
      return false;
    p += 6;
  } else {
    return false;
  }
  if (*p)
    return false;
  *out_ms = ((int64_t)timegm(&tm) - offset) * 1000 + ms;
  return true;
}
