/* Connections to backends: HTTP/1.1 client connections on the gateway's loop, kept and used again.  Loop thread. */
#ifndef HOST_GATEWAY_UPSTREAM_H
#define HOST_GATEWAY_UPSTREAM_H

#include "net/http_server.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct bufferevent;
struct upstream;
struct upstream_pool;

enum upstream_failure {
  UPSTREAM_CONNECT,  /* no connection came about */
  UPSTREAM_STALE,    /* a kept connection turned out to be closed before anything was answered on it */
  UPSTREAM_CLOSED,   /* the backend hung up, before or within its answer */
  UPSTREAM_PROTOCOL, /* what it said is not HTTP */
  UPSTREAM_TIMEOUT,
};

struct upstream_ops {
  void (*on_head)(void *arg, int status); /* headers: upstream_header_at(); a 101 is followed by nothing else */
  void (*on_body)(void *arg, const void *data, size_t len);
  void (*on_end)(void *arg);   /* the answer is complete; the upstream is gone */
  void (*on_drain)(void *arg); /* everything written is out */
  void (*on_fail)(void *arg, enum upstream_failure failure, const char *why); /* the upstream is gone */
};

struct upstream_pool *upstream_pool_new(struct loop *l);
void upstream_pool_free(struct upstream_pool *p); /* after the last upstream was closed; closes the idle ones */

/* A connection to ADDRESS ("IP:PORT"): a kept one unless FRESH, or a new one.  HEAD: the answer will have no body.
 * NULL: no memory, no descriptors, no such address. */
struct upstream *upstream_open(struct upstream_pool *p, const char *address, bool fresh, bool head,
                               const struct upstream_ops *ops, void *arg);
void upstream_write(struct upstream *u, const void *data, size_t len);
size_t upstream_pending(const struct upstream *u);    /* written and not yet out */
void upstream_request_done(struct upstream *u);       /* the whole request has been written */
void upstream_pause(struct upstream *u, bool paused); /* reading the answer */
void upstream_close(struct upstream *u);              /* no callback any more */
/* After on_head with 101: the connection, with what was read after the head; U is gone. */
struct bufferevent *upstream_take(struct upstream *u);

size_t upstream_header_count(const struct upstream *u);
struct http_header upstream_header_at(const struct upstream *u, size_t i);
const char *upstream_header(const struct upstream *u, const char *name); /* NULL: absent */

#endif
