/* Documents seen through their schema, the way server-side apply sees them: which lists go by keys, which maps are one
 * value, who owns what.  Where the schema says nothing, objects are maps of values and lists are one value. */
#ifndef HOST_APISERVER_APPLY_TYPED_H
#define HOST_APISERVER_APPLY_TYPED_H

#include "api/schema.h"
#include "apiserver/apply_fieldset.h"

/* metav1.ObjectMeta. */
extern const struct schema typed_object_meta;

/* A root schema as people have it, with metadata, apiVersion and kind filled in where it leaves them out.  Lives in
 * *STORAGE, borrows from S (may be NULL: nothing known). */
struct typed_root {
  struct schema schema;
  struct schema_property *properties;
};
bool typed_root_init(struct typed_root *storage, const struct schema *s);
void typed_root_fini(struct typed_root *storage);
#define _cleanup_typed_root_ _cleanup_(typed_root_fini)

enum typed_atom { TYPED_SCALAR, TYPED_MAP, TYPED_LIST };

/* What V is to be treated as; a null is what the schema says. */
enum typed_atom typed_atom(const struct schema *s, struct json_object *v);
bool typed_is_atomic(const struct schema *s, enum typed_atom atom);

/* The schema of a member; *NAMED (may be NULL): it is a field of its own rather than a key of a map. */
const struct schema *typed_member(const struct schema *s, const char *name, bool *named);

/* The elements of LIST in their order (new array, strings in the pool).  Fails on items without their keys. */
int32_t typed_list_elements(struct fieldset_pool *pool, const struct schema *s, struct json_object *list,
                            const char ***out, struct ome_err *err);

/* List keys and, unless LISTS_ONLY, types and undeclared fields; the error names every fault as a real API server
 * does. */
int32_t typed_validate(struct fieldset_pool *pool, const struct schema *s, struct json_object *v, bool lists_only,
                       struct ome_err *err);

/* Every path that V as an applied configuration owns. */
const struct fieldset *typed_fields(struct fieldset_pool *pool, const struct schema *s, struct json_object *v);

struct typed_diff {
  struct fieldset *added, *removed, *modified;
};
/* False when memory ran out. */
bool typed_compare(struct fieldset_pool *pool, const struct schema *s, struct json_object *lhs, struct json_object *rhs,
                   struct typed_diff *out);

/* LHS with RHS laid over it; new.  Both valid. */
struct json_object *typed_merge(struct fieldset_pool *pool, const struct schema *s, struct json_object *lhs,
                                struct json_object *rhs);

/* V without what SET names; objects and lists that end up empty go too.  New; NULL: nothing is left. */
struct json_object *typed_remove(struct fieldset_pool *pool, const struct schema *s, struct json_object *v,
                                 const struct fieldset *set);

/* SET and with each path the named fields that lead to it. */
const struct fieldset *typed_with_parents(struct fieldset_pool *pool, const struct schema *s,
                                          const struct fieldset *set);

/* SET for a schema that may have changed since: what has become one value is owned as one. */
const struct fieldset *typed_reconcile(struct fieldset_pool *pool, const struct schema *s, const struct fieldset *set);

#endif
