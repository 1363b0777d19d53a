/* One model on this node: looks at the world, asks the machine what to do, does it. */
#include "agent/internal.h"

#include "agent/cause.h"
#include "agent/measure.h"
#include "agent/scout.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LIST_MS 1000u                   /* for the caches, which are quick unless the API is away */
#define CHECK_AGAIN_MS ((uint64_t)300 * 1000) /* for what no event told */
#define NO_NODE_MS 5000u                      /* until the node is there; its event comes first */
#define MOST_STEPS 8                          /* no way through the machine is longer */

METRIC_COUNTER(evictions, "model_agent_evictions_total", "Models that made room for others on this node.", NULL);

/* ---- kit --------------------------------------------------------------------------------------------------------- */

void model_state_free(void *state) {
  struct model_state *s = state;

  if (s)
    free(s->request_id);
  free(s);
}

/* The one of KEY, made when absent; NULL: out of memory. */
static struct model_state *state_of(struct agent *a, const char *key) {
  (void)pthread_mutex_lock(&a->states.lock);
  struct model_state *s = strmap_get(a->states.models, key);
  if (!s && (s = calloc(1, sizeof(*s))) != NULL && !strmap_put(a->states.models, key, s)) {
    free(s);
    s = NULL;
  }
  (void)pthread_mutex_unlock(&a->states.lock);
  return s;
}

void agent_note_news(struct agent *a, const char *ns, const char *name) {
  _cleanup_free_ char *key = !name ? NULL : ns && *ns ? str_printf("%s/%s", ns, name) : strdup(name);

  (void)pthread_mutex_lock(&a->states.lock);
  for (struct strmap_iter it = strmap_first(a->states.models); it.key; strmap_next(&it))
    if (!key || streq(it.key, key))
      atomic_fetch_add(&((struct model_state *)it.value)->news, 1);
  (void)pthread_mutex_unlock(&a->states.lock);
}

static void forget_state(struct agent *a, const char *key) {
  (void)pthread_mutex_lock(&a->states.lock);
  (void)strmap_del(a->states.models, key);
  (void)pthread_mutex_unlock(&a->states.lock);
}

struct json_object *agent_model(const struct task *t) {
  return agent_find(t->agent, t->ns, t->name);
}

static int32_t tell_unless(const struct task *t, const struct record_entry *what,
                           bool (*said)(struct json_object *node, struct json_object *map,
                                        const struct record_entry *e),
                           struct ome_err *err) {
  struct agent *a = t->agent;
  struct record_entry e = *what;

  e.model_ns = t->ns;
  e.model = t->name;
  if (!e.progress) {
    _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
    _cleanup_json_ struct json_object *map = kube_cache_get(a->caches[WATCH_RECORD], a->ns, a->node);
    if (said(node, map, &e))
      return OME_OK;
  }
  return record_put(&a->record, &e, err);
}

int32_t agent_tell(const struct task *t, const struct record_entry *what, struct ome_err *err) {
  return tell_unless(t, what, record_has, err);
}

/* ---- what the world says ----------------------------------------------------------------------------------------- */

int32_t task_choose_store(struct task *t, struct ome_err *err) {
  char *path = NULL;
  int32_t rc = stores_choose(&t->agent->stores, t->model, t->key, t->state->bytes, &t->home, &path, err);

  if (rc != OME_OK)
    return rc;
  free(t->path);
  t->path = path;
  return OME_OK;
}

/* What is asked for: from where, to where, with which parameters. */
static int32_t read_request(struct task *t, struct ome_err *err) {
  const char *path = json_str(t->model, "spec.storage.path", "");

  t->uri = json_str(t->model, "spec.storage.storageUri", "");
  t->store = meta_annotation(t->model, STORE_ANNOTATION);
  t->max_rate = max_rate_of(t->model);
  t->request = request_of(t->model);
  (void)snprintf(t->uid, sizeof(t->uid), "%s", meta_uid(t->model));
  if (!t->request)
    return fail_memory(err);
  t->request_id = str_printf("%s\n%s\n%s\n%s\n%s\n%s\n%s", t->uid, t->uri, path, *path || !t->store ? "" : t->store,
                             t->request, t->max_rate, json_str(t->model, "spec.storage.key", ""));
  if (!t->request_id)
    return fail_memory(err);
  if (t->state->request_id && streq(t->state->request_id, t->request_id))
    return OME_OK;
  t->state->bytes = 0; /* of something else */
  free(t->state->request_id);
  t->state->request_id = strdup(t->request_id);
  return t->state->request_id ? OME_OK : fail_memory(err);
}

static int32_t check_path(const struct task *t, struct ome_err *err) {
  if (t->path[0] == '/' && path_is_safe(t->path + 1))
    return OME_OK;
  return fail(err, OME_E_INVALID, "spec.storage.path: \"%s\" is no plain absolute path", t->path);
}

static bool is_what_is_asked_for(const struct task *t, struct json_object *reference) {
  return streq(json_str(reference, "uri", ""), t->uri) && streq(json_str(reference, "path", ""), t->path) &&
         streq(json_str(reference, "request", ""), t->request);
}

/* From now on somebody watches the files; what they are now is looked at after that. */
static int32_t look_at_disk(struct task *t, struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};
  _cleanup_json_ struct json_object *reference = model_store_reference(t->home->files, t->key, &m);

  if (!reference || !json_flag(reference, "complete", false))
    return OME_OK;
  int32_t rc = presence_watch(t->agent->presence, t->queue_key, t->path, &m, err);
  json_unref(t->whole);
  t->whole = NULL;
  if (rc == OME_OK) {
    uint64_t began = mono_ms();
    t->whole = find_whole(t);
    if (is_what_is_asked_for(t, reference))
      measure_verified(t->ns, t->name, t->whole != NULL, mono_ms() - began);
  }
  if (!t->whole)
    presence_forget(t->agent->presence, t->queue_key);
  return rc;
}

/* Whether it was asked to make room and may, or did and is not wanted back. */
static bool is_evicted(struct task *t) {
  struct agent *a = t->agent;

  if (room_is_asked(t->home->room, t->key)) {
    if (t->whole && !model_stays(a, t->model))
      return true;
    room_answered(t->home->room, t->key); /* who waits for it has to ask others */
  }
  return !t->whole && model_made_room(t) && agent_knows_demand(a) && !model_stays(a, t->model);
}

/* A store that is not here is no reason not to say so: the attempt to bring the model fails with it. */
static int32_t choose_store(struct task *t, struct ome_err *err) {
  int32_t rc = task_choose_store(t, err);

  if (rc == OME_E_INVALID)
    err_clear(err);
  return rc == OME_E_INVALID ? OME_OK : rc;
}

static int32_t observe(struct task *t, struct json_object *node, enum happening *out, struct ome_err *err) {
  const struct scout_classes classes = agent_classes(t->agent);
  struct scout_decision decision;

  scout_decide(t->model, node, &classes, &decision);
  *out = HAPPENED_UNWANTED;
  if (decision.verdict == SCOUT_DROP)
    return OME_OK;
  int32_t rc = read_request(t, err);
  if (rc == OME_OK)
    rc = choose_store(t, err);
  if (rc == OME_OK && t->home)
    rc = look_at_disk(t, err);
  if (rc != OME_OK)
    return rc;
  if (t->home && is_evicted(t))
    *out = HAPPENED_EVICTED;
  else if (json_at(t->whole, "report"))
    *out = HAPPENED_WHOLE;
  else if (decision.verdict == SCOUT_HOLD)
    *out = HAPPENED_HELD;
  else if (retries_wait_ms(t->agent->retries, t->key, t->request_id, mono_ms(), NULL))
    *out = HAPPENED_BACKOFF;
  else
    *out = HAPPENED_MISSING;
  (void)snprintf(t->why, sizeof(t->why), "waiting: %.240s", decision.why);
  return OME_OK;
}

/* ---- actions ----------------------------------------------------------------------------------------------------- */

typedef int32_t act_fn(struct task *t, enum happening *happened, uint64_t *requeue_ms, struct ome_err *err);

static int32_t act_fetch(struct task *t, enum happening *happened, UNUSED uint64_t *requeue_ms, struct ome_err *err) {
  struct agent *a = t->agent;
  const struct record_entry updating = {.status = RECORD_UPDATING};
  uint64_t began = mono_ms();
  bool no_room = false;

  presence_forget(a->presence, t->queue_key);
  t->has_failed = retries_count(a->retries, t->key, t->request_id) > 0;
  /* What it was waiting for stays said until it comes: it may have to wait again. */
  int32_t rc = t->has_failed ? OME_OK : tell_unless(t, &updating, record_says, err);
  if (rc != OME_OK)
    return rc;
  rc = t->home ? check_path(t, err) : task_choose_store(t, err);
  if (rc == OME_OK)
    rc = bring(t, &no_room, err);
  if (no_room && !*t->why)
    (void)snprintf(t->why, sizeof(t->why), "waiting: enough other models are on their way to this node");
  *happened = no_room                 ? HAPPENED_NO_ROOM
              : rc == OME_OK          ? HAPPENED_FETCHED
              : rc == OME_E_CANCELLED ? HAPPENED_CANCELLED
                                      : HAPPENED_FAILED;
  if (*happened == HAPPENED_FETCHED) {
    measure_brought(t->ns, t->name, mono_ms() - began);
    kube_record(a->recorder, t->model, false, "ModelDownloaded", "verified and in place on node %s", a->node);
  }
  if (*happened == HAPPENED_FAILED)
    measure_failed(t->ns, t->name, err);
  if (*happened == HAPPENED_FAILED && retries_failed(a->retries, t->key, t->request_id, err, mono_ms())) {
    log_warning("agent", "%s: %s", t->key, err->msg);
    kube_record(a->recorder, t->model, true, "ModelDownloadFailed", "%s: %s", cause_name(cause_of(err)), err->msg);
  }
  err_clear(err);
  return OME_OK;
}

/* Pods mount what the spec names: the place that we chose is written there. */
static int32_t name_path(const struct task *t, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = json_object_new_object();

  if (*json_str(t->model, "spec.storage.path", ""))
    return OME_OK;
  if (!json_set_str(patch, "spec.storage.path", t->path))
    return fail_memory(err);
  const struct kube_resource *resource = name_is_weights(t->ns) ? &KUBE_FINETUNEDWEIGHTS
                                         : t->ns                ? &KUBE_BASEMODELS
                                                                : &KUBE_CLUSTERBASEMODELS;
  return kube_patch(t->agent->client, resource, name_api_ns(t->ns), t->name, NULL, KUBE_PATCH_MERGE, patch, NULL, err);
}

/* What it was before is another store's: it is here now. */
static int32_t leave_other_stores(const struct task *t, struct ome_err *err) {
  const struct stores *s = &t->agent->stores;
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < s->len; i++) {
    if (&s->list[i] == t->home || !model_store_holds(s->list[i].files, t->key))
      continue;
    rc = model_store_remove(s->list[i].files, t->key, err);
    stores_collect_garbage(s);
    room_changed(s->list[i].room);
  }
  return rc;
}

static int32_t act_publish(struct task *t, enum happening *happened, uint64_t *requeue_ms, struct ome_err *err) {
  const struct record_entry ready = {.status = RECORD_READY, .config = json_at(t->whole, "report")};
  int32_t rc = name_path(t, err);

  retries_forget(t->agent->retries, t->key);
  budget_forget(t->agent->budget, t->queue_key);
  *requeue_ms = CHECK_AGAIN_MS;
  if (model_stays(t->agent, t->model) & RESIDENT_REFERENCED)
    model_store_touch(t->home->files, t->key);
  room_check(t->home->room);
  if (rc == OME_OK)
    rc = leave_other_stores(t, err);
  if (rc == OME_OK)
    rc = model_store_set_owned(t->home->files, t->key, !model_is_reserved(t->model), err);
  if (rc == OME_OK)
    rc = agent_tell(t, &ready, err);
  if (rc == OME_OK && *happened == HAPPENED_FETCHED) {
    rc = look_at_disk(t, err);
    if (!t->whole) /* so soon */
      *requeue_ms = 1;
  }
  return rc;
}

/* Says what went wrong, in words and as a class; then it is tried again after a while, whatever happens. */
static int32_t act_fail(struct task *t, UNUSED enum happening *happened, uint64_t *requeue_ms, struct ome_err *err) {
  struct ome_err why = ERR_INIT;
  uint64_t wait = retries_wait_ms(t->agent->retries, t->key, t->request_id, mono_ms(), &why);
  const struct record_entry failed = {.status = RECORD_FAILED, .cause = cause_name(cause_of(&why)), .message = why.msg};

  *requeue_ms = wait ? wait : 1;
  return wait ? agent_tell(t, &failed, err) : OME_OK;
}

static int32_t act_wait(struct task *t, UNUSED enum happening *happened, uint64_t *requeue_ms, struct ome_err *err) {
  const struct record_entry waiting = {.status = RECORD_UPDATING, .message = t->why};

  *requeue_ms = CHECK_AGAIN_MS;
  return agent_tell(t, &waiting, err);
}

/* Whether the cluster may have heard of the model from here.  A model that is going is not looked at again, and the
 * cache may lag behind our own last write: then the server is asked. */
static int32_t was_told(const struct task *t, bool *out, struct ome_err *err) {
  struct agent *a = t->agent;
  _cleanup_free_ char *label = name_model_label(t->ns, t->name);
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  _cleanup_json_ struct json_object *map = NULL;
  int32_t rc = label ? OME_OK : fail_memory(err);

  if (rc == OME_OK && (!t->model || meta_deleting(t->model)))
    rc = kube_get(a->client, &KUBE_CONFIGMAPS, a->ns, a->node, &map, err);
  else
    map = kube_cache_get(a->caches[WATCH_RECORD], a->ns, a->node);
  if (rc != OME_OK && rc != OME_E_NOT_FOUND)
    return rc;
  err_clear(err);
  *out = json_get(json_at(map, "data"), t->key) || (label && meta_label(node, label)) ||
         stores_holding(&a->stores, t->key);
  return OME_OK;
}

/* What is reserved outlives its model: it is nobody's. */
static bool is_nobodys(struct model_store *files, const char *key) {
  _cleanup_manifest_ struct manifest none = {0};
  _cleanup_json_ struct json_object *o = model_store_reference(files, key, &none);

  return o && json_flag(o, "complete", false) && !json_flag(o, "owned", false);
}

/* *GONE: something was removed. */
static int32_t let_go_of_files_in(const struct task *t, struct model_store *files, bool *gone, struct ome_err *err) {
  int32_t rc = OME_OK;

  if (t->model && model_is_reserved(t->model))
    rc = model_store_set_owned(files, t->key, false, err);
  if (rc != OME_OK || is_nobodys(files, t->key) || !model_store_holds(files, t->key))
    return rc;
  rc = model_store_remove(files, t->key, err);
  *gone |= rc == OME_OK;
  return rc;
}

static int32_t let_go_of_files(const struct task *t, struct ome_err *err) {
  const struct stores *s = &t->agent->stores;
  bool gone = false;
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < s->len; i++)
    rc = let_go_of_files_in(t, s->list[i].files, &gone, err);
  if (gone) {
    stores_collect_garbage(s);
    stores_changed(s);
  }
  return rc;
}

/* Pods lose the label first.  The answer is the last thing: who waits for the room finds it. */
static int32_t act_evict(struct task *t, UNUSED enum happening *happened, uint64_t *requeue_ms, struct ome_err *err) {
  static const char why[] = "made room for other models; it comes back when a service or a pod uses it";
  struct agent *a = t->agent;
  const struct record_entry evicted = {.status = RECORD_EVICTED, .message = why};
  bool first = t->whole != NULL;
  int32_t rc = agent_tell(t, &evicted, err);

  presence_forget(a->presence, t->queue_key);
  peers_forget(a->peers, t->key);
  room_forget(t->home->room, t->key);
  *requeue_ms = CHECK_AGAIN_MS;
  if (rc == OME_OK)
    rc = model_store_evict(t->home->files, t->key, err);
  if (rc != OME_OK)
    return rc;
  if (first) {
    stores_collect_garbage(&a->stores);
    metric_add(METRIC(&evictions), 1);
    log_info("agent", "%s: evicted, nobody uses it and others need the room", t->key);
    kube_record(a->recorder, t->model, false, "ModelEvicted", "%s: node %s", why, a->node);
  }
  room_answered(t->home->room, t->key);
  return OME_OK;
}

/* Pods first lose the label, then the files go, then the cluster hears that they are gone. */
static int32_t act_remove(struct task *t, enum happening *happened, UNUSED uint64_t *requeue_ms, struct ome_err *err) {
  struct agent *a = t->agent;
  bool told = false;
  int32_t rc = was_told(t, &told, err);

  presence_forget(a->presence, t->queue_key);
  budget_forget(a->budget, t->queue_key);
  retries_forget(a->retries, t->key);
  peers_forget(a->peers, t->key);
  if (rc == OME_OK && told)
    rc = record_unlabel(&a->record, t->ns, t->name, err);
  if (rc == OME_OK)
    rc = let_go_of_files(t, err);
  stores_forget(&a->stores, t->key);
  if (rc == OME_OK && told)
    rc = record_remove(&a->record, t->ns, t->name, err);
  *happened = HAPPENED_REMOVED;
  return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void enter(struct task *t, enum phase next) {
  struct model_state *s = t->state;
  uint64_t now = mono_ms();

  if (next == s->phase)
    return;
  log_debug("agent", "%s: %s, was %s", t->key, phase_name(next), phase_name(s->phase));
  measure_phase(s->phase, now - s->since_ms, next);
  s->phase = next;
  s->since_ms = now;
}

static int32_t run(struct task *t, enum happening happened, uint64_t *requeue_ms, struct ome_err *err) {
  static act_fn *const acts[ACTIONS] = {
      [ACTION_FETCH] = act_fetch, [ACTION_PUBLISH] = act_publish, [ACTION_FAIL] = act_fail,
      [ACTION_WAIT] = act_wait,   [ACTION_EVICT] = act_evict,     [ACTION_REMOVE] = act_remove,
  };

  for (int i = 0; i < MOST_STEPS; i++) {
    struct transition next = machine_step(t->state->phase, happened);
    enter(t, next.next);
    if (next.action == ACTION_NONE)
      return OME_OK;
    int32_t rc = acts[next.action](t, &happened, requeue_ms, err);
    if (rc != OME_OK)
      return rc;
    if (next.action != ACTION_FETCH && next.action != ACTION_REMOVE)
      return OME_OK;
  }
  return fail(err, OME_E_INTERNAL, "%s: the machine does not come to rest", t->key);
}

static int32_t look_at(struct task *t, uint64_t *requeue_ms, struct ome_err *err) {
  struct agent *a = t->agent;
  enum happening happened;

  /* Just started: models may be listed before the node and what was told of them. */
  (void)kube_cache_wait(a->caches[WATCH_NODE], FIRST_LIST_MS);
  (void)kube_cache_wait(a->caches[WATCH_RECORD], FIRST_LIST_MS);
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  if (!node && t->model && !meta_deleting(t->model)) { /* nobody to decide for, and nobody to tell */
    *requeue_ms = NO_NODE_MS;
    return OME_OK;
  }
  int32_t rc = observe(t, node, &happened, err);
  return rc == OME_OK ? run(t, happened, requeue_ms, err) : rc;
}

/* Whether its key is that of another model, which has it. */
static bool is_crowded_out(const struct agent *a, const char *ns, const char *name) {
  const char *other_ns = NULL;
  _cleanup_free_ char *rival = name_rival(ns, name, &other_ns);
  _cleanup_json_ struct json_object *there = rival ? agent_find(a, other_ns, rival) : NULL;

  return there != NULL;
}

int32_t reconcile_model_on_node(void *arg, const char *ns, const char *name, uint64_t *requeue_ms,
                                struct ome_err *err) {
  struct agent *a = arg;
  struct task t = {.agent = a, .ns = ns, .name = name, .key = name_model_key(ns, name)};
  int32_t rc;

  /* Before they are listed no model is there, and none of them is gone. */
  if (!agent_has_listed(a, ns)) {
    free(t.key);
    *requeue_ms = FIRST_LIST_MS;
    return OME_OK;
  }
  if (is_crowded_out(a, ns, name)) { /* the controller says so */
    free(t.key);
    return OME_OK;
  }
  t.queue_key = ns ? str_printf("%s/%s", ns, name) : strdup(name);
  t.state = t.queue_key ? state_of(a, t.queue_key) : NULL;
  if (t.state)
    atomic_init(&t.seen, atomic_load(&t.state->news)); /* before the model: what comes in between is news */
  t.model = agent_model(&t);
  rc = t.key && t.state ? look_at(&t, requeue_ms, err) : fail_memory(err);
  if (rc == OME_OK && !t.model)
    forget_state(a, t.queue_key);
  json_unref(t.model);
  json_unref(t.whole);
  free(t.path);
  free(t.request);
  free(t.request_id);
  free(t.key);
  free(t.queue_key);
  return rc;
}
