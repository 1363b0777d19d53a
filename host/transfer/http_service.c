#include "transfer/http_service.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "net/http_client.h"

#include <stdatomic.h>
#include <string.h>

#define MAX_REQUEST_HEADERS 64u
#define MAX_BODY ((size_t)256 << 20)
#define DEFAULT_TIMEOUT_MS 120000u

struct http_service {
  struct http_client *client;
  struct ome_http_service table;
};

/* The newest service made; see the header. */
static _Atomic(struct http_service *) current;

/* ---- request ----------------------------------------------------------------------------------------------------- */

struct header_list {
  char *items[MAX_REQUEST_HEADERS + 1];
};

static void header_list_fini(struct header_list *l) {
  for (size_t i = 0; l->items[i]; i++)
    free(l->items[i]);
}

static int32_t copy_headers(const struct ome_http_req *req, struct header_list *out, struct ome_err *err) {
  if (req->nheaders > MAX_REQUEST_HEADERS)
    return fail(err, OME_E_INVALID, "http: more than %u request headers", MAX_REQUEST_HEADERS);
  for (size_t i = 0; i < req->nheaders; i++) {
    const struct ome_kv *h = &req->headers[i];
    if (!h->key || !h->value || strpbrk(h->key, "\r\n: ") || strpbrk(h->value, "\r\n"))
      return fail(err, OME_E_INVALID, "http: request header %zu is not one line", i);
    out->items[i] = str_printf("%s: %s", h->key, h->value);
    if (!out->items[i])
      return fail_memory(err);
  }
  return OME_OK;
}

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

static int32_t push(struct ome_http_sink *out, struct http_response *r, struct ome_err *err) {
  VEC(struct ome_kv) headers = {0};
  int32_t rc = OME_OK;

  for (char *line = r->headers.data; line && *line;) {
    char *end = strchr(line, '\n'), *colon = strstr(line, ": ");
    if (!end)
      break;
    *end = '\0';
    if (colon && colon < end) {
      *colon = '\0';
      if (!VEC_PUSH(&headers, ((struct ome_kv){line, colon + 2})))
        rc = fail_memory(err);
    }
    line = end + 1;
  }
  if (rc == OME_OK && out->head && (rc = out->head(out, r->status, headers.items, (uint32_t)headers.len)) != OME_OK)
    (void)fail(err, rc, "http: the caller did not take the answer");
  if (rc == OME_OK && out->body && r->body.len && (rc = out->body(out, r->body.data, r->body.len)) != OME_OK)
    (void)fail(err, rc, "http: the caller did not take the body");
  VEC_FREE(&headers);
  return rc;
}

static int32_t perform(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                       struct ome_http_sink *out, struct ome_err *err) {
  _cleanup_(header_list_fini) struct header_list headers = {{NULL}};
  _cleanup_http_response_ struct http_response answer = {0};
  struct http_service *s = atomic_load(&current);
  union { /* the callback's argument is not const */
    const struct ome_call *in;
    void *out;
  } arg = {call};

  (void)host;
  if (!s || !req->url)
    return fail(err, OME_E_INVALID, "http: no address");
  if (req->max_body > MAX_BODY)
    return fail(err, OME_E_INVALID, "http: %s: answers are read up to 256 MiB", req->url);
  int32_t rc = copy_headers(req, &headers, err);
  uint32_t timeout_ms = timeout_of(call);
  if (rc != OME_OK)
    return rc;
  if (timeout_ms == 0)
    return fail(err, OME_E_DEADLINE, "http: %s: no time left", req->url);
  const struct http_request r = {.method = req->method,
                                 .url = req->url,
                                 .headers = (const char *const *)headers.items,
                                 .body = req->body.ptr,
                                 .body_len = (size_t)req->body.len,
                                 .timeout_ms = timeout_ms,
                                 .stall_timeout_ms = 30000,
                                 .max_redirects = req->flags & OME_HTTP_NO_REDIRECT ? 0 : 10,
                                 .max_body = (size_t)req->max_body};
  bool cancellable = call && OME_HAS(ome_call, call, cancelled);
  rc = http_do(s->client, &r, cancellable ? is_cancelled : NULL, arg.out, &answer, err);
  return rc == OME_OK ? push(out, &answer, err) : rc;
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
