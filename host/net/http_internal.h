/* What the two halves of the HTTP server share: connections (http_server.c) and exchanges (http_exchange.c). */
#ifndef HOST_NET_HTTP_INTERNAL_H
#define HOST_NET_HTTP_INTERNAL_H

#include "base/buf.h"
#include "base/vec.h"
#include "net/http_server.h"

#include <http_parser.h>

struct bufferevent;
struct evbuffer;
struct evconnlistener;

#define HTTP_MAX_HEAD ((size_t)64 << 10)
#define HTTP_BUFFER ((size_t)256 << 10)

enum http_event { HTTP_EVENT_NONE, HTTP_EVENT_HEAD, HTTP_EVENT_BODY, HTTP_EVENT_END };

struct http_server {
  struct loop *loop;
  struct http_server_config cfg;
  char *address; /* that it listens on */
  struct evconnlistener *listener;
  struct bufferevent_rate_limit_group *limit; /* NULL: none */
  struct http_connection *connections;        /* doubly linked */
  uint32_t nconnections;
  uint16_t port;
};

/* Offsets into exchange.head, where all header text is, each piece NUL-terminated. */
struct http_field {
  size_t name, value;
};

struct http_exchange {
  struct http_connection *connection;
  struct buf head; /* target, then header names and values */
  VEC(struct http_field) fields;
  struct buf body;
  struct buf query; /* decoded names and values, NUL-terminated; made by the first http_query() */
  VEC(struct http_field) queries;
  size_t path_len;
  char *path;
  const char *method;
  bool http_1_0;
  bool has_body;
  bool dispatched;       /* the handler knows it */
  bool request_complete; /* nothing of the request is left to read */
  /* the response */
  struct buf extra_headers;
  bool started, chunked, head_only, close_after;
  http_data_fn *on_data;
  void *data_arg;
  bool paused;
  http_handler *on_drain, *on_close;
  void *drain_arg, *close_arg;
  void *user;
};

struct http_connection {
  struct http_server *server;
  struct http_connection *next, *prev;
  struct bufferevent *bev;
  struct http_exchange *exchange; /* being received or answered */
  http_parser parser;
  /* what the parser paused for */
  enum http_event event;
  const char *piece;
  size_t piece_len;
  bool in_value; /* header pieces: a value is being read */
  bool closing;  /* close when the output is out */
  bool refused;  /* what the peer still sends is thrown away for a moment, so that it comes to read the answer */
  uint64_t linger_until_ms; /* then it is closed; 0: not yet so far */
  bool processing;          /* inside http_connection_process(): whoever ends things there leaves the rest to it */
  bool dead;                /* freed while processing: only the memory is left */
  char peer[64];
  char client_fingerprint[65];
};

/* Reads on with what is buffered, as far as the present exchange allows. */
void http_connection_process(struct http_connection *c);
/* Drops everything at once; on_close of the exchange runs. */
void http_connection_free(struct http_connection *c);
/* The present exchange has been answered. */
void http_connection_next(struct http_connection *c);

struct http_exchange *http_exchange_new(struct http_connection *c);
void http_exchange_free(struct http_exchange *x);

#endif
