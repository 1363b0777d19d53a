/* Which resources the server has: the built-in ones from a table, the others from CRDs.  Loop thread. */
#ifndef HOST_APISERVER_REGISTRY_H
#define HOST_APISERVER_REGISTRY_H

#include "api/schema.h"

enum { /* subresources */
       SUB_STATUS = 1u << 0,
       SUB_SCALE = 1u << 1,
       SUB_LOG = 1u << 2,
       SUB_BINDING = 1u << 3,
       SUB_EVICTION = 1u << 4,
       SUB_FINALIZE = 1u << 5,
       SUB_TOKEN = 1u << 6
};

enum {                              /* behaviour */
       RES_NO_GENERATION = 1u << 0, /* metadata.generation is not kept */
       RES_VIRTUAL = 1u << 1,       /* create only, answered at once, never stored: reviews */
       RES_NO_COLLECTION_DELETE = 1u << 2,
       RES_PATH_NAMES = 1u << 3,  /* names are path segments (RBAC), not DNS names */
       RES_LABEL_NAMES = 1u << 4, /* names are DNS labels (Service, Namespace) */
       RES_PUT_CREATES = 1u << 5  /* PUT makes what is not there */
};

struct column {
  const char *name;
  const char *type;   /* "string", "integer", "date", ... */
  const char *format; /* "name" or "" */
  const char *description;
  int64_t priority;
  const char *json_path; /* CRDs: ".spec.x"; NULL: a function of table.c fills it */
};

struct scale_paths { /* of CRDs; dotted, without the leading dot */
  char *spec_replicas, *status_replicas, *selector;
};

struct resource {
  const char *group, *version, *plural, *singular, *kind, *list_kind;
  const char *const *short_names; /* NULL-terminated; NULL: none */
  const char *const *categories;  /* NULL-terminated; NULL: none */
  bool namespaced;
  uint32_t subresources;       /* SUB_* */
  uint32_t flags;              /* RES_* */
  const char *collection;      /* store key: "apps/deployments"; the same for every version */
  const struct schema *schema; /* NULL: anything goes */
  /* CRDs only */
  struct schema_doc *schema_doc;
  struct column *columns;
  size_t ncolumns;
  struct scale_paths scale;
  bool preserve_unknown;
  bool has_defaults; /* somewhere in the schema */
  bool retired;      /* its CRD went or changed; kept for whoever uses it in this turn */
  bool terminating;  /* its CRD is being deleted */
  int64_t crd_generation;
  bool deprecated;
  char *deprecation_warning;
  char *crd; /* its CRD's name; NULL: built in */
};

struct registry;

struct registry *registry_new(void);
void registry_free(struct registry *r);

/* NULL: none.  GROUP "" is the core group. */
const struct resource *registry_find(const struct registry *r, const char *group, const char *version,
                                     const char *plural);
/* Any version that keeps COLLECTION. */
const struct resource *registry_by_collection(const struct registry *r, const char *collection);
size_t registry_count(const struct registry *r);
const struct resource *registry_at(const struct registry *r, size_t i);
bool registry_has_group(const struct registry *r, const char *group);
bool registry_has_version(const struct registry *r, const char *group, const char *version);

/* Puts the served versions of CRD in, in place of what it had.  The error says what is wrong with its schema. */
int32_t registry_add_crd(struct registry *r, struct json_object *crd, struct ome_err *err);
void registry_remove_crd(struct registry *r, const char *crd_name);
/* The resources of CRD take no new objects. */
void registry_terminate(struct registry *r, const char *crd_name);
/* What was taken out stays readable until this is called, when nobody holds it any more. */
void registry_free_retired(struct registry *r);
/* Counts up whenever the set of resources changes: for caches of derived documents. */
uint64_t registry_generation(const struct registry *r);

/* "apps/v1", "v1" */
void resource_api_version(const struct resource *r, char out[256]);
/* "deployments.apps", "pods": as error messages name a resource. */
void resource_qualified(const struct resource *r, char out[256]);
/* "Deployment.apps", "Pod" */
void resource_qualified_kind(const struct resource *r, char out[256]);

#endif
