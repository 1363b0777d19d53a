#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "kube/client_internal.h"
#include "kube/meta.h"
#include "kube/warning.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define TOKEN_FRESH_MS 60000
#define REQUEST_TIMEOUT_MS 60000
#define LAST_REQUEST_MS 2000 /* for a request when we are stopping */
#define ANSWER_MAX ((size_t)256 << 20)
#define TURN_LOOK_NS 100000000u /* how often one that waits for its turn looks whether we are stopping */

METRIC_COUNTER(requests, "ome_kube_requests_total",
               "Requests to the API server, by HTTP method and status; without an answer the reason.", "verb", "code");
METRIC_HISTOGRAM(request_seconds, "ome_kube_request_duration_seconds",
                 "Time from request to answer of the API server; without watches.", METRIC_SECONDS, "verb");

METRIC_HISTOGRAM(
    throttled_seconds, "ome_kube_throttled_seconds",
    "Time that requests waited for their turn under our own limit; those that did not wait are not counted.",
    METRIC_SECONDS);

int32_t kube_client_new(const char *path, const char *context, struct kube_client **out, struct ome_err *err) {
  struct kube_client *c = calloc(1, sizeof(*c));

  if (!c)
    return fail_memory(err);
  (void)pthread_mutex_init(&c->shared.lock, NULL);
  lists_init(&c->lists);
  int32_t rc = kube_config_load(path, context, &c->config, err);
  if (rc == OME_OK)
    rc = http_client_new(NULL, &c->http, err);
  if (rc != OME_OK) {
    kube_client_free(c);
    return rc;
  }
  *out = c;
  return OME_OK;
}

void kube_client_free(struct kube_client *c) {
  if (!c)
    return;
  http_client_free(c->http);
  kube_config_fini(&c->config);
  free(c->shared.token);
  free(c->shared.cert_pem);
  free(c->shared.key_pem);
  discovery_free(c->shared.discovery);
  (void)pthread_mutex_destroy(&c->shared.lock);
  lists_fini(&c->lists);
  free(c);
}

int32_t kube_client_name_part(struct kube_client *c, const char *part, struct ome_err *err) {
  return http_client_name_part(c->http, part, err);
}

void kube_client_until(struct kube_client *c, bool (*stopping)(void)) {
  c->stopping = stopping;
}

void kube_client_on_warning(struct kube_client *c, kube_warning_fn *warn, void *arg) {
  c->warn = warn;
  c->warn_arg = arg;
}

void kube_client_limit(struct kube_client *c, uint64_t qps, uint64_t burst) {
  (void)pthread_mutex_lock(&c->shared.lock);
  flow_init(&c->shared.flow, qps, burst, mono_ns());
  (void)pthread_mutex_unlock(&c->shared.lock);
}

const char *kube_client_namespace(const struct kube_client *c) {
  return c->config.ns;
}

const char *kube_client_server(const struct kube_client *c) {
  return c->config.server;
}

struct http_client *kube_client_http(struct kube_client *c) {
  return c->http;
}

/* ---- who we are ------------------------------------------------------------------------------------------------ */

static int32_t read_token_locked(struct kube_client *c, struct ome_err *err) {
  size_t len;
  char *text;
  int32_t rc = file_read(c->config.token_file, 65536, &text, &len, err);

  if (rc != OME_OK)
    return rc;
  while (len && (text[len - 1] == '\n' || text[len - 1] == ' '))
    text[--len] = '\0';
  free(c->shared.token);
  c->shared.token = text;
  c->shared.fresh_until_ms = mono_ms() + TOKEN_FRESH_MS;
  return OME_OK;
}

static int32_t run_plugin_locked(struct kube_client *c, struct ome_err *err) {
  char *token = NULL;
  char *cert = NULL;
  char *key = NULL;
  int64_t expires;
  int32_t rc = kube_config_exec(&c->config, &token, &cert, &key, &expires, err);

  if (rc != OME_OK) {
    free(token);
    free(cert);
    free(key);
    return rc;
  }
  free(c->shared.token);
  free(c->shared.cert_pem);
  free(c->shared.key_pem);
  c->shared.token = token;
  c->shared.cert_pem = cert;
  c->shared.key_pem = key;
  int64_t left = expires ? expires - wall_ms() - 10000 : INT64_MAX / 2;
  c->shared.fresh_until_ms = mono_ms() + (uint64_t)(left > 1000 ? left : 1000);
  return OME_OK;
}

/* Puts the present credentials into R. */
static int32_t authorize(struct kube_client *c, struct kube_request *r, struct ome_err *err) {
  const struct kube_config *cfg = &c->config;
  int32_t rc = OME_OK;
  const char *token;

  (void)pthread_mutex_lock(&c->shared.lock);
  if (mono_ms() >= c->shared.fresh_until_ms) {
    if (cfg->token_file)
      rc = read_token_locked(c, err);
    else if (cfg->exec)
      rc = run_plugin_locked(c, err);
    /* Nothing that was asked for is missing, but the proof of who asks. */
    if (rc == OME_E_NOT_FOUND)
      rc = err->code = OME_E_DENIED;
  }
  token = c->shared.token ? c->shared.token : cfg->token;
  if (rc == OME_OK && token) {
    r->authorization = str_printf("Authorization: Bearer %s", token);
  } else if (rc == OME_OK && cfg->username) {
    _cleanup_free_ char *pair = str_printf("%s:%s", cfg->username, cfg->password ? cfg->password : "");
    _cleanup_free_ char *encoded = pair ? base64_encode(pair, strlen(pair)) : NULL;
    r->authorization = encoded ? str_printf("Authorization: Basic %s", encoded) : NULL;
  }
  if (c->shared.cert_pem)
    r->cert_pem = strdup(c->shared.cert_pem);
  if (c->shared.key_pem)
    r->key_pem = strdup(c->shared.key_pem);
  (void)pthread_mutex_unlock(&c->shared.lock);
  return rc;
}

/* ---- one request ----------------------------------------------------------------------------------------------- */

/* W3C Trace Context: what the server does for us can be found by the id in our log. */
static bool add_trace(struct kube_request *r) {
  char span[17];

  if (!log_trace())
    return false;
  random_hex(span, sizeof(span) - 1);
  (void)snprintf(r->trace, sizeof(r->trace), "traceparent: 00-%s-%s-01", log_trace(), span);
  return true;
}

int32_t kube_request_init(struct kube_client *c, const char *method, const char *path, const char *accept,
                          const char *content_type, struct kube_request *out, struct ome_err *err) {
  size_t n = 0;

  memset(out, 0, sizeof(*out));
  int32_t rc = authorize(c, out, err);
  if (rc != OME_OK)
    return rc;
  out->url = str_printf("%s%s", c->config.server, path);
  out->accept = str_printf("Accept: %s", accept ? accept : "application/json");
  out->content_type = content_type ? str_printf("Content-Type: %s", content_type) : NULL;
  if (!out->url || !out->accept || (content_type && !out->content_type)) {
    kube_request_fini(out);
    return fail_memory(err);
  }
  out->headers[n++] = out->accept;
  if (out->authorization)
    out->headers[n++] = out->authorization;
  if (out->content_type)
    out->headers[n++] = out->content_type;
  if (add_trace(out))
    out->headers[n++] = out->trace;
  out->tls = (struct http_tls){.ca_pem = c->config.ca_pem,
                               .cert_pem = out->cert_pem ? out->cert_pem : c->config.cert_pem,
                               .key_pem = out->key_pem ? out->key_pem : c->config.key_pem,
                               .server_name = c->config.tls_server_name,
                               .insecure = c->config.insecure};
  out->http = (struct http_request){.method = method,
                                    .url = out->url,
                                    .headers = out->headers,
                                    .tls = &out->tls,
                                    .proxy = c->config.proxy_url,
                                    .timeout_ms = REQUEST_TIMEOUT_MS,
                                    .max_body = ANSWER_MAX};
  return OME_OK;
}

void kube_request_fini(struct kube_request *r) {
  char **const owned[] = {&r->url, &r->authorization, &r->accept, &r->content_type, &r->cert_pem, &r->key_pem};

  for (size_t i = 0; i < ARRAY_LEN(owned); i++)
    free(*owned[i]);
  memset(r, 0, sizeof(*r));
}

/* Reasons of metav1.Status, where they say more than the HTTP status. */
static const struct {
  const char *reason;
  int32_t code;
} reasons[] = {
    {"NotFound", OME_E_NOT_FOUND},        {"AlreadyExists", OME_E_EXISTS}, {"Conflict", OME_E_CONFLICT},
    {"Invalid", OME_E_INVALID},           {"Forbidden", OME_E_DENIED},     {"Unauthorized", OME_E_DENIED},
    {"TooManyRequests", OME_E_BUSY},      {"Timeout", OME_E_DEADLINE},     {"ServerTimeout", OME_E_DEADLINE},
    {"InternalError", OME_E_UNAVAILABLE}, {"Expired", OME_E_NOT_FOUND},
};

/* The error that a non-2xx ANSWER (a Status, or anything) stands for. */
static int32_t fail_answer(const char *method, const char *path, const struct http_response *answer,
                           struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err ignored = ERR_INIT;

  (void)fail_status(err, answer->status, buf_str(&answer->headers), method, path);
  if (json_parse(buf_str(&answer->body), answer->body.len, 0, &o, &ignored) != OME_OK ||
      !streq(json_str(o, "kind", ""), "Status"))
    return err->code;
  uint32_t retry_after_ms = err->retry_after_ms;
  int32_t code = err->code;
  for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
    if (streq(json_str(o, "reason", ""), reasons[i].reason))
      code = reasons[i].code;
  (void)fail(err, code, "%s", json_str(o, "message", json_str(o, "reason", "refused")));
  err->retry_after_ms = retry_after_ms;
  return code;
}

/* What a request knows of the end. */
struct patience {
  bool (*stopping)(void);
  uint64_t until_ms; /* monotonic; 0: nobody asked us to stop yet */
};

static bool is_over(void *arg) {
  struct patience *p = arg;

  if (!p->until_ms && p->stopping())
    p->until_ms = mono_ms() + LAST_REQUEST_MS;
  return p->until_ms && mono_ms() >= p->until_ms;
}

/* Waits for the request's turn; who is told to stop waits no longer. */
static void await_turn(struct kube_client *c, const char *method, const char *path, struct patience *patience) {
  if (flow_is_exempt(method, path))
    return;
  (void)pthread_mutex_lock(&c->shared.lock);
  uint64_t now = mono_ns();
  uint64_t due = now + flow_take(&c->shared.flow, now);
  (void)pthread_mutex_unlock(&c->shared.lock);
  if (due == now)
    return;
  metric_observe(METRIC(&throttled_seconds), (double)(due - now) / 1e9);
  while ((now = mono_ns()) < due && !(patience->stopping && patience->stopping())) {
    uint64_t ns = due - now < TURN_LOOK_NS ? due - now : TURN_LOOK_NS;
    (void)nanosleep(&(struct timespec){0, (long)ns}, NULL);
  }
}

void kube_count_request(const char *method, int32_t rc, int status) {
  char code[16];

  (void)snprintf(code, sizeof(code), "%d", status);
  metric_add(METRIC(&requests, method, rc == OME_OK ? code : err_name(rc)), 1);
}

static void pass_warnings(const struct kube_client *c, const char *headers) {
  char text[WARNING_TEXT];

  while (c->warn && warning_next(&headers, text))
    c->warn(c->warn_arg, text);
}

/* Sends BODY (may be NULL) to PATH; *ANSWER has what a status of 2xx brought. */
static int32_t send(struct kube_client *c, const char *method, const char *path, const char *accept,
                    const char *content_type, struct json_object *body, struct http_response *answer,
                    struct ome_err *err) {
  _cleanup_free_ char *text = body ? json_text(body) : NULL;
  struct patience patience = {.stopping = c->stopping};
  struct kube_request req;
  int32_t rc = kube_request_init(c, method, path, accept, content_type, &req, err);

  if (rc != OME_OK)
    return rc;
  req.http.body = text;
  req.http.body_len = text ? strlen(text) : 0;
  await_turn(c, method, path, &patience);
  uint64_t began = mono_ns();
  rc = http_do(c->http, &req.http, c->stopping ? is_over : NULL, &patience, answer, err);
  metric_observe(METRIC(&request_seconds, method), (double)(mono_ns() - began) / 1e9);
  kube_count_request(method, rc, answer->status);
  kube_request_fini(&req);
  if (rc != OME_OK)
    return rc;
  if (answer->status < 200 || answer->status > 299)
    return fail_answer(method, path, answer, err);
  pass_warnings(c, buf_str(&answer->headers));
  return OME_OK;
}

/* The same; the parsed answer is *OUT unless OUT is NULL.  ACCEPT NULL: the object itself. */
static int32_t ask_json(struct kube_client *c, const char *method, const char *path, const char *accept,
                        const char *content_type, struct json_object *body, struct json_object **out,
                        struct ome_err *err) {
  _cleanup_http_response_ struct http_response answer = {0};
  int32_t rc = send(c, method, path, accept, content_type, body, &answer, err);

  if (rc != OME_OK || !out)
    return rc;
  rc = json_parse(buf_str(&answer.body), answer.body.len, ANSWER_MAX, out, err);
  return rc == OME_OK ? rc : fail_prefix(err, "%s %s", method, path);
}

static int32_t send_json(struct kube_client *c, const char *method, const char *path, const char *content_type,
                         struct json_object *body, struct json_object **out, struct ome_err *err) {
  return ask_json(c, method, path, NULL, content_type, body, out, err);
}

char *kube_path(const struct kube_resource *r, const char *ns, const char *name, const char *sub, const char *query) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  _cleanup_free_ char *encoded = name ? url_encode(name, false) : NULL;
  _cleanup_free_ char *encoded_ns = ns ? url_encode(ns, false) : NULL;

  if (*r->group)
    buf_addf(&b, "/apis/%s/%s", r->group, r->version);
  else
    buf_addf(&b, "/api/%s", r->version);
  if (r->namespaced && encoded_ns && *encoded_ns)
    buf_addf(&b, "/namespaces/%s", encoded_ns);
  buf_addf(&b, "/%s", r->resource);
  if (encoded)
    buf_addf(&b, "/%s", encoded);
  if (sub && *sub)
    buf_addf(&b, "/%s", sub);
  if (query && *query)
    buf_addf(&b, "?%s", query);
  return buf_take(&b);
}

/* The path of OBJ itself, new. */
static char *object_path(const struct kube_resource *r, struct json_object *obj, const char *sub, const char *query) {
  return kube_path(r, meta_namespace(obj), meta_name(obj), sub, query);
}

int32_t kube_get(struct kube_client *c, const struct kube_resource *r, const char *ns, const char *name,
                 struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *path = kube_path(r, ns, name, NULL, NULL);

  return path ? send_json(c, "GET", path, NULL, NULL, out, err) : fail_memory(err);
}

/* Appends the page's items to those of *ARG, a list (which becomes the page when NULL). */
static int32_t add_page(void *arg, struct json_object *page, struct ome_err *err) {
  struct json_object **all = arg;
  struct json_object *items = json_at(page, "items");

  if (!*all) {
    *all = json_object_get(page);
    return OME_OK;
  }
  struct json_object *into = json_at(*all, "items");
  for (size_t i = 0; i < json_len(items); i++)
    if (json_object_array_add(into, json_object_get(json_index(items, i))) != 0)
      return fail_memory(err);
  (void)json_set_str(*all, "metadata.resourceVersion", json_str(page, "metadata.resourceVersion", ""));
  return OME_OK;
}

static void add_query(struct buf *b, const char *key, const char *value) {
  _cleanup_free_ char *encoded = value && *value ? url_encode(value, false) : NULL;

  if (encoded)
    buf_addf(b, "&%s=%s", key, encoded);
}

int32_t kube_list_pages(struct kube_client *c, const struct kube_resource *r, const char *ns,
                        const struct kube_list_opts *opts, kube_page_fn *fn, void *arg, struct ome_err *err) {
  static const struct kube_list_opts none;
  _cleanup_free_ char *token = NULL;

  if (!opts)
    opts = &none;
  do {
    _cleanup_buf_ struct buf query = BUF_INIT;
    _cleanup_json_ struct json_object *page = NULL;
    buf_addf(&query, "limit=%u", opts->limit ? opts->limit : 500);
    add_query(&query, "labelSelector", opts->labels);
    add_query(&query, "fieldSelector", opts->fields);
    add_query(&query, "continue", token);
    _cleanup_free_ char *path = kube_path(r, ns, NULL, NULL, buf_str(&query));
    int32_t rc = path
                     ? ask_json(c, "GET", path, opts->metadata_only ? KUBE_METADATA_LIST : NULL, NULL, NULL, &page, err)
                     : fail_memory(err);
    free(TAKE_PTR(token));
    if (rc == OME_OK) {
      const char *next = json_str(page, "metadata.continue", "");
      token = *next ? strdup(next) : NULL;
      rc = fn(arg, page, err);
    }
    if (rc != OME_OK)
      return rc;
  } while (token);
  return OME_OK;
}

int32_t kube_list(struct kube_client *c, const struct kube_resource *r, const char *ns,
                  const struct kube_list_opts *opts, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *all = NULL;
  int32_t rc = kube_list_pages(c, r, ns, opts, add_page, &all, err);

  if (rc == OME_OK)
    *out = TAKE_PTR(all);
  return rc;
}

int32_t kube_create(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                    struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *path = kube_path(r, meta_namespace(obj), NULL, NULL, NULL);

  return path ? send_json(c, "POST", path, "application/json", obj, out, err) : fail_memory(err);
}

int32_t kube_update(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                    struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *path = object_path(r, obj, NULL, NULL);

  return path ? send_json(c, "PUT", path, "application/json", obj, out, err) : fail_memory(err);
}

int32_t kube_update_status(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                           struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *path = object_path(r, obj, "status", NULL);

  return path ? send_json(c, "PUT", path, "application/json", obj, out, err) : fail_memory(err);
}

int32_t kube_patch(struct kube_client *c, const struct kube_resource *r, const char *ns, const char *name,
                   const char *subresource, enum kube_patch_type type, struct json_object *patch,
                   struct json_object **out, struct ome_err *err) {
  static const char *const types[] = {
      [KUBE_PATCH_JSON] = "application/json-patch+json",
      [KUBE_PATCH_MERGE] = "application/merge-patch+json",
      [KUBE_PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
  };
  _cleanup_free_ char *path = kube_path(r, ns, name, subresource, NULL);

  return path ? send_json(c, "PATCH", path, types[type], patch, out, err) : fail_memory(err);
}

int32_t kube_apply(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                   const char *subresource, const char *manager, bool force, struct json_object **out,
                   struct ome_err *err) {
  _cleanup_free_ char *query = str_printf("fieldManager=%s%s", manager, force ? "&force=true" : "");
  _cleanup_free_ char *path = query ? object_path(r, obj, subresource, query) : NULL;

  return path ? send_json(c, "PATCH", path, "application/apply-patch+yaml", obj, out, err) : fail_memory(err);
}

/* No object has this version: etcd's first revision is older than anything in it.  An apply that names a version makes
 * what is not there, whichever it is, and is refused where there is something of another; one that names a uid makes
 * nothing, and is refused likewise. */
#define NO_VERSION "1"

int32_t kube_apply_on(struct kube_client *c, const struct kube_resource *r, struct json_object *obj, const char *uid,
                      const char *manager, struct json_object **out, struct ome_err *err) {
  const char *field = uid ? "metadata.uid" : "metadata.resourceVersion";

  if (!json_set_str(obj, field, uid ? uid : NO_VERSION))
    return fail_memory(err);
  int32_t rc = kube_apply(c, r, obj, NULL, manager, true, out, err);
  json_del(obj, field);
  if (rc == OME_E_INVALID && strstr(err->msg, "metadata.uid: ")) /* "field is immutable" */
    rc = err->code = OME_E_CONFLICT;
  return rc;
}

int32_t kube_delete(struct kube_client *c, const struct kube_resource *r, const char *ns, const char *name,
                    const char *uid, enum kube_propagation propagation, struct ome_err *err) {
  static const char *const policies[] = {
      [KUBE_BACKGROUND] = "Background", [KUBE_FOREGROUND] = "Foreground", [KUBE_ORPHAN] = "Orphan"};
  _cleanup_free_ char *path = kube_path(r, ns, name, NULL, NULL);
  _cleanup_json_ struct json_object *options = json_object_new_object();

  if (!path || !json_set_str(options, "apiVersion", "v1") || !json_set_str(options, "kind", "DeleteOptions") ||
      !json_set_str(options, "propagationPolicy", policies[propagation]) ||
      (uid && !json_set_str(options, "preconditions.uid", uid)))
    return fail_memory(err);
  return send_json(c, "DELETE", path, "application/json", options, NULL, err);
}

int32_t kube_raw(struct kube_client *c, const char *method, const char *path, struct json_object *body,
                 struct json_object **out, struct ome_err *err) {
  return send_json(c, method, path, body ? "application/json" : NULL, body, out, err);
}

int32_t kube_pod_log(struct kube_client *c, const char *ns, const char *pod, const char *container, uint32_t lines,
                     char **out, struct ome_err *err) {
  _cleanup_http_response_ struct http_response answer = {0};
  _cleanup_free_ char *query = str_printf("container=%s&tailLines=%u", container, lines);
  _cleanup_free_ char *path = query ? kube_path(&KUBE_PODS, ns, pod, "log", query) : NULL;
  int32_t rc = path ? send(c, "GET", path, "*/*", NULL, NULL, &answer, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  *out = str_copy(buf_str(&answer.body), answer.body.len);
  return *out ? OME_OK : fail_memory(err);
}
