/* "ome.http/1" of include/ome/service.h on net/http_client: what storage plugins list a repository with. */
#ifndef HOST_TRANSFER_HTTP_SERVICE_H
#define HOST_TRANSFER_HTTP_SERVICE_H

#include "base/cleanup.h"
#include "base/err.h"

#include <ome/service.h>

struct http_service;

int32_t http_service_new(struct http_service **out, struct ome_err *err);
void http_service_free(struct http_service *s); /* no call may be in progress */
DEFINE_CLEANUP(struct http_service *, http_service_free)

/* What a plugin gets from ome_host.service("ome.http/1").  One service a process: the table has no room for a
 * pointer of ours, so the newest service made is the one it uses. */
const struct ome_http_service *http_service_table(const struct http_service *s);

#endif
