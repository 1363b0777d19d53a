#include "transfer/http_service.h"

#include "base/str.h"
#include "base/vec.h"
#include "net/http_client.h"

#include <string.h>

#define BODY_MAX ((uint64_t)64 << 20)

struct http_service {
  struct http_client *http;
};

static struct http_service *g_service; /* the table has no room for a pointer of ours */

static bool is_cancelled(void *arg) {
  const struct ome_call *call = arg;

  return OME_HAS(ome_call, call, cancelled) && call->cancelled(call);
}

/* Hands HEADERS ("name: value\n" lines) and the body over. */
static int32_t deliver(const struct http_response *answer, struct ome_http_sink *out) {
  _cleanup_free_ char *text = strdup(buf_str(&answer->headers));
  VEC(struct ome_kv) list = {0};

  for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
    *end = '\0';
    char *colon = strstr(line, ": ");
    if (!colon)
      continue;
    *colon = '\0';
    struct ome_kv kv = {line, colon + 2};
    (void)VEC_PUSH(&list, kv);
  }
  int32_t rc = out->head ? out->head(out, answer->status, list.items, (uint32_t)list.len) : OME_OK;
  if (rc == OME_OK && out->body && answer->body.len)
    rc = out->body(out, buf_str(&answer->body), answer->body.len);
  VEC_FREE(&list);
  return rc;
}

static int32_t perform(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                       struct ome_http_sink *out, struct ome_err *err) {
  _cleanup_http_response_ struct http_response answer = {0};
  VEC(char *) lines = {0};
  int32_t rc = OME_OK;

  (void)host;
  for (uint64_t i = 0; rc == OME_OK && i < req->nheaders; i++) {
    char *line = str_printf("%s: %s", req->headers[i].key, req->headers[i].value);
    if (!line || !VEC_PUSH(&lines, line)) {
      free(line);
      rc = fail_memory(err);
    }
  }
  if (rc == OME_OK && !VEC_PUSH(&lines, NULL))
    rc = fail_memory(err);
  uint64_t max = OME_HAS(ome_http_req, req, max_body) ? req->max_body : BODY_MAX;
  const struct http_request http = {.method = req->method,
                                    .url = req->url,
                                    .headers = (const char *const *)lines.items,
                                    .body = req->body.ptr,
                                    .body_len = (size_t)req->body.len,
                                    .timeout_ms = 120000,
                                    .max_redirects = req->flags & OME_HTTP_NO_REDIRECT ? 0 : 5,
                                    .max_body = (size_t)max};
  if (rc == OME_OK)
    rc = http_do(g_service->http, &http, is_cancelled, (void *)(uintptr_t)call, &answer, err);
  if (rc == OME_OK)
    rc = deliver(&answer, out);
  for (size_t i = 0; i < lines.len; i++)
    free(lines.items[i]);
  VEC_FREE(&lines);
  return rc;
}

int32_t http_service_new(struct http_service **out, struct ome_err *err) {
  struct http_service *s = calloc(1, sizeof(*s));
  int32_t rc = s ? http_client_new(NULL, &s->http, err) : fail_memory(err);

  if (rc != OME_OK) {
    free(s);
    return rc;
  }
  g_service = s;
  *out = s;
  return OME_OK;
}

void http_service_free(struct http_service *s) {
  if (!s)
    return;
  if (g_service == s)
    g_service = NULL;
  http_client_free(s->http);
  free(s);
}

const struct ome_http_service *http_service_table(const struct http_service *s) {
  static const struct ome_http_service table = {.struct_size = sizeof(table), .perform = perform};

  (void)s;
  return &table;
}
