/* Services planned with the shipped plugins, for tests of their autoscalers and ingress. */
#ifndef TESTS_UNIT_COMPOSE_EDGES_H
#define TESTS_UNIT_COMPOSE_EDGES_H

#include "base/str.h"
#include "base/yaml.h"
#include "compose/offline.h"
#include "os/file.h"

#include <stdlib.h>

#define EDGES_BASE OME_SOURCE_DIR "/tests/unit/compose/edges/base.yaml"
#define EDGES_INGRESS_CASES 35

static struct plugins *edges_plugins;

static inline void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static inline int edges_load(UNUSED void **state) {
  struct ome_err err = ERR_INIT;

  ok(plugins_load(getenv("OME_TEST_PLUGINS_CONF"), NULL, 0, &edges_plugins, &err), &err);
  return 0;
}

static inline int edges_unload(UNUSED void **state) {
  plugins_free(edges_plugins);
  return 0;
}

static inline int32_t edges_collect(void *arg, struct json_object *doc, UNUSED size_t line,
                                    UNUSED struct ome_err *err) {
  return json_object_array_add(arg, doc) == 0 ? OME_OK : OME_E_NO_MEMORY;
}

static inline void edges_read(const char *path, struct json_object *into) {
  _cleanup_free_ char *text = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  ok(file_read(path, JSON_MAX_BYTES, &text, &len, &err), &err);
  ok(yaml_parse(path, text, len, edges_collect, into, &err), &err);
}

/* What every case has, and PATH's own; new array. */
static inline struct json_object *edges_documents(const char *path) {
  struct json_object *docs = json_object_new_array();

  edges_read(EDGES_BASE, docs);
  edges_read(path, docs);
  return docs;
}

struct edges {
  struct offline offline;
  struct plan *plan;
};

/* The plan of the one service in DOCS. */
static inline void edges_plan(struct edges *e, struct json_object *docs) {
  struct ome_err err = ERR_INIT;

  ok(offline_init(&e->offline, docs, false, edges_plugins, &err), &err);
  if (json_len(e->offline.problems))
    fail_msg("%s", json_object_to_json_string(e->offline.problems));
  assert_int_equal(json_len(e->offline.services), 1);
  ok(plan_service(&e->offline.world, json_index(e->offline.services, 0), &e->plan, &err), &err);
}

static inline void edges_fini(struct edges *e) {
  plan_free(e->plan);
  offline_fini(&e->offline);
}

static inline void edges_add(struct edges *e, const struct plan_part *part, struct json_object *to) {
  for (size_t i = 0; i < part->count; i++)
    (void)json_object_array_add(to, json_object_get(json_index(e->plan->objects, part->first + i)));
}

/* The disruption budgets, the objects of the autoscalers, then of the ingress; new array. */
static inline struct json_object *edges_objects(struct edges *e) {
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < json_len(e->plan->objects); i++)
    if (streq(json_str(json_index(e->plan->objects, i), "kind", ""), "PodDisruptionBudget"))
      (void)json_object_array_add(out, json_object_get(json_index(e->plan->objects, i)));
  for (size_t i = 0; i < e->plan->nparts; i++)
    edges_add(e, &e->plan->parts[i].autoscaler, out);
  edges_add(e, &e->plan->ingress, out);
  return out;
}

#endif
