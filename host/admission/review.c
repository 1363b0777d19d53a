/* The AdmissionReview around the review functions (admission.k8s.io/v1). */
#include "admission/review.h"

#include "base/str.h"
#include "kube/meta.h"
#include "select/revision.h"

#include <stdarg.h>
#include <string.h>

#define REVIEW_MAX ((size_t)8 << 20) /* bytes: old and new object */
#define SERVICES "inferenceservice.ome.io"
#define AGENTS "modelagent.ome.io"

static const struct webhook_entry entries[] = {
    {.path = "/mutate-ome-io-v1beta1-inferenceservice",
     .configuration = SERVICES,
     .name = "inferenceservice.ome-webhook-server.defaulter",
     .group = "ome.io",
     .resource = "inferenceservices",
     .mutating = true,
     .on_update = true,
     .needed = true,
     .review = default_service},
    /* A pod that starts without its profile is better than none that starts. */
    {.path = "/mutate-pods",
     .configuration = SERVICES,
     .name = "inferenceservice.ome-webhook-server.pod-mutator",
     .group = "",
     .resource = "pods",
     .mutating = true,
     .label = "ome.io/inferenceservice",
     .review = mutate_pod},
    {.path = "/validate-ome-io-v1beta1-inferenceservice",
     .configuration = SERVICES,
     .name = "inferenceservice.ome-webhook-server.validator",
     .group = "ome.io",
     .resource = "inferenceservices",
     .on_update = true,
     .needed = true,
     .review = validate_service},
    {.path = "/validate-ome-io-v1beta1-servingruntime",
     .configuration = "servingruntime.ome.io",
     .name = "servingruntime.ome-webhook-server.validator",
     .group = "ome.io",
     .resource = "servingruntimes",
     .on_update = true,
     .needed = true,
     .review = validate_runtime},
    {.path = "/validate-ome-io-v1beta1-clusterservingruntime",
     .configuration = "clusterservingruntime.ome.io",
     .name = "clusterservingruntime.ome-webhook-server.validator",
     .group = "ome.io",
     .resource = "clusterservingruntimes",
     .on_update = true,
     .needed = true,
     .review = validate_runtime},
    {.path = "/validate-ome-io-v1beta1-benchmarkjob",
     .configuration = "benchmarkjob.ome.io",
     .name = "benchmarkjob.ome-webhook-server.validator",
     .group = "ome.io",
     .resource = "benchmarkjobs",
     .on_update = true,
     .needed = true,
     .review = validate_benchmark},
    {.path = "/validate-runtime-revision",
     .configuration = "runtimerevision.ome.io",
     .name = "runtimerevision.ome-webhook-server.validator",
     .group = "apps",
     .resource = "controllerrevisions",
     .label = REVISION_LABEL,
     .on_update = true,
     .on_delete = true,
     .review = validate_revision},
    /* An outage that opened these two would be worth causing. */
    {.path = "/validate-agent-node",
     .configuration = AGENTS,
     .name = "modelagent.ome-webhook-server.node",
     .group = "",
     .resource = "nodes",
     .on_update = true,
     .needed = true,
     .of_agent = true,
     .review = validate_agent},
    {.path = "/validate-agent-record",
     .configuration = AGENTS,
     .name = "modelagent.ome-webhook-server.record",
     .group = "",
     .resource = "configmaps",
     .on_update = true,
     .needed = true,
     .of_agent = true,
     .review = validate_agent},
};

const struct webhook_entry *webhook_entry_at(size_t i) {
  return i < ARRAY_LEN(entries) ? &entries[i] : NULL;
}

/* ---- verdicts ---------------------------------------------------------------------------------------------------- */

void verdict_deny(struct review *r, const char *fmt, ...) {
  struct buf *b = &r->verdict->denials;
  va_list ap;

  if (b->len)
    buf_adds(b, "; ");
  va_start(ap, fmt);
  buf_vaddf(b, fmt, ap);
  va_end(ap);
}

void verdict_warn(struct review *r, const char *fmt, ...) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&b, fmt, ap);
  va_end(ap);
  if (!r->verdict->warnings)
    r->verdict->warnings = json_object_new_array();
  (void)json_add_str(r->verdict->warnings, buf_str(&b));
}

static void verdict_fini(struct verdict *v) {
  buf_fini(&v->denials);
  json_unref(v->warnings);
  json_unref(v->object);
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */

static void add_operation(struct json_object *patch, const char *op, const char *key, struct json_object *value) {
  struct json_object *o = json_object_new_object();
  _cleanup_free_ char *path = str_printf("/%s", key);

  (void)json_set_str(o, "op", op);
  (void)json_set_str(o, "path", path ? path : "/");
  if (value)
    (void)json_set(o, "value", json_copy(value));
  (void)json_add(patch, o);
}

/* RFC 6902, field by field at the top: what is below is short. */
static struct json_object *patch_of(struct json_object *from, struct json_object *to) {
  struct json_object *patch = json_object_new_array();

  json_object_object_foreach (to, key, v) {
    if (!json_equal(v, json_get(from, key)))
      add_operation(patch, "add", key, v);
  }
  json_object_object_foreach (from, gone, was) {
    (void)was;
    if (!json_get(to, gone))
      add_operation(patch, "remove", gone, NULL);
  }
  return patch;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static struct json_object *response_of(struct verdict *v, struct json_object *object, const char *uid) {
  struct json_object *response = json_object_new_object();

  (void)json_set_str(response, "uid", uid);
  (void)json_set_bool(response, "allowed", v->denials.len == 0);
  if (v->denials.len) {
    (void)json_set_i64(response, "status.code", 403);
    (void)json_set_str(response, "status.reason", "Forbidden");
    (void)json_set_str(response, "status.message", buf_str(&v->denials));
  }
  if (v->warnings)
    (void)json_set(response, "warnings", TAKE_PTR(v->warnings));
  if (v->object && !v->denials.len && !json_equal(v->object, object)) {
    _cleanup_json_ struct json_object *patch = patch_of(object, v->object);
    const char *text = json_object_to_json_string_ext(patch, JSON_C_TO_STRING_PLAIN);
    _cleanup_free_ char *encoded = base64_encode(text, strlen(text));
    (void)json_set_str(response, "patchType", "JSONPatch");
    (void)json_set_str(response, "patch", encoded ? encoded : "");
  }
  return response;
}

/* What is being deleted only loses its finalizers: nothing may stand in the way of that.  Nor of a status. */
static bool is_beyond_review(const struct webhook_entry *entry, struct json_object *request) {
  if (entry->of_agent)
    return false;
  if (!json_is(json_get(request, "object"), json_type_object))
    return !entry->on_delete;
  return meta_deleting(json_get(request, "object")) || *json_str(request, "subResource", "");
}

int32_t review_answer(const struct webhook_entry *entry, const struct admission_lookup *lookup, const char *text,
                      size_t len, bool *allowed, char **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *doc = NULL;
  _cleanup_(verdict_fini) struct verdict verdict = {.denials = BUF_INIT};
  int32_t rc = json_parse(text, len, REVIEW_MAX, &doc, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *request = json_get(doc, "request");
  const char *uid = json_str(request, "uid", "");
  if (!streq(json_str(doc, "kind", ""), "AdmissionReview") || !*uid)
    return fail(err, OME_E_INVALID, "%s: the body is no AdmissionReview with a request", entry->path);
  struct review r = {.lookup = lookup,
                     .ns = json_str(request, "namespace", ""),
                     .name = json_str(request, "name", ""),
                     .user = json_get(request, "userInfo"),
                     .object = json_get(request, "object"),
                     .old = json_get(request, "oldObject"),
                     .verdict = &verdict};
  if (!is_beyond_review(entry, request))
    rc = entry->review(&r, err);
  if (rc != OME_OK)
    return rc;
  _cleanup_json_ struct json_object *answer = json_object_new_object();
  (void)json_set_str(answer, "kind", "AdmissionReview");
  (void)json_set_str(answer, "apiVersion", json_str(doc, "apiVersion", "admission.k8s.io/v1"));
  (void)json_set(answer, "response", response_of(&verdict, r.object, uid));
  *allowed = verdict.denials.len == 0;
  *out = json_text(answer);
  return *out ? OME_OK : fail_memory(err);
}
