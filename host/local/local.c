/* The local room as a whole: what it starts, what wakes whom, how it stops. */
#include "local/local_int.h"

#include "base/log.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/foreign.h"
#include "local/orphans.h"
#include "os/file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define STOP_GRACE_S 10 /* for pods when ome itself ends */
#define SYNC_MS 10000

void local_enqueue(struct local *l, enum local_queue q, const char *ns, const char *name) {
  (void)pthread_mutex_lock(&l->gate);
  if (l->running && l->queues[q])
    kube_queue_add(l->queues[q], ns, name);
  (void)pthread_mutex_unlock(&l->gate);
}

static void set_running(struct local *l, bool running) {
  (void)pthread_mutex_lock(&l->gate);
  l->running = running;
  (void)pthread_mutex_unlock(&l->gate);
}

bool local_synced(struct local *l) {
  static const enum local_cache needed[] = {CACHE_PODS, CACHE_SERVICES, CACHE_SLICES, CACHE_NODES};

  for (size_t i = 0; i < ARRAY_LEN(needed); i++)
    if (!kube_cache_wait(l->caches[needed[i]], SYNC_MS))
      return false;
  return true;
}

/* ---- what wakes whom --------------------------------------------------------------------------------------------- */

static void enqueue_object(struct local *l, enum local_queue q, struct json_object *o) {
  local_enqueue(l, q, meta_namespace(o), meta_name(o));
}

static void enqueue_owner(struct local *l, struct json_object *o) {
  struct json_object *owner = meta_owner(o);
  const char *kind = json_str(owner, "kind", ""), *name = json_str(owner, "name", "");

  static const struct {
    const char *kind;
    enum local_queue queue;
  } owners[] = {{"ReplicaSet", QUEUE_REPLICASETS}, {"Job", QUEUE_JOBS},       {"Deployment", QUEUE_DEPLOYMENTS},
                {"LeaderWorkerSet", QUEUE_LWS},    {"RayCluster", QUEUE_RAY}, {"Service", QUEUE_KNATIVE}};

  for (size_t i = 0; i < ARRAY_LEN(owners); i++)
    if (streq(kind, owners[i].kind))
      local_enqueue(l, owners[i].queue, meta_namespace(o), name);
}

static void on_deployment(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_DEPLOYMENTS, e->object);
  enqueue_owner(arg, e->object);
}

static void on_replicaset(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_REPLICASETS, e->object);
  enqueue_owner(arg, e->object);
}

static void on_job(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_JOBS, e->object);
}

static void on_lws(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_LWS, e->object);
}

static void on_ray(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_RAY, e->object);
}

static void on_knative(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_KNATIVE, e->object);
  enqueue_object(arg, QUEUE_SCALE, e->object);
  local_enqueue(arg, QUEUE_ROUTES, NULL, "all");
}

/* Whether a Service may see the pod differently now. */
static bool shows_outside(const struct kube_event *e) {
  static const char *const paths[] = {"metadata.labels", "status.podIP", "metadata.deletionTimestamp", "status.phase"};

  if (e->type != KUBE_MODIFIED)
    return true;
  for (size_t i = 0; i < ARRAY_LEN(paths); i++)
    if (!json_equal(json_at(e->object, paths[i]), json_at(e->old, paths[i])))
      return true;
  return !streq(meta_condition(e->object, "Ready"), meta_condition(e->old, "Ready"));
}

static void on_pod(void *arg, const struct kube_event *e) {
  struct local *l = arg;

  enqueue_object(l, QUEUE_PODS, e->object);
  enqueue_owner(l, e->object);
  if (shows_outside(e))
    local_enqueue(l, QUEUE_SERVICES, meta_namespace(e->object), ALL_SERVICES);
}

static void on_service(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_SERVICES, e->object);
  enqueue_owner(arg, e->object);
  local_enqueue(arg, QUEUE_ROUTES, NULL, "all");
}

static void on_slice(void *arg, const struct kube_event *e) {
  const char *service = meta_label(e->object, "kubernetes.io/service-name");

  if (service)
    local_enqueue(arg, QUEUE_SERVICES, meta_namespace(e->object), service);
  local_enqueue(arg, QUEUE_ROUTES, NULL, "all");
}

static void on_node(void *arg, const struct kube_event *e) {
  struct local *l = arg;

  if (!streq(meta_name(e->object), l->node_name))
    return;
  if (e->type == KUBE_DELETED)
    local_enqueue(l, QUEUE_NODE, NULL, l->node_name);
  pods_retry_unscheduled(l);
}

static void on_claim(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_CLAIMS, e->object);
}

static void on_isvc(void *arg, const struct kube_event *e UNUSED) {
  local_enqueue(arg, QUEUE_ROUTES, NULL, "all");
}

static const struct {
  const struct kube_resource *resource;
  kube_event_fn *on_event;
} watched[CACHES] = {
    [CACHE_DEPLOYMENTS] = {&KUBE_DEPLOYMENTS, on_deployment},
    [CACHE_REPLICASETS] = {&KUBE_REPLICASETS, on_replicaset},
    [CACHE_JOBS] = {&KUBE_JOBS, on_job},
    [CACHE_LWS] = {&LOCAL_LEADERWORKERSETS, on_lws},
    [CACHE_RAY] = {&LOCAL_RAYCLUSTERS, on_ray},
    [CACHE_KNATIVE] = {&LOCAL_KNATIVESERVICES, on_knative},
    [CACHE_PODS] = {&KUBE_PODS, on_pod},
    [CACHE_SERVICES] = {&KUBE_SERVICES, on_service},
    [CACHE_SLICES] = {&KUBE_ENDPOINTSLICES, on_slice},
    [CACHE_NODES] = {&KUBE_NODES, on_node},
    [CACHE_CLAIMS] = {&KUBE_PVCS, on_claim},
    [CACHE_ISVCS] = {&KUBE_INFERENCESERVICES, on_isvc},
};

static const struct {
  const char *name;
  uint32_t workers;
  kube_reconcile_fn *reconcile;
} controllers[QUEUES] = {
    [QUEUE_DEPLOYMENTS] = {"deployments", 1, deployments_reconcile},
    [QUEUE_REPLICASETS] = {"replicasets", 1, replicasets_reconcile},
    [QUEUE_JOBS] = {"jobs", 1, jobs_reconcile},
    [QUEUE_LWS] = {"leaderworkersets", 1, lws_reconcile},
    [QUEUE_RAY] = {"rayclusters", 1, ray_reconcile},
    [QUEUE_KNATIVE] = {"knative", 1, knative_reconcile},
    [QUEUE_SCALE] = {"scale", 1, scale_reconcile},
    [QUEUE_PODS] = {"pods", 2, pods_reconcile},
    [QUEUE_SERVICES] = {"services", 1, services_reconcile},
    [QUEUE_NODE] = {"node", 1, node_reconcile},
    [QUEUE_CLAIMS] = {"claims", 1, claims_reconcile},
    [QUEUE_ROUTES] = {"routes", 1, routes_reconcile},
};

/* Objects that came in before everything was in place. */
static void enqueue_present(struct local *l) {
  static const struct {
    enum local_cache cache;
    enum local_queue queue;
  } present[] = {{CACHE_DEPLOYMENTS, QUEUE_DEPLOYMENTS},
                 {CACHE_REPLICASETS, QUEUE_REPLICASETS},
                 {CACHE_JOBS, QUEUE_JOBS},
                 {CACHE_LWS, QUEUE_LWS},
                 {CACHE_RAY, QUEUE_RAY},
                 {CACHE_KNATIVE, QUEUE_KNATIVE},
                 {CACHE_KNATIVE, QUEUE_SCALE},
                 {CACHE_PODS, QUEUE_PODS},
                 {CACHE_CLAIMS, QUEUE_CLAIMS},
                 {CACHE_SERVICES, QUEUE_SERVICES}};

  for (size_t i = 0; i < ARRAY_LEN(present); i++) {
    _cleanup_json_ struct json_object *list = kube_cache_list(l->caches[present[i].cache], NULL);
    for (size_t k = 0; k < json_len(list); k++)
      enqueue_object(l, present[i].queue, json_index(list, k));
  }
  local_enqueue(l, QUEUE_NODE, NULL, l->node_name);
  local_enqueue(l, QUEUE_ROUTES, NULL, "all");
}

/* ---- the runner's side ------------------------------------------------------------------------------------------- */

static void on_change(void *arg, const char *ns, const char *name) {
  local_enqueue(arg, QUEUE_PODS, ns, name);
}

static void on_event(void *arg, const struct runner_event *e) {
  struct local *l = arg;
  _cleanup_json_ struct json_object *pod = json_object_new_object();

  if (json_set_str(pod, "apiVersion", "v1") && json_set_str(pod, "kind", "Pod") &&
      json_set_str(pod, "metadata.namespace", e->ns) && json_set_str(pod, "metadata.name", e->name) &&
      json_set_str(pod, "metadata.uid", e->uid))
    kube_record(l->recorder, pod, e->warning, e->reason, "%s", e->message);
}

/* ---- start
 * ---------------------------------------------------------------------------------------------------------------------
 */

/* A name for this data folder that stays: it marks our processes. */
static int32_t load_id(struct local *l, struct ome_err *err) {
  _cleanup_free_ char *dir = path_join(l->data_dir, "run");
  _cleanup_free_ char *path = dir ? path_join(dir, "id") : NULL;
  char fresh[17];
  size_t len = 0;

  if (!path)
    return fail_memory(err);
  int32_t rc = file_read(path, 256, &l->id, &len, err);
  if (rc == OME_OK && len == 16 && strspn(l->id, "0123456789abcdef") == 16)
    return OME_OK;
  free(l->id);
  err_clear(err);
  random_hex(fresh, 16);
  l->id = strdup(fresh);
  rc = l->id ? dir_make(dir, 0755, err) : fail_memory(err);
  return rc == OME_OK ? file_write(path, fresh, 16, 0644, err) : rc;
}

/* NAME in the folder of our helper programs: ../lib/ome beside the executable's, or LIBDIR/ome; new, NULL: absent. */
static char *find_helper(const char *name) {
  static const char *const folders[] = {"lib/ome", OME_LIBDIR "/ome"};
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

  exe[n > 0 ? n : 0] = '\0';
  char *slash = strrchr(exe, '/');
  if (!slash)
    return NULL;
  *slash = '\0';
  for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
    _cleanup_free_ char *path = str_printf("%s/../%s/%s", exe, folders[i], name);
    char *real = path ? realpath(path, NULL) : NULL;
    if (real)
      return real;
  }
  return NULL;
}

/* The host's name as a node's: lower case, or "localhost" when it cannot be one. */
static char *default_node_name(void) {
  char name[256] = "";

  (void)gethostname(name, sizeof(name) - 1);
  for (char *c = name; *c; c++)
    *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
  return strdup(is_dns_subdomain(name) ? name : "localhost");
}

/* Containers get a clean environment; these few are the machine's. */
static void make_base_env(struct strv *env) {
  static const struct {
    const char *name, *dflt;
  } vars[] = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
              {"HOME", "/"},
              {"LANG", "C.UTF-8"},
              {"TMPDIR", NULL},
              {"TZ", NULL},
              {"LD_LIBRARY_PATH", NULL}};

  for (size_t i = 0; i < ARRAY_LEN(vars); i++) {
    const char *value = getenv(vars[i].name);
    value = value ? value : vars[i].dflt;
    if (value)
      (void)strv_setenv(env, vars[i].name, value);
  }
}

static int32_t make_folders(struct local *l, struct ome_err *err) {
  static const struct {
    const char *name;
    mode_t mode;
  } folders[] = {{"run", 0755}, {"logs", 0755}, {"volumes", 0700}}; /* volumes hold secrets */
  int32_t rc = OME_OK;

  for (size_t i = 0; i < ARRAY_LEN(folders) && rc == OME_OK; i++) {
    _cleanup_free_ char *path = path_join(l->data_dir, folders[i].name);
    rc = path ? dir_make(path, folders[i].mode, err) : fail_memory(err);
  }
  return rc;
}

static int32_t prepare(struct local *l, const struct local_config *cfg, struct ome_err *err) {
  int32_t rc = dir_make(cfg->data_dir, 0755, err);

  if (rc != OME_OK)
    return rc;
  l->client = cfg->client;
  l->gateway = cfg->gateway;
  l->data_dir = realpath(cfg->data_dir, NULL);
  l->node_name = cfg->node_name ? strdup(cfg->node_name) : default_node_name();
  l->node_ip = node_address();
  l->unscheduled = strmap_new(NULL);
  l->needed = strmap_new(free);
  l->pod_ips = addresses_new(ADDRESS_PODS);
  l->service_ips = addresses_new(ADDRESS_SERVICES);
  l->gpus = gpus_new(gpus_count());
  if (!l->data_dir || !l->node_name || !l->node_ip || !l->unscheduled || !l->needed || !l->pod_ips || !l->service_ips ||
      !l->gpus)
    return fail_memory(err);
  rc = make_folders(l, err);
  make_base_env(&l->base_env);
  l->bind_lib = find_helper("ome-bind.so");
  l->shim = find_helper("ome-shim");
  if (rc == OME_OK && !l->shim)
    rc = fail(err, OME_E_NOT_FOUND, "ome-shim: not found beside ome (../lib/ome/ome-shim); install ome completely");
  return rc == OME_OK ? load_id(l, err) : rc;
}

static int32_t start_machinery(struct local *l, struct ome_err *err) {
  int32_t rc = kube_recorder_new(l->client, "ome-local", &l->recorder, err);

  if (rc == OME_OK)
    rc = proxies_new(&l->proxies, err);
  if (rc == OME_OK) /* of its own: engines that do not answer must not hold up watches */
    rc = http_client_new(&(struct http_client_config){.user_agent = "kube-probe/1.26"}, &l->probe_client, err);
  if (rc != OME_OK)
    return rc;
  const struct runner_config runner = {.data_dir = l->data_dir,
                                       .shim = l->shim,
                                       .id = l->id,
                                       .http = l->probe_client,
                                       .on_change = on_change,
                                       .on_event = on_event,
                                       .arg = l};
  return runner_new(&runner, &l->runner, err);
}

static int32_t start_controllers(struct local *l, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; i < CACHES && rc == OME_OK; i++) {
    const struct kube_cache_opts opts = {.on_event = watched[i].on_event, .arg = l};
    if (i != CACHE_ISVCS || l->gateway)
      rc = kube_cache_new(l->client, watched[i].resource, &opts, &l->caches[i], err);
  }
  for (size_t i = 0; i < QUEUES && rc == OME_OK; i++) {
    const struct kube_queue_config cfg = {controllers[i].name, controllers[i].workers, controllers[i].reconcile, l};
    if ((i != QUEUE_ROUTES && i != QUEUE_SCALE) || l->gateway)
      rc = kube_queue_new(&cfg, &l->queues[i], err);
  }
  return rc;
}

/* What prepare() found out and made room for. */
static void free_facts(struct local *l) {
  if (l->pod_ips)
    addresses_free(l->pod_ips);
  if (l->service_ips)
    addresses_free(l->service_ips);
  if (l->gpus)
    gpus_free(l->gpus);
  if (l->unscheduled)
    strmap_free(l->unscheduled);
  if (l->needed)
    strmap_free(l->needed);
  strv_fini(&l->base_env);
  free(l->data_dir);
  free(l->node_name);
  free(l->node_ip);
  free(l->id);
  free(l->shim);
  free(l->bind_lib);
}

void local_stop(struct local *l) {
  if (!l)
    return;
  set_running(l, false); /* whatever happens from here on wakes nobody */
  if (l->gateway)
    gateway_on_demand(l->gateway, NULL, NULL);
  for (size_t i = 0; i < QUEUES; i++)
    if (l->queues[i])
      kube_queue_free(l->queues[i]);
  if (l->runner)
    runner_free(l->runner, STOP_GRACE_S);
  for (size_t i = 0; i < CACHES; i++)
    kube_cache_stop(l->caches[i]);
  for (size_t i = 0; i < CACHES; i++)
    kube_cache_free(l->caches[i]);
  if (l->probe_client)
    http_client_free(l->probe_client);
  if (l->proxies)
    proxies_free(l->proxies);
  if (l->recorder)
    kube_recorder_free(l->recorder);
  free_facts(l);
  pthread_mutex_destroy(&l->lock);
  pthread_mutex_destroy(&l->gate);
  free(l);
}

int32_t local_start(const struct local_config *cfg, struct local **out, struct ome_err *err) {
  struct local *l = calloc(1, sizeof(*l));

  if (!l)
    return fail_memory(err);
  pthread_mutex_init(&l->lock, NULL);
  pthread_mutex_init(&l->gate, NULL);
  int32_t rc = prepare(l, cfg, err);
  if (rc == OME_OK)
    rc = start_machinery(l, err);
  if (rc == OME_OK)
    rc = start_controllers(l, err);
  if (rc != OME_OK) {
    local_stop(l);
    return fail_prefix(err, "local workloads");
  }
  set_running(l, true);
  enqueue_present(l);
  if (l->gateway)
    gateway_on_demand(l->gateway, scale_on_demand, l);
  *out = l;
  return OME_OK;
}
