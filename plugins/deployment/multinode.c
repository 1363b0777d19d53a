/* deployment "multinode": a component as a LeaderWorkerSet, one group of pods a replica, and its Service. */
#include "../common/plugin.h"
#include "live.h"
#include "service.h"
#include "template.h"

#include <stdio.h>
#include <string.h>

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* Kueue queues a LeaderWorkerSet by its own label: each of its groups becomes a Workload and a pod group of all its
 * pods (kueue.x-k8s.io/pod-group-name and pod-group-total-count), admitted as one.  Pods that carry a queue's name
 * already it takes for somebody else's and admits one by one, so that a group may get half of its nodes and wait on
 * them. */
static struct json_object *group_template(struct json_object *component, struct json_object *pod) {
  template_default_pod(pod);
  struct json_object *t = template_new(component, pod);
  json_object_object_del(doc_at(t, "metadata.labels"), "kueue.x-k8s.io/queue-name");
  return t;
}

/* The leader takes the requests, so that only it carries the label that the Service selects, and is ready when it does.
 */
static struct json_object *leader_template(struct json_object *component) {
  template_default_readiness(doc_get(component, "podSpec"), doc_first_port(component));
  struct json_object *t = group_template(component, doc_get(component, "podSpec"));
  struct json_object *labels = doc_at(t, "metadata.labels");
  doc_set_str(labels, "app", doc_str(component, "app", ""));
  (void)json_object_object_add(labels, "ray.io/node-type", json_object_new_string("head"));
  return t;
}

/* Nobody scrapes a worker. */
static struct json_object *worker_template(struct json_object *component, struct json_object *pod) {
  static const char *const leaders[] = {"prometheus.io/path", "prometheus.io/port", "prometheus.io/scrape"};

  struct json_object *t = group_template(component, pod);
  struct json_object *annotations = doc_at(t, "metadata.annotations");
  for (size_t i = 0; i < sizeof(leaders) / sizeof(*leaders); i++)
    json_object_object_del(annotations, leaders[i]);
  return t;
}

static struct json_object *group(struct json_object *component) {
  struct json_object *pod = doc_at(component, "worker.podSpec");
  char name[TEMPLATE_NAME_TAIL + 8];

  (void)snprintf(name, sizeof(name), "lws-%s", template_name_tail(component));
  struct json_object *o = doc_object("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", name, component);
  doc_set_str(o, "metadata.labels.app", doc_str(component, "app", ""));
  doc_share(o, "spec.replicas", doc_get(component, "replicas"));
  doc_set_str(o, "spec.startupPolicy", "LeaderCreated");
  doc_set_str(o, "spec.networkConfig.subdomainPolicy", "Shared");
  doc_set_str(o, "spec.rolloutStrategy.type", "RollingUpdate");
  doc_set_int(o, "spec.rolloutStrategy.rollingUpdateConfiguration.maxUnavailable", 1);
  doc_set_int(o, "spec.rolloutStrategy.rollingUpdateConfiguration.maxSurge", 1);
  doc_set_int(o, "spec.leaderWorkerTemplate.size", 1 + (pod ? doc_int(component, "worker.size", 1) : 0));
  doc_set_str(o, "spec.leaderWorkerTemplate.restartPolicy", "RecreateGroupOnPodRestart");
  doc_set(o, "spec.leaderWorkerTemplate.leaderTemplate", leader_template(component));
  /* The API wants a worker's template also where the group is its leader alone. */
  doc_set(o, "spec.leaderWorkerTemplate.workerTemplate",
          worker_template(component, pod ? pod : doc_get(component, "podSpec")));
  return o;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  if (!doc_get(d->component, "podSpec"))
    return doc_fail(err, OME_E_INVALID, "deployment multinode: the component has no podSpec");
  if (doc_int(d->component, "worker.size", 0) < 0)
    return doc_fail(err, OME_E_INVALID, "spec.%s.worker.size must not be negative",
                    doc_str(d->component, "component", "engine"));
  int32_t rc = doc_push(out, group(d->component), err);
  return rc == OME_OK ? doc_push(out, component_service(d->component, template_selector(d->component)), err) : rc;
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

/* One whole group serves; Available asks for all of them. */
static void judge(struct json_object *live, struct ome_status *out) {
  struct json_object *available = doc_condition(live, "Available");

  out->desired = live_count(live, "spec.replicas", 1);
  out->ready = live_count(live, "status.readyReplicas", 0);
  out->phase = out->ready > 0 ? OME_PHASE_READY : OME_PHASE_PROGRESSING;
  doc_text(out->reason, sizeof(out->reason), "%s",
           doc_str(available, "reason", out->ready > 0 ? "GroupsReady" : "Initializing"));
  const char *why = doc_str(available, "message", "");
  doc_text(out->message, sizeof(out->message), "%u of %u groups are ready%s%s", out->ready, out->desired,
           *why ? ": " : "", why);
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  (void)err;
  live_observe(d, live, "LeaderWorkerSet", judge, out);
  return OME_OK;
}

static const struct api_kind needed = {"leaderworkerset.x-k8s.io", "v1", "LeaderWorkerSet"};

RENDER_PLUGIN(OME_KIND_DEPLOYMENT, "deployment-multinode", "multinode",
              "A component as groups of a leader and its workers, one group a replica");
