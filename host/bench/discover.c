/* Which model a server serves: GET /v1/models of OpenAI's API. */
#include "base/str.h"
#include "bench/sweep.h"
#include "net/http_client.h"

#include <string.h>

#define ANSWER_MAX ((size_t)1 << 20)
#define PATIENCE_MS 30000u

static int32_t ask(const struct bench_config *c, const char *url, struct http_response *out, struct ome_err *err) {
  _cleanup_(http_client_freep) struct http_client *http = NULL;
  _cleanup_free_ char *authorization = c->api_key ? str_printf("Authorization: Bearer %s", c->api_key) : NULL;
  VEC(const char *) headers = {0};
  bool ok = !c->api_key || (authorization && VEC_PUSH(&headers, authorization));

  for (size_t i = 0; ok && c->headers && c->headers[i]; i++)
    ok = VEC_PUSH(&headers, c->headers[i]);
  ok = ok && VEC_PUSH(&headers, NULL);
  const struct http_request request = {
      .url = url, .headers = headers.items, .timeout_ms = PATIENCE_MS, .max_body = ANSWER_MAX};
  int32_t rc = ok ? http_client_new(NULL, &http, err) : fail_memory(err);
  if (rc == OME_OK)
    rc = http_do(http, &request, NULL, NULL, out, err);
  VEC_FREE(&headers);
  if (authorization)
    explicit_bzero(authorization, strlen(authorization));
  return rc;
}

int32_t bench_find_model(const struct bench_config *c, char **out, struct ome_err *err) {
  _cleanup_http_response_ struct http_response answer = {0};
  _cleanup_json_ struct json_object *doc = NULL;
  _cleanup_free_ char *endpoint = NULL;
  struct ome_err ignored = ERR_INIT;
  int32_t rc = bench_url(c->url, c->task, &endpoint, err);

  if (rc != OME_OK)
    return rc;
  _cleanup_free_ char *url =
      str_printf("%.*s/v1/models", (int)(strlen(endpoint) - strlen(task_facts(c->task)->path)), endpoint);
  rc = url ? ask(c, url, &answer, err) : fail_memory(err);
  if (rc == OME_OK && answer.status != 200)
    rc = fail_status(err, answer.status, buf_str(&answer.headers), "GET", url);
  if (rc == OME_OK)
    (void)json_parse(buf_str(&answer.body), answer.body.len, ANSWER_MAX, &doc, &ignored);
  const char *id = json_str(json_index(json_get(doc, "data"), 0), "id", "");
  if (rc == OME_OK && !*id)
    rc = fail(err, OME_E_NOT_FOUND, "%s names none", url);
  if (rc != OME_OK)
    return fail_prefix(err, "bench: which model the server has cannot be found out; name it with --model");
  *out = strdup(id);
  return *out ? OME_OK : fail_memory(err);
}
