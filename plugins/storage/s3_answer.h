/* What S3 says in XML and in headers.  Pure. */
#ifndef PLUGINS_STORAGE_S3_ANSWER_H
#define PLUGINS_STORAGE_S3_ANSWER_H

#include <ome/storage.h>

#include <stddef.h>

/* ---- ListObjectsV2 ----------------------------------------------------------------------------------------------- */

struct s3_object {
  char *key;
  char *etag; /* with its quotes, as headers have it; NULL: none */
  uint64_t size;
  int is_archived; /* in a storage class that cannot be read at once */
};

struct s3_listing {
  struct s3_object *objects;
  size_t n, cap;
  char *next; /* the continuation token; NULL: that was all */
};
void s3_listing_fini(struct s3_listing *l);

/* Appends the objects of one page; NEXT becomes the page's own.  Keys arrive percent-encoded where the page says so. At
 * most MAX objects in all.  OME_E_INVALID: not the answer of ListObjectsV2, or more than MAX. */
int32_t s3_listing_add(struct s3_listing *l, const char *xml, size_t len, size_t max);

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

/* What to do about an error code of S3; NULL: nothing in particular.  ANONYMOUS: the request was not signed. */
const char *s3_advice(const char *code, int anonymous);

/* ---- digests ----------------------------------------------------------------------------------------------------- */

/* What the headers of HEAD say about an object's content. */
struct s3_digest {
  uint32_t type;   /* OME_DIGEST_*, perhaps OME_DIGEST_OF_PARTS */
  uint32_t parts;  /* with OF_PARTS: how many; their size is not known yet */
  int etag_is_md5; /* not encrypted with keys that make it something else */
  char hex[129];   /* "" with OME_DIGEST_NONE */
};

/* The best digest that HEADERS have: checksums of the whole, of the parts, what tools that upload in parts leave in the
 * object's metadata, and the ETag where it is an MD5: not with the service's own keys or the customer's (SSE-KMS,
 * SSE-C). */
void s3_digest_of(const struct ome_kv *headers, uint64_t n, struct s3_digest *out);

/* Whether PARTS parts of PART_BYTES, the last one shorter, make SIZE. */
int s3_parts_fit(uint64_t size, uint64_t part_bytes, uint32_t parts);

#endif
