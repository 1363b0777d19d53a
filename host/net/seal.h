/* Text that only one reader can open: X25519, HKDF-SHA256 and ChaCha20-Poly1305 (RFC 7748, 5869, 8439), by OpenSSL.
 *
 * Each text is sealed with a key pair of its own, so that no two share a key or a nonce.  It is not said who sealed it:
 * anybody who knows the reader's public key can. */
#ifndef HOST_NET_SEAL_H
#define HOST_NET_SEAL_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stddef.h>

/* The reader's key pair; the private half never leaves the process. */
struct seal_key;

int32_t seal_key_new(struct seal_key **out, struct ome_err *err);
void seal_key_free(struct seal_key *k); /* wipes it */
DEFINE_CLEANUP(struct seal_key *, seal_key_free)
/* The public half in base64; valid as long as K. */
const char *seal_key_public(const struct seal_key *k);

/* LEN bytes of TEXT for the reader of PUBLIC_KEY, bound to CONTEXT, which is not hidden; *OUT is base64, new.
 * OME_E_INVALID: PUBLIC_KEY is none. */
int32_t seal_text(const char *public_key, const char *context, const char *text, size_t len, char **out,
                  struct ome_err *err);
/* The text, new, with a NUL after its *LEN bytes; secret: the caller wipes it.  OME_E_CORRUPT: not sealed for K, not
 * for CONTEXT, or changed since. */
int32_t seal_open(const struct seal_key *k, const char *context, const char *sealed, char **out, size_t *len,
                  struct ome_err *err);

#endif
