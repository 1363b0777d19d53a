/* Credentials of models to the agents that need them: each gets the one Secret that a model of its node names, sealed,
 * for as long as it brings the model (agent/handover.h). */
#include "agent/handover.h"
#include "agent/scout.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define AGAIN_MS 10000u     /* a Secret that changed is noticed so soon: they are not watched */
#define AGAIN_SOON_MS 5000u /* one that is missing is waited for */

struct hand {
  struct controller *c;
  struct handover of;         /* but for the node */
  struct json_object *secret; /* NULL: none, and why */
  char why[400];
};

/* Whether RECORD says that KEY is wanted on its node, and not there. */
static bool is_under_way(struct json_object *record, const char *key) {
  struct json_object *text = json_get(json_get(record, "data"), key);
  _cleanup_json_ struct json_object *entry = NULL;
  struct ome_err err = ERR_INIT;

  if (!json_is(text, json_type_string) ||
      json_parse(json_object_get_string(text), strlen(json_object_get_string(text)), 0, &entry, &err) != OME_OK)
    return false;
  const char *status = json_str(entry, "status", "");
  return streq(status, "Updating") || streq(status, "Failed");
}

static struct json_object *find_class(void *arg, const char *name) {
  const struct controller *c = arg;

  return kube_cache_get(c->watches[WATCH_ACCELERATORS], NULL, name);
}

/* Records are written by the agents: that the model belongs on the node is decided here. */
static bool may_have(struct controller *c, struct json_object *record, struct json_object *model, const char *key) {
  _cleanup_json_ struct json_object *node = kube_cache_get(c->watches[WATCH_NODES], NULL, meta_name(record));
  const struct scout_classes classes = {find_class, c};

  if (!node || !meta_annotation(record, HANDOVER_KEY) || !is_under_way(record, key))
    return false;
  return scout_entitles(model, node, &classes);
}

/* new array: the records of nodes whose agents wait for MODEL's credential. */
static struct json_object *who_waits(struct controller *c, struct json_object *model, const char *key) {
  struct json_object *out = json_object_new_array();

  if (!out || !model || meta_deleting(model) || !*json_str(model, "spec.storage.key", ""))
    return out;
  _cleanup_json_ struct json_object *records = kube_cache_list(c->watches[WATCH_NODE_MODELS], c->ome_namespace);
  for (size_t i = 0; i < json_len(records); i++) {
    struct json_object *record = json_index(records, i);
    if (may_have(c, record, model, key))
      (void)json_add(out, json_object_get(record));
  }
  return out;
}

/* The Secret, or why there is none; an error is neither. */
static int32_t read_secret(struct hand *h, const char *ns, struct json_object *model, struct ome_err *err) {
  const char *name = json_str(model, "spec.storage.key", "");
  const char *place = name_api_ns(ns) ? ns : h->c->ome_namespace;
  int32_t rc = kube_get(h->c->client, &KUBE_SECRETS, place, name, &h->secret, err);

  if (rc != OME_E_NOT_FOUND && rc != OME_E_DENIED)
    return rc;
  (void)snprintf(h->why, sizeof(h->why), "%.380s", err->msg);
  err_clear(err);
  return OME_OK;
}

/* What the agent of h->of.node has of EXISTING and can still open; borrowed; NULL: nothing. */
static struct json_object *current_of(const struct hand *h, struct json_object *record, struct json_object *existing) {
  int64_t now_ms = wall_ms();

  for (size_t i = 0; i < json_len(existing); i++) {
    struct json_object *map = json_index(existing, i);
    if (streq(handover_node(map), h->of.node) && handover_is_current(map, record, &h->of, now_ms))
      return map;
  }
  return NULL;
}

/* One agent's. */
static int32_t hand_to(struct hand *h, struct json_object *record, struct json_object *existing, struct ome_err *err) {
  h->of.node = meta_name(record);
  struct json_object *has = current_of(h, record, existing);
  if (has && handover_is_of(has, h->secret, h->why))
    return OME_OK;
  _cleanup_json_ struct json_object *map = handover_write(&h->of, record, h->secret, h->why, wall_ms(), err);
  if (!map && err->code == OME_E_INVALID) { /* the agent's own doing: the others are none the worse */
    log_warning("controller", "ConfigMap %s: %s: %s", h->of.node, HANDOVER_KEY, err->msg);
    err_clear(err);
    return OME_OK;
  }
  return map ? kube_apply(h->c->client, &KUBE_CONFIGMAPS, map, NULL, CONTROLLER_MANAGER, true, NULL, err) : err->code;
}

/* Progress of every node comes through here: all have theirs, and the Secret was looked at just now.  *LEFT_MS until it
 * is again. */
static bool is_settled(struct hand *h, struct json_object *waiting, struct json_object *existing, uint64_t *left_ms) {
  const uint64_t *next = strmap_get(h->c->secrets_next, h->of.model_key);
  uint64_t now = mono_ms();

  if (!next || *next <= now)
    return false;
  for (size_t i = 0; i < json_len(waiting); i++) {
    h->of.node = meta_name(json_index(waiting, i));
    if (!current_of(h, json_index(waiting, i), existing))
      return false;
  }
  *left_ms = *next - now;
  return true;
}

static void note_next(struct controller *c, const char *key, uint64_t ms) {
  uint64_t *next = malloc(sizeof(*next));

  if (!next)
    return;
  *next = mono_ms() + ms;
  if (!strmap_put(c->secrets_next, key, next))
    free(next);
}

static bool waits(struct json_object *waiting, const char *node) {
  for (size_t i = 0; i < json_len(waiting); i++)
    if (streq(meta_name(json_index(waiting, i)), node))
      return true;
  return false;
}

static int32_t take_back(struct controller *c, struct json_object *existing, struct json_object *waiting,
                         struct ome_err *err) {
  for (size_t i = 0; i < json_len(existing); i++) {
    struct json_object *map = json_index(existing, i);
    if (waits(waiting, handover_node(map)))
      continue;
    int32_t rc =
        kube_delete(c->client, &KUBE_CONFIGMAPS, c->ome_namespace, meta_name(map), meta_uid(map), KUBE_BACKGROUND, err);
    if (rc != OME_OK && rc != OME_E_NOT_FOUND && rc != OME_E_CONFLICT)
      return rc;
    err_clear(err);
  }
  return OME_OK;
}

int32_t credentials_hand_over(struct controller *c, const char *ns, const char *key, struct json_object *model,
                              uint64_t *again_ms, struct ome_err *err) {
  _cleanup_json_ struct json_object *waiting = who_waits(c, model, key);
  _cleanup_json_ struct json_object *existing = kube_cache_indexed(c->watches[WATCH_HANDOVERS], c->ome_namespace, key);
  struct hand h = {.c = c, .of = {.ns = c->ome_namespace, .model_key = key, .model_uid = meta_uid(model)}};
  int32_t rc = waiting ? take_back(c, existing, waiting, err) : fail_memory(err);

  if (rc == OME_OK && !json_len(waiting))
    (void)strmap_del(c->secrets_next, key);
  if (rc != OME_OK || !json_len(waiting) || is_settled(&h, waiting, existing, again_ms))
    return rc;
  rc = read_secret(&h, ns, model, err);
  for (size_t i = 0; rc == OME_OK && i < json_len(waiting); i++)
    rc = hand_to(&h, json_index(waiting, i), existing, err);
  *again_ms = h.secret ? AGAIN_MS : AGAIN_SOON_MS;
  if (rc == OME_OK)
    note_next(c, key, *again_ms);
  json_unref(h.secret);
  return rc;
}
