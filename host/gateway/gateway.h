/* The gateway: an HTTP reverse proxy in front of services, streaming both ways.
 *
 * NAME.NAMESPACE.localhost and /NAMESPACE/NAME/... lead to a route; what is behind a route is set by its owner. */
#ifndef HOST_GATEWAY_GATEWAY_H
#define HOST_GATEWAY_GATEWAY_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct gateway;

struct gateway_config {
  const char *address; /* NULL: 127.0.0.1 */
  uint16_t port;       /* 0: any */
};

struct gateway_route {
  const char *ns;
  const char *name;
  const char *backend;       /* "127.1.2.3:8080", several separated by ','; NULL: not ready */
  const char *not_ready_why; /* for the 503; NULL: "not ready" */
  const char *wakes;         /* workload of the namespace that is started for requests, which wait; NULL: none is */
};

/* A request waits for the workload NS/NAME.  On the gateway's thread; it must not block. */
typedef void gateway_demand_fn(void *arg, const char *ns, const char *name);

int32_t gateway_start(const struct gateway_config *cfg, struct gateway **out, struct ome_err *err);
void gateway_stop(struct gateway *g);
DEFINE_CLEANUP(struct gateway *, gateway_stop)
uint16_t gateway_port(const struct gateway *g);

/* Replaces the whole table (copied).  [any-thread] */
int32_t gateway_set_routes(struct gateway *g, const struct gateway_route *routes, size_t n, struct ome_err *err);

/* Who is told of requests that wait; FN NULL: nobody, and none is being told when this returns.  [any-thread] */
void gateway_on_demand(struct gateway *g, gateway_demand_fn *fn, void *arg);
/* Requests that wait for the workload NS/NAME or are under way behind a route that wakes it.  [any-thread] */
size_t gateway_load(struct gateway *g, const char *ns, const char *name);

#endif
