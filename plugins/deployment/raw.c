/* deployment "raw": a component as a Deployment, its Service and its PodDisruptionBudget. */
#include "../common/plugin.h"
#include "live.h"
#include "service.h"
#include "template.h"

#include <string.h>

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static struct json_object *strategy(struct json_object *component) {
  struct json_object *given = doc_get(component, "deploymentStrategy");
  struct json_object *s = json_object_new_object();

  doc_set_str(s, "type", doc_str(given, "type", "RollingUpdate"));
  if (strcmp(doc_str(s, "type", ""), "RollingUpdate") != 0)
    return s;
  doc_share(s, "rollingUpdate", doc_get(given, "rollingUpdate"));
  if (!doc_get(s, "rollingUpdate")) {
    doc_set_int(s, "rollingUpdate.maxUnavailable", 0);
    doc_set_int(s, "rollingUpdate.maxSurge", 1);
  }
  return s;
}

static struct json_object *deployment(struct json_object *component) {
  struct json_object *o = doc_object("apps/v1", "Deployment", doc_str(component, "name", ""), component);
  struct json_object *pod = doc_get(component, "podSpec");

  template_default_pod(pod);
  template_default_readiness(pod, doc_first_port(component));
  doc_set_str(o, "metadata.labels.app", doc_str(component, "app", ""));
  /* Without an owner of its replica count the Deployment has a fixed one; with one, it is none of our business. */
  doc_share(o, "spec.replicas", doc_get(component, "replicas"));
  doc_set(o, "spec.selector.matchLabels", template_selector(component));
  doc_set(o, "spec.strategy", strategy(component));
  doc_set_int(o, "spec.revisionHistoryLimit", 10);
  doc_set_int(o, "spec.progressDeadlineSeconds", 600);
  doc_set(o, "spec.template", template_new(component, pod));
  doc_set_str(o, "spec.template.metadata.labels.app", doc_str(component, "app", ""));
  return o;
}

/* How many pods may be missing where the component does not say: the site's podDisruptionBudget.rawDeployment, 1
 * without one; 0 or null: no budget is wanted. */
static int64_t missing_pods(struct json_object *cluster) {
  struct json_object *site = doc_at(cluster, "config.podDisruptionBudget");

  return site ? doc_int(site, "rawDeployment", 0) : 1;
}

static struct json_object *disruption_budget(struct json_object *component, int64_t missing) {
  struct json_object *o = doc_object("policy/v1", "PodDisruptionBudget", doc_str(component, "name", ""), component);
  struct json_object *min = doc_get(component, "minAvailable");
  struct json_object *max = doc_get(component, "maxUnavailable");

  doc_set_str(o, "metadata.labels.app", doc_str(component, "app", ""));
  doc_set(o, "spec.selector.matchLabels", template_selector(component));
  /* The API takes one of the two. */
  if (min)
    doc_share(o, "spec.minAvailable", min);
  else
    doc_set(o, "spec.maxUnavailable", max ? json_object_get(max) : json_object_new_int64(missing));
  return o;
}

static int wants_budget(const struct request_docs *d) {
  return doc_cluster_has(d->cluster, "policy/v1", "PodDisruptionBudget") &&
         (doc_get(d->component, "minAvailable") || doc_get(d->component, "maxUnavailable") ||
          missing_pods(d->cluster) > 0);
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  if (!doc_get(d->component, "podSpec"))
    return doc_fail(err, OME_E_INVALID, "deployment raw: the component has no podSpec");
  int32_t rc = doc_push(out, deployment(d->component), err);
  if (rc == OME_OK)
    rc = doc_push(out, component_service(d->component, template_selector(d->component)), err);
  if (rc == OME_OK && wants_budget(d))
    rc = doc_push(out, disruption_budget(d->component, missing_pods(d->cluster)), err);
  return rc;
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

/* What serves serves; that its successor does not come is said beside it. */
static void tell_rollout(struct json_object *live, struct json_object *progressing, struct ome_status *out) {
  uint32_t all = live_count(live, "status.replicas", 0), fresh = live_count(live, "status.updatedReplicas", 0);
  int stuck = strcmp(doc_str(progressing, "reason", ""), "ProgressDeadlineExceeded") == 0;
  size_t n = strlen(out->message);

  if (fresh < all)
    doc_text(out->message + n, sizeof(out->message) - n, "%srollout: %u of %u pods are new%s%s", n ? "; " : "", fresh,
             all, stuck ? ": " : "", stuck ? doc_str(progressing, "message", "") : "");
}

static void judge(struct json_object *live, struct ome_status *out) {
  struct json_object *available = doc_condition(live, "Available");
  struct json_object *progressing = doc_condition(live, "Progressing");
  struct json_object *failure = doc_condition(live, "ReplicaFailure");

  out->desired = live_count(live, "spec.replicas", 1);
  out->ready = live_count(live, "status.readyReplicas", 0);
  struct json_object *c = available;
  out->phase = OME_PHASE_PROGRESSING;
  if (out->ready > 0 && strcmp(doc_str(available, "status", ""), "True") == 0)
    out->phase = OME_PHASE_READY;
  else if (strcmp(doc_str(failure, "status", ""), "True") == 0)
    c = failure, out->phase = OME_PHASE_FAILED;
  else if (strcmp(doc_str(progressing, "reason", ""), "ProgressDeadlineExceeded") == 0)
    c = progressing, out->phase = OME_PHASE_FAILED;
  doc_text(out->reason, sizeof(out->reason), "%s", doc_str(c, "reason", "Initializing"));
  if (out->phase == OME_PHASE_READY) {
    doc_text(out->message, sizeof(out->message), "%s", doc_str(c, "message", ""));
    tell_rollout(live, progressing, out);
  } else
    doc_text(out->message, sizeof(out->message), "%u of %u replicas are ready%s%s", out->ready, out->desired,
             c ? ": " : "", doc_str(c, "message", ""));
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  (void)err;
  live_observe(d, live, "Deployment", judge, out);
  return OME_OK;
}

static const struct api_kind needed = {"apps", "v1", "Deployment"};

RENDER_PLUGIN(OME_KIND_DEPLOYMENT, "deployment-raw", "raw", "A component as a Deployment and its Service");
