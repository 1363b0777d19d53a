/* From a URI to a verified folder. */
#include "agent/internal.h"

#include "agent/credentials.h"
#include "agent/measure.h"
#include "agent/peers.h"
#include "agent/scout.h"
#include "agent/shape.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/meta.h"
#include "model/facts.h"

#include <stdlib.h>
#include <string.h>

#define PROGRESS_MS 2000u
#define LISTING_MS 300000u

char *request_of(struct json_object *model) {
  struct json_object *parameters = json_at(model, "spec.storage.parameters");
  _cleanup_json_ struct json_object *what = json_copy(parameters);

  if (parameters && !what)
    return NULL;
  json_del(what, "maxRate");
  return json_empty(what) ? strdup("") : json_canonical(what);
}

/* ---- while it goes on -------------------------------------------------------------------------------------------- */

/* A model that changed, went or does not belong here any more is not worth another byte. */
static bool is_outdated(const struct task *t) {
  _cleanup_json_ struct json_object *now = agent_model(t);
  _cleanup_json_ struct json_object *node = kube_cache_get(t->agent->caches[WATCH_NODE], NULL, t->agent->node);
  _cleanup_free_ char *request = request_of(now);
  const char *path = json_str(now, "spec.storage.path", "");
  const struct scout_classes classes = agent_classes(t->agent);
  struct scout_decision decision;

  scout_decide(now, node, &classes, &decision);
  return decision.verdict == SCOUT_DROP || !request || !streq(request, t->request) ||
         (*path ? !streq(path, t->path) : !streq(meta_annotation(now, STORE_ANNOTATION), t->store)) ||
         !streq(meta_uid(now), t->uid) || !streq(json_str(now, "spec.storage.storageUri", ""), t->uri) ||
         !streq(max_rate_of(now), t->max_rate);
}

/* Asked four times a second for each transfer: looks at the model only when something happened to it. */
static bool is_cancelled(void *arg) {
  struct task *t = arg;
  unsigned news = atomic_load(&t->state->news);

  if (atomic_load(&t->agent->stopping))
    return true;
  if (news == atomic_load(&t->seen))
    return false;
  if (is_outdated(t))
    return true;
  atomic_store(&t->seen, news);
  return false;
}

static void measure(struct task *t, const struct transfer_event *e) {
  if (e->type == TRANSFER_RETRY && e->code == OME_E_BUSY)
    measure_rate_limited(t->ns, t->name, e->wait_ms);
  if (e->fetched <= t->measured)
    return;
  measure_bytes(t->ns, t->name, e->fetched - t->measured);
  if (!t->agent->peers) /* who count their own, by source */
    measure_source(false, e->fetched - t->measured);
  t->measured = e->fetched;
}

static void on_progress(void *arg, const struct transfer_event *e) {
  struct task *t = arg;
  struct ome_err err = ERR_INIT;
  const struct record_entry updating = {.status = RECORD_UPDATING};
  const struct record_entry progress = {.status = RECORD_UPDATING, .progress = e, .message = e->message};

  measure(t, e);
  /* Eight connections that are refused again and again have one thing to say. */
  if (t->told_ms && mono_ms() - t->told_ms < PROGRESS_MS)
    return;
  t->told_ms = mono_ms();
  if (e->type == TRANSFER_RETRY)
    log_warning("agent", "%s: %s", t->key, e->message);
  /* What failed stays Failed, with the reason, until bytes come. */
  if (t->has_failed && e->bytes)
    t->has_failed = agent_tell(t, &updating, &err) != OME_OK;
  if (!t->has_failed && agent_tell(t, &progress, &err) != OME_OK)
    log_debug("agent", "%s: %s", t->key, err.msg);
}

/* ---- credentials ------------------------------------------------------------------------------------------------ */

/* The Secret spec.storage.key is asked for when it is needed and never kept. */
static int32_t read_credentials(struct task *t, struct credentials *out, struct ome_err *err) {
  const char *secret = json_str(t->model, "spec.storage.key", "");
  _cleanup_json_ struct json_object *o = NULL;
  int32_t rc = OME_OK;

  if (*secret) {
    rc = credential_ask(t, secret, is_cancelled, t, &o, err);
    if (rc == OME_OK)
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

/* Room for BYTES among what is in flight and NEED in the store, held until the task is done. */
static int32_t take_room(struct task *t, bool *no_room, struct ome_err *err) {
  struct agent *a = t->agent;
  enum residency_verdict verdict = RESIDENCY_FITS;

  if (!budget_take(a->budget, t->queue_key, t->state->bytes)) {
    *no_room = true;
    return OME_OK;
  }
  (void)agent_knows_demand(a);
  int32_t rc = room_take(t->home->room, t->key, t->state->need, &verdict, t->why, err);
  *no_room = rc == OME_OK && verdict != RESIDENCY_FITS;
  return rc;
}

static void give_room_back(struct task *t) {
  budget_give_back(t->agent->budget, t->queue_key);
  stores_give_back(&t->agent->stores, t->key);
}

static int32_t transfer(struct task *t, struct peer_job *with, struct plugin_instance *storage,
                        const struct ome_model_ref *ref, struct manifest *manifest, struct ome_err *err) {
  const struct store_job job = {.name = t->key,
                                .uri = t->uri,
                                .request = t->request,
                                .path = t->path,
                                .owned = true,
                                .manifest = manifest,
                                .plugin = storage,
                                .ref = ref,
                                .swarm = peer_job_swarm(with),
                                .event = on_progress,
                                .cancelled = is_cancelled,
                                .arg = t};

  int32_t rc = peers_join(with, t->uri, manifest, is_cancelled, t, err);

  return rc == OME_OK ? model_store_bring(t->home->files, &job, err) : rc;
}

/* A size that was known took its room before the listing: what stands in line asks no hub again and again. */
static int32_t list_and_transfer(struct task *t, struct peer_job *with, bool has_room, bool *no_room,
                                 struct ome_err *err) {
  _cleanup_credentials_ struct credentials credentials = {{0}};
  _cleanup_manifest_ struct manifest manifest = {0};
  struct plugin_instance *storage = NULL;
  int32_t rc = read_credentials(t, &credentials, err);
  if (rc == OME_OK)
    rc = add_shape(t, &credentials, err);
  const struct ome_model_ref ref = {.struct_size = sizeof(ref),
                                    .uri = t->uri,
                                    .revision = json_str(t->model, "spec.storage.parameters.revision", NULL),
                                    .params = credentials.list.items,
                                    .nparams = credentials.list.len};
  const struct plugin_call call = {.timeout_ms = LISTING_MS, .trace_id = t->key, .cancelled = is_cancelled, .arg = t};

  if (rc == OME_OK)
    rc = plugins_storage_for(t->agent->plugins, t->uri, &storage, err);
  if (rc == OME_OK)
    rc = manifest_list(storage, &call, &ref, &manifest, err);
  if (rc != OME_OK)
    return rc;
  t->state->bytes = manifest.total_bytes ? manifest.total_bytes : 1;
  if (!has_room) /* its size may need another store than the first */
    rc = task_choose_store(t, err);
  if (rc != OME_OK)
    return rc;
  t->state->need = model_store_missing(t->home->files, &manifest);
  if (!has_room)
    rc = take_room(t, no_room, err);
  return rc == OME_OK && !*no_room ? transfer(t, with, storage, &ref, &manifest, err) : rc;
}

/* Other nodes hear that it is on its way before it is known what it is. */
static int32_t bring_with_others(struct task *t, bool has_room, bool *no_room, struct ome_err *err) {
  struct peer_job *with = NULL;
  _cleanup_free_ char *label = name_model_label(t->ns, t->name);
  int32_t rc = label ? peers_begin(t->agent->peers, t->key, label, &with, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = list_and_transfer(t, with, has_room, no_room, err);
  peers_leave(with);
  return rc;
}

/* Whether it has nothing to read: it stays at its vendor. */
static bool has_no_files(const struct task *t) {
  _cleanup_manifest_ struct manifest m = {0};
  _cleanup_json_ struct json_object *reference = model_store_reference(t->home->files, t->key, &m);

  return reference && m.files.len == 0;
}

/* Says what the model in the folder is, and keeps that with the reference. */
static int32_t describe(const struct task *t, const char *revision, struct ome_err *err) {
  _cleanup_model_facts_ struct model_facts facts = {.parameters = 0};
  int32_t rc = model_facts_of_path(t->path, &facts, err);

  /* An archive, which the pod's init container unpacks, or nothing. */
  if (rc == OME_E_NOT_FOUND && (name_is_weights(t->ns) || has_no_files(t))) {
    err_clear(err);
    rc = OME_OK;
  }
  if (rc != OME_OK)
    return rc;
  _cleanup_json_ struct json_object *report = model_facts_config(&facts);
  (void)json_set_str(report, "artifact.sha", revision);
  return model_store_annotate(t->home->files, t->key, report, err);
}

struct json_object *find_whole(const struct task *t) {
  struct json_object *o = model_store_find(t->home->files, t->key, t->uri, t->path);

  if (o && streq(json_str(o, "request", ""), t->request))
    return o;
  json_unref(o);
  return NULL;
}

/* Files that changed after they were read make a report of something else: it is not kept. */
static int32_t finish(struct task *t, struct ome_err *err) {
  json_unref(t->whole);
  t->whole = find_whole(t);
  if (!t->whole)
    return fail(err, OME_E_CONFLICT, "%s: the files in %s changed just after they were verified", t->key, t->path);
  int32_t rc = describe(t, json_str(t->whole, "revision", ""), err);
  json_unref(t->whole);
  t->whole = rc == OME_OK ? find_whole(t) : NULL;
  return rc == OME_OK && !t->whole
             ? fail(err, OME_E_CONFLICT, "%s: the files in %s changed while they were read", t->key, t->path)
             : rc;
}

int32_t bring(struct task *t, bool *no_room, struct ome_err *err) {
  struct agent *a = t->agent;
  bool known = t->state->bytes > 0;
  int32_t rc = OME_OK;

  *no_room = false;
  t->why[0] = '\0';
  if (t->whole) /* an agent that was killed before it had described it */
    return finish(t, err);
  if (known)
    rc = take_room(t, no_room, err);
  if (rc == OME_OK && !*no_room)
    rc = bring_with_others(t, known, no_room, err);
  give_room_back(t);
  if (rc != OME_OK || *no_room)
    return rc;
  stores_collect_garbage(&a->stores); /* what it was before */
  return finish(t, err);
}
