/* The transfer engine: the files of one model, in ranges, several at a time, into a folder; resumed after any end.
 *
 * A file is staged at its full size beside a ledger of the ranges that are there. What the ledger says need not be
 * true: every byte is hashed against the digest the storage plugin gave before a file counts, and a file that does not
 * match is fetched anew once. Memory: RANGES_AT_ONCE connections, each with libcurl's 16 KiB. */
#ifndef HOST_TRANSFER_TRANSFER_H
#define HOST_TRANSFER_TRANSFER_H

#include "base/json.h"
#include "net/http_client.h"
#include "plugin/plugin.h"

#define RANGES_AT_ONCE 6u
#define RANGE_BYTES ((uint64_t)8 << 20)

struct manifest_file {
  char *path;   /* relative, safe */
  char *digest; /* lower-case hex; NULL: none */
  char *url;    /* NULL: plugin_storage_read() */
  char *etag;
  uint32_t digest_type; /* OME_DIGEST_* */
  uint64_t size;
};

struct manifest {
  char *revision; /* pinned; NULL: the backend has none */
  struct manifest_file *files;
  size_t n;
  uint64_t bytes; /* of all */
};

/* Asks the storage plugin. Names that leave the folder, and lists beyond 100,000 files, are refused. */
int32_t manifest_fetch(struct plugin_instance *storage, const struct plugin_call *call, const struct ome_model_ref *ref,
                       struct manifest *out, struct ome_err *err);
void manifest_fini(struct manifest *m);

enum transfer_event { TRANSFER_PROGRESS, TRANSFER_RETRY, TRANSFER_FILE };

struct transfer_progress {
  enum transfer_event event;
  uint64_t bytes, total_bytes;
  size_t files, total_files;
  double bytes_per_second; /* over the last seconds */
  const char *message;     /* file name, or why it is tried again */
};

struct transfer_job {
  struct http_client *http;
  struct plugin_instance *storage;
  const struct ome_model_ref *ref;
  const struct manifest *manifest;
  const char *dir; /* made when absent */
  bool (*cancelled)(void *arg);
  void (*on_progress)(void *arg, const struct transfer_progress *p); /* about four times a second, and on events */
  void *arg;
};

/* Brings every file of the manifest into job->dir, verified and synced.  Blocks.  Retryable errors were retried five
 * times with back-off before they come out. */
int32_t transfer_run(const struct transfer_job *job, struct ome_err *err);

/* Checks the digest of PATH (as the manifest says it): OME_E_CORRUPT when it does not match. */
int32_t transfer_verify(const char *path, const struct manifest_file *file, bool (*cancelled)(void *), void *arg,
                        struct ome_err *err);

#endif
