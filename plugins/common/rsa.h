/* RSA keys and signatures (OpenSSL), for services that know their callers by key. */
#ifndef PLUGINS_COMMON_RSA_H
#define PLUGINS_COMMON_RSA_H

#include <openssl/evp.h>
#include <stddef.h>

#define RSA_MIN_BITS 2048
#define RSA_MAX_SIGNATURE 1024

/* A private RSA key in PEM; NULL: it is none of RSA_MIN_BITS, or PASSPHRASE (may be NULL) does not open it.  Never asks
 * a terminal. */
EVP_PKEY *rsa_key_read(const char *pem, size_t len, const char *passphrase);

/* RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 §8.2) of LEN bytes; its length, or -1. */
int rsa_sign(EVP_PKEY *key, const void *data, size_t len, unsigned char out[RSA_MAX_SIGNATURE]);

#endif
