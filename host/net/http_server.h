/* HTTP/1.1 server (RFC 9110, 9112) on libevent, plain or TLS: persistent connections, chunked bodies both ways,
 * back-pressure both ways, protocol upgrade.
 *
 * An exchange is one request and its response.  All functions run on the server's loop thread; a handler that needs
 * to wait keeps the exchange and answers later from that thread (loop_post).  Bounds: head 64 KiB, max_body, idle and
 * head time-outs, max_connections; a connection buffers at most 256 KiB a direction beyond what one write hands in. */
#ifndef HOST_NET_HTTP_SERVER_H
#define HOST_NET_HTTP_SERVER_H

#include "base/err.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_ctx_st;
struct http_server;
struct http_exchange;

struct http_header {
  const char *name;
  const char *value;
};

typedef void http_handler(void *arg, struct http_exchange *x);

struct http_server_config {
  const char *address;           /* IP, NULL: 127.0.0.1 */
  uint16_t port;                 /* 0: any free one, see http_server_port() */
  struct ssl_ctx_st *tls;        /* NULL: plain; a reference is taken */
  bool stream_requests;          /* call the handler when the head is there; the body comes through http_read_body() */
  size_t max_body;               /* of a buffered request; larger: 413.  0: 8 MiB */
  uint32_t max_connections;      /* 0: 1024 */
  uint32_t idle_timeout_ms;      /* between requests and while a head arrives; 0: 60 s */
  uint64_t max_bytes_per_second; /* sent, all connections together; 0: no bound */
  http_handler *handler;
  void *arg;
};

/* Binds and listens before it returns; an occupied port is OME_E_BUSY naming address and port. [any-thread] */
int32_t http_server_new(struct loop *l, const struct http_server_config *cfg, struct http_server **out,
                        struct ome_err *err);
/* Closes the listener and every connection (on_close of their exchanges run).  [any-thread] */
void http_server_free(struct http_server *s);
uint16_t http_server_port(const struct http_server *s);

/* ---- the request; borrowed from the exchange ---------------------------------------------------------------- */

const char *http_method(const struct http_exchange *x); /* "GET" */
const char *http_target(const struct http_exchange *x); /* as received: "/a%20b?c=d" */
const char *http_path(const struct http_exchange *x);   /* percent-encoded, without the query */
/* Decoded value of the first query parameter NAME; NULL: absent, "" without a value. */
const char *http_query(struct http_exchange *x, const char *name);
const char *http_header(const struct http_exchange *x, const char *name); /* first; name in any case; NULL */
size_t http_header_count(const struct http_exchange *x);
struct http_header http_header_at(const struct http_exchange *x, size_t i);
const char *http_peer(const struct http_exchange *x); /* "127.0.0.1:4711" */
/* new: how the client reaches this server, "https://node:8443", by its Host header when that looks like one (RFC 9110
 * section 7.2), by the server's own address otherwise. */
char *http_base_url(const struct http_exchange *x);
/* Whole body; NUL-terminated.  Only without stream_requests. */
const char *http_body(const struct http_exchange *x, size_t *len);
/* tls_fingerprint() of the certificate whose key the client has proven to have, vouched for or not; "" without one. */
const char *http_client_fingerprint(const struct http_exchange *x);

/* With stream_requests: ON_DATA gets each piece as it arrives, then (NULL, 0) at the end.  Reading starts with this
 * call; http_pause_body() stops it for back-pressure. */
typedef void http_data_fn(void *arg, struct http_exchange *x, const void *data, size_t len);
void http_read_body(struct http_exchange *x, http_data_fn *on_data, void *arg);
void http_pause_body(struct http_exchange *x, bool paused);
bool http_has_body(const struct http_exchange *x);

/* ---- the response ------------------------------------------------------------------------------------------- */

/* Adds a header to the response; NAME and VALUE are copied.  Before http_respond*(). */
void http_add_header(struct http_exchange *x, const char *name, const char *value);

/* How many bytes of headers were added, and back to that many: for an answer that is begun anew. */
size_t http_headers_mark(const struct http_exchange *x);
void http_headers_rewind(struct http_exchange *x, size_t mark);

/* The whole response at once; ends the exchange: X is gone afterwards.  Content-Length is set; a HEAD request gets no
 * body.  CONTENT_TYPE may be NULL. */
void http_respond(struct http_exchange *x, int status, const char *content_type, const void *body, size_t len);

/* A response in pieces: chunked, or as CONTENT_LENGTH >= 0 says. */
void http_respond_start(struct http_exchange *x, int status, const char *content_type, int64_t content_length);
void http_respond_write(struct http_exchange *x, const void *data, size_t len);
/* Sends LEN bytes of FD from OFFSET with sendfile where it can; takes FD. */
void http_respond_file(struct http_exchange *x, int fd, uint64_t offset, uint64_t len);
void http_respond_end(struct http_exchange *x); /* X is gone afterwards */
/* LEN bytes of FD from OFFSET as all that is left of a response, which ends with them; takes FD and X.  Where sendfile
 * cannot, no more than a piece of it is in memory.  SENT (may be NULL) is told of what was handed to the connection. */
void http_send_file(struct http_exchange *x, int fd, uint64_t offset, uint64_t len, void (*sent)(size_t n));
void http_abort(struct http_exchange *x); /* drops the connection; X is gone afterwards */

/* Bytes written that the peer has not taken yet; ON_DRAIN is called when they fall to 0. */
size_t http_pending(const struct http_exchange *x);
void http_on_drain(struct http_exchange *x, http_handler *on_drain, void *arg);
/* Called once if the peer goes away before the response has ended; X is gone when it returns. */
void http_on_close(struct http_exchange *x, http_handler *on_close, void *arg);

/* The server's loop, for events and timers of whoever answers. */
struct loop *http_loop(const struct http_exchange *x);

/* Something of the owner's to hang on an exchange. */
void http_set_user(struct http_exchange *x, void *user);
void *http_user(const struct http_exchange *x);

/* Takes the connection out of HTTP (Upgrade, CONNECT): after a response head written by the caller the raw
 * bufferevent, with whatever was read already, is the caller's.  X is gone afterwards. */
struct bufferevent;
struct bufferevent *http_take_connection(struct http_exchange *x);

/* "Not Found" for 404. */
const char *http_reason(int status);

#endif
