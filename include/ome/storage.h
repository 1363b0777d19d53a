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
       OME_DIGEST_CRC32C = 4, /* big-endian hex */
       OME_DIGEST_SHA1 = 5,   /* since 1.1 */
       OME_DIGEST_CRC32 = 6,  /* since 1.1; big-endian hex */
       /* since 1.1, a flag: the digest of the digests (as bytes, one after the other) of the file's parts of
        * digest_part_bytes each, as object stores have it for uploads in parts. */
       OME_DIGEST_OF_PARTS = 0x100
};

/* since 1.1: ome_model_file.size of a file whose size the backend does not say before it sends it. */
#define OME_SIZE_UNKNOWN UINT64_MAX

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
  uint64_t digest_part_bytes; /* since 1.1: with OME_DIGEST_OF_PARTS */
  const char *local_path;     /* since 1.1: the same bytes in a file of this machine, which the host may clone or link
                               * instead of reading; absolute; may be NULL */
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

/* since 1.1: keys that headers() may push beside header names; they tell the host how to make the request. */
#define OME_REQUEST_URL ":url"                     /* a fresh address (signed URLs run out) */
#define OME_REQUEST_EXPIRES ":expires-ms"          /* ask headers() again after so many milliseconds */
#define OME_REQUEST_SIGV4 ":aws-sigv4"             /* sign each request: "aws:amz:REGION:SERVICE" (AWS SigV4) */
#define OME_REQUEST_CREDENTIALS ":aws-credentials" /* with it: "ACCESS-KEY:SECRET-KEY"; secret */
#define OME_REQUEST_CA ":ca-file" /* trust the certificates in this PEM file, no others; in ome_http_req.headers */
/* since 1.6: show the certificate (and what it was issued by) of the one PEM file, whose key is in the other; there,
 * too */
#define OME_REQUEST_CERT ":cert-file"
#define OME_REQUEST_KEY ":key-file"

struct ome_upload_file { /* since 1.1; growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  const char *path; /* relative, '/'-separated, below the URI */
  uint64_t size;
  const char *sha256; /* lower-case hex */
  const char *md5;    /* lower-case hex */
};

struct ome_upload_request { /* since 1.1; growable; plugin-owned */
  uint32_t struct_size;
  uint32_t flags;     /* none defined */
  const char *method; /* "PUT", "POST", ... */
  const char *url;
  const struct ome_kv *headers; /* header names and OME_REQUEST_* */
  uint64_t nheaders;
  struct ome_bytes body; /* when ptr is set; otherwise the file's bytes: */
  uint64_t offset;
  uint64_t len;
};

struct ome_upload_answer { /* since 1.1; growable; host-owned */
  uint32_t struct_size;
  int32_t status;
  const struct ome_kv *headers; /* names in lower case */
  uint64_t nheaders;
  struct ome_bytes body; /* at most 1 MiB of it */
};

struct ome_uploader { /* since 1.1; growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  /* Performs REQUESTS (of struct ome_upload_request, at most 10,000), several at a time, each tried again when the
   * connection fails or the status says that it may pass (408, 429, 500, 502, 503, 504).  ANSWER is called once a
   * request, in the order of REQUESTS, from the caller's thread, after all of them have an answer: any other status, a
   * redirect too, and one of these that did not pass.  Its non-zero result ends the call and is returned. */
  int32_t (*send)(struct ome_uploader *u, const struct ome_list *requests,
                  int32_t (*answer)(void *arg, uint32_t index, const struct ome_upload_answer *a), void *arg,
                  struct ome_err *err);
  /* LEN bytes at OFFSET of the file into TO, for backends that are not reached over HTTP. */
  int32_t (*read)(struct ome_uploader *u, uint64_t offset, uint64_t len, void *to, struct ome_err *err);
};

/* since 1.7: its models have no files, list() pushes none.  Of any other backend a list without files is an error. */
enum { OME_STORAGE_NO_FILES = 1u };

struct ome_storage_ops { /* growable */
  uint32_t struct_size;
  uint32_t caps; /* OME_STORAGE_* */
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
  /* Optional, since 1.1: one file to below REF's URI, whole or not at all: the plugin says which requests do it, the
   * host performs them.  What a failed upload left behind is the plugin's to remove.  [serial] */
  int32_t (*upload)(void *self, const struct ome_call *call, const struct ome_model_ref *ref,
                    const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err);
  /* Optional, since 1.1: the scheme prefixes that match() knows, for messages: NULL-terminated, "hf://".  Static.
   * [any-thread][no-block][no-io] */
  const char *const *(*schemes)(void *self);
};

#ifdef __cplusplus
}
#endif
#endif
