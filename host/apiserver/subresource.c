/* The smaller endpoints: scale, log, and the reviews that are answered and never stored. */
#include "apiserver/admission.h"

#include "apiserver/patch.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/yaml.h"
#include "kube/meta.h"

#include <string.h>

/* ---- scale ------------------------------------------------------------------------------------------------------ */

static const char *replicas_path(const struct resource *r) {
  return r->crd ? r->scale.spec_replicas : "spec.replicas";
}

/* A LabelSelector as text: "a=b,c in (d,e)". */
static char *selector_text(struct json_object *selector) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  struct json_object *labels = json_at(selector, "matchLabels");

  if (json_is(selector, json_type_string))
    return strdup(json_object_get_string(selector));
  if (json_is(labels, json_type_object)) {
    json_object_object_foreach (labels, key, v) {
      buf_addf(&b, "%s%s=%s", b.len ? "," : "", key, json_object_get_string(v));
    }
  }
  return buf_take(&b);
}

static struct json_object *make_scale(const struct resource *r, struct json_object *o) {
  static const char *const meta[] = {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"};
  struct json_object *scale = json_object_new_object();
  const char *status = r->crd ? r->scale.status_replicas : "status.replicas";
  const char *selector = r->crd ? r->scale.selector : "spec.selector";
  _cleanup_free_ char *text = selector ? selector_text(json_at(o, selector)) : NULL;

  (void)json_set_str(scale, "kind", "Scale");
  (void)json_set_str(scale, "apiVersion", "autoscaling/v1");
  for (size_t i = 0; i < ARRAY_LEN(meta); i++) {
    _cleanup_free_ char *path = str_printf("metadata.%s", meta[i]);
    if (json_at(o, path))
      (void)json_set(scale, path, json_copy(json_at(o, path)));
  }
  int64_t wanted = json_i64(o, replicas_path(r), r->crd ? 0 : 1);
  (void)json_ensure(scale, "spec");
  if (wanted)
    (void)json_set_i64(scale, "spec.replicas", wanted);
  (void)json_set_i64(scale, "status.replicas", status ? json_i64(o, status, 0) : 0);
  if (text && *text)
    (void)json_set_str(scale, "status.selector", text);
  return scale;
}

/* The wanted Scale after the request's body; NULL: answered. */
static struct json_object *read_scale(struct request *req, struct json_object *present) {
  const char *type = http_header(req->x, "content-type");
  struct ome_err err = ERR_INIT;
  struct json_object *body = NULL;
  struct json_object *out = NULL;

  if (!read_document(req, &body))
    return NULL;
  if (req->verb == VERB_UPDATE)
    return body;
  if (has_prefix(type, "application/json-patch+json")) {
    if (patch_json(present, body, &out, &err) != OME_OK)
      answer_failure(req, 422, "Invalid", "%s", err.msg);
  } else {
    out = json_merge_patch(json_copy(present), body);
  }
  json_unref(body);
  return out;
}

/* Webhooks see the Scale, not the object that is scaled; false: answered, or the verb will run again. */
static bool admit_scale(struct request *req, struct json_object **scale, struct json_object *present) {
  struct attributes a = attributes_of(req, "UPDATE");
  bool changed = false;

  a.object = *scale;
  a.old = present;
  enum admitted admitted = admit_mutating(req, &a, NULL, &changed);
  *scale = a.object;
  return admitted == ADMITTED && admit_validating(req, &a) == ADMITTED;
}

static void write_scale(struct request *req, struct json_object *o, struct json_object *scale) {
  const char *version = json_str(scale, "metadata.resourceVersion", "");
  int64_t replicas = json_i64(scale, "spec.replicas", 0);
  _cleanup_json_ struct json_object *old = json_copy(o);
  struct ome_err err = ERR_INIT;
  char api_version[256];

  if (replicas < 0) {
    struct field_errors errors = {{0}};
    field_errors_add(&errors, FIELD_INVALID, "spec.replicas", "Invalid value: %lld: must be greater than or equal to 0",
                     (long long)replicas);
    answer_invalid(req, &errors);
    field_errors_fini(&errors);
    return;
  }
  if (*version && !streq(version, json_str(o, "metadata.resourceVersion", ""))) {
    answer_conflict(req, "the object has been modified; please apply your changes to the latest version and try again");
    return;
  }
  (void)json_set_i64(o, replicas_path(req->resource), replicas);
  if (json_equal(o, old)) {
    answer_object(req, 200, make_scale(req->resource, o));
    return;
  }
  resource_api_version(req->resource, api_version);
  const struct manager_info who = {
      .manager = req->manager, .api_version = api_version, .subresource = "scale", .now_s = wall_ms() / 1000};
  (void)json_set_i64(o, "metadata.generation", meta_generation(o) + 1);
  if (apply_track_update(old, o, req->resource->schema, &who, &err) != OME_OK ||
      (!req->dry_run && store_object(req->server, req->resource, o, &err) != OME_OK))
    answer_error(req, &err);
  else
    answer_object(req, 200, make_scale(req->resource, o));
}

void verb_scale(struct request *req) {
  _cleanup_json_ struct json_object *o = load(req->server, req->resource, req->ns, req->name);

  if (!o) {
    answer_not_found(req);
    return;
  }
  _cleanup_json_ struct json_object *present = make_scale(req->resource, o);
  if (req->verb == VERB_GET) {
    answer_object(req, 200, TAKE_PTR(present));
    return;
  }
  _cleanup_json_ struct json_object *wanted = read_scale(req, present);
  if (wanted && admit_scale(req, &wanted, present))
    write_scale(req, o, wanted);
}

/* ---- log -------------------------------------------------------------------------------------------------------- */

static int64_t number(struct request *req, const char *name) {
  const char *v = http_query(req->x, name);
  int64_t n = -1;

  return v && str_to_i64(v, &n) ? n : -1;
}

static bool truth(struct request *req, const char *name) {
  const char *v = http_query(req->x, name);

  return v && (streq(v, "true") || streq(v, "1") || streq(v, "True"));
}

/* The container that is meant; NULL: answered. */
static const char *find_container(struct request *req, struct json_object *pod) {
  const char *wanted = http_query(req->x, "container");
  struct json_object *list = json_at(pod, "spec.containers");
  struct json_object *init = json_at(pod, "spec.initContainers");

  if (wanted && *wanted) {
    if (json_find(list, "name", wanted) || json_find(init, "name", wanted))
      return wanted;
    answer_failure(req, 400, "BadRequest", "container %s is not valid for pod %s", wanted, req->name);
    return NULL;
  }
  if (json_len(list) == 1)
    return json_str(json_index(list, 0), "name", "");
  _cleanup_buf_ struct buf names = BUF_INIT;
  for (size_t i = 0; i < json_len(list); i++)
    buf_addf(&names, "%s%s", i ? " " : "", json_str(json_index(list, i), "name", ""));
  answer_failure(req, 400, "BadRequest", "a container name must be specified for pod %s, choose one of: [%s]",
                 req->name, buf_str(&names));
  return NULL;
}

void verb_log(struct request *req) {
  _cleanup_json_ struct json_object *pod = load(req->server, req->resource, req->ns, req->name);
  struct apiserver *s = req->server;

  if (!pod) {
    answer_not_found(req);
    return;
  }
  const char *container = find_container(req, pod);
  if (!container)
    return;
  if (!s->logs) {
    answer_failure(req, 501, "NotImplemented", "nobody runs pods here");
    return;
  }
  struct apiserver_log_request log = {
      .ns = req->ns,
      .pod = req->name,
      .container = container,
      .tail_lines = number(req, "tailLines"),
      .limit_bytes = number(req, "limitBytes"),
      .since_seconds = number(req, "sinceSeconds"),
      .follow = truth(req, "follow"),
      .previous = truth(req, "previous"),
      .timestamps = truth(req, "timestamps"),
  };
  struct http_exchange *x = req->x;
  s->logs(s->logs_arg, &log, x);
  request_free(req);
}

/* ---- reviews ---------------------------------------------------------------------------------------------------- */

static void fill_review(struct request *req, struct json_object *o) {
  const char *kind = req->resource->kind;

  if (streq(kind, "TokenReview")) {
    bool ours = streq(json_str(o, "spec.token", ""), req->server->token);
    (void)json_set_bool(o, "status.authenticated", ours);
    if (ours)
      (void)json_set_str(o, "status.user.username", "ome-admin");
  } else if (streq(kind, "SelfSubjectRulesReview")) {
    static const char *const keys[] = {"apiGroups", "resources", "verbs"};
    struct json_object *rule = json_add_object(json_ensure_array(o, "status.resourceRules"));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
      (void)json_add_str(json_ensure_array(rule, keys[i]), "*");
    (void)json_set(o, "status.nonResourceRules", json_object_new_array());
    (void)json_set_bool(o, "status.incomplete", false);
  } else {
    (void)json_set_bool(o, "status.allowed", true); /* whoever holds the token may do everything */
    (void)json_set_str(o, "status.reason", "the token's owner may do everything");
  }
}

static void bind_pod(struct request *req, struct json_object *binding) {
  _cleanup_json_ struct json_object *pod = load(req->server, req->resource, req->ns, req->name);
  struct ome_err err = ERR_INIT;

  if (!pod) {
    answer_not_found(req);
    return;
  }
  if (*json_str(pod, "spec.nodeName", "")) {
    answer_conflict(req, "pod is already assigned to a node");
    return;
  }
  (void)json_set_str(pod, "spec.nodeName", json_str(binding, "target.name", ""));
  (void)meta_set_condition(pod, "PodScheduled", "True", NULL, NULL, wall_ms());
  if (!req->dry_run && store_object(req->server, req->resource, pod, &err) != OME_OK)
    answer_error(req, &err);
  else
    answer_object(req, 201, status_object(201, NULL, NULL, NULL));
}

/* A binding or an eviction is made, as its own kind. */
static bool admit_posted(struct request *req, struct json_object **o) {
  struct attributes a = attributes_of(req, "CREATE");
  bool changed = false;

  a.object = *o;
  enum admitted admitted = admit_mutating(req, &a, NULL, &changed);
  *o = a.object;
  return admitted == ADMITTED && admit_validating(req, &a) == ADMITTED;
}

void verb_review(struct request *req) {
  _cleanup_json_ struct json_object *o = NULL;
  bool binds = streq(req->sub, "binding");

  if (!read_document(req, &o))
    return;
  if (binds || streq(req->sub, "eviction")) {
    if (!admit_posted(req, &o))
      return;
    if (binds)
      bind_pod(req, o);
    else
      verb_delete(req);
  } else if (streq(req->sub, "token")) {
    answer_failure(req, 501, "NotImplemented", "tokens of service accounts are not issued here");
  } else {
    fill_review(req, o);
    answer_object(req, 201, TAKE_PTR(o));
  }
}
