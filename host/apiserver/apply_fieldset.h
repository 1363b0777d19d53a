/* Sets of field paths: what a manager owns, in memory and as fieldsV1 (KEP-555).
 *
 * A path is a row of elements, each in its fieldsV1 spelling: "f:name" a member of an object, "k:{\"name\":\"a\"}" the
 * list item with these keys, "v:\"a\"" the list item with this value, "i:3" the list item in this place.  A set is a
 * tree of elements; a node is either in the set itself, or leads to one that is, or both.
 *
 * All nodes of a set live in a pool and go with it.  When memory runs out, the pool's `failed` sticks and results are
 * incomplete: ask once at the end.  NULL is the empty set.  Operations return sets that may share nodes with their
 * operands, so operands must not change afterwards: build with fieldset_insert(), then combine. */
#ifndef HOST_APISERVER_APPLY_FIELDSET_H
#define HOST_APISERVER_APPLY_FIELDSET_H

#include "base/buf.h"
#include "base/json.h"

struct fieldset_chunk;
struct fieldset_pool {
  struct fieldset_chunk *chunks;
  bool failed;
};

struct fieldset {
  const char *element; /* "" at the root */
  bool member;
  struct fieldset **children; /* in element order */
  uint32_t nchildren, cap;
};

struct field_path {
  const char *elements[JSON_MAX_DEPTH + 1];
  size_t len;
};

void fieldset_pool_fini(struct fieldset_pool *pool);
#define _cleanup_fieldset_pool_ _cleanup_(fieldset_pool_fini)

/* A string that lives as long as the pool; NULL when memory ran out. */
const char *fieldset_string(struct fieldset_pool *pool, const char *s, size_t len);
const char *fieldset_field_element(struct fieldset_pool *pool, const char *name);

struct fieldset *fieldset_new(struct fieldset_pool *pool);
void fieldset_insert(struct fieldset_pool *pool, struct fieldset *set, const struct field_path *path);
const struct fieldset *fieldset_child(const struct fieldset *set, const char *element);
bool fieldset_empty(const struct fieldset *set);
bool fieldset_equal(const struct fieldset *a, const struct fieldset *b);

const struct fieldset *fieldset_union(struct fieldset_pool *pool, const struct fieldset *a, const struct fieldset *b);
const struct fieldset *fieldset_intersect(struct fieldset_pool *pool, const struct fieldset *a,
                                          const struct fieldset *b);
/* Without the members of B. */
const struct fieldset *fieldset_subtract(struct fieldset_pool *pool, const struct fieldset *a,
                                         const struct fieldset *b);
/* Without the members of B and all that is below them. */
const struct fieldset *fieldset_subtract_trees(struct fieldset_pool *pool, const struct fieldset *a,
                                               const struct fieldset *b);

/* fieldsV1, at most JSON_MAX_DEPTH deep.  Keys of k: elements are put in order.  The error names the element. */
int32_t fieldset_parse(struct fieldset_pool *pool, struct json_object *fields, const struct fieldset **out,
                       struct ome_err *err);
struct json_object *fieldset_to_json(const struct fieldset *set); /* new */

/* Calls FN with each path of SET, as people read it: ".spec.ports[port=80,protocol=\"TCP\"].name"; those at a level
 * before those below it. */
void fieldset_each(const struct fieldset *set, void (*fn)(void *arg, const char *path), void *arg);

/* Appends ELEMENT as people read it. */
void fieldset_print_element(struct buf *b, const char *element);

#endif
