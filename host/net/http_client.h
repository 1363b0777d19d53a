/* HTTP client: one thread drives a libcurl multi handle for everybody; connections are kept and shared.
 *
 * Callbacks run on the client's thread: they must not block.  Proxies and CA files follow the usual environment
 * variables unless the request says otherwise. */
#ifndef HOST_NET_HTTP_CLIENT_H
#define HOST_NET_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_client;
struct http_fetch;

struct http_client_config {
  const char *user_agent;   /* NULL: "ome/<version>" */
  uint32_t max_connections; /* in all; 0: 64 */
  uint32_t max_per_host;    /* 0: no bound of its own */
  bool arrival_times;       /* http_client_arrival_ns() is asked: costs a system call for each piece that comes */
};

int32_t http_client_new(const struct http_client_config *cfg, struct http_client **out, struct ome_err *err);
void http_client_free(struct http_client *c); /* cancels what runs, joins the thread */
DEFINE_CLEANUP(struct http_client *, http_client_free)

/* What a caller does on the client's thread, between callbacks, each time that thread is about to wait; it is called
 * again at the time it answers (mono_ns()) at the latest, or earlier.  HTTP_TURN_END: never again. */
typedef uint64_t http_turn_fn(void *arg);
#define HTTP_TURN_END 0u
/* One at a time: TURN takes the place of another.  [any-thread] */
void http_client_each_turn(struct http_client *c, http_turn_fn *turn, void *arg);
/* When the bytes came that on_body is just told of, mono_ns(), as the kernel has it: whatever this process did since.
 * Of those that were read together, because it was behind, it is the newest's time.  0: not known, or
 * not asked for in the configuration.  Client's thread. */
uint64_t http_client_arrival_ns(const struct http_client *c);

/* Trust and identity; PEM text, not file names; NULL members are unset. */
struct http_tls {
  const char *ca_pem;
  const char *cert_pem;
  const char *key_pem;
  const char *server_name; /* verified instead of the URL's host */
  bool insecure;
};

struct http_request {
  const char *method; /* NULL: GET */
  const char *url;
  const char *const *headers; /* "Name: value", NULL-terminated; NULL: none.  Never put into error messages */
  const void *body;           /* copied; NULL with http_fetch_ops.read_body: BODY_LEN bytes are asked from there */
  uint64_t body_len;
  const char *sigv4;           /* "aws:amz:REGION:SERVICE": sign with AWS SigV4; copied; NULL: do not.  The
                                * path has to be encoded as AWS does, no header may be empty; see set_signature() */
  const char *credentials;     /* with it: "ACCESS-KEY:SECRET-KEY"; copied; secret */
  const struct http_tls *tls;  /* copied */
  const char *proxy;           /* NULL: environment; "": none */
  uint32_t buffer_bytes;       /* received at a time, at most 10 MiB; 0: 16 KiB */
  bool multiplex;              /* over TLS: HTTP/2 where the server has it, many requests on one connection */
  uint32_t connect_timeout_ms; /* 0: 10 s */
  uint32_t timeout_ms;         /* whole transfer; 0: none */
  uint32_t stall_timeout_ms;   /* no byte for this long; 0: 60 s; UINT32_MAX: never (watches, logs) */
  uint32_t max_redirects;      /* 0: do not follow; credentials are dropped when the host changes */
  size_t max_body;             /* http_do(): a longer answer fails; 0: 64 MiB */
};

/* Adds " (PART)" to the user agent.  Before the first request. */
int32_t http_client_name_part(struct http_client *c, const char *part, struct ome_err *err);

struct http_response {
  int status;
  struct buf headers; /* "name: value\n" lines, names in lower case, of the last answer */
  struct buf body;
  char *url; /* where redirects ended */
};
void http_response_fini(struct http_response *r);
#define _cleanup_http_response_ _cleanup_(http_response_fini)
/* Value of a header, copied into OUT; false: absent or does not fit. */
bool http_response_header(const struct http_response *r, const char *name, char *out, size_t size);

/* Blocking; any status is OME_OK.  CANCELLED may be NULL; it is asked about every 100 ms. [any-thread] */
int32_t http_do(struct http_client *c, const struct http_request *req, bool (*cancelled)(void *), void *arg,
                struct http_response *out, struct ome_err *err);

struct http_fetch_ops {
  /* The request is sent now.  FRESH: on a connection that was made for it.  Again when it has to be sent anew. */
  void (*on_send)(void *arg, bool fresh);
  /* Head of the final answer (after redirects); HEADERS as in struct http_response.  False ends the fetch. */
  bool (*on_head)(void *arg, int status, const char *headers, const char *url);
  bool (*on_body)(void *arg, const void *data, size_t len); /* false ends the fetch */
  /* Asked before on_body; false: nothing more until http_fetch_resume().  NULL: there always is. */
  bool (*has_room)(void *arg);
  /* The request's body, asked for as it is sent: up to LEN bytes from OFFSET into TO; again from an earlier OFFSET when
   * a connection that was closed has to be made anew.  Answers how many, at least one; -1 ends the fetch. */
  int64_t (*read_body)(void *arg, uint64_t offset, void *to, size_t len);
  /* Exactly once, the last call; RC OME_OK when the answer is complete. The fetch is gone afterwards. */
  void (*on_done)(void *arg, int32_t rc, const struct ome_err *err);
};

/* Asynchronous; OPS must outlive the fetch.  [any-thread] */
struct http_fetch *http_fetch_start(struct http_client *c, const struct http_request *req,
                                    const struct http_fetch_ops *ops, void *arg);
/* on_done follows with OME_E_CANCELLED unless it was on its way already.  Call it only where on_done cannot have run
 * yet: from a callback, or under the lock that on_done takes.  [any-thread] */
void http_fetch_cancel(struct http_fetch *f);
/* Goes on with one that had no room; where http_fetch_cancel() may be called.  [any-thread] */
void http_fetch_resume(struct http_fetch *f);

/* Value of NAME in a "name: value\n" block; as http_response_header(). */
bool http_headers_get(const char *headers, const char *name, char *out, size_t size);

/* The error for an unexpected STATUS: code by class (401/403 DENIED, 404 NOT_FOUND, 409 CONFLICT, 429 BUSY, 5xx
 * UNAVAILABLE), retry_after_ms from Retry-After in HEADERS. */
int32_t fail_status(struct ome_err *err, int status, const char *headers, const char *what, const char *url);

#endif
