/* One request on its way through the gateway.  Loop thread. */
#ifndef HOST_GATEWAY_STREAM_H
#define HOST_GATEWAY_STREAM_H

#include "gateway/table.h"
#include "gateway/upstream.h"
#include "net/http_server.h"

/* How long a request waits for a replica: a model of hundreds of gigabytes takes minutes to load; later it is stuck. */
#define HELD_MS (10 * 60 * 1000)

/* What the streams of one gateway share. */
struct gateway_core {
  struct loop *loop;
  struct table table;
  struct upstream_pool *pool;
  struct stream *streams; /* doubly linked */
  struct tunnel_node *tunnels;
  struct held *held, *held_last; /* hold.h */
  size_t nheld;
  gateway_demand_fn *on_demand; /* NULL: nobody is told */
  void *demand_arg;
};

/* Forwards X to the route that MATCH found, which has a backend. */
void stream_start(struct gateway_core *g, struct http_exchange *x, const struct match *match);
/* How many that found no replica wait for one of the workload NS/NAME. */
size_t streams_waiting(const struct gateway_core *g, const char *ns, const char *name);
/* Drops whatever is under way; the exchanges are the server's. */
void streams_end(struct gateway_core *g);

/* Answers {"error": {"message", "type", "code"}}, as OpenAI's API does.  X is gone afterwards. */
void respond_error(struct http_exchange *x, int status, const char *type, const char *code, const char *message);

#endif
