#include "controller/controller.h"

#include "agent/handover.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/benchmark.h"
#include "compose/claim_job.h"
#include "compose/names.h"
#include "compose/pods.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <string.h>

#define CLAIMS_WAIT_MS 2000
#define CACHE_WAIT_MS 30000u
#define BOUND_PODS "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
#define REVISIONS_KEPT 10u
#define REVISION_GRACE_MS (24u * 3600u * 1000u)
#define RANK_DELETED (-1) /* before all others */

/* ---- events become keys ------------------------------------------------------------------------------------------ */

/* The worker of a service, always the same: no two work on one service. */
static struct service_worker *worker_for(struct controller *c, const char *ns, const char *name) {
  uint32_t h = 2166136261u; /* FNV-1a: an even spread is all that is asked of it */

  for (const char *p = ns ? ns : ""; *p; p++)
    h = (h ^ (unsigned char)*p) * 16777619u;
  for (const char *p = name; *p; p++)
    h = (h ^ (unsigned char)*p) * 16777619u;
  return &c->workers[h % SERVICE_WORKERS];
}

static struct kube_queue *queue_for(struct controller *c, enum queue_id queue, const char *ns, const char *name) {
  return queue == QUEUE_SERVICES ? worker_for(c, ns, name)->queue : c->queues[queue];
}

void enqueue(struct controller *c, enum queue_id queue, const char *ns, const char *name) {
  (void)pthread_mutex_lock(&c->gate.lock);
  if (!c->gate.stopping)
    kube_queue_add(queue_for(c, queue, ns, name), ns, name);
  (void)pthread_mutex_unlock(&c->gate.lock);
}

void enqueue_after(struct controller *c, enum queue_id queue, const char *ns, const char *name, uint64_t ms) {
  (void)pthread_mutex_lock(&c->gate.lock);
  if (!c->gate.stopping)
    kube_queue_add_after(c->queues[queue], ns, name, ms);
  (void)pthread_mutex_unlock(&c->gate.lock);
}

/* Who waits for an object to go does not wait behind a thousand that stay. */
static void enqueue_object(struct controller *c, enum queue_id queue, struct json_object *o) {
  const char *ns = meta_namespace(o);
  const char *name = meta_name(o);

  (void)pthread_mutex_lock(&c->gate.lock);
  if (!c->gate.stopping)
    kube_queue_add_ranked(queue_for(c, queue, ns, name), ns, name, meta_deleting(o) ? RANK_DELETED : 0);
  (void)pthread_mutex_unlock(&c->gate.lock);
}

static void on_service(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_SERVICES, e->object);
  requeue_benchmarks_of(arg, meta_namespace(e->object), meta_name(e->object));
}

static const char *model_of(struct json_object *service) {
  return json_str(service, "spec.model.name", json_str(service, "spec.predictor.model.baseModel", NULL));
}

static const char *service_of(struct json_object *pod) {
  return meta_label(pod, LABEL_SERVICE);
}

/* Whom a cluster-scoped model keeps from the key of both. */
static void requeue_twin(struct controller *c, const char *ns, const char *name) {
  const char *of = NULL, *twin = name_twin(ns, name, &of);

  if (twin)
    enqueue(c, QUEUE_MODELS, of, twin);
}

/* Its services are looked at without waiting for the model's own turn. */
static void on_model(void *arg, const struct kube_event *e) {
  const char *ns = meta_namespace(e->object);

  requeue_services(arg, *ns ? ns : NULL, meta_name(e->object));
  further_requeue(arg, *ns ? ns : NULL);
  requeue_weights_of(arg, meta_name(e->object));
  if (e->type != KUBE_MODIFIED)
    requeue_twin(arg, *ns ? ns : NULL, meta_name(e->object));
  enqueue_object(arg, QUEUE_MODELS, e->object);
}

static void on_weights(void *arg, const struct kube_event *e) {
  struct controller *c = arg;

  enqueue(c, QUEUE_MODELS, NS_WEIGHTS, meta_name(e->object));
  if (e->type != KUBE_MODIFIED)
    requeue_twin(c, NS_WEIGHTS, meta_name(e->object));
  if (e->type == KUBE_MODIFIED && e->old && json_equal(json_get(e->old, "spec"), json_get(e->object, "spec")))
    return;
  atomic_fetch_add(&c->world_version, 1);
  enqueue(c, QUEUE_RUNTIMES, NULL, EVERY_SERVICE);
}

static void on_runtime(void *arg, const struct kube_event *e) {
  struct controller *c = arg;

  /* What its status says was said here. */
  if (e->type == KUBE_MODIFIED && e->old && json_equal(json_get(e->old, "spec"), json_get(e->object, "spec")) &&
      json_equal(json_at(e->old, "metadata.annotations"), json_at(e->object, "metadata.annotations")))
    return;
  atomic_fetch_add(&c->world_version, 1);
  /* Whichever it was, every service that may use it is looked at again: one key for all of them. */
  enqueue(c, QUEUE_RUNTIMES, meta_namespace(e->object), EVERY_SERVICE);
}

static void on_benchmark(void *arg, const struct kube_event *e) {
  enqueue_object(arg, QUEUE_BENCHMARKS, e->object);
}

/* A Job or pod of a benchmark leads to it. */
static void on_benchmark_child(void *arg, const struct kube_event *e) {
  const char *of = meta_annotation(e->object, ANNOTATION_BENCHMARK);

  if (of && *of)
    enqueue(arg, QUEUE_BENCHMARKS, meta_namespace(e->object), of);
}

static void on_node(void *arg, const struct kube_event *e) {
  /* The cache of models was started before the nodes'. */
  if (e->type != KUBE_MODIFIED)
    requeue_all_models(arg);
  if (e->type == KUBE_DELETED)
    enqueue(arg, QUEUE_NODE_RECORDS, NULL, meta_name(e->object));
  on_node_devices(arg, e);
}

static void on_node_models(void *arg, const struct kube_event *e) {
  requeue_models_of(arg, e->object);
  if (e->old)
    requeue_models_of(arg, e->old);
  if (e->type == KUBE_ADDED)
    enqueue(arg, QUEUE_NODE_RECORDS, NULL, meta_name(e->object));
}

/* What was handed over before this controller began is looked at once. */
static void on_handover(void *arg, const struct kube_event *e) {
  const char *key = handover_model(e->object);

  if (e->type == KUBE_ADDED && key)
    requeue_model_of_key(arg, key);
}

static void on_config(void *arg, UNUSED const struct kube_event *e) {
  struct controller *c = arg;

  atomic_fetch_add(&c->world_version, 1);
  enqueue(c, QUEUE_RUNTIMES, NULL, EVERY_SERVICE);
}

static void note_scaler(struct controller *c, struct json_object *o) {
  _cleanup_free_ char *scaled = o ? scalers_service(o) : NULL;

  if (!scaled)
    return;
  atomic_fetch_add(&c->foreign_version, 1);
  enqueue(c, QUEUE_SERVICES, meta_namespace(o), scaled);
}

/* A child or a pod leads to its service: by owner, else by label. */
static void on_child(void *arg, const struct kube_event *e) {
  struct controller *c = arg;
  struct json_object *owner = meta_owner(e->object);
  const char *label = meta_label(e->object, LABEL_SERVICE);

  if (streq(json_str(owner, "kind", ""), "InferenceService"))
    enqueue(c, QUEUE_SERVICES, meta_namespace(e->object), json_str(owner, "name", ""));
  else if (label && *label)
    enqueue(c, QUEUE_SERVICES, meta_namespace(e->object), label);
  /* What a scaler measures is no news; whom it scales is. */
  if (e->type == KUBE_MODIFIED && e->old && json_equal(json_get(e->old, "spec"), json_get(e->object, "spec")))
    return;
  note_scaler(c, e->object);
  note_scaler(c, e->old);
}

/* What binds, comes or goes is news; what is resized is not. */
static void on_claim(void *arg, const struct kube_event *e) {
  if (e->type == KUBE_MODIFIED && e->old &&
      streq(json_str(e->old, "status.phase", ""), json_str(e->object, "status.phase", "")))
    return;
  claim_models_requeue(arg, meta_namespace(e->object));
  further_requeue(arg, meta_namespace(e->object));
}

static void trim_claim(struct json_object *o) {
  static const char *const meta[] = {"name", "namespace", "uid", "resourceVersion", NULL}, *const spec[] = {NULL},
                           *const status[] = {"phase", NULL};

  json_keep(json_get(o, "metadata"), meta);
  json_keep(json_get(o, "spec"), spec);
  json_keep(json_get(o, "status"), status);
}

static void on_crd(void *arg, const struct kube_event *e) {
  kinds_note(arg, meta_name(e->object));
}

/* ---- caches and queues ------------------------------------------------------------------------------------------- */

static const struct {
  const struct kube_resource *resource;
  kube_event_fn *on_event;
  const char *labels;
  const char *fields;
  bool ome_namespace; /* only there */
  bool metadata_only;
  kube_index_fn *index;
  kube_trim_fn *trim;
} watches[WATCH_COUNT] = {
    [WATCH_SERVICES] = {.resource = &KUBE_INFERENCESERVICES, .on_event = on_service, .index = model_of},
    [WATCH_WEIGHTS] = {.resource = &KUBE_FINETUNEDWEIGHTS, .on_event = on_weights, .index = on_claim_of},
    [WATCH_BASE_MODELS] = {.resource = &KUBE_BASEMODELS, .on_event = on_model, .index = on_claim_of},
    [WATCH_CLUSTER_BASE_MODELS] = {.resource = &KUBE_CLUSTERBASEMODELS, .on_event = on_model, .index = on_claim_of},
    [WATCH_RUNTIMES] = {.resource = &KUBE_SERVINGRUNTIMES, .on_event = on_runtime, .index = heir_of},
    [WATCH_CLUSTER_RUNTIMES] = {.resource = &KUBE_CLUSTERSERVINGRUNTIMES, .on_event = on_runtime, .index = heir_of},
    [WATCH_ACCELERATORS] = {.resource = &KUBE_ACCELERATORCLASSES, .on_event = on_accelerator},
    [WATCH_BENCHMARKS] = {.resource = &KUBE_BENCHMARKJOBS, .on_event = on_benchmark},
    [WATCH_NODES] = {.resource = &KUBE_NODES, .on_event = on_node, .trim = trim_node},
    [WATCH_NODE_MODELS] = {.resource = &KUBE_CONFIGMAPS,
                           .on_event = on_node_models,
                           .labels = NODE_MODELS_LABEL,
                           .ome_namespace = true},
    [WATCH_HANDOVERS] = {.resource = &KUBE_CONFIGMAPS,
                         .on_event = on_handover,
                         .labels = HANDOVER_LABEL "=true",
                         .ome_namespace = true,
                         .index = handover_model},
    [WATCH_CONFIG] = {.resource = &KUBE_CONFIGMAPS,
                      .on_event = on_config,
                      .fields = "metadata.name=inferenceservice-config",
                      .ome_namespace = true},
    [WATCH_PODS] =
        {.resource = &KUBE_PODS, .on_event = on_child, .labels = LABEL_SERVICE, .index = service_of, .trim = pods_trim},
    [WATCH_BENCHMARK_CONFIG] = {.resource = &KUBE_CONFIGMAPS,
                                .fields = "metadata.name=benchmarkjob-config",
                                .ome_namespace = true},
    [WATCH_JOBS] = {.resource = &KUBE_JOBS, .on_event = on_benchmark_child, .labels = LABEL_BENCHMARK},
    [WATCH_JOB_PODS] = {.resource = &KUBE_PODS, .on_event = on_benchmark_child, .labels = LABEL_BENCHMARK},
    [WATCH_CLAIM_JOBS] = {.resource = &KUBE_JOBS,
                          .on_event = on_claim_job,
                          .labels = CLAIM_JOB_LABEL "=" CLAIM_JOB_COMPONENT},
    [WATCH_CLAIMS] = {.resource = &KUBE_PVCS, .on_event = on_claim, .trim = trim_claim},
    [WATCH_ALL_PODS] = {.resource = &KUBE_PODS, .on_event = on_any_pod, .fields = BOUND_PODS, .trim = trim_pod},
    [WATCH_CRDS] = {.resource = &KUBE_CRDS, .on_event = on_crd, .metadata_only = true},
};

/* What need not wait for the CRDs does not: connections are what a start takes most of its time for. */
static int32_t start_watches(struct controller *c, struct ome_err *err) {
  for (size_t i = 0; i < WATCH_COUNT; i++) {
    struct kube_cache_opts opts = {
        .ns = watches[i].ome_namespace ? c->ome_namespace : NULL,
        .labels = watches[i].labels,
        .fields = watches[i].fields,
        .index = watches[i].index,
        .trim = watches[i].trim,
        .metadata_only = watches[i].metadata_only,
        .on_event = watches[i].on_event,
        .arg = c,
    };
    int32_t rc = kube_cache_new(c->client, watches[i].resource, &opts, &c->watches[i], err);
    if (rc != OME_OK)
      return rc;
  }
  int32_t rc = kinds_start(c, on_child, err);
  if (rc != OME_OK)
    return rc;
  if (!kube_cache_wait(c->watches[WATCH_CRDS], CACHE_WAIT_MS))
    return kube_cache_why(c->watches[WATCH_CRDS], err);
  return kinds_start_custom(c, err);
}

/* Nothing is decided before everything has been seen once.  Only claims, which an older role may not let us see, are
 * taken for good if they do not come. */
static int32_t await_watches(struct controller *c, struct ome_err *err) {
  for (size_t i = 0; i < WATCH_COUNT; i++)
    if (i != WATCH_CLAIMS && !kube_cache_wait(c->watches[i], CACHE_WAIT_MS))
      return kube_cache_why(c->watches[i], err);
  if (!kube_cache_wait(c->watches[WATCH_CLAIMS], CLAIMS_WAIT_MS))
    log_warning("controller", "PersistentVolumeClaims cannot be seen; those of models are taken for good");
  return kinds_wait(c, CACHE_WAIT_MS, err);
}

/* ---- reconcilers behind the gate --------------------------------------------------------------------------------- */

/* Waits until the caches are filled; false when the controller ends instead. */
static bool pass_gate(struct controller *c) {
  (void)pthread_mutex_lock(&c->gate.lock);
  while (!c->gate.open && !c->gate.stopping)
    (void)pthread_cond_wait(&c->gate.changed, &c->gate.lock);
  bool go = !c->gate.stopping;
  (void)pthread_mutex_unlock(&c->gate.lock);
  return go;
}

static void set_gate(bool *flag, struct controller *c) {
  (void)pthread_mutex_lock(&c->gate.lock);
  *flag = true;
  (void)pthread_cond_broadcast(&c->gate.changed);
  (void)pthread_mutex_unlock(&c->gate.lock);
}

static int32_t gated_reconcile_service(void *arg, const char *ns, const char *name, uint64_t *requeue_ms,
                                       struct ome_err *err) {
  struct service_worker *w = arg;

  return pass_gate(w->c) ? reconcile_service(w, ns, name, requeue_ms, err) : OME_OK;
}

#define GATED(fn)                                                                                                      \
  static int32_t gated_##fn(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {  \
    return pass_gate(arg) ? fn(arg, ns, name, requeue_ms, err) : OME_OK;                                               \
  }
GATED(reconcile_model)
GATED(reconcile_runtime)
GATED(reconcile_accelerator)
GATED(reconcile_benchmark)
GATED(reconcile_crd)
GATED(reconcile_node_record)

static int32_t start_workers(struct controller *c, struct ome_err *err) {
  for (size_t i = 0; i < SERVICE_WORKERS; i++) {
    struct service_worker *w = &c->workers[i];
    struct kube_queue_config cfg = {.name = "inferenceservice", .reconcile = gated_reconcile_service, .arg = w};
    w->c = c;
    w->applied = strmap_new(free);
    int32_t rc = w->applied ? kube_queue_new(&cfg, &w->queue, err) : fail_memory(err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

static void stop_workers(struct controller *c) {
  for (size_t i = 0; i < SERVICE_WORKERS; i++)
    kube_queue_free(c->workers[i].queue);
}

static void workers_fini(struct controller *c) {
  for (size_t i = 0; i < SERVICE_WORKERS; i++) {
    world_fini(&c->workers[i]);
    if (c->workers[i].applied)
      strmap_free(c->workers[i].applied);
    if (c->workers[i].revisions)
      strmap_free(c->workers[i].revisions);
  }
}

static int32_t start_queues(struct controller *c, struct ome_err *err) {
  static const struct {
    const char *name;
    kube_reconcile_fn *reconcile;
  } queues[QUEUE_COUNT] = {
      [QUEUE_MODELS] = {"basemodel", gated_reconcile_model},
      [QUEUE_RUNTIMES] = {"servingruntime", gated_reconcile_runtime},
      [QUEUE_ACCELERATORS] = {"acceleratorclass", gated_reconcile_accelerator},
      [QUEUE_BENCHMARKS] = {"benchmarkjob", gated_reconcile_benchmark},
      [QUEUE_CRDS] = {"customresourcedefinition", gated_reconcile_crd},
      [QUEUE_NODE_RECORDS] = {"noderecord", gated_reconcile_node_record},
  };

  for (size_t i = 0; i < QUEUE_COUNT; i++) {
    if (!queues[i].name)
      continue;
    struct kube_queue_config cfg = {.name = queues[i].name, .reconcile = queues[i].reconcile, .arg = c};
    int32_t rc = kube_queue_new(&cfg, &c->queues[i], err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool keep(const char *text, char **out) {
  *out = text ? strdup(text) : NULL;
  return !text || *out;
}

static bool keep_config(struct controller *c, const struct controller_config *cfg) {
  return keep(cfg->ome_namespace ? cfg->ome_namespace : "ome", &c->ome_namespace) &&
         keep(cfg->gateway_url, &c->gateway_url) && keep(cfg->program, &c->program) &&
         keep(cfg->plugins_conf, &c->plugins_conf);
}

static int32_t start(struct controller *c, const struct controller_config *cfg, struct ome_err *err) {
  c->client = cfg->client;
  c->plugins = cfg->plugins;
  c->revision_retention = cfg->revision_retention ? cfg->revision_retention : REVISIONS_KEPT;
  c->revision_grace_ms = cfg->revision_grace_ms ? cfg->revision_grace_ms : REVISION_GRACE_MS;
  c->secrets_next = strmap_new(free);
  if (!c->secrets_next || !keep_config(c, cfg))
    return fail_memory(err);
  int32_t rc = kube_recorder_new(c->client, "v1beta1Controllers", &c->recorder, err);
  if (rc == OME_OK)
    rc = start_queues(c, err);
  if (rc == OME_OK)
    rc = start_workers(c, err);
  if (rc == OME_OK)
    rc = start_watches(c, err);
  return rc == OME_OK ? await_watches(c, err) : rc;
}

int32_t controller_start(const struct controller_config *cfg, struct controller **out, struct ome_err *err) {
  struct controller *c = calloc(1, sizeof(*c));

  if (!c)
    return fail_memory(err);
  (void)pthread_mutex_init(&c->gate.lock, NULL);
  (void)pthread_mutex_init(&c->config.lock, NULL);
  (void)pthread_mutex_init(&c->further.lock, NULL);
  (void)pthread_cond_init(&c->gate.changed, NULL);
  int32_t rc = start(c, cfg, err);
  if (rc != OME_OK) {
    controller_stop(c);
    return rc;
  }
  set_gate(&c->gate.open, c);
  *out = c;
  return OME_OK;
}

/* Workers end before the caches that they read; events that still come then find nothing to queue into. */
void controller_stop(struct controller *c) {
  if (!c)
    return;
  set_gate(&c->gate.stopping, c);
  for (size_t i = 0; i < QUEUE_COUNT; i++)
    kube_queue_free(c->queues[i]);
  stop_workers(c);
  for (size_t i = 0; i < WATCH_COUNT; i++)
    kube_cache_stop(c->watches[i]);
  kinds_stop(c);
  for (size_t i = 0; i < WATCH_COUNT; i++)
    kube_cache_free(c->watches[i]);
  kube_recorder_free(c->recorder);
  workers_fini(c);
  free(c->ome_namespace);
  free(c->gateway_url);
  free(c->program);
  free(c->plugins_conf);
  (void)pthread_cond_destroy(&c->gate.changed);
  (void)pthread_mutex_destroy(&c->gate.lock);
  (void)pthread_mutex_destroy(&c->config.lock);
  free(c->config.good);
  if (c->secrets_next)
    strmap_free(c->secrets_next);
  (void)pthread_mutex_destroy(&c->further.lock);
  strmap_free(c->further.names);
  free(c);
}
