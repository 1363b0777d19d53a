/* The RayCluster controller's decisions (ray.io/v1), as KubeRay's are: a head, and workers that meet at it.
 *
 * Since nothing resolves host names here, workers meet at the address of the head's pod and are made when it has one.
 */
#include "local/ray.h"

#include "base/str.h"
#include "kube/meta.h"
#include "local/plan.h"

#include <string.h>

#define TEMPLATE "local.ome.io/template" /* annotation: what a pod was made of */
#define HEAD "local.ome.io/ray-head"     /* on a worker: the address of its head */

#define WORKERS_MAX 64 /* of a group; a bound against typing mistakes: one machine runs no more */

struct ray_pass {
  struct json_object *cluster, *pods;
  struct json_object *head;         /* NULL: not there */
  const char *address;              /* its; "": none yet */
  int64_t wanted, available, ready; /* workers */
  struct plan *out;
};

static struct json_object *pod_named(struct ray_pass *p, const char *name) {
  for (size_t i = 0; i < json_len(p->pods); i++)
    if (streq(meta_name(json_index(p->pods, i)), name))
      return json_index(p->pods, i);
  return NULL;
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

static struct json_object *groups_of(struct ray_pass *p) {
  return json_at(p->cluster, "spec.workerGroupSpecs");
}

static int64_t size_of(struct json_object *group) {
  int64_t replicas = json_i64(group, "replicas", json_i64(group, "minReplicas", 0));
  int64_t hosts = json_i64(group, "numOfHosts", 1);

  if (json_flag(group, "suspend", false) || replicas < 0 || hosts < 1)
    return 0;
  return replicas > WORKERS_MAX || hosts > WORKERS_MAX || replicas * hosts > WORKERS_MAX ? WORKERS_MAX
                                                                                         : replicas * hosts;
}

/* new */
static char *worker_name(struct ray_pass *p, struct json_object *group, int64_t index) {
  return str_printf("%s-%s-worker-%lld", meta_name(p->cluster), json_str(group, "groupName", ""), (long long)index);
}

/* new */
static char *head_name(struct ray_pass *p) {
  const char *given = json_str(p->cluster, "spec.headGroupSpec.template.metadata.name", "");

  return *given ? strdup(given) : str_printf("%s-head", meta_name(p->cluster));
}

/* What a pod of GROUP is made of, however many there are. */
static void group_hash(struct json_object *group, char out[16]) {
  _cleanup_json_ struct json_object *what = json_object_new_object();

  (void)json_set(what, "template", json_object_get(json_get(group, "template")));
  (void)json_set(what, "params", json_object_get(json_get(group, "rayStartParams")));
  template_hash(what, 0, out);
}

/* ---- pods -------------------------------------------------------------------------------------------------------- */

/* Whether POD is to stay as one of GROUP; one that goes already is not. */
static bool fits(struct ray_pass *p, struct json_object *pod, struct json_object *group, bool is_head) {
  char hash[16];

  group_hash(group, hash);
  return pod_is_active(pod) && streq(meta_annotation(pod, TEMPLATE), hash) &&
         (is_head || !*p->address || streq(meta_annotation(pod, HEAD), p->address));
}

static void add_pod(struct ray_pass *p, struct json_object *group, const char *name, const char *head) {
  struct json_object *pod = ray_pod(p->cluster, group, name, head);
  char hash[16];

  group_hash(group, hash);
  meta_set_annotation(pod, TEMPLATE, hash);
  if (head)
    meta_set_annotation(pod, HEAD, head);
  (void)json_object_array_add(p->out->create, pod);
}

static void remove_pod(struct ray_pass *p, struct json_object *pod) {
  if (!meta_deleting(pod))
    (void)json_object_array_add(p->out->remove, json_object_get(pod));
}

static void bring_head(struct ray_pass *p) {
  struct json_object *group = json_at(p->cluster, "spec.headGroupSpec");
  _cleanup_free_ char *name = head_name(p);

  p->head = pod_named(p, name);
  p->address = json_str(p->head, "status.podIP", "");
  if (!p->head) {
    add_pod(p, group, name, NULL);
  } else if (!fits(p, p->head, group, true)) {
    remove_pod(p, p->head);
    p->address = ""; /* nobody meets there any more */
  }
}

static void bring_worker(struct ray_pass *p, struct json_object *group, const char *name) {
  struct json_object *pod = pod_named(p, name);

  if (!pod && *p->address) {
    add_pod(p, group, name, p->address);
  } else if (pod && !fits(p, pod, group, false)) {
    remove_pod(p, pod);
  } else if (pod) {
    p->available += streq(json_str(pod, "status.phase", ""), "Running");
    p->ready += pod_is_ready(pod);
  }
}

static bool is_wanted(struct ray_pass *p, const char *name) {
  _cleanup_free_ char *head = head_name(p);
  bool found = streq(name, head);

  for (size_t g = 0; g < json_len(groups_of(p)) && !found; g++) {
    struct json_object *group = json_index(groups_of(p), g);
    for (int64_t i = 0; i < size_of(group) && !found; i++) {
      _cleanup_free_ char *worker = worker_name(p, group, i);
      found = streq(name, worker);
    }
  }
  return found;
}

static void bring_all(struct ray_pass *p) {
  bring_head(p);
  for (size_t g = 0; g < json_len(groups_of(p)); g++) {
    struct json_object *group = json_index(groups_of(p), g);
    for (int64_t i = 0; i < size_of(group); i++) {
      _cleanup_free_ char *name = worker_name(p, group, i);
      bring_worker(p, group, name);
      p->wanted++;
    }
  }
}

static void remove_rest(struct ray_pass *p, bool suspended) {
  for (size_t i = 0; i < json_len(p->pods); i++)
    if (suspended || !is_wanted(p, meta_name(json_index(p->pods, i))))
      remove_pod(p, json_index(p->pods, i));
}

/* ---- the head's Service ------------------------------------------------------------------------------------------ */

static void add_port(struct json_object *ports, const char *name, int64_t number) {
  struct json_object *port = json_object_new_object();

  for (size_t i = 0; i < json_len(ports); i++)
    if (json_i64(json_index(ports, i), "port", 0) == number ||
        streq(json_str(json_index(ports, i), "name", ""), name)) {
      json_unref(port);
      return;
    }
  (void)json_set_str(port, "name", name);
  (void)json_set_i64(port, "port", number);
  (void)json_set_str(port, "protocol", "TCP");
  (void)json_object_array_add(ports, port);
}

static struct json_object *head_ports(struct ray_pass *p) {
  struct json_object *containers = json_at(p->cluster, "spec.headGroupSpec.template.spec.containers");
  struct json_object *given = json_get(json_index(containers, 0), "ports"), *ports = json_object_new_array();
  int64_t control = 0;

  for (size_t i = 0; i < json_len(given); i++) {
    struct json_object *port = json_index(given, i);
    int64_t number = json_i64(port, "containerPort", 0);
    _cleanup_free_ char *name = str_printf("%lld-port", (long long)number);
    add_port(ports, json_str(port, "name", name ? name : ""), number);
  }
  if (str_to_i64(ray_port(p->cluster), &control))
    add_port(ports, "gcs-server", control);
  return ports;
}

/* new */
static char *service_name(struct ray_pass *p) {
  const char *given = json_str(p->cluster, "spec.headGroupSpec.headService.metadata.name", "");

  return *given ? strdup(given) : str_printf("%s-head-svc", meta_name(p->cluster));
}

static void add_service(struct ray_pass *p) {
  struct json_object *service = json_object_new_object(), *selector = json_object_new_object();
  _cleanup_free_ char *name = service_name(p);

  (void)json_object_object_add(selector, RAY_CLUSTER_LABEL, json_object_new_string(meta_name(p->cluster)));
  (void)json_object_object_add(selector, RAY_NODE_TYPE_LABEL, json_object_new_string("head"));
  (void)json_set_str(service, "apiVersion", "v1");
  (void)json_set_str(service, "kind", "Service");
  (void)json_set(service, "metadata", plan_child_meta(p->cluster, NULL));
  (void)json_set_str(service, "metadata.name", name);
  (void)json_set(service, "metadata.labels", json_copy(selector));
  (void)json_set_str(service, "spec.clusterIP", "None");
  (void)json_set_bool(service, "spec.publishNotReadyAddresses", true);
  (void)json_set(service, "spec.selector", selector);
  (void)json_set(service, "spec.ports", head_ports(p));
  (void)json_object_array_add(p->out->services, service);
}

/* ---- the status -------------------------------------------------------------------------------------------------- */

static void set_counts(struct ray_pass *p, struct json_object *status) {
  int64_t min = 0, max = 0;

  for (size_t g = 0; g < json_len(groups_of(p)); g++) {
    min += json_i64(json_index(groups_of(p), g), "minReplicas", 0);
    max += json_i64(json_index(groups_of(p), g), "maxReplicas", 0);
  }
  plan_count(status, "desiredWorkerReplicas", p->wanted);
  plan_count(status, "minWorkerReplicas", min);
  plan_count(status, "maxWorkerReplicas", max);
  plan_count(status, "availableWorkerReplicas", p->available);
  plan_count(status, "readyWorkerReplicas", p->ready);
}

static void set_head(struct ray_pass *p, struct json_object *status) {
  _cleanup_free_ char *service = service_name(p);

  (void)json_set_str(status, "head.podIP", p->address);
  (void)json_set_str(status, "head.podName", meta_name(p->head));
  (void)json_set_str(status, "head.serviceIP", p->address); /* a headless Service's is its pod's */
  (void)json_set_str(status, "head.serviceName", service);
}

static void set_conditions(struct ray_pass *p, struct json_object *status, bool head, bool provisioned,
                           int64_t now_ms) {
  const char *why = head ? "HeadPodRunningAndReady" : p->head ? "ContainersNotReady" : "HeadPodNotFound";

  plan_condition(status, "HeadPodReady", head ? "True" : "False", why, "", now_ms, false);
  plan_condition(status, "RayClusterProvisioned", provisioned ? "True" : "False",
                 provisioned ? "AllPodRunningAndReadyFirstTime" : "RayClusterPodsProvisioning", "", now_ms, false);
}

/* Once it was there as a whole, a cluster stays "ready", as KubeRay has it; HeadPodReady follows what is. */
static void set_status(struct ray_pass *p, bool suspended, int64_t now_ms) {
  struct json_object *old = json_get(p->cluster, "status");
  struct json_object *status = old ? json_copy(old) : json_object_new_object();
  bool head = p->head && *p->address && pod_is_ready(p->head);
  bool all = head && p->ready == p->wanted;
  bool provisioned = !suspended && (all || streq(meta_condition(p->cluster, "RayClusterProvisioned"), "True"));

  set_counts(p, status);
  set_head(p, status);
  (void)json_set_i64(status, "observedGeneration", meta_generation(p->cluster));
  if (suspended)
    (void)json_set_str(status, "state", "suspended");
  else if (all)
    (void)json_set_str(status, "state", "ready");
  else if (streq(json_str(status, "state", ""), "suspended"))
    json_del(status, "state");
  set_conditions(p, status, head, provisioned, now_ms);
  p->out->status = status;
}

/* ---- the pass ---------------------------------------------------------------------------------------------------- */

void ray_plan(struct json_object *cluster, struct json_object *pods, int64_t now_ms, struct plan *out) {
  struct ray_pass p = {.cluster = cluster, .pods = pods, .address = "", .out = out};
  bool suspended = json_flag(cluster, "spec.suspend", false);

  if (meta_deleting(cluster))
    return;
  if (!suspended) {
    bring_all(&p);
    add_service(&p);
  }
  remove_rest(&p, suspended);
  set_status(&p, suspended, now_ms);
}
