/* The four ways to change an object, as functions from documents to a document.  Pure.
 *
 * All of them return the changed object as *OUT (new) and leave their arguments alone.  SCHEMA may be NULL (then lists
 * are atomic); "metadata" at the root need not be in it.  Errors are worded as a real API server's, and the code says
 * how that server answers:
 *
 *   OME_E_INVALID      400 BadRequest
 *   OME_E_UNSUPPORTED  422 Invalid, where the server says "the server rejected our request due to an error in our
 *                      request" and keeps the sentence to itself
 *   OME_E_CONFLICT     409 Conflict, with causes
 *   OME_E_NO_SPACE     413 RequestEntityTooLarge
 *   OME_E_CORRUPT      500 without a reason */
#ifndef HOST_APISERVER_PATCH_H
#define HOST_APISERVER_PATCH_H

#include "api/schema.h"

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
  /* Fields that this endpoint does not write, so nobody comes to own them through it: "status" on the object itself
   * where status is a subresource, "spec" and "metadata" on /status.  Dotted paths, NULL-terminated; NULL: none. */
  const char *const *reset_fields;
};

/* Applies APPLIED to LIVE (NULL: create).  Without FORCE a conflict is OME_E_CONFLICT, and *CONFLICTS (new array of
 * {manager, field, message}, each member as in a Status cause; set on conflict only) says with whom.  *OUT carries the
 * new metadata.managedFields. */
int32_t apply_merge(struct json_object *live, struct json_object *applied, const struct schema *schema,
                    const struct manager_info *who, bool force, struct json_object **out,
                    struct json_object **conflicts, struct ome_err *err);

/* The whole message of a conflict, which ERR may hold cut; new. */
char *apply_conflict_message(struct json_object *conflicts);

/* After create, update or patch: puts into NEW's metadata.managedFields who changed what between OLD (NULL: create)
 * and NEW.  What NEW brings there itself counts (an empty list, or one of one empty entry, resets), except through a
 * subresource.  Unreadable entries are dropped; the only error is lack of memory. */
int32_t apply_track_update(struct json_object *old, struct json_object *new_obj, const struct schema *schema,
                           const struct manager_info *who, struct ome_err *err);

/* Where NEW differs from OLD in nothing but the times of its managedFields entries, gives it OLD's entries, so that the
 * write turns out to be none.  Whether that was so. */
bool apply_keep_times(struct json_object *old, struct json_object *new_obj);

#endif
