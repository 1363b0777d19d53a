/* Keys and signatures of Oracle Cloud: "Signature version 1" (draft-cavage-http-signatures-08, RSA-SHA256), made with
 * OpenSSL.  No I/O. */
#ifndef PLUGINS_STORAGE_OCI_SIGN_H
#define PLUGINS_STORAGE_OCI_SIGN_H

#include <ome/abi.h>

#include <openssl/evp.h>
#include <stddef.h>
#include <time.h>

#define OCI_DATE_TEXT 32
#define OCI_SIGN_MAX 16384 /* bytes of an authorization header */

/* What is signed, of a request. */
struct oci_request {
  const char *method; /* upper case */
  const char *url;    /* absolute, as it will be sent */
  const char *body;   /* NULL: no body, or one that is not signed (an object's bytes) */
  size_t len;
  int is_federation; /* "date" instead of "x-date", other order: how the authentication service wants it */
};

/* "Mon, 23 Nov 2026 10:45:07 GMT" */
void oci_date(time_t now, char out[OCI_DATE_TEXT]);

/* "https://host:port/path?query" in its parts; a port that the scheme implies is left out, as in the Host header.  -1.
 */
int oci_url_split(const char *url, char *host, size_t size, const char **target);

/* The text that is signed; SHA256 is the body's, in base64.  Pure; -1: too long. */
int oci_signing_string(const struct oci_request *r, const char *date, const char *sha256, char *out, size_t size);

/* The headers that make R a signed request; strings inside.  Call fini also after a failure. */
struct oci_signed {
  struct ome_kv headers[4];
  uint64_t n;
  char date[OCI_DATE_TEXT], sha256[64];
  char authorization[OCI_SIGN_MAX]; /* secret enough */
};
/* -1: it cannot be signed (the key is none for RSA, or something is too long). */
int oci_sign(const struct oci_request *r, const char *key_id, EVP_PKEY *key, time_t now, struct oci_signed *out);

EVP_PKEY *oci_key_new(void);
/* MD5 of its public half, "ab:cd:...", as Oracle names API keys; -1. */
int oci_key_fingerprint(EVP_PKEY *key, char out[48]);
/* Its public half in base64 of DER, without line breaks; the caller's to free; NULL. */
char *oci_key_public(EVP_PKEY *key);

struct oci_certificate {
  char tenancy[256];    /* of the subject: opc-tenant: or opc-identity: */
  char fingerprint[64]; /* SHA-1, "ab:cd:..." */
  char *base64;         /* of its DER; the caller's to free */
};
/* -1: PEM holds no certificate. */
int oci_certificate_read(const char *pem, size_t len, struct oci_certificate *out);

#endif
