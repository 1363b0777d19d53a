/* DELETE of objects and collections: options, preconditions, grace, finalizers, propagation. */
#include "apiserver/admission.h"

#include "api/selector.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

struct delete_options {
  const char *propagation; /* "Background", "Foreground", "Orphan" */
  int64_t grace_s;         /* -1: the kind's own */
  const char *uid, *version;
  struct json_object *body; /* owns what the rest points into */
};

static bool is_propagation(const char *v) {
  return streq(v, "Background") || streq(v, "Foreground") || streq(v, "Orphan");
}

/* Body and query parameters; false: answered. */
static bool read_options(struct request *req, struct delete_options *o) {
  const char *grace = http_query(req->x, "gracePeriodSeconds");
  const char *policy = http_query(req->x, "propagationPolicy");
  const char *orphan = http_query(req->x, "orphanDependents");
  size_t len;

  (void)http_body(req->x, &len);
  *o = (struct delete_options){.grace_s = -1};
  if (len && !read_document(req, &o->body))
    return false;
  o->propagation = json_str(o->body, "propagationPolicy", policy);
  o->grace_s = json_i64(o->body, "gracePeriodSeconds", -1);
  o->uid = json_str(o->body, "preconditions.uid", NULL);
  o->version = json_str(o->body, "preconditions.resourceVersion", NULL);
  if (json_len(json_at(o->body, "dryRun")))
    req->dry_run = true;
  if (grace && *grace && !str_to_i64(grace, &o->grace_s))
    o->grace_s = -1;
  if (!o->propagation && orphan && *orphan)
    o->propagation = streq(orphan, "true") ? "Orphan" : "Background";
  if (!o->propagation && json_at(o->body, "orphanDependents"))
    o->propagation = json_flag(o->body, "orphanDependents", false) ? "Orphan" : "Background";
  if (!o->propagation || is_propagation(o->propagation))
    return true;
  answer_failure(req, 422, "Invalid",
                 "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"%s\": supported "
                 "values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
                 o->propagation);
  return false;
}

static bool check_preconditions(struct request *req, const struct delete_options *o, struct json_object *obj) {
  const char *uid = meta_uid(obj);
  const char *version = json_str(obj, "metadata.resourceVersion", "");
  _cleanup_free_ char *why = NULL;

  if (o->uid && !streq(o->uid, uid))
    why = str_printf("Precondition failed: UID in precondition: %s, UID in object meta: %s", o->uid, uid);
  else if (o->version && !streq(o->version, version))
    why = str_printf("Precondition failed: resourceVersion in precondition: %s, resourceVersion in object meta: %s",
                     o->version, version);
  if (!why)
    return true;
  answer_conflict(req, why);
  return false;
}

void mark_deleting(struct json_object *o, int64_t grace_s) {
  char at[TIME_TEXT];

  if (!meta_deleting(o)) {
    time_format(wall_ms() / 1000 + grace_s, at);
    (void)json_set_str(o, "metadata.deletionTimestamp", at);
    if (json_at(o, "metadata.generation"))
      (void)json_set_i64(o, "metadata.generation", meta_generation(o) + 1);
  }
  (void)json_set_i64(o, "metadata.deletionGracePeriodSeconds", grace_s);
}

/* Seconds that a pod may take to end: only one that runs somewhere takes any. */
static int64_t grace_of(const struct resource *r, struct json_object *o, int64_t asked) {
  const char *phase = json_str(o, "status.phase", "");

  if (!streq(r->kind, "Pod") || *r->group)
    return 0;
  if (!*json_str(o, "spec.nodeName", "") || streq(phase, "Succeeded") || streq(phase, "Failed"))
    return 0;
  int64_t grace = asked >= 0 ? asked : json_i64(o, "spec.terminationGracePeriodSeconds", 30);
  /* It can be shortened, not made longer. */
  if (meta_deleting(o)) {
    int64_t present = json_i64(o, "metadata.deletionGracePeriodSeconds", grace);
    grace = grace < present ? grace : present;
  }
  return grace;
}

/* The finalizer by which dependents hold an object up, or are let go. */
static void add_propagation(struct json_object *o, const char *propagation) {
  if (!propagation)
    return;
  if (streq(propagation, "Foreground")) {
    (void)meta_remove_finalizer(o, "orphan");
    (void)meta_add_finalizer(o, "foregroundDeletion");
  } else if (streq(propagation, "Orphan")) {
    (void)meta_remove_finalizer(o, "foregroundDeletion");
    (void)meta_add_finalizer(o, "orphan");
  } else {
    (void)meta_remove_finalizer(o, "foregroundDeletion");
    (void)meta_remove_finalizer(o, "orphan");
  }
}

static bool must_wait(const struct resource *r, struct json_object *o, int64_t grace_s) {
  return grace_s > 0 || !json_empty(json_at(o, "metadata.finalizers")) ||
         (streq(r->kind, "Namespace") && !*r->group && !json_empty(json_at(o, "spec.finalizers")));
}

/* Deletes O or begins to; *GONE: at once. */
static int32_t delete_object(struct apiserver *s, const struct resource *r, struct json_object *o,
                             const struct delete_options *options, bool dry_run, bool *gone, struct ome_err *err) {
  int64_t grace = grace_of(r, o, options->grace_s);
  _cleanup_json_ struct json_object *before = json_copy(o);

  add_propagation(o, options->propagation);
  if (streq(r->kind, "CustomResourceDefinition") && !r->crd && !meta_deleting(o)) { /* its objects go first */
    (void)meta_add_finalizer(o, "customresourcecleanup.apiextensions.k8s.io");
    (void)meta_set_condition(o, "Terminating", "True", "InstanceDeletionPending",
                             "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
                             wall_ms());
  }
  *gone = !must_wait(r, o, grace);
  if (*gone)
    return dry_run ? OME_OK : remove_object(s, r, o, err);
  mark_deleting(o, grace);
  if (streq(r->kind, "Namespace") && !*r->group)
    (void)json_set_str(o, "status.phase", "Terminating");
  if (dry_run || json_equal(before, o))
    return OME_OK;
  int32_t rc = store_object(s, r, o, err);
  if (rc == OME_OK)
    gc_owner_gone(s->gc, meta_uid(o));
  return rc;
}

/* The Status that says that it is gone. */
static struct json_object *gone_status(const struct request *req, struct json_object *o) {
  struct json_object *details = json_object_new_object();

  (void)json_set_str(details, "name", meta_name(o));
  if (*req->resource->group)
    (void)json_set_str(details, "group", req->resource->group);
  (void)json_set_str(details, "kind", req->resource->plural);
  (void)json_set_str(details, "uid", meta_uid(o));
  return status_object(200, NULL, NULL, details);
}

/* Kinds whose deletion answers with the object even when it is gone at once. */
static bool answers_with_object(const struct resource *r) {
  static const char *const kinds[] = {"Pod",
                                      "Service",
                                      "ServiceAccount",
                                      "PersistentVolumeClaim",
                                      "PersistentVolume",
                                      "PodTemplate",
                                      "ReplicationController",
                                      "ResourceQuota"};

  for (size_t i = 0; !*r->group && i < ARRAY_LEN(kinds); i++)
    if (streq(r->kind, kinds[i]))
      return true;
  return false;
}

static void delete_fini(struct delete_options *o) {
  json_unref(o->body);
}

void verb_delete(struct request *req) {
  _cleanup_(delete_fini) struct delete_options options = {.grace_s = -1};
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  bool gone;

  if (!read_options(req, &options))
    return;
  o = load(req->server, req->resource, req->ns, req->name);
  if (!o) {
    answer_not_found(req);
    return;
  }
  if (!check_preconditions(req, &options, o))
    return;
  if (!*req->resource->group && streq(req->resource->kind, "Namespace") &&
      (streq(req->name, "default") || streq(req->name, "kube-system") || streq(req->name, "kube-public"))) {
    answer_failure(req, 403, "Forbidden", "namespaces \"%s\" is forbidden: this namespace may not be deleted",
                   req->name);
    return;
  }
  /* An eviction was admitted as one. */
  if (!streq(req->sub, "eviction") && admit_delete(req, o) != ADMITTED)
    return;
  if (delete_object(req->server, req->resource, o, &options, req->dry_run, &gone, &err) != OME_OK)
    answer_error(req, &err);
  else if (gone && !answers_with_object(req->resource)) {
    req->form = FORM_OBJECT;
    answer_object(req, 200, gone_status(req, o));
  } else
    answer_object(req, 200, TAKE_PTR(o));
}

/* ---- collections ------------------------------------------------------------------------------------------------ */

struct sweep {
  struct selector *labels, *fields;
  struct json_object *found; /* array */
};

static bool gather(void *arg, const char *ns, const char *name, const char *text, size_t len, const char *labels) {
  struct sweep *sweep = arg;
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  (void)ns;
  (void)name;
  (void)labels;
  if (json_parse(text, len, SIZE_MAX, &o, &err) != OME_OK)
    return true;
  if (selector_match(sweep->labels, json_at(o, "metadata.labels")) && field_selector_match(sweep->fields, o))
    (void)json_add(sweep->found, TAKE_PTR(o));
  return true;
}

static void sweep_fini(struct sweep *s) {
  selector_free(s->labels);
  selector_free(s->fields);
  json_unref(s->found);
}

/* All are admitted before one is deleted; false: answered, or the verb will run again. */
static bool admit_all(struct request *req, struct json_object *found) {
  bool waits = false;

  for (size_t i = 0; i < json_len(found); i++) {
    enum admitted admitted = admit_delete(req, json_index(found, i));
    if (admitted == ADMISSION_ENDED)
      return false;
    waits = waits || admitted == ADMISSION_WAITS;
  }
  return !waits;
}

void verb_delete_collection(struct request *req) {
  _cleanup_(delete_fini) struct delete_options options = {.grace_s = -1};
  _cleanup_(sweep_fini) struct sweep sweep = {NULL, NULL, json_object_new_array()};
  const struct store_part all = {.collection = req->resource->collection, .ns = *req->ns ? req->ns : NULL};
  struct ome_err err = ERR_INIT;
  char api_version[256];

  if (!read_options(req, &options))
    return;
  if (!read_field_selector(req, &sweep.fields))
    return;
  if (selector_parse(http_query(req->x, "labelSelector"), &sweep.labels, &err) != OME_OK ||
      store_list(req->server->store, &all, gather, &sweep, &err) != OME_OK) {
    answer_error(req, &err);
    return;
  }
  if (!admit_all(req, sweep.found))
    return;
  for (size_t i = 0; i < json_len(sweep.found); i++) {
    bool gone;
    if (delete_object(req->server, req->resource, json_index(sweep.found, i), &options, req->dry_run, &gone, &err) !=
        OME_OK) {
      answer_error(req, &err);
      return;
    }
  }
  struct json_object *list = json_object_new_object();
  resource_api_version(req->resource, api_version);
  (void)json_set_str(list, "kind", req->resource->list_kind);
  (void)json_set_str(list, "apiVersion", api_version);
  char version[24];
  (void)snprintf(version, sizeof(version), "%lld", (long long)store_version(req->server->store));
  (void)json_set_str(list, "metadata.resourceVersion", version);
  (void)json_set(list, "items", TAKE_PTR(sweep.found));
  answer_object(req, 200, list);
}
