/* CustomResourceDefinitions: accepted names, conditions, the resources they make, and their end. */
#include "apiserver/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"

#include <string.h>

/* ---- defaults --------------------------------------------------------------------------------------------------- */

static void default_names(struct json_object *crd) {
  struct json_object *names = json_at(crd, "spec.names");
  const char *kind = json_str(names, "kind", "");

  if (!names)
    return;
  if (!*json_str(names, "singular", "")) {
    _cleanup_free_ char *singular = str_lower(kind);
    (void)json_set_str(names, "singular", singular);
  }
  if (!*json_str(names, "listKind", "") && *kind) {
    _cleanup_free_ char *list = str_printf("%sList", kind);
    (void)json_set_str(names, "listKind", list);
  }
  if (!json_at(crd, "spec.conversion"))
    (void)json_set_str(crd, "spec.conversion.strategy", "None");
}

/* status.storedVersions holds every version that objects may have been stored in. */
static void note_stored_version(struct json_object *crd) {
  struct json_object *versions = json_at(crd, "spec.versions");
  struct json_object *stored = json_ensure_array(crd, "status.storedVersions");

  for (size_t i = 0; i < json_len(versions); i++) {
    struct json_object *v = json_index(versions, i);
    bool known = false;
    if (!json_flag(v, "storage", false))
      continue;
    for (size_t k = 0; k < json_len(stored); k++)
      known = known || streq(json_object_get_string(json_index(stored, k)), json_str(v, "name", ""));
    if (!known)
      (void)json_add_str(stored, json_str(v, "name", ""));
  }
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

/* "openAPIV3Schema.properties[a].type: Required value" is about that field. */
static void add_schema_error(size_t version, const struct ome_err *err, struct field_errors *out) {
  const char *colon = strstr(err->msg, ": ");
  int len = colon ? (int)(colon - err->msg) : 0;
  _cleanup_free_ char *field = str_printf("spec.versions[%zu].schema.%.*s", version, len, err->msg);

  if (field)
    field_errors_add(out, FIELD_INVALID, field, "%s", colon ? colon + 2 : err->msg);
}

static void check_versions(struct json_object *crd, struct field_errors *out) {
  struct json_object *versions = json_at(crd, "spec.versions");
  size_t storage = 0;

  for (size_t i = 0; i < json_len(versions); i++) {
    struct json_object *v = json_index(versions, i);
    struct ome_err err = ERR_INIT;
    struct schema_doc *doc = NULL;
    _cleanup_free_ char *field = str_printf("spec.versions[%zu].schema.openAPIV3Schema", i);
    storage += json_flag(v, "storage", false);
    if (!json_at(v, "schema.openAPIV3Schema"))
      field_errors_add(out, FIELD_REQUIRED, field, "Required value: schemas are required");
    else if (schema_from_openapi(json_at(v, "schema.openAPIV3Schema"), &doc, &err) != OME_OK)
      add_schema_error(i, &err, out);
    schema_doc_free(doc);
  }
  if (storage != 1)
    field_errors_add(out, FIELD_INVALID, "spec.versions",
                     "Invalid value: must have exactly one version marked as storage version");
}

static void check_spec(struct json_object *crd, struct field_errors *out) {
  const char *scope = json_str(crd, "spec.scope", "");
  const char *plural = json_str(crd, "spec.names.plural", "");

  if (!*scope)
    field_errors_add(out, FIELD_REQUIRED, "spec.scope", "Required value");
  else if (!streq(scope, "Cluster") && !streq(scope, "Namespaced"))
    field_errors_add(out, FIELD_UNSUPPORTED, "spec.scope",
                     "Unsupported value: \"%s\": supported values: \"Cluster\", \"Namespaced\"", scope);
  if (!is_dns_label(plural) || (*plural >= '0' && *plural <= '9'))
    field_errors_add(
        out, FIELD_INVALID, "spec.names.plural",
        "Invalid value: \"%s\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
        "start with an alphabetic character, and end with an alphanumeric character",
        plural);
  if (json_flag(crd, "spec.preserveUnknownFields", false))
    field_errors_add(out, FIELD_INVALID, "spec.preserveUnknownFields",
                     "Invalid value: true: must be false in order to use defaults in the schema");
}

/* Groups of the Kubernetes project are not for everybody. */
static void check_approval(struct json_object *crd, struct field_errors *out) {
  static const char *const suffixes[] = {"k8s.io", "kubernetes.io"};
  const char *group = json_str(crd, "spec.group", "");

  for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
    _cleanup_free_ char *below = str_printf(".%s", suffixes[i]);
    if ((streq(group, suffixes[i]) || has_suffix(group, below)) && !meta_annotation(crd, "api-approved.kubernetes.io"))
      field_errors_add(out, FIELD_REQUIRED, "metadata.annotations[api-approved.kubernetes.io]",
                       "Required value: protected groups must have approval annotation "
                       "\"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111");
  }
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static bool holds(const char *const *list, const char *word) {
  for (; list && *list; list++)
    if (streq(*list, word))
      return true;
  return false;
}

/* Whether NAME, in whatever case of use, is one of X's resource names. */
static bool is_resource_name(const struct resource *x, const char *name) {
  return streq(x->plural, name) || streq(x->singular, name) || holds(x->short_names, name);
}

static bool is_kind_name(const struct resource *x, const char *name) {
  return streq(x->kind, name) || streq(x->list_kind, name);
}

/* Which of CRD's names another resource of its group has: field and name; false: none. */
static bool find_conflict(struct apiserver *s, struct json_object *crd, const char **reason, const char **name) {
  static const struct {
    const char *field, *reason;
    bool (*is)(const struct resource *x, const char *name);
  } names[] = {{"spec.names.plural", "PluralConflict", is_resource_name},
               {"spec.names.singular", "SingularConflict", is_resource_name},
               {"spec.names.kind", "KindConflict", is_kind_name},
               {"spec.names.listKind", "ListKindConflict", is_kind_name}};
  struct json_object *shorts = json_at(crd, "spec.names.shortNames");

  for (size_t i = 0; i < registry_count(s->registry); i++) {
    const struct resource *x = registry_at(s->registry, i);
    if (!streq(x->group, json_str(crd, "spec.group", "")) || streq(x->crd, meta_name(crd)))
      continue;
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
      *reason = names[k].reason;
      *name = json_str(crd, names[k].field, "");
      if (names[k].is(x, *name))
        return true;
    }
    for (size_t k = 0; k < json_len(shorts); k++) {
      *reason = "ShortNamesConflict";
      *name = json_object_get_string(json_index(shorts, k));
      if (is_resource_name(x, *name))
        return true;
    }
  }
  return false;
}

static void accept_names(struct apiserver *s, struct json_object *crd, int64_t now) {
  const char *reason = "NoConflicts", *name = "";
  bool conflict = find_conflict(s, crd, &reason, &name);
  _cleanup_free_ char *in_use = conflict ? str_printf("\"%s\" is already in use", name) : NULL;
  bool established = streq(meta_condition(crd, "Established"), "True");

  if (!conflict)
    (void)json_set(crd, "status.acceptedNames", json_copy(json_at(crd, "spec.names")));
  else if (!json_at(crd, "status.acceptedNames")) {
    (void)json_set_str(crd, "status.acceptedNames.plural", "");
    (void)json_set_str(crd, "status.acceptedNames.kind", "");
  }
  (void)meta_set_condition(crd, "NamesAccepted", conflict ? "False" : "True", conflict ? reason : "NoConflicts",
                           conflict ? in_use : "no conflicts found", now);
  if (!conflict)
    (void)meta_set_condition(crd, "Established", "True", "InitialNamesAccepted", "the initial names have been accepted",
                             now);
  else if (!established)
    (void)meta_set_condition(crd, "Established", "False", "NotAccepted", "not all names are accepted", now);
}

void crd_prepare(struct apiserver *s, struct json_object *crd, struct json_object *old, int64_t now_ms,
                 struct field_errors *out) {
  const char *group = json_str(crd, "spec.group", "");
  const char *plural = json_str(crd, "spec.names.plural", "");
  _cleanup_free_ char *name = str_printf("%s.%s", plural, group);

  default_names(crd);
  if (!streq(meta_name(crd), name))
    field_errors_add(out, FIELD_INVALID, "metadata.name",
                     "Invalid value: \"%s\": must be spec.names.plural+\".\"+spec.group", meta_name(crd));
  check_spec(crd, out);
  check_versions(crd, out);
  if (old && !streq(json_str(old, "spec.group", ""), group))
    field_errors_add(out, FIELD_INVALID, "spec.group", "Invalid value: \"%s\": field is immutable", group);
  if (!old)
    check_approval(crd, out);
  if (out->list.len)
    return;
  note_stored_version(crd);
  accept_names(s, crd, now_ms);
}

/* ---- resources -------------------------------------------------------------------------------------------------- */

struct instances {
  VEC(struct json_object *) list;
};

static bool add_instance(void *arg, const char *ns, const char *name, const char *text, size_t len,
                         const char *labels) {
  struct instances *x = arg;
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  (void)ns;
  (void)name;
  (void)labels;
  if (json_parse(text, len, SIZE_MAX, &o, &err) == OME_OK && !VEC_PUSH(&x->list, o))
    json_unref(o);
  return true;
}

/* Deletes the instances of a CRD that is being deleted; whether all are gone. */
static bool delete_instances(struct apiserver *s, struct json_object *crd) {
  _cleanup_free_ char *collection =
      str_printf("%s/%s", json_str(crd, "spec.group", ""), json_str(crd, "spec.names.plural", ""));
  const struct resource *r = registry_by_collection(s->registry, collection);
  struct instances x = {{0}};
  struct ome_err err = ERR_INIT;

  (void)store_list(s->store, &(struct store_part){.collection = collection}, add_instance, &x, &err);
  for (size_t i = 0; r && i < x.list.len; i++) {
    struct json_object *o = x.list.items[i];
    int32_t rc = OME_OK;
    if (!json_empty(json_at(o, "metadata.finalizers"))) {
      if (!meta_deleting(o)) {
        mark_deleting(o, 0);
        rc = store_object(s, r, o, &err);
      }
    } else {
      rc = remove_object(s, r, o, &err);
    }
    if (rc != OME_OK)
      log_warning("crd", "delete %s %s: %s", collection, meta_name(o), err.msg);
  }
  for (size_t i = 0; i < x.list.len; i++)
    json_unref(x.list.items[i]);
  VEC_FREE(&x.list);
  return store_count(s->store, collection, NULL) == 0;
}

struct clean_call {
  struct apiserver *server;
  char *name;
};

static void clean_now(void *arg) {
  struct clean_call *call = arg;
  struct apiserver *s = call->server;
  const struct resource *r = registry_find(s->registry, "apiextensions.k8s.io", "v1", "customresourcedefinitions");
  _cleanup_json_ struct json_object *crd = load(s, r, "", call->name);
  struct ome_err err = ERR_INIT;

  if (crd && meta_deleting(crd) && delete_instances(s, crd)) {
    (void)meta_remove_finalizer(crd, "customresourcecleanup.apiextensions.k8s.io");
    if (store_object(s, r, crd, &err) != OME_OK)
      log_warning("crd", "delete %s: %s", call->name, err.msg);
  }
  free(call->name);
  free(call);
}

void crd_continue(struct apiserver *s, const char *name) {
  struct clean_call *call = malloc(sizeof(*call));

  if (!call)
    return;
  *call = (struct clean_call){s, strdup(name)};
  loop_post(s->loop, clean_now, call);
}

/* Names that were taken may be free now. */
static bool accept_again(void *arg, const char *ns, const char *name, const char *text, size_t len,
                         const char *labels) {
  struct instances *x = arg;

  return strstr(text, "\"NotAccepted\"") ? add_instance(x, ns, name, text, len, labels) : true;
}

static void accept_waiting(void *arg) {
  struct apiserver *s = arg;
  const struct resource *r = registry_find(s->registry, "apiextensions.k8s.io", "v1", "customresourcedefinitions");
  struct instances x = {{0}};
  struct ome_err err = ERR_INIT;

  (void)store_list(s->store, &(struct store_part){.collection = r->collection}, accept_again, &x, &err);
  for (size_t i = 0; i < x.list.len; i++) {
    struct json_object *crd = x.list.items[i];
    accept_names(s, crd, wall_ms());
    if (streq(meta_condition(crd, "Established"), "True") && store_object(s, r, crd, &err) != OME_OK)
      log_warning("crd", "%s: %s", meta_name(crd), err.msg);
    json_unref(crd);
  }
  VEC_FREE(&x.list);
}

void crd_changed(struct apiserver *s, struct json_object *crd) {
  const struct store_key key = {"apiextensions.k8s.io/customresourcedefinitions", "", meta_name(crd)};
  struct ome_err err = ERR_INIT;

  if (!store_get_version(s->store, &key)) {
    registry_remove_crd(s->registry, meta_name(crd));
    loop_post(s->loop, accept_waiting, s);
    return;
  }
  if (meta_deleting(crd)) {
    registry_terminate(s->registry, meta_name(crd));
    crd_continue(s, meta_name(crd));
    return;
  }
  if (streq(meta_condition(crd, "Established"), "True") && registry_add_crd(s->registry, crd, &err) != OME_OK)
    log_warning("crd", "%s: %s", meta_name(crd), err.msg);
}

static bool load_one(void *arg, const char *ns, const char *name, const char *text, size_t len, const char *labels) {
  struct apiserver *s = arg;
  _cleanup_json_ struct json_object *crd = NULL;
  struct ome_err err = ERR_INIT;

  (void)ns;
  (void)labels;
  if (json_parse(text, len, SIZE_MAX, &crd, &err) != OME_OK ||
      (streq(meta_condition(crd, "Established"), "True") && registry_add_crd(s->registry, crd, &err) != OME_OK))
    log_warning("crd", "%s: %s", name, err.msg);
  else if (meta_deleting(crd)) { /* the last process did not finish */
    registry_terminate(s->registry, name);
    crd_continue(s, name);
  }
  return true;
}

int32_t crds_load(struct apiserver *s, struct ome_err *err) {
  static const struct store_part all = {.collection = "apiextensions.k8s.io/customresourcedefinitions"};

  return store_list(s->store, &all, load_one, s, err);
}
