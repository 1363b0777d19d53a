/* Small string functions.  Results marked "new" are the caller's to free; NULL only when memory ran out. */
#ifndef HOST_BASE_STR_H
#define HOST_BASE_STR_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool streq(const char *a, const char *b); /* NULL equals NULL only */
bool has_prefix(const char *s, const char *prefix);
bool has_suffix(const char *s, const char *suffix);

/* new: as asprintf */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* new: a copy of [s, s+len) */
char *str_copy(const char *s, size_t len);

/* new: a copy of S with ASCII letters in lower case */
char *str_lower(const char *s);

/* new: NULL-terminated array of the parts of S between SEP characters, one allocation: free() the array only. */
char **str_split(const char *s, char sep);

/* How many letters a person would have to add, leave out, change or swap with the next to make B of A; SIZE_MAX: one of
 * them has more than 63. */
size_t str_distance(const char *a, const char *b);

/* Whole-string decimal; false when S is not exactly one number in range. */
bool str_to_i64(const char *s, int64_t *out);
bool str_to_ms(const char *text, int64_t *out); /* "150ms", "10s", "5m", "2h" in milliseconds */
bool str_to_u64(const char *s, uint64_t *out);

/* RFC 1123 as Kubernetes reads it: label up to 63, subdomain up to 253, lower case. */
bool is_dns_label(const char *s);
bool is_dns_subdomain(const char *s);

/* Lower-case hex of LEN bytes into OUT (2*LEN+1). */
void hex_encode(const uint8_t *data, size_t len, char *out);
bool hex_decode(const char *hex, uint8_t *out, size_t len); /* exactly 2*LEN digits */

/* new: RFC 4648 §4.  Decode returns NULL on bad input too; OUT_LEN excludes the added NUL. */
char *base64_encode(const void *data, size_t len);
char *base64_decode(const char *text, size_t *out_len);

/* SHA-256 of LEN bytes, lower-case hex into OUT. */
void sha256_hex(const void *data, size_t len, char out[65]);

/* new: percent-encoded (RFC 3986 unreserved kept, and '/' when KEEP_SLASH) and decoded. */
char *url_encode(const char *s, bool keep_slash);
char *url_decode(const char *s, size_t len);

/* "1.5 GiB" into a static-size buffer. */
void format_bytes(uint64_t bytes, char out[32]);

/* Kubernetes age: "5s", "3m10s", "2h", "7d". */
void format_age(int64_t seconds, char out[32]);

#endif
