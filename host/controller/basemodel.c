/* BaseModel, ClusterBaseModel and FineTunedWeight: what the agents report of each node, summed up; deletion once every
 * node let go. */
#include "base/clock.h"
#include "base/str.h"
#include "compose/names.h"
#include "controller/internal.h"
#include "controller/modelfacts.h"
#include "controller/modelprogress.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PROGRESS_MS 5000                  /* status is written this often at most for progress alone */
#define DEADLINE_MS ((int64_t)600 * 1000) /* for nodes to let go of a model that is deleted */

struct model_kind {
  const struct kube_resource *resource;
  enum watch_id watch;
  const char *finalizer;
  bool (*fill)(struct json_object *model, struct json_object *config, bool *changed);
};

static const struct model_kind kinds[] = {
    {&KUBE_BASEMODELS, WATCH_BASE_MODELS, "basemodels.ome.io/finalizer", model_fill_spec},
    {&KUBE_CLUSTERBASEMODELS, WATCH_CLUSTER_BASE_MODELS, "clusterbasemodels.ome.io/finalizer", model_fill_spec},
    {&KUBE_FINETUNEDWEIGHTS, WATCH_WEIGHTS, "finetunedweights.ome.io/finalizer", weights_fill_spec},
};

/* NS as in the queue: NS_WEIGHTS for fine-tuned weights. */
static struct model_kind kind_of(const char *ns) {
  return kinds[name_is_weights(ns) ? 2 : ns ? 0 : 1];
}

static const char *place_of(const struct model_kind *k, struct json_object *model) {
  const char *ns = meta_namespace(model);

  return k->watch == WATCH_WEIGHTS ? NS_WEIGHTS : *ns ? ns : NULL;
}

/* ---- what the agents say ----------------------------------------------------------------------------------------- */

struct tally {
  struct json_object *ready; /* sorted names of nodes */
  struct json_object *failed;
  struct json_object *config; /* of the first node that is ready and says; NULL: none */
  char failure[400];          /* what the first node that failed says */
  char waiting[400];          /* what the first of the others says, if one says anything */
  char holders[300];          /* names of nodes that have not let go yet, as far as there is room */
  size_t holding;             /* how many these are */
  struct model_progress progress;
  struct claim_look claim; /* of a model on one */
  bool crowded_out;        /* its key is another model's: what the agents say is of that */
};

static void quote(char out[400], struct json_object *config_map, const char *message) {
  if (!*out && *message)
    (void)snprintf(out, 400, "node %.80s: %.300s", meta_name(config_map), message);
}

/* The status of the model KEY in an agent's ConfigMap; "": not there.  Unreadable counts as present.  *CONFIG, when
 * still NULL, becomes what the agent found out about the model; new. */
static void status_on_node(struct json_object *config_map, const char *key, char out[16], struct tally *t) {
  struct json_object *value = json_get(json_get(config_map, "data"), key);
  const char *text = value ? json_object_get_string(value) : NULL;
  _cleanup_json_ struct json_object *entry = NULL;
  struct ome_err err = ERR_INIT;

  out[0] = '\0';
  if (!text)
    return;
  if (json_parse(text, strlen(text), 0, &entry, &err) != OME_OK)
    (void)strcpy(out, "Unknown");
  else
    (void)snprintf(out, 16, "%s", json_str(entry, "status", "Unknown"));
  if (!t->config && streq(out, "Ready"))
    t->config = json_object_get(json_get(entry, "config"));
  if (streq(out, "Failed"))
    quote(t->failure, config_map, json_str(entry, "message", "the agent does not say why; see its log"));
  else if (!streq(out, "Ready"))
    quote(t->waiting, config_map, json_str(entry, "message", ""));
  model_progress_add(&t->progress, out, entry);
}

static void note_holder(struct tally *t, const char *node) {
  size_t used = strlen(t->holders);

  if (t->holding++ == 0 || used + strlen(node) + 3 < sizeof(t->holders))
    (void)snprintf(t->holders + used, sizeof(t->holders) - used, "%s%s", used ? ", " : "", node);
}

/* ConfigMaps come in the order of their names, which are the nodes'. One without its Node is a leftover. */
static int32_t count_nodes(struct controller *c, const char *key, struct tally *t, struct ome_err *err) {
  _cleanup_json_ struct json_object *maps = kube_cache_list(c->watches[WATCH_NODE_MODELS], c->ome_namespace);

  t->ready = json_object_new_array();
  t->failed = json_object_new_array();
  if (!t->ready || !t->failed)
    return fail_memory(err);
  for (size_t i = 0; i < json_len(maps); i++) {
    struct json_object *map = json_index(maps, i);
    _cleanup_json_ struct json_object *node = kube_cache_get(c->watches[WATCH_NODES], NULL, meta_name(map));
    char status[16];
    if (!node) /* what it said goes, too (noderecord.c) */
      continue;
    status_on_node(map, key, status, t);
    struct json_object *list = streq(status, "Ready") ? t->ready : streq(status, "Failed") ? t->failed : NULL;
    if (list)
      (void)json_object_array_add(list, json_object_new_string(meta_name(map)));
    if (*status && !streq(status, "Deleted"))
      note_holder(t, meta_name(map));
  }
  return OME_OK;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static bool put_list(struct json_object *status, const char *key, struct json_object *list) {
  if (json_len(list))
    return json_set(status, key, json_object_get(list));
  json_del(status, key);
  return true;
}

static void set_ready(struct json_object *model, const char *state, const struct tally *t) {
  int64_t now = wall_ms();

  if (t->crowded_out) {
    (void)meta_set_condition(model, "Ready", "False", "NameConflict", t->failure, now);
    return;
  }
  if (streq(state, "Ready"))
    (void)meta_set_condition(model, "Ready", "True", "Ready", "the model's files are in place and verified", now);
  else if (streq(state, "Failed"))
    (void)meta_set_condition(model, "Ready", "False", "Failed", t->failure, now);
  else
    (void)meta_set_condition(model, "Ready", "Unknown", "InTransit",
                             *t->waiting ? t->waiting : "the agents are bringing it to the nodes", now);
}

/* The model that weights were trained on; new; NULL: there is none of that name. */
static struct json_object *base_of(struct controller *c, struct json_object *weights) {
  const char *ns = json_str(weights, "spec.baseModelRef.namespace", "");
  const char *name = json_str(weights, "spec.baseModelRef.name", "");

  return kube_cache_get(c->watches[*ns ? WATCH_BASE_MODELS : WATCH_CLUSTER_BASE_MODELS], *ns ? ns : NULL, name);
}

static bool disagrees(struct controller *c, const struct model_kind *k, struct json_object *model,
                      struct json_object *config, struct buf *out) {
  if (k->watch != WATCH_WEIGHTS)
    return model_disagreement(model, config, out);
  _cleanup_json_ struct json_object *base = base_of(c, model);
  return weights_disagreement(model, base, config, out);
}

/* What a person wrote wins; that the files say something else is said once as an event and stays as a condition. */
static void set_agreement(struct controller *c, const struct model_kind *k, struct json_object *model,
                          const struct tally *t) {
  _cleanup_buf_ struct buf differ = BUF_INIT;
  int64_t now = wall_ms();

  if (!t->config)
    return;
  if (!disagrees(c, k, model, t->config, &differ))
    (void)meta_set_condition(model, "SpecAgrees", "True", "Agrees", "the spec says what the model's files say", now);
  else if (meta_set_condition(model, "SpecAgrees", "False", "Disagrees", buf_str(&differ), now))
    kube_record(c->recorder, model, true, "SpecDisagrees", "the spec is used as it is: %.900s", buf_str(&differ));
}

/* Milliseconds until progress may be written again; 0: now.  Everything else is written at once. */
static uint64_t progress_pause_ms(struct json_object *old, struct json_object *now) {
  int64_t written_ms = 0;

  if (!model_progress_alone(old, now) || !time_parse(json_str(old, "lastReconcileTime", ""), &written_ms))
    return 0;
  int64_t passed_ms = wall_ms() - written_ms;
  return passed_ms >= 0 && passed_ms < PROGRESS_MS ? (uint64_t)(PROGRESS_MS - passed_ms) : 0;
}

static const char *state_of(const struct tally *t) {
  return t->crowded_out ? "Failed" : json_len(t->ready) ? "Ready" : json_len(t->failed) ? "Failed" : "In_Transit";
}

/* What the nodes say, into CHANGED; false: no memory. */
static bool fill_status(struct controller *c, const struct model_kind *k, struct json_object *changed,
                        const struct tally *t) {
  struct json_object *status = json_ensure(changed, "status");
  const char *state = state_of(t);

  if (status && on_claim_of(changed)) {
    set_agreement(c, k, changed, t);
    return claim_model_status(c, changed, &t->claim);
  }

  if (!status || !json_set_str(status, "state", state) || !put_list(status, "nodesReady", t->ready) ||
      !put_list(status, "nodesFailed", t->failed) || !model_progress_write(&t->progress, status))
    return false;
  set_ready(changed, state, t);
  set_agreement(c, k, changed, t);
  return true;
}

/* A model of another scope has NAME's key, and what agents say under it is of that one. */
static void find_rival(struct controller *c, const char *ns, const char *name, struct tally *t) {
  const char *other_ns = NULL;
  _cleanup_free_ char *rival = name_rival(ns, name, &other_ns);
  const struct model_kind k = kind_of(other_ns);
  _cleanup_json_ struct json_object *there = rival ? kube_cache_get(c->watches[k.watch], NULL, rival) : NULL;

  t->crowded_out = there != NULL;
  if (there)
    (void)snprintf(
        t->failure, sizeof(t->failure),
        "%s %.200s has the same key on nodes, \"%.30s.basemodel.%.60s\", and is brought instead; give one of "
        "them another name",
        json_str(there, "kind", ""), rival, ns, name);
}

/* Once for each end that a model comes to. */
static void tell_state(struct controller *c, struct json_object *model, const struct tally *t) {
  const char *state = state_of(t);
  bool failed = streq(state, "Failed");

  if (streq(json_str(model, "status.state", ""), state) || streq(state, "In_Transit"))
    return;
  if (t->crowded_out)
    kube_record(c->recorder, model, true, "NameConflict", "%s", t->failure);
  else
    kube_record(c->recorder, model, failed, failed ? "ModelFailed" : "ModelReady", "model is %s on %zu nodes", state,
                json_len(failed ? t->failed : t->ready));
}

static int32_t write_status(struct controller *c, const struct model_kind *k, struct json_object *model,
                            const struct tally *t, uint64_t *requeue_ms, struct ome_err *err) {
  struct json_object *old = json_get(model, "status");
  _cleanup_json_ struct json_object *changed = json_copy(model);
  char now[TIME_TEXT_MS];

  if (!changed || !fill_status(c, k, changed, t))
    return fail_memory(err);
  struct json_object *status = json_get(changed, "status");
  if (json_equal(status, old))
    return OME_OK;
  *requeue_ms = progress_pause_ms(old, status);
  if (*requeue_ms)
    return OME_OK;
  time_format_ms(wall_ms(), now);
  if (!json_set_str(status, "lastReconcileTime", now))
    return fail_memory(err);
  int32_t rc = kube_update_status(c->client, k->resource, changed, NULL, err);
  if (rc == OME_OK)
    tell_state(c, model, t);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

/* Milliseconds until nobody is waited for any more; 0: now.  A node that is down for good should not keep a model, or
 * its namespace, for ever; what is on its disk goes when its agent is back. */
static uint64_t patience_ms(struct json_object *model) {
  const char *said = meta_annotation(model, "ome.io/deletion-deadline-seconds");
  int64_t deadline_ms = DEADLINE_MS, since_ms = 0;
  uint64_t seconds = 0;

  if (said && str_to_u64(said, &seconds) && seconds <= UINT32_MAX)
    deadline_ms = (int64_t)seconds * 1000;
  if (!time_parse(json_str(model, "metadata.deletionTimestamp", ""), &since_ms))
    return (uint64_t)deadline_ms;
  int64_t left_ms = since_ms + deadline_ms - wall_ms();
  return left_ms > 0 ? (uint64_t)left_ms : 0;
}

static int32_t finish_deletion(struct controller *c, const struct model_kind *k, struct json_object *model,
                               const struct tally *t, uint64_t *requeue_ms, struct ome_err *err) {
  /* The next change of a node's ConfigMap, or the end of the node, brings us here again. */
  if (t->holding > 0 && (*requeue_ms = patience_ms(model)) > 0)
    return OME_OK;
  if (!meta_remove_finalizer(model, k->finalizer))
    return OME_OK;
  int32_t rc = kube_update(c->client, k->resource, model, NULL, err);
  if (rc == OME_OK && t->holding)
    kube_record(c->recorder, model, true, "ModelReleased",
                "%zu nodes did not let go of it in time and are not waited for any more: %s; its files go when their "
                "agents are back",
                t->holding, t->holders);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

/* Whether the model asks not to be told what its files say. */
static bool skips_facts(struct json_object *model) {
  const char *said = meta_annotation(model, "ome.oracle.com/skip-config-parsing");

  return said && strcasecmp(said, "true") == 0;
}

/* Finalizer and facts go into the object itself, in one write. */
static int32_t keep(struct controller *c, const struct model_kind *k, struct json_object *model, const struct tally *t,
                    uint64_t *requeue_ms, struct ome_err *err) {
  _cleanup_json_ struct json_object *stored = NULL;
  _cleanup_json_ struct json_object *changed = json_copy(model);
  bool filled = false;

  if (!changed || (t->config && !k->fill(changed, t->config, &filled)))
    return fail_memory(err);
  bool news = meta_add_finalizer(changed, k->finalizer) || filled;
  if (t->claim.facts)
    claim_model_mark(changed, &t->claim);
  if (!news && !t->claim.facts)
    return write_status(c, k, model, t, requeue_ms, err);
  int32_t rc = kube_update(c->client, k->resource, changed, &stored, err);
  if (rc != OME_OK)
    return rc == OME_E_NOT_FOUND ? OME_OK : rc;
  return write_status(c, k, stored, t, requeue_ms, err);
}

/* A long name's key in the ConfigMaps is shortened: finds whose it is. */
static void requeue_by_key(struct controller *c, const struct model_kind *k, const char *key) {
  _cleanup_json_ struct json_object *all = kube_cache_list(c->watches[k->watch], NULL);

  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *m = json_index(all, i);
    _cleanup_free_ char *own = name_model_key(place_of(k, m), meta_name(m));
    if (own && streq(own, key))
      enqueue(c, QUEUE_MODELS, place_of(k, m), meta_name(m));
  }
}

/* What agents found, or where none comes, somebody else. */
static int32_t find_facts(struct controller *c, struct json_object *model, struct tally *t, struct ome_err *err) {
  int32_t rc = OME_OK;

  if (skips_facts(model)) {
    json_unref(t->config);
    t->config = NULL;
  } else if (on_claim_of(model) && !meta_deleting(model)) {
    rc = claim_model_look(c, model, &t->claim, err);
    json_unref(t->config);
    t->config = json_object_get(t->claim.config);
  }
  return rc;
}

/* T, which knows of a rival, is used up. */
static int32_t sum_up(struct controller *c, const struct model_kind *k, const char *key, struct json_object *model,
                      struct tally *t, uint64_t *requeue_ms, struct ome_err *err) {
  int32_t rc = t->crowded_out ? OME_OK : count_nodes(c, key, t, err);

  if (rc == OME_OK)
    rc = find_facts(c, model, t, err);
  if (rc == OME_OK)
    rc =
        meta_deleting(model) ? finish_deletion(c, k, model, t, requeue_ms, err) : keep(c, k, model, t, requeue_ms, err);
  if (t->claim.again_ms && (!*requeue_ms || t->claim.again_ms < *requeue_ms))
    *requeue_ms = t->claim.again_ms;
  json_unref(t->ready);
  json_unref(t->failed);
  json_unref(t->config);
  claim_look_fini(&t->claim);
  return rc;
}

int32_t reconcile_model(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct controller *c = arg;
  struct model_kind k = kind_of(ns);
  struct tally t = {0};
  uint64_t again_ms = 0;
  _cleanup_free_ char *key = name_model_key(ns, name);
  _cleanup_json_ struct json_object *model = kube_cache_get(c->watches[k.watch], name_api_ns(ns), name);

  if (!key)
    return fail_memory(err);
  if (model)
    find_rival(c, ns, name, &t);
  /* Before the model is changed, which no agent that waits should wait for. */
  int32_t rc = t.crowded_out ? OME_OK : credentials_hand_over(c, ns, key, model, &again_ms, err);
  if (rc == OME_OK && model)
    rc = sum_up(c, &k, key, model, &t, requeue_ms, err);
  else if (!model && strlen(name) > 200)
    requeue_by_key(c, &k, key);
  if (again_ms && (!*requeue_ms || again_ms < *requeue_ms))
    *requeue_ms = again_ms;
  return rc;
}

/* ---- events that concern several models -------------------------------------------------------------------------- */

void requeue_model_of_key(struct controller *c, const char *key) {
  static const char cluster[] = "clusterbasemodel.";
  static const char namespaced[] = ".basemodel.";
  const char *split = strstr(key, namespaced);

  if (has_prefix(key, cluster)) {
    enqueue(c, QUEUE_MODELS, NULL, key + sizeof(cluster) - 1);
  } else if (has_prefix(key, NS_WEIGHTS)) {
    enqueue(c, QUEUE_MODELS, NS_WEIGHTS, key + sizeof(NS_WEIGHTS) - 1);
  } else if (split) {
    _cleanup_free_ char *ns = str_copy(key, (size_t)(split - key));
    if (ns)
      enqueue(c, QUEUE_MODELS, ns, split + sizeof(namespaced) - 1);
  }
}

void requeue_models_of(struct controller *c, struct json_object *config_map) {
  struct json_object *data = json_get(config_map, "data");

  if (!json_is(data, json_type_object))
    return;
  json_object_object_foreach (data, key, value) {
    (void)value;
    requeue_model_of_key(c, key);
  }
}

void requeue_all_models(struct controller *c) {
  for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
    _cleanup_json_ struct json_object *all = kube_cache_list(c->watches[kinds[k].watch], NULL);
    for (size_t i = 0; i < json_len(all); i++) {
      struct json_object *m = json_index(all, i);
      enqueue(c, QUEUE_MODELS, place_of(&kinds[k], m), meta_name(m));
    }
  }
}

void requeue_weights_of(struct controller *c, const char *base) {
  _cleanup_json_ struct json_object *all = kube_cache_list(c->watches[WATCH_WEIGHTS], NULL);

  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *w = json_index(all, i);
    if (streq(json_str(w, "spec.baseModelRef.name", ""), base))
      enqueue(c, QUEUE_MODELS, NS_WEIGHTS, meta_name(w));
  }
}
