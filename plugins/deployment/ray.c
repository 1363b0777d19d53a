/* deployment "ray": vLLM over Ray, one RayCluster a replica, and the Service of their heads. */
#include "../common/plugin.h"
#include "live.h"
#include "service.h"
#include "template.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MAX_CLUSTERS 60 /* a plugin may render 64 objects */
#define METRICS_PORT 8000
#define METRICS_PORT_TEXT "8000"

/* ---- pods -------------------------------------------------------------------------------------------------------- */

static struct json_object *strings(const char *const *s, size_t n) {
  struct json_object *a = json_object_new_array();

  for (size_t i = 0; i < n; i++)
    (void)json_object_array_add(a, json_object_new_string(s[i]));
  return a;
}

/* Leaves the Ray cluster before it ends. */
static void add_stop(struct json_object *pod) {
  static const char *const stop[] = {"/bin/bash", "-lc", "ray stop"};
  struct json_object *containers = doc_get(pod, "containers");

  for (size_t i = 0; i < doc_len(containers); i++)
    if (!doc_get(doc_item(containers, i), "lifecycle"))
      doc_set(doc_item(containers, i), "lifecycle.preStop.exec.command", strings(stop, 3));
}

/* The number that rayStartParams give Ray: without a port of this name KubeRay adds one of its own, 8080, which is the
 * engine's already. */
static void add_metrics_port(struct json_object *pod) {
  struct json_object *container = doc_item(doc_get(pod, "containers"), 0);

  if (!container)
    return;
  if (!doc_get(container, "ports"))
    doc_set(container, "ports", json_object_new_array());
  struct json_object *ports = doc_get(container, "ports");
  for (size_t i = 0; i < doc_len(ports); i++)
    if (strcmp(doc_str(doc_item(ports, i), "name", ""), "metrics") == 0)
      return;
  struct json_object *port = json_object_new_object();
  doc_set_str(port, "name", "metrics");
  doc_set_int(port, "containerPort", METRICS_PORT);
  doc_set_str(port, "protocol", "TCP");
  (void)json_object_array_add(ports, port);
}

/* new: the head's pod with the start of a worker, whose arguments KubeRay provides.  What tells whether an engine is
 * well tells nothing of a worker. */
static struct json_object *worker_pod(struct json_object *head) {
  static const char *const command[] = {"/bin/bash", "-lc", "--"};
  static const char *const args[] = {"ulimit -n 65536; echo worker; $KUBERAY_GEN_RAY_START_CMD"};
  static const char *const probes[] = {"startupProbe", "readinessProbe", "livenessProbe"};
  struct json_object *pod = NULL;

  if (json_object_deep_copy(head, &pod, NULL) != 0)
    return NULL;
  for (size_t i = 0; i < doc_len(doc_get(pod, "containers")); i++) {
    struct json_object *c = doc_item(doc_get(pod, "containers"), i);
    doc_set(c, "command", strings(command, 3));
    doc_set(c, "args", strings(args, 1));
    for (size_t p = 0; p < sizeof(probes) / sizeof(*probes); p++)
      json_object_object_del(c, probes[p]);
  }
  return pod;
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

/* "COMPONENT-INDEX", its end where it is long; Ray wants a letter first. */
static void cluster_name(struct json_object *component, int64_t index, char out[TEMPLATE_NAME_TAIL + 1]) {
  char whole[320];
  int n = snprintf(whole, sizeof(whole), "%.280s-%lld", doc_str(component, "name", ""), (long long)index);
  size_t len = n > 0 ? (size_t)n : 0;

  size_t skip = len > TEMPLATE_NAME_TAIL ? len - TEMPLATE_NAME_TAIL : 0;
  memcpy(out, whole + skip, len - skip);
  out[len - skip] = '\0';
  if (!isalpha((unsigned char)out[0]))
    out[0] = 'r';
}

static struct json_object *worker_group(struct json_object *component, struct json_object *head) {
  struct json_object *g = json_object_new_object();
  struct json_object *pod = worker_pod(head);
  int64_t size = doc_int(component, "worker.size", 1);

  doc_set_str(g, "groupName", "wg");
  doc_set_int(g, "replicas", size > 0 ? size : 1);
  doc_set_int(g, "minReplicas", size > 0 ? size : 1);
  doc_set_int(g, "maxReplicas", size > 0 ? size : 1);
  doc_set(g, "rayStartParams", json_object_new_object());
  doc_set(g, "template", template_new(component, pod));
  (void)json_object_put(pod);
  return g;
}

static struct json_object *cluster(struct json_object *component, int64_t index) {
  struct json_object *pod = doc_get(component, "podSpec");
  struct json_object *groups = json_object_new_array();
  char name[TEMPLATE_NAME_TAIL + 1];

  cluster_name(component, index, name);
  struct json_object *o = doc_object("ray.io/v1", "RayCluster", name, component);
  doc_set_str(o, "spec.headGroupSpec.serviceType", "ClusterIP");
  doc_set_str(o, "spec.headGroupSpec.headService.metadata.name", name);
  /* Workers meet at the head before its engine, which waits for them, is ready. */
  doc_set_str(o, "spec.headGroupSpec.headService.spec.clusterIP", "None");
  doc_set(o, "spec.headGroupSpec.headService.spec.publishNotReadyAddresses", json_object_new_boolean(1));
  doc_set_str(o, "spec.headGroupSpec.rayStartParams.dashboard-host", "0.0.0.0");
  doc_set_str(o, "spec.headGroupSpec.rayStartParams.metrics-export-port", METRICS_PORT_TEXT);
  doc_set(o, "spec.headGroupSpec.template", template_new(component, pod));
  doc_set_str(o, "spec.headGroupSpec.template.metadata.name", name);
  (void)json_object_array_add(groups, worker_group(component, pod));
  doc_set(o, "spec.workerGroupSpecs", groups);
  return o;
}

static struct json_object *heads(struct json_object *component) {
  struct json_object *s = json_object_new_object();
  struct json_object *labels = doc_get(component, "labels");
  static const char *const own[] = {"component", "ome.io/inferenceservice"};

  (void)json_object_object_add(s, "app.kubernetes.io/created-by", json_object_new_string("kuberay-operator"));
  (void)json_object_object_add(s, "app.kubernetes.io/name", json_object_new_string("kuberay"));
  (void)json_object_object_add(s, "ray.io/node-type", json_object_new_string("head"));
  for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
    if (doc_get(labels, own[i]))
      (void)json_object_object_add(s, own[i], json_object_get(doc_get(labels, own[i])));
  return s;
}

static int has_port(struct json_object *ports, const char *name, int64_t number) {
  for (size_t i = 0; i < doc_len(ports); i++)
    if (doc_int(doc_item(ports, i), "port", 0) == number || strcmp(doc_str(doc_item(ports, i), "name", ""), name) == 0)
      return 1;
  return 0;
}

static struct json_object *head_service(struct json_object *component) {
  static const struct {
    const char *name;
    int64_t port;
  } extra[] = {{"dashboard", 8265}, {"metrics", METRICS_PORT}, {"redis", 6379}};
  struct json_object *o = component_service(component, heads(component));
  struct json_object *ports = doc_at(o, "spec.ports");

  for (size_t i = 0; i < doc_len(ports); i++) /* several ports must have names */
    if (!doc_get(doc_item(ports, i), "name"))
      doc_set_str(doc_item(ports, i), "name", "http");
  for (size_t i = 0; i < sizeof(extra) / sizeof(*extra); i++) {
    if (has_port(ports, extra[i].name, extra[i].port)) /* the component's own */
      continue;
    struct json_object *p = json_object_new_object();
    doc_set_str(p, "name", extra[i].name);
    doc_set_int(p, "port", extra[i].port);
    doc_set_int(p, "targetPort", extra[i].port);
    doc_set_str(p, "protocol", "TCP");
    (void)json_object_array_add(ports, p);
  }
  return o;
}

static int64_t clusters(struct json_object *component) {
  return doc_int(component, "replicas", doc_int(component, "minReplicas", 1));
}

static int32_t render_all(struct json_object *component, struct ome_object_sink *out, struct ome_err *err) {
  int64_t n = clusters(component);
  struct json_object *pod = doc_get(component, "podSpec");
  const char *kind = doc_str(component, "component", "engine");

  if (!pod)
    return doc_fail(err, OME_E_INVALID, "deployment ray: the component has no podSpec");
  if (n < 1 || n > MAX_CLUSTERS)
    return doc_fail(err, OME_E_INVALID, "spec.%s.minReplicas is %lld; MultiNodeRayVLLM takes 1 to %d", kind,
                    (long long)n, MAX_CLUSTERS);
  add_metrics_port(pod);
  template_default_pod(pod);
  template_default_readiness(pod, doc_first_port(component));
  add_stop(pod);
  int32_t rc = OME_OK;
  for (int64_t i = 0; rc == OME_OK && i < n; i++)
    rc = doc_push(out, cluster(component, i), err);
  return rc == OME_OK ? doc_push(out, head_service(component), err) : rc;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  return render_all(d->component, out, err);
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

/* "ready" stays when the head goes; the condition, which KubeRay has since 1.3, follows it. */
static int serves(struct json_object *cluster) {
  return strcmp(doc_str(cluster, "status.state", ""), "ready") == 0 &&
         strcmp(doc_str(doc_condition(cluster, "HeadPodReady"), "status", ""), "False") != 0;
}

static void judge(struct json_object *list, uint32_t desired, struct ome_status *out) {
  const char *why = "";

  out->desired = desired;
  for (uint32_t i = 0; i < desired; i++) {
    struct json_object *live = doc_item(list, i);
    if (serves(live))
      out->ready++;
    else if (!*why)
      why = doc_str(live, "status.reason", "");
  }
  out->phase = out->ready > 0 ? OME_PHASE_READY : OME_PHASE_PROGRESSING;
  doc_text(out->reason, sizeof(out->reason), "%s", out->ready > 0 ? "RayClustersReady" : "Initializing");
  doc_text(out->message, sizeof(out->message), "%u of %u Ray clusters are ready%s%s", out->ready, desired,
           *why ? ": " : "", why);
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  int64_t n = clusters(d->component);

  (void)err;
  judge(live, n > 0 && n <= MAX_CLUSTERS ? (uint32_t)n : 0, out);
  doc_service_url(out->url, sizeof(out->url), doc_str(d->component, "app", ""), doc_str(d->component, "namespace", ""),
                  d->cluster, 0);
  return OME_OK;
}

static const struct api_kind needed = {"ray.io", "v1", "RayCluster"};

RENDER_PLUGIN(OME_KIND_DEPLOYMENT, "deployment-ray", "ray", "vLLM over Ray, one RayCluster a replica");
