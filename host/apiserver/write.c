/* Create, update and patch: one path from a body to a stored object. */
#include "apiserver/admission.h"

#include "api/builtin.h"
#include "apiserver/patch.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define NAME_RULE                                                                                                      \
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "     \
  "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "                          \
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
#define LABEL_RULE                                                                                                     \
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "      \
  "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "                       \
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

#define SERVICE_RULE                                                                                                     \
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and " \
  "end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "                     \
  "'[a-z]([-a-z0-9]*[a-z0-9])?')"

static bool is_service(const struct resource *r) {
  return !r->crd && !*r->group && streq(r->kind, "Service");
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void check_name(struct request *req, struct json_object *o, struct field_errors *errors) {
  const char *name = meta_name(o);

  if (!*name) {
    field_errors_add(errors, FIELD_REQUIRED, "metadata.name", "Required value: name or generateName is required");
    return;
  }
  if (req->resource->flags & RES_PATH_NAMES) {
    if (strchr(name, '/') || strchr(name, '%') || streq(name, ".") || streq(name, ".."))
      field_errors_add(errors, FIELD_INVALID, "metadata.name",
                       "Invalid value: \"%s\": may not contain '/' or '%%', or be '.' or '..'", name);
  } else if (is_service(req->resource)) {
    if (!is_dns_label(name) || (*name >= '0' && *name <= '9'))
      field_errors_add(errors, FIELD_INVALID, "metadata.name", "Invalid value: \"%s\": %s", name, SERVICE_RULE);
  } else if (req->resource->flags & RES_LABEL_NAMES) {
    if (!is_dns_label(name))
      field_errors_add(errors, FIELD_INVALID, "metadata.name", "Invalid value: \"%s\": %s", name, LABEL_RULE);
  } else if (!is_dns_subdomain(name)) {
    field_errors_add(errors, FIELD_INVALID, "metadata.name", "Invalid value: \"%s\": %s", name, NAME_RULE);
  }
}

/* ---- metadata --------------------------------------------------------------------------------------------------- */

static void copy_field(struct json_object *to, struct json_object *from, const char *path) {
  struct json_object *v = json_at(from, path);

  if (v)
    (void)json_set(to, path, json_copy(v));
  else
    json_del(to, path);
}

/* What goes behind generateName, once a request. */
static void random_suffix(struct request *req) {
  static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
  uint8_t chance[sizeof(req->suffix) - 1];

  if (*req->suffix)
    return;
  random_bytes(chance, sizeof(chance));
  for (size_t i = 0; i < sizeof(chance); i++)
    req->suffix[i] = letters[chance[i] % (sizeof(letters) - 1)];
}

/* What only the server decides. */
static void stamp_new(struct request *req, struct json_object *o) {
  static const char *const owned[] = {"metadata.resourceVersion", "metadata.generation", "metadata.deletionTimestamp",
                                      "metadata.deletionGracePeriodSeconds", "metadata.selfLink"};
  const char *base = json_str(o, "metadata.generateName", "");
  char now[TIME_TEXT];

  for (size_t i = 0; i < ARRAY_LEN(owned); i++)
    json_del(o, owned[i]);
  if (!*meta_name(o) && *base) {
    random_suffix(req);
    _cleanup_free_ char *name = str_printf("%.58s%s", base, req->suffix);
    (void)json_set_str(o, "metadata.name", name);
    free(req->name);
    req->name = strdup(name);
  }
  if (!*req->uid)
    random_uuid(req->uid);
  time_format(req->now_ms / 1000, now);
  (void)json_set_str(o, "metadata.uid", req->uid);
  (void)json_set_str(o, "metadata.creationTimestamp", now);
  if (!(req->resource->flags & RES_NO_GENERATION))
    (void)json_set_i64(o, "metadata.generation", 1);
}

/* Whether A and B are the same but for metadata and, where it has a life of its own, status. */
static bool same_desire(const struct resource *r, struct json_object *a, struct json_object *b) {
  _cleanup_json_ struct json_object *x = json_copy(a);
  _cleanup_json_ struct json_object *y = json_copy(b);

  json_del(x, "metadata");
  json_del(y, "metadata");
  if (r->subresources & SUB_STATUS) {
    json_del(x, "status");
    json_del(y, "status");
  }
  return json_equal(x, y);
}

/* NEW takes from OLD what an update cannot change; status and the rest keep to their own endpoint. */
static void carry_over(struct request *req, struct json_object *o, struct json_object *old) {
  static const char *const kept[] = {"metadata.uid",
                                     "metadata.creationTimestamp",
                                     "metadata.generation",
                                     "metadata.deletionTimestamp",
                                     "metadata.deletionGracePeriodSeconds",
                                     "metadata.selfLink",
                                     "metadata.generateName"};
  const struct resource *r = req->resource;

  if (streq(req->sub, "status")) {
    _cleanup_json_ struct json_object *status = json_object_get(json_at(o, "status"));
    struct json_object *managed = json_object_get(json_at(o, "metadata.managedFields"));
    _cleanup_json_ struct json_object *sent_version = json_object_get(json_at(o, "metadata.resourceVersion"));
    json_object_object_foreach (old, key, v) {
      (void)json_put(o, key, json_copy(v));
    }
    if (status)
      (void)json_put(o, "status", TAKE_PTR(status));
    else
      json_object_object_del(o, "status");
    if (managed)
      (void)json_set(o, "metadata.managedFields", managed);
    if (sent_version)
      (void)json_set(o, "metadata.resourceVersion", TAKE_PTR(sent_version));
    return;
  }
  for (size_t i = 0; i < ARRAY_LEN(kept); i++)
    copy_field(o, old, kept[i]);
  if (r->subresources & SUB_STATUS)
    copy_field(o, old, "status");
  if (!(r->flags & RES_NO_GENERATION) && !same_desire(r, o, old))
    (void)json_set_i64(o, "metadata.generation", meta_generation(old) + 1);
}

static void check_update_meta(struct json_object *o, struct json_object *old, struct field_errors *errors) {
  struct json_object *now = json_at(o, "metadata.finalizers");
  struct json_object *before = json_at(old, "metadata.finalizers");

  if (!meta_deleting(old))
    return;
  for (size_t i = 0; i < json_len(now); i++) {
    const char *name = json_object_get_string(json_index(now, i));
    bool known = false;
    for (size_t k = 0; k < json_len(before); k++)
      known = known || streq(json_object_get_string(json_index(before, k)), name);
    if (!known) {
      field_errors_add(errors, FIELD_FORBIDDEN, "metadata.finalizers",
                       "Forbidden: no new finalizers can be added if the object is being deleted, found new "
                       "finalizers []string{\"%s\"}",
                       name);
      return;
    }
  }
}

/* ---- into the store --------------------------------------------------------------------------------------------- */

/* Whether O, being deleted, has nothing left to wait for. */
static bool may_vanish(struct json_object *o) {
  return meta_deleting(o) && json_empty(json_at(o, "metadata.finalizers")) &&
         json_i64(o, "metadata.deletionGracePeriodSeconds", 0) == 0;
}

static struct store_key key_of(const struct resource *r, struct json_object *o) {
  return (struct store_key){r->collection, meta_namespace(o), meta_name(o)};
}

int32_t remove_object(struct apiserver *s, const struct resource *r, struct json_object *o, struct ome_err *err) {
  const struct store_key key = key_of(r, o);
  int32_t rc = store_delete(s->store, &key, o, err);

  touch_turn_end(s);
  if (rc != OME_OK)
    return rc;
  webhooks_changed(s, r->collection);
  gc_removed(s->gc, o);
  if (streq(r->kind, "CustomResourceDefinition"))
    crd_changed(s, o);
  if (is_service(r))
    service_stored(s, NULL, o);
  if (r->terminating)
    crd_continue(s, r->crd);
  if (r->namespaced)
    namespace_continue(s, meta_namespace(o));
  return OME_OK;
}

int32_t store_object(struct apiserver *s, const struct resource *r, struct json_object *o, struct ome_err *err) {
  const struct store_key key = key_of(r, o);

  if (may_vanish(o) && !(streq(r->kind, "Namespace") && !json_empty(json_at(o, "spec.finalizers"))))
    return remove_object(s, r, o, err);
  _cleanup_json_ struct json_object *old = is_service(r) ? load(s, r, key.ns, key.name) : NULL;
  int32_t rc = store_put(s->store, &key, o, err);
  touch_turn_end(s);
  if (rc != OME_OK)
    return rc;
  webhooks_changed(s, r->collection);
  gc_look(s->gc, r, o);
  if (is_service(r))
    service_stored(s, o, old);
  if (streq(r->kind, "CustomResourceDefinition"))
    crd_changed(s, o);
  if (streq(r->kind, "Namespace"))
    namespace_continue(s, meta_name(o));
  return OME_OK;
}

/* Built-in kinds know the finalizers without a domain by name. */
static void check_finalizers(struct json_object *o, struct field_errors *errors) {
  static const char *const standard[] = {"kubernetes", "orphan", "foregroundDeletion"};
  struct json_object *list = json_at(o, "metadata.finalizers");

  for (size_t i = 0; i < json_len(list); i++) {
    const char *name = json_object_get_string(json_index(list, i));
    bool known = strchr(name, '/') != NULL;
    for (size_t k = 0; k < ARRAY_LEN(standard); k++)
      known = known || streq(standard[k], name);
    _cleanup_free_ char *field = str_printf("metadata.finalizers[%zu]", i);
    if (!known)
      field_errors_add(errors, FIELD_INVALID, field,
                       "Invalid value: \"%s\": name is neither a standard finalizer name nor is it fully qualified",
                       name);
  }
}

static void set_defaults(const struct resource *r, struct json_object *o, struct json_object *old) {
  if (!r->crd)
    api_default(r->group, r->kind, o, old);
  if (r->schema)
    schema_default(r->schema, o);
}

/* What a webhook made of O is read as if it had been sent, but for warnings. */
static bool finish_mutated(struct request *req, struct json_object *o, struct json_object *old) {
  const struct resource *r = req->resource;

  if (!decode_builtin(req, o))
    return false;
  if (r->schema && !r->preserve_unknown)
    schema_prune(r->schema, o, NULL);
  set_defaults(r, o, old);
  return true;
}

/* Lets mutating webhooks change *O; false: answered, or the verb will run again. */
static bool let_mutate(struct request *req, struct json_object **o, struct json_object *old) {
  struct attributes a = attributes_of(req, old ? "UPDATE" : "CREATE");
  bool changed = false;
  size_t n;

  (void)webhooks_mutating(req->server, &n);
  if (!n)
    return true;
  set_defaults(req->resource, *o, old);
  a.object = *o;
  a.old = old;
  enum admitted admitted = admit_mutating(req, &a, finish_mutated, &changed);
  *o = a.object;
  return admitted == ADMITTED;
}

static bool let_validate(struct request *req, struct json_object *o, struct json_object *old) {
  struct attributes a = attributes_of(req, old ? "UPDATE" : "CREATE");

  a.object = o;
  a.old = old;
  return admit_validating(req, &a) == ADMITTED;
}

/* Defaults and every rule; false: answered with what is wrong. */
static bool complete_and_check(struct request *req, struct json_object *o, struct json_object *old) {
  const struct resource *r = req->resource;
  struct field_errors errors = {{0}};
  bool ok;

  set_defaults(r, o, old);
  if (streq(r->kind, "CustomResourceDefinition") && !r->crd)
    crd_prepare(req->server, o, old, req->now_ms, &errors);
  if (is_service(r))
    service_complete(req->server, o, old, &errors);
  check_name(req, o, &errors);
  if (!r->crd)
    check_finalizers(o, &errors);
  if (old)
    check_update_meta(o, old, &errors);
  api_validate_meta(o, old, &errors);
  if (r->schema)
    schema_validate(r->schema, o, old, &errors);
  if (!r->crd)
    api_validate(r->group, r->kind, o, old, &errors);
  ok = errors.list.len == 0;
  if (!ok)
    answer_invalid(req, &errors);
  field_errors_fini(&errors);
  return ok;
}

static struct manager_info manager_of(const struct request *req, char api_version[256]) {
  static const char *const status_reset[] = {"status", NULL};
  static const char *const spec_reset[] = {"spec", "metadata", NULL};
  struct manager_info who = {.manager = req->manager, .subresource = req->sub, .now_s = req->now_ms / 1000};

  resource_api_version(req->resource, api_version);
  who.api_version = api_version;
  if (streq(req->sub, "status"))
    who.reset_fields = spec_reset;
  else if (req->resource->subresources & SUB_STATUS)
    who.reset_fields = status_reset;
  return who;
}

/* ---- create ----------------------------------------------------------------------------------------------------- */

static void answer_terminating(struct request *req, const char *qualified) {
  struct json_object *details = details_of(req, false);
  _cleanup_free_ char *message =
      str_printf("%s \"%s\" is forbidden: unable to create new content in namespace %s because it is being terminated",
                 qualified, req->name, req->ns);
  _cleanup_free_ char *why = str_printf("namespace %s is being terminated", req->ns);

  details_add_cause(details, "NamespaceTerminating", why, "metadata.namespace");
  answer_failure_details(req, 403, "Forbidden", details, message);
}

/* A namespace that is not there or is going takes nothing new; false: answered. */
static bool check_namespace(struct request *req) {
  if (!req->resource->namespaced || (req->resource->flags & RES_VIRTUAL))
    return true;
  const struct store_key key = {"/namespaces", "", req->ns};
  _cleanup_free_ char *text = store_get(req->server->store, &key);
  if (!text) {
    struct json_object *details = json_object_new_object();
    _cleanup_free_ char *message = str_printf("namespaces \"%s\" not found", req->ns);
    (void)json_set_str(details, "name", req->ns);
    (void)json_set_str(details, "kind", "namespaces");
    answer_failure_details(req, 404, "NotFound", details, message);
    return false;
  }
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *ns = NULL;
  (void)json_parse(text, strlen(text), SIZE_MAX, &ns, &err);
  if (!meta_deleting(ns))
    return true;
  char qualified[256];
  resource_qualified(req->resource, qualified);
  answer_terminating(req, qualified);
  return false;
}

static void answer_exists(struct request *req) {
  char qualified[256];

  resource_qualified(req->resource, qualified);
  answer_failure(req, 409, "AlreadyExists", "%s \"%s\" already exists", qualified, req->name);
}

static void set_req_name(struct request *req, struct json_object *o) {
  free(req->name);
  req->name = strdup(meta_name(o));
}

/* A new object has no status where it has an endpoint of its own. */
static void drop_status(const struct resource *r, struct json_object *o) {
  if (r->subresources & SUB_STATUS && !streq(r->kind, "CustomResourceDefinition"))
    json_object_object_del(o, "status");
}

/* Stores a new object; takes O. */
static void create_object(struct request *req, struct json_object *owned, int status) {
  _cleanup_json_ struct json_object *o = owned;
  struct ome_err err = ERR_INIT;

  stamp_new(req, o);
  set_req_name(req, o);
  drop_status(req->resource, o);
  if (!let_mutate(req, &o, NULL))
    return;
  drop_status(req->resource, o);
  if (!complete_and_check(req, o, NULL) || !let_validate(req, o, NULL))
    return;
  const struct store_key key = key_of(req->resource, o);
  if (store_get_version(req->server->store, &key)) {
    answer_exists(req);
    return;
  }
  if (!req->dry_run && store_object(req->server, req->resource, o, &err) != OME_OK) {
    answer_error(req, &err);
    return;
  }
  answer_object(req, status, TAKE_PTR(o));
}

void verb_create(struct request *req) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  char api_version[256];

  if (!read_object(req, &o) || !check_kind(req, o) || !check_place(req, o))
    return;
  set_req_name(req, o);
  if (json_str(o, "metadata.resourceVersion", NULL) && *json_str(o, "metadata.resourceVersion", "")) {
    answer_failure(req, 400, "BadRequest", "resourceVersion should not be set on objects to be created");
    return;
  }
  if (req->resource->terminating) {
    answer_failure(req, 405, "MethodNotAllowed", "create not allowed while custom resource definition is terminating");
    return;
  }
  if (!check_namespace(req) || !drop_unknown(req, o))
    return;
  struct manager_info who = manager_of(req, api_version);
  if (apply_track_update(NULL, o, req->resource->schema, &who, &err) != OME_OK) {
    answer_error(req, &err);
    return;
  }
  create_object(req, TAKE_PTR(o), 201);
}

/* ---- update ----------------------------------------------------------------------------------------------------- */

static const char modified[] =
    "the object has been modified; please apply your changes to the latest version and try again";

/* A PUT states which object it means; a patch tries to change it. */
static void answer_other_uid(struct request *req, const char *uid, struct json_object *old) {
  struct field_errors errors = {{0}};

  if (req->verb == VERB_UPDATE) {
    _cleanup_free_ char *why =
        str_printf("Precondition failed: UID in precondition: %.64s, UID in object meta: %s", uid, meta_uid(old));
    answer_conflict(req, why ? why : "Precondition failed");
    return;
  }
  field_errors_add(&errors, FIELD_INVALID, "metadata.uid", "Invalid value: \"%.64s\": field is immutable", uid);
  answer_invalid(req, &errors);
  field_errors_fini(&errors);
}

/* Stores O in place of OLD; takes O. */
static void replace_object(struct request *req, struct json_object *owned, struct json_object *old) {
  _cleanup_json_ struct json_object *o = owned;
  const char *uid = json_str(o, "metadata.uid", "");
  const char *version = json_str(o, "metadata.resourceVersion", "");
  struct ome_err err = ERR_INIT;

  if (*uid && !streq(uid, meta_uid(old))) {
    answer_other_uid(req, uid, old);
    return;
  }
  if (*version && !streq(version, json_str(old, "metadata.resourceVersion", ""))) {
    answer_conflict(req, modified);
    return;
  }
  carry_over(req, o, old);
  if (!let_mutate(req, &o, old))
    return;
  carry_over(req, o, old);
  if (!complete_and_check(req, o, old) || !let_validate(req, o, old))
    return;
  copy_field(o, old, "metadata.resourceVersion");
  (void)apply_keep_times(old, o);
  if (json_equal(o, old)) { /* nothing to write: nothing happens */
    answer_object(req, 200, TAKE_PTR(o));
    return;
  }
  if (!(req->resource->flags & RES_NO_GENERATION) && !streq(req->sub, "status") && !same_desire(req->resource, o, old))
    (void)json_set_i64(o, "metadata.generation", meta_generation(old) + 1);
  if (!req->dry_run && store_object(req->server, req->resource, o, &err) != OME_OK) {
    answer_error(req, &err);
    return;
  }
  answer_object(req, 200, TAKE_PTR(o));
}

/* PUT of something that is not there: a few kinds are made by it.  Takes O. */
static void update_absent(struct request *req, struct json_object *owned) {
  _cleanup_json_ struct json_object *o = owned;
  const char *uid = json_str(o, "metadata.uid", "");
  struct ome_err err = ERR_INIT;
  char api_version[256];

  if (!(req->resource->flags & RES_PUT_CREATES) || *req->sub) {
    answer_not_found(req);
    return;
  }
  if (*uid) {
    _cleanup_free_ char *why = str_printf("Precondition failed: UID in precondition: %.64s, UID in object meta: ", uid);
    answer_conflict(req, why ? why : "Precondition failed");
    return;
  }
  if (!check_namespace(req))
    return;
  struct manager_info who = manager_of(req, api_version);
  if (apply_track_update(NULL, o, req->resource->schema, &who, &err) != OME_OK)
    answer_error(req, &err);
  else
    create_object(req, TAKE_PTR(o), 201);
}

void verb_update(struct request *req) {
  _cleanup_json_ struct json_object *o = NULL;
  _cleanup_json_ struct json_object *old = NULL;
  struct ome_err err = ERR_INIT;
  char api_version[256];

  if (!read_object(req, &o) || !check_kind(req, o) || !check_place(req, o) || !drop_unknown(req, o))
    return;
  old = load(req->server, req->resource, req->ns, req->name);
  if (!old) {
    update_absent(req, TAKE_PTR(o));
    return;
  }
  if (req->resource->crd && !*json_str(o, "metadata.resourceVersion", "")) {
    struct field_errors errors = {{0}};
    field_errors_add(&errors, FIELD_INVALID, "metadata.resourceVersion",
                     "Invalid value: 0x0: must be specified for an update");
    answer_invalid(req, &errors);
    field_errors_fini(&errors);
    return;
  }
  struct manager_info who = manager_of(req, api_version);
  if (streq(req->sub, "status"))
    carry_over(req, o, old);
  if (apply_track_update(old, o, req->resource->schema, &who, &err) != OME_OK) {
    answer_error(req, &err);
    return;
  }
  replace_object(req, TAKE_PTR(o), old);
}

/* ---- patch ------------------------------------------------------------------------------------------------------ */

enum patch_kind { PATCH_KIND_JSON, PATCH_KIND_MERGE, PATCH_KIND_STRATEGIC, PATCH_KIND_APPLY };

static bool patch_kind_of(struct request *req, enum patch_kind *out) {
  static const char *const types[] = {
      [PATCH_KIND_JSON] = "application/json-patch+json",
      [PATCH_KIND_MERGE] = "application/merge-patch+json",
      [PATCH_KIND_STRATEGIC] = "application/strategic-merge-patch+json",
      [PATCH_KIND_APPLY] = "application/apply-patch+yaml",
  };
  char type[128];

  media_type(req, type);
  for (size_t i = 0; i < ARRAY_LEN(types); i++)
    if (streq(types[i], type) && !(i == PATCH_KIND_STRATEGIC && req->resource->crd)) {
      *out = (enum patch_kind)i;
      return true;
    }
  answer_failure(req, 415, "UnsupportedMediaType",
                 "the body of the request was in an unknown format - accepted media types include: "
                 "application/json-patch+json, application/merge-patch+json%s, application/apply-patch+yaml",
                 req->resource->crd ? "" : ", application/strategic-merge-patch+json");
  return false;
}

/* The error of patch.h as the real server answers it. */
static void answer_patch_error(struct request *req, const struct ome_err *err, struct json_object *conflicts) {
  struct json_object *details;

  switch (err->code) {
  case OME_E_UNSUPPORTED:
    answer_failure(req, 422, "Invalid", "the server rejected our request due to an error in our request");
    break;
  case OME_E_NO_SPACE:
    answer_failure(req, 413, "RequestEntityTooLarge", "%s", err->msg);
    break;
  case OME_E_CORRUPT:
    answer_failure(req, 500, "", "%s", err->msg);
    break;
  case OME_E_CONFLICT: {
    _cleanup_free_ char *message = apply_conflict_message(conflicts);
    details = json_object_new_object();
    for (size_t i = 0; i < json_len(conflicts); i++)
      details_add_cause(details, "FieldManagerConflict", json_str(json_index(conflicts, i), "message", ""),
                        json_str(json_index(conflicts, i), "field", ""));
    answer_failure_details(req, 409, "Conflict", details, message ? message : err->msg);
    break;
  }
  default:
    answer_error(req, err);
    break;
  }
}

/* An applied configuration names its kind and, unless there is an object already, itself; false: answered. */
static bool check_applied(struct request *req, struct json_object *patch, struct json_object *old) {
  const char *uid = json_str(patch, "metadata.uid", "");

  if (!json_is(patch, json_type_object)) {
    answer_failure(req, 400, "BadRequest", "error decoding YAML: the applied configuration is not an object");
    return false;
  }
  if (!*json_str(patch, "apiVersion", "") || !*json_str(patch, "kind", "")) {
    answer_failure(req, 400, "BadRequest", "Object '%s' is missing in '%s'",
                   *json_str(patch, "kind", "") ? "apiVersion" : "Kind",
                   json_object_to_json_string_ext(patch, JSON_C_TO_STRING_PLAIN));
    return false;
  }
  if (!old && !*meta_name(patch)) {
    answer_failure(req, 400, "BadRequest", "the name of the object () does not match the name on the URL (%s)",
                   req->name);
    return false;
  }
  if (!old && *uid) {
    _cleanup_free_ char *why = str_printf("Precondition failed: UID in precondition: %.64s, UID in object meta: ", uid);
    answer_conflict(req, why ? why : "Precondition failed");
    return false;
  }
  return check_kind(req, patch) && check_place(req, patch);
}

static void apply_patch(struct request *req, struct json_object *patch, struct json_object *old) {
  const char *force = http_query(req->x, "force");
  _cleanup_json_ struct json_object *conflicts = NULL;
  struct json_object *result = NULL;
  struct ome_err err = ERR_INIT;
  char api_version[256];
  struct manager_info who = manager_of(req, api_version);

  if (!http_query(req->x, "fieldManager")) {
    answer_failure(req, 422, "Invalid",
                   "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is "
                   "required for apply patch");
    return;
  }
  if (!check_applied(req, patch, old))
    return;
  if (apply_merge(old, patch, req->resource->schema, &who, force && (streq(force, "true") || streq(force, "1")),
                  &result, &conflicts, &err) != OME_OK) {
    answer_patch_error(req, &err, conflicts);
    return;
  }
  if (!drop_unknown(req, result))
    json_unref(result);
  else if (old)
    replace_object(req, result, old);
  else if (*req->sub) {
    json_unref(result);
    answer_not_found(req);
  } else
    create_object(req, result, 201);
}

static int32_t patched(const struct request *req, enum patch_kind kind, struct json_object *patch,
                       struct json_object *old, struct json_object **out, struct ome_err *err) {
  switch (kind) {
  case PATCH_KIND_JSON:
    return patch_json(old, patch, out, err);
  case PATCH_KIND_STRATEGIC:
    return patch_strategic(old, patch, req->resource->schema, out, err);
  default:
    *out = json_merge_patch(json_copy(old), patch);
    return *out ? OME_OK : fail_memory(err);
  }
}

static void other_patch(struct request *req, enum patch_kind kind, struct json_object *patch, struct json_object *old) {
  _cleanup_json_ struct json_object *result = NULL;
  struct ome_err err = ERR_INIT;
  char api_version[256];
  struct manager_info who = manager_of(req, api_version);

  if (patched(req, kind, patch, old, &result, &err) != OME_OK) {
    answer_patch_error(req, &err, NULL);
    return;
  }
  if (!check_kind(req, result) || !check_place(req, result) || !drop_unknown(req, result))
    return;
  if (streq(req->sub, "status"))
    carry_over(req, result, old);
  if (apply_track_update(old, result, req->resource->schema, &who, &err) != OME_OK) {
    answer_error(req, &err);
    return;
  }
  replace_object(req, TAKE_PTR(result), old);
}

void verb_patch(struct request *req) {
  _cleanup_json_ struct json_object *patch = NULL;
  _cleanup_json_ struct json_object *old = NULL;
  enum patch_kind kind;

  if (!patch_kind_of(req, &kind) || !read_document(req, &patch))
    return;
  old = load(req->server, req->resource, req->ns, req->name);
  if (kind == PATCH_KIND_APPLY) {
    if (old || check_namespace(req))
      apply_patch(req, patch, old);
  } else if (!old)
    answer_not_found(req);
  else
    other_patch(req, kind, patch, old);
}
