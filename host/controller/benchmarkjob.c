/* BenchmarkJob: a Job that measures, and what it found in the status. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/benchmark.h"
#include "compose/benchmark_status.h"
#include "compose/jobs.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

/* OME's controller puts it on benchmarks and takes it off; it guards nothing here, where owner references clean up. */
#define OME_FINALIZER "benchmarkjob.finalizers"
#define CONFIG_NAME "benchmarkjob-config"
#define CONFIG_KEY "benchmarkjob"

#define PROGRESS_MS 2000u /* how often a running benchmark is asked how far it is */
#define LOG_LINES 25u     /* the last event is among them: what is said of failures comes after it */

static int32_t drop_finalizer(struct controller *c, struct json_object *job, struct ome_err *err) {
  if (!meta_remove_finalizer(job, OME_FINALIZER))
    return OME_OK;
  int32_t rc = kube_update(c->client, &KUBE_BENCHMARKJOBS, job, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

void requeue_benchmarks_of(struct controller *c, const char *ns, const char *name) {
  _cleanup_json_ struct json_object *all = kube_cache_list(c->watches[WATCH_BENCHMARKS], NULL);

  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *job = json_index(all, i);
    const char *of = benchmark_service_namespace(job);
    if (of && streq(of, ns) && streq(json_str(job, "spec.endpoint.inferenceService.name", ""), name))
      enqueue(c, QUEUE_BENCHMARKS, meta_namespace(job), meta_name(job));
  }
}

/* ---- gathering --------------------------------------------------------------------------------------------------- */

/* What benchmark_facts borrows. */
struct facts {
  struct json_object *service, *models, *runtime, *workload, *config;
};

static void facts_fini(struct facts *f) {
  json_unref(f->service);
  json_unref(f->models);
  json_unref(f->runtime);
  json_unref(f->workload);
  json_unref(f->config);
}

/* new; NULL: there is none, or it cannot be read, which is logged. */
static struct json_object *read_config(struct controller *c) {
  _cleanup_json_ struct json_object *map =
      kube_cache_get(c->watches[WATCH_BENCHMARK_CONFIG], c->ome_namespace, CONFIG_NAME);
  const char *text = json_object_get_string(json_get(json_get(map, "data"), CONFIG_KEY));
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (text && json_parse(text, strlen(text), 0, &o, &err) != OME_OK)
    log_warning("controller", "ConfigMap %s/" CONFIG_NAME ": " CONFIG_KEY ": %s; benchmarks run without it",
                c->ome_namespace, err.msg);
  return o;
}

static struct json_object *find_runtime(struct controller *c, struct json_object *service) {
  const char *name = json_str(service, "status.selection.selected.runtime", json_str(service, "spec.runtime.name", ""));
  struct json_object *own = kube_cache_get(c->watches[WATCH_RUNTIMES], meta_namespace(service), name);

  return own ? own : kube_cache_get(c->watches[WATCH_CLUSTER_RUNTIMES], NULL, name);
}

/* The engine's Deployment, where it has one. */
static struct json_object *find_workload(struct controller *c, struct json_object *service) {
  _cleanup_free_ char *name = component_name(meta_name(service), component_kinds[0]);

  for (size_t i = 0; name && i < CHILD_KINDS; i++)
    if (streq(c->children[i].resource->kind, "Deployment") && child_cache(&c->children[i]))
      return kube_cache_get(c->children[i].cache, meta_namespace(service), name);
  return NULL;
}

static void gather(struct controller *c, struct json_object *job, struct facts *owned, struct benchmark_facts *out) {
  const char *ns = benchmark_service_namespace(job);
  const char *name = json_str(job, "spec.endpoint.inferenceService.name", "");

  owned->config = read_config(c);
  if (ns)
    owned->service = kube_cache_get(c->watches[WATCH_SERVICES], ns, name);
  if (owned->service) {
    struct json_object *s = owned->service;
    const char *model = json_str(s, "spec.model.name", json_str(s, "spec.predictor.model.baseModel", ""));
    owned->models = world_models(c, s);
    owned->runtime = find_runtime(c, s);
    owned->workload = find_workload(c, s);
    out->model = plan_find_model(owned->models, ns, model);
  }
  out->job = job;
  out->service = owned->service;
  out->runtime = owned->runtime;
  out->workload = owned->workload;
  out->config = owned->config;
  out->program = c->program;
  out->plugins = c->plugins_conf;
  out->embedded = c->gateway_url != NULL;
}

/* ---- its Job ----------------------------------------------------------------------------------------------------- */

static int32_t check_owner(struct json_object *job, const char *kind, struct json_object *o, struct ome_err *err) {
  if (meta_is_owned_by(o, job))
    return OME_OK;
  return fail(err, OME_E_EXISTS, "%s %s/%s belongs to somebody else; delete it or give the benchmark another name",
              kind, meta_namespace(o), meta_name(o));
}

/* *OUT is new: the Job of JOB; NULL: there is none.  One of the same name that is somebody else's is an error. */
static int32_t find_batch(struct controller *c, struct json_object *job, struct json_object **out,
                          struct ome_err *err) {
  _cleanup_free_ char *name = benchmark_job_name(job);

  if (!name)
    return fail_memory(err);
  *out = kube_cache_get(c->watches[WATCH_JOBS], meta_namespace(job), name);
  return *out ? check_owner(job, "Job", *out, err) : OME_OK;
}

/* Whether BATCH runs the spec as it is now. */
static bool is_current(struct json_object *job, struct json_object *batch) {
  const char *generation = meta_annotation(batch, ANNOTATION_BENCHMARK_GENERATION);
  int64_t n = 0;

  return generation && str_to_i64(generation, &n) && n == meta_generation(job);
}

static int32_t apply_config(struct controller *c, struct json_object *job, struct json_object *want,
                            struct ome_err *err) {
  _cleanup_json_ struct json_object *have = NULL;
  int32_t rc = kube_get(c->client, &KUBE_CONFIGMAPS, meta_namespace(want), meta_name(want), &have, err);

  if (rc == OME_OK)
    rc = check_owner(job, "ConfigMap", have, err);
  if (rc != OME_OK && rc != OME_E_NOT_FOUND)
    return rc;
  return kube_apply(c->client, &KUBE_CONFIGMAPS, want, NULL, CONTROLLER_MANAGER, true, NULL, err);
}

/* *BATCH is new.  What the cache does not show yet may be there: our own from a moment ago. */
static int32_t create_batch(struct controller *c, struct json_object *job, struct json_object *want,
                            struct json_object **batch, struct ome_err *err) {
  int32_t rc = kube_create(c->client, &KUBE_JOBS, want, batch, err);

  if (rc != OME_E_EXISTS)
    return rc;
  err_clear(err);
  rc = kube_get(c->client, &KUBE_JOBS, meta_namespace(want), meta_name(want), batch, err);
  return rc == OME_OK ? check_owner(job, "Job", *batch, err) : rc;
}

/* Starts the benchmark where nothing is in its way; OUT says what is. */
static int32_t begin(struct controller *c, struct json_object *job, struct benchmark_plan *out,
                     struct json_object **batch, struct ome_err *err) {
  _cleanup_(facts_fini) struct facts owned = {0};
  struct benchmark_facts facts = {0};

  gather(c, job, &owned, &facts);
  int32_t rc = benchmark_plan(&facts, out, err);
  if (rc != OME_OK || !out->job)
    return rc;
  rc = apply_config(c, job, out->config_map, err);
  if (rc == OME_OK)
    rc = create_batch(c, job, out->job, batch, err);
  if (rc == OME_OK)
    kube_record(c->recorder, job, false, "BenchmarkStarted", "Job %s measures; results go to %s", meta_name(out->job),
                out->report_uri);
  return rc;
}

/* ---- what it says ------------------------------------------------------------------------------------------------ */

/* new: the youngest pod of BATCH; NULL: none. */
static struct json_object *newest_pod(struct controller *c, struct json_object *batch) {
  _cleanup_json_ struct json_object *pods =
      batch ? kube_cache_owned(c->watches[WATCH_JOB_PODS], meta_uid(batch)) : NULL;
  struct json_object *newest = NULL;

  for (size_t i = 0; i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    if (!newest ||
        strcmp(json_str(pod, "metadata.creationTimestamp", ""), json_str(newest, "metadata.creationTimestamp", "")) > 0)
      newest = pod;
  }
  return json_object_get(newest);
}

/* new: the last event in the log of POD; NULL: it has said nothing yet.  A log that cannot be had costs the figures in
 * the status, not the benchmark. */
static struct json_object *last_event(struct controller *c, struct json_object *pod) {
  _cleanup_free_ char *log = NULL;
  struct ome_err err = ERR_INIT;

  if (!pod || streq(json_str(pod, "status.phase", "Pending"), "Pending"))
    return NULL;
  int32_t rc = kube_pod_log(c->client, meta_namespace(pod), meta_name(pod), BENCHMARK_CONTAINER, LOG_LINES, &log, &err);
  if (rc != OME_OK)
    log_info("controller", "log of pod %s/%s: %s", meta_namespace(pod), meta_name(pod), err.msg);
  return rc == OME_OK ? job_last_event(log) : NULL;
}

static int32_t write_status(struct controller *c, const struct benchmark_observation *seen, struct ome_err *err) {
  struct json_object *job = seen->job;
  _cleanup_json_ struct json_object *status = NULL;
  _cleanup_free_ char *before = strdup(json_str(job, "status.state", ""));
  int32_t rc = benchmark_status(seen, &status, err);

  if (rc != OME_OK || json_equal(status, json_get(job, "status")))
    return rc;
  const char *state = json_str(status, "state", "");
  const char *message = json_str(status, "failureMessage", json_str(status, "details", ""));
  if (before && !streq(before, state) && (streq(state, "Failed") || streq(state, "Completed")))
    kube_record(c->recorder, job, streq(state, "Failed"),
                streq(state, "Failed") ? "BenchmarkFailed" : "BenchmarkCompleted", "%s", message);
  if (!json_set(job, "status", json_object_get(status)))
    return fail_memory(err);
  rc = kube_update_status(c->client, &KUBE_BENCHMARKJOBS, job, NULL, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* Trouble that lasts is told where people look; what passes is tried again in silence. */
static int32_t tell_failure(struct controller *c, struct json_object *job, int32_t rc, struct ome_err *err) {
  if (err_retryable(rc) || rc == OME_E_NO_MEMORY || rc == OME_E_CONFLICT)
    return rc;
  /* What the API server finds wrong with the Job, the spec said. */
  struct benchmark_plan failed = {.waiting = rc != OME_E_INVALID, .reason = "Refused"};
  (void)snprintf(failed.message, sizeof(failed.message), "%s", err->msg);
  const struct benchmark_observation seen = {.job = job, .plan = &failed, .now_ms = wall_ms()};
  struct ome_err ignored = ERR_INIT;
  (void)write_status(c, &seen, &ignored);
  return rc;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static int32_t bring_about(struct controller *c, struct json_object *job, uint64_t *requeue_ms, struct ome_err *err) {
  _cleanup_(benchmark_plan_fini) struct benchmark_plan plan = {0};
  _cleanup_json_ struct json_object *batch = NULL;
  int32_t rc = find_batch(c, job, &batch, err);

  if (rc == OME_OK && batch && !is_current(job, batch)) {
    /* The spec changed: what ran for the one before goes, and its end brings us back here. */
    if (!meta_deleting(batch))
      rc = kube_delete(c->client, &KUBE_JOBS, meta_namespace(batch), meta_name(batch), meta_uid(batch), KUBE_BACKGROUND,
                       err);
    return rc == OME_E_NOT_FOUND ? OME_OK : rc;
  }
  if (rc == OME_OK && benchmark_is_over(job))
    return OME_OK; /* whatever became of its Job since */
  if (rc == OME_OK && !batch)
    rc = begin(c, job, &plan, &batch, err);
  if (rc != OME_OK)
    return tell_failure(c, job, rc, err);
  _cleanup_json_ struct json_object *pod = newest_pod(c, batch);
  _cleanup_json_ struct json_object *event = last_event(c, pod);
  const struct benchmark_observation seen = {
      .job = job, .plan = &plan, .batch = batch, .pod = pod, .event = event, .now_ms = wall_ms()};
  rc = write_status(c, &seen, err);
  if (rc == OME_OK && streq(json_str(job, "status.state", ""), "Running"))
    *requeue_ms = PROGRESS_MS;
  return rc;
}

int32_t reconcile_benchmark(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct controller *c = arg;
  _cleanup_json_ struct json_object *job = kube_cache_get(c->watches[WATCH_BENCHMARKS], ns, name);

  if (!job)
    return OME_OK; /* its objects go by their owner references */
  if (meta_deleting(job))
    return drop_finalizer(c, job, err);
  return bring_about(c, job, requeue_ms, err);
}
