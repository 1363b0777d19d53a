#include "net/http_internal.h"

#include "base/str.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct http_exchange *http_exchange_new(struct http_connection *c) {
  struct http_exchange *x = calloc(1, sizeof(*x));

  if (!x)
    return NULL;
  x->connection = c;
  buf_init(&x->head, HTTP_MAX_HEAD);
  buf_init(&x->body, c->server->cfg.max_body);
  buf_init(&x->extra_headers, HTTP_MAX_HEAD);
  return x;
}

void http_exchange_free(struct http_exchange *x) {
  if (!x)
    return;
  buf_fini(&x->head);
  buf_fini(&x->body);
  buf_fini(&x->query);
  VEC_FREE(&x->queries);
  buf_fini(&x->extra_headers);
  VEC_FREE(&x->fields);
  free(x->path);
  free(x);
}

/* ---- the request ---------------------------------------------------------------------------------------------- */

const char *http_method(const struct http_exchange *x) {
  return x->method;
}

const char *http_target(const struct http_exchange *x) {
  return buf_str(&x->head);
}

const char *http_path(const struct http_exchange *x) {
  return x->path;
}

static const char *query_text(const struct http_exchange *x) {
  const char *q = http_target(x) + x->path_len;

  return *q == '?' ? q + 1 : "";
}

/* Appends the decoded form of [p, p+len) and a NUL; where it starts. */
static size_t add_decoded(struct buf *b, const char *p, size_t len) {
  _cleanup_free_ char *plain = str_copy(p, len);
  size_t at = b->len;

  for (char *c = plain; c && *c; c++)
    if (*c == '+')
      *c = ' ';
  _cleanup_free_ char *decoded = plain ? url_decode(plain, len) : NULL;
  buf_adds(b, decoded);
  buf_addc(b, '\0');
  return at;
}

static void decode_query(struct http_exchange *x) {
  for (const char *p = query_text(x); *p;) {
    size_t len = strcspn(p, "&");
    size_t key = strcspn(p, "=&");
    struct http_field field;
    field.name = add_decoded(&x->query, p, key);
    field.value = add_decoded(&x->query, p + key + (key < len), key < len ? len - key - 1 : 0);
    if (!VEC_PUSH(&x->queries, field))
      return;
    p += len + (p[len] == '&');
  }
}

const char *http_query(struct http_exchange *x, const char *name) {
  if (!x->queries.len)
    decode_query(x);
  for (size_t i = 0; i < x->queries.len; i++)
    if (streq(buf_str(&x->query) + x->queries.items[i].name, name))
      return buf_str(&x->query) + x->queries.items[i].value;
  return NULL;
}

size_t http_header_count(const struct http_exchange *x) {
  return x->fields.len;
}

struct http_header http_header_at(const struct http_exchange *x, size_t i) {
  const char *base = buf_str(&x->head);

  return (struct http_header){base + x->fields.items[i].name, base + x->fields.items[i].value};
}

const char *http_header(const struct http_exchange *x, const char *name) {
  for (size_t i = 0; i < x->fields.len; i++) {
    struct http_header h = http_header_at(x, i);
    if (strcasecmp(h.name, name) == 0)
      return h.value;
  }
  return NULL;
}

const char *http_peer(const struct http_exchange *x) {
  return x->connection->peer;
}

char *http_base_url(const struct http_exchange *x) {
  const struct http_server *server = x->connection->server;
  const char *scheme = server->cfg.tls ? "https" : "http";
  const char *host = http_header(x, "host");
  bool is_v6 = strchr(server->address, ':') != NULL;

  if (host && *host && strlen(host) < 256 &&
      strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]") == strlen(host))
    return str_printf("%s://%s", scheme, host);
  return str_printf("%s://%s%s%s:%u", scheme, is_v6 ? "[" : "", server->address, is_v6 ? "]" : "", server->port);
}

const char *http_body(const struct http_exchange *x, size_t *len) {
  if (len)
    *len = x->body.len;
  return buf_str(&x->body);
}

const char *http_client_fingerprint(const struct http_exchange *x) {
  return x->connection->client_fingerprint;
}

bool http_has_body(const struct http_exchange *x) {
  return x->has_body;
}

void http_read_body(struct http_exchange *x, http_data_fn *on_data, void *arg) {
  x->on_data = on_data;
  x->data_arg = arg;
  if (x->request_complete)
    on_data(arg, x, NULL, 0);
  else
    http_connection_process(x->connection);
}

void http_pause_body(struct http_exchange *x, bool paused) {
  x->paused = paused;
  if (!paused)
    http_connection_process(x->connection);
}

struct loop *http_loop(const struct http_exchange *x) {
  return x->connection->server->loop;
}

void http_set_user(struct http_exchange *x, void *user) {
  x->user = user;
}

void *http_user(const struct http_exchange *x) {
  return x->user;
}

/* ---- the response --------------------------------------------------------------------------------------------- */

static struct evbuffer *output(const struct http_exchange *x) {
  return bufferevent_get_output(x->connection->bev);
}

void http_add_header(struct http_exchange *x, const char *name, const char *value) {
  buf_addf(&x->extra_headers, "%s: ", name);
  for (const char *p = value; *p; p++) /* a line break would be another header */
    buf_addc(&x->extra_headers, (unsigned char)*p < ' ' ? ' ' : *p);
  buf_adds(&x->extra_headers, "\r\n");
}

size_t http_headers_mark(const struct http_exchange *x) {
  return x->extra_headers.len;
}

void http_headers_rewind(struct http_exchange *x, size_t mark) {
  buf_truncate(&x->extra_headers, mark);
}

static bool has_no_body(int status) {
  return status < 200 || status == 204 || status == 304;
}

static void write_head(struct http_exchange *x, int status, const char *content_type, int64_t content_length) {
  struct evbuffer *out = output(x);

  x->started = true;
  x->head_only = streq(x->method, "HEAD") || has_no_body(status);
  x->chunked = content_length < 0 && !x->http_1_0 && !has_no_body(status);
  /* A body that nobody read would be taken for the next request. */
  x->close_after = x->close_after || !x->request_complete || (content_length < 0 && x->http_1_0);
  (void)evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
  if (content_type)
    (void)evbuffer_add_printf(out, "Content-Type: %s\r\n", content_type);
  if (x->chunked)
    (void)evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
  else if (content_length >= 0 && status >= 200 && status != 204)
    (void)evbuffer_add_printf(out, "Content-Length: %lld\r\n", (long long)content_length);
  if (x->close_after)
    (void)evbuffer_add_printf(out, "Connection: close\r\n");
  else if (x->http_1_0)
    (void)evbuffer_add_printf(out, "Connection: keep-alive\r\n");
  (void)evbuffer_add(out, buf_str(&x->extra_headers), x->extra_headers.len);
  (void)evbuffer_add(out, "\r\n", 2);
}

void http_respond_start(struct http_exchange *x, int status, const char *content_type, int64_t content_length) {
  write_head(x, status, content_type, content_length);
}

void http_respond_write(struct http_exchange *x, const void *data, size_t len) {
  struct evbuffer *out = output(x);

  if (x->head_only || len == 0)
    return;
  if (x->chunked)
    (void)evbuffer_add_printf(out, "%zx\r\n", len);
  (void)evbuffer_add(out, data, len);
  if (x->chunked)
    (void)evbuffer_add(out, "\r\n", 2);
}

void http_respond_file(struct http_exchange *x, int fd, uint64_t offset, uint64_t len) {
  struct evbuffer *out = output(x);

  if (x->head_only || len == 0 || len > INT64_MAX) {
    (void)close(fd);
    return;
  }
  if (x->chunked)
    (void)evbuffer_add_printf(out, "%llx\r\n", (unsigned long long)len);
  if (evbuffer_add_file(out, fd, (ev_off_t)offset, (ev_off_t)len) != 0) {
    (void)close(fd);
    x->connection->closing = true; /* the promised length cannot be kept */
  }
  if (x->chunked)
    (void)evbuffer_add(out, "\r\n", 2);
}

void http_respond_end(struct http_exchange *x) {
  struct http_connection *c = x->connection;

  if (x->chunked && !x->head_only)
    (void)evbuffer_add(output(x), "0\r\n\r\n", 5);
  c->closing = c->closing || x->close_after;
  c->exchange = NULL;
  http_exchange_free(x);
  http_connection_next(c);
}

void http_respond(struct http_exchange *x, int status, const char *content_type, const void *body, size_t len) {
  write_head(x, status, content_type, (int64_t)len);
  http_respond_write(x, body, len);
  http_respond_end(x);
}

void http_abort(struct http_exchange *x) {
  x->on_close = NULL;
  http_connection_free(x->connection);
}

size_t http_pending(const struct http_exchange *x) {
  return evbuffer_get_length(output(x));
}

void http_on_drain(struct http_exchange *x, http_handler *on_drain, void *arg) {
  x->on_drain = on_drain;
  x->drain_arg = arg;
}

void http_on_close(struct http_exchange *x, http_handler *on_close, void *arg) {
  x->on_close = on_close;
  x->close_arg = arg;
}

struct bufferevent *http_take_connection(struct http_exchange *x) {
  struct http_connection *c = x->connection;
  struct bufferevent *bev = c->bev;

  bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
  (void)bufferevent_set_timeouts(bev, NULL, NULL);
  (void)bufferevent_remove_from_rate_limit_group(bev);
  bufferevent_setwatermark(bev, EV_READ, 0, 0);
  x->on_close = NULL;
  c->bev = NULL;
  http_connection_free(c);
  return bev;
}

const char *http_reason(int status) {
  static const struct {
    int status;
    const char *reason;
  } reasons[] = {
      {100, "Continue"},
      {101, "Switching Protocols"},
      {200, "OK"},
      {201, "Created"},
      {202, "Accepted"},
      {204, "No Content"},
      {206, "Partial Content"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {400, "Bad Request"},
      {401, "Unauthorized"},
      {403, "Forbidden"},
      {404, "Not Found"},
      {405, "Method Not Allowed"},
      {406, "Not Acceptable"},
      {408, "Request Timeout"},
      {409, "Conflict"},
      {410, "Gone"},
      {412, "Precondition Failed"},
      {413, "Request Entity Too Large"},
      {414, "URI Too Long"},
      {415, "Unsupported Media Type"},
      {416, "Range Not Satisfiable"},
      {422, "Unprocessable Entity"},
      {429, "Too Many Requests"},
      {431, "Request Header Fields Too Large"},
      {500, "Internal Server Error"},
      {501, "Not Implemented"},
      {502, "Bad Gateway"},
      {503, "Service Unavailable"},
      {504, "Gateway Timeout"},
      {507, "Insufficient Storage"},
  };

  for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
    if (reasons[i].status == status)
      return reasons[i].reason;
  return "Unknown";
}
