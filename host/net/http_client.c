#include "net/http_client.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "net/curl_loop.h"
#include "net/sigv4.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define READ_NS 500000u            /* from a look at a socket to what is read from it, undisturbed */
#define MAX_IDLE 64u               /* easy handles kept for the next fetch */
#define UPLOAD_BUFFER (256L << 10) /* bytes of a body that a connection holds at a time */

/* A fetch belongs to the client's thread once it was handed over; until then to the caller. */
struct http_fetch {
  struct http_client *client;
  struct http_fetch *next, *prev; /* of the list it is on; PREV only of those that run */
  CURL *easy;
  struct curl_slist *headers, *connect_to;
  const struct http_fetch_ops *ops;
  void *arg;
  struct buf head;    /* of the answer being read, "name: value\n" lines */
  struct ome_err err; /* set where a callback ended the transfer */
  bool head_whole;    /* the answer being read has come to the empty line behind its head */
  bool head_told;
  bool refused; /* a callback said no */
  char *method, *url, *body, *ca_pem, *cert_pem, *key_pem, *server_name, *proxy;
  uint64_t body_len, body_at; /* of a body that is read as it is sent */
  /* Of other threads, and so in a word of their own: compilers read neighbouring flags at once. */
  atomic_bool cancelled, resumed;
  char curl_error[CURL_ERROR_SIZE];
};

struct http_client {
  struct curl_loop loop;
  pthread_t thread;
  char *user_agent;
  struct http_fetch *running; /* client's thread only */
  http_turn_fn *turn;         /* the same; NULL: none */
  void *turn_arg;
  struct {
    pthread_mutex_t lock;
    struct http_fetch *waiting;
    CURL *idle[MAX_IDLE];
    size_t nidle;
    http_turn_fn *turn; /* to be taken over */
    void *turn_arg;
    bool stop, orders; /* ORDERS: some fetches are to be cancelled or to go on */
  } shared;
};

static void curl_once(void) {
  (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A handle that was used before is cheaper than a new one; NULL: out of memory. */
static CURL *take_easy(struct http_client *c) {
  CURL *easy = NULL;

  (void)pthread_mutex_lock(&c->shared.lock);
  if (c->shared.nidle)
    easy = c->shared.idle[--c->shared.nidle];
  (void)pthread_mutex_unlock(&c->shared.lock);
  return easy ? easy : curl_easy_init();
}

static void give_easy(struct http_client *c, CURL *easy) {
  if (!easy)
    return;
  curl_easy_reset(easy);
  (void)pthread_mutex_lock(&c->shared.lock);
  bool keep = c->shared.nidle < MAX_IDLE;
  if (keep)
    c->shared.idle[c->shared.nidle++] = easy;
  (void)pthread_mutex_unlock(&c->shared.lock);
  if (!keep)
    curl_easy_cleanup(easy);
}

static void fetch_free(struct http_fetch *f) {
  if (!f)
    return;
  give_easy(f->client, f->easy);
  curl_slist_free_all(f->headers);
  curl_slist_free_all(f->connect_to);
  buf_fini(&f->head);
  free(f->method);
  free(f->url);
  free(f->body);
  free(f->ca_pem);
  free(f->cert_pem);
  free(f->key_pem);
  free(f->server_name);
  free(f->proxy);
  free(f);
}

/* ---- reading answers, on the client's thread ---------------------------------------------------------------- */

static int fetch_status(const struct http_fetch *f) {
  long status = 0;

  (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
  return (int)status;
}

static void tell_head(struct http_fetch *f) {
  char *url = NULL;

  if (f->head_told || f->refused)
    return;
  f->head_told = true;
  (void)curl_easy_getinfo(f->easy, CURLINFO_EFFECTIVE_URL, &url);
  if (f->ops->on_head && !f->ops->on_head(f->arg, fetch_status(f), buf_str(&f->head), url ? url : f->url))
    f->refused = true;
}

/* "Name: value" of N bytes, its name in lower case. */
static void add_header_line(struct buf *head, const char *data, size_t n) {
  size_t i = 0;

  for (; i < n && data[i] != ':'; i++)
    buf_addc(head, (char)tolower((unsigned char)data[i]));
  buf_adds(head, ": ");
  for (i++; i < n && (data[i] == ' ' || data[i] == '\t'); i++)
    continue;
  if (i < n)
    buf_add(head, data + i, n - i);
  buf_addc(head, '\n');
}

/* One header line of one of the answers (1xx, redirects and the last); each status line starts a new head. */
static size_t on_header(char *data, size_t size, size_t count, void *arg) {
  struct http_fetch *f = arg;
  size_t len = size * count;
  size_t n = len;

  while (n && (data[n - 1] == '\r' || data[n - 1] == '\n'))
    n--;
  if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) {
    buf_clear(&f->head);
    f->head_whole = false;
    return len;
  }
  if (n) {
    add_header_line(&f->head, data, n);
    return len;
  }
  f->head_whole = true;
  int status = fetch_status(f);
  /* A redirect's head is told with its body, if it turns out to be the last answer. */
  if (status >= 200 && (status < 300 || status >= 400))
    tell_head(f);
  return f->refused ? 0 : len;
}

static size_t on_data(char *data, size_t size, size_t count, void *arg) {
  struct http_fetch *f = arg;
  size_t len = size * count;

  tell_head(f);
  if (f->refused || !f->ops->on_body)
    return f->refused ? 0 : len;
  if (f->ops->has_room && !f->ops->has_room(f->arg))
    return CURL_WRITEFUNC_PAUSE; /* it comes again */
  if (!f->ops->on_body(f->arg, data, len)) {
    f->refused = true;
    return 0;
  }
  return len;
}

/* A connection is there; the request goes out next. */
static int on_send(void *arg, char *to, char *from, int to_port, int from_port) {
  struct http_fetch *f = arg;
  long made = 0;

  (void)to, (void)from, (void)to_port, (void)from_port;
  (void)curl_easy_getinfo(f->easy, CURLINFO_NUM_CONNECTS, &made);
  f->ops->on_send(f->arg, made > 0);
  return CURL_PREREQFUNC_OK;
}

/* The next bytes of a body that is not in memory. */
static size_t on_read(char *to, size_t size, size_t count, void *arg) {
  struct http_fetch *f = arg;
  uint64_t left = f->body_len - f->body_at;
  size_t len = size * count < left ? size * count : (size_t)left;
  int64_t n = len ? f->ops->read_body(f->arg, f->body_at, to, len) : 0;

  if (n < 0 || (len && n == 0) || (uint64_t)n > len) {
    f->refused = true;
    return CURL_READFUNC_ABORT;
  }
  f->body_at += (uint64_t)n;
  return (size_t)n;
}

static int on_seek(void *arg, curl_off_t offset, int origin) {
  struct http_fetch *f = arg;

  if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > f->body_len)
    return CURL_SEEKFUNC_CANTSEEK;
  f->body_at = (uint64_t)offset;
  return CURL_SEEKFUNC_OK;
}

/* ---- the client's thread -------------------------------------------------------------------------------------- */

static int32_t code_of_curl(CURLcode rc) {
  switch (rc) {
  case CURLE_OPERATION_TIMEDOUT:
    return OME_E_DEADLINE;
  case CURLE_OUT_OF_MEMORY:
    return OME_E_NO_MEMORY;
  case CURLE_URL_MALFORMAT:
  case CURLE_UNSUPPORTED_PROTOCOL:
  case CURLE_TOO_MANY_REDIRECTS:
  case CURLE_BAD_FUNCTION_ARGUMENT:
    return OME_E_INVALID;
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CACERT_BADFILE:
    return OME_E_DENIED;
  default:
    return OME_E_UNAVAILABLE;
  }
}

static void finish(struct http_fetch *f, CURLcode result) {
  struct ome_err err = ERR_INIT;
  int32_t rc = OME_OK;

  if (result == CURLE_OK && !f->head_whole) { /* for libcurl an answer without length, which ends where it ends */
    result = CURLE_PARTIAL_FILE;
    (void)snprintf(f->curl_error, sizeof(f->curl_error), "the connection ended within the head of the answer");
  }
  if (result == CURLE_OK)
    tell_head(f);
  int shown = (int)strcspn(f->url, "?"); /* signatures are secrets */
  if (atomic_load(&f->cancelled) || f->refused)
    rc = fail(&err, OME_E_CANCELLED, "%s %.*s: cancelled", f->method, shown, f->url);
  else if (result != CURLE_OK)
    rc = fail(&err, code_of_curl(result), "%s %.*s: %s%s", f->method, shown, f->url,
              f->curl_error[0] ? f->curl_error : curl_easy_strerror(result),
              code_of_curl(result) != OME_E_DENIED
                  ? ""
                  : "; check the server's name, its certificate and this machine's CA certificates");
  f->ops->on_done(f->arg, rc, &err);
  fetch_free(f);
}

static void link_running(struct http_client *c, struct http_fetch *f) {
  f->prev = NULL;
  f->next = c->running;
  if (f->next)
    f->next->prev = f;
  c->running = f;
}

static void unlink_running(struct http_client *c, struct http_fetch *f) {
  if (f->prev)
    f->prev->next = f->next;
  else
    c->running = f->next;
  if (f->next)
    f->next->prev = f->prev;
}

static void end_fetch(struct http_client *c, struct http_fetch *f, CURLcode result) {
  (void)curl_multi_remove_handle(c->loop.multi, f->easy);
  unlink_running(c, f);
  finish(f, result);
}

static void start_waiting(struct http_client *c) {
  struct http_fetch *list;

  (void)pthread_mutex_lock(&c->shared.lock);
  list = c->shared.waiting;
  c->shared.waiting = NULL;
  (void)pthread_mutex_unlock(&c->shared.lock);
  while (list) {
    struct http_fetch *f = list;
    list = f->next;
    link_running(c, f);
    if (atomic_load(&f->cancelled) || curl_loop_add(&c->loop, f->easy) != CURLM_OK)
      end_fetch(c, f, CURLE_FAILED_INIT);
  }
}

static void end_cancelled(struct http_client *c, bool all) {
  struct http_fetch *next;

  for (struct http_fetch *f = c->running; f; f = next) {
    next = f->next;
    if (all)
      atomic_store(&f->cancelled, true);
    if (atomic_load(&f->cancelled))
      end_fetch(c, f, CURLE_ABORTED_BY_CALLBACK);
  }
}

static void end_complete(struct http_client *c) {
  CURLMsg *msg;
  int left;

  while ((msg = curl_multi_info_read(c->loop.multi, &left))) {
    struct http_fetch *f = NULL;
    if (msg->msg != CURLMSG_DONE)
      continue;
    CURLcode result = msg->data.result;
    (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &f);
    end_fetch(c, f, result);
  }
}

static bool has_waiting(struct http_client *c) {
  (void)pthread_mutex_lock(&c->shared.lock);
  bool waiting = c->shared.waiting != NULL;
  (void)pthread_mutex_unlock(&c->shared.lock);
  return waiting;
}

static void go_on(struct http_client *c) {
  for (struct http_fetch *f = c->running; f; f = f->next)
    if (atomic_exchange(&f->resumed, false))
      (void)curl_easy_pause(f->easy, CURLPAUSE_CONT);
}

/* Takes what other threads asked for; whether to go on. */
static bool take_orders(struct http_client *c, bool *orders) {
  (void)pthread_mutex_lock(&c->shared.lock);
  bool stop = c->shared.stop;
  *orders = c->shared.orders;
  c->shared.orders = false;
  if (c->shared.turn) {
    c->turn = c->shared.turn;
    c->turn_arg = c->shared.turn_arg;
    c->shared.turn = NULL;
  }
  (void)pthread_mutex_unlock(&c->shared.lock);
  return !stop;
}

/* When whoever wanted to be asked each turn wants to be asked again. */
static uint64_t ask_turn(struct http_client *c) {
  uint64_t until = c->turn ? c->turn(c->turn_arg) : UINT64_MAX;

  if (until == HTTP_TURN_END) {
    c->turn = NULL;
    until = UINT64_MAX;
  }
  return until;
}

static void *drive(void *arg) {
  struct http_client *c = arg;
  bool orders;

  (void)pthread_setname_np(pthread_self(), "http-client");
  while (take_orders(c, &orders)) {
    if (orders) {
      end_cancelled(c, false);
      go_on(c);
    }
    uint64_t until = ask_turn(c);
    start_waiting(c);
    end_complete(c);
    curl_loop_turn(&c->loop, has_waiting(c) ? 0 : until);
    end_complete(c);
  }
  start_waiting(c);
  end_cancelled(c, true);
  return NULL;
}

void http_client_each_turn(struct http_client *c, http_turn_fn *turn, void *arg) {
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.turn = turn;
  c->shared.turn_arg = arg;
  (void)pthread_mutex_unlock(&c->shared.lock);
  curl_loop_wake(&c->loop);
}

uint64_t http_client_arrival_ns(const struct http_client *c) {
  /* Kept from running after it looked, it has read what came meanwhile. */
  return mono_ns() - c->loop.peeked_ns < READ_NS ? c->loop.came_ns : 0;
}

static void client_free(struct http_client *c) {
  while (c->shared.nidle)
    curl_easy_cleanup(c->shared.idle[--c->shared.nidle]);
  curl_loop_fini(&c->loop);
  (void)pthread_mutex_destroy(&c->shared.lock);
  free(c->user_agent);
  free(c);
}

static void set_bounds(struct http_client *c, const struct http_client_config *cfg) {
  uint32_t most = cfg && cfg->max_connections ? cfg->max_connections : 64;

  (void)curl_multi_setopt(c->loop.multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)most);
  if (cfg && cfg->max_connections) /* else libcurl closes idle ones when few transfers run */
    (void)curl_multi_setopt(c->loop.multi, CURLMOPT_MAXCONNECTS, (long)most);
  if (cfg && cfg->max_per_host)
    (void)curl_multi_setopt(c->loop.multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)cfg->max_per_host);
}

int32_t http_client_name_part(struct http_client *c, const char *part, struct ome_err *err) {
  char *text = str_printf("%s (%s)", c->user_agent, part);

  if (!text)
    return fail_memory(err);
  free(c->user_agent);
  c->user_agent = text;
  return OME_OK;
}

int32_t http_client_new(const struct http_client_config *cfg, struct http_client **out, struct ome_err *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  struct http_client *c = calloc(1, sizeof(*c));

  (void)pthread_once(&once, curl_once);
  if (!c)
    return fail_memory(err);
  if (curl_loop_init(&c->loop, err) != OME_OK) {
    free(c);
    return err->code;
  }
  c->loop.stamps = cfg && cfg->arrival_times;
  (void)pthread_mutex_init(&c->shared.lock, NULL);
  set_bounds(c, cfg);
  c->user_agent = strdup(cfg && cfg->user_agent ? cfg->user_agent : "ome/" OME_VERSION);
  if (!c->user_agent || pthread_create(&c->thread, NULL, drive, c) != 0) {
    client_free(c);
    return fail_memory(err);
  }
  *out = c;
  return OME_OK;
}

void http_client_free(struct http_client *c) {
  if (!c)
    return;
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.stop = true;
  (void)pthread_mutex_unlock(&c->shared.lock);
  curl_loop_wake(&c->loop);
  (void)pthread_join(c->thread, NULL);
  client_free(c);
}

/* ---- making requests ------------------------------------------------------------------------------------------ */

/* A copy of S in *SLOT; false when memory ran out. */
static bool keep(char **slot, const char *s) {
  *slot = s ? strdup(s) : NULL;
  return !s || *slot;
}

static bool add_header(struct http_fetch *f, const char *line) {
  struct curl_slist *list = curl_slist_append(f->headers, line);

  if (list)
    f->headers = list;
  return list != NULL;
}

static void set_blob(CURL *easy, CURLoption option, char *pem) {
  struct curl_blob blob = {pem, pem ? strlen(pem) : 0, CURL_BLOB_NOCOPY};

  if (pem)
    (void)curl_easy_setopt(easy, option, &blob);
}

/* Another name to verify than the URL's host: the URL gets the name, the connection keeps the host. */
static bool rename_server(struct http_fetch *f) {
  _cleanup_(freep) char *host_header = NULL;
  CURLU *u = curl_url();
  char *host = NULL;
  char *port = NULL;
  char *url = NULL;
  bool ok = u && curl_url_set(u, CURLUPART_URL, f->url, 0) == CURLUE_OK &&
            curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
            curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
            curl_url_set(u, CURLUPART_HOST, f->server_name, 0) == CURLUE_OK &&
            curl_url_get(u, CURLUPART_URL, &url, 0) == CURLUE_OK;

  if (ok) {
    _cleanup_free_ char *to = str_printf("::%s:%s", host, port);
    f->connect_to = to ? curl_slist_append(NULL, to) : NULL;
    host_header = str_printf("Host: %s:%s", host, port);
    ok = f->connect_to && host_header && add_header(f, host_header) &&
         curl_easy_setopt(f->easy, CURLOPT_CONNECT_TO, f->connect_to) == CURLE_OK &&
         curl_easy_setopt(f->easy, CURLOPT_URL, url) == CURLE_OK;
  }
  curl_free(host);
  curl_free(port);
  curl_free(url);
  curl_url_cleanup(u);
  return ok;
}

/* The variables that OpenSSL's own programs, and most others, look at; libcurl does not. */
static void set_trust(CURL *easy) {
  const char *file = getenv("SSL_CERT_FILE"), *folder = getenv("SSL_CERT_DIR");

  if (file && *file)
    (void)curl_easy_setopt(easy, CURLOPT_CAINFO, file);
  if (folder && *folder)
    (void)curl_easy_setopt(easy, CURLOPT_CAPATH, folder);
}

static bool set_tls(struct http_fetch *f, const struct http_tls *tls) {
  if (!tls || !tls->ca_pem)
    set_trust(f->easy);
  if (!tls)
    return true;
  if (!keep(&f->ca_pem, tls->ca_pem) || !keep(&f->cert_pem, tls->cert_pem) || !keep(&f->key_pem, tls->key_pem) ||
      !keep(&f->server_name, tls->server_name))
    return false;
  set_blob(f->easy, CURLOPT_CAINFO_BLOB, f->ca_pem);
  set_blob(f->easy, CURLOPT_SSLCERT_BLOB, f->cert_pem);
  set_blob(f->easy, CURLOPT_SSLKEY_BLOB, f->key_pem);
  (void)curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYPEER, tls->insecure ? 0L : 1L);
  (void)curl_easy_setopt(f->easy, CURLOPT_SSL_VERIFYHOST, tls->insecure ? 0L : 2L);
  return true;
}

static void set_limits(CURL *easy, const struct http_request *req) {
  uint32_t stall_ms = req->stall_timeout_ms ? req->stall_timeout_ms : 60000;

  (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                         (long)(req->connect_timeout_ms ? req->connect_timeout_ms : 10000));
  (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
  if (stall_ms != UINT32_MAX) {
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)((stall_ms + 999) / 1000));
  }
  /* Credentials in headers are dropped by libcurl when a redirect leads to another host. */
  (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, req->max_redirects ? 1L : 0L);
  (void)curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)req->max_redirects);
  (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  (void)curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
}

/* A body of known length that is read as it is sent. */
static void set_upload(struct http_fetch *f, uint64_t len) {
  f->body_len = len;
  (void)curl_easy_setopt(f->easy, CURLOPT_UPLOAD, 1L);
  (void)curl_easy_setopt(f->easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER);
  (void)curl_easy_setopt(f->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)len);
  (void)curl_easy_setopt(f->easy, CURLOPT_READFUNCTION, on_read);
  (void)curl_easy_setopt(f->easy, CURLOPT_READDATA, f);
  (void)curl_easy_setopt(f->easy, CURLOPT_SEEKFUNCTION, on_seek);
  (void)curl_easy_setopt(f->easy, CURLOPT_SEEKDATA, f);
  (void)curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, f->method);
}

static bool has_header(const char *const *lines, const char *name) {
  size_t n = strlen(name);

  for (size_t i = 0; lines && lines[i]; i++)
    if (strncasecmp(lines[i], name, n) == 0 && (lines[i][n] == ':' || lines[i][n] == ';'))
      return true;
  return false;
}

/* S3 wants to be told what of the body is signed. */
static bool add_content_digest(struct http_fetch *f, const struct http_request *req) {
  if (!sigv4_is_service(req->sigv4, "s3") || has_header(req->headers, "x-amz-content-sha256"))
    return true;
  if (!req->body && f->ops->read_body)
    return add_header(f, "x-amz-content-sha256: UNSIGNED-PAYLOAD");
  _cleanup_free_ char *line = sigv4_content_header(f->body, (size_t)f->body_len);
  return line && add_header(f, line);
}

/* AWS SigV4 by libcurl.  It signs path, query and the lines of CURLOPT_HTTPHEADER as they stand: the query is put in
 * order here, encoding the path is the caller's.  It also signs lines without a value, which it does not send, so there
 * may be none; and it orders lines, not names, so no name may be another's beginning ("x-a", "x-a-b"). */
static bool set_signature(struct http_fetch *f, const struct http_request *req) {
  const char *colon = req->credentials ? strchr(req->credentials, ':') : NULL;
  _cleanup_free_ char *url = sigv4_url(f->url);
  _cleanup_free_ char *key = colon ? str_copy(req->credentials, (size_t)(colon - req->credentials)) : NULL;

  /* libcurl asks for "100 Continue" before larger bodies; that is neither signed nor to be waited for. */
  return url && key && add_content_digest(f, req) && curl_easy_setopt(f->easy, CURLOPT_URL, url) == CURLE_OK &&
         curl_easy_setopt(f->easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
         curl_easy_setopt(f->easy, CURLOPT_AWS_SIGV4, req->sigv4) == CURLE_OK &&
         curl_easy_setopt(f->easy, CURLOPT_USERNAME, key) == CURLE_OK &&
         curl_easy_setopt(f->easy, CURLOPT_PASSWORD, colon + 1) == CURLE_OK &&
         curl_easy_setopt(f->easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 1L) == CURLE_OK;
}

static void set_method(struct http_fetch *f, const struct http_request *req) {
  if (!req->body && f->ops->read_body) {
    set_upload(f, req->body_len);
    return;
  }
  if (streq(f->method, "HEAD"))
    (void)curl_easy_setopt(f->easy, CURLOPT_NOBODY, 1L);
  else if (!streq(f->method, "GET"))
    (void)curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, f->method);
  /* What usually has a body says so when it is empty: servers ask for a length. */
  if (req->body || streq(f->method, "POST") || streq(f->method, "PUT") || streq(f->method, "PATCH")) {
    (void)curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body_len);
    (void)curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, f->body ? f->body : "");
    (void)curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, f->method);
  }
}

static bool add_headers(struct http_fetch *f, const struct http_request *req) {
  for (size_t i = 0; req->headers && req->headers[i]; i++)
    if (!add_header(f, req->headers[i]))
      return false;
  if (req->sigv4) /* nothing empty may be in the list */
    return has_header(req->headers, "content-type") || !req->body ||
           add_header(f, "Content-Type: application/octet-stream");
  if (!has_header(req->headers, "content-type") && !add_header(f, "Content-Type:")) /* none, instead of a form's */
    return false;
  return add_header(f, "Expect:"); /* no pause before a body */
}

static void set_connection(struct http_fetch *f, const struct http_request *req) {
  (void)curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
  (void)curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->curl_error);
  (void)curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
  (void)curl_easy_setopt(f->easy, CURLOPT_TCP_NODELAY, 1L);
  (void)curl_easy_setopt(f->easy, CURLOPT_HTTP_VERSION,
                         (long)(req->multiplex ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  (void)curl_easy_setopt(f->easy, CURLOPT_PIPEWAIT, req->multiplex ? 1L : 0L);
  if (req->buffer_bytes)
    (void)curl_easy_setopt(f->easy, CURLOPT_BUFFERSIZE, (long)req->buffer_bytes);
  (void)curl_easy_setopt(f->easy, CURLOPT_USERAGENT, f->client->user_agent);
  (void)curl_easy_setopt(f->easy, CURLOPT_HEADERFUNCTION, on_header);
  (void)curl_easy_setopt(f->easy, CURLOPT_HEADERDATA, f);
  (void)curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_data);
  (void)curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
  if (f->ops->on_send) {
    (void)curl_easy_setopt(f->easy, CURLOPT_PREREQFUNCTION, on_send);
    (void)curl_easy_setopt(f->easy, CURLOPT_PREREQDATA, f);
  }
}

static bool set_up(struct http_fetch *f, const struct http_request *req) {
  bool ok = keep(&f->method, req->method ? req->method : "GET") && keep(&f->url, req->url) &&
            keep(&f->proxy, req->proxy) && set_tls(f, req->tls);

  if (ok && req->body) {
    f->body = str_copy(req->body, (size_t)req->body_len);
    f->body_len = req->body_len;
    ok = f->body != NULL;
  }
  ok = ok && add_headers(f, req);
  if (!ok)
    return false;
  (void)curl_easy_setopt(f->easy, CURLOPT_URL, f->url);
  set_connection(f, req);
  if (f->proxy)
    (void)curl_easy_setopt(f->easy, CURLOPT_PROXY, f->proxy);
  set_limits(f->easy, req);
  set_method(f, req);
  if ((f->server_name && !rename_server(f)) || (req->sigv4 && !set_signature(f, req)))
    return false;
  (void)curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
  return true;
}

struct http_fetch *http_fetch_start(struct http_client *c, const struct http_request *req,
                                    const struct http_fetch_ops *ops, void *arg) {
  struct http_fetch *f = calloc(1, sizeof(*f));

  if (!f)
    return NULL;
  f->client = c;
  f->ops = ops;
  f->arg = arg;
  buf_init(&f->head, 256 * 1024);
  f->easy = take_easy(c);
  if (!f->easy || !set_up(f, req)) {
    fetch_free(f);
    return NULL;
  }
  (void)pthread_mutex_lock(&c->shared.lock);
  f->next = c->shared.waiting;
  c->shared.waiting = f;
  (void)pthread_mutex_unlock(&c->shared.lock);
  if (!pthread_equal(pthread_self(), c->thread)) /* that one looks before it waits */
    curl_loop_wake(&c->loop);
  return f;
}

static void order(struct http_client *c) {
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.orders = true;
  (void)pthread_mutex_unlock(&c->shared.lock);
  curl_loop_wake(&c->loop);
}

void http_fetch_cancel(struct http_fetch *f) {
  atomic_store(&f->cancelled, true);
  order(f->client);
}

void http_fetch_resume(struct http_fetch *f) {
  atomic_store(&f->resumed, true);
  order(f->client);
}
