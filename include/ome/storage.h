/* ome/storage.h - the storage kind: where a model's files are and how to ask for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * A storage plugin holds policy only: it resolves a URI to a pinned revision and a list of files with sizes, digests
 * and locations.  The host's transfer engine moves the bytes (parallel ranges, resume, rate limits, verification,
 * progress), so that every backend is equally fast and equally careful.  A backend whose bytes are not reached over
 * HTTP offers read() and leaves url NULL.
 */
#ifndef OME_STORAGE_H
#define OME_STORAGE_H

#include <ome/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OME_KIND_STORAGE "ome.storage/1"

struct ome_model_ref { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  const char *uri;             /* as the model's spec says it */
  const char *revision;        /* branch, tag, commit, version; NULL: what the URI or the backend says */
  const struct ome_kv *params; /* spec.storage.parameters and credentials read from the model's Secret; secret */
  uint64_t nparams;
};

enum { /* ome_model_file.digest_type */
       OME_DIGEST_NONE = 0,
       OME_DIGEST_SHA256 = 1,
       OME_DIGEST_GIT_SHA1 = 2, /* SHA-1 of "blob <size>\0" and the content */
       OME_DIGEST_MD5 = 3,
       OME_DIGEST_CRC32C = 4
};

struct ome_model_file { /* growable; plugin-owned when pushed, host-owned when handed back */
  uint32_t struct_size;
  uint32_t digest_type; /* OME_DIGEST_* of digest */
  const char *path;     /* relative, '/'-separated; the host refuses "..", absolute and control characters */
  uint64_t size;        /* bytes */
  const char *digest;   /* lower-case hex, NULL with OME_DIGEST_NONE */
  const char *url;      /* NULL: use read() */
  const char *etag;     /* of url, as If-Range wants it; may be NULL */
  uint64_t range_bytes; /* the piece size this backend likes; 0: the host's */
  uint32_t max_conns;   /* connections it tolerates per file; 0: the host's */
  uint32_t reserved;
};

struct ome_file_sink { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  /* The immutable revision that the files belong to; call before the first file where there is one. */
  int32_t (*revision)(struct ome_file_sink *s, const char *revision);
  int32_t (*file)(struct ome_file_sink *s, const struct ome_model_file *f);
};

struct ome_kv_sink { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  int32_t (*kv)(struct ome_kv_sink *s, const char *key, const char *value);
};

struct ome_byte_sink { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  int32_t (*write)(struct ome_byte_sink *s, const void *data, uint64_t len);
};

struct ome_storage_ops { /* growable */
  uint32_t struct_size;
  uint32_t caps; /* none defined */
  /* How well this backend suits URI: 0 not at all, 100 its own scheme.  [any-thread][no-block][no-io] */
  int32_t (*match)(void *self, const char *uri);
  /* Pushes the pinned revision and every file, in any order.  [serial] */
  int32_t (*list)(void *self, const struct ome_call *call, const struct ome_model_ref *ref, struct ome_file_sink *out,
                  struct ome_err *err);
  /* Optional: fresh request headers (credentials, signatures) for one file's url; asked again after 401 and 403. */
  int32_t (*headers)(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                     const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err);
  /* Optional: LEN bytes at OFFSET of a file without url. */
  int32_t (*read)(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                  const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                  struct ome_err *err);
};

#ifdef __cplusplus
}
#endif
#endif
