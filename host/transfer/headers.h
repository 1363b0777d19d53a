/* Headers as they cross the ABI: what plugins ask for, and what servers answered. */
#ifndef HOST_TRANSFER_HEADERS_H
#define HOST_TRANSFER_HEADERS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

#include <ome/storage.h>

#define REQUEST_HEADERS_MAX 64u

/* A plugin's headers for one request: the lines that are sent, and its OME_REQUEST_* directives.  Secret. */
struct request_headers {
  char *lines[REQUEST_HEADERS_MAX + 1]; /* "Name: value"; NULL-terminated */
  size_t n;
  char *url;         /* OME_REQUEST_URL; NULL: as listed */
  char *sigv4;       /* OME_REQUEST_SIGV4; NULL: not signed */
  char *credentials; /* OME_REQUEST_CREDENTIALS */
  char *ca_file;     /* OME_REQUEST_CA; NULL: what this machine trusts */
  char *cert_file;   /* OME_REQUEST_CERT and _KEY; NULL: no certificate of ours is shown */
  char *key_file;
  uint64_t expires_ms; /* OME_REQUEST_EXPIRES; 0: never */
};
void request_headers_fini(struct request_headers *h); /* H may be filled again */
#define _cleanup_request_headers_ _cleanup_(request_headers_fini)

/* Copies one pair; what is not one line, a directive that is not known and more than REQUEST_HEADERS_MAX are
 * OME_E_INVALID. */
int32_t request_headers_add(struct request_headers *h, const char *key, const char *value, struct ome_err *err);
int32_t request_headers_add_all(struct request_headers *h, const struct ome_kv *pairs, uint64_t n, struct ome_err *err);

/* Splits an answer's "name: value\n" lines in place: the pairs point into TEXT. */
struct answer_headers {
  VEC(struct ome_kv) pairs;
};
bool answer_headers_split(struct answer_headers *h, char *text); /* false: out of memory */

#endif
