/* What an http(s) address names: a file, or a list of files with digests.  Pure. */
#ifndef PLUGINS_STORAGE_HTTP_MANIFEST_H
#define PLUGINS_STORAGE_HTTP_MANIFEST_H

#include <ome/storage.h>

#include <stddef.h>

#define HTTP_MAX_URL 4096
#define HTTP_MAX_FILES ((size_t)100000)

struct http_uri {
  char url[HTTP_MAX_URL];    /* without fragment */
  char origin[512];          /* "https://host:port" */
  char folder[HTTP_MAX_URL]; /* what the paths of a list are below, with its last '/' */
  char name[1024];           /* last part of the path, decoded; "" the address is a folder's */
  char sha256[65];           /* of the fragment; "" none */
};

/* 0, or -1: no http(s) address, too long, with a user in it, a fragment that is not sha256=HEX, a name that is no
 * file's. */
int http_uri_parse(const char *uri, struct http_uri *out);

/* Whether a file of this name is a list: SHA256SUMS, *.sha256sums, index.json. */
int http_is_manifest(const char *name);

/* TEXT in lower case into OUT when it is a SHA-256; -1 otherwise. */
int http_sha256_parse(const char *text, size_t len, char out[65]);

struct http_entry {
  char *path;
  uint64_t size; /* OME_SIZE_UNKNOWN: the list does not say */
  char sha256[65];
};

struct http_manifest {
  struct http_entry *entries;
  size_t n, cap;
};
void http_manifest_fini(struct http_manifest *m);

/* Reads what sha256sum writes, "HEX  PATH" or "HEX *PATH" a line, or {"files": [{"path", "size", "sha256"}]}.
 * OME_E_INVALID: neither, no file in it, or one without a SHA-256. */
int32_t http_manifest_read(const char *text, size_t len, struct http_manifest *out);

#endif
