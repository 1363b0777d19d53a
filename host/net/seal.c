#include "net/seal.h"

#include "base/str.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC 32u /* bytes of an X25519 key, RFC 7748 §5 */
#define SHARED 32u
#define KEY 32u /* of ChaCha20-Poly1305, RFC 8439 §2.8 */
#define NONCE 12u
#define TAG 16u
#define MOST ((size_t)4 << 20)

static const char label[] = "ome.io seal 1"; /* of the key derivation: another format is another label */

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)
DEFINE_CLEANUP(EVP_KDF *, EVP_KDF_free)
DEFINE_CLEANUP(EVP_KDF_CTX *, EVP_KDF_CTX_free)

struct seal_key {
  EVP_PKEY *pair;
  uint8_t raw[PUBLIC];
  char *text;
};

/* What one text is encrypted with. */
struct secrets {
  uint8_t key[KEY];
  uint8_t nonce[NONCE];
};

static void secrets_fini(struct secrets *s) {
  OPENSSL_cleanse(s, sizeof(*s));
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

void seal_key_free(struct seal_key *k) {
  if (!k)
    return;
  EVP_PKEY_free(k->pair); /* which wipes it */
  free(k->text);
  free(k);
}

static bool make_pair(EVP_PKEY **pair, uint8_t raw[PUBLIC]) {
  size_t len = PUBLIC;

  *pair = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
  return *pair && EVP_PKEY_get_raw_public_key(*pair, raw, &len) == 1 && len == PUBLIC;
}

int32_t seal_key_new(struct seal_key **out, struct ome_err *err) {
  _cleanup_(seal_key_freep) struct seal_key *k = calloc(1, sizeof(*k));

  if (!k || !make_pair(&k->pair, k->raw) || !(k->text = base64_encode(k->raw, PUBLIC)))
    return fail(err, OME_E_NO_MEMORY, "cannot make an X25519 key pair");
  *out = k;
  k = NULL;
  return OME_OK;
}

const char *seal_key_public(const struct seal_key *k) {
  return k->text;
}

/* ---- what both ends come to -------------------------------------------------------------------------------------- */

/* OpenSSL refuses the points of small order, which would give everybody the same secret (RFC 7748 §6.1). */
static bool agree(EVP_PKEY *own, EVP_PKEY *other, uint8_t shared[SHARED]) {
  _cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
  size_t len = SHARED;

  return ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, other) == 1 &&
         EVP_PKEY_derive(ctx, shared, &len) == 1 && len == SHARED;
}

/* Both public keys are part of it: a text means something between these two only. */
static bool derive(const uint8_t shared[SHARED], const uint8_t writer[PUBLIC], const uint8_t reader[PUBLIC],
                   struct secrets *out) {
  _cleanup_(EVP_KDF_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
  _cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
  uint8_t salt[2 * PUBLIC], bytes[KEY + NONCE];
  char sha256[] = "SHA256";

  memcpy(salt, writer, PUBLIC);
  memcpy(salt + PUBLIC, reader, PUBLIC);
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string("digest", sha256, 0),
      OSSL_PARAM_construct_octet_string("key", (void *)(uintptr_t)shared, SHARED),
      OSSL_PARAM_construct_octet_string("salt", salt, sizeof(salt)),
      OSSL_PARAM_construct_octet_string("info", (void *)(uintptr_t)label, sizeof(label) - 1),
      OSSL_PARAM_construct_end(),
  };
  bool ok = ctx && EVP_KDF_derive(ctx, bytes, sizeof(bytes), params) == 1;
  if (ok) {
    memcpy(out->key, bytes, KEY);
    memcpy(out->nonce, bytes + KEY, NONCE);
  }
  OPENSSL_cleanse(bytes, sizeof(bytes));
  return ok;
}

static bool find_secrets(EVP_PKEY *own, EVP_PKEY *other, const uint8_t writer[PUBLIC], const uint8_t reader[PUBLIC],
                         struct secrets *out) {
  uint8_t shared[SHARED];
  bool ok = agree(own, other, shared) && derive(shared, writer, reader, out);

  OPENSSL_cleanse(shared, sizeof(shared));
  return ok;
}

/* ---- sealing ----------------------------------------------------------------------------------------------------- */

/* OUT: LEN bytes and the tag. */
static bool encrypt(const struct secrets *s, const char *context, const char *text, size_t len, uint8_t *out) {
  _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  int n;

  return ctx && EVP_EncryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, s->key, s->nonce) == 1 &&
         EVP_EncryptUpdate(ctx, NULL, &n, (const uint8_t *)context, (int)strlen(context)) == 1 &&
         EVP_EncryptUpdate(ctx, out, &n, (const uint8_t *)text, (int)len) == 1 &&
         EVP_EncryptFinal_ex(ctx, out + n, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, out + len) == 1;
}

int32_t seal_text(const char *public_key, const char *context, const char *text, size_t len, char **out,
                  struct ome_err *err) {
  size_t nreader = 0;
  _cleanup_free_ uint8_t *reader = (uint8_t *)base64_decode(public_key, &nreader);
  _cleanup_(EVP_PKEY_freep) EVP_PKEY *to =
      reader && nreader == PUBLIC ? EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, reader, PUBLIC) : NULL;
  _cleanup_(EVP_PKEY_freep) EVP_PKEY *own = NULL;
  _cleanup_(secrets_fini) struct secrets s = {{0}, {0}};

  if (!to)
    return fail(err, OME_E_INVALID, "\"%.60s\" is no X25519 public key in base64", public_key);
  if (len > MOST)
    return fail(err, OME_E_INVALID, "a text of %zu bytes is too long to be sealed", len);
  _cleanup_free_ uint8_t *bytes = malloc(PUBLIC + len + TAG);
  if (!bytes)
    return fail_memory(err);
  if (!make_pair(&own, bytes) || !find_secrets(own, to, bytes, reader, &s) ||
      !encrypt(&s, context, text, len, bytes + PUBLIC))
    return fail(err, OME_E_INVALID, "cannot seal for the X25519 public key \"%.60s\"", public_key);
  *out = base64_encode(bytes, PUBLIC + len + TAG);
  return *out ? OME_OK : fail_memory(err);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static bool decrypt(const struct secrets *s, const char *context, uint8_t *bytes, size_t len, char *out) {
  _cleanup_(EVP_CIPHER_CTX_freep) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  int n;

  return ctx && EVP_DecryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, s->key, s->nonce) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, bytes + len) == 1 &&
         EVP_DecryptUpdate(ctx, NULL, &n, (const uint8_t *)context, (int)strlen(context)) == 1 &&
         EVP_DecryptUpdate(ctx, (uint8_t *)out, &n, bytes, (int)len) == 1 &&
         EVP_DecryptFinal_ex(ctx, (uint8_t *)out + n, &n) == 1;
}

int32_t seal_open(const struct seal_key *k, const char *context, const char *sealed, char **out, size_t *len,
                  struct ome_err *err) {
  size_t n = 0;
  _cleanup_free_ uint8_t *bytes = (uint8_t *)base64_decode(sealed, &n);
  _cleanup_(secrets_fini) struct secrets s = {{0}, {0}};

  if (!bytes || n < PUBLIC + TAG || n > MOST + PUBLIC + TAG)
    return fail(err, OME_E_CORRUPT, "no sealed text");
  *len = n - PUBLIC - TAG;
  _cleanup_(EVP_PKEY_freep) EVP_PKEY *from = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, bytes, PUBLIC);
  char *text = calloc(1, *len + 1);
  if (!text)
    return fail_memory(err);
  if (!from || !find_secrets(k->pair, from, bytes, k->raw, &s) || !decrypt(&s, context, bytes + PUBLIC, *len, text)) {
    OPENSSL_cleanse(text, *len);
    free(text);
    return fail(err, OME_E_CORRUPT, "sealed for somebody or something else, or changed");
  }
  *out = text;
  return OME_OK;
}
