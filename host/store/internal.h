/* Shared by the files of the store. */
#ifndef HOST_STORE_INTERNAL_H
#define HOST_STORE_INTERNAL_H

#include "base/strmap.h"
#include "store/store.h"

/* Modification time of every blob: 1980-01-01, the first that all archives can write. */
#define BLOB_TIME 315532800

struct model_store {
  char *root;
  bool is_open;
  dev_t device; /* of ROOT when it was opened: on another one there is no store of ours */
};

/* ---- store.c ----------------------------------------------------------------------------------------------------- */

/* The store's lock into *OUT: close() it after a moment. */
int32_t model_store_lock(const struct model_store *s, int *out, struct ome_err *err);

/* ---- blob.c ------------------------------------------------------------------------------------------------------ */

enum blob_state { BLOB_ABSENT, BLOB_GOOD, BLOB_SUSPECT }; /* SUSPECT: somebody wrote to it, or its size is wrong */

bool is_sha256(const char *text);
char *blob_path(const struct model_store *s, const char *sha256); /* new */
char *sums_path(const struct model_store *s, const char *sha256); /* new */
/* The folder that the blob is or will be in. */
int32_t blob_open_folder(const struct model_store *s, const char *sha256, int *out, struct ome_err *err);
enum blob_state blob_look(const struct model_store *s, const char *sha256, uint64_t size);
uint64_t blob_size(const struct model_store *s, const char *sha256); /* OME_SIZE_UNKNOWN: it is not there */
/* The folder of all blobs, which is there. */
int32_t blobs_open(const struct model_store *s, int *out, struct ome_err *err);
/* A blob's path below it. */
#define BLOB_NAME_SIZE 68u
void blob_name(const char *sha256, char out[BLOB_NAME_SIZE]);
/* Prepares the verified file NAME in the folder DIR, of SIZE bytes, for being a blob; SUMS that do not fit are
 * computed. */
int32_t blob_seal(const struct model_store *s, int dir, const char *name, uint64_t size, const char *sha256,
                  const struct sums *sums, struct ome_err *err);
/* Moves what was sealed in. */
int32_t blob_import(int blobs, int dir, const char *name, const char *sha256, struct ome_err *err);
/* Makes the blobs of M stay where they are, whatever happens to the machine. */
int32_t blob_sync_folders(const struct model_store *s, const struct manifest *m, struct ome_err *err);

/* Calls FN with every name in the folders of blobs, checksums too, and "blobs/ab". */
int32_t blob_each(const struct model_store *s,
                  int32_t (*fn)(void *arg, const char *folder, const char *name, struct ome_err *err), void *arg,
                  struct ome_err *err);

struct blob_check {
  uint64_t size, damaged; /* bytes; DAMAGED 0: it is as it was */
  VEC(bool) good;         /* the pieces of a damaged one */
};
void blob_check_fini(struct blob_check *c);
#define _cleanup_blob_check_ _cleanup_(blob_check_fini)
/* Reads a blob that should have SIZE bytes. */
int32_t blob_check(const struct model_store *s, const char *sha256, uint64_t size, bool (*stop)(void *), void *arg,
                   struct blob_check *out, struct ome_err *err);

/* ---- record.c ---------------------------------------------------------------------------------------------------- */

bool is_name(const char *name);
char *reference_path(const struct model_store *s, const char *name);                 /* new */
char *staging_path(const struct model_store *s, const char *name, const char *file); /* new; FILE NULL: the folder */
struct json_object *reference_read(const struct model_store *s, const char *name);   /* new; NULL: none */
int32_t reference_write(const struct model_store *s, const char *name, struct json_object *o, struct ome_err *err);
/* Writes M, all of it verified, and puts its id into ID. */
int32_t manifest_write(const struct model_store *s, const struct manifest *m, char id[65], struct ome_err *err);
/* The files of manifest ID; false: none, or not sound. */
bool manifest_read(const struct model_store *s, const char *id, struct manifest *out);

struct names {
  VEC(char *) list; /* owned */
};
void names_fini(struct names *n);
#define _cleanup_names_ _cleanup_(names_fini)
bool names_have(const struct names *n, const char *name);
/* The entries of ROOT/FOLDER that end with SUFFIX, which is cut off. */
int32_t names_in(const struct model_store *s, const char *folder, const char *suffix, struct names *out,
                 struct ome_err *err);

/* ---- content.c --------------------------------------------------------------------------------------------------- */

/* What F's content is called before its SHA-256 is known: "" when its source does not pin it. */
void content_id(const char *uri, const char *revision, const struct manifest_file *f, char out[65]);
/* The same -> SHA-256 of all that references say; new; NULL: out of memory. */
struct strmap *known_contents(const struct model_store *s);

/* ---- session.c --------------------------------------------------------------------------------------------------- */

struct session {
  const struct model_store *store;
  const struct store_job *job;
  int fd;                /* locked */
  int blobs;             /* the folder of all blobs: the store stays while FD is locked */
  char *files;           /* where transfers go */
  dev_t device;          /* of the model's folder */
  struct strmap *landed; /* content_id -> SHA-256 of what this session or one before it has brought */
};

/* Waits for another process or thread that brings the same name. */
int32_t session_open(const struct model_store *s, const struct store_job *job, struct session *out,
                     struct ome_err *err);
/* DONE: nothing is kept for the next time. */
void session_close(struct session *x, bool done);
/* Writes down what is planned: claims (content_id -> anything), contents relied on, bytes to come. */
int32_t session_write_locked(struct session *x, const struct strmap *claims, uint64_t need, struct ome_err *err);
/* Writes down that these N files are about to become blobs: from now on nobody collects them. */
int32_t session_announce(struct session *x, const struct manifest_file *files, size_t n, struct ome_err *err);
/* Makes the verified and announced file NAME in folder DIR the blob of F. */
int32_t session_land(struct session *x, int dir, const char *name, const struct manifest_file *f, struct ome_err *err);
/* Tells the job's caller that it waits, as an event. */
void session_say(const struct session *x, const char *file, const char *message);
bool session_stopped(const struct session *x);
/* A moment of waiting for others. */
void session_pause(void);

struct others {          /* what sessions say */
  struct strmap *claims; /* of live ones: content_id -> "process 123 (hf://a/b)" */
  struct strmap *kept;   /* of live ones: SHA-256 of what they rely on */
  struct strmap *landed; /* of all: content_id -> SHA-256 */
  struct names live;
  uint64_t reserved; /* bytes that live ones will still write */
};
void others_fini(struct others *o);
#define _cleanup_others_ _cleanup_(others_fini)
/* NAME's session (may be NULL) is left out. */
int32_t others_read_locked(const struct model_store *s, const char *name, struct others *out, struct ome_err *err);

/* ---- plan.c ------------------------------------------------------------------------------------------------------ */

struct planned {
  size_t index;    /* of the file */
  char sha256[65]; /* "" not known */
};
struct fetch_plan {
  VEC(struct planned) fetch; /* what this session has claimed */
  size_t waiting;            /* files that others fetch, or that have the content of one to fetch */
  char holder[300];          /* one of the others; "" */
  const char *file;          /* what it fetches */
};
void fetch_plan_fini(struct fetch_plan *p);
#define _cleanup_plan_ _cleanup_(fetch_plan_fini)
/* What to do next; fills in the sha256 of files that are there. */
int32_t fetch_plan_make(struct session *x, struct fetch_plan *out, struct ome_err *err);

/* ---- layout.c ---------------------------------------------------------------------------------------------------- */

/* Whether JOB's folder may become the model's: owned by it, empty, or absent. */
int32_t layout_check_place(const struct model_store *s, const struct store_job *job, struct ome_err *err);
/* Makes the folder, on *DEVICE; whether there is room for copies where no links lead. */
int32_t layout_check_room(const struct model_store *s, const struct store_job *job, dev_t *device, struct ome_err *err);
/* What was removed meanwhile is made again, but on no other file system than DEVICE. */
int32_t layout_make(const struct model_store *s, const struct store_job *job, dev_t device, struct ome_err *err);
/* Whether all files of M are at PATH as they were verified. */
bool layout_is_whole(const struct model_store *s, const char *path, const struct manifest *m);
/* Removes the files of OLD that NOW does not have, where they are still ours. */
int32_t layout_drop(const struct model_store *s, const char *path, const struct manifest *old,
                    const struct manifest *now, struct ome_err *err);

/* ---- gc.c, scrub.c ----------------------------------------------------------------------------------------------- */

int32_t gc_locked(const struct model_store *s, struct store_gc_result *out, struct ome_err *err);
/* Takes damaged blob F->sha256 back to the staging of NAME as F->path. */
int32_t demote_locked(const struct model_store *s, const char *name, const struct manifest_file *f,
                      const struct blob_check *c, struct ome_err *err);
/* Settles blobs of the job that somebody wrote to: they are good, or back in its staging. */
int32_t settle_suspects(struct session *x, struct ome_err *err);

#endif
