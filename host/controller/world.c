#include "controller/internal.h"

#include "base/log.h"
#include "base/str.h"
#include "compose/claim.h"
#include "compose/cluster.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

/* Two arrays into one; takes both. */
static struct json_object *joined(struct json_object *a, struct json_object *b) {
  (void)json_add_all(a, b);
  json_unref(b);
  return a;
}

static void drop_lists(struct service_worker *w) {
  select_field_fini(&w->field);
  w->world.field = NULL;
  json_unref(w->world.runtimes);
  json_unref(w->world.weights);
  w->world.runtimes = w->world.weights = NULL;
}

void world_fini(struct service_worker *w) {
  drop_lists(w);
  json_unref(w->world.revisions);
  w->world.revisions = NULL;
  json_unref(w->world.accelerators);
  w->world.accelerators = NULL;
  json_unref(w->world.cluster);
  w->world.cluster = NULL;
  json_unref(w->foreign);
  w->foreign = NULL;
}

static void keep_good(struct controller *c, struct json_object *config) {
  char *text = config ? json_text(config) : NULL;

  (void)pthread_mutex_lock(&c->config.lock);
  free(c->config.good);
  c->config.good = text;
  c->config.known = true;
  (void)pthread_mutex_unlock(&c->config.lock);
}

/* The last configuration that could be read, *OUT new or NULL, instead of BAD; false: there never was one. */
static bool fall_back(struct controller *c, struct json_object *bad, const char *why, struct json_object **out) {
  const char *version = json_str(bad, "metadata.resourceVersion", "");
  struct ome_err ignored = ERR_INIT;

  (void)pthread_mutex_lock(&c->config.lock);
  bool known = c->config.known;
  if (known && !streq(version, c->config.bad)) {
    log_warning("controller", "%s; the configuration before it stays in force", why);
    (void)snprintf(c->config.bad, sizeof(c->config.bad), "%s", version);
  }
  if (known && c->config.good)
    (void)json_parse(c->config.good, strlen(c->config.good), 0, out, &ignored);
  (void)pthread_mutex_unlock(&c->config.lock);
  return known;
}

/* A slip in the configuration must not undo what it said before. */
static int32_t compose_cluster(struct controller *c, struct cluster_facts *facts, struct json_object **out,
                               struct ome_err *err) {
  _cleanup_json_ struct json_object *good = NULL;
  int32_t rc = cluster_document(facts, out, err);

  if (rc == OME_OK)
    keep_good(c, facts->config);
  if (rc != OME_E_INVALID || !fall_back(c, facts->config, err->msg, &good))
    return rc;
  err_clear(err);
  facts->config = good;
  return cluster_document(facts, out, err);
}

static int32_t load_cluster(struct service_worker *w, struct ome_err *err) {
  struct controller *c = w->c;
  _cleanup_json_ struct json_object *config =
      kube_cache_get(c->watches[WATCH_CONFIG], c->ome_namespace, "inferenceservice-config");
  char text[CHILD_KINDS][160];
  const char *apis[CHILD_KINDS];
  size_t n = 0;

  for (size_t i = 0; i < CHILD_KINDS; i++) {
    struct child_kind *k = &c->children[i];
    if (!child_cache(k))
      continue;
    (void)snprintf(text[n], sizeof(text[n]), "%s/%s", k->api_version, k->resource->kind);
    apis[n] = text[n];
    n++;
  }
  struct cluster_facts facts = {
      .ome_namespace = c->ome_namespace,
      .gateway_url = c->gateway_url,
      .program = c->program,
      .plugins_conf = c->program ? c->plugins_conf : NULL,
      .apis = apis,
      .napis = n,
      .config = config,
  };
  struct json_object *cluster = NULL;
  int32_t rc = compose_cluster(c, &facts, &cluster, err);
  if (rc != OME_OK)
    return rc;
  json_unref(w->world.cluster);
  w->world.cluster = cluster;
  return OME_OK;
}

/* Counts of devices change often, and what runtimes say does not change with them. */
static int32_t refresh_classes(struct service_worker *w, struct ome_err *err) {
  uint64_t version = atomic_load(&w->c->classes_version);

  if (w->world.accelerators && w->classes_seen == version)
    return OME_OK;
  json_unref(w->world.accelerators);
  w->world.accelerators = kube_cache_list(w->c->watches[WATCH_ACCELERATORS], NULL);
  w->classes_seen = version;
  return w->world.accelerators ? OME_OK : fail_memory(err);
}

int32_t world_refresh(struct service_worker *w, struct ome_err *err) {
  struct controller *c = w->c;
  uint64_t version = atomic_load(&c->world_version);
  int32_t rc = refresh_classes(w, err);

  if (rc != OME_OK || (w->world.runtimes && w->world.cluster && w->world_seen == version))
    return rc;
  drop_lists(w);
  w->world.plugins = c->plugins;
  w->world.nscorers = select_scorers_of(c->plugins, w->world.scorers, PLAN_SCORERS);
  w->world.runtimes = world_runtimes(c);
  w->world.weights = kube_cache_list(c->watches[WATCH_WEIGHTS], NULL);
  if (!w->world.runtimes || !w->world.weights)
    return fail_memory(err);
  rc = select_field_init(&w->field, w->world.runtimes, err);
  w->world.field = &w->field;
  if (rc == OME_OK)
    rc = load_cluster(w, err);
  if (rc == OME_OK)
    w->world_seen = version;
  return rc;
}

struct json_object *world_runtimes(struct controller *c) {
  return joined(kube_cache_list(c->watches[WATCH_RUNTIMES], NULL),
                kube_cache_list(c->watches[WATCH_CLUSTER_RUNTIMES], NULL));
}

/* Takes what it finds into OUT. */
static void add_models(struct controller *c, const char *ns, const char *name, struct json_object *out) {
  struct json_object *found[] = {kube_cache_get(c->watches[WATCH_BASE_MODELS], ns, name),
                                 kube_cache_get(c->watches[WATCH_CLUSTER_BASE_MODELS], NULL, name)};

  for (size_t i = 0; i < ARRAY_LEN(found); i++)
    if (found[i])
      (void)json_add(out, found[i]);
}

struct json_object *world_models(struct controller *c, struct json_object *service) {
  struct json_object *out = json_object_new_array();
  struct json_object *overlays = json_at(service, "spec.model.overlays");
  const char *ns = meta_namespace(service);

  add_models(c, ns, json_str(service, "spec.model.name", json_str(service, "spec.predictor.model.baseModel", "")), out);
  for (size_t i = 0; i < json_len(overlays); i++)
    add_models(c, ns, json_str(json_index(overlays, i), "name", ""), out);
  return out;
}

static bool any_on_claim(struct json_object *models) {
  for (size_t i = 0; i < json_len(models); i++)
    if (claim_is(json_str(json_index(models, i), "spec.storage.storageUri", "")))
      return true;
  return false;
}

bool world_uses_claims(const struct plan_world *world, struct json_object *service, struct json_object *models) {
  return any_on_claim(models) ||
         (json_len(json_at(service, "spec.model.fineTunedWeights")) && any_on_claim(world->weights));
}

struct json_object *world_claims(struct controller *c, const char *ns) {
  return kube_cache_wait(c->watches[WATCH_CLAIMS], 0) ? kube_cache_list(c->watches[WATCH_CLAIMS], ns) : NULL;
}
