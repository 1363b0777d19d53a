/* SHA-256 (FIPS 180-4), of two contents side by side where the processor has instructions for it: each of them waits
 * for the one before, and meanwhile the other content's run.  Two cost little more than one. */
#ifndef HOST_TRANSFER_SHA256_H
#define HOST_TRANSFER_SHA256_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES 32u
#define SHA256_BLOCK 64u

struct sha256 {
  EVP_MD_CTX *md; /* OpenSSL's, where the processor has no such instructions; the rest is not used then */
  uint32_t state[8];
  uint64_t len;
  uint8_t rest[SHA256_BLOCK]; /* LEN % SHA256_BLOCK bytes, of a block that is not whole */
};

/* False: out of memory. */
bool sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
/* LEN bytes to each. */
void sha256_add_both(struct sha256 *a, const void *to_a, struct sha256 *b, const void *to_b, size_t len);
/* Nothing is added after it. */
void sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES]);
void sha256_fini(struct sha256 *s);

#endif
