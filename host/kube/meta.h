/* What every object has: names, owners, finalizers, conditions.  Pure. */
#ifndef HOST_KUBE_META_H
#define HOST_KUBE_META_H

#include "base/json.h"

/* "" when absent. */
const char *meta_name(struct json_object *o);
const char *meta_namespace(struct json_object *o);
const char *meta_uid(struct json_object *o);
int64_t meta_generation(struct json_object *o);
bool meta_deleting(struct json_object *o);
const char *meta_label(struct json_object *o, const char *key);      /* NULL: absent */
const char *meta_annotation(struct json_object *o, const char *key); /* NULL: absent */
void meta_set_label(struct json_object *o, const char *key, const char *value);
void meta_set_annotation(struct json_object *o, const char *key, const char *value);

bool meta_has_finalizer(struct json_object *o, const char *name);
bool meta_add_finalizer(struct json_object *o, const char *name);    /* whether it was added */
bool meta_remove_finalizer(struct json_object *o, const char *name); /* whether it was there */

/* Adds a controller owner reference to OWNER (whose apiVersion and kind are read from it). */
void meta_set_owner(struct json_object *o, struct json_object *owner);
/* Controller owner reference; NULL: none; borrowed. */
struct json_object *meta_owner(struct json_object *o);
/* Whether that is OWNER, by uid; O may be NULL. */
bool meta_is_owned_by(struct json_object *o, struct json_object *owner);

/* status.conditions of OBJ: sets TYPE; lastTransitionTime moves only when the status changes.  NOW_MS is wall time.
 * Whether anything changed. */
bool meta_set_condition(struct json_object *o, const char *type, const char *status, const char *reason,
                        const char *message, int64_t now_ms);
/* "True", "False", "Unknown"; NULL: absent. */
const char *meta_condition(struct json_object *o, const char *type);
void meta_drop_condition(struct json_object *o, const char *type);

/* New: O without metadata.managedFields, which are a good part of it; the rest is shared, not to be written to.  O
 * itself where it has none, or memory is short. */
struct json_object *meta_without_managers(struct json_object *o);

#endif
