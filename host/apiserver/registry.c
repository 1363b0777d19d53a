#include "apiserver/registry.h"

#include "base/str.h"
#include "base/vec.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const in_all[] = {"all", NULL};
static const char *const in_api_extensions[] = {"api-extensions", NULL};

static const struct resource builtins[] = {
    {.version = "v1",
     .plural = "bindings",
     .singular = "binding",
     .kind = "Binding",
     .namespaced = true,
     .flags = RES_VIRTUAL},
    {.version = "v1",
     .plural = "configmaps",
     .singular = "configmap",
     .kind = "ConfigMap",
     .short_names = (const char *const[]){"cm", NULL},
     .namespaced = true,
     .flags = RES_NO_GENERATION},
    {.version = "v1",
     .plural = "endpoints",
     .singular = "endpoints",
     .kind = "Endpoints",
     .short_names = (const char *const[]){"ep", NULL},
     .namespaced = true,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION},
    {.version = "v1",
     .plural = "events",
     .singular = "event",
     .kind = "Event",
     .short_names = (const char *const[]){"ev", NULL},
     .namespaced = true,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION},
    {.version = "v1",
     .plural = "limitranges",
     .singular = "limitrange",
     .kind = "LimitRange",
     .short_names = (const char *const[]){"limits", NULL},
     .namespaced = true,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION},
    {.version = "v1",
     .plural = "namespaces",
     .singular = "namespace",
     .kind = "Namespace",
     .short_names = (const char *const[]){"ns", NULL},
     .subresources = SUB_STATUS | SUB_FINALIZE,
     .flags = RES_NO_GENERATION | RES_NO_COLLECTION_DELETE | RES_LABEL_NAMES},
    {.version = "v1",
     .plural = "nodes",
     .singular = "node",
     .kind = "Node",
     .short_names = (const char *const[]){"no", NULL},
     .subresources = SUB_STATUS,
     .flags = RES_NO_GENERATION},
    {.version = "v1",
     .plural = "persistentvolumeclaims",
     .singular = "persistentvolumeclaim",
     .kind = "PersistentVolumeClaim",
     .short_names = (const char *const[]){"pvc", NULL},
     .namespaced = true,
     .subresources = SUB_STATUS,
     .flags = RES_NO_GENERATION},
    {.version = "v1",
     .plural = "persistentvolumes",
     .singular = "persistentvolume",
     .kind = "PersistentVolume",
     .short_names = (const char *const[]){"pv", NULL},
     .subresources = SUB_STATUS,
     .flags = RES_NO_GENERATION},
    {.version = "v1",
     .plural = "pods",
     .singular = "pod",
     .kind = "Pod",
     .short_names = (const char *const[]){"po", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS | SUB_LOG | SUB_BINDING | SUB_EVICTION,
     .flags = RES_NO_GENERATION},
    {.version = "v1", .plural = "podtemplates", .singular = "podtemplate", .kind = "PodTemplate", .namespaced = true},
    {.version = "v1",
     .plural = "replicationcontrollers",
     .singular = "replicationcontroller",
     .kind = "ReplicationController",
     .short_names = (const char *const[]){"rc", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS | SUB_SCALE},
    {.version = "v1",
     .plural = "resourcequotas",
     .singular = "resourcequota",
     .kind = "ResourceQuota",
     .short_names = (const char *const[]){"quota", NULL},
     .namespaced = true,
     .subresources = SUB_STATUS,
     .flags = RES_NO_GENERATION},
    {.version = "v1",
     .plural = "secrets",
     .singular = "secret",
     .kind = "Secret",
     .namespaced = true,
     .flags = RES_NO_GENERATION},
    {.version = "v1",
     .plural = "serviceaccounts",
     .singular = "serviceaccount",
     .kind = "ServiceAccount",
     .short_names = (const char *const[]){"sa", NULL},
     .namespaced = true,
     .subresources = SUB_TOKEN,
     .flags = RES_NO_GENERATION},
    {.version = "v1",
     .plural = "services",
     .singular = "service",
     .kind = "Service",
     .short_names = (const char *const[]){"svc", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION | RES_LABEL_NAMES},
    {.group = "admissionregistration.k8s.io",
     .version = "v1",
     .plural = "mutatingwebhookconfigurations",
     .singular = "mutatingwebhookconfiguration",
     .kind = "MutatingWebhookConfiguration",
     .categories = in_api_extensions},
    {.group = "admissionregistration.k8s.io",
     .version = "v1",
     .plural = "validatingwebhookconfigurations",
     .singular = "validatingwebhookconfiguration",
     .kind = "ValidatingWebhookConfiguration",
     .categories = in_api_extensions},
    {.group = "apiextensions.k8s.io",
     .version = "v1",
     .plural = "customresourcedefinitions",
     .singular = "customresourcedefinition",
     .kind = "CustomResourceDefinition",
     .short_names = (const char *const[]){"crd", "crds", NULL},
     .categories = in_api_extensions,
     .subresources = SUB_STATUS},
    {.group = "apiregistration.k8s.io",
     .version = "v1",
     .plural = "apiservices",
     .singular = "apiservice",
     .kind = "APIService",
     .categories = in_api_extensions,
     .subresources = SUB_STATUS},
    {.group = "apps",
     .version = "v1",
     .plural = "controllerrevisions",
     .singular = "controllerrevision",
     .kind = "ControllerRevision",
     .namespaced = true,
     .flags = RES_NO_GENERATION},
    {.group = "apps",
     .version = "v1",
     .plural = "daemonsets",
     .singular = "daemonset",
     .kind = "DaemonSet",
     .short_names = (const char *const[]){"ds", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS},
    {.group = "apps",
     .version = "v1",
     .plural = "deployments",
     .singular = "deployment",
     .kind = "Deployment",
     .short_names = (const char *const[]){"deploy", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS | SUB_SCALE},
    {.group = "apps",
     .version = "v1",
     .plural = "replicasets",
     .singular = "replicaset",
     .kind = "ReplicaSet",
     .short_names = (const char *const[]){"rs", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS | SUB_SCALE},
    {.group = "apps",
     .version = "v1",
     .plural = "statefulsets",
     .singular = "statefulset",
     .kind = "StatefulSet",
     .short_names = (const char *const[]){"sts", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS | SUB_SCALE},
    {.group = "authentication.k8s.io",
     .version = "v1",
     .plural = "tokenreviews",
     .singular = "tokenreview",
     .kind = "TokenReview",
     .flags = RES_VIRTUAL},
    {.group = "authorization.k8s.io",
     .version = "v1",
     .plural = "localsubjectaccessreviews",
     .singular = "localsubjectaccessreview",
     .kind = "LocalSubjectAccessReview",
     .namespaced = true,
     .flags = RES_VIRTUAL},
    {.group = "authorization.k8s.io",
     .version = "v1",
     .plural = "selfsubjectaccessreviews",
     .singular = "selfsubjectaccessreview",
     .kind = "SelfSubjectAccessReview",
     .flags = RES_VIRTUAL},
    {.group = "authorization.k8s.io",
     .version = "v1",
     .plural = "selfsubjectrulesreviews",
     .singular = "selfsubjectrulesreview",
     .kind = "SelfSubjectRulesReview",
     .flags = RES_VIRTUAL},
    {.group = "authorization.k8s.io",
     .version = "v1",
     .plural = "subjectaccessreviews",
     .singular = "subjectaccessreview",
     .kind = "SubjectAccessReview",
     .flags = RES_VIRTUAL},
    {.group = "autoscaling",
     .version = "v2",
     .plural = "horizontalpodautoscalers",
     .singular = "horizontalpodautoscaler",
     .kind = "HorizontalPodAutoscaler",
     .short_names = (const char *const[]){"hpa", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS,
     .flags = RES_NO_GENERATION},
    {.group = "autoscaling",
     .version = "v1",
     .plural = "horizontalpodautoscalers",
     .singular = "horizontalpodautoscaler",
     .kind = "HorizontalPodAutoscaler",
     .short_names = (const char *const[]){"hpa", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS,
     .flags = RES_NO_GENERATION},
    {.group = "batch",
     .version = "v1",
     .plural = "cronjobs",
     .singular = "cronjob",
     .kind = "CronJob",
     .short_names = (const char *const[]){"cj", NULL},
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS},
    {.group = "batch",
     .version = "v1",
     .plural = "jobs",
     .singular = "job",
     .kind = "Job",
     .categories = in_all,
     .namespaced = true,
     .subresources = SUB_STATUS},
    {.group = "coordination.k8s.io",
     .version = "v1",
     .plural = "leases",
     .singular = "lease",
     .kind = "Lease",
     .namespaced = true,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION},
    {.group = "discovery.k8s.io",
     .version = "v1",
     .plural = "endpointslices",
     .singular = "endpointslice",
     .kind = "EndpointSlice",
     .namespaced = true},
    {.group = "events.k8s.io",
     .version = "v1",
     .plural = "events",
     .singular = "event",
     .kind = "Event",
     .short_names = (const char *const[]){"ev", NULL},
     .namespaced = true,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION},
    {.group = "networking.k8s.io",
     .version = "v1",
     .plural = "ingressclasses",
     .singular = "ingressclass",
     .kind = "IngressClass"},
    {.group = "networking.k8s.io",
     .version = "v1",
     .plural = "ingresses",
     .singular = "ingress",
     .kind = "Ingress",
     .short_names = (const char *const[]){"ing", NULL},
     .namespaced = true,
     .subresources = SUB_STATUS},
    {.group = "networking.k8s.io",
     .version = "v1",
     .plural = "networkpolicies",
     .singular = "networkpolicy",
     .kind = "NetworkPolicy",
     .short_names = (const char *const[]){"netpol", NULL},
     .namespaced = true},
    {.group = "policy",
     .version = "v1",
     .plural = "poddisruptionbudgets",
     .singular = "poddisruptionbudget",
     .kind = "PodDisruptionBudget",
     .short_names = (const char *const[]){"pdb", NULL},
     .namespaced = true,
     .subresources = SUB_STATUS},
    {.group = "rbac.authorization.k8s.io",
     .version = "v1",
     .plural = "clusterrolebindings",
     .singular = "clusterrolebinding",
     .kind = "ClusterRoleBinding",
     .flags = RES_PUT_CREATES | RES_NO_GENERATION | RES_PATH_NAMES},
    {.group = "rbac.authorization.k8s.io",
     .version = "v1",
     .plural = "clusterroles",
     .singular = "clusterrole",
     .kind = "ClusterRole",
     .flags = RES_PUT_CREATES | RES_NO_GENERATION | RES_PATH_NAMES},
    {.group = "rbac.authorization.k8s.io",
     .version = "v1",
     .plural = "rolebindings",
     .singular = "rolebinding",
     .kind = "RoleBinding",
     .namespaced = true,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION | RES_PATH_NAMES},
    {.group = "rbac.authorization.k8s.io",
     .version = "v1",
     .plural = "roles",
     .singular = "role",
     .kind = "Role",
     .namespaced = true,
     .flags = RES_PUT_CREATES | RES_NO_GENERATION | RES_PATH_NAMES},
    {.group = "scheduling.k8s.io",
     .version = "v1",
     .plural = "priorityclasses",
     .singular = "priorityclass",
     .kind = "PriorityClass",
     .short_names = (const char *const[]){"pc", NULL}},
    {.group = "storage.k8s.io",
     .version = "v1",
     .plural = "storageclasses",
     .singular = "storageclass",
     .kind = "StorageClass",
     .short_names = (const char *const[]){"sc", NULL},
     .flags = RES_NO_GENERATION},
};

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
  if (r->crd) {
    free((char *)(uintptr_t)r->group);
    free((char *)(uintptr_t)r->version);
    free((char *)(uintptr_t)r->plural);
    free((char *)(uintptr_t)r->singular);
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

static bool add_builtin(struct registry *r, const struct resource *b) {
  struct resource *copy = calloc(1, sizeof(*copy));

  if (!copy)
    return false;
  *copy = *b;
  copy->group = b->group ? b->group : "";
  copy->list_kind = str_printf("%sList", b->kind);
  /* Two groups show the same events. */
  copy->collection = str_printf("%s/%s", streq(copy->group, "events.k8s.io") ? "" : copy->group, b->plural);
  copy->schema = schema_builtin(copy->group, b->version, b->kind);
  if (copy->list_kind && copy->collection && VEC_PUSH(&r->resources, copy))
    return true;
  resource_free(copy);
  return false;
}

struct registry *registry_new(void) {
  struct registry *r = calloc(1, sizeof(*r));

  for (size_t i = 0; r && i < ARRAY_LEN(builtins); i++)
    if (!add_builtin(r, &builtins[i])) {
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

const struct resource *registry_find_kind(const struct registry *r, const char *group, const char *version,
                                          const char *kind) {
  for (size_t i = 0; i < r->resources.len; i++) {
    const struct resource *x = r->resources.items[i];
    if (streq(x->kind, kind) && streq(x->group, group) && streq(x->version, version))
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
