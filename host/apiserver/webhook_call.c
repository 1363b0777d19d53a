/* A call of a webhook: the AdmissionReview that goes out, and the check of what comes back (admission.k8s.io/v1). */
#include "apiserver/webhook.h"

#include "base/str.h"
#include "kube/meta.h"
#include "net/http_client.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MAX ((size_t)8 << 20) /* bytes: an object as a patch, in base64 */

/* ---- the question ------------------------------------------------------------------------------------------------ */

static struct json_object *kind_of(const struct resource *r, const char *sub) {
  static const struct {
    const char *sub, *group, *version, *kind;
  } others[] = {{"scale", "autoscaling", "v1", "Scale"},
                {"eviction", "policy", "v1", "Eviction"},
                {"binding", "", "v1", "Binding"}};
  struct json_object *o = json_object_new_object();
  const char *group = r->group, *version = r->version, *kind = r->kind;

  for (size_t i = 0; i < ARRAY_LEN(others); i++)
    if (streq(others[i].sub, sub))
      group = others[i].group, version = others[i].version, kind = others[i].kind;
  (void)json_set_str(o, "group", group);
  (void)json_set_str(o, "version", version);
  (void)json_set_str(o, "kind", kind);
  return o;
}

static struct json_object *resource_of(const struct resource *r) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "group", r->group);
  (void)json_set_str(o, "version", r->version);
  (void)json_set_str(o, "resource", r->plural);
  return o;
}

static struct json_object *options_of(const struct attributes *a) {
  static const char *const all[] = {"All", NULL};
  struct json_object *o = json_object_new_object();
  bool deletes = streq(a->operation, "DELETE");

  (void)json_set_str(o, "kind",
                     deletes                         ? "DeleteOptions"
                     : streq(a->operation, "CREATE") ? "CreateOptions"
                                                     : "UpdateOptions");
  (void)json_set_str(o, "apiVersion", "meta.k8s.io/v1");
  if (!deletes)
    (void)json_set_str(o, "fieldManager", a->manager);
  if (a->dry_run)
    (void)json_set(o, "dryRun", json_strings(all));
  return o;
}

/* O in the version that the webhook asked for. */
static struct json_object *version_of(struct json_object *o, const struct attributes *a, const struct resource *as) {
  char api_version[256];

  if (!o || as == a->resource)
    return json_object_get(o);
  struct json_object *copy = json_copy(o);
  resource_api_version(as, api_version);
  (void)json_set_str(copy, "apiVersion", api_version);
  return copy;
}

struct json_object *webhook_request(const struct attributes *a, const struct resource *as) {
  static const char *const groups[] = {"system:masters", "system:authenticated", NULL};
  struct json_object *q = json_object_new_object();

  (void)json_set(q, "kind", kind_of(as, a->sub));
  (void)json_set(q, "resource", resource_of(as));
  (void)json_set(q, "requestKind", kind_of(a->resource, a->sub));
  (void)json_set(q, "requestResource", resource_of(a->resource));
  if (*a->sub) {
    (void)json_set_str(q, "subResource", a->sub);
    (void)json_set_str(q, "requestSubResource", a->sub);
  }
  (void)json_set_str(q, "name", a->name);
  if (a->resource->namespaced)
    (void)json_set_str(q, "namespace", a->ns);
  (void)json_set_str(q, "operation", a->operation);
  (void)json_set_str(q, "userInfo.username", "ome-admin");
  (void)json_set(q, "userInfo.groups", json_strings(groups));
  (void)json_put(q, "object", version_of(a->object, a, as));
  (void)json_put(q, "oldObject", version_of(a->old, a, as));
  (void)json_set_bool(q, "dryRun", a->dry_run);
  (void)json_set(q, "options", options_of(a));
  return q;
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

struct call {
  struct apiserver *server;
  char *name; /* of the webhook */
  char uid[37];
  bool older; /* it knows reviews of v1beta1 alone, or before those of v1 */
  int status;
  struct buf answer;
  int32_t rc;
  struct ome_err err;
  webhook_done_fn *done;
  void *arg;
};

static void call_free(struct call *c) {
  if (!c)
    return;
  free(c->name);
  buf_fini(&c->answer);
  free(c);
}
DEFINE_CLEANUP(struct call *, call_free)

/* The response of REVIEW; NULL: it is no answer to C, and ERR says why. */
static struct json_object *check_review(const struct call *c, struct json_object *review, struct ome_err *err) {
  struct json_object *response = json_get(review, "response");
  bool patched = *json_str(response, "patch", "") != '\0';

  /* Before v1 an answer did not have to say what it is, nor what it is to. */
  if (c->older && json_is(response, json_type_object))
    return response;
  if (!streq(json_str(review, "kind", ""), "AdmissionReview") ||
      !streq(json_str(review, "apiVersion", ""), "admission.k8s.io/v1"))
    (void)fail(err, OME_E_INVALID,
               "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got %.80s, Kind=%.80s",
               json_str(review, "apiVersion", ""), json_str(review, "kind", ""));
  else if (!json_is(response, json_type_object))
    (void)fail(err, OME_E_INVALID, "webhook response was absent");
  else if (!streq(json_str(response, "uid", ""), c->uid))
    (void)fail(err, OME_E_INVALID, "expected response.uid=%s", c->uid);
  else if (patched && !streq(json_str(response, "patchType", ""), "JSONPatch"))
    (void)fail(err, OME_E_INVALID, "webhook returned response.patch but not response.patchType JSONPatch");
  else
    return response;
  return NULL;
}

static void finish(void *arg) {
  _cleanup_(call_freep) struct call *c = arg;
  _cleanup_json_ struct json_object *review = NULL;
  struct json_object *response = NULL;

  if (c->rc == OME_OK && c->status != 200)
    c->rc = fail(&c->err, OME_E_UNAVAILABLE, "the server answered %d", c->status);
  if (c->rc == OME_OK)
    c->rc = json_parse(buf_str(&c->answer), c->answer.len, ANSWER_MAX, &review, &c->err);
  if (c->rc == OME_OK && !(response = check_review(c, review, &c->err)))
    c->rc = c->err.code;
  c->done(c->arg, c->rc, response, &c->err);
}

static bool on_head(void *arg, int status, const char *headers, const char *url) {
  struct call *c = arg;

  (void)headers;
  (void)url;
  c->status = status;
  return true;
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct call *c = arg;

  buf_add(&c->answer, data, len);
  return !c->answer.failed;
}

/* The client's thread. */
static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct call *c = arg;

  c->rc = rc;
  if (err)
    c->err = *err;
  loop_post(c->server->loop, finish, c);
}

static int32_t need_client(struct apiserver *s, struct ome_err *err) {
  const struct http_client_config cfg = {.user_agent = "ome-apiserver-admission"};

  return s->client ? OME_OK : http_client_new(&cfg, &s->client, err);
}

/* A webhook that is a Service of this cluster is reached at its address and vouches for its name (new, in *NAME). */
static char *service_url(struct apiserver *s, struct json_object *service, char **name, struct ome_err *err) {
  const char *path = json_str(service, "path", "");
  const struct store_key key = {"/services", json_str(service, "namespace", ""), json_str(service, "name", "")};
  _cleanup_free_ char *text = store_get(s->store, &key);
  _cleanup_json_ struct json_object *o = NULL;

  if (!text) {
    (void)fail(err, OME_E_NOT_FOUND, "service \"%s\" not found in namespace \"%s\"", key.name, key.ns);
    return NULL;
  }
  if (json_parse(text, strlen(text), SIZE_MAX, &o, err) != OME_OK)
    return NULL;
  const char *address = json_str(o, "spec.clusterIP", "");
  if (!*address || streq(address, "None")) {
    (void)fail(err, OME_E_INVALID, "service \"%s\" in namespace \"%s\" has no address", key.name, key.ns);
    return NULL;
  }
  *name = str_printf("%s.%s.svc", key.name, key.ns);
  return str_printf("https://%s:%lld%s", address, (long long)json_i64(service, "port", 443), path);
}

/* The first that is known counts. */
static bool wants_older(struct json_object *spec) {
  struct json_object *versions = json_get(spec, "admissionReviewVersions");
  size_t i = 0;

  while (i < json_len(versions) && !streq(json_object_get_string(json_index(versions, i)), "v1") &&
         !streq(json_object_get_string(json_index(versions, i)), "v1beta1"))
    i++;
  return streq(json_object_get_string(json_index(versions, i)), "v1beta1");
}

static char *review_text(const struct call *c, struct json_object *request) {
  _cleanup_json_ struct json_object *review = json_object_new_object();

  (void)json_set_str(review, "kind", "AdmissionReview");
  (void)json_set_str(review, "apiVersion", c->older ? "admission.k8s.io/v1beta1" : "admission.k8s.io/v1");
  (void)json_set_str(request, "uid", c->uid);
  (void)json_put(review, "request", json_object_get(request));
  return json_text(review);
}

static int32_t start(struct call *c, const struct webhook *w, struct json_object *request, struct ome_err *err) {
  static const struct http_fetch_ops ops = {.on_head = on_head, .on_body = on_body, .on_done = on_done};
  static const char *const headers[] = {"Content-Type: application/json", "Accept: application/json", NULL};
  struct json_object *service = json_at(w->spec, "clientConfig.service");
  const char *bundle = json_str(w->spec, "clientConfig.caBundle", "");
  _cleanup_free_ char *server_name = NULL;
  _cleanup_free_ char *url =
      service ? service_url(c->server, service, &server_name, err) : strdup(json_str(w->spec, "clientConfig.url", ""));
  size_t ca_len;
  _cleanup_free_ char *ca = *bundle ? base64_decode(bundle, &ca_len) : NULL;
  _cleanup_free_ char *body = url ? review_text(c, request) : NULL;

  if (!url)
    return err->code ? err->code : fail_memory(err);
  if (!body)
    return fail_memory(err);
  if (*bundle && !ca)
    return fail(err, OME_E_INVALID, "clientConfig.caBundle is not base64");
  const struct http_tls tls = {.ca_pem = ca, .server_name = server_name};
  const struct http_request req = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = body,
                                   .body_len = strlen(body),
                                   .tls = &tls,
                                   .proxy = service ? "" : NULL,
                                   .connect_timeout_ms = w->timeout_ms,
                                   .timeout_ms = w->timeout_ms};
  int32_t rc = need_client(c->server, err);
  if (rc == OME_OK && !http_fetch_start(c->server->client, &req, &ops, c))
    rc = fail_memory(err);
  return rc;
}

int32_t webhook_ask(struct apiserver *s, const struct webhook *w, struct json_object *request, webhook_done_fn *done,
                    void *arg, struct ome_err *err) {
  _cleanup_(call_freep) struct call *c = calloc(1, sizeof(*c));

  if (!c)
    return fail_memory(err);
  c->server = s;
  c->done = done;
  c->arg = arg;
  buf_init(&c->answer, ANSWER_MAX);
  random_uuid(c->uid);
  c->older = wants_older(w->spec);
  int32_t rc = start(c, w, request, err);
  if (rc == OME_OK)
    c = NULL; /* finish() frees it */
  return rc;
}
