/* What Google Cloud Storage says in JSON: pages of objects, one object, refusals.  Reads outside bytes, does no I/O. */
#ifndef PLUGINS_STORAGE_GCS_ANSWER_H
#define PLUGINS_STORAGE_GCS_ANSWER_H

#include <ome/storage.h>

#include <stddef.h>

#define GCS_PAGE_TEXT 2048

/* The members of an object resource that are asked for. */
#define GCS_FIELDS "name,size,generation,md5Hash,crc32c,contentEncoding,metadata"

struct gcs_object {
  const char *name;
  uint64_t size;
  const char *generation; /* decimal */
  uint32_t digest_type; /* OME_DIGEST_*: the uploader's SHA-256, the service's MD5 (not of composed objects), CRC-32C */
  char digest[65];      /* lower-case hex */
  int is_compressed;    /* it is kept as gzip and sent as what that holds */
};

/* One page of objects.list: each object to ON_OBJECT, whose non-zero answer ends it and is returned.  NEXT: the token
 * of the next page, "" when this is the last.  WHAT is for messages. */
int32_t gcs_page_read(const char *text, size_t len, const char *what,
                      int32_t (*on_object)(void *arg, const struct gcs_object *o), void *arg, char next[GCS_PAGE_TEXT],
                      struct ome_err *err);

/* An object resource (objects.get), likewise. */
int32_t gcs_object_read(const char *text, size_t len, const char *what,
                        int32_t (*on_object)(void *arg, const struct gcs_object *o), void *arg, struct ome_err *err);

/* {"error": {"message", "errors": [{"reason"}]}}, or the text itself where it is none, in one line. */
void gcs_error_read(const char *text, size_t len, char *why, size_t size, char reason[64]);

/* What to do about a refusal; NULL: nothing in particular.  ANONYMOUS: nobody was said to ask. */
const char *gcs_advice(int status, const char *reason, int anonymous);

/* The end of the bytes that a resumable upload has kept, as "Range: bytes=0-LAST" says; 0: none. */
uint64_t gcs_kept_of(const char *range);

/* What objects.insert is told: name, MD5 in base64, our SHA-256; NULL where they are not known.  The caller's to free;
 * NULL: out of memory. */
char *gcs_insert_body(const char *name, const char *md5, const char *sha256);

#endif
