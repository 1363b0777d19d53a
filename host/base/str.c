#include "base/str.h"

#include "base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool streq(const char *a, const char *b) {
  return a == b || (a && b && strcmp(a, b) == 0);
}

bool has_prefix(const char *s, const char *prefix) {
  return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool has_suffix(const char *s, const char *suffix) {
  size_t n = s ? strlen(s) : 0;
  size_t m = strlen(suffix);

  return s && n >= m && memcmp(s + n - m, suffix, m) == 0;
}

char *str_printf(const char *fmt, ...) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&b, fmt, ap);
  va_end(ap);
  return buf_take(&b);
}

char *str_copy(const char *s, size_t len) {
  char *copy = malloc(len + 1);

  if (copy) {
    memcpy(copy, s, len);
    copy[len] = '\0';
  }
  return copy;
}

char *str_lower(const char *s) {
  char *copy = strdup(s);

  for (char *c = copy; c && *c; c++)
    if (*c >= 'A' && *c <= 'Z')
      *c = (char)(*c - 'A' + 'a');
  return copy;
}

char **str_split(const char *s, char sep) {
  size_t parts = 1;
  size_t len = strlen(s);

  for (const char *p = s; *p; p++)
    parts += *p == sep;
  char **list = malloc((parts + 1) * sizeof(char *) + len + 1);
  if (!list)
    return NULL;
  char *text = (char *)(list + parts + 1);
  memcpy(text, s, len + 1);
  size_t i = 0;
  list[i++] = text;
  for (char *p = text; *p; p++)
    if (*p == sep) {
      *p = '\0';
      list[i++] = p + 1;
    }
  list[i] = NULL;
  return list;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Optimal string alignment, three rows of its table at a time. */
size_t str_distance(const char *a, const char *b) {
  size_t rows[3][64], n = strlen(a), m = strlen(b);

  if (n >= ARRAY_LEN(rows[0]) || m >= ARRAY_LEN(rows[0]))
    return SIZE_MAX;
  for (size_t k = 0; k <= m; k++)
    rows[0][k] = k;
  for (size_t i = 1; i <= n; i++) {
    size_t *row = rows[i % 3];
    const size_t *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (size_t k = 1; k <= m; k++) {
      row[k] = least(least(above[k], row[k - 1]) + 1, above[k - 1] + (a[i - 1] != b[k - 1]));
      if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
        row[k] = least(row[k], two_above[k - 2] + 1);
    }
  }
  return rows[n % 3][m];
}

bool str_to_i64(const char *s, int64_t *out) {
  char *end;

  if (!s || !(isdigit((unsigned char)*s) || (*s == '-' && isdigit((unsigned char)s[1]))))
    return false;
  errno = 0;
  long long v = strtoll(s, &end, 10);
  if (errno || *end)
    return false;
  *out = v;
  return true;
}

bool str_to_ms(const char *text, int64_t *out) {
  static const struct {
    const char *suffix;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
  size_t digits = strspn(text, "0123456789");
  _cleanup_free_ char *number = str_copy(text, digits);
  int64_t n;

  if (!number || !str_to_i64(number, &n) || n > INT64_MAX / 3600000)
    return false;
  for (size_t i = 0; i < ARRAY_LEN(units); i++)
    if (streq(text + digits, units[i].suffix)) {
      *out = n * units[i].ms;
      return true;
    }
  return false;
}

bool str_to_u64(const char *s, uint64_t *out) {
  char *end;

  if (!s || !isdigit((unsigned char)*s))
    return false;
  errno = 0;
  unsigned long long v = strtoull(s, &end, 10);
  if (errno || *end)
    return false;
  *out = v;
  return true;
}

/* Lower-case letters, digits and, but at the ends, '-'. */
static bool is_label(const char *s, size_t len) {
  if (len == 0 || s[0] == '-' || s[len - 1] == '-')
    return false;
  for (size_t i = 0; i < len; i++)
    if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-')
      return false;
  return true;
}

bool is_dns_label(const char *s) {
  size_t len = s ? strlen(s) : 0;

  return len <= 63 && is_label(s, len);
}

bool is_dns_subdomain(const char *s) {
  size_t len = s ? strlen(s) : 0;

  if (len == 0 || len > 253)
    return false;
  for (;;) {
    size_t n = strcspn(s, ".");
    if (!is_label(s, n))
      return false;
    if (!s[n])
      return true;
    s += n + 1;
  }
}

void hex_encode(const uint8_t *data, size_t len, char *out) {
  static const char digits[] = "0123456789abcdef";

  for (size_t i = 0; i < len; i++) {
    out[2 * i] = digits[data[i] >> 4];
    out[2 * i + 1] = digits[data[i] & 15];
  }
  out[2 * len] = '\0';
}

static int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool hex_decode(const char *hex, uint8_t *out, size_t len) {
  if (!hex || strlen(hex) != 2 * len)
    return false;
  for (size_t i = 0; i < len; i++) {
    int hi = hex_value(hex[2 * i]);
    int lo = hex_value(hex[2 * i + 1]);
    if (hi < 0 || lo < 0)
      return false;
    out[i] = (uint8_t)(hi << 4 | lo);
  }
  return true;
}

char *base64_encode(const void *data, size_t len) {
  if (len > INT32_MAX / 2)
    return NULL;
  char *out = malloc(4 * ((len + 2) / 3) + 1);
  if (out)
    (void)EVP_EncodeBlock((unsigned char *)out, data, (int)len);
  return out;
}

char *base64_decode(const char *text, size_t *out_len) {
  size_t len = strlen(text);

  if (len % 4 || len > INT32_MAX / 2)
    return NULL;
  char *out = malloc(len / 4 * 3 + 1);
  if (!out)
    return NULL;
  int n = len ? EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len) : 0;
  if (n < 0) {
    free(out);
    return NULL;
  }
  size_t pad = len && text[len - 1] == '=' ? (text[len - 2] == '=' ? 2 : 1) : 0;
  *out_len = (size_t)n - pad;
  out[*out_len] = '\0';
  return out;
}

void sha256_hex(const void *data, size_t len, char out[65]) {
  uint8_t sum[SHA256_DIGEST_LENGTH];

  (void)SHA256(data, len, sum);
  hex_encode(sum, sizeof(sum), out);
}

char *url_encode(const char *s, bool keep_slash) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (isalnum(c) || strchr("-._~", c) || (keep_slash && c == '/'))
      buf_addc(&b, (char)c);
    else
      buf_addf(&b, "%%%02X", c);
  }
  return buf_take(&b);
}

char *url_decode(const char *s, size_t len) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < len; i++) {
    if (s[i] == '%' && i + 2 < len && hex_value(s[i + 1]) >= 0 && hex_value(s[i + 2]) >= 0) {
      buf_addc(&b, (char)(hex_value(s[i + 1]) << 4 | hex_value(s[i + 2])));
      i += 2;
    } else {
      buf_addc(&b, s[i]);
    }
  }
  return buf_take(&b);
}

void format_bytes(uint64_t bytes, char out[32]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double v = (double)bytes;
  size_t u = 0;

  while (v >= 1024 && u + 1 < ARRAY_LEN(units)) {
    v /= 1024;
    u++;
  }
  (void)snprintf(out, 32, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void format_age(int64_t seconds, char out[32]) {
  int64_t s = seconds < 0 ? 0 : seconds;
  int64_t m = s / 60;
  int64_t h = m / 60;
  int64_t d = h / 24;

  if (s < 120)
    (void)snprintf(out, 32, "%ds", (int)s);
  else if (m < 10 && s % 60)
    (void)snprintf(out, 32, "%dm%ds", (int)m, (int)(s % 60));
  else if (m < 180)
    (void)snprintf(out, 32, "%dm", (int)m);
  else if (h < 8 && m % 60)
    (void)snprintf(out, 32, "%dh%dm", (int)h, (int)(m % 60));
  else if (h < 48)
    (void)snprintf(out, 32, "%dh", (int)h);
  else if (d < 8 && h % 24)
    (void)snprintf(out, 32, "%dd%dh", (int)d, (int)(h % 24));
  else if (d < 730)
    (void)snprintf(out, 32, "%dd", (int)d);
  else if (d < 8 * 365 && d % 365)
    (void)snprintf(out, 32, "%dy%dd", (int)(d / 365), (int)(d % 365));
  else
    (void)snprintf(out, 32, "%dy", (int)(d / 365));
}
