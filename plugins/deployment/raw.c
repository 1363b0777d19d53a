/* deployment "raw": a component as a Deployment, its Service and its PodDisruptionBudget. */
#include "../common/plugin.h"
#include "service.h"

#include <string.h>

/* ---- pod template ------------------------------------------------------------------------------------------------ */

static void default_str(struct json_object *o, const char *key, const char *v) {
  if (!doc_get(o, key))
    doc_set_str(o, key, v);
}

/* What the API server would fill in; written out, so that it does not depend on the server. */
static void default_container(struct json_object *c) {
  default_str(c, "terminationMessagePath", "/dev/termination-log");
  default_str(c, "terminationMessagePolicy", "File");
  default_str(c, "imagePullPolicy", "IfNotPresent");
  for (size_t i = 0; i < doc_len(doc_get(c, "ports")); i++)
    default_str(doc_item(doc_get(c, "ports"), i), "protocol", "TCP");
}

/* The serving container is ready when its port is open, unless it says something better. */
static void default_readiness(struct json_object *c, int64_t port) {
  if (doc_get(c, "readinessProbe"))
    return;
  doc_set_int(c, "readinessProbe.tcpSocket.port", port);
  doc_set_int(c, "readinessProbe.timeoutSeconds", 1);
  doc_set_int(c, "readinessProbe.periodSeconds", 10);
  doc_set_int(c, "readinessProbe.successThreshold", 1);
  doc_set_int(c, "readinessProbe.failureThreshold", 3);
}

static void default_pod(struct json_object *pod, int64_t port) {
  struct json_object *containers = doc_get(pod, "containers");

  for (size_t i = 0; i < doc_len(containers); i++) {
    struct json_object *c = doc_item(containers, i);
    default_container(c);
    if (strcmp(doc_str(c, "name", ""), "ome-container") == 0)
      default_readiness(c, port);
  }
  for (size_t i = 0; i < doc_len(doc_get(pod, "initContainers")); i++)
    default_container(doc_item(doc_get(pod, "initContainers"), i));
  default_str(pod, "dnsPolicy", "ClusterFirst");
  default_str(pod, "restartPolicy", "Always");
  default_str(pod, "schedulerName", "default-scheduler");
  if (!doc_get(pod, "terminationGracePeriodSeconds"))
    doc_set_int(pod, "terminationGracePeriodSeconds", 30);
  if (!doc_get(pod, "securityContext"))
    doc_set(pod, "securityContext", json_object_new_object());
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static struct json_object *app_selector(struct json_object *component) {
  struct json_object *o = json_object_new_object();

  doc_set_str(o, "app", doc_str(component, "app", ""));
  return o;
}

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
  struct json_object *template = doc_object("", "", "", component);
  struct json_object *pod = doc_get(component, "podSpec");

  default_pod(pod, doc_first_port(component));
  doc_set_str(o, "metadata.labels.app", doc_str(component, "app", ""));
  /* Without an owner of its replica count the Deployment has a fixed one; with one, it is none of our business. */
  doc_share(o, "spec.replicas", doc_get(component, "replicas"));
  doc_set(o, "spec.selector.matchLabels", app_selector(component));
  doc_set(o, "spec.strategy", strategy(component));
  doc_set_int(o, "spec.revisionHistoryLimit", 10);
  doc_set_int(o, "spec.progressDeadlineSeconds", 600);
  doc_share(o, "spec.template.metadata.labels", doc_at(template, "metadata.labels"));
  doc_share(o, "spec.template.metadata.annotations", doc_at(template, "metadata.annotations"));
  doc_set_str(o, "spec.template.metadata.labels.app", doc_str(component, "app", ""));
  doc_share(o, "spec.template.spec", pod);
  (void)json_object_put(template);
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
  doc_set(o, "spec.selector.matchLabels", app_selector(component));
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

static int32_t render(void *self, const struct ome_call *call, const struct ome_render_req *req,
                      struct ome_object_sink *out, struct ome_err *err) {
  struct request_docs d;
  int32_t rc = docs_open(req, &d, err);

  (void)self, (void)call;
  if (rc != OME_OK)
    return rc;
  if (!doc_get(d.component, "podSpec"))
    rc = doc_fail(err, OME_E_INVALID, "deployment raw: the component has no podSpec");
  if (rc == OME_OK)
    rc = doc_push(out, deployment(d.component), err);
  if (rc == OME_OK)
    rc = doc_push(out, component_service(d.component, app_selector(d.component)), err);
  if (rc == OME_OK && wants_budget(&d))
    rc = doc_push(out, disruption_budget(d.component, missing_pods(d.cluster)), err);
  docs_close(&d);
  return rc;
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

static struct json_object *condition(struct json_object *deployment, const char *type) {
  struct json_object *list = doc_at(deployment, "status.conditions");

  for (size_t i = 0; i < doc_len(list); i++)
    if (strcmp(doc_str(doc_item(list, i), "type", ""), type) == 0)
      return doc_item(list, i);
  return NULL;
}

static uint32_t count(struct json_object *o, const char *path, int64_t dflt) {
  int64_t n = doc_int(o, path, dflt);

  return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

static void judge(struct json_object *live, struct ome_status *out) {
  struct json_object *available = condition(live, "Available");
  struct json_object *progressing = condition(live, "Progressing");
  struct json_object *failure = condition(live, "ReplicaFailure");

  out->desired = count(live, "spec.replicas", 1);
  out->ready = count(live, "status.readyReplicas", 0);
  struct json_object *c = available;
  out->phase = OME_PHASE_PROGRESSING;
  if (out->ready > 0 && strcmp(doc_str(available, "status", ""), "True") == 0)
    out->phase = OME_PHASE_READY;
  else if (strcmp(doc_str(failure, "status", ""), "True") == 0)
    c = failure, out->phase = OME_PHASE_FAILED;
  else if (strcmp(doc_str(progressing, "reason", ""), "ProgressDeadlineExceeded") == 0)
    c = progressing, out->phase = OME_PHASE_FAILED;
  doc_text(out->reason, sizeof(out->reason), "%s", doc_str(c, "reason", "Initializing"));
  if (out->phase == OME_PHASE_READY)
    doc_text(out->message, sizeof(out->message), "%s", doc_str(c, "message", ""));
  else
    doc_text(out->message, sizeof(out->message), "%u of %u replicas are ready%s%s", out->ready, out->desired,
             c ? ": " : "", doc_str(c, "message", ""));
}

static int32_t observe(void *self, const struct ome_call *call, const struct ome_render_req *req,
                       struct ome_bytes observed, struct ome_status *out, struct ome_err *err) {
  struct json_object *list = NULL;
  struct request_docs d;
  int32_t rc = docs_open(req, &d, err);

  (void)self, (void)call;
  if (rc != OME_OK)
    return rc;
  rc = doc_parse(observed, &list, err);
  if (rc == OME_OK) {
    struct json_object *live = doc_item(list, 0);
    if (live) {
      judge(live, out);
    } else {
      out->phase = OME_PHASE_PENDING;
      doc_text(out->reason, sizeof(out->reason), "Initializing");
      doc_text(out->message, sizeof(out->message), "the Deployment does not exist yet");
    }
    doc_service_url(out->url, sizeof(out->url), doc_str(d.component, "app", ""), doc_str(d.component, "namespace", ""),
                    d.cluster, 0);
  }
  (void)json_object_put(list);
  docs_close(&d);
  return rc;
}

static int32_t needs(void *self, const struct ome_render_req *req, struct ome_object_sink *out, struct ome_err *err) {
  static const char deployments[] = "{\"group\":\"apps\",\"version\":\"v1\",\"kind\":\"Deployment\"}";

  (void)self, (void)req;
  int32_t rc = out->object(out, (struct ome_bytes){deployments, sizeof(deployments) - 1});
  return rc == OME_OK ? OME_OK : doc_fail(err, rc, "the host did not take an API kind");
}

RENDER_PLUGIN(OME_KIND_DEPLOYMENT, "deployment-raw", "raw", "A component as a Deployment and its Service");
