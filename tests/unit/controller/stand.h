/* A control plane against the embedded API server, in one process. */
#ifndef TESTS_UNIT_CONTROLLER_STAND_H
#define TESTS_UNIT_CONTROLLER_STAND_H

#include "api/schema.h"
#include "apiserver/apiserver.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/yaml.h"
#include "controller/controller.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEADLINE_MS 20000u

struct stand {
  char dir[64];
  struct apiserver *server;
  struct kube_client *client;
  struct plugins *plugins;
  struct controller *controller;
};

/* ---- kit --------------------------------------------------------------------------------------------------------- */

static inline void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static inline struct json_object *yaml(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(yaml_parse_one("test", text, strlen(text), &o, &err), &err);
  return o;
}

static inline void create(struct stand *s, const struct kube_resource *r, const char *text) {
  struct json_object *o = yaml(text);
  struct ome_err err = ERR_INIT;

  ok(kube_create(s->client, r, o, NULL, &err), &err);
  json_unref(o);
}

static inline void merge(struct stand *s, const struct kube_resource *r, const char *ns, const char *name,
                         const char *subresource, const char *text) {
  struct json_object *o = yaml(text);
  struct ome_err err = ERR_INIT;

  ok(kube_patch(s->client, r, ns, name, subresource, KUBE_PATCH_MERGE, o, NULL, &err), &err);
  json_unref(o);
}

/* new, or NULL: not there. */
static inline struct json_object *get(struct stand *s, const struct kube_resource *r, const char *ns,
                                      const char *name) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (kube_get(s->client, r, ns, name, &o, &err) != OME_OK)
    assert_int_equal(err.code, OME_E_NOT_FOUND);
  return o;
}

typedef bool test_fn(struct json_object *o, const char *want);

/* Asks again and again until TEST holds; new: the object then. */
static inline struct json_object *await(struct stand *s, const struct kube_resource *r, const char *ns,
                                        const char *name, test_fn *test, const char *want) {
  const struct timespec pause = {0, 10000000};

  for (uint64_t end = mono_ms() + DEADLINE_MS; mono_ms() < end; (void)nanosleep(&pause, NULL)) {
    struct json_object *o = get(s, r, ns, name);
    if (test(o, want))
      return o;
    json_unref(o);
  }
  struct json_object *o = get(s, r, ns, name);
  fail_msg("%s %s: waited in vain for %s; it is %s", r->kind, name, want, o ? json_object_to_json_string(o) : "absent");
  return NULL;
}

static inline void await_done(struct stand *s, const struct kube_resource *r, const char *ns, const char *name,
                              test_fn *test, const char *want) {
  json_unref(await(s, r, ns, name, test, want));
}

static inline bool exists(struct json_object *o, const char *want) {
  (void)want;
  return o != NULL;
}

static inline bool absent(struct json_object *o, const char *want) {
  (void)want;
  return o == NULL;
}

/* WANT is "Type=Status" or "Type=Status/Reason". */
static inline bool has_condition(struct json_object *o, const char *want) {
  char text[256];
  const char *eq = strchr(want, '=');
  _cleanup_free_ char *type = str_copy(want, (size_t)(eq - want));
  struct json_object *c = json_find(json_at(o, "status.conditions"), "type", type);

  (void)snprintf(text, sizeof(text), "%s/%s", json_str(c, "status", ""), json_str(c, "reason", ""));
  return c && strncmp(text, eq + 1, strlen(eq + 1)) == 0;
}

static inline bool has_image(struct json_object *o, const char *want) {
  struct json_object *c = json_index(json_at(o, "spec.template.spec.containers"), 0);

  return streq(json_str(c, "image", ""), want);
}

static inline bool has_state(struct json_object *o, const char *want) {
  return streq(json_str(o, "status.state", ""), want);
}

/* ---- stand ------------------------------------------------------------------------------------------------------- */

static inline void install_crds(struct stand *s) {
  struct json_object *crds = api_crds();
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < json_len(crds); i++) {
    int32_t rc = kube_create(s->client, &KUBE_CRDS, json_index(crds, i), NULL, &err);
    if (rc != OME_E_EXISTS)
      ok(rc, &err);
  }
  json_unref(crds);
}

/* A control plane for a cluster, or with GATEWAY (two %s) for one machine. */
static inline int stand_start(void **state, const char *gateway) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)snprintf(s->dir, sizeof(s->dir), "/tmp/ome-controller-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  struct apiserver_config server = {.data_dir = s->dir};
  ok(apiserver_start(&server, &s->server, &err), &err);
  ok(kube_client_new(apiserver_kubeconfig(s->server), NULL, &s->client, &err), &err);
  install_crds(s);
  /* What a cluster may have besides. */
  if (!gateway)
    create(s, &KUBE_CRDS,
           "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: "
           "scaledobjects.keda.sh}, spec: {group: keda.sh, scope: Namespaced, names: {kind: ScaledObject, plural: "
           "scaledobjects, singular: scaledobject, listKind: ScaledObjectList}, versions: [{name: v1alpha1, served: "
           "true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, "
           "x-kubernetes-preserve-unknown-fields: true}}}]}}");
  create(s, &KUBE_NAMESPACES, "{apiVersion: v1, kind: Namespace, metadata: {name: ome}}");
  ok(plugins_load(getenv("OME_TEST_PLUGINS_CONF"), NULL, 0, &s->plugins, &err), &err);
  struct controller_config cfg = {.client = s->client, .plugins = s->plugins, .gateway_url = gateway};
  ok(controller_start(&cfg, &s->controller, &err), &err);
  *state = s;
  return 0;
}

static inline int stand_stop(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  controller_stop(s->controller);
  kube_client_free(s->client);
  apiserver_stop(s->server);
  plugins_free(s->plugins);
  (void)tree_remove(s->dir, &err);
  free(s);
  return 0;
}

#define MODEL(name)                                                                                                    \
  "{apiVersion: ome.io/v1beta1, kind: ClusterBaseModel, metadata: {name: " name "}, spec: "                            \
  "{modelFormat: {name: gguf}, storage: {storageUri: 'hf://example/x', path: /models/" name "}}}"
#define RUNTIME(name, image)                                                                                           \
  "{apiVersion: ome.io/v1beta1, kind: ClusterServingRuntime, metadata: {name: " name "}, spec: "                       \
  "{supportedModelFormats: [{modelFormat: {name: gguf}, autoSelect: true}], engineConfig: {runner: "                   \
  "{name: ome-container, image: '" image "', ports: [{name: http1, containerPort: 8080}]}}}}"

#endif
