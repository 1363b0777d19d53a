#include "agent/internal.h"

#include "agent/peers.h"
#include "agent/scout.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WORKERS 16u                          /* models looked at, at a time */
#define FETCHES (WORKERS - 4)                /* of them fetched: what goes away does not wait for what comes */
#define IN_FLIGHT_BYTES ((uint64_t)64 << 30) /* of the models that are fetched at a time */
#define FIRST_LIST_MS 1000u
/* A key of the record, or of a label, that is as long may be shortened: whose it is cannot be told. */
#define KEY_FULL 252u
#define LABEL_FULL 48u

/* ---- the kinds of models ---------------------------------------------------------------------------------------- */

static const enum agent_watch kinds[] = {WATCH_CLUSTER_MODELS, WATCH_MODELS, WATCH_WEIGHTS};

static struct kube_cache *cache_of(const struct agent *a, const char *ns) {
  return a->caches[name_is_weights(ns) ? WATCH_WEIGHTS : ns ? WATCH_MODELS : WATCH_CLUSTER_MODELS];
}

struct json_object *agent_find(const struct agent *a, const char *ns, const char *name) {
  return kube_cache_get(cache_of(a, ns), name_api_ns(ns), name);
}

bool agent_has_listed(const struct agent *a, const char *ns) {
  return kube_cache_wait(cache_of(a, ns), FIRST_LIST_MS);
}

bool agent_has_listed_all(struct agent *a) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (!kube_cache_wait(a->caches[kinds[i]], FIRST_LIST_MS))
      return false;
  return true;
}

static struct json_object *find_class(void *arg, const char *name) {
  const struct agent *a = arg;

  return kube_cache_get(a->caches[WATCH_CLASSES], NULL, name);
}

struct scout_classes agent_classes(struct agent *a) {
  return (struct scout_classes){find_class, a};
}

/* ---- events into keys ------------------------------------------------------------------------------------------- */

static const char *place_of(enum agent_watch kind, struct json_object *model) {
  return kind == WATCH_WEIGHTS ? NS_WEIGHTS : meta_namespace(model);
}

/* Whose key it has is another's matter as soon as this one comes or goes. */
static void look_at_twin(struct agent *a, const char *ns, const char *name) {
  const char *of = NULL, *twin = name_twin(ns && *ns ? ns : NULL, name, &of);

  if (twin)
    kube_queue_add(a->queue, of, twin);
}

static void on_change(struct agent *a, enum agent_watch kind, const struct kube_event *event) {
  const char *ns = place_of(kind, event->object), *name = meta_name(event->object);

  if (!atomic_load(&a->started)) /* what came before is listed when the start is over */
    return;
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  const struct scout_classes classes = agent_classes(a);
  agent_note_news(a, ns, name);
  if (event->type != KUBE_MODIFIED)
    look_at_twin(a, ns, name);
  if (event->type == KUBE_DELETED)
    kube_queue_add_ranked(a->queue, ns, name, 0);
  else
    kube_queue_add_ranked(a->queue, ns, name, scout_rank(event->object, node, &classes));
}

static void on_model(void *arg, const struct kube_event *event) {
  on_change(arg, WATCH_MODELS, event);
}

static void on_weights(void *arg, const struct kube_event *event) {
  on_change(arg, WATCH_WEIGHTS, event);
}

/* The model that KEY stands for, new, with its place in the queue and its name; NULL: there is none. */
static struct json_object *find_key(struct agent *a, const char *key, char ns[256], char name[256]) {
  for (int which = 0; keeper_parse_key(key, which, ns, name, 256); which++) {
    struct json_object *o = agent_find(a, *ns ? ns : NULL, name);
    if (o)
      return o;
  }
  return NULL;
}

struct json_object *model_of_key(struct agent *a, const char *key) {
  char ns[256], name[256];

  return find_key(a, key, ns, name);
}

/* Two names may have one key: it is that of the model which is there, and to look at the other would take it away. */
void agent_look_at_key(struct agent *a, const char *key) {
  char ns[256], name[256];
  _cleanup_json_ struct json_object *model = find_key(a, key, ns, name);

  if (model) {
    kube_queue_add(a->queue, *ns ? ns : NULL, name);
    return;
  }
  for (int which = 0; keeper_parse_key(key, which, ns, name, sizeof(ns)); which++)
    kube_queue_add(a->queue, *ns ? ns : NULL, name);
}

/* What was told of models that are there no more: an agent that was killed while it let go of them has left it. */
static void add_leftovers(struct agent *a, struct json_object *told, const char *prefix, size_t full) {
  if (!json_is(told, json_type_object))
    return;
  json_object_object_foreach (told, key, v) {
    (void)v;
    if (!has_prefix(key, prefix) || strlen(key + strlen(prefix)) >= full)
      continue;
    _cleanup_json_ struct json_object *model = model_of_key(a, key + strlen(prefix));
    if (!model)
      agent_look_at_key(a, key + strlen(prefix));
  }
}

static void add_all(struct agent *a) {
  _cleanup_json_ struct json_object *map = kube_cache_get(a->caches[WATCH_RECORD], a->ns, a->node);
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  const struct scout_classes classes = agent_classes(a);

  for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
    _cleanup_json_ struct json_object *models = kube_cache_list(a->caches[kinds[k]], NULL);
    for (size_t i = 0; i < json_len(models); i++) {
      struct json_object *m = json_index(models, i);
      kube_queue_add_ranked(a->queue, place_of(kinds[k], m), meta_name(m), scout_rank(m, node, &classes));
    }
  }
  add_leftovers(a, json_at(map, "data"), "", KEY_FULL);
  add_leftovers(a, json_at(node, "metadata.labels"), "models.ome.io/", LABEL_FULL);
}

static bool same_at(const struct kube_event *e, const char *path) {
  return e->old && json_equal(json_at(e->object, path), json_at(e->old, path));
}

/* Heartbeats are no news; what was said of the node's readiness is. */
static bool same_readiness(const struct kube_event *e) {
  struct scout_decision now;
  struct scout_decision before;

  scout_node(e->object, &now);
  scout_node(e->old, &before);
  return e->old && now.verdict == before.verdict;
}

/* The node's labels and devices decide what belongs here, and labels say what is here: both are looked at again. */
static void on_node(void *arg, const struct kube_event *event) {
  struct agent *a = arg;

  if (!atomic_load(&a->started))
    return;
  peers_check_node(a->peers, event->object);
  if (event->type == KUBE_MODIFIED && same_at(event, "metadata.labels") && same_at(event, "spec") &&
      same_at(event, "status.capacity") && same_at(event, "status.allocatable") && same_readiness(event))
    return;
  agent_note_news(a, NULL, NULL);
  add_all(a);
}

static void on_class(void *arg, const struct kube_event *event) {
  struct agent *a = arg;

  if (!atomic_load(&a->started) || (event->type == KUBE_MODIFIED && same_at(event, "spec")))
    return;
  agent_note_news(a, NULL, NULL);
  add_all(a);
}

/* The models whose entries in THIS are not those of OTHER; false: there is one of which that cannot be told. */
static bool look_at_differences(struct agent *a, struct json_object *this, struct json_object *other) {
  if (!json_is(this, json_type_object))
    return true;
  json_object_object_foreach (this, key, entry) {
    if (json_equal(entry, json_get(other, key)))
      continue;
    if (strlen(key) >= KEY_FULL)
      return false;
    agent_look_at_key(a, key);
  }
  return true;
}

/* Progress comes by here every two seconds for each model that is fetched: it is about that one alone. */
static void on_record(void *arg, const struct kube_event *event) {
  struct agent *a = arg;
  struct json_object *now = json_at(event->object, "data"), *before = json_at(event->old, "data");
  bool still_ours = event->type == KUBE_MODIFIED && same_at(event, "metadata.labels");

  if (!atomic_load(&a->started))
    return;
  if (!still_ours || !look_at_differences(a, now, before) || !look_at_differences(a, before, now))
    add_all(a);
}

/* Who stays, who may go and who comes back is decided by what pods and services use. */
static void on_pod(void *arg, const struct kube_event *event) {
  struct agent *a = arg;
  bool news =
      event->type == KUBE_DELETED ? demand_drop(a->demand, event->object) : demand_put(a->demand, event->object);

  if (!news || !atomic_load(&a->started))
    return;
  add_all(a);
  stores_changed(&a->stores);
}

/* A model of SERVICE is of its namespace or of the cluster. */
static void look_at_model(struct agent *a, struct json_object *service, const char *model) {
  if (!model || !*model)
    return;
  kube_queue_add(a->queue, NULL, model);
  kube_queue_add(a->queue, meta_namespace(service), model);
}

static void look_at_models_of(struct agent *a, struct json_object *service) {
  struct json_object *overlays = json_at(service, "spec.model.overlays");

  look_at_model(a, service, demand_model_of(service));
  for (size_t i = 0; i < json_len(overlays); i++)
    look_at_model(a, service, json_str(json_index(overlays, i), "name", ""));
}

static void on_service(void *arg, const struct kube_event *event) {
  struct agent *a = arg;
  const char *now = demand_model_of(event->object);
  const char *before = demand_model_of(event->old);
  bool news =
      event->type == KUBE_DELETED ? demand_drop(a->demand, event->object) : demand_put(a->demand, event->object);

  if (!atomic_load(&a->started) || (event->type == KUBE_MODIFIED && !news && now && before && streq(now, before)))
    return;
  look_at_models_of(a, event->object);
  look_at_models_of(a, event->old);
  stores_changed(&a->stores);
}

/* KEY as in the queue: its files are not what they were, or there is room to bring it. */
static void look_at_key(void *arg, const char *key) {
  struct agent *a = arg;
  _cleanup_free_ char *copy = strdup(key);
  char *slash = copy ? strchr(copy, '/') : NULL;

  if (slash)
    *slash = '\0';
  if (copy)
    kube_queue_add(a->queue, slash ? copy : NULL, slash ? slash + 1 : copy);
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
    kube_index_fn *index;
  } watches[WATCHES] = {
      [WATCH_NODE] = {&KUBE_NODES, NULL, a->node_selector, on_node, NULL},
      [WATCH_RECORD] = {&KUBE_CONFIGMAPS, a->ns, a->record_selector, on_record, NULL},
      [WATCH_CLUSTER_MODELS] = {&KUBE_CLUSTERBASEMODELS, NULL, NULL, on_model, NULL},
      [WATCH_MODELS] = {&KUBE_BASEMODELS, NULL, NULL, on_model, NULL},
      [WATCH_CLASSES] = {&KUBE_ACCELERATORCLASSES, NULL, NULL, on_class, NULL},
      [WATCH_WEIGHTS] = {&KUBE_FINETUNEDWEIGHTS, NULL, NULL, on_weights, NULL},
      [WATCH_SERVICES] = {&KUBE_INFERENCESERVICES, NULL, NULL, on_service, demand_model_of},
      [WATCH_PODS] = {&KUBE_PODS, NULL, a->pod_selector, on_pod, NULL},
  };

  for (int i = WATCHES - 1; i >= 0; i--) { /* node, record and classes before the models that need them */
    const struct kube_cache_opts opts = {.ns = watches[i].ns,
                                         .fields = watches[i].fields,
                                         .index = watches[i].index,
                                         .on_event = watches[i].on_event,
                                         .arg = a};
    int32_t rc = kube_cache_new(a->client, watches[i].resource, &opts, &a->caches[i], err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

static bool is_entitled(void *arg, const char *key, struct json_object *node) {
  _cleanup_json_ struct json_object *model = model_of_key(arg, key);
  const struct scout_classes classes = agent_classes(arg);

  return scout_entitles(model, node, &classes);
}

static struct model_store *store_of(void *arg, const char *key) {
  const struct agent *a = arg;
  const struct node_store *n = stores_holding(&a->stores, key);

  return n ? n->files : NULL;
}

static void report_peer(void *arg, const char *key, const char *message) {
  struct agent *a = arg;
  _cleanup_json_ struct json_object *model = model_of_key(a, key);

  if (model)
    kube_record(a->recorder, model, true, "PeerRejected", "%s", message);
}

static int32_t start_peers(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  const struct hub_source models = node_hub_source(&a->hub);
  const struct peers_config peers = {.client = a->client,
                                     .store_of = store_of,
                                     .node = a->node,
                                     .address = cfg->peer_address,
                                     .port = cfg->peer_port,
                                     .max_bytes_per_second = cfg->peer_max_bytes_per_second,
                                     .entitled = is_entitled,
                                     .report = report_peer,
                                     .arg = a,
                                     .models = cfg->no_hub ? NULL : &models};

  a->hub.agent = a;
  if (digest_cache_open(NULL, &a->hub.digests, err) != OME_OK)
    return err->code;
  return peers_start(&peers, &a->peers, err);
}

static int32_t start_helpers(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  int32_t rc = stores_keep(&a->stores, cfg->scrub_every_s, err);

  return rc == OME_OK && cfg->peer_address ? start_peers(a, cfg, err) : rc;
}

static int32_t name_things(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  a->client = cfg->client;
  a->plugins = cfg->plugins;
  a->node = node_name(cfg->node_name);
  a->ns = strdup(cfg->ome_namespace ? cfg->ome_namespace : "ome");
  a->node_selector = a->node ? str_printf("metadata.name=%s", a->node) : NULL;
  a->record_selector = a->node_selector ? strdup(a->node_selector) : NULL;
  a->pod_selector = a->node ? str_printf("spec.nodeName=%s", a->node) : NULL;
  a->record = (struct record){cfg->client, a->node, a->ns};
  return a->record_selector && a->pod_selector && a->ns ? OME_OK : fail_memory(err);
}

static int32_t make_parts(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  const struct kube_queue_config queue = {
      .name = "agent", .workers = WORKERS, .reconcile = reconcile_model_on_node, .arg = a};
  uint64_t in_flight = cfg->max_bytes_in_flight ? cfg->max_bytes_in_flight : IN_FLIGHT_BYTES;

  if (seal_key_new(&a->key, err) != OME_OK)
    return err->code;
  a->states.models = strmap_new(model_state_free);
  a->retries = retries_new();
  a->budget = budget_new(in_flight, FETCHES, look_at_key, a);
  a->demand = demand_new();
  if (!a->states.models || !a->retries || !a->budget || !a->demand)
    return fail_memory(err);
  int32_t rc = stores_open(a, cfg, err);
  if (rc == OME_OK)
    rc = kube_recorder_new(a->client, "ome-agent", &a->recorder, err);
  return rc == OME_OK ? kube_queue_new(&queue, &a->queue, err) : rc;
}

/* What OME's agent is asked by probes: whether the folder of models is there and takes files. */
static void look_at_roots(void *arg) {
  const struct agent *a = arg;
  struct ome_err err = ERR_INIT;
  bool fine = true;

  for (size_t i = 0; fine && i < a->stores.len; i++) {
    const char *root = model_store_root(a->stores.list[i].files);
    fine = access(root, W_OK | X_OK) == 0;
    if (!fine)
      (void)fail_errno(&err, "write into", root);
  }
  health_report(a->health, HEALTH_SOUND, "model-agent-health", fine ? NULL : err.msg);
}

static void look_at_stored(void *arg, const char *key) {
  agent_look_at_key(arg, key);
}

/* No event tells that a disk has been emptied, or that the node's annotation gives a store more. */
static void look_at_space(struct agent *a) {
  if (!atomic_load(&a->started) || !stores_have_grown(&a->stores))
    return;
  stores_changed(&a->stores);
  retries_relieve(a->retries, OME_E_NO_SPACE, look_at_stored, a);
}

static void look_around(void *arg) {
  look_at_roots(arg);
  look_at_space(arg);
}

static int32_t start_presence(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  const struct presence_config presence = {.changed = look_at_key, .round = look_around, .arg = a};

  a->health = cfg->health;
  look_at_roots(a);
  return presence_start(&presence, &a->presence, err);
}

/* What events told so far went unheard. */
static void begin(struct agent *a) {
  atomic_store(&a->started, true);
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);
  peers_check_node(a->peers, node);
  add_all(a);
}

int32_t agent_start(const struct agent_config *cfg, struct agent **out, struct ome_err *err) {
  struct agent *a = calloc(1, sizeof(*a));

  if (!a)
    return fail_memory(err);
  (void)pthread_mutex_init(&a->states.lock, NULL);
  int32_t rc = name_things(a, cfg, err);
  if (rc == OME_OK)
    rc = make_parts(a, cfg, err);
  if (rc == OME_OK)
    rc = start_presence(a, cfg, err);
  if (rc == OME_OK)
    rc = start_watches(a, err);
  if (rc == OME_OK)
    rc = start_helpers(a, cfg, err);
  if (rc != OME_OK) {
    agent_stop(a);
    return rc;
  }
  begin(a);
  *out = a;
  return OME_OK;
}

void agent_stop(struct agent *a) {
  if (!a)
    return;
  atomic_store(&a->stopping, true);
  stores_stop_keeping(&a->stores);
  kube_queue_stop(a->queue); /* workers read the caches, and events go into the queue */
  peers_end(a->peers);       /* answers read the caches, events tell of nodes */
  presence_stop(a->presence);
  for (size_t i = 0; i < WATCHES; i++)
    kube_cache_stop(a->caches[i]);
  for (size_t i = 0; i < WATCHES; i++)
    kube_cache_free(a->caches[i]);
  peers_stop(a->peers);
  digest_cache_free(a->hub.digests);
  kube_queue_free(a->queue);
  kube_recorder_free(a->recorder);
  stores_close(&a->stores);
  demand_free(a->demand);
  budget_free(a->budget);
  retries_freep(&a->retries);
  strmap_free(a->states.models);
  (void)pthread_mutex_destroy(&a->states.lock);
  seal_key_free(a->key);
  free(a->node);
  free(a->ns);
  free(a->node_selector);
  free(a->record_selector);
  free(a->pod_selector);
  free(a);
}
