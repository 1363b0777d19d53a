/* Asking who gives out credentials: a cloud's metadata service, a token endpoint. */
#ifndef PLUGINS_COMMON_IDENTITY_H
#define PLUGINS_COMMON_IDENTITY_H

#include "http.h"

#define IDENTITY_MS 20000u /* for a service that is known to be there */
/* For a metadata service: outside of its cloud, packets to its address may just vanish. */
#define IDENTITY_METADATA_MS 3000u

/* Performs REQ, of which method, url, headers and body are read: no longer than MS and the rest of CALL's time (CALL
 * may be NULL), sent nowhere else.  Any status is OME_OK; A is the caller's to end, also after a failure. */
int32_t identity_ask(const struct ome_host *host, const struct ome_call *call, uint32_t ms, struct ome_http_req req,
                     struct http_answer *a, struct ome_err *err);

#endif
