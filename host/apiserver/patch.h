/* The four ways to change an object, as functions from documents to a document.  Pure. */
#ifndef HOST_APISERVER_PATCH_H
#define HOST_APISERVER_PATCH_H

#include "api/schema.h"

/* All of them return the changed object as *OUT (new) and leave their arguments alone.  SCHEMA may be NULL (then lists
 * are atomic).  Errors are worded as a real API server's. */

/* RFC 6902, at most 10,000 operations. */
int32_t patch_json(struct json_object *obj, struct json_object *patch, struct json_object **out, struct ome_err *err);
/* Strategic merge: $patch, $deleteFromPrimitiveList, $setElementOrder, $retainKeys directives. */
int32_t patch_strategic(struct json_object *obj, struct json_object *patch, const struct schema *schema,
                        struct json_object **out, struct ome_err *err);
/* RFC 7386 is json_merge_patch(). */

/* ---- server-side apply and field ownership (KEP-555; structured-merge-diff semantics) ------------------------- */

struct manager_info {
  const char *manager;     /* fieldManager */
  const char *api_version; /* of the request */
  const char *subresource; /* "" for the object itself */
  int64_t now_s;           /* wall time */
};

/* Applies APPLIED to LIVE (NULL: create).  Without FORCE a conflict is OME_E_CONFLICT, and *CONFLICTS (new array of
 * {manager, field, message}) says with whom.  *OUT carries the new metadata.managedFields. */
int32_t apply_merge(struct json_object *live, struct json_object *applied, const struct schema *schema,
                    const struct manager_info *who, bool force, struct json_object **out,
                    struct json_object **conflicts, struct ome_err *err);

/* After create, update or patch: puts into NEW's metadata.managedFields who changed what between OLD (NULL: create)
 * and NEW. */
int32_t apply_track_update(struct json_object *old, struct json_object *new_obj, const struct schema *schema,
                           const struct manager_info *who, struct ome_err *err);

#endif
