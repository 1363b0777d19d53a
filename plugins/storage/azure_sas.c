#include "azure_sas.h"

#include "../common/encode.h"
#include "../common/http.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

static void time_text(time_t when, char out[32]) {
  struct tm t;

  (void)gmtime_r(&when, &t);
  (void)strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &t);
}

/* The container, a blob, a snapshot of it, a version of it. */
static const char *kind_of(const struct azure_sas *s) {
  return !*s->blob ? "c" : strncmp(s->version, "snapshot=", 9) == 0 ? "bs" : *s->version ? "bv" : "b";
}

/* permissions, start, expiry, resource, identifier, IP, protocol, version of the API, kind, snapshot, encryption scope,
 * and five headers of the answer. */
int azure_sas_string(const struct azure_sas *s, char *out, size_t size) {
  const char *at = strchr(s->version, '=');
  char expires[32];

  time_text(s->expires, expires);
  int n = snprintf(out, size, "%s\n\n%s\n/blob/%s/%s%s%s\n\n\n\n" AZURE_VERSION "\n%s\n%s\n\n\n\n\n\n", s->permissions,
                   expires, s->account, s->container, *s->blob ? "/" : "", s->blob, kind_of(s), at ? at + 1 : "");
  return n > 0 && (size_t)n < size ? 0 : -1;
}

int azure_sas_make(const struct azure_sas *s, const char *key, char *out, size_t size) {
  unsigned char raw[96], mac[EVP_MAX_MD_SIZE];
  unsigned int len = 0;
  char text[4096], signature[BASE64_TEXT(EVP_MAX_MD_SIZE)], encoded[3 * sizeof(signature)], expires[32];
  int nkey = base64_read(key, strlen(key), raw, sizeof(raw));
  int ok = nkey > 0 && azure_sas_string(s, text, sizeof(text)) == 0 &&
           HMAC(EVP_sha256(), raw, nkey, (const unsigned char *)text, strlen(text), mac, &len) &&
           base64_write(mac, len, signature, sizeof(signature)) == 0 &&
           uri_encode(signature, 0, encoded, sizeof(encoded)) == 0;

  OPENSSL_cleanse(raw, sizeof(raw));
  if (!ok)
    return -1;
  time_text(s->expires, expires);
  int n = snprintf(out, size, "sv=" AZURE_VERSION "&sr=%s&sp=%s&se=%.13s%%3A%.2s%%3A%.3s&sig=%s", kind_of(s),
                   s->permissions, expires, expires + 14, expires + 17, encoded);
  return n > 0 && (size_t)n < size ? 0 : -1;
}

int azure_sas_take(const char *text, char *out, size_t size) {
  text += strspn(text, "? \t\r\n");
  size_t len = strcspn(text, " \t\r\n");

  if (len >= size || text[len + strspn(text + len, " \t\r\n")])
    return -1;
  memcpy(out, text, len);
  out[len] = '\0';
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f || strchr("#\"<>\\^`{|}?", text[i]))
      return -1;
  return strncmp(out, "sig=", 4) == 0 || strstr(out, "&sig=") ? 0 : -1;
}
