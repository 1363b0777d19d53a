#include "controller/internal.h"

#include "base/log.h"
#include "base/str.h"
#include "compose/cluster.h"

#include <stdio.h>

/* Two arrays into one; takes both. */
static struct json_object *joined(struct json_object *a, struct json_object *b) {
  for (size_t i = 0; a && i < json_len(b); i++)
    (void)json_object_array_add(a, json_object_get(json_index(b, i)));
  json_unref(b);
  return a;
}

static void drop_lists(struct controller *c) {
  select_field_fini(&c->field);
  c->world.field = NULL;
  json_unref(c->world.runtimes);
  json_unref(c->world.accelerators);
  c->world.runtimes = c->world.accelerators = NULL;
}

void world_fini(struct controller *c) {
  drop_lists(c);
  json_unref(c->world.cluster);
  c->world.cluster = NULL;
  json_unref(c->foreign);
  c->foreign = NULL;
}

static int32_t load_cluster(struct controller *c, struct ome_err *err) {
  _cleanup_json_ struct json_object *config =
      kube_cache_get(c->watches[WATCH_CONFIG], c->ome_namespace, "inferenceservice-config");
  char text[CHILD_KINDS][160];
  const char *apis[CHILD_KINDS];
  size_t n = 0;

  for (size_t i = 0; i < CHILD_KINDS; i++) {
    const struct child_kind *k = &c->children[i];
    if (!k->resource)
      continue;
    (void)snprintf(text[n], sizeof(text[n]), "%s/%s", k->api_version, k->kind);
    apis[n] = text[n];
    n++;
  }
  struct cluster_facts facts = {
      .ome_namespace = c->ome_namespace,
      .gateway_url = c->gateway_url,
      .apis = apis,
      .napis = n,
      .config = config,
  };
  struct json_object *cluster = NULL;
  int32_t rc = cluster_document(&facts, &cluster, err);
  if (rc == OME_OK) {
    json_unref(c->world.cluster);
    c->world.cluster = cluster;
    return OME_OK;
  }
  if (rc != OME_E_INVALID || !c->world.cluster)
    return rc;
  /* A slip in the configuration must not undo what it said before. */
  const char *version = json_str(config, "metadata.resourceVersion", "");
  if (!streq(version, c->bad_config))
    log_warning("controller", "%s; the configuration before it stays in force", err->msg);
  (void)snprintf(c->bad_config, sizeof(c->bad_config), "%s", version);
  err_clear(err);
  return OME_OK;
}

int32_t world_refresh(struct controller *c, struct ome_err *err) {
  uint64_t version = atomic_load(&c->world_version);

  if (c->world.runtimes && c->world.cluster && c->world_seen == version)
    return OME_OK;
  drop_lists(c);
  c->world.plugins = c->plugins;
  c->world.nscorers = select_scorers_of(c->plugins, c->world.scorers, PLAN_SCORERS);
  c->world.runtimes = joined(kube_cache_list(c->watches[WATCH_RUNTIMES], NULL),
                             kube_cache_list(c->watches[WATCH_CLUSTER_RUNTIMES], NULL));
  c->world.accelerators = kube_cache_list(c->watches[WATCH_ACCELERATORS], NULL);
  if (!c->world.runtimes || !c->world.accelerators)
    return fail_memory(err);
  int32_t rc = select_field_init(&c->field, c->world.runtimes, err);
  c->world.field = &c->field;
  if (rc == OME_OK)
    rc = load_cluster(c, err);
  if (rc == OME_OK)
    c->world_seen = version;
  return rc;
}

struct json_object *world_models(struct controller *c, const char *ns, const char *name) {
  struct json_object *out = json_object_new_array();
  struct json_object *found[] = {kube_cache_get(c->watches[WATCH_BASE_MODELS], ns, name),
                                 kube_cache_get(c->watches[WATCH_CLUSTER_BASE_MODELS], NULL, name)};

  for (size_t i = 0; i < ARRAY_LEN(found); i++)
    if (found[i] && (!out || json_object_array_add(out, found[i]) != 0))
      json_unref(found[i]);
  return out;
}
