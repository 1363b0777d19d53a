/* ControllerRevisions of runtimes (select/revision.h): what one keeps never changes, and it stays while a service is
 * pinned to it. */
#include "admission/review.h"

#include "base/str.h"
#include "kube/meta.h"
#include "select/revision.h"

static void check_change(struct review *r) {
  static const char *const fixed[] = {"data", "revision", "metadata.labels"};

  for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
    if (!json_equal(json_at(r->object, fixed[i]), json_at(r->old, fixed[i])))
      verdict_deny(r,
                   "ControllerRevision %s: %s: it keeps what runtime %s said, which does not change; edit the runtime "
                   "instead, that makes another",
                   meta_name(r->old), fixed[i], meta_label(r->old, REVISION_LABEL));
}

static int32_t check_deletion(struct review *r, struct ome_err *err) {
  _cleanup_json_ struct json_object *services = NULL;
  int32_t rc = r->lookup->list(r->lookup->arg, &KUBE_INFERENCESERVICES, NULL, &services, err);

  for (size_t i = 0; rc == OME_OK && i < json_len(services); i++) {
    struct json_object *s = json_index(services, i);
    if (revision_is_used(s, meta_name(r->old)))
      verdict_deny(r,
                   "ControllerRevision %s: InferenceService %s/%s is pinned to it; advance that first (annotation "
                   "ome.io/runtime-sync, or spec.runtime.revision)",
                   meta_name(r->old), meta_namespace(s), meta_name(s));
  }
  return rc;
}

int32_t validate_revision(struct review *r, struct ome_err *err) {
  if (!r->old)
    return OME_OK;
  if (!r->object)
    return check_deletion(r, err);
  check_change(r);
  return OME_OK;
}
