/* Models on persistent volume claims: no agent brings them, so that what is known of them is known here, in OME's
 * conditions and reasons. */
#include "base/clock.h"
#include "base/str.h"
#include "compose/claim.h"
#include "compose/names.h"
#include "controller/internal.h"
#include "kube/meta.h"

#define ON_CLAIM "claim" /* the index's value */

const char *on_claim_of(struct json_object *model) {
  return claim_is(json_str(model, "spec.storage.storageUri", "")) ? ON_CLAIM : NULL;
}

/* What is to be said of the source, and what that makes of the model. */
struct verdict {
  const char *reachable, *reason, *state;
  struct ome_err why;
};

static struct verdict judge(struct controller *c, struct json_object *model) {
  struct verdict v = {"False", "PVCInvalid", "Failed", ERR_INIT};
  _cleanup_(claim_fini) struct claim claim = {0}, checked = {0};
  const char *own = meta_namespace(model);

  if (claim_parse(json_str(model, "spec.storage.storageUri", ""), &claim, &v.why) != OME_OK)
    return v;
  const char *ns = claim.ns ? claim.ns : own;
  if (claim_of_model(model, ns, &checked, &v.why) != OME_OK)
    return v;
  _cleanup_json_ struct json_object *claims = *ns ? world_claims(c, ns) : NULL;
  if (!claims) /* they cannot be seen; or weights, which each service looks for in its own namespace */
    return (struct verdict){"Unknown", "NotChecked", "Ready", ERR_INIT};
  int32_t rc = claim_check(&claim, ns, claims, &v.why);
  v.state = "In_Transit";
  v.reason = rc == OME_E_NOT_FOUND ? "PVCNotFound" : "PVCNotBound";
  return rc == OME_OK ? (struct verdict){"True", "PVCValidated", "Ready", ERR_INIT} : v;
}

bool claim_model_status(struct controller *c, struct json_object *model) {
  const struct verdict v = judge(c, model);
  bool known = *json_str(model, "spec.modelFormat.name", "") || streq(json_str(model, "kind", ""), "FineTunedWeight");
  int64_t now = wall_ms();

  (void)meta_set_condition(model, "SourceReachable", v.reachable, v.reason, v.why.msg, now);
  if (!streq(v.state, "Ready"))
    (void)meta_set_condition(model, "Ready", "False", v.reason, v.why.msg, now);
  else if (!known)
    (void)meta_set_condition(model, "Ready", "False", "PVCMetadataPending",
                             "spec.modelFormat is not given, and nobody reads the files of a claim; write it", now);
  else
    (void)meta_set_condition(model, "Ready", "True", "PVCMetadataReady", "", now);
  return json_set_str(model, "status.state", v.state);
}

/* ---- what binds -------------------------------------------------------------------------------------------------- */

static void requeue_model(void *arg, const char *ns, const char *name) {
  enqueue(arg, QUEUE_MODELS, ns, name);
}

static void requeue_weights(void *arg, UNUSED const char *ns, const char *name) {
  enqueue(arg, QUEUE_MODELS, NS_WEIGHTS, name);
}

void claim_models_requeue(struct controller *c, const char *ns) {
  kube_cache_names(c->watches[WATCH_BASE_MODELS], ns, ON_CLAIM, requeue_model, c);
  kube_cache_names(c->watches[WATCH_CLUSTER_BASE_MODELS], NULL, ON_CLAIM, requeue_model, c);
  kube_cache_names(c->watches[WATCH_WEIGHTS], NULL, ON_CLAIM, requeue_weights, c);
}
