/* Services' addresses: TCP listeners on a loopback address that pass connections on to ready pods, in turn. */
#ifndef HOST_LOCAL_PROXY_H
#define HOST_LOCAL_PROXY_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

#include <stdint.h>

struct proxies;

int32_t proxies_new(struct proxies **out, struct ome_err *err);
void proxies_free(struct proxies *p);
DEFINE_CLEANUP(struct proxies *, proxies_free)

struct proxy_port {
  uint16_t port;
  struct json_object *targets; /* array of "IP:PORT"; only read during the call */
};

/* Makes KEY's listeners be exactly PORTS on ADDRESS; N 0 removes them.  Connections that exist stay.  The error names
 * the first port that cannot be listened on; the others are served all the same.  [any-thread] */
int32_t proxies_set(struct proxies *p, const char *key, const char *address, const struct proxy_port *ports, size_t n,
                    struct ome_err *err);

#endif
