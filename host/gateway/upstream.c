/* Backend connections. */
#include "gateway/upstream.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/strmap.h"
#include "base/vec.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/util.h>
#include <http_parser.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>

#define BUFFER_BYTES ((size_t)256 << 10)
#define HEAD_MAX ((size_t)64 << 10)
#define FIELDS_MAX 256
#define IDLE_PER_BACKEND 32

#define CONNECT_TIMEOUT_S 5
#define ANSWER_TIMEOUT_S 600 /* between two pieces of an answer; a long completion comes as one piece */
#define WRITE_TIMEOUT_S 60
#define IDLE_TIMEOUT_S 30

struct field {
  size_t name, value; /* offsets into head */
};

struct upstream {
  struct upstream_pool *pool;
  struct upstream *next; /* idle ones of one backend */
  char *address;
  struct bufferevent *bev;
  http_parser parser;
  const struct upstream_ops *ops; /* NULL: idle */
  void *arg;
  struct buf head;
  VEC(struct field) fields;
  bool in_value;
  bool connected, kept, head_request;
  bool request_done;
  bool answered; /* a byte of the answer has come */
  bool complete; /* the answer is there, keep says whether the connection can go on */
  bool keep;
  bool upgraded;
  bool busy, dead; /* inside the parser; closed meanwhile */
};

struct upstream_pool {
  struct loop *loop;
  struct strmap *idle; /* address -> struct upstream, a list */
};

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void upstream_free(struct upstream *u) {
  if (u->bev)
    bufferevent_free(u->bev);
  u->bev = NULL;
  u->dead = true;
  if (u->busy)
    return;
  buf_fini(&u->head);
  VEC_FREE(&u->fields);
  free(u->address);
  free(u);
}

void upstream_close(struct upstream *u) {
  upstream_free(u);
}

static void fail_with(struct upstream *u, enum upstream_failure failure, const char *why) {
  const struct upstream_ops *ops = u->ops;
  void *arg = u->arg;

  upstream_free(u);
  ops->on_fail(arg, failure, why);
}

/* ---- idle connections -------------------------------------------------------------------------------------------- */

static void unlink_idle(struct upstream *u) {
  struct upstream *first = strmap_get(u->pool->idle, u->address);

  if (first == u) {
    if (!u->next || !strmap_put(u->pool->idle, u->address, u->next))
      (void)strmap_del(u->pool->idle, u->address);
  } else {
    while (first && first->next != u)
      first = first->next;
    if (first)
      first->next = u->next;
  }
  u->next = NULL;
}

static size_t idle_count(const struct upstream_pool *p, const char *address) {
  size_t n = 0;

  for (const struct upstream *u = strmap_get(p->idle, address); u; u = u->next)
    n++;
  return n;
}

static void set_timeouts(struct upstream *u, int read_s, int write_s) {
  struct timeval r = {read_s, 0}, w = {write_s, 0};

  (void)bufferevent_set_timeouts(u->bev, &r, &w);
}

static void keep(struct upstream *u) {
  struct upstream *first = strmap_get(u->pool->idle, u->address);

  u->ops = NULL;
  u->arg = NULL;
  u->kept = true;
  u->next = first;
  if (idle_count(u->pool, u->address) >= IDLE_PER_BACKEND || !strmap_put(u->pool->idle, u->address, u)) {
    upstream_free(u);
    return;
  }
  set_timeouts(u, IDLE_TIMEOUT_S, WRITE_TIMEOUT_S);
  (void)bufferevent_enable(u->bev, EV_READ); /* to see it close */
}

/* ---- the parser's callbacks -------------------------------------------------------------------------------------- */

static int add_head(struct upstream *u, const char *at, size_t len) {
  buf_add(&u->head, at, len);
  return buf_ok(&u->head) && !memchr(at, '\0', len) ? 0 : -1;
}

static int on_begin(http_parser *p) {
  struct upstream *u = p->data;

  buf_clear(&u->head);
  u->fields.len = 0;
  u->in_value = false;
  return 0;
}

static int on_field(http_parser *p, const char *at, size_t len) {
  struct upstream *u = p->data;

  if (u->in_value || !u->fields.len) {
    if (u->head.len)
      buf_addc(&u->head, '\0');
    struct field f = {u->head.len, 0};
    if (u->fields.len >= FIELDS_MAX || !VEC_PUSH(&u->fields, f))
      return -1;
    u->in_value = false;
  }
  return add_head(u, at, len);
}

static int on_value(http_parser *p, const char *at, size_t len) {
  struct upstream *u = p->data;

  if (!u->in_value) {
    buf_addc(&u->head, '\0');
    u->fields.items[u->fields.len - 1].value = u->head.len;
    u->in_value = true;
  }
  return add_head(u, at, len);
}

/* 1: no body follows; 2: nor anything else that is HTTP. */
static int on_head(http_parser *p) {
  struct upstream *u = p->data;
  int status = (int)p->status_code;

  buf_addc(&u->head, '\0');
  for (size_t i = 0; i < u->fields.len; i++)
    if (!u->fields.items[i].value)
      u->fields.items[i].value = u->head.len - 1; /* a name without a value */
  u->upgraded = status == 101;
  if (status >= 200 || u->upgraded)
    u->ops->on_head(u->arg, status);
  return u->upgraded ? 2 : u->head_request;
}

static int on_body(http_parser *p, const char *at, size_t len) {
  struct upstream *u = p->data;

  if (!u->dead)
    u->ops->on_body(u->arg, at, len);
  return u->dead ? -1 : 0;
}

static int on_complete(http_parser *p) {
  struct upstream *u = p->data;

  if (p->status_code < 200 && !u->upgraded)
    return 0; /* 100 Continue and its like: the answer is still to come */
  u->complete = true;
  u->keep = http_should_keep_alive(p) != 0;
  http_parser_pause(p, 1);
  return 0;
}

static const http_parser_settings settings = {.on_message_begin = on_begin,
                                              .on_header_field = on_field,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_head,
                                              .on_body = on_body,
                                              .on_message_complete = on_complete};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void complete(struct upstream *u) {
  const struct upstream_ops *ops = u->ops;
  void *arg = u->arg;

  if (u->keep && u->request_done && !evbuffer_get_length(bufferevent_get_input(u->bev)) &&
      !evbuffer_get_length(bufferevent_get_output(u->bev)))
    keep(u);
  else
    upstream_free(u);
  ops->on_end(arg);
}

/* Parses what is buffered.  False when U is gone. */
static bool parse(struct upstream *u) {
  struct evbuffer_iovec piece;
  enum http_errno e = HPE_OK;

  u->busy = true;
  while (!u->dead && !u->complete && !u->upgraded &&
         evbuffer_peek(bufferevent_get_input(u->bev), -1, NULL, &piece, 1) >= 1 && piece.iov_len) {
    u->answered = true;
    size_t n = http_parser_execute(&u->parser, &settings, piece.iov_base, piece.iov_len);
    e = HTTP_PARSER_ERRNO(&u->parser);
    if (u->dead)
      break;
    (void)evbuffer_drain(bufferevent_get_input(u->bev), n);
    if (e != HPE_OK && !u->complete)
      break;
  }
  u->busy = false;
  if (u->dead) {
    upstream_free(u);
    return false;
  }
  if (u->upgraded)
    return true;
  if (u->complete) {
    complete(u);
    return false;
  }
  if (e == HPE_OK)
    return true;
  fail_with(u, UPSTREAM_PROTOCOL, http_errno_description(e));
  return false;
}

static void on_read(struct bufferevent *bev UNUSED, void *arg) {
  struct upstream *u = arg;

  if (!u->ops) { /* an idle connection that speaks is of no use */
    unlink_idle(u);
    upstream_free(u);
    return;
  }
  (void)parse(u);
}

static void on_write(struct bufferevent *bev UNUSED, void *arg) {
  struct upstream *u = arg;

  if (u->ops)
    u->ops->on_drain(u->arg);
}

/* The backend has closed: the end of an answer without a length, or too early. */
static void on_eof(struct upstream *u) {
  if (!parse(u))
    return;
  if (!u->upgraded && u->answered) {
    u->busy = true;
    (void)http_parser_execute(&u->parser, &settings, NULL, 0);
    u->busy = false;
    if (u->dead) {
      upstream_free(u);
      return;
    }
    u->keep = false;
    if (u->complete) {
      complete(u);
      return;
    }
  }
  fail_with(u, u->kept && !u->answered ? UPSTREAM_STALE : UPSTREAM_CLOSED, "the backend closed the connection");
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
  struct upstream *u = arg;
  int error = EVUTIL_SOCKET_ERROR();

  (void)bev;
  if (what & BEV_EVENT_CONNECTED) {
    u->connected = true;
    set_timeouts(u, ANSWER_TIMEOUT_S, WRITE_TIMEOUT_S);
    return;
  }
  if (!u->ops) {
    unlink_idle(u);
    upstream_free(u);
  } else if (!u->connected)
    fail_with(u, UPSTREAM_CONNECT, what & BEV_EVENT_TIMEOUT ? "connection timed out" : strerror(error));
  else if (what & BEV_EVENT_TIMEOUT)
    fail_with(u, UPSTREAM_TIMEOUT, "the backend did not answer in time");
  else if (what & BEV_EVENT_EOF)
    on_eof(u);
  else
    fail_with(u, u->kept && !u->answered ? UPSTREAM_STALE : UPSTREAM_CLOSED, strerror(error));
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static struct upstream *connect_new(struct upstream_pool *p, const char *address) {
  struct sockaddr_storage sa;
  int len = sizeof(sa), on = 1;
  struct upstream *u = calloc(1, sizeof(*u));

  if (!u || evutil_parse_sockaddr_port(address, (struct sockaddr *)&sa, &len) != 0) {
    free(u);
    return NULL;
  }
  u->pool = p;
  u->address = strdup(address);
  u->bev = bufferevent_socket_new(loop_base(p->loop), -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
  buf_init(&u->head, HEAD_MAX);
  if (!u->bev || !u->address) {
    upstream_free(u);
    return NULL;
  }
  bufferevent_setcb(u->bev, on_read, on_write, on_event, u);
  bufferevent_setwatermark(u->bev, EV_READ, 0, BUFFER_BYTES);
  set_timeouts(u, ANSWER_TIMEOUT_S, CONNECT_TIMEOUT_S);
  if (bufferevent_socket_connect(u->bev, (struct sockaddr *)&sa, len) != 0) {
    upstream_free(u);
    return NULL;
  }
  (void)setsockopt(bufferevent_getfd(u->bev), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return u;
}

struct upstream *upstream_open(struct upstream_pool *p, const char *address, bool fresh, bool head,
                               const struct upstream_ops *ops, void *arg) {
  struct upstream *u = fresh ? NULL : strmap_get(p->idle, address);

  if (u) {
    unlink_idle(u);
    set_timeouts(u, ANSWER_TIMEOUT_S, WRITE_TIMEOUT_S);
  } else
    u = connect_new(p, address);
  if (!u)
    return NULL;
  u->ops = ops;
  u->arg = arg;
  u->head_request = head;
  u->request_done = u->answered = u->complete = u->keep = u->upgraded = false;
  http_parser_init(&u->parser, HTTP_RESPONSE);
  u->parser.data = u;
  (void)bufferevent_enable(u->bev, EV_READ | EV_WRITE);
  return u;
}

void upstream_write(struct upstream *u, const void *data, size_t len) {
  (void)bufferevent_write(u->bev, data, len);
}

size_t upstream_pending(const struct upstream *u) {
  return evbuffer_get_length(bufferevent_get_output(u->bev));
}

void upstream_request_done(struct upstream *u) {
  u->request_done = true;
}

void upstream_pause(struct upstream *u, bool paused) {
  if (paused)
    (void)bufferevent_disable(u->bev, EV_READ);
  else
    (void)bufferevent_enable(u->bev, EV_READ);
}

struct bufferevent *upstream_take(struct upstream *u) {
  struct bufferevent *bev = u->bev;

  bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
  u->bev = NULL;
  upstream_free(u);
  return bev;
}

size_t upstream_header_count(const struct upstream *u) {
  return u->fields.len;
}

struct http_header upstream_header_at(const struct upstream *u, size_t i) {
  const char *base = buf_str(&u->head);

  return (struct http_header){base + u->fields.items[i].name, base + u->fields.items[i].value};
}

const char *upstream_header(const struct upstream *u, const char *name) {
  for (size_t i = 0; i < u->fields.len; i++) {
    struct http_header h = upstream_header_at(u, i);
    if (strcasecmp(h.name, name) == 0)
      return h.value;
  }
  return NULL;
}

/* ---- the pool
 * -------------------------------------------------------------------------------------------------------------------
 */

struct upstream_pool *upstream_pool_new(struct loop *l) {
  struct upstream_pool *p = calloc(1, sizeof(*p));

  if (!p)
    return NULL;
  p->loop = l;
  p->idle = strmap_new(NULL);
  if (p->idle)
    return p;
  free(p);
  return NULL;
}

void upstream_pool_free(struct upstream_pool *p) {
  for (struct strmap_iter it = strmap_first(p->idle); it.key; strmap_next(&it))
    for (struct upstream *u = it.value, *next; u; u = next) {
      next = u->next;
      upstream_free(u);
    }
  strmap_free(p->idle);
  free(p);
}
