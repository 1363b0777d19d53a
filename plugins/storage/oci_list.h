/* Answers of Object Storage: pages of objects, errors, checksums.  Reads outside bytes, does no I/O. */
#ifndef PLUGINS_STORAGE_OCI_LIST_H
#define PLUGINS_STORAGE_OCI_LIST_H

#include <ome/abi.h>

#include <stddef.h>
#include <stdint.h>

#define OCI_NAME_TEXT 1025 /* of an object, with its end */
#define OCI_HEX_TEXT 65

struct oci_object {
  const char *name;
  uint64_t size;
  const char *md5;  /* lower-case hex; "" for objects uploaded in parts, whose MD5 the service does not know */
  const char *etag; /* "" where there is none */
  int is_archived;  /* it has to be restored before it can be read */
};

/* One page of ListObjects: each object to ON_OBJECT, whose non-zero answer ends it and is returned.  NEXT: where the
 * next page starts, "" when this is the last. */
int32_t oci_page_read(const char *text, size_t len, const char *what,
                      int32_t (*on_object)(void *arg, const struct oci_object *o), void *arg, char next[OCI_NAME_TEXT],
                      struct ome_err *err);

/* {"code","message"} in one line, and the code alone; "" none. */
void oci_error_read(const char *text, size_t len, char *why, size_t size, char code[64]);

/* A JSON string (GetNamespace, and a member of an object: KEY not NULL); -1: it is none, or not of letters, digits,
 * "._-".
 */
int oci_word_read(const char *text, size_t len, const char *key, char *out, size_t size);

/* The commit of an upload in parts: {"partsToCommit":[{"partNum","etag"}]}; the caller's to free; NULL: out of memory.
 */
char *oci_commit_body(char *const *etags, uint32_t n);

#endif
