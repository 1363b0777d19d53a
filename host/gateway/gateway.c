/* The gateway: listening, finding the route, refusing. */
#include "gateway/gateway.h"

#include "base/buf.h"
#include "base/str.h"
#include "gateway/stream.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define MAX_CONNECTIONS 8192
#define DISCARD_BYTES ((size_t)4 << 20) /* of a request that is refused, before the connection is cut */
#define LISTED_MAX 50

struct gateway {
  struct loop *loop;
  struct http_server *server;
  struct gateway_core core;
};

/* ---- refusals
 * ---------------------------------------------------------------------------------------------------------- */

/* An answer that waits until the request has been read: a peer that is still sending would see its connection reset
 * instead of the answer. */
struct refusal {
  int status;
  const char *type, *code;
  char message[4096];
  size_t discarded;
};

static void refuse_now(struct http_exchange *x, struct refusal *r) {
  http_on_close(x, NULL, NULL);
  if (r->status == 503)
    http_add_header(x, "Retry-After", "2");
  respond_error(x, r->status, r->type, r->code, r->message);
  free(r);
}

static void discard(void *arg, struct http_exchange *x, const void *data UNUSED, size_t len) {
  struct refusal *r = arg;

  r->discarded += len;
  if (!len || r->discarded > DISCARD_BYTES)
    refuse_now(x, r);
}

static void on_gone(void *arg, struct http_exchange *x UNUSED) {
  free(arg);
}

static void refuse(struct http_exchange *x, int status, const char *type, const char *code, const char *message) {
  struct refusal *r = calloc(1, sizeof(*r));

  if (!r) {
    http_abort(x);
    return;
  }
  r->status = status;
  r->type = type;
  r->code = code;
  (void)snprintf(r->message, sizeof(r->message), "%s", message);
  if (!http_has_body(x)) {
    refuse_now(x, r);
    return;
  }
  http_on_close(x, on_gone, r);
  http_read_body(x, discard, r);
}

static void refuse_unknown(struct gateway_core *g, struct http_exchange *x, const struct match *m) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  size_t n = 0;

  if (m->addressed)
    buf_addf(&text, "there is no service %s in namespace %s", m->name, m->ns);
  else
    buf_adds(&text, "no service is named: use the host NAME.NAMESPACE.localhost or the path /NAMESPACE/NAME/");
  buf_adds(&text, strmap_len(g->table.routes) ? "; known services:" : "; no services are known");
  for (struct strmap_iter it = strmap_first(g->table.routes); it.key && n < LISTED_MAX; strmap_next(&it), n++)
    buf_addf(&text, "%s %s", n ? "," : "", it.key);
  if (strmap_len(g->table.routes) > LISTED_MAX)
    buf_adds(&text, ", ...");
  refuse(x, 404, "invalid_request_error", "service_not_found", buf_str(&text));
}

/* ---- requests
 * ------------------------------------------------------------------------------------------------------------ */

static void handle(void *arg, struct http_exchange *x) {
  struct gateway_core *g = arg;
  struct match m;
  char message[1024];

  table_match(&g->table, http_header(x, "host"), http_path(x), &m);
  if (streq(http_method(x), "CONNECT")) {
    refuse(x, 405, "invalid_request_error", "method_not_allowed", "the gateway is no forward proxy");
  } else if (!m.route) {
    refuse_unknown(g, x, &m);
  } else if (!m.route->nbackends) {
    (void)snprintf(message, sizeof(message), "service %s in namespace %s is not ready: %s", m.name, m.ns, m.route->why);
    refuse(x, 503, "service_unavailable", "service_not_ready", message);
  } else {
    stream_start(g, x, &m);
  }
}

/* ---- life
 * ---------------------------------------------------------------------------------------------------------------------
 */

/* Each stream takes two descriptors; the usual soft limit of 1024 would be the end of it. */
static void raise_file_limit(void) {
  struct rlimit limit;

  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= 65536)
    return;
  limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void end_all(void *arg) {
  struct gateway *g = arg;

  streams_end(&g->core);
  if (g->core.pool)
    upstream_pool_free(g->core.pool);
  g->core.pool = NULL;
}

void gateway_stop(struct gateway *g) {
  if (!g)
    return;
  if (g->loop && g->server)
    loop_call(g->loop, end_all, g);
  if (g->server)
    http_server_free(g->server);
  if (g->loop)
    loop_free(g->loop);
  if (g->core.pool)
    upstream_pool_free(g->core.pool);
  table_fini(&g->core.table);
  free(g);
}

int32_t gateway_start(const struct gateway_config *cfg, struct gateway **out, struct ome_err *err) {
  struct gateway *g = calloc(1, sizeof(*g));

  if (!g)
    return fail_memory(err);
  raise_file_limit();
  int32_t rc = table_init(&g->core.table) ? loop_new("gateway", &g->loop, err) : fail_memory(err);
  if (rc == OME_OK) {
    g->core.loop = g->loop;
    g->core.pool = upstream_pool_new(g->loop);
    const struct http_server_config server = {.address = cfg->address,
                                              .port = cfg->port,
                                              .stream_requests = true,
                                              .max_connections = MAX_CONNECTIONS,
                                              .idle_timeout_ms = 120000,
                                              .handler = handle,
                                              .arg = &g->core};
    rc = g->core.pool ? http_server_new(g->loop, &server, &g->server, err) : fail_memory(err);
  }
  if (rc != OME_OK) {
    gateway_stop(g);
    return rc == OME_E_BUSY ? fail_prefix(err, "gateway") : rc;
  }
  *out = g;
  return OME_OK;
}

uint16_t gateway_port(const struct gateway *g) {
  return http_server_port(g->server);
}

struct set_call {
  struct gateway *g;
  const struct gateway_route *routes;
  size_t n;
  struct ome_err *err;
  int32_t rc;
};

static void do_set(void *arg) {
  struct set_call *c = arg;

  c->rc = table_set(&c->g->core.table, c->routes, c->n, c->err);
}

int32_t gateway_set_routes(struct gateway *g, const struct gateway_route *routes, size_t n, struct ome_err *err) {
  struct set_call c = {g, routes, n, err, OME_OK};

  loop_call(g->loop, do_set, &c);
  return c.rc;
}
