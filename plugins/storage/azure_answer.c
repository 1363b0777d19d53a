#include "azure_answer.h"

#include "../common/encode.h"
#include "../common/http.h"
#include "../common/xml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- members ----------------------------------------------------------------------------------------------------- */

static int32_t set_size(struct azure_blob *b, const char *text) {
  size_t n = strlen(text);

  if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
    return OME_E_INVALID;
  b->size = strtoull(text, NULL, 10);
  return OME_OK;
}

/* Lists have it without quotes, headers with them. */
static void set_etag(struct azure_blob *b, const char *text) {
  if (strlen(text) + 3 <= sizeof(b->etag) && strspn(text, "\"0123456789ABCDEFabcdefx-") == strlen(text))
    (void)snprintf(b->etag, sizeof(b->etag), *text == '"' || !*text ? "%s" : "\"%s\"", text);
}

static void set_md5(struct azure_blob *b, const char *text) {
  char hex[65];

  if (b->digest_type == OME_DIGEST_NONE && base64_to_hex(text, 16, hex, sizeof(hex)) == 0) {
    memcpy(b->digest, hex, sizeof(hex));
    b->digest_type = OME_DIGEST_MD5;
  }
}

/* Goes before the MD5, whichever is read first. */
static void set_sha256(struct azure_blob *b, const char *text) {
  if (strlen(text) != 64 || strspn(text, "0123456789abcdef") != 64)
    return;
  memcpy(b->digest, text, sizeof(b->digest));
  b->digest_type = OME_DIGEST_SHA256;
}

/* ---- lists ------------------------------------------------------------------------------------------------------- */

struct page {
  int32_t (*on_blob)(void *arg, const struct azure_blob *b);
  void *arg;
  char *next;
  struct azure_blob now;
  int is_listing;
};

static int32_t on_member(struct page *p, const char *name, const char *text) {
  struct azure_blob *b = &p->now;

  if (strcmp(name, "Name") == 0) {
    if (strlen(text) >= sizeof(b->name))
      return OME_E_INVALID;
    memcpy(b->name, text, strlen(text) + 1);
  } else if (strcmp(name, "Properties/Content-Length") == 0) {
    return set_size(b, text);
  } else if (strcmp(name, "Properties/Etag") == 0) {
    set_etag(b, text);
  } else if (strcmp(name, "Properties/Content-MD5") == 0) {
    set_md5(b, text);
  } else if (strcmp(name, "Properties/AccessTier") == 0) {
    b->is_archived = strcmp(text, "Archive") == 0;
  } else if (strcmp(name, "Properties/ResourceType") == 0) {
    b->is_folder = strcmp(text, "directory") == 0;
  } else if (strcasecmp(name, "Metadata/hdi_isfolder") == 0) {
    b->is_folder = strcmp(text, "true") == 0;
  } else if (strcasecmp(name, "Metadata/" AZURE_SHA256) == 0) {
    set_sha256(b, text);
  }
  return OME_OK;
}

static int32_t on_element(void *arg, const char *path, const char *text) {
  static const char root[] = "EnumerationResults", blob[] = "EnumerationResults/Blobs/Blob";
  struct page *p = arg;
  size_t n = sizeof(blob) - 1;

  if (strncmp(path, root, sizeof(root) - 1) != 0)
    return OME_E_INVALID;
  if (strncmp(path, blob, n) == 0 && path[n] == '/')
    return on_member(p, path + n + 1, text);
  if (strcmp(path, blob) == 0) {
    int32_t rc = *p->now.name ? p->on_blob(p->arg, &p->now) : OME_E_INVALID;
    memset(&p->now, 0, sizeof(p->now));
    return rc;
  }
  if (strcmp(path, "EnumerationResults/NextMarker") == 0) {
    if (strlen(text) >= AZURE_MARKER_TEXT)
      return OME_E_INVALID;
    memcpy(p->next, text, strlen(text) + 1);
  }
  p->is_listing |= strcmp(path, root) == 0;
  return OME_OK;
}

int32_t azure_page_read(const char *xml, size_t len, int32_t (*on_blob)(void *arg, const struct azure_blob *b),
                        void *arg, char next[AZURE_MARKER_TEXT]) {
  struct page *p = calloc(1, sizeof(*p));
  int32_t rc = OME_E_NO_MEMORY;

  next[0] = '\0';
  if (p) {
    p->on_blob = on_blob;
    p->arg = arg;
    p->next = next;
    rc = xml_read(xml, len, on_element, p);
    if (rc == OME_OK && !p->is_listing)
      rc = OME_E_INVALID;
  }
  free(p);
  return rc;
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

int azure_headers_read(const struct ome_kv *headers, uint64_t n, struct azure_blob *out) {
  const char *size = kv_text(headers, n, "content-length"), *etag = kv_text(headers, n, "etag");
  const char *md5 = kv_text(headers, n, "content-md5"), *sha256 = kv_text(headers, n, "x-ms-meta-" AZURE_SHA256);
  const char *tier = kv_text(headers, n, "x-ms-access-tier"), *folder = kv_text(headers, n, "x-ms-meta-hdi_isfolder");

  set_etag(out, etag ? etag : "");
  set_md5(out, md5 ? md5 : "");
  set_sha256(out, sha256 ? sha256 : "");
  out->is_archived = tier && strcmp(tier, "Archive") == 0;
  out->is_folder = folder && strcmp(folder, "true") == 0;
  return set_size(out, size ? size : "") == OME_OK ? 0 : -1;
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

void azure_error_read(const char *xml, size_t len, char *why, size_t size) {
  char message[1024];

  (void)xml_text(xml, len, "Error/Message", message, sizeof(message));
  message[strcspn(message, "\r\n")] = '\0'; /* a request id and a time follow */
  (void)snprintf(why, size, "%s", message);
  for (; *why; why++)
    if ((unsigned char)*why < ' ' || *why == 0x7f)
      *why = ' ';
}

#define WRONG_KEY "the key or the shared access signature is not valid for this account; check it"

static const struct {
  const char *code, *advice;
} advices[] = {
    {"AuthenticationFailed", WRONG_KEY},
    {"AuthorizationFailure", WRONG_KEY ", and whether the account's network rules let this machine in"},
    {"InvalidAuthenticationInfo", "the token is not valid there; check the identity"},
    {"AuthorizationPermissionMismatch",
     "this identity may not do that; give it the role Storage Blob Data Reader, or Contributor to push"},
    {"AuthorizationServiceMismatch", "the shared access signature is for another service; it has to be for blobs"},
    {"AuthorizationResourceTypeMismatch", "the shared access signature has to be for containers and objects"},
    {"KeyBasedAuthenticationNotPermitted", "the account takes no keys; use an identity (workload or managed)"},
    {"InsufficientAccountPermissions", "the account may not do that; ask its owner"},
    {"AccountIsDisabled", "the account is switched off; ask its owner"},
    {"ContainerNotFound", "there is no such container; check its name and the account"},
    {"BlobNotFound", "there is no such blob; check the name"},
    {"BlobArchived", "the blob is archived; rehydrate it first"},
    {"ConditionNotMet", "it was changed meanwhile"},
    {"Md5Mismatch", "the bytes were damaged on the way; try again"},
    {"ServerBusy", "the service limits the rate, try again later"},
};

const char *azure_advice(const char *code, int anonymous) {
  static const char *const hidden[] = {"ResourceNotFound", "NoAuthenticationInformation", "PublicAccessNotPermitted",
                                       "AuthorizationFailure", "AuthenticationFailed"};

  for (size_t i = 0; anonymous && i < sizeof(hidden) / sizeof(*hidden); i++)
    if (strcmp(code, hidden[i]) == 0)
      return "no credentials were found and the container is not public; give them (Secret, environment, identity)";
  for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
    if (strcmp(code, advices[i].code) == 0)
      return advices[i].advice;
  return NULL;
}
