/* Pieces of remote files into memory, a few hundred at a time and all in flight together: for looking at a model
 * without fetching it. */
#ifndef HOST_TRANSFER_PEEK_H
#define HOST_TRANSFER_PEEK_H

#include "net/http_client.h"
#include "transfer/manifest.h"

/* One piece.  FILE, OFFSET and LEN are asked; the rest is answered. */
struct peek {
  const struct manifest_file *file;
  uint64_t offset;
  size_t len;
  struct buf data; /* LEN bytes, fewer where the file ends before; the caller's to release */
  uint64_t size;   /* of the file, where the answer says so; else OME_SIZE_UNKNOWN */
  int32_t rc;      /* of this piece */
  struct ome_err err;
};

struct peek_source {
  struct http_client *client;
  struct plugin_instance *plugin;
  const struct ome_model_ref *ref;
  const struct plugin_call *call; /* circumstances of calls; its cancelled() is asked while waiting */
};

/* Fills PIECES and returns when each has an answer: what passes (429, 5xx, a lost connection) is tried again a few
 * times.  Fails only when nothing could be asked or the caller wants to stop; look at each rc.  A server that does not
 * know ranges is read up to the end of the piece.  [any-thread] */
int32_t peek_all(const struct peek_source *s, struct peek *pieces, size_t n, struct ome_err *err);

#endif
