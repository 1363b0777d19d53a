#include "net/tls.h"

#include "base/str.h"
#include "os/file.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(BIO *, BIO_vfree)
DEFINE_CLEANUP(SSL_CTX *, SSL_CTX_free)

void tls_pair_fini(struct tls_pair *p) {
  free(p->cert_pem);
  if (p->key_pem)
    OPENSSL_cleanse(p->key_pem, strlen(p->key_pem));
  free(p->key_pem);
  p->cert_pem = p->key_pem = NULL;
}

/* OpenSSL's own reason, and an empty queue. */
static int32_t fail_openssl(struct ome_err *err, const char *what) {
  unsigned long e = ERR_peek_last_error();
  const char *why = ERR_reason_error_string(e);

  ERR_clear_error();
  return fail(err, OME_E_INVALID, "TLS: %s: %s", what, why ? why : "failed");
}

static int32_t make_key(EVP_PKEY **out, struct ome_err *err) {
  *out = EVP_EC_gen("P-256");
  return *out ? OME_OK : fail_openssl(err, "make a key");
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value) {
  X509V3_CTX ctx;

  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
  X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
  if (!e)
    return false;
  bool ok = X509_add_ext(cert, e, -1) == 1;
  X509_EXTENSION_free(e);
  return ok;
}

/* A certificate with subject, serial number and validity; unsigned. */
static X509 *new_cert(const char *common_name, int days, EVP_PKEY *key) {
  X509 *cert = X509_new();
  X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
  uint64_t serial;

  if (!cert)
    return NULL;
  random_bytes(&serial, sizeof(serial));
  bool ok = X509_set_version(cert, X509_VERSION_3) == 1 &&
            ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
            X509_gmtime_adj(X509_getm_notBefore(cert), -300) && /* clocks differ a little */
            X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) && X509_set_pubkey(cert, key) == 1;
  ok = ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1;
  if (!ok) {
    X509_free(cert);
    return NULL;
  }
  return cert;
}

static char *bio_text(BIO *bio) {
  char *data;
  long len = BIO_get_mem_data(bio, &data);

  return len > 0 ? strndup(data, (size_t)len) : NULL;
}

static int32_t export_pair(X509 *cert, EVP_PKEY *key, struct tls_pair *out, struct ome_err *err) {
  _cleanup_(BIO_vfreep) BIO *c = BIO_new(BIO_s_mem());
  _cleanup_(BIO_vfreep) BIO *k = BIO_new(BIO_s_secmem());
  struct tls_pair pair = {NULL, NULL};

  if (!c || !k || PEM_write_bio_X509(c, cert) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) != 1)
    return fail_openssl(err, "write a certificate");
  pair.cert_pem = bio_text(c);
  pair.key_pem = bio_text(k);
  if (!pair.cert_pem || !pair.key_pem) {
    tls_pair_fini(&pair);
    return fail_memory(err);
  }
  *out = pair;
  return OME_OK;
}

int32_t tls_make_ca(const char *common_name, int days, struct tls_pair *out, struct ome_err *err) {
  _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
  int32_t rc = make_key(&key, err);

  if (rc != OME_OK)
    return rc;
  _cleanup_(X509_freep) X509 *cert = new_cert(common_name, days, key);
  if (!cert || X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
      !add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE") ||
      !add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature") ||
      !add_extension(cert, cert, NID_subject_key_identifier, "hash") || X509_sign(cert, key, EVP_sha256()) == 0)
    return fail_openssl(err, "make a certificate authority");
  return export_pair(cert, key, out, err);
}

static X509 *read_cert(const char *pem) {
  _cleanup_(BIO_vfreep) BIO *bio = BIO_new_mem_buf(pem, -1);

  return bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
}

static EVP_PKEY *read_key(const char *pem) {
  _cleanup_(BIO_vfreep) BIO *bio = BIO_new_mem_buf(pem, -1);

  return bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
}

static bool add_name(GENERAL_NAMES *names, const char *text) {
  unsigned char ip[16];
  GENERAL_NAME *name = GENERAL_NAME_new();
  ASN1_STRING *value = NULL;
  int type = GEN_DNS;

  if (!name)
    return false;
  if (inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1) {
    type = GEN_IPADD;
    value = ASN1_OCTET_STRING_new();
    if (value && ASN1_STRING_set(value, ip, strchr(text, ':') ? 16 : 4) != 1)
      goto bad;
  } else {
    value = ASN1_IA5STRING_new();
    if (value && ASN1_STRING_set(value, text, -1) != 1)
      goto bad;
  }
  if (!value)
    goto bad;
  GENERAL_NAME_set0_value(name, type, value);
  if (sk_GENERAL_NAME_push(names, name) > 0)
    return true;
  value = NULL; /* NAME owns it */
bad:
  ASN1_STRING_free(value);
  GENERAL_NAME_free(name);
  return false;
}

static bool add_names(X509 *cert, const char *const *names) {
  GENERAL_NAMES *list = sk_GENERAL_NAME_new_null();
  bool ok = list != NULL;

  for (size_t i = 0; ok && names[i]; i++)
    ok = add_name(list, names[i]);
  ok = ok && (!names[0] || X509_add1_ext_i2d(cert, NID_subject_alt_name, list, 0, 0) == 1);
  GENERAL_NAMES_free(list);
  return ok;
}

/* A certificate of servers and clients, for a key that is made for it; CA NULL: signed by that key. */
static int32_t make_leaf(X509 *ca, EVP_PKEY *ca_key, const char *common_name, const char *const *names, int days,
                         struct tls_pair *out, struct ome_err *err) {
  _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
  int32_t rc = make_key(&key, err);

  if (rc != OME_OK)
    return rc;
  _cleanup_(X509_freep) X509 *cert = new_cert(common_name, days, key);
  X509 *issuer = ca ? ca : cert;
  if (!cert || X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 1 ||
      !add_extension(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature") ||
      !add_extension(cert, issuer, NID_ext_key_usage, "serverAuth,clientAuth") ||
      (ca && !add_extension(cert, issuer, NID_authority_key_identifier, "keyid")) || !add_names(cert, names) ||
      X509_sign(cert, ca ? ca_key : key, EVP_sha256()) == 0)
    return fail_openssl(err, "make a certificate");
  return export_pair(cert, key, out, err);
}

int32_t tls_make_leaf(const struct tls_pair *ca, const char *common_name, const char *const *names, int days,
                      struct tls_pair *out, struct ome_err *err) {
  _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = read_key(ca->key_pem);
  _cleanup_(X509_freep) X509 *cert = read_cert(ca->cert_pem);

  if (!key || !cert)
    return fail_openssl(err, "read the certificate authority");
  return make_leaf(cert, key, common_name, names, days, out, err);
}

int32_t tls_make_own(const char *common_name, const char *const *names, int days, struct tls_pair *out,
                     struct ome_err *err) {
  return make_leaf(NULL, NULL, common_name, names, days, out, err);
}

bool tls_fingerprint(const char *cert_pem, char out[65]) {
  _cleanup_(X509_freep) X509 *cert = read_cert(cert_pem);
  unsigned char *der = NULL;
  int len = cert ? i2d_X509(cert, &der) : -1;

  if (len > 0)
    sha256_hex((const char *)der, (size_t)len, out);
  else
    ERR_clear_error();
  OPENSSL_free(der);
  return len > 0;
}

int32_t tls_expires_in(const char *cert_pem, int64_t *out_seconds, struct ome_err *err) {
  _cleanup_(X509_freep) X509 *cert = read_cert(cert_pem);
  int days;
  int seconds;

  if (!cert || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) != 1)
    return fail_openssl(err, "read a certificate");
  *out_seconds = (int64_t)days * 86400 + seconds;
  return OME_OK;
}

/* Chooses http/1.1 when the client offers it; no protocol otherwise. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                           unsigned in_len, void *arg) {
  static const unsigned char ours[] = "\x08http/1.1";

  (void)ssl;
  (void)arg;
  return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours, sizeof(ours) - 1, in, in_len) ==
                 OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_NOACK;
}

static int take_any(int ok, X509_STORE_CTX *store) {
  (void)ok;
  (void)store;
  return 1;
}

static bool trust_clients(SSL_CTX *ctx, const char *ca_pem) {
  /* A client with a certificate that comes back with its session is refused otherwise. */
  static const unsigned char sessions[] = "ome";

  if (SSL_CTX_set_session_id_context(ctx, sessions, sizeof(sessions) - 1) != 1)
    return false;
  if (streq(ca_pem, TLS_ANY_CLIENT)) {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, take_any);
    return true;
  }
  _cleanup_(X509_freep) X509 *ca = read_cert(ca_pem);

  if (!ca || X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca) != 1 || SSL_CTX_add_client_CA(ctx, ca) != 1)
    return false;
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
  return true;
}

int32_t tls_server_replace(struct ssl_ctx_st *ctx, const struct tls_pair *pair, struct ome_err *err) {
  _cleanup_(X509_freep) X509 *cert = read_cert(pair->cert_pem);
  _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = read_key(pair->key_pem);

  if (!cert || !key || SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
    return fail_openssl(err, "read a server's certificate and key");
  return OME_OK;
}

int32_t tls_server_context(const struct tls_pair *pair, const char *client_ca_pem, struct ssl_ctx_st **out,
                           struct ome_err *err) {
  _cleanup_(SSL_CTX_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

  if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
    return fail_openssl(err, "make a server context");
  int32_t rc = tls_server_replace(ctx, pair, err);
  if (rc != OME_OK)
    return rc;
  if (client_ca_pem && !trust_clients(ctx, client_ca_pem))
    return fail_openssl(err, "read the clients' certificate authority");
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* 34 KiB less an idle connection */
  SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
  *out = TAKE_PTR(ctx);
  return OME_OK;
}

void tls_context_free(struct ssl_ctx_st *ctx) {
  SSL_CTX_free(ctx);
}
