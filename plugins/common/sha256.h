/* SHA-256 (OpenSSL), for plugins that name content by it. */
#ifndef PLUGINS_COMMON_SHA256_H
#define PLUGINS_COMMON_SHA256_H

#include <stddef.h>

#define SHA256_TEXT 65 /* lower-case hex and its end */

struct sha256;
struct sha256 *sha256_new(void); /* NULL: out of memory */
void sha256_add(struct sha256 *s, const void *data, size_t len);
void sha256_end(struct sha256 *s, char out[SHA256_TEXT]); /* frees S */

/* Of LEN bytes; -1: out of memory. */
int sha256_of(const void *data, size_t len, char out[SHA256_TEXT]);

#endif
