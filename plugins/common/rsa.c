#include "rsa.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdint.h>
#include <string.h>

static int on_passphrase(char *to, int size, int writing, void *arg) {
  const char *text = arg;
  size_t n = text ? strlen(text) : 0;

  (void)writing;
  if (n == 0 || n > (size_t)size)
    return -1;
  memcpy(to, text, n);
  return (int)n;
}

EVP_PKEY *rsa_key_read(const char *pem, size_t len, const char *passphrase) {
  BIO *bio = len <= (1u << 20) ? BIO_new_mem_buf(pem, (int)len) : NULL;
  EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, (void *)(uintptr_t)passphrase) : NULL;

  (void)BIO_free(bio);
  if (key && (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) < RSA_MIN_BITS)) {
    EVP_PKEY_free(key);
    key = NULL;
  }
  return key;
}

int rsa_sign(EVP_PKEY *key, const void *data, size_t len, unsigned char out[RSA_MAX_SIGNATURE]) {
  size_t n = RSA_MAX_SIGNATURE;
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  int ok = ctx && (size_t)EVP_PKEY_get_size(key) <= n && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
           EVP_DigestSign(ctx, out, &n, data, len) == 1;

  EVP_MD_CTX_free(ctx);
  return ok ? (int)n : -1;
}
