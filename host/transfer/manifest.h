/* What a transfer fetches: files with sizes, digests and places, as a storage plugin lists them.  The plugin's word is
 * checked: paths stay below the root and are there once, sizes and counts are bounded. */
#ifndef HOST_TRANSFER_MANIFEST_H
#define HOST_TRANSFER_MANIFEST_H

#include "base/err.h"
#include "base/vec.h"
#include "plugin/plugin.h"
#include "transfer/sums.h"

#define MANIFEST_MAX_FILES 100000u
#define MANIFEST_MAX_FILE_BYTES ((uint64_t)1 << 46)

struct manifest_file {
  char *path;           /* relative, safe */
  uint64_t size;        /* OME_SIZE_UNKNOWN until the engine has learnt it */
  uint32_t digest_type; /* OME_DIGEST_*, with OME_DIGEST_OF_PARTS */
  char *digest;         /* lower-case hex; NULL: none */
  char *url;            /* NULL: through the plugin's read() */
  char *etag;           /* strong, as If-Range wants it; NULL: none */
  uint64_t range_bytes; /* 0: the engine's */
  uint32_t max_conns;   /* 0: the engine's */
  uint64_t digest_part_bytes;
  char *local_path; /* the same bytes on this machine, absolute; NULL: none */
  char sha256[65];  /* of the content; "" until it is verified */
  struct sums sums; /* of the content, when it was verified just now */
};

struct manifest {
  char *revision;                  /* NULL: the backend has none */
  uint64_t total_bytes;            /* of the sizes that are known */
  VEC(struct manifest_file) files; /* ordered by path */
};
void manifest_file_fini(struct manifest_file *f);
void manifest_fini(struct manifest *m);
#define _cleanup_manifest_ _cleanup_(manifest_fini)

/* Appends a copy of F after checking it; OME_E_INVALID says what is wrong. */
int32_t manifest_add(struct manifest *m, const struct ome_model_file *f, struct ome_err *err);
void manifest_remove(struct manifest *m, size_t index);
/* The file PATH of a finished manifest; NULL: none. */
struct manifest_file *manifest_find(const struct manifest *m, const char *path);
/* Orders the files by path, as manifest_find() needs them. */
void manifest_sort(struct manifest *m);
/* Orders and looks for paths that are there twice, or both file and folder. */
int32_t manifest_finish(struct manifest *m, struct ome_err *err);

/* One line that is equal for equal content: revision, paths, sizes and digests, hashed; hex. */
void manifest_identity(const struct manifest *m, char out[65]);

/* Bytes a second that may be fetched of REF, as its parameter "maxRate" says (a quantity); 0: no bound.  INVALID. */
int32_t manifest_max_rate(const struct ome_model_ref *ref, uint64_t *out, struct ome_err *err);

/* Asks plugin I for the files of REF; of those, what its parameters "include" and "exclude" (comma-separated shell
 * patterns of paths, '*' goes across '/') leave.  INVALID where REF asks for a revision and the plugin names none,
 * or for a rate that is none; NOT_FOUND, or INVALID where its parameters leave no file, unless the backend has none. */
int32_t manifest_list(struct plugin_instance *i, const struct plugin_call *call, const struct ome_model_ref *ref,
                      struct manifest *out, struct ome_err *err);

/* The view of a file that crosses the ABI; borrows from F. */
struct ome_model_file manifest_view(const struct manifest_file *f);

#endif
