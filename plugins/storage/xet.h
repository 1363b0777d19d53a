/* Files that a hub keeps in Xet storage: read as terms of xorbs, chunk ranges that files share (Xet protocol
 * specification 1.1, "Download Protocol").
 *
 * The hub gives a token for its content-addressed store (CAS), which says of a file's range which chunks of which xorbs
 * it is and signs the addresses of these.  Chunks are verified by what they unpack to and the file by its SHA-256,
 * which the host computes; chunk hashes are not computed. */
#ifndef PLUGINS_STORAGE_XET_H
#define PLUGINS_STORAGE_XET_H

#include <ome/storage.h>

struct xet;

struct xet_file {        /* borrowed */
  const char *name;      /* for messages: repository and path */
  const char *hash;      /* of the file, hexadecimal */
  const char *token_url; /* of the hub, for a read token */
  const char *bearer;    /* "Bearer TOKEN" of the hub's own token; NULL: none */
};

/* NULL: out of memory. */
struct xet *xet_new(const struct ome_host *host);
void xet_free(struct xet *x);

/* LEN bytes at OFFSET of F into OUT.  [any-thread]  OME_E_CORRUPT: what came is not what xorbs are made of. */
int32_t xet_read(struct xet *x, const struct ome_call *call, const struct xet_file *f, uint64_t offset, uint64_t len,
                 struct ome_byte_sink *out, struct ome_err *err);

#endif
