/* One request on its way through the gateway.  Loop thread. */
#ifndef HOST_GATEWAY_STREAM_H
#define HOST_GATEWAY_STREAM_H

#include "gateway/table.h"
#include "gateway/upstream.h"
#include "net/http_server.h"

/* What the streams of one gateway share. */
struct gateway_core {
  struct loop *loop;
  struct table table;
  struct upstream_pool *pool;
  struct stream *streams; /* doubly linked */
  struct tunnel_node *tunnels;
};

/* Forwards X to the route that MATCH found, which has a backend. */
void stream_start(struct gateway_core *g, struct http_exchange *x, const struct match *match);
/* Drops whatever is under way; the exchanges are the server's. */
void streams_end(struct gateway_core *g);

/* Answers {"error": {"message", "type", "code"}}, as OpenAI's API does.  X is gone afterwards. */
void respond_error(struct http_exchange *x, int status, const char *type, const char *code, const char *message);

#endif
