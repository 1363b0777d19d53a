#include "oci_sign.h"

#include "../common/encode.h"
#include "../common/rsa.h"

#include <openssl/bio.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is signed ---------------------------------------------------------------------------------------------- */

void oci_date(time_t now, char out[OCI_DATE_TEXT]) {
  static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  struct tm t;

  (void)gmtime_r(&now, &t);
  (void)snprintf(out, OCI_DATE_TEXT, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday,
                 months[t.tm_mon], (t.tm_year + 1900) % 10000, t.tm_hour, t.tm_min, t.tm_sec);
}

int oci_url_split(const char *url, char *host, size_t size, const char **target) {
  int secure = strncmp(url, "https://", 8) == 0;
  const char *usual = secure ? ":443" : ":80";

  if (!secure && strncmp(url, "http://", 7) != 0)
    return -1;
  url += secure ? 8 : 7;
  size_t n = strcspn(url, "/?#");
  *target = url[n] == '/' ? url + n : "/";
  if (n > strlen(usual) && memcmp(url + n - strlen(usual), usual, strlen(usual)) == 0)
    n -= strlen(usual);
  if (n == 0 || n >= size)
    return -1;
  for (size_t i = 0; i < n; i++)
    host[i] = url[i];
  host[n] = '\0';
  return 0;
}

int oci_signing_string(const struct oci_request *r, const char *date, const char *sha256, char *out, size_t size) {
  const char *target;
  char host[300], method[16];
  size_t i = 0;

  if (oci_url_split(r->url, host, sizeof(host), &target) != 0)
    return -1;
  for (; r->method[i] && i + 1 < sizeof(method); i++)
    method[i] = (char)(r->method[i] | 0x20); /* letters only */
  method[i] = '\0';
  int n = snprintf(out, size, "%s: %s\n(request-target): %s %s\nhost: %s", r->is_federation ? "date" : "x-date", date,
                   method, target, host);
  if (n < 0 || (size_t)n >= size)
    return -1;
  if (!r->body)
    return 0;
  int more = snprintf(out + n, size - (size_t)n,
                      "\ncontent-type: application/json\ncontent-length: %zu\nx-content-sha256: %s", r->len, sha256);
  return more < 0 || (size_t)more >= size - (size_t)n ? -1 : 0;
}

/* ---- signing ----------------------------------------------------------------------------------------------------- */

static int sign_text(EVP_PKEY *key, const char *text, char *out, size_t size) {
  unsigned char raw[RSA_MAX_SIGNATURE];
  int n = rsa_sign(key, text, strlen(text), raw);

  return n > 0 ? base64_write(raw, (size_t)n, out, size) : -1;
}

int oci_sign(const struct oci_request *r, const char *key_id, EVP_PKEY *key, time_t now, struct oci_signed *out) {
  static const char *const orders[2][2] = {
      {"x-date (request-target) host", "x-date (request-target) host content-type content-length x-content-sha256"},
      {"date (request-target) host", "date (request-target) host content-type content-length x-content-sha256"}};
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int len = 0;
  char text[8192], signature[1400];

  out->n = 0;
  out->sha256[0] = '\0';
  oci_date(now, out->date);
  if (r->body) {
    if (EVP_Digest(r->body, r->len, digest, &len, EVP_sha256(), NULL) != 1)
      return -1;
    (void)base64_write(digest, len, out->sha256, sizeof(out->sha256));
  }
  if (oci_signing_string(r, out->date, out->sha256, text, sizeof(text)) != 0 ||
      sign_text(key, text, signature, sizeof(signature)) != 0)
    return -1;
  int n = snprintf(out->authorization, sizeof(out->authorization),
                   "Signature version=\"1\",keyId=\"%s\",algorithm=\"rsa-sha256\",headers=\"%s\",signature=\"%s\"",
                   key_id, orders[r->is_federation != 0][r->body != NULL], signature);
  if (n < 0 || (size_t)n >= sizeof(out->authorization))
    return -1;
  out->headers[out->n++] = (struct ome_kv){r->is_federation ? "date" : "x-date", out->date};
  out->headers[out->n++] = (struct ome_kv){"authorization", out->authorization};
  if (r->body) {
    out->headers[out->n++] = (struct ome_kv){"content-type", "application/json"};
    out->headers[out->n++] = (struct ome_kv){"x-content-sha256", out->sha256};
  }
  return 0;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

EVP_PKEY *oci_key_new(void) {
  return EVP_RSA_gen(RSA_MIN_BITS);
}

static void colons(const unsigned char *raw, size_t n, char *out) {
  for (size_t i = 0; i < n; i++)
    (void)snprintf(out + 3 * i, 4, "%02x%s", raw[i], i + 1 < n ? ":" : "");
}

int oci_key_fingerprint(EVP_PKEY *key, char out[48]) {
  unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
  unsigned int len = 0;
  int n = i2d_PUBKEY(key, &der);
  int ok = n > 0 && EVP_Digest(der, (size_t)n, digest, &len, EVP_md5(), NULL) == 1;

  OPENSSL_free(der);
  if (ok)
    colons(digest, len, out);
  return ok ? 0 : -1;
}

static char *base64_of(const unsigned char *der, int len) {
  char *out = len > 0 ? malloc(BASE64_TEXT((size_t)len)) : NULL;

  if (out)
    (void)base64_write(der, (size_t)len, out, BASE64_TEXT((size_t)len));
  return out;
}

char *oci_key_public(EVP_PKEY *key) {
  unsigned char *der = NULL;
  int n = i2d_PUBKEY(key, &der);
  char *out = base64_of(der, n);

  OPENSSL_free(der);
  return out;
}

/* ---- certificates ------------------------------------------------------------------------------------------------ */

/* The value behind the first of NAMES in the subject's organizational units (and other entries). */
static void find_tenancy(X509_NAME *subject, char *out, size_t size) {
  static const char *const names[] = {"opc-tenant:", "opc-identity:"};

  for (int i = 0; i < X509_NAME_entry_count(subject); i++) {
    const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
    const char *text = (const char *)ASN1_STRING_get0_data(s);
    size_t len = (size_t)ASN1_STRING_length(s);
    for (size_t k = 0; k < 2; k++) {
      size_t n = strlen(names[k]);
      if (len > n && len - n < size && memcmp(text, names[k], n) == 0 && !memchr(text, '\0', len)) {
        memcpy(out, text + n, len - n);
        out[len - n] = '\0';
        return;
      }
    }
  }
}

int oci_certificate_read(const char *pem, size_t len, struct oci_certificate *out) {
  unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
  unsigned int n = 0;
  BIO *bio = len <= (1u << 20) ? BIO_new_mem_buf(pem, (int)len) : NULL;
  char no_passphrase[] = ""; /* else a terminal would be asked for one */
  X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, no_passphrase) : NULL;
  int rc = -1;

  memset(out, 0, sizeof(*out));
  if (x && X509_digest(x, EVP_sha1(), digest, &n) == 1) {
    colons(digest, n, out->fingerprint);
    find_tenancy(X509_get_subject_name(x), out->tenancy, sizeof(out->tenancy));
    int size = i2d_X509(x, &der);
    out->base64 = base64_of(der, size);
    rc = out->base64 ? 0 : -1;
  }
  OPENSSL_free(der);
  X509_free(x);
  (void)BIO_free(bio);
  return rc;
}
