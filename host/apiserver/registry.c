#include "apiserver/registry.h"

#include "apiserver/registry_builtin.h"
#include "base/str.h"
#include "base/vec.h"

#include <stdio.h>
#include <string.h>

struct registry {
  VEC(struct resource *) resources; /* built-in ones first */
  VEC(struct resource *) retired;
  uint64_t generation;
};

/* Owns every text of a CRD's resource; built-in ones own what is made for them here. */
static void resource_free(struct resource *r) {
  if (!r)
    return;
  free((char *)(uintptr_t)r->collection);
  free((char *)(uintptr_t)r->list_kind);
  free((char *)(uintptr_t)r->singular);
  if (r->crd) {
    free((char *)(uintptr_t)r->group);
    free((char *)(uintptr_t)r->version);
    free((char *)(uintptr_t)r->plural);
    free((char *)(uintptr_t)r->kind);
    free((void *)(uintptr_t)r->short_names);
    free((void *)(uintptr_t)r->categories);
    for (size_t i = 0; i < r->ncolumns; i++) {
      free((char *)(uintptr_t)r->columns[i].name);
      free((char *)(uintptr_t)r->columns[i].type);
      free((char *)(uintptr_t)r->columns[i].format);
      free((char *)(uintptr_t)r->columns[i].description);
      free((char *)(uintptr_t)r->columns[i].json_path);
    }
    free(r->columns);
    free(r->scale.spec_replicas);
    free(r->scale.status_replicas);
    free(r->scale.selector);
    free(r->deprecation_warning);
    schema_doc_free(r->schema_doc);
    free(r->crd);
  }
  free(r);
}

static bool add_builtin(struct registry *r, const struct builtin_resource *b) {
  struct resource *x = calloc(1, sizeof(*x));

  if (!x)
    return false;
  *x = (struct resource){
      .group = b->group,
      .version = b->version,
      .kind = b->kind,
      .plural = b->plural,
      .singular = str_lower(b->kind),
      .list_kind = str_printf("%sList", b->kind),
      .short_names = b->short_names[0] ? b->short_names : NULL,
      .categories = b->categories[0] ? b->categories : NULL,
      .namespaced = b->namespaced,
      .subresources = b->subresources,
      .flags = b->flags,
      /* Two groups show the same events. */
      .collection = str_printf("%s/%s", streq(b->group, "events.k8s.io") ? "" : b->group, b->plural),
      .schema = schema_builtin(b->group, b->version, b->kind),
  };
  if (x->singular && x->list_kind && x->collection && VEC_PUSH(&r->resources, x))
    return true;
  resource_free(x);
  return false;
}

struct registry *registry_new(void) {
  struct registry *r = calloc(1, sizeof(*r));

  for (size_t i = 0; r && i < nbuiltin_resources; i++)
    if (!add_builtin(r, &builtin_resources[i])) {
      registry_free(r);
      return NULL;
    }
  return r;
}

void registry_free(struct registry *r) {
  if (!r)
    return;
  for (size_t i = 0; i < r->resources.len; i++)
    resource_free(r->resources.items[i]);
  VEC_FREE(&r->resources);
  registry_free_retired(r);
  VEC_FREE(&r->retired);
  free(r);
}

size_t registry_count(const struct registry *r) {
  return r->resources.len;
}

const struct resource *registry_at(const struct registry *r, size_t i) {
  return r->resources.items[i];
}

uint64_t registry_generation(const struct registry *r) {
  return r->generation;
}

const struct resource *registry_find(const struct registry *r, const char *group, const char *version,
                                     const char *plural) {
  for (size_t i = 0; i < r->resources.len; i++) {
    const struct resource *x = r->resources.items[i];
    if (streq(x->plural, plural) && streq(x->group, group) && streq(x->version, version))
      return x;
  }
  return NULL;
}

const struct resource *registry_by_collection(const struct registry *r, const char *collection) {
  for (size_t i = 0; i < r->resources.len; i++)
    if (streq(r->resources.items[i]->collection, collection))
      return r->resources.items[i];
  return NULL;
}

bool registry_has_group(const struct registry *r, const char *group) {
  for (size_t i = 0; i < r->resources.len; i++)
    if (streq(r->resources.items[i]->group, group))
      return true;
  return false;
}

bool registry_has_version(const struct registry *r, const char *group, const char *version) {
  for (size_t i = 0; i < r->resources.len; i++)
    if (streq(r->resources.items[i]->group, group) && streq(r->resources.items[i]->version, version))
      return true;
  return false;
}

/* ---- CRDs ------------------------------------------------------------------------------------------------------ */

void registry_remove_crd(struct registry *r, const char *crd_name) {
  for (size_t i = 0; i < r->resources.len;) {
    struct resource *x = r->resources.items[i];
    if (streq(x->crd, crd_name) && x->crd) {
      x->retired = true;
      if (!VEC_PUSH(&r->retired, x))
        abort(); /* nobody could tell when it may go */
      VEC_REMOVE(&r->resources, i);
      r->generation++;
    } else {
      i++;
    }
  }
}

void registry_terminate(struct registry *r, const char *crd_name) {
  for (size_t i = 0; i < r->resources.len; i++)
    if (r->resources.items[i]->crd && streq(r->resources.items[i]->crd, crd_name))
      r->resources.items[i]->terminating = true;
}

void registry_free_retired(struct registry *r) {
  for (size_t i = 0; i < r->retired.len; i++)
    resource_free(r->retired.items[i]);
  r->retired.len = 0;
}

/* Whether a schema gives any field a default. */
static bool finds_default(struct json_object *o) {
  bool found = json_get(o, "default") != NULL;

  for (size_t i = 0; !found && i < json_len(o); i++)
    found = finds_default(json_index(o, i));
  if (found || !json_is(o, json_type_object))
    return found;
  json_object_object_foreach (o, key, v) {
    (void)key;
    found = found || finds_default(v);
  }
  return found;
}

/* Whether the resources of CRD are there as it is now. */
static bool is_current(const struct registry *r, struct json_object *crd) {
  const char *name = json_str(crd, "metadata.name", "");

  for (size_t i = 0; i < r->resources.len; i++)
    if (r->resources.items[i]->crd && streq(r->resources.items[i]->crd, name))
      return r->resources.items[i]->crd_generation == json_i64(crd, "metadata.generation", 0);
  return false;
}

/* The strings of LIST as one NULL-terminated allocation; NULL: none. */
static const char *const *copy_list(struct json_object *list) {
  size_t n = json_len(list);
  size_t bytes = 0;

  if (n == 0)
    return NULL;
  for (size_t i = 0; i < n; i++)
    bytes += strlen(json_object_get_string(json_index(list, i))) + 1;
  const char **out = malloc((n + 1) * sizeof(*out) + bytes);
  if (!out)
    return NULL;
  char *text = (char *)(out + n + 1);
  for (size_t i = 0; i < n; i++) {
    out[i] = text;
    text = stpcpy(text, json_object_get_string(json_index(list, i))) + 1;
  }
  out[n] = NULL;
  return (const char *const *)out;
}

static bool copy_columns(struct resource *x, struct json_object *list) {
  size_t n = json_len(list);

  x->columns = calloc(n + 1, sizeof(*x->columns));
  if (!x->columns)
    return false;
  for (; x->ncolumns < n; x->ncolumns++) {
    struct json_object *o = json_index(list, x->ncolumns);
    x->columns[x->ncolumns] = (struct column){
        .name = strdup(json_str(o, "name", "")),
        .type = strdup(json_str(o, "type", "string")),
        .format = strdup(json_str(o, "format", "")),
        .description = strdup(json_str(o, "description", "")),
        .priority = json_i64(o, "priority", 0),
        .json_path = strdup(json_str(o, "jsonPath", "")),
    };
  }
  return true;
}

/* ".spec.replicas" without its dot, new. */
static char *copy_path(struct json_object *o, const char *path) {
  const char *p = json_str(o, path, NULL);

  return p ? strdup(p + (*p == '.')) : NULL;
}

static int32_t fill(struct resource *x, struct json_object *crd, struct json_object *version, struct ome_err *err) {
  struct json_object *names = json_at(crd, "status.acceptedNames");
  struct json_object *subresources = json_at(version, "subresources");
  struct json_object *scale = json_at(subresources, "scale");

  if (!json_at(names, "kind"))
    names = json_at(crd, "spec.names");
  x->crd = strdup(json_str(crd, "metadata.name", ""));
  x->group = strdup(json_str(crd, "spec.group", ""));
  x->version = strdup(json_str(version, "name", ""));
  x->plural = strdup(json_str(names, "plural", ""));
  x->singular = strdup(json_str(names, "singular", ""));
  x->kind = strdup(json_str(names, "kind", ""));
  x->list_kind = strdup(json_str(names, "listKind", ""));
  x->short_names = copy_list(json_at(names, "shortNames"));
  x->categories = copy_list(json_at(names, "categories"));
  x->collection = str_printf("%s/%s", x->group, x->plural);
  x->namespaced = streq(json_str(crd, "spec.scope", ""), "Namespaced");
  x->crd_generation = json_i64(crd, "metadata.generation", 0);
  x->preserve_unknown = json_flag(crd, "spec.preserveUnknownFields", false);
  x->deprecated = json_flag(version, "deprecated", false);
  if (json_at(version, "deprecationWarning"))
    x->deprecation_warning = strdup(json_str(version, "deprecationWarning", ""));
  if (json_at(subresources, "status"))
    x->subresources |= SUB_STATUS;
  if (scale) {
    x->subresources |= SUB_SCALE;
    x->scale.spec_replicas = copy_path(scale, "specReplicasPath");
    x->scale.status_replicas = copy_path(scale, "statusReplicasPath");
    x->scale.selector = copy_path(scale, "labelSelectorPath");
  }
  if (!copy_columns(x, json_at(version, "additionalPrinterColumns")))
    return fail_memory(err);
  struct json_object *openapi = json_at(version, "schema.openAPIV3Schema");
  if (!openapi)
    return OME_OK;
  x->has_defaults = finds_default(openapi);
  int32_t rc = schema_from_openapi(openapi, &x->schema_doc, err);
  x->schema = rc == OME_OK ? schema_root(x->schema_doc) : NULL;
  return rc;
}

int32_t registry_add_crd(struct registry *r, struct json_object *crd, struct ome_err *err) {
  struct json_object *versions = json_at(crd, "spec.versions");

  if (is_current(r, crd))
    return OME_OK;
  registry_remove_crd(r, json_str(crd, "metadata.name", ""));
  for (size_t i = 0; i < json_len(versions); i++) {
    struct json_object *version = json_index(versions, i);
    if (!json_flag(version, "served", false))
      continue;
    struct resource *x = calloc(1, sizeof(*x));
    int32_t rc = x ? fill(x, crd, version, err) : fail_memory(err);
    if (rc == OME_OK && !VEC_PUSH(&r->resources, x))
      rc = fail_memory(err);
    if (rc != OME_OK) {
      resource_free(x);
      return rc;
    }
    r->generation++;
  }
  return OME_OK;
}

void resource_api_version(const struct resource *r, char out[256]) {
  (void)snprintf(out, 256, "%s%s%s", r->group, *r->group ? "/" : "", r->version);
}

void resource_qualified(const struct resource *r, char out[256]) {
  (void)snprintf(out, 256, "%s%s%s", r->plural, *r->group ? "." : "", r->group);
}

void resource_qualified_kind(const struct resource *r, char out[256]) {
  (void)snprintf(out, 256, "%s%s%s", r->kind, *r->group ? "." : "", r->group);
}
