/* Models on persistent volume claims: no agent brings them.  What the claim is is seen here, what is on it is read by a
 * Job that can mount it; both are said in OME's conditions and reasons. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/claim_job.h"
#include "compose/jobs.h"
#include "compose/names.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <string.h>

#define ON_CLAIM "claim"                                   /* the index's value */
#define ANNOTATION_CLAIM_FACTS "models.ome.io/claim-facts" /* {job, config}: what was read, and by which Job */
#define PENDING_MS 5000u
#define RETRY_MS ((int64_t)300 * 1000)
#define LOG_LINES 5u

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

/* ---- who reads it ------------------------------------------------------------------------------------------------ */

void claim_look_fini(struct claim_look *l) {
  json_unref(l->config);
  free(l->facts);
}

/* Of inferenceservice-config; new; NULL: nothing, or nothing that can be read, which is said where services are. */
static struct json_object *reader_config(struct controller *c) {
  _cleanup_json_ struct json_object *map =
      kube_cache_get(c->watches[WATCH_CONFIG], c->ome_namespace, "inferenceservice-config");
  const char *text = json_object_get_string(json_get(json_get(map, "data"), "omeAgent"));
  struct json_object *o = NULL;
  struct ome_err ignored = ERR_INIT;

  if (text)
    (void)json_parse(text, strlen(text), 0, &o, &ignored);
  return o;
}

/* What was read before, by the Job NAME; new; NULL: nothing. */
static struct json_object *known_facts(struct json_object *model, const char *name) {
  const char *text = meta_annotation(model, ANNOTATION_CLAIM_FACTS);
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err ignored = ERR_INIT;

  if (!text || json_parse(text, strlen(text), 0, &o, &ignored) != OME_OK || !streq(json_str(o, "job", ""), name))
    return NULL;
  return json_object_get(json_get(o, "config"));
}

static char *facts_text(const char *name, struct json_object *config) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  return json_set_str(o, "job", name) && json_set(o, "config", json_object_get(config)) ? json_text(o) : NULL;
}

/* new: the pod of JOB, the last one there is; NULL: none. */
static struct json_object *pod_of(struct controller *c, struct json_object *job) {
  const struct kube_list_opts opts = {.labels = CLAIM_JOB_LABEL "=" CLAIM_JOB_COMPONENT};
  _cleanup_json_ struct json_object *list = NULL;
  struct json_object *found = NULL;
  struct ome_err err = ERR_INIT;

  if (kube_list(c->client, &KUBE_PODS, meta_namespace(job), &opts, &list, &err) != OME_OK)
    log_info("controller", "pods of Job %s/%s: %s", meta_namespace(job), meta_name(job), err.msg);
  for (size_t i = 0; i < json_len(json_at(list, "items")); i++)
    if (meta_is_owned_by(json_index(json_at(list, "items"), i), job))
      found = json_index(json_at(list, "items"), i);
  return json_object_get(found);
}

/* What POD said; new; NULL: nothing. */
static struct json_object *event_of(struct controller *c, struct json_object *pod) {
  _cleanup_free_ char *log = NULL;
  struct ome_err err = ERR_INIT;

  if (pod && kube_pod_log(c->client, meta_namespace(pod), meta_name(pod), CLAIM_JOB_CONTAINER, LOG_LINES, &log, &err) ==
                 OME_OK)
    return job_last_event(log);
  if (pod)
    log_info("controller", "log of pod %s/%s: %s", meta_namespace(pod), meta_name(pod), err.msg);
  return NULL;
}

static bool has_ended(struct json_object *job, const char *how) {
  struct json_object *condition = json_find(json_at(job, "status.conditions"), "type", how);

  return streq(json_str(condition, "status", ""), "True");
}

/* Adapters may be archives, which pods unpack: nothing is to be said of them. */
static int32_t result_of(struct json_object *model, struct json_object *event, struct json_object **out,
                         struct ome_err *err) {
  int32_t rc = claim_job_result(event, out, err);

  if (rc != OME_E_UNSUPPORTED || !streq(json_str(model, "kind", ""), "FineTunedWeight"))
    return rc;
  err_clear(err);
  *out = json_object_new_object();
  return *out ? OME_OK : fail_memory(err);
}

/* The Job has done its work, or what it could. */
static void look_at_end(struct controller *c, struct json_object *model, struct json_object *job,
                        struct claim_look *out) {
  _cleanup_json_ struct json_object *pod = pod_of(c, job);
  _cleanup_json_ struct json_object *event = event_of(c, pod);
  char trouble[JOB_TROUBLE_TEXT];

  out->state = result_of(model, event, &out->config, &out->why) == OME_OK ? CLAIM_READ : CLAIM_FAILED;
  if (out->state == CLAIM_READ && !(out->facts = facts_text(meta_name(job), out->config)))
    out->state = CLAIM_READING; /* out of memory: looked at again */
  if (out->state == CLAIM_FAILED && !event && job_pod_trouble(pod, trouble))
    (void)fail(&out->why, OME_E_UNAVAILABLE, "%s", trouble);
}

static void look_at_pod(struct controller *c, struct json_object *job, struct claim_look *out) {
  _cleanup_json_ struct json_object *pod = pod_of(c, job);
  char trouble[JOB_TROUBLE_TEXT];

  out->state = CLAIM_READING;
  out->again_ms = PENDING_MS;
  if (job_pod_trouble(pod, trouble))
    (void)fail(&out->why, OME_E_UNAVAILABLE, "Job %s/%s: %s", meta_namespace(job), meta_name(job), trouble);
  else
    (void)fail(&out->why, OME_E_UNAVAILABLE, "Job %s/%s reads the model's files", meta_namespace(job), meta_name(job));
}

static int32_t drop_job(struct controller *c, struct json_object *job, struct ome_err *err) {
  if (meta_deleting(job))
    return OME_OK;
  int32_t rc =
      kube_delete(c->client, &KUBE_JOBS, meta_namespace(job), meta_name(job), meta_uid(job), KUBE_BACKGROUND, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* One that failed is made anew after a while: files come, and rights are given. */
static int32_t retry_later(struct controller *c, struct json_object *job, struct claim_look *out, struct ome_err *err) {
  struct json_object *failed = json_find(json_at(job, "status.conditions"), "type", "Failed");
  int64_t since_ms = wall_ms();

  (void)time_parse(json_str(failed, "lastTransitionTime", json_str(job, "status.completionTime", "")), &since_ms);
  int64_t left_ms = since_ms + RETRY_MS - wall_ms();
  out->again_ms = left_ms > 0 ? (uint64_t)left_ms : PENDING_MS;
  return left_ms > 0 ? OME_OK : drop_job(c, job, err);
}

/* Those for an address that the model no longer has. */
static int32_t drop_others(struct controller *c, struct json_object *model, const char *name, struct ome_err *err) {
  _cleanup_json_ struct json_object *jobs = kube_cache_owned(c->watches[WATCH_CLAIM_JOBS], meta_uid(model));
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < json_len(jobs); i++)
    if (!name || !streq(meta_name(json_index(jobs, i)), name))
      rc = drop_job(c, json_index(jobs, i), err);
  return rc;
}

static int32_t begin(struct controller *c, struct json_object *model, const struct claim *claim, const char *ns,
                     struct claim_look *out, struct ome_err *err) {
  _cleanup_json_ struct json_object *config = reader_config(c);
  const struct claim_job_facts facts = {model, claim, ns, config, c->program, c->gateway_url != NULL};
  _cleanup_json_ struct json_object *job = claim_job(&facts);

  if (!job)
    return fail_memory(err);
  out->state = CLAIM_PENDING;
  (void)fail(&out->why, OME_E_UNAVAILABLE, "Job %s/%s is to read the model's files", ns, meta_name(job));
  int32_t rc = kube_create(c->client, &KUBE_JOBS, job, NULL, err);
  if (rc == OME_OK || rc == OME_E_EXISTS || err_retryable(rc)) { /* what exists is seen in a moment */
    out->again_ms = PENDING_MS;
    return rc == OME_E_EXISTS ? (err_clear(err), OME_OK) : rc;
  }
  out->state = CLAIM_FAILED;
  out->why = *err;
  out->again_ms = RETRY_MS;
  err_clear(err);
  return OME_OK;
}

/* The Job NAME in NS, from nothing to what it said. */
static int32_t follow(struct controller *c, struct json_object *model, const struct claim *claim, const char *ns,
                      const char *name, struct claim_look *out, struct ome_err *err) {
  _cleanup_json_ struct json_object *job = kube_cache_get(c->watches[WATCH_CLAIM_JOBS], ns, name);
  bool failed = has_ended(job, "Failed");

  if (!job)
    return begin(c, model, claim, ns, out, err);
  if (!failed && !has_ended(job, "Complete")) {
    look_at_pod(c, job, out);
    return OME_OK;
  }
  look_at_end(c, model, job, out);
  return out->state == CLAIM_FAILED ? retry_later(c, job, out, err) : OME_OK;
}

int32_t claim_model_look(struct controller *c, struct json_object *model, struct claim_look *out, struct ome_err *err) {
  _cleanup_(claim_fini) struct claim claim = {0};
  _cleanup_free_ char *name = claim_job_name(model);
  const struct verdict v = judge(c, model);
  struct ome_err ignored = ERR_INIT;

  if (!name)
    return fail_memory(err);
  int32_t rc = drop_others(c, model, name, err);
  if (rc != OME_OK || !streq(v.reachable, "True") ||
      claim_parse(json_str(model, "spec.storage.storageUri", ""), &claim, &ignored) != OME_OK)
    return rc;
  out->config = known_facts(model, name);
  out->state = CLAIM_READ;
  if (out->config) /* nobody needs the Job any more */
    return drop_others(c, model, NULL, err);
  return follow(c, model, &claim, claim.ns ? claim.ns : meta_namespace(model), name, out, err);
}

/* ---- what is said of it ------------------------------------------------------------------------------------------ */

bool claim_model_status(struct controller *c, struct json_object *model, const struct claim_look *look) {
  static const struct {
    const char *state, *ready, *reason;
  } said[] = {
      [CLAIM_UNREAD] = {"Ready", "True", "PVCMetadataReady"},
      [CLAIM_PENDING] = {"In_Transit", "False", "PVCMetadataPending"},
      [CLAIM_READING] = {"In_Transit", "False", "PVCMetadataExtracting"},
      [CLAIM_FAILED] = {"Failed", "False", "PVCMetadataExtractionFailed"},
      [CLAIM_READ] = {"Ready", "True", "PVCMetadataReady"},
  };
  struct verdict v = judge(c, model);
  int64_t now = wall_ms();
  bool absent = look->state == CLAIM_FAILED && look->why.code == OME_E_NOT_FOUND;

  if (absent) { /* the claim is there, what the address names in it is not */
    v.reachable = "False";
    v.reason = "SourceNotReachable";
    v.why = look->why;
  }
  (void)meta_set_condition(model, "SourceReachable", v.reachable, v.reason, v.why.msg, now);
  if (!absent && streq(v.reachable, "False")) {
    (void)meta_set_condition(model, "Ready", "False", v.reason, v.why.msg, now);
    return json_set_str(model, "status.state", v.state);
  }
  if (meta_set_condition(model, "Ready", said[look->state].ready, said[look->state].reason, look->why.msg, now) &&
      look->state == CLAIM_FAILED)
    kube_record(c->recorder, model, true, said[look->state].reason, "%s", look->why.msg);
  return json_set_str(model, "status.state", said[look->state].state);
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

void claim_model_mark(struct json_object *model, const struct claim_look *look) {
  meta_set_annotation(model, ANNOTATION_CLAIM_FACTS, look->facts);
}

void on_claim_job(void *arg, const struct kube_event *e) {
  struct json_object *owner = meta_owner(e->object);
  const char *kind = json_str(owner, "kind", ""), *name = json_str(owner, "name", "");

  if (streq(kind, "BaseModel"))
    enqueue(arg, QUEUE_MODELS, meta_namespace(e->object), name);
  else if (streq(kind, "ClusterBaseModel"))
    enqueue(arg, QUEUE_MODELS, NULL, name);
  else if (streq(kind, "FineTunedWeight"))
    enqueue(arg, QUEUE_MODELS, NS_WEIGHTS, name);
}
