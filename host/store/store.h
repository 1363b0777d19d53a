/* The model store: what models are made of, once each, whoever wants it.
 *
 *   ROOT/blobs/ab/<sha256>          a content, read-only, verified; its time is always the same, so that a write shows
 *   ROOT/blobs/ab/<sha256>.sums     checksums of its pieces, where it has more than one (transfer/sums.h)
 *   ROOT/manifests/<id>.json        the files of a model: paths, sizes, digests
 *   ROOT/references/<name>.json     who has which manifest where; its time is that of the last use
 *   ROOT/staging/<name>/            what is being brought for a name: session, files/, files.ledger
 *   ROOT/models/                    for folders of models that have no place of their own
 *   ROOT/lock                       taken for moments: to plan, to move a content in, to collect garbage
 *
 * A model's own folder holds hard links to blobs, or copies where it is on another file system.  All state is in these
 * files; whatever is killed at whatever instruction loses what was in flight.  Who brings something holds its session
 * file locked: what the session claims and reserves counts for exactly as long.
 *
 * Any number of processes and threads may use one store.  [any-thread] */
#ifndef HOST_STORE_STORE_H
#define HOST_STORE_STORE_H

#include "base/json.h"
#include "transfer/transfer.h"

struct model_store;

/* ROOT is made when absent. */
int32_t model_store_open(const char *root, struct model_store **out, struct ome_err *err);
void model_store_close(struct model_store *s);
DEFINE_CLEANUP(struct model_store *, model_store_close)
const char *model_store_root(const struct model_store *s); /* absolute */
/* Removes the whole store, unless another process is at work in it. */
int32_t model_store_destroy(struct model_store *s, struct ome_err *err);

struct store_job {
  const char *name; /* of the reference: letters, digits, '.', '-', '_' */
  const char *uri;
  const char *request;       /* what else it was asked with, kept with the reference; may be NULL */
  const char *path;          /* the model's folder, absolute */
  bool owned;                /* it holds nothing else: strangers are removed, and the folder with the reference */
  bool partial;              /* the manifest is a part of what the URI has: what is there of the rest stays */
  bool verify;               /* read what is in the store already; otherwise only what somebody wrote to */
  struct manifest *manifest; /* as listed; sha256 of each file is filled in */
  struct plugin_instance *plugin;
  const struct ome_model_ref *ref;
  uint32_t connections; /* these three as in struct transfer_job */
  uint64_t max_bytes_per_second;
  uint64_t reserve_bytes;
  const struct transfer_swarm *swarm;                       /* NULL: the URI alone */
  void (*event)(void *arg, const struct transfer_event *e); /* on the caller's thread; may be NULL */
  bool (*cancelled)(void *arg);                             /* [any-thread]; may be NULL */
  void *arg;
};

/* Brings every file of the manifest to the folder: from the store, from the folder itself, from a transfer that is
 * under way elsewhere (it waits for it and says for whom), or over the network; verified, durable, and referenced.
 * Errors as transfer_run(); NO_SPACE says what is needed, free and reserved; EXISTS: the folder is not this model's. */
int32_t model_store_bring(struct model_store *s, const struct store_job *job, struct ome_err *err);

/* The reference NAME when it is of URI at PATH and every file there is as it was verified; NULL: not so; new.
 * {uri, request, path, owned, revision, manifest, complete, report} */
struct json_object *model_store_find(struct model_store *s, const char *name, const char *uri, const char *path);
/* The reference NAME, whole or not, and the files that it has (OUT may be NULL); NULL: none; new. */
struct json_object *model_store_reference(struct model_store *s, const char *name, struct manifest *out);
/* What the content of F, a file of URI at REVISION (may be NULL), is called on every node that fetches the same: its
 * SHA-256 where the source pins it, else a digest of what the source does say; "": it says nothing. */
#define STORE_CONTENT_ID 65
void model_store_content_id(const char *uri, const char *revision, const struct manifest_file *f,
                            char out[STORE_CONTENT_ID]);
/* The content SHA256 of SIZE bytes for reading, when it is there as it was verified; -1: it is not. */
int model_store_open_content(const struct model_store *s, const char *sha256, uint64_t size);
/* Keeps REPORT (borrowed), what was found out about the model, with the reference. */
int32_t model_store_annotate(struct model_store *s, const char *name, struct json_object *report, struct ome_err *err);
/* Says that NAME was used just now. */
void model_store_touch(struct model_store *s, const char *name);
/* Whether there is anything of NAME, whole or not. */
bool model_store_holds(struct model_store *s, const char *name);
/* Takes the reference away, the folder when it is owned, and what was being brought; absent is fine.  The blobs go with
 * model_store_gc(). */
int32_t model_store_remove(struct model_store *s, const char *name, struct ome_err *err);
/* Takes the folder away, and what was being brought, and keeps what was asked for: {evicted: when}.  Absent is fine. */
int32_t model_store_evict(struct model_store *s, const char *name, struct ome_err *err);
/* Whether the folder goes with the reference; one that does not stays whatever happens, and its bytes for as long. */
int32_t model_store_set_owned(struct model_store *s, const char *name, bool owned, struct ome_err *err);
/* Bytes of M's files that are not in the store yet, as far as digests say. */
uint64_t model_store_missing(const struct model_store *s, const struct manifest *m);
/* Bytes that the store's file system has left. */
int32_t model_store_free(const struct model_store *s, uint64_t *out, struct ome_err *err);
/* {name, uri, path, revision, owned, complete, files, bytes, uniqueBytes, usedAt} each, least recently used first; new;
 * NULL: ERR says why.  uniqueBytes are those that no other reference shares: what its removal would free. */
struct json_object *model_store_list(struct model_store *s, struct ome_err *err);

struct store_gc_result {
  uint32_t references, blobs, stagings;
  uint64_t bytes;
};
/* Removes blobs that nothing refers to, folders of transfers that nobody will resume, and references whose folder is
 * gone. */
int32_t model_store_gc(struct model_store *s, struct store_gc_result *out, struct ome_err *err);

struct store_damage {
  const char *sha256;
  const char *name, *path; /* a reference that has it and the file's path there; NULL: none */
  uint64_t size, damaged;  /* bytes; all of them where it is not known which */
};
struct store_scrub {
  void (*damage)(void *arg, const struct store_damage *damage); /* may be NULL */
  bool (*cancelled)(void *arg);                                 /* asked every MiB; may be NULL */
  void *arg;
};
struct store_scrub_result {
  uint32_t blobs, damaged;
  uint64_t bytes;
};
/* Reads every blob.  A damaged one is no blob any more: it goes to the staging of a reference that has it, its good
 * pieces marked, and the next model_store_bring() of that fetches the others. */
int32_t model_store_scrub(struct model_store *s, const struct store_scrub *job, struct store_scrub_result *out,
                          struct ome_err *err);

#endif
