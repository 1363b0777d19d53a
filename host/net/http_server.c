#include "base/clock.h"
#include "base/str.h"
#include "net/http_internal.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define WRITE_STALL_S 60 /* a peer that takes nothing for this long is gone */
#define RATE_TICKS 10u   /* a second */
#define RATE_MOST ((size_t)EV_RATE_LIMIT_MAX)
#define LINGER_MS 2000 /* a refused peer may go on sending for so long */

/* ---- the parser's callbacks: they note, pause and return; http_connection_process() acts ---------------------- */

static int pause_for(http_parser *p, enum http_event event) {
  struct http_connection *c = p->data;

  c->event = event;
  http_parser_pause(p, 1);
  return 0;
}

static int on_begin(http_parser *p) {
  struct http_connection *c = p->data;

  c->exchange = http_exchange_new(c);
  c->in_value = false;
  return c->exchange ? 0 : -1;
}

/* Appends to the head; -1, which ends the connection, when it is too long. */
static int add_head(struct http_connection *c, const char *at, size_t len) {
  buf_add(&c->exchange->head, at, len);
  return buf_ok(&c->exchange->head) && !memchr(at, '\0', len) ? 0 : -1;
}

static int on_url(http_parser *p, const char *at, size_t len) {
  return add_head(p->data, at, len);
}

static int on_field(http_parser *p, const char *at, size_t len) {
  struct http_connection *c = p->data;
  struct http_exchange *x = c->exchange;

  if (c->in_value || !x->fields.len) {
    buf_addc(&x->head, '\0');
    struct http_field field = {x->head.len, 0};
    if (x->fields.len >= 256 || !VEC_PUSH(&x->fields, field))
      return -1;
    c->in_value = false;
  }
  return add_head(c, at, len);
}

static int on_value(http_parser *p, const char *at, size_t len) {
  struct http_connection *c = p->data;
  struct http_exchange *x = c->exchange;

  if (!c->in_value) {
    buf_addc(&x->head, '\0');
    x->fields.items[x->fields.len - 1].value = x->head.len;
    c->in_value = true;
  }
  return add_head(c, at, len);
}

static int on_head(http_parser *p) {
  return pause_for(p, HTTP_EVENT_HEAD);
}

static int on_body(http_parser *p, const char *at, size_t len) {
  struct http_connection *c = p->data;

  c->piece = at;
  c->piece_len = len;
  return pause_for(p, HTTP_EVENT_BODY);
}

static int on_end(http_parser *p) {
  return pause_for(p, HTTP_EVENT_END);
}

static const http_parser_settings parser_settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

/* ---- a connection --------------------------------------------------------------------------------------------- */

static void set_timeouts(struct http_connection *c, bool waiting_for_peer) {
  uint32_t idle_ms = c->server->cfg.idle_timeout_ms;
  struct timeval idle = {idle_ms / 1000, (suseconds_t)(idle_ms % 1000) * 1000};
  struct timeval stall = {WRITE_STALL_S, 0};

  (void)bufferevent_set_timeouts(c->bev, waiting_for_peer ? &idle : NULL, &stall);
}

void http_connection_free(struct http_connection *c) {
  struct http_server *s = c->server;
  struct http_exchange *x = c->exchange;

  c->exchange = NULL;
  if (x && x->on_close)
    x->on_close(x->close_arg, x);
  http_exchange_free(x);
  if (c->next)
    c->next->prev = c->prev;
  if (c->prev)
    c->prev->next = c->next;
  else
    s->connections = c->next;
  if (c->bev) {
    (void)bufferevent_remove_from_rate_limit_group(c->bev); /* freed later, maybe after the group */
    bufferevent_free(c->bev);
  }
  c->bev = NULL;
  if (s->nconnections-- == s->cfg.max_connections && s->listener)
    (void)evconnlistener_enable(s->listener);
  c->dead = true;
  if (!c->processing)
    free(c);
}

/* RFC 9112 section 9.6: closing on a peer that still sends resets the connection, and the reset takes the answer away
 * before it is read.  So only our half is closed, and what comes is thrown away until the peer closes or time is up. */
static void linger(struct http_connection *c) {
  const struct timeval quiet = {LINGER_MS / 1000, 0};
  SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

  c->linger_until_ms = mono_ms() + LINGER_MS;
  if (ssl)
    (void)SSL_shutdown(ssl);
  (void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
  (void)bufferevent_set_timeouts(c->bev, &quiet, NULL);
  (void)bufferevent_enable(c->bev, EV_READ);
}

static void end_flushed(struct http_connection *c) {
  if (!c->refused)
    http_connection_free(c);
  else if (!c->linger_until_ms)
    linger(c);
}

/* Closes once everything is written. */
static void close_when_flushed(struct http_connection *c) {
  c->closing = true;
  if (!c->linger_until_ms)
    (void)bufferevent_disable(c->bev, EV_READ);
  if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
    end_flushed(c);
}

/* Answers STATUS and closes: for requests that cannot become an exchange of the handler's. */
static void refuse(struct http_connection *c, int status) {
  const char *reason = http_reason(status);

  (void)evbuffer_add_printf(bufferevent_get_output(c->bev),
                            "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                            "Connection: close\r\n\r\n%s\n",
                            status, reason, strlen(reason) + 1, reason);
  if (c->exchange) {
    c->exchange->on_close = NULL;
    http_exchange_free(c->exchange);
    c->exchange = NULL;
  }
  c->refused = true;
  close_when_flushed(c);
}

/* Finishes the head: strings end, the path is cut out.  False when it makes no sense. */
static bool complete_head(struct http_connection *c) {
  struct http_exchange *x = c->exchange;

  for (size_t i = 0; i < x->fields.len; i++)
    if (x->fields.items[i].value == 0) { /* a name without a value */
      buf_addc(&x->head, '\0');
      x->fields.items[i].value = x->head.len;
    }
  buf_addc(&x->head, '\0');
  if (!buf_ok(&x->head))
    return false;
  x->path_len = strcspn(http_target(x), "?");
  x->path = str_copy(http_target(x), x->path_len);
  x->method = http_method_str((enum http_method)c->parser.method);
  x->http_1_0 = c->parser.http_major == 1 && c->parser.http_minor == 0;
  x->close_after = !http_should_keep_alive(&c->parser);
  const char *length = http_header(x, "content-length");
  x->has_body = http_header(x, "transfer-encoding") || (length && !streq(length, "0"));
  /* RFC 9112 section 3.2: exactly one Host from 1.1 on. */
  return x->path && (x->http_1_0 || http_header(x, "host"));
}

static void dispatch(struct http_connection *c) {
  set_timeouts(c, false);
  c->exchange->dispatched = true;
  c->server->cfg.handler(c->server->cfg.arg, c->exchange);
}

static void on_head_event(struct http_connection *c) {
  struct http_exchange *x = c->exchange;

  if (!complete_head(c)) {
    refuse(c, 400);
    return;
  }
  const char *expect = http_header(x, "expect");
  if (c->parser.content_length != UINT64_MAX && c->parser.content_length > x->body.max &&
      !c->server->cfg.stream_requests) {
    refuse(c, 413);
    return;
  }
  if (expect && strcasecmp(expect, "100-continue") == 0 && !x->http_1_0)
    (void)evbuffer_add_printf(bufferevent_get_output(c->bev), "HTTP/1.1 100 Continue\r\n\r\n");
  if (c->server->cfg.stream_requests && x->has_body)
    dispatch(c);
}

static void on_body_event(struct http_connection *c) {
  struct http_exchange *x = c->exchange;

  if (c->server->cfg.stream_requests) {
    x->on_data(x->data_arg, x, c->piece, c->piece_len);
    return;
  }
  buf_add(&x->body, c->piece, c->piece_len);
  if (!buf_ok(&x->body))
    refuse(c, 413);
}

static void on_end_event(struct http_connection *c) {
  struct http_exchange *x = c->exchange;

  x->request_complete = true;
  if (!x->dispatched)
    dispatch(c);
  else
    x->on_data(x->data_arg, x, NULL, 0);
}

/* Whether more of the input may be parsed now. */
static bool may_read(const struct http_connection *c) {
  const struct http_exchange *x = c->exchange;

  if (c->dead || c->closing)
    return false;
  if (!x)
    return true; /* between requests */
  if (x->dispatched)
    return !x->request_complete && x->on_data && !x->paused;
  return true;
}

static int status_of(enum http_errno e, const struct http_connection *c) {
  if (e == HPE_HEADER_OVERFLOW || (c->exchange && !buf_ok(&c->exchange->head)))
    return c->exchange && !c->exchange->fields.len ? 414 : 431;
  return 400;
}

static void handle_event(struct http_connection *c) {
  switch (c->event) {
  case HTTP_EVENT_HEAD:
    on_head_event(c);
    break;
  case HTTP_EVENT_BODY:
    on_body_event(c);
    break;
  case HTTP_EVENT_END:
    on_end_event(c);
    break;
  case HTTP_EVENT_NONE:
    break;
  }
}

/* Parses one contiguous piece of the input, up to the next event.  False when there is none. */
static bool parse_some(struct http_connection *c) {
  struct evbuffer *in = bufferevent_get_input(c->bev);
  struct evbuffer_iovec piece;

  if (evbuffer_peek(in, -1, NULL, &piece, 1) < 1 || piece.iov_len == 0)
    return false;
  c->event = HTTP_EVENT_NONE;
  size_t n = http_parser_execute(&c->parser, &parser_settings, piece.iov_base, piece.iov_len);
  enum http_errno e = HTTP_PARSER_ERRNO(&c->parser);
  if (e != HPE_OK && e != HPE_PAUSED) {
    refuse(c, status_of(e, c));
    return false;
  }
  if (e == HPE_PAUSED)
    http_parser_pause(&c->parser, 0);
  handle_event(c);
  if (c->bev)
    (void)evbuffer_drain(bufferevent_get_input(c->bev), n);
  return true;
}

void http_connection_process(struct http_connection *c) {
  if (c->processing)
    return;
  c->processing = true;
  while (may_read(c) && parse_some(c))
    continue;
  c->processing = false;
  if (c->dead)
    free(c);
  else if (c->closing)
    close_when_flushed(c);
}

void http_connection_next(struct http_connection *c) {
  if (c->closing) {
    if (!c->processing)
      close_when_flushed(c);
    return;
  }
  set_timeouts(c, true);
  http_connection_process(c);
}

static void on_readable(struct bufferevent *bev, void *arg) {
  struct http_connection *c = arg;

  if (!c->linger_until_ms) {
    http_connection_process(c);
    return;
  }
  struct evbuffer *in = bufferevent_get_input(bev);
  (void)evbuffer_drain(in, evbuffer_get_length(in));
  if (mono_ms() > c->linger_until_ms)
    http_connection_free(c);
}

/* Everything written so far is out. */
static void on_written(struct bufferevent *bev, void *arg) {
  struct http_connection *c = arg;

  (void)bev;
  if (c->closing && !c->exchange) {
    end_flushed(c);
    return;
  }
  if (c->exchange && c->exchange->on_drain)
    c->exchange->on_drain(c->exchange->drain_arg, c->exchange);
}

/* Which certificate the client has, once the handshake is over. */
static void note_client(struct http_connection *c) {
  SSL *ssl = bufferevent_openssl_get_ssl(c->bev);
  X509 *cert = ssl ? SSL_get1_peer_certificate(ssl) : NULL;
  unsigned char *der = NULL;
  int len = cert ? i2d_X509(cert, &der) : 0;

  if (len > 0)
    sha256_hex(der, (size_t)len, c->client_fingerprint);
  OPENSSL_free(der);
  X509_free(cert);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
  struct http_connection *c = arg;

  (void)bev;
  if (what & BEV_EVENT_CONNECTED)
    note_client(c);
  else
    http_connection_free(c); /* end of file, error or time-out: nobody is there to answer to */
}

static struct bufferevent *new_stream(struct http_server *s, evutil_socket_t fd) {
  if (!s->cfg.tls)
    return bufferevent_socket_new(loop_base(s->loop), fd, BEV_OPT_CLOSE_ON_FREE);
  SSL *ssl = SSL_new(s->cfg.tls);
  if (!ssl)
    return NULL;
  struct bufferevent *bev =
      bufferevent_openssl_socket_new(loop_base(s->loop), fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
  if (bev)
    bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
  else
    SSL_free(ssl);
  return bev;
}

static void format_peer(const struct sockaddr *sa, char *out, size_t size) {
  char ip[INET6_ADDRSTRLEN] = "";

  if (sa->sa_family == AF_INET) {
    const struct sockaddr_in *in = (const void *)sa;
    (void)inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
    (void)snprintf(out, size, "%s:%u", ip, ntohs(in->sin_port));
  } else if (sa->sa_family == AF_INET6) {
    const struct sockaddr_in6 *in = (const void *)sa;
    (void)inet_ntop(AF_INET6, &in->sin6_addr, ip, sizeof(ip));
    (void)snprintf(out, size, "[%s]:%u", ip, ntohs(in->sin6_port));
  }
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg) {
  struct http_server *s = arg;
  struct http_connection *c = calloc(1, sizeof(*c));
  int on = 1;

  (void)len;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (c)
    c->bev = new_stream(s, fd);
  if (!c || !c->bev) {
    free(c);
    (void)close(fd);
    return;
  }
  c->server = s;
  c->next = s->connections;
  if (c->next)
    c->next->prev = c;
  s->connections = c;
  if (s->limit)
    (void)bufferevent_add_to_rate_limit_group(c->bev, s->limit);
  format_peer(sa, c->peer, sizeof(c->peer));
  http_parser_init(&c->parser, HTTP_REQUEST);
  c->parser.data = c;
  bufferevent_setcb(c->bev, on_readable, on_written, on_event, c);
  bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_BUFFER);
  set_timeouts(c, true);
  (void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
  if (++s->nconnections == s->cfg.max_connections)
    (void)evconnlistener_disable(listener);
}

/* ---- the server ----------------------------------------------------------------------------------------------- */

/* Tokens for a tenth of a second at a time: smooth enough for a line, rare enough for an idle machine. */
static bool limit_rate(struct http_server *s) {
  const struct timeval tick = {.tv_usec = 1000000 / RATE_TICKS};
  uint64_t rate = s->cfg.max_bytes_per_second / RATE_TICKS;
  size_t most = rate > RATE_MOST ? RATE_MOST : rate ? (size_t)rate : 1;

  if (!s->cfg.max_bytes_per_second)
    return true;
  struct ev_token_bucket_cfg *cfg = ev_token_bucket_cfg_new(RATE_MOST, RATE_MOST, most, most, &tick);
  s->limit = cfg ? bufferevent_rate_limit_group_new(loop_base(s->loop), cfg) : NULL;
  if (cfg)
    ev_token_bucket_cfg_free(cfg);
  return s->limit != NULL;
}

/* ADDRESS and PORT as a socket address; false when ADDRESS is no IP. */
static bool parse_address(const char *address, uint16_t port, struct sockaddr_storage *out, int *out_len) {
  struct sockaddr_in *v4 = (void *)out;
  struct sockaddr_in6 *v6 = (void *)out;

  memset(out, 0, sizeof(*out));
  if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    *out_len = sizeof(*v4);
    return true;
  }
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  *out_len = sizeof(*v6);
  return inet_pton(AF_INET6, address, &v6->sin6_addr) == 1;
}

static int32_t listen_on(struct http_server *s, struct ome_err *err) {
  const char *address = s->address;
  struct sockaddr_storage sa;
  socklen_t sa_len = sizeof(sa);
  int len;

  if (!parse_address(address, s->cfg.port, &sa, &len))
    return fail(err, OME_E_INVALID, "listen on %s: not an IP address", address);
  s->listener = evconnlistener_new_bind(loop_base(s->loop), on_accept, s,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 1024,
                                        (struct sockaddr *)&sa, len);
  if (!s->listener) {
    if (errno == EADDRINUSE)
      return fail(err, OME_E_BUSY, "listen on %s:%u: another program uses this port; choose another", address,
                  s->cfg.port);
    _cleanup_free_ char *name = str_printf("%s:%u", address, s->cfg.port);
    return fail_errno(err, "listen on", name ? name : address);
  }
  if (getsockname(evconnlistener_get_fd(s->listener), (struct sockaddr *)&sa, &sa_len) == 0)
    s->port = ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
                                            : ((struct sockaddr_in6 *)&sa)->sin6_port);
  return OME_OK;
}

struct listen_call {
  struct http_server *server;
  struct ome_err *err;
  int32_t rc;
};

static void listen_on_loop(void *arg) {
  struct listen_call *call = arg;

  call->rc = limit_rate(call->server) ? listen_on(call->server, call->err) : fail_memory(call->err);
}

int32_t http_server_new(struct loop *l, const struct http_server_config *cfg, struct http_server **out,
                        struct ome_err *err) {
  struct http_server *s = calloc(1, sizeof(*s));

  if (!s)
    return fail_memory(err);
  s->loop = l;
  s->cfg = *cfg;
  s->cfg.max_body = cfg->max_body ? cfg->max_body : (size_t)8 << 20;
  s->cfg.max_connections = cfg->max_connections ? cfg->max_connections : 1024;
  s->cfg.idle_timeout_ms = cfg->idle_timeout_ms ? cfg->idle_timeout_ms : 60000;
  if (s->cfg.tls)
    (void)SSL_CTX_up_ref(s->cfg.tls);
  s->address = strdup(cfg->address ? cfg->address : "127.0.0.1");
  struct listen_call call = {s, err, OME_OK};
  if (!s->address)
    call.rc = fail_memory(err);
  else
    loop_call(l, listen_on_loop, &call);
  if (call.rc != OME_OK) {
    http_server_free(s);
    return call.rc;
  }
  *out = s;
  return OME_OK;
}

static void close_all(void *arg) {
  struct http_server *s = arg;

  if (s->listener)
    evconnlistener_free(s->listener);
  s->listener = NULL;
  while (s->connections)
    http_connection_free(s->connections);
  if (s->limit)
    bufferevent_rate_limit_group_free(s->limit);
  s->limit = NULL;
}

void http_server_free(struct http_server *s) {
  if (!s)
    return;
  loop_call(s->loop, close_all, s);
  if (s->cfg.tls)
    SSL_CTX_free(s->cfg.tls);
  free(s->address);
  free(s);
}

uint16_t http_server_port(const struct http_server *s) {
  return s->port;
}
