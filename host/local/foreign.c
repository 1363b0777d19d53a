/* The kinds of other projects that this room has controllers for, so that it brings their CRDs. */
#include "local/foreign.h"

#include "local/local.h"

#include "base/str.h"

const struct kube_resource LOCAL_LEADERWORKERSETS = {"leaderworkerset.x-k8s.io", "v1", "leaderworkersets",
                                                     "LeaderWorkerSet", true};
const struct kube_resource LOCAL_RAYCLUSTERS = {"ray.io", "v1", "rayclusters", "RayCluster", true};
const struct kube_resource LOCAL_KNATIVESERVICES = {"serving.knative.dev", "v1", "services", "Service", true};

struct column {
  const char *name, *type, *path;
};

static const struct foreign {
  const struct kube_resource *resource;
  const char *singular, *short_name; /* NULL: none */
  struct column columns[4];
} kinds[] = {
    {&LOCAL_LEADERWORKERSETS,
     "leaderworkerset",
     "lws",
     {{"Ready", "integer", ".status.readyReplicas"},
      {"Desired", "integer", ".spec.replicas"},
      {"Up-to-date", "integer", ".status.updatedReplicas"},
      {"Age", "date", ".metadata.creationTimestamp"}}},
    {&LOCAL_RAYCLUSTERS,
     "raycluster",
     NULL,
     {{"Desired Workers", "integer", ".status.desiredWorkerReplicas"},
      {"Available Workers", "integer", ".status.availableWorkerReplicas"},
      {"Status", "string", ".status.state"},
      {"Age", "date", ".metadata.creationTimestamp"}}},
    {&LOCAL_KNATIVESERVICES,
     "service",
     "ksvc",
     {{"URL", "string", ".status.url"},
      {"Ready", "string", ".status.conditions[?(@.type=='Ready')].status"},
      {"Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"},
      {"Age", "date", ".metadata.creationTimestamp"}}},
};

/* The projects' own schemas check every field; here a field that we do not know is kept and has no effect. */
static struct json_object *open_schema(void) {
  static const char *const parts[] = {"properties.spec", "properties.status"};
  struct json_object *schema = json_object_new_object();

  (void)json_set_str(schema, "type", "object");
  for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
    struct json_object *part = json_ensure(schema, parts[i]);
    (void)json_set_str(part, "type", "object");
    (void)json_object_object_add(part, "x-kubernetes-preserve-unknown-fields", json_object_new_boolean(1));
  }
  return schema;
}

static struct json_object *version_of(const struct foreign *f) {
  struct json_object *v = json_object_new_object(), *columns = json_object_new_array();

  for (size_t i = 0; i < ARRAY_LEN(f->columns); i++) {
    struct json_object *c = json_object_new_object();
    (void)json_set_str(c, "name", f->columns[i].name);
    (void)json_set_str(c, "type", f->columns[i].type);
    (void)json_set_str(c, "jsonPath", f->columns[i].path);
    (void)json_object_array_add(columns, c);
  }
  (void)json_set_str(v, "name", f->resource->version);
  (void)json_set_bool(v, "served", true);
  (void)json_set_bool(v, "storage", true);
  (void)json_set(v, "additionalPrinterColumns", columns);
  (void)json_set(v, "schema.openAPIV3Schema", open_schema());
  (void)json_set(v, "subresources.status", json_object_new_object());
  return v;
}

static struct json_object *crd_of(const struct foreign *f) {
  const struct kube_resource *r = f->resource;
  struct json_object *crd = json_object_new_object(), *short_names = json_object_new_array();
  struct json_object *versions = json_object_new_array();
  _cleanup_free_ char *name = str_printf("%s.%s", r->resource, r->group);
  _cleanup_free_ char *list = str_printf("%sList", r->kind);

  if (f->short_name)
    (void)json_object_array_add(short_names, json_object_new_string(f->short_name));
  (void)json_object_array_add(versions, version_of(f));
  (void)json_set_str(crd, "apiVersion", "apiextensions.k8s.io/v1");
  (void)json_set_str(crd, "kind", "CustomResourceDefinition");
  (void)json_set_str(crd, "metadata.name", name);
  (void)json_set_str(crd, "spec.group", r->group);
  (void)json_set_str(crd, "spec.scope", "Namespaced");
  (void)json_set_str(crd, "spec.names.kind", r->kind);
  (void)json_set_str(crd, "spec.names.listKind", list);
  (void)json_set_str(crd, "spec.names.plural", r->resource);
  (void)json_set_str(crd, "spec.names.singular", f->singular);
  (void)json_set(crd, "spec.names.shortNames", short_names);
  (void)json_set(crd, "spec.versions", versions);
  return crd;
}

struct json_object *local_crds(void) {
  struct json_object *all = json_object_new_array();

  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    (void)json_object_array_add(all, crd_of(&kinds[i]));
  return all;
}
