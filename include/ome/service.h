/* ome/service.h - optional host services, fetched by id through ome_host.service().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef OME_SERVICE_H
#define OME_SERVICE_H

#include <ome/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* HTTP with the host's proxy, TLS, time-out and retry rules; what a storage plugin lists a repository with. */
#define OME_SERVICE_HTTP "ome.http/1"

struct ome_http_req { /* growable; plugin-owned */
  uint32_t struct_size;
  uint32_t flags;     /* OME_HTTP_* */
  const char *method; /* NULL: GET */
  const char *url;
  const struct ome_kv *headers; /* since 1.1 also OME_REQUEST_* of storage.h */
  uint64_t nheaders;
  struct ome_bytes body;
  uint64_t max_body; /* answers longer than this fail with OME_E_INVALID; 0: 64 MiB */
};

enum { OME_HTTP_NO_REDIRECT = 1u }; /* hand 3xx over instead of following it */

struct ome_http_sink { /* growable; plugin-owned */
  uint32_t struct_size;
  uint32_t reserved;
  void *ctx;
  /* Once, before body; header names in lower case.  Non-zero ends the transfer and is returned by perform. */
  int32_t (*head)(struct ome_http_sink *s, int32_t status, const struct ome_kv *headers, uint32_t nheaders);
  int32_t (*body)(struct ome_http_sink *s, const void *data, uint64_t len);
};

struct ome_http_service { /* growable; host-owned */
  uint32_t struct_size;
  uint32_t reserved;
  /* OME_OK means that an answer arrived, whatever its status.  Blocks until then.  [any-thread] */
  int32_t (*perform)(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                     struct ome_http_sink *out, struct ome_err *err);
};

#ifdef __cplusplus
}
#endif
#endif
