#include "sha256.h"

#include <openssl/evp.h>

struct sha256 *sha256_new(void) {
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();

  if (ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1)
    return (struct sha256 *)ctx;
  EVP_MD_CTX_free(ctx);
  return NULL;
}

void sha256_add(struct sha256 *s, const void *data, size_t len) {
  (void)EVP_DigestUpdate((EVP_MD_CTX *)s, data, len);
}

void sha256_end(struct sha256 *s, char out[SHA256_TEXT]) {
  static const char digits[] = "0123456789abcdef";
  unsigned char raw[EVP_MAX_MD_SIZE] = {0};
  EVP_MD_CTX *ctx = (EVP_MD_CTX *)s;

  (void)EVP_DigestFinal_ex(ctx, raw, NULL);
  EVP_MD_CTX_free(ctx);
  for (int i = 0; i < 32; i++) {
    out[2 * i] = digits[raw[i] >> 4];
    out[2 * i + 1] = digits[raw[i] & 15];
  }
  out[64] = '\0';
}

int sha256_of(const void *data, size_t len, char out[SHA256_TEXT]) {
  struct sha256 *s = sha256_new();

  if (!s)
    return -1;
  sha256_add(s, data, len);
  sha256_end(s, out);
  return 0;
}
