/* Between the files that make up apply_merge() and apply_track_update(). */
#ifndef HOST_APISERVER_APPLY_INTERNAL_H
#define HOST_APISERVER_APPLY_INTERNAL_H

#include "apiserver/apply_managers.h"
#include "apiserver/apply_typed.h"

#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/* What a client-side apply left in LIVE's annotation and still holds there: kubectl may take these over from itself.
 * NULL: nothing. */
const struct fieldset *apply_last_applied_fields(struct fieldset_pool *pool, const struct schema *s,
                                                 struct json_object *live, const char *api_version);
/* Brings the annotation of OBJ, where it has one, up to what was APPLIED.  False when memory ran out. */
bool apply_set_last_applied(struct json_object *obj, struct json_object *applied);

#endif
