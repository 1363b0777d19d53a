/* The gateway: listening, finding the route, refusing. */
#include "gateway/gateway.h"

#include "base/buf.h"
#include "base/str.h"
#include "gateway/hold.h"
#include "gateway/refuse.h"
#include "gateway/stream.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define MAX_CONNECTIONS 8192
#define LISTED_MAX 50

struct gateway {
  struct loop *loop;
  struct http_server *server;
  struct gateway_core core;
};

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

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

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void handle(void *arg, struct http_exchange *x) {
  struct gateway_core *g = arg;
  struct match m;
  char message[1024];

  table_match(&g->table, http_header(x, "host"), http_path(x), &m);
  if (streq(http_method(x), "CONNECT")) {
    refuse(x, 405, "invalid_request_error", "method_not_allowed", "the gateway is no forward proxy");
  } else if (!m.route) {
    refuse_unknown(g, x, &m);
  } else if (!m.route->nbackends && m.route->wakes) {
    hold(g, x, &m);
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
  held_end(&g->core);
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
  held_release(&c->g->core);
}

int32_t gateway_set_routes(struct gateway *g, const struct gateway_route *routes, size_t n, struct ome_err *err) {
  struct set_call c = {g, routes, n, err, OME_OK};

  loop_call(g->loop, do_set, &c);
  return c.rc;
}

struct demand_call {
  struct gateway *g;
  gateway_demand_fn *fn;
  void *arg;
  const char *ns, *name;
  size_t load;
};

static void do_on_demand(void *arg) {
  struct demand_call *c = arg;

  c->g->core.on_demand = c->fn;
  c->g->core.demand_arg = c->arg;
}

void gateway_on_demand(struct gateway *g, gateway_demand_fn *fn, void *arg) {
  struct demand_call c = {.g = g, .fn = fn, .arg = arg};

  loop_call(g->loop, do_on_demand, &c);
}

static void do_load(void *arg) {
  struct demand_call *c = arg;

  c->load = held_count(&c->g->core, c->ns, c->name) + streams_waiting(&c->g->core, c->ns, c->name) +
            table_busy(&c->g->core.table, c->ns, c->name);
}

size_t gateway_load(struct gateway *g, const char *ns, const char *name) {
  struct demand_call c = {.g = g, .ns = ns, .name = name};

  loop_call(g->loop, do_load, &c);
  return c.load;
}
