/* What the Blob service says in XML and headers.  Reads outside bytes, does no I/O. */
#ifndef PLUGINS_STORAGE_AZURE_ANSWER_H
#define PLUGINS_STORAGE_AZURE_ANSWER_H

#include "azure_uri.h"

#include <ome/storage.h>

#define AZURE_MARKER_TEXT 2048
#define AZURE_SHA256 "ome_sha256" /* of a blob's own metadata */

struct azure_blob {
  char name[AZURE_NAME_TEXT];
  uint64_t size;
  char etag[128];       /* with its quotes; "" */
  uint32_t digest_type; /* OME_DIGEST_*: the uploader's SHA-256, else the MD5 that it or the service left */
  char digest[65];      /* lower-case hex */
  int is_archived;      /* it cannot be read at once */
  int is_folder;        /* a folder of a hierarchical namespace */
};

/* One page of List Blobs: each blob to ON_BLOB, whose non-zero answer ends it and is returned.  NEXT: the marker of the
 * next page, "" when this is the last.  OME_E_INVALID: it is no such page. */
int32_t azure_page_read(const char *xml, size_t len, int32_t (*on_blob)(void *arg, const struct azure_blob *b),
                        void *arg, char next[AZURE_MARKER_TEXT]);

/* What the headers of Get Blob Properties say; NAME stays.  -1: they have no size. */
int azure_headers_read(const struct ome_kv *headers, uint64_t n, struct azure_blob *out);

/* The first line of the message of a refusal; "" none. */
void azure_error_read(const char *xml, size_t len, char *why, size_t size);

/* What to do about an error code; NULL: nothing in particular.  ANONYMOUS: nobody was said to ask. */
const char *azure_advice(const char *code, int anonymous);

#endif
