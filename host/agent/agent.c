#include "agent/agent.h"

#include "agent/credentials.h"
#include "agent/keeper.h"
#include "agent/peers.h"
#include "agent/record.h"
#include "agent/retry.h"
#include "agent/scout.h"
#include "agent/shape.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/cache.h"
#include "kube/event.h"
#include "kube/meta.h"
#include "kube/queue.h"
#include "model/facts.h"
#include "os/file.h"
#include "store/store.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define DOWNLOADS_AT_ONCE 4u
#define PROGRESS_MS 1000u
#define FIRST_LIST_MS 1000u /* how long a worker waits for the caches, which are quick unless the API is away */
#define CHECK_AGAIN_MS ((uint64_t)300 * 1000) /* files that somebody removed by hand */

enum { WATCH_CLUSTER_MODELS, WATCH_MODELS, WATCH_NODE, WATCH_RECORD, WATCHES };

struct agent {
  struct kube_client *client;
  struct plugins *plugins;
  char *node, *ns, *node_selector, *record_selector;
  struct model_store *store;
  struct retries *retries;
  struct keeper *keeper;
  struct peers *peers; /* NULL: none */
  struct record record;
  struct kube_recorder *recorder;
  struct kube_cache *caches[WATCHES];
  struct kube_queue *queue;
  atomic_bool started, stopping; /* events before the start is over find half an agent */
};

/* ---- events into keys ------------------------------------------------------------------------------------------- */

static void on_model(void *arg, const struct kube_event *event) {
  struct agent *a = arg;

  if (atomic_load(&a->started)) /* what came before is listed when the start is over */
    kube_queue_add(a->queue, meta_namespace(event->object), meta_name(event->object));
}

static void add_all(struct agent *a, int watch) {
  _cleanup_json_ struct json_object *models = kube_cache_list(a->caches[watch], NULL);

  for (size_t i = 0; i < json_len(models); i++)
    kube_queue_add(a->queue, meta_namespace(json_index(models, i)), meta_name(json_index(models, i)));
}

static bool same_at(const struct kube_event *e, const char *path) {
  return e->old && json_equal(json_at(e->object, path), json_at(e->old, path));
}

/* The node's labels decide what belongs here, and say what is here: both are looked at again. */
static void on_node(void *arg, const struct kube_event *event) {
  struct agent *a = arg;

  if (!atomic_load(&a->started))
    return;
  peers_check_node(a->peers, event->object);
  if (same_at(event, "metadata.labels") && same_at(event, "spec"))
    return;
  add_all(a, WATCH_CLUSTER_MODELS);
  add_all(a, WATCH_MODELS);
}

static void on_record(void *arg, const struct kube_event *event) {
  struct agent *a = arg;

  if (!atomic_load(&a->started) || same_at(event, "data"))
    return;
  add_all(a, WATCH_CLUSTER_MODELS);
  add_all(a, WATCH_MODELS);
}

/* ---- one model -------------------------------------------------------------------------------------------------- */

/* What a call works on. */
struct task {
  struct agent *agent;
  const char *ns, *name; /* NS NULL: cluster-scoped */
  char *key;
  const char *uri;
  char *path;
  char *request;    /* spec.storage.parameters, as text */
  char *request_id; /* all that makes another attempt another one */
  int64_t generation;
  char uid[64];
  struct json_object *model;
  uint64_t told_ms; /* when progress was last written; 0: not yet */
};

static struct json_object *find_model(const struct task *t) {
  return kube_cache_get(t->agent->caches[t->ns ? WATCH_MODELS : WATCH_CLUSTER_MODELS], t->ns, t->name);
}

/* What the source is asked with beside the URI; new. */
static char *request_of(struct json_object *model) {
  struct json_object *parameters = json_at(model, "spec.storage.parameters");

  return json_empty(parameters) ? strdup("") : json_canonical(parameters);
}

/* A model that changed or went is not worth another byte. */
static bool is_cancelled(void *arg) {
  const struct task *t = arg;

  if (atomic_load(&t->agent->stopping))
    return true;
  _cleanup_json_ struct json_object *now = find_model(t);
  _cleanup_free_ char *request = request_of(now);
  const char *path = json_str(now, "spec.storage.path", "");
  return !now || !streq(request, t->request) || (*path && !streq(path, t->path)) || meta_deleting(now) ||
         !streq(meta_uid(now), t->uid) || !streq(json_str(now, "spec.storage.storageUri", ""), t->uri) ||
         json_flag(now, "spec.disabled", false);
}

static int32_t tell(const struct task *t, enum record_status status, struct json_object *config,
                    const struct transfer_event *progress, const char *message, struct ome_err *err) {
  const struct record_entry e = {.model_ns = t->ns,
                                 .model = t->name,
                                 .status = status,
                                 .config = config,
                                 .progress = progress,
                                 .message = message};

  return record_put(&t->agent->record, &e, err);
}

static void on_progress(void *arg, const struct transfer_event *e) {
  struct task *t = arg;
  struct ome_err err = ERR_INIT;

  /* Eight connections that are refused again and again have one thing to say. */
  if (t->told_ms && mono_ms() - t->told_ms < PROGRESS_MS)
    return;
  t->told_ms = mono_ms();
  if (e->type == TRANSFER_RETRY)
    log_warning("agent", "%s: %s", t->key, e->message);
  if (tell(t, RECORD_UPDATING, NULL, e, e->message, &err) != OME_OK)
    log_debug("agent", "%s: %s", t->key, err.msg);
}

/* ---- credentials ------------------------------------------------------------------------------------------------ */

/* The Secret spec.storage.key is read when it is needed and never kept. */
static int32_t read_credentials(const struct task *t, struct credentials *out, struct ome_err *err) {
  const char *secret = json_str(t->model, "spec.storage.key", "");
  _cleanup_json_ struct json_object *o = NULL;
  int32_t rc = OME_OK;

  if (*secret) {
    rc = kube_get(t->agent->client, &KUBE_SECRETS, t->ns ? t->ns : t->agent->ns, secret, &o, err);
    if (rc != OME_OK)
      return fail_prefix(err, "spec.storage.key");
    rc = credentials_of_secret(out, t->model, o, err);
  }
  return rc == OME_OK ? credentials_of_parameters(out, t->model, err) : rc;
}

/* What the node adds: the shape of machine, where the model's files are chosen by it. */
static int32_t add_shape(const struct task *t, struct credentials *out, struct ome_err *err) {
  _cleanup_json_ struct json_object *node = kube_cache_get(t->agent->caches[WATCH_NODE], NULL, t->agent->node);
  char room[SHAPE_TEXT];
  const char *shape;
  int32_t rc = shape_of_model(t->model, node, getenv("INSTANCE_TYPE_MAP"), room, &shape, err);

  return rc == OME_OK && shape && !credentials_add(out, "shapeAlias", shape) ? fail_memory(err) : rc;
}

/* ---- bringing --------------------------------------------------------------------------------------------------- */

/* Everything from the URI to the verified folder in place. */
static int32_t bring(struct task *t, struct ome_err *err) {
  struct agent *a = t->agent;
  _cleanup_credentials_ struct credentials credentials = {{0}};
  _cleanup_manifest_ struct manifest manifest = {0};
  struct plugin_instance *storage = NULL;
  int32_t rc = read_credentials(t, &credentials, err);
  if (rc == OME_OK)
    rc = add_shape(t, &credentials, err);
  struct ome_model_ref ref = {.struct_size = sizeof(ref),
                              .uri = t->uri,
                              .revision = json_str(t->model, "spec.storage.parameters.revision", NULL),
                              .params = credentials.list.items,
                              .nparams = credentials.list.len};
  const struct plugin_call call = {.timeout_ms = 300000, .trace_id = t->key, .cancelled = is_cancelled, .arg = t};

  if (rc == OME_OK)
    rc = plugins_storage_for(a->plugins, t->uri, &storage, err);
  if (rc == OME_OK)
    rc = manifest_list(storage, &call, &ref, &manifest, err);
  struct peer_job *with = NULL;
  _cleanup_free_ char *label = name_model_label(t->ns, t->name);
  if (rc == OME_OK && label)
    rc = peers_join(a->peers, t->key, label, t->uri, manifest.revision, is_cancelled, t, &with, err);
  const struct store_job job = {.name = t->key,
                                .uri = t->uri,
                                .request = t->request,
                                .path = t->path,
                                .owned = true,
                                .manifest = &manifest,
                                .plugin = storage,
                                .ref = &ref,
                                .swarm = peer_job_swarm(with),
                                .event = on_progress,
                                .cancelled = is_cancelled,
                                .arg = t};
  if (rc == OME_OK)
    rc = model_store_bring(a->store, &job, err);
  peers_leave(a->peers, with);
  return rc;
}

static void collect_garbage(const struct agent *a) {
  struct store_gc_result freed;
  struct ome_err err = ERR_INIT;
  char bytes[32];

  if (model_store_gc(a->store, &freed, &err) != OME_OK)
    log_warning("agent", "%s", err.msg);
  else if (freed.bytes) {
    format_bytes(freed.bytes, bytes);
    log_info("agent", "store: %s freed", bytes);
  }
}

/* Says what the model in the folder is, and keeps that: *REPORT, new. */
static int32_t describe(const struct task *t, const char *revision, struct json_object **report, struct ome_err *err) {
  _cleanup_model_facts_ struct model_facts facts = {.parameters = 0};
  int32_t rc = model_facts_of_path(t->path, &facts, err);

  if (rc != OME_OK)
    return rc;
  *report = model_facts_config(&facts);
  (void)json_set_str(*report, "artifact.sha", revision);
  return model_store_annotate(t->agent->store, t->key, *report, err);
}

/* The reference when the model is as it should be; new. */
static struct json_object *find_whole(const struct task *t) {
  struct json_object *o = model_store_find(t->agent->store, t->key, t->uri, t->path);

  if (o && streq(json_str(o, "request", ""), t->request))
    return o;
  json_unref(o);
  return NULL;
}

/* What it takes until the model is in place, and said what it is. */
static int32_t bring_and_describe(struct task *t, struct json_object **report, struct ome_err *err) {
  _cleanup_json_ struct json_object *whole = find_whole(t);
  int32_t rc = OME_OK;

  if (!whole) {
    rc = bring(t, err);
    if (rc != OME_OK)
      return rc;
    collect_garbage(t->agent); /* what it was before */
    whole = find_whole(t);
  }
  return describe(t, json_str(whole, "revision", ""), report, err);
}

/* Pods mount what the spec names: the place that we chose is written there. */
static int32_t name_path(const struct task *t, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = json_object_new_object();

  if (*json_str(t->model, "spec.storage.path", ""))
    return OME_OK;
  if (!json_set_str(patch, "spec.storage.path", t->path))
    return fail_memory(err);
  return kube_patch(t->agent->client, t->ns ? &KUBE_BASEMODELS : &KUBE_CLUSTERBASEMODELS, t->ns, t->name, NULL,
                    KUBE_PATCH_MERGE, patch, NULL, err);
}

/* Its reason is told once; then it is tried again after a while, whatever happens to our own records. */
static int32_t failed(struct task *t, uint64_t *requeue_ms, struct ome_err *err) {
  struct retries *retries = t->agent->retries;
  struct ome_err ignored = ERR_INIT;

  if (err->code == OME_E_CANCELLED)
    return err->code;
  if (retries_failed(retries, t->key, t->request_id, err, mono_ms())) {
    log_warning("agent", "%s: %s", t->key, err->msg);
    kube_record(t->agent->recorder, t->model, true, "ModelDownloadFailed", "%s", err->msg);
  }
  if (tell(t, RECORD_FAILED, NULL, NULL, err->msg, &ignored) != OME_OK)
    log_warning("agent", "%s: %s", t->key, ignored.msg);
  *requeue_ms = retries_wait_ms(retries, t->key, t->request_id, mono_ms(), NULL);
  return OME_OK;
}

static int32_t make_ready(struct task *t, uint64_t *requeue_ms, struct ome_err *err) {
  struct agent *a = t->agent;
  _cleanup_json_ struct json_object *whole = find_whole(t);
  _cleanup_json_ struct json_object *report = json_object_get(json_at(whole, "report"));
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  _cleanup_json_ struct json_object *map = kube_cache_get(a->caches[WATCH_RECORD], a->ns, a->node);
  struct ome_err why = ERR_INIT;
  bool has_failed = record_says(node, map, RECORD_FAILED, t->ns, t->name);
  int32_t rc = name_path(t, err);

  if (rc != OME_OK)
    return rc;
  if (report && record_says(node, map, RECORD_READY, t->ns, t->name))
    return OME_OK;
  if (report)
    return tell(t, RECORD_READY, report, NULL, NULL, err);
  uint64_t wait_ms = retries_wait_ms(a->retries, t->key, t->request_id, mono_ms(), &why);
  if (wait_ms) {
    *requeue_ms = wait_ms;
    return has_failed ? OME_OK : tell(t, RECORD_FAILED, NULL, NULL, why.msg, err);
  }
  /* What failed stays Failed, with the reason, until bytes come: see on_progress. */
  if (!has_failed)
    rc = tell(t, RECORD_UPDATING, NULL, NULL, NULL, err);
  if (rc != OME_OK)
    return rc;
  if (bring_and_describe(t, &report, err) != OME_OK)
    return failed(t, requeue_ms, err);
  retries_forget(a->retries, t->key);
  kube_record(a->recorder, t->model, false, "ModelDownloaded", "verified and in place on node %s", a->node);
  return tell(t, RECORD_READY, report, NULL, NULL, err);
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
  *out = json_get(json_at(map, "data"), t->key) || (label && meta_label(node, label)) ||
         model_store_holds(a->store, t->key);
  return OME_OK;
}

/* Pods first lose the label, then the files go, then the cluster hears that they are gone. */
static int32_t let_go(struct task *t, struct ome_err *err) {
  struct agent *a = t->agent;
  bool told = false;
  int32_t rc = was_told(t, &told, err);

  if (rc == OME_OK && told)
    rc = record_unlabel(&a->record, t->ns, t->name, err);
  retries_forget(a->retries, t->key);
  peers_forget(a->peers, t->key);
  bool held = model_store_holds(a->store, t->key);
  if (rc == OME_OK)
    rc = model_store_remove(a->store, t->key, err);
  if (rc == OME_OK && held)
    collect_garbage(a);
  return rc == OME_OK && told ? record_remove(&a->record, t->ns, t->name, err) : rc;
}

static int32_t look_at(struct task *t, uint64_t *requeue_ms, struct ome_err *err) {
  struct agent *a = t->agent;
  /* Just started: models may be listed before the node and what was told of them. */
  (void)kube_cache_wait(a->caches[WATCH_NODE], FIRST_LIST_MS);
  (void)kube_cache_wait(a->caches[WATCH_RECORD], FIRST_LIST_MS);
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  struct scout_decision decision = {.wanted = false};

  if (!node)
    return fail(err, OME_E_UNAVAILABLE, "node %s is not there yet", a->node);
  if (t->model && !meta_deleting(t->model))
    scout_decide(t->model, node, &decision);
  if (!decision.wanted)
    return let_go(t, err);
  t->uri = json_str(t->model, "spec.storage.storageUri", "");
  const char *path = json_str(t->model, "spec.storage.path", "");
  t->path = *path ? strdup(path) : str_printf("%s/models/%s", model_store_root(a->store), t->key);
  t->request = request_of(t->model);
  (void)snprintf(t->uid, sizeof(t->uid), "%s", meta_uid(t->model));
  if (!t->path || !t->request)
    return fail_memory(err);
  t->request_id = str_printf("%s\n%s\n%s\n%s", t->uid, t->uri, t->path, t->request);
  if (!t->request_id)
    return fail_memory(err);
  if (t->path[0] != '/' || !path_is_safe(t->path + 1))
    return fail(err, OME_E_INVALID, "spec.storage.path: \"%s\" is no plain absolute path", t->path);
  *requeue_ms = CHECK_AGAIN_MS;
  return make_ready(t, requeue_ms, err);
}

static int32_t reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct task t = {.agent = arg, .ns = ns, .name = name, .key = name_model_key(ns, name)};
  int32_t rc;

  if (!t.key)
    return fail_memory(err);
  t.model = find_model(&t);
  rc = look_at(&t, requeue_ms, err);
  if (rc == OME_E_CANCELLED)
    rc = OME_OK; /* the change that ended it is in the queue */
  json_unref(t.model);
  free(t.path);
  free(t.request);
  free(t.request_id);
  free(t.key);
  return rc;
}

/* ---- what the keeper asks -------------------------------------------------------------------------------------- */

static bool models_are_listed(void *arg) {
  struct agent *a = arg;

  return kube_cache_wait(a->caches[WATCH_CLUSTER_MODELS], FIRST_LIST_MS) &&
         kube_cache_wait(a->caches[WATCH_MODELS], FIRST_LIST_MS);
}

static bool is_model(void *arg, const char *ns, const char *name) {
  struct agent *a = arg;
  _cleanup_json_ struct json_object *o = kube_cache_get(a->caches[ns ? WATCH_MODELS : WATCH_CLUSTER_MODELS], ns, name);

  return o != NULL;
}

static void look_again(void *arg, const char *ns, const char *name) {
  struct agent *a = arg;

  kube_queue_add(a->queue, ns, name);
}

/* ---- what other nodes ask --------------------------------------------------------------------------------------- */

/* The model that KEY stands for; new; NULL: there is none. */
static struct json_object *model_of_key(struct agent *a, const char *key) {
  char ns[256], name[256];

  for (int which = 0; keeper_parse_key(key, which, ns, name, sizeof(ns)); which++) {
    struct json_object *o = kube_cache_get(a->caches[*ns ? WATCH_MODELS : WATCH_CLUSTER_MODELS], *ns ? ns : NULL, name);
    if (o)
      return o;
  }
  return NULL;
}

static bool is_entitled(void *arg, const char *key, struct json_object *node) {
  _cleanup_json_ struct json_object *model = model_of_key(arg, key);
  struct scout_decision decision = {.wanted = false};

  if (model && !meta_deleting(model))
    scout_decide(model, node, &decision);
  return decision.wanted;
}

static void report_peer(void *arg, const char *key, const char *message) {
  struct agent *a = arg;
  _cleanup_json_ struct json_object *model = model_of_key(a, key);

  if (model)
    kube_record(a->recorder, model, true, "PeerRejected", "%s", message);
}

static int32_t start_peers(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  const struct peers_config peers = {.client = a->client,
                                     .store = a->store,
                                     .node = a->node,
                                     .address = cfg->peer_address,
                                     .port = cfg->peer_port,
                                     .max_bytes_per_second = cfg->peer_max_bytes_per_second,
                                     .entitled = is_entitled,
                                     .report = report_peer,
                                     .arg = a};

  return peers_start(&peers, &a->peers, err);
}

/* ---- start and stop --------------------------------------------------------------------------------------------- */

static char *node_name(const char *given) {
  char host[256] = "";

  if (!given)
    given = getenv("NODE_NAME");
  if (given && *given)
    return strdup(given);
  if (gethostname(host, sizeof(host) - 1) != 0)
    return NULL;
  for (char *c = host; *c; c++)
    *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
  return strdup(host);
}

static int32_t start_watches(struct agent *a, struct ome_err *err) {
  const struct {
    const struct kube_resource *resource;
    const char *ns, *fields;
    kube_event_fn *on_event;
  } watches[WATCHES] = {
      [WATCH_NODE] = {&KUBE_NODES, NULL, a->node_selector, on_node},
      [WATCH_RECORD] = {&KUBE_CONFIGMAPS, a->ns, a->record_selector, on_record},
      [WATCH_CLUSTER_MODELS] = {&KUBE_CLUSTERBASEMODELS, NULL, NULL, on_model},
      [WATCH_MODELS] = {&KUBE_BASEMODELS, NULL, NULL, on_model},
  };

  for (int i = WATCHES - 1; i >= 0; i--) { /* node and record before the models that need them */
    const struct kube_cache_opts opts = {
        .ns = watches[i].ns, .fields = watches[i].fields, .on_event = watches[i].on_event, .arg = a};
    int32_t rc = kube_cache_new(a->client, watches[i].resource, &opts, &a->caches[i], err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

static int32_t start_helpers(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  const struct keeper_config keeper = {
      .store = a->store, .synced = models_are_listed, .is_model = is_model, .look = look_again, .arg = a};

  int32_t rc = keeper_start(&keeper, &a->keeper, err);

  return rc == OME_OK && cfg->peer_address ? start_peers(a, cfg, err) : rc;
}

int32_t agent_start(const struct agent_config *cfg, struct agent **out, struct ome_err *err) {
  struct agent *a = calloc(1, sizeof(*a));
  int32_t rc = OME_OK;

  if (!a)
    return fail_memory(err);
  a->client = cfg->client;
  a->plugins = cfg->plugins;
  a->node = node_name(cfg->node_name);
  a->ns = strdup(cfg->ome_namespace ? cfg->ome_namespace : "ome");
  a->node_selector = a->node ? str_printf("metadata.name=%s", a->node) : NULL;
  a->record_selector = a->node_selector ? strdup(a->node_selector) : NULL;
  if (!a->record_selector || !a->ns)
    rc = fail_memory(err);
  a->record = (struct record){cfg->client, a->node, a->ns};
  if (rc == OME_OK)
    rc = model_store_open(cfg->store_dir, &a->store, err);
  if (rc == OME_OK && !(a->retries = retries_new()))
    rc = fail_memory(err);
  if (rc == OME_OK)
    rc = kube_recorder_new(a->client, "ome-agent", &a->recorder, err);
  const struct kube_queue_config queue = {
      .name = "agent", .workers = DOWNLOADS_AT_ONCE, .reconcile = reconcile, .arg = a};
  if (rc == OME_OK)
    rc = kube_queue_new(&queue, &a->queue, err);
  if (rc == OME_OK)
    rc = start_watches(a, err);
  if (rc == OME_OK)
    rc = start_helpers(a, cfg, err);
  if (rc != OME_OK) {
    agent_stop(a);
    return rc;
  }
  atomic_store(&a->started, true);
  add_all(a, WATCH_CLUSTER_MODELS);
  add_all(a, WATCH_MODELS);
  *out = a;
  return OME_OK;
}

void agent_stop(struct agent *a) {
  if (!a)
    return;
  atomic_store(&a->stopping, true);
  keeper_stop(a->keeper);
  kube_queue_stop(a->queue);             /* workers read the caches, and events go into the queue */
  peers_end(a->peers);                   /* answers read the caches, events tell of nodes */
  for (int i = WATCHES - 1; i >= 0; i--) /* the handlers of node and record read the models */
    kube_cache_free(a->caches[i]);
  peers_stop(a->peers);
  kube_queue_free(a->queue);
  kube_recorder_free(a->recorder);
  model_store_close(a->store);
  retries_freep(&a->retries);
  free(a->node);
  free(a->ns);
  free(a->node_selector);
  free(a->record_selector);
  free(a);
}
