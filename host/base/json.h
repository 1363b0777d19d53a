/* JSON documents: json-c objects, read and written by path.
 *
 * json-c reference counts are not atomic: a json_object belongs to one thread.  To cross threads, send text or a
 * json_copy().  Paths are "spec.engine.minReplicas"; a key that holds dots is reached with json_get() and json_put().
 * Getters accept NULL and answer with the default for what is absent or of another type.  Iteration over members is
 * json-c's own json_object_object_foreach. */
#ifndef HOST_BASE_JSON_H
#define HOST_BASE_JSON_H

#include "base/cleanup.h"
#include "base/err.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_MAX_DEPTH 256
#define JSON_MAX_BYTES ((size_t)8 << 20)

static inline void json_unref(struct json_object *o) {
  (void)json_object_put(o);
}
DEFINE_CLEANUP(struct json_object *, json_unref)
#define _cleanup_json_ _cleanup_(json_unrefp)

/* Exactly one document, strict RFC 8259 (UTF-8, no trailing bytes), at most JSON_MAX_DEPTH deep and MAX bytes long
 * (0: JSON_MAX_BYTES).  The error names the offset.  JSON null gives *OUT NULL. */
int32_t json_parse(const char *text, size_t len, size_t max, struct json_object **out, struct ome_err *err);

struct json_object *json_at(struct json_object *o, const char *path); /* borrowed; NULL: absent */
struct json_object *json_get(struct json_object *o, const char *key); /* borrowed; one key, dots and all */
struct json_object *json_index(struct json_object *array, size_t i);  /* borrowed */

const char *json_str(struct json_object *o, const char *path, const char *dflt);
int64_t json_i64(struct json_object *o, const char *path, int64_t dflt);
bool json_flag(struct json_object *o, const char *path, bool dflt);
const char *json_as_str(struct json_object *v, const char *dflt); /* of V itself */
size_t json_len(struct json_object *array);                       /* elements; 0 for what is no array */
size_t json_count(struct json_object *o);                         /* members; 0 for what is no object */
bool json_has(struct json_object *o, const char *key);            /* one key; null is there, too */
bool json_is(struct json_object *o, enum json_type type);
bool json_empty(struct json_object *o); /* NULL, {} or [] */

/* Sets PATH to V, making objects on the way; takes V.  False when memory ran out or a scalar is in the way (V is then
 * released). */
bool json_set(struct json_object *o, const char *path, struct json_object *v);
bool json_set_str(struct json_object *o, const char *path, const char *v);
bool json_set_i64(struct json_object *o, const char *path, int64_t v);
bool json_set_bool(struct json_object *o, const char *path, bool v);
void json_del(struct json_object *o, const char *path);

/* Sets one KEY, dots and all, to V; takes V.  False when memory ran out or O is no object (V is then released). */
bool json_put(struct json_object *o, const char *key, struct json_object *v);
bool json_put_str(struct json_object *o, const char *key, const char *v);

/* Appends V to ARRAY; takes V.  False when memory ran out or ARRAY is none (V is then released). */
bool json_add(struct json_object *array, struct json_object *v);
bool json_add_str(struct json_object *array, const char *v);
/* Appends what MORE, an array or NULL, has: both then share its elements. */
bool json_add_all(struct json_object *array, struct json_object *more);
/* Appends a new object; borrowed.  NULL as json_add() fails. */
struct json_object *json_add_object(struct json_object *array);
/* new: an array of the strings of LIST, which NULL ends; NULL when memory ran out. */
struct json_object *json_strings(const char *const *list);

/* The object at PATH, made when absent; borrowed.  NULL as json_set() fails. */
struct json_object *json_ensure(struct json_object *o, const char *path);
struct json_object *json_ensure_array(struct json_object *o, const char *path); /* the same for an array */

struct json_object *json_copy(struct json_object *o);          /* new, deep */
bool json_equal(struct json_object *a, struct json_object *b); /* semantic: 1 equals 1.0, key order is nothing */

/* new: O with keys in byte order at every level, so that equal documents go the same way; what is neither object nor
 * array is shared with O. */
struct json_object *json_sorted(struct json_object *o);

/* Compact text, '/' unescaped, keys in their order; new. */
char *json_text(struct json_object *o);
/* The same, O's own: good until O is written, changed or released.  "null" for NULL and when memory ran out. */
const char *json_view(struct json_object *o);
/* The same with keys sorted at every level: equal documents give equal bytes; new. */
char *json_canonical(struct json_object *o);
/* Two-space indented; new. */
char *json_pretty(struct json_object *o);

/* RFC 7386. Applies PATCH to TARGET in place and returns the result, which replaces TARGET (reference passes on). */
struct json_object *json_merge_patch(struct json_object *target, struct json_object *patch);

/* The first element of ARRAY whose KEY is the string VALUE; borrowed. */
struct json_object *json_find(struct json_object *array, const char *key, const char *value);

/* Takes out of O all members but those that NAMES, ended by NULL, name; O may be anything else, too. */
void json_keep(struct json_object *o, const char *const *names);

#endif
