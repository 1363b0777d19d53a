/* A request and its answer, streamed through. */
#include "gateway/stream.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "gateway/tunnel.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BUFFER_BYTES ((size_t)256 << 10)
#define AGAIN_MS 100 /* between two looks for a replica; a pod's end reaches the table within a second */
#define REPLAY_BYTES ((size_t)64 << 10) /* a request not longer than this can be sent again on another connection */

struct stream {
  struct gateway_core *g;
  struct stream *next, *prev;
  struct http_exchange *x;
  struct match match; /* its route may be gone by now: name and namespace count */
  struct backend *backend;
  struct upstream *up;
  struct buf sent; /* the request so far, until it is too long to be sent again */
  bool chunked;    /* the request's body has no length */
  bool upgrade;
  bool body_done, responded, retried;
  struct loop_timer *again; /* waits for a backend; NULL: it does not */
  uint64_t until_ms;        /* monotonic; how long it may, 0: it has not begun */
  char wakes[64];           /* the workload that it waits for */
  bool switching, dead;     /* switch_protocols() is on its way; it is left to free the memory */
};

struct tunnel_node { /* an upgraded connection */
  struct gateway_core *g;
  struct tunnel_node *next, *prev;
  struct tunnel *tunnel;
};

/* ---- errors ------------------------------------------------------------------------------------------------------ */

void respond_error(struct http_exchange *x, int status, const char *type, const char *code, const char *message) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "error.message", message);
  (void)json_set_str(o, "error.type", type);
  (void)json_set_str(o, "error.code", code);
  _cleanup_free_ char *text = json_text(o);
  http_respond(x, status, "application/json", text ? text : "{}", text ? strlen(text) : 2);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void stream_free(struct stream *s) {
  if (s->up)
    upstream_close(s->up);
  if (s->again)
    loop_timer_free(s->again);
  if (s->backend)
    s->backend->busy--;
  if (s->next)
    s->next->prev = s->prev;
  if (s->prev)
    s->prev->next = s->next;
  else
    s->g->streams = s->next;
  buf_fini(&s->sent);
  s->up = NULL;
  s->dead = true;
  if (!s->switching)
    free(s);
}

static void on_client_gone(void *arg, struct http_exchange *x UNUSED) {
  stream_free(arg);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

/* RFC 9110 section 7.6.1, and what the server side writes itself. */
static bool is_hop_by_hop(const char *name, const char *connection) {
  static const char *const names[] = {"connection", "keep-alive", "proxy-connection",  "proxy-authenticate",
                                      "te",         "trailer",    "transfer-encoding", "proxy-authorization",
                                      "upgrade",    "expect"};
  size_t len = strlen(name);

  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (strcasecmp(name, names[i]) == 0)
      return true;
  for (const char *p = connection; p && *p;) {
    p += strspn(p, ", \t");
    size_t n = strcspn(p, ", \t");
    if (n == len && strncasecmp(p, name, n) == 0)
      return true;
    p += n;
  }
  return false;
}

static bool lists(const char *value, const char *token) {
  size_t len = strlen(token);

  for (const char *p = value; p && *p;) {
    p += strspn(p, ", \t");
    size_t n = strcspn(p, ", \t");
    if (n == len && strncasecmp(p, token, n) == 0)
      return true;
    p += n;
  }
  return false;
}

static void add_forwarded(struct stream *s, struct buf *out) {
  const char *peer = http_peer(s->x), *before = http_header(s->x, "x-forwarded-for");
  const char *host = http_header(s->x, "host"), *colon = strrchr(peer, ':');

  buf_addf(out, "X-Forwarded-For: %s%s%.*s\r\n", before ? before : "", before ? ", " : "",
           (int)(colon ? colon - peer : 0), peer);
  buf_addf(out, "X-Forwarded-Proto: %s\r\n",
           http_header(s->x, "x-forwarded-proto") ? http_header(s->x, "x-forwarded-proto") : "http");
  if (host)
    buf_addf(out, "X-Forwarded-Host: %s\r\n", host);
  if (s->match.prefix_len)
    buf_addf(out, "X-Forwarded-Prefix: %.*s\r\n", (int)s->match.prefix_len, http_path(s->x));
}

static void write_request_head(struct stream *s, struct buf *out) {
  const char *target = http_target(s->x) + s->match.prefix_len, *connection = http_header(s->x, "connection");

  buf_addf(out, "%s %s%s HTTP/1.1\r\n", http_method(s->x), *target == '/' ? "" : "/", target);
  for (size_t i = 0; i < http_header_count(s->x); i++) {
    struct http_header h = http_header_at(s->x, i);
    if (!is_hop_by_hop(h.name, connection) && strncasecmp(h.name, "x-forwarded-", 12) != 0 &&
        !(s->chunked && strcasecmp(h.name, "content-length") == 0))
      buf_addf(out, "%s: %s\r\n", h.name, h.value);
  }
  add_forwarded(s, out);
  if (s->upgrade)
    buf_addf(out, "Connection: Upgrade\r\nUpgrade: %s\r\n", http_header(s->x, "upgrade"));
  if (s->chunked)
    buf_adds(out, "Transfer-Encoding: chunked\r\n");
  buf_adds(out, "\r\n");
}

/* ---- the request's way ------------------------------------------------------------------------------------------- */

static void forward(struct stream *s, const void *data, size_t len) {
  if (s->up)
    upstream_write(s->up, data, len);
  if (buf_ok(&s->sent))
    buf_add(&s->sent, data, len); /* too long: it fails and stays failed */
}

static void on_request_data(void *arg, struct http_exchange *x, const void *data, size_t len) {
  struct stream *s = arg;
  char size[32];

  if (len && s->chunked) {
    int n = snprintf(size, sizeof(size), "%zx\r\n", len);
    forward(s, size, (size_t)n);
    forward(s, data, len);
    forward(s, "\r\n", 2);
  } else if (len) {
    forward(s, data, len);
  } else {
    if (s->chunked)
      forward(s, "0\r\n\r\n", 5);
    s->body_done = true;
    if (s->up)
      upstream_request_done(s->up);
  }
  if (len && s->up && upstream_pending(s->up) >= BUFFER_BYTES)
    http_pause_body(x, true);
}

static void on_upstream_drain(void *arg) {
  struct stream *s = arg;

  if (!s->body_done)
    http_pause_body(s->x, false);
}

/* ---- the answer's way -------------------------------------------------------------------------------------------- */

static void on_tunnel_end(void *arg) {
  struct tunnel_node *n = arg;

  if (n->next)
    n->next->prev = n->prev;
  if (n->prev)
    n->prev->next = n->next;
  else
    n->g->tunnels = n->next;
  free(n);
}

static void give_up(struct stream *s, enum upstream_failure failure, const char *why);

/* 101: the answer's head goes over as it is, then bytes in both directions. */
static void switch_protocols(void *arg) {
  struct stream *s = arg;
  struct gateway_core *g = s->g;
  _cleanup_buf_ struct buf head = BUF_INIT;

  s->switching = false;
  if (s->dead) {
    free(s);
    return;
  }
  struct tunnel_node *n = calloc(1, sizeof(*n));
  if (!n || !s->upgrade) {
    free(n);
    give_up(s, UPSTREAM_PROTOCOL, "the backend switched protocols without being asked");
    return;
  }
  buf_adds(&head, "HTTP/1.1 101 Switching Protocols\r\n");
  for (size_t i = 0; i < upstream_header_count(s->up); i++) {
    struct http_header h = upstream_header_at(s->up, i);
    buf_addf(&head, "%s: %s\r\n", h.name, h.value);
  }
  buf_adds(&head, "\r\n");
  struct bufferevent *server = upstream_take(s->up), *client = http_take_connection(s->x);
  s->up = NULL;
  (void)bufferevent_write(client, head.data, head.len);
  *n = (struct tunnel_node){.g = g, .next = g->tunnels};
  n->tunnel = tunnel_start(client, server, on_tunnel_end, n);
  if (n->tunnel) {
    if (n->next)
      n->next->prev = n;
    g->tunnels = n;
  } else
    free(n);
  stream_free(s);
}

static int64_t length_of(const struct upstream *u, bool no_body) {
  const char *text = upstream_header(u, "content-length");
  int64_t n = -1;

  if (!text)
    return no_body ? 0 : -1;
  return str_to_i64(text, &n) && n >= 0 ? n : -1;
}

static void on_head(void *arg, int status) {
  struct stream *s = arg;
  const char *connection = upstream_header(s->up, "connection");

  if (status == 101) {
    s->switching = true; /* not from within the parser: the connection changes hands */
    loop_at_turn_end(s->g->loop, switch_protocols, s);
    return;
  }
  s->responded = true;
  for (size_t i = 0; i < upstream_header_count(s->up); i++) {
    struct http_header h = upstream_header_at(s->up, i);
    if (!is_hop_by_hop(h.name, connection) && strcasecmp(h.name, "content-length") != 0 &&
        strcasecmp(h.name, "content-type") != 0)
      http_add_header(s->x, h.name, h.value);
  }
  http_respond_start(s->x, status, upstream_header(s->up, "content-type"), length_of(s->up, status == 204));
}

static void on_client_drain(void *arg, struct http_exchange *x UNUSED) {
  struct stream *s = arg;

  if (s->up)
    upstream_pause(s->up, false);
}

static void on_body(void *arg, const void *data, size_t len) {
  struct stream *s = arg;

  http_respond_write(s->x, data, len);
  if (http_pending(s->x) >= BUFFER_BYTES)
    upstream_pause(s->up, true);
}

static void on_end(void *arg) {
  struct stream *s = arg;
  struct http_exchange *x = s->x;

  s->up = NULL;
  stream_free(s);
  http_respond_end(x);
}

/* ---- failures
 * ---------------------------------------------------------------------------------------------------------------------
 */

static bool open_upstream(struct stream *s, const struct backend *avoid, bool fresh);
static struct route *route_of(const struct stream *s);
static void on_fail(void *arg, enum upstream_failure failure, const char *why);

/* What has come of the request, to the backend that has just been chosen. */
static void send_again(struct stream *s) {
  upstream_write(s->up, buf_str(&s->sent), s->sent.len);
  if (s->body_done)
    upstream_request_done(s->up);
  else
    http_pause_body(s->x, false);
}

/* Sends the request again: when no connection came about, or a kept one was closed under our hands, the backend has not
 * worked on it. */
static bool retry(struct stream *s, enum upstream_failure failure) {
  if (s->retried || s->responded || !buf_ok(&s->sent) || (failure != UPSTREAM_CONNECT && failure != UPSTREAM_STALE))
    return false;
  s->retried = true;
  if (!open_upstream(s, failure == UPSTREAM_CONNECT ? s->backend : NULL, true))
    return false;
  send_again(s);
  return true;
}

static void try_again(void *arg) {
  struct stream *s = arg;

  loop_timer_free(s->again);
  s->again = NULL;
  if (buf_ok(&s->sent) && open_upstream(s, NULL, true))
    send_again(s);
  else
    on_fail(s, UPSTREAM_CONNECT, "no replica is there");
}

/* A replica that went before the table says so must not cost a request, where another can be started for it. */
static bool wait_for_replica(struct stream *s, enum upstream_failure failure) {
  struct route *route = route_of(s);
  uint64_t now = mono_ms();

  if (failure != UPSTREAM_CONNECT || s->responded || !buf_ok(&s->sent) || !route || !route->wakes)
    return false;
  s->until_ms = s->until_ms ? s->until_ms : now + HELD_MS;
  s->again = now < s->until_ms ? loop_timer_new(s->g->loop, AGAIN_MS, false, try_again, s) : NULL;
  if (!s->again)
    return false;
  if (s->backend)
    s->backend->busy--;
  s->backend = NULL;
  if (!s->body_done)
    http_pause_body(s->x, true);
  (void)snprintf(s->wakes, sizeof(s->wakes), "%s", route->wakes);
  if (!route->nbackends && s->g->on_demand)
    s->g->on_demand(s->g->demand_arg, s->match.ns, s->wakes);
  return true;
}

static void give_up(struct stream *s, enum upstream_failure failure, const char *why) {
  struct http_exchange *x = s->x;
  bool responded = s->responded, timeout = failure == UPSTREAM_TIMEOUT;
  char message[512];

  (void)snprintf(message, sizeof(message), "service %s in namespace %s: backend %s: %s", s->match.name, s->match.ns,
                 s->backend ? s->backend->address : "(none)", why);
  stream_free(s);
  if (responded)
    http_abort(x); /* a cut answer must not look complete */
  else
    respond_error(x, timeout ? 504 : 502, "server_error", timeout ? "backend_timeout" : "backend_failed", message);
}

static void on_fail(void *arg, enum upstream_failure failure, const char *why) {
  struct stream *s = arg;

  s->up = NULL;
  if (!retry(s, failure) && !wait_for_replica(s, failure))
    give_up(s, failure, why);
}

static const struct upstream_ops upstream_ops = {
    .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_drain = on_upstream_drain, .on_fail = on_fail};

static struct route *route_of(const struct stream *s) {
  char key[132];

  (void)snprintf(key, sizeof(key), "%s.%s", s->match.name, s->match.ns);
  return strmap_get(s->g->table.routes, key);
}

/* Connects to a backend of the route as it is now. */
static bool open_upstream(struct stream *s, const struct backend *avoid, bool fresh) {
  struct route *route = route_of(s);
  struct backend *b = route ? route_pick(route, avoid) : NULL;
  if (!b)
    return false;
  b->busy++;
  if (s->backend)
    s->backend->busy--;
  s->backend = b;
  s->up = upstream_open(s->g->pool, b->address, fresh, streq(http_method(s->x), "HEAD"), &upstream_ops, s);
  return s->up != NULL;
}

/* ---- start and end ----------------------------------------------------------------------------------------------- */

static struct stream *stream_new(struct gateway_core *g, struct http_exchange *x, const struct match *match) {
  struct stream *s = calloc(1, sizeof(*s));

  if (!s)
    return NULL;
  *s = (struct stream){.g = g, .x = x, .match = *match, .next = g->streams};
  s->match.route = NULL;
  if (s->next)
    s->next->prev = s;
  g->streams = s;
  buf_init(&s->sent, REPLAY_BYTES);
  s->chunked = http_has_body(x) && http_header(x, "transfer-encoding");
  s->upgrade = http_header(x, "upgrade") && lists(http_header(x, "connection"), "upgrade");
  return s;
}

void stream_start(struct gateway_core *g, struct http_exchange *x, const struct match *match) {
  struct stream *s = stream_new(g, x, match);
  _cleanup_buf_ struct buf head = BUF_INIT;

  if (s)
    write_request_head(s, &head);
  if (!s || !buf_ok(&head)) {
    respond_error(x, 500, "server_error", "out_of_memory", "the gateway is out of memory");
    if (s)
      stream_free(s);
    return;
  }
  if (!open_upstream(s, NULL, false)) {
    give_up(s, UPSTREAM_CONNECT, "cannot connect");
    return;
  }
  http_on_close(x, on_client_gone, s);
  http_on_drain(x, on_client_drain, s);
  forward(s, head.data, head.len);
  if (http_has_body(x)) {
    http_read_body(x, on_request_data, s);
  } else {
    s->body_done = true;
    upstream_request_done(s->up);
  }
}

size_t streams_waiting(const struct gateway_core *g, const char *ns, const char *name) {
  size_t n = 0;

  for (const struct stream *s = g->streams; s; s = s->next)
    n += s->again && streq(s->match.ns, ns) && streq(s->wakes, name);
  return n;
}

void streams_end(struct gateway_core *g) {
  while (g->streams) {
    struct http_exchange *x = g->streams->x;
    stream_free(g->streams);
    http_abort(x);
  }
  while (g->tunnels) {
    tunnel_free(g->tunnels->tunnel);
    on_tunnel_end(g->tunnels);
  }
}
