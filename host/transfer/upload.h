/* Files into a backend: the host's side of upload() of include/ome/storage.h.  The plugin says which requests put a
 * file there, this performs them: several at a time, each tried again, the bodies read from the file as they are sent.
 *
 * Memory: UPLOAD_CONNECTIONS_MAX x 256 KiB of bodies on their way at most, and the answers' bodies, at most
 * UPLOAD_ANSWER_MAX each and UPLOAD_ANSWERS_MAX of one send(); whatever the sizes of the files. */
#ifndef HOST_TRANSFER_UPLOAD_H
#define HOST_TRANSFER_UPLOAD_H

#include "transfer/transfer.h"

#define UPLOAD_CONNECTIONS_MAX 64u
#define UPLOAD_ANSWER_MAX ((size_t)1 << 20)
#define UPLOAD_ANSWERS_MAX ((size_t)64 << 20)
#define UPLOAD_REQUESTS_MAX 10000u /* of one send() */

struct upload_file {
  char *path;      /* below the URI; relative, safe */
  char *from;      /* on this machine */
  uint64_t size;   /* bytes */
  char sha256[65]; /* lower-case hex; filled in before it is sent */
  char md5[65];
};

struct upload_job {
  struct upload_file *files;
  size_t nfiles;
  struct plugin_instance *plugin;
  const struct ome_model_ref *ref;
  uint32_t connections;      /* at a time, of all files; 0: 8, at most UPLOAD_CONNECTIONS_MAX */
  uint32_t attempts;         /* for a request; 0: 6 */
  uint32_t stall_timeout_ms; /* without a byte either way; 0: 120 s, servers take their time after the last byte */
  /* Whether F, hashed, is in its place already and need not be sent.  [any-thread]; may be NULL */
  bool (*is_there)(void *arg, const struct upload_file *f);
  /* One at a time, from several threads; progress about every 500 ms.  May be NULL. */
  void (*event)(void *arg, const struct transfer_event *e);
  bool (*cancelled)(void *arg); /* [any-thread]; asked about every 100 ms; may be NULL */
  void *arg;
};

/* Hashes each file in one pass and sends it.  Blocks until the backend has every file, or until one cannot be sent;
 * OME_E_UNSUPPORTED: the plugin only reads. Several files at a time where the plugin's thread ceiling allows it. */
int32_t upload_run(const struct upload_job *job, struct ome_err *err);

#endif
