#include "transfer/http_service.h"

#include "base/clock.h"
#include "base/str.h"
#include "net/http_stream.h"
#include "os/file.h"
#include "transfer/headers.h"

#include <stdatomic.h>
#include <string.h>

#define MAX_BODY ((size_t)256 << 20)
#define MAX_PEM ((size_t)1 << 20)
#define DEFAULT_TIMEOUT_MS 120000u

struct http_service {
  struct http_client *client;
  struct ome_http_service table;
};

/* The newest service made; see the header. */
static _Atomic(struct http_service *) current;

/* ---- request ----------------------------------------------------------------------------------------------------- */

static bool is_cancelled(void *arg) {
  const struct ome_call *call = arg;

  return call->cancelled(call) != 0;
}

static uint32_t timeout_of(const struct ome_call *call) {
  if (!call || !OME_HAS(ome_call, call, deadline_ns))
    return DEFAULT_TIMEOUT_MS;
  uint64_t now = mono_ns();
  uint64_t ms = call->deadline_ns > now ? (call->deadline_ns - now) / 1000000 : 0;
  return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* ---- answer ------------------------------------------------------------------------------------------------------ */

static int32_t push_head(void *arg, int status, const char *text, struct ome_err *err) {
  _cleanup_free_ char *lines = strdup(text); /* it is cut into names and values */
  struct answer_headers headers = {0};
  struct ome_http_sink *out = arg;
  int32_t rc = lines && answer_headers_split(&headers, lines) ? OME_OK : fail_memory(err);

  if (rc == OME_OK && out->head &&
      (rc = out->head(out, status, headers.pairs.items, (uint32_t)headers.pairs.len)) != OME_OK)
    (void)fail(err, rc, "http: the caller did not take the answer");
  VEC_FREE(&headers.pairs);
  return rc;
}

static int32_t push_body(void *arg, const void *data, size_t len, struct ome_err *err) {
  struct ome_http_sink *out = arg;
  int32_t rc = out->body ? out->body(out, data, len) : OME_OK;

  return rc == OME_OK ? OME_OK : fail(err, rc, "http: the caller did not take the body");
}

static const struct http_stream_ops push = {.head = push_head, .body = push_body};

/* The texts of the files that a request's directives name. */
struct pems {
  char *ca, *cert, *key;
};

static void pems_fini(struct pems *p) {
  free(p->ca);
  free(p->cert);
  if (p->key)
    explicit_bzero(p->key, strlen(p->key));
  free(p->key);
}

static int32_t pems_read(const struct request_headers *h, struct pems *out, struct ome_err *err) {
  const struct {
    const char *file;
    char **text;
  } all[] = {{h->ca_file, &out->ca}, {h->cert_file, &out->cert}, {h->key_file, &out->key}};
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(all); i++)
    if (all[i].file)
      rc = file_read(all[i].file, MAX_PEM, all[i].text, NULL, err);
  return rc;
}

static int32_t perform(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                       struct ome_http_sink *out, struct ome_err *err) {
  _cleanup_request_headers_ struct request_headers headers = {.n = 0};
  _cleanup_(pems_fini) struct pems pems = {NULL, NULL, NULL};
  struct http_service *s = atomic_load(&current);
  union { /* the callback's argument is not const */
    const struct ome_call *in;
    void *out;
  } arg = {call};

  (void)host;
  if (!s || !req->url)
    return fail(err, OME_E_INVALID, "http: no address");
  int shown = (int)strcspn(req->url, "?"); /* signatures are secrets */
  if (req->max_body > MAX_BODY)
    return fail(err, OME_E_INVALID, "http: %.*s: answers are read up to 256 MiB", shown, req->url);
  int32_t rc = request_headers_add_all(&headers, req->headers, req->nheaders, err);
  uint32_t timeout_ms = timeout_of(call);
  if (rc != OME_OK)
    return rc;
  if (timeout_ms == 0)
    return fail(err, OME_E_DEADLINE, "http: %.*s: no time left", shown, req->url);
  rc = pems_read(&headers, &pems, err);
  if (rc != OME_OK)
    return rc;
  const struct http_tls tls = {.ca_pem = pems.ca, .cert_pem = pems.cert, .key_pem = pems.key};
  const struct http_request r = {.method = req->method,
                                 .url = req->url,
                                 .headers = (const char *const *)headers.lines,
                                 .sigv4 = headers.sigv4,
                                 .credentials = headers.credentials,
                                 .tls = pems.ca || pems.cert || pems.key ? &tls : NULL,
                                 .body = req->body.ptr,
                                 .body_len = (size_t)req->body.len,
                                 .timeout_ms = timeout_ms,
                                 .stall_timeout_ms = 30000,
                                 .max_redirects = req->flags & OME_HTTP_NO_REDIRECT ? 0 : 10,
                                 .max_body = (size_t)req->max_body};
  bool cancellable = call && OME_HAS(ome_call, call, cancelled);
  return http_stream(s->client, &r, cancellable ? is_cancelled : NULL, arg.out, &push, out, err);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

int32_t http_service_new(struct http_service **out, struct ome_err *err) {
  struct http_service *s = calloc(1, sizeof(*s));
  int32_t rc = s ? http_client_new(NULL, &s->client, err) : fail_memory(err);

  if (rc != OME_OK) {
    free(s);
    return rc;
  }
  s->table = (struct ome_http_service){.struct_size = sizeof(s->table), .perform = perform};
  atomic_store(&current, s);
  *out = s;
  return OME_OK;
}

void http_service_free(struct http_service *s) {
  struct http_service *mine = s;

  if (!s)
    return;
  (void)atomic_compare_exchange_strong(&current, &mine, NULL);
  http_client_free(s->client);
  free(s);
}

const struct ome_http_service *http_service_table(const struct http_service *s) {
  return &s->table;
}
