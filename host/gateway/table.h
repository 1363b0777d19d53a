/* Which request goes where.  Pure. */
#ifndef HOST_GATEWAY_TABLE_H
#define HOST_GATEWAY_TABLE_H

#include "base/strmap.h"
#include "gateway/gateway.h"

#include <stdbool.h>
#include <stdint.h>

#define BACKENDS_MAX 64

struct backend {
  char address[64]; /* "127.1.2.3:8080" */
  uint32_t busy;    /* requests under way; kept by the streams, across changes of the table */
};

struct route {
  char *ns, *name, *why; /* WHY: not ready, in words */
  char *wakes;           /* NULL: requests do not wait */
  struct backend *backends[BACKENDS_MAX];
  size_t nbackends;
  size_t next; /* where the search for the least busy begins: equals take turns */
};

struct table {
  struct strmap *routes;   /* "NAME.NS" -> struct route */
  struct strmap *backends; /* address -> struct backend, as long as the table lives */
};

bool table_init(struct table *t);
void table_fini(struct table *t);
/* Replaces all routes.  Backends keep their counts. */
int32_t table_set(struct table *t, const struct gateway_route *routes, size_t n, struct ome_err *err);

struct match {
  struct route *route; /* NULL: none */
  size_t prefix_len;   /* of the path: what is cut off before the backend sees it */
  bool addressed;      /* the request named a service, by host or path, though there may be none */
  char name[64], ns[64];
};

/* HOST is a Host header (NULL: none), PATH the request's, percent-encoded. */
void table_match(struct table *t, const char *host, const char *path, struct match *out);

/* The least busy backend that is not AVOID (NULL: any; the only one is taken all the same); NULL: none. */
struct backend *route_pick(struct route *r, const struct backend *avoid);

/* Requests under way at backends of routes that wake NS/NAME, each backend once. */
size_t table_busy(struct table *t, const char *ns, const char *name);

#endif
