/* Bytes as text: base64 (RFC 4648, OpenSSL) and hexadecimal digits, as digests and tokens travel. */
#ifndef PLUGINS_COMMON_ENCODE_H
#define PLUGINS_COMMON_ENCODE_H

#include <stddef.h>

/* Size of the base64 of N bytes, with its end. */
#define BASE64_TEXT(n) (((n) + 2) / 3 * 4 + 1)

/* Base64 of §4 into OUT; -1: does not fit. */
int base64_write(const void *data, size_t len, char *out, size_t size);
/* The same of §5, for addresses and tokens, without padding. */
int base64_write_url(const void *data, size_t len, char *out, size_t size);

/* Base64 of §4 or §5, with or without padding, to bytes; their number, or -1: it is none, or SIZE is too small. */
int base64_read(const char *text, size_t len, unsigned char *out, size_t size);

/* Base64 of exactly BYTES bytes to lower-case hex: an MD5 (16), SHA-256 (32), CRC-32C (4); at most 64.  -1: it is not.
 */
int base64_to_hex(const char *text, size_t bytes, char *out, size_t size);
/* Hex of BYTES bytes (at most 64) to base64.  HEX may be NULL.  -1: it is not. */
int base64_from_hex(const char *hex, size_t bytes, char *out, size_t size);

/* LEN bytes in lower-case hex into OUT of 2 LEN + 1. */
void hex_write(const void *data, size_t len, char *out);

#endif
