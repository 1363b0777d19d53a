/* Structural schemas: what fields an API type has, and how lists and maps in it merge.
 *
 * One representation serves the built-in kinds and the ome.io kinds (both written in host/api/schema/ as .schema text,
 * the one source of CRDs, OpenAPI documents and merge keys) and foreign CRDs (read from openAPIV3Schema).  Immutable
 * after it is made, so any thread may read. */
#ifndef HOST_API_SCHEMA_H
#define HOST_API_SCHEMA_H

#include "base/json.h"
#include "base/vec.h"

enum schema_type {
  SCHEMA_ANY, /* no type given */
  SCHEMA_OBJECT,
  SCHEMA_ARRAY,
  SCHEMA_STRING,
  SCHEMA_INTEGER,
  SCHEMA_NUMBER,
  SCHEMA_BOOLEAN,
  SCHEMA_INT_OR_STRING
};

enum schema_list { SCHEMA_LIST_ATOMIC, SCHEMA_LIST_SET, SCHEMA_LIST_MAP };

struct schema;
struct schema_rule;

struct schema_property {
  const char *name;
  const struct schema *schema;
};

struct schema {
  enum schema_type type;
  const char *format;      /* "int32", "date-time", ...; NULL */
  const char *description; /* NULL */
  /* objects */
  const struct schema_property *properties; /* sorted by name */
  size_t nproperties;
  const struct schema *additional; /* map values; NULL: no map */
  const char *const *required;     /* NULL-terminated; NULL: none */
  bool preserve_unknown;           /* x-kubernetes-preserve-unknown-fields */
  const struct schema *like;       /* whose fields are kept, and have an effect, too; NULL: none's */
  bool embedded_resource;          /* x-kubernetes-embedded-resource */
  bool map_atomic;                 /* x-kubernetes-map-type: atomic */
  /* arrays */
  const struct schema *items;
  enum schema_list list_type;       /* x-kubernetes-list-type: server-side apply */
  const char *const *list_map_keys; /* x-kubernetes-list-map-keys */
  const char *patch_merge_key;      /* strategic merge; NULL: none */
  bool patch_merge;                 /* patchStrategy holds "merge" */
  bool patch_retain_keys;           /* patchStrategy holds "retainKeys" */
  /* values */
  bool nullable;
  struct json_object *dflt;        /* NULL: none; read only */
  struct json_object *enumeration; /* array; NULL: none */
  const char *pattern;
  bool has_minimum, has_maximum, exclusive_minimum, exclusive_maximum;
  double minimum, maximum, multiple_of; /* multiple_of 0: none */
  int64_t min_length, max_length;       /* -1: none; characters, elements or properties by type */
  bool unique_items;
  /* anyOf, allOf, oneOf, not and x-kubernetes-validations as they came; NULL: none */
  struct json_object *junctors;
  struct json_object *validations;
  const struct schema_rule *rules; /* the validations of a CRD, compiled */
  size_t nrules;
};

/* A schema and the memory of everything in it. */
struct schema_doc;

/* Reads a CRD's openAPIV3Schema.  The error names the JSON path of what is not structural. */
int32_t schema_from_openapi(struct json_object *openapi, struct schema_doc **out, struct ome_err *err);
void schema_doc_free(struct schema_doc *d);
const struct schema *schema_root(const struct schema_doc *d);

/* The schema of a built-in or ome.io kind; NULL when there is none.  Lives as long as the process. */
const struct schema *schema_builtin(const char *group, const char *version, const char *kind);

/* Field of an object schema, through properties and then `additional`; NULL: unknown. */
const struct schema *schema_field(const struct schema *s, const char *name);

/* Every node as OpenAPI v3 JSON (CRD form when CRD: x-kubernetes-* only; otherwise also patch keys and formats as
 * kubectl reads them); new. */
struct json_object *schema_to_openapi(const struct schema *s, bool crd);

/* ---- what the API server does with an incoming object, in this order ---------------------------------------- */

struct field_error {
  enum field_error_type {
    FIELD_INVALID,
    FIELD_REQUIRED,
    FIELD_UNSUPPORTED,
    FIELD_TYPE,
    FIELD_TOO_LONG,
    FIELD_DUPLICATE,
    FIELD_FORBIDDEN,
    FIELD_NOT_FOUND,
    FIELD_TOO_MANY
  } type;
  char *field;   /* "spec.ports[0].name"; new */
  char *message; /* as a real API server words it: 'Invalid value: "x": must be ...'; new */
};
struct field_errors {
  VEC(struct field_error) list;
};
void field_errors_add(struct field_errors *e, int type, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void field_errors_fini(struct field_errors *e);

/* Reads O as the typed decoder of a built-in kind does: a value of the wrong type is OME_E_INVALID in that decoder's
 * words (the server answers 400), quantities are brought into their canonical form, nulls are passed over. */
int32_t schema_decode(const struct schema *s, struct json_object *o, struct ome_err *err);
/* Removes fields the schema does not know.  UNKNOWN_PATHS (may be NULL) gets their paths, as strings, for warnings and
 * fieldValidation=Strict; at most 100.  metadata at the root and of embedded resources is ObjectMeta, whatever the
 * schema says. */
void schema_prune(const struct schema *s, struct json_object *o, struct json_object *unknown_paths);
/* REMARKS gets "PATH: why" of fields of O, which was pruned, that stay without effect: those that the schema describes
 * as "Deprecated: ..." or "No effect yet: ...", and unknown ones where it names others beside them but preserves what
 * it does not name.  At most 100. */
void schema_remark(const struct schema *s, struct json_object *o, struct json_object *remarks);
/* Fills in defaults, including below array items and map values.  A null where the schema takes none is the default, or
 * nothing. */
void schema_default(const struct schema *s, struct json_object *o);
/* Types, required, enums, bounds, formats, patterns, junctors, list-map key uniqueness, rules in CEL.  OLD (may be
 * NULL) is what was there before, for rules about changes. */
void schema_validate(const struct schema *s, struct json_object *o, struct json_object *old, struct field_errors *out);

/* ---- the ome.io kinds --------------------------------------------------------------------------------------- */

/* The CRDs of all eight kinds as the manifests/crds files hold them: new array. */
struct json_object *api_crds(void);

#endif
