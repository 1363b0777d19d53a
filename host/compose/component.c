#include "compose/component.h"

#include "base/str.h"
#include "compose/adapters.h"
#include "compose/merge.h"
#include "compose/metadata.h"
#include "compose/modelmount.h"
#include "compose/names.h"
#include "compose/overlays.h"
#include "compose/override.h"
#include "compose/pod.h"
#include "compose/rdma.h"
#include "compose/router.h"
#include "compose/scaling.h"
#include "compose/shape.h"
#include "compose/topology.h"

#include <stdio.h>

const char *const component_kinds[COMPONENT_KINDS] = {"engine", "decoder", "router"};

char *component_name(const char *service, const char *kind) {
  return str_printf("%s-%s", service, kind);
}

/* Extension fields that plugins read, handed over as the merged component has them. */
static const char *const handed_over[] = {"scaleTarget",    "scaleMetric",          "containerConcurrency",
                                          "timeoutSeconds", "canaryTrafficPercent", "minAvailable",
                                          "maxUnavailable", "deploymentStrategy"};

/* ---- ports ------------------------------------------------------------------------------------------------------- */

/* The application protocol of the port of this name, as PROTOCOLS (servicePortAppProtocols) has it; "" is none, so that
 * a service can take back what its runtime says. */
static void say_protocol(struct json_object *port, struct json_object *protocols) {
  struct json_object *v = json_get(protocols, json_str(port, "name", ""));

  if (json_is(v, json_type_string) && json_object_get_string_len(v) > 0)
    (void)json_set(port, "appProtocol", json_object_get(v));
}

/* What the component listens on: the serving container's ports, else 8080. */
static struct json_object *ports_of(struct json_object *pod, const char *container, struct json_object *protocols) {
  struct json_object *main = json_find(json_get(pod, "containers"), "name", container);
  struct json_object *ports = json_get(main, "ports");
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; out && i < json_len(ports); i++) {
    struct json_object *p = json_index(ports, i);
    struct json_object *e = json_object_new_object();
    const char *name = json_str(p, "name", "");
    if (*name)
      (void)json_set_str(e, "name", name);
    else if (json_len(ports) > 1) { /* a Service with several ports must name them */
      _cleanup_free_ char *made = str_printf("port-%lld", (long long)json_i64(p, "containerPort", 0));
      (void)json_set_str(e, "name", made ? made : "");
    }
    (void)json_set_i64(e, "port", json_i64(p, "containerPort", 8080));
    (void)json_set_str(e, "protocol", json_str(p, "protocol", "TCP"));
    say_protocol(e, protocols);
    (void)json_add(out, e);
  }
  if (out && json_len(out) == 0) {
    struct json_object *e = json_object_new_object();
    (void)json_set_str(e, "name", *container ? container : "http");
    (void)json_set_i64(e, "port", 8080);
    (void)json_set_str(e, "protocol", "TCP");
    say_protocol(e, protocols);
    (void)json_add(out, e);
  }
  return out;
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

static bool put_identity(const struct component_request *req, const struct mode *mode, struct json_object *out) {
  const char *service = json_str(req->service, "metadata.name", "");
  _cleanup_free_ char *name = component_name(service, req->kind);
  _cleanup_free_ char *app = name ? name_truncate(name, NAME_MAX_LABEL) : NULL;

  return app && json_set_str(out, "document", "ome.io/component/1") && json_set_str(out, "component", req->kind) &&
         json_set_str(out, "name", name) && json_set_str(out, "app", app) &&
         json_set_str(out, "namespace", json_str(req->service, "metadata.namespace", "default")) &&
         json_set_str(out, "mode", mode->name);
}

static bool put_model(const struct component_request *req, struct json_object *out) {
  struct json_object *m = json_object_new_object();

  return m && json_set(out, "model", m) && json_set_str(m, "name", json_str(req->model, "metadata.name", "")) &&
         json_set_str(m, "kind", json_str(req->model, "kind", "")) &&
         json_set_str(m, "path", model_mount_path(req->model));
}

static bool put_pods(struct json_object *merged, struct pod_result *pods, struct json_object *out) {
  struct json_object *ports = ports_of(pods->main, pods->container, json_get(merged, "servicePortAppProtocols"));

  if (!json_set_str(out, "container", pods->container) || !json_set(out, "ports", ports) ||
      !json_set(out, "podSpec", TAKE_PTR(pods->main)))
    return false;
  return !pods->worker || (json_set_i64(out, "worker.size", json_i64(merged, "worker.size", 0)) &&
                           json_set(out, "worker.podSpec", TAKE_PTR(pods->worker)));
}

/* The fast network of nodes, which one machine's own platform does without.  ANNOTATIONS may gain networks. */
static int32_t apply_rdma(const struct component_request *req, struct json_object *annotations, struct pod_result *pods,
                          struct ome_err *err) {
  struct json_object *profiles = json_at(req->cluster, "config.rdmaProfiles");

  if (*json_str(req->cluster, "gatewayUrl", ""))
    return OME_OK;
  int32_t rc = rdma_apply(annotations, pods->main, profiles, err);
  if (rc == OME_OK && pods->worker)
    rc = rdma_apply(annotations, pods->worker, profiles, err);
  return rc == OME_E_INVALID ? fail_prefix(err, "spec.%s.annotations: rdma.ome.io/profile", req->kind) : rc;
}

static int32_t fill(const struct component_request *req, const struct mode *mode, struct json_object *merged,
                    struct pod_result *pods, struct json_object *out, struct ome_err *err) {
  struct json_object *labels = component_labels(req, merged);
  struct json_object *annotations = component_annotations(req, merged);

  if (!put_identity(req, mode, out) || !json_set(out, "labels", labels) || !json_set(out, "annotations", annotations))
    return fail_memory(err);
  struct scaling_request scaling = {
      .component = req,
      .own = json_get(json_get(req->service, "spec"), req->kind),
      .merged = merged,
      .annotations = annotations,
      .mode = mode,
  };
  int32_t rc = scaling_compose(&scaling, out, err);
  if (rc == OME_OK)
    rc = apply_rdma(req, annotations, pods, err);
  if (rc != OME_OK)
    return rc;
  if (!put_pods(merged, pods, out) || (req->model && !put_model(req, out)))
    return fail_memory(err);
  for (size_t i = 0; i < ARRAY_LEN(handed_over); i++) {
    struct json_object *v = json_get(merged, handed_over[i]);
    if (v && !json_set(out, handed_over[i], json_object_get(v)))
      return fail_memory(err);
  }
  return OME_OK;
}

static int32_t check_replicas(const char *kind, struct json_object *merged, struct ome_err *err) {
  int64_t min = json_i64(merged, "minReplicas", 1);
  int64_t max = json_i64(merged, "maxReplicas", 0);

  if (min < 0 || max < 0)
    return fail(err, OME_E_INVALID, "spec.%s: minReplicas and maxReplicas must not be negative", kind);
  if (max && min > max)
    return fail(err, OME_E_INVALID, "spec.%s: minReplicas %lld must not exceed maxReplicas %lld", kind, (long long)min,
                (long long)max);
  return OME_OK;
}

/* A group is a leader and its workers; OME v0.1.5 ended at a leader alone. */
static int32_t check_group(const char *kind, const struct mode *mode, struct json_object *merged, struct ome_err *err) {
  bool grouped = streq(mode->plugin, "multinode");

  if (grouped && json_get(merged, "leader") && !json_get(merged, "worker"))
    return fail(err, OME_E_INVALID,
                "spec.%s.worker: a leader needs workers; add them, or leave the leader out and say the rest in spec.%s",
                kind, kind);
  if (json_i64(merged, "worker.size", 0) < 0)
    return fail(err, OME_E_INVALID, "spec.%s.worker.size must not be negative", kind);
  return OME_OK;
}

static int32_t check_shapes(const struct component_request *req, const char *config, struct json_object *template,
                            struct json_object *own, struct ome_err *err) {
  char where[160];

  (void)snprintf(where, sizeof(where), "runtime %.100s: spec.%s", json_str(req->runtime, "metadata.name", ""), config);
  int32_t rc = shape_check_metadata(req->service, "metadata", err);
  if (rc == OME_OK)
    rc = shape_check_component(template, where, err);
  (void)snprintf(where, sizeof(where), "spec.%s", req->kind);
  return rc == OME_OK ? shape_check_component(own, where, err) : rc;
}

static bool is_grouped(const struct mode *m) {
  return streq(m->plugin, "multinode") || streq(m->plugin, "ray");
}

/* The site's time to end, for pods that do not say: `deploy.terminationGracePeriodSeconds`. */
static bool default_grace(const struct component_request *req, struct json_object *pod) {
  int64_t seconds = json_i64(req->cluster, "config.deploy.terminationGracePeriodSeconds", -1);

  return !pod || seconds < 0 || json_get(pod, "terminationGracePeriodSeconds") ||
         json_set_i64(pod, "terminationGracePeriodSeconds", seconds);
}

/* What a component says of its pods beside their specs, and what the site says. */
static int32_t finish_pods(const struct component_request *req, const struct mode *m, struct json_object *merged,
                           struct pod_result *pods, struct ome_err *err) {
  _cleanup_free_ char *name = component_name(json_str(req->service, "metadata.name", ""), req->kind);
  _cleanup_free_ char *app = name ? name_truncate(name, NAME_MAX_LABEL) : NULL;
  bool groups = streq(m->plugin, "multinode");
  bool ok = app && default_grace(req, pods->main) && default_grace(req, pods->worker);

  if (ok && (groups || streq(m->plugin, "raw")))
    ok = topology_spread(merged, app, pods->main);
  if (ok && groups && pods->worker)
    ok = topology_gather(merged, pods->worker);
  return ok ? OME_OK : fail_memory(err);
}

static int32_t compose_document(const struct component_request *req, const struct mode *m, struct json_object *merged,
                                struct json_object *doc, struct ome_err *err) {
  _cleanup_(pod_result_fini) struct pod_result pods = {0};
  struct pod_request pod = {
      .service = req->service,
      .component = merged,
      .kind = req->kind,
      .model = req->model,
      .replaced = adapters_are_merged(req->weights),
      .runtime = req->runtime,
      .entry = req->entry,
      .accelerator = req->accelerator,
      .grouped = is_grouped(m),
  };
  int32_t rc = compose_pods(&pod, &pods, err);
  if (rc == OME_OK && streq(req->kind, "router")) {
    _cleanup_free_ char *account = component_name(json_str(req->service, "metadata.name", ""), req->kind);
    if (!account || !json_set_str(pods.main, "serviceAccountName", account))
      rc = fail_memory(err);
  }
  if (rc == OME_OK)
    rc = finish_pods(req, m, merged, &pods, err);
  if (rc == OME_OK)
    rc = fill(req, m, merged, &pods, doc, err);
  /* Knative scales without a bound unless the service sets one. */
  if (rc == OME_OK && streq(m->plugin, "serverless") && !json_get(merged, "maxReplicas"))
    json_del(doc, "maxReplicas");
  return rc;
}

/* What the runtime says of the accelerator goes into the arguments before anything is computed around them. */
static int32_t override_merged(const struct component_request *req, struct json_object *merged, struct ome_err *err) {
  static const char *const runners[] = {"runner", "leader.runner", "worker.runner"};
  const char *class = json_str(req->accelerator, "metadata.name", "");
  struct json_object *config = json_get(json_get(req->entry, "acceleratorConfig"), class);
  int32_t rc = OME_OK;

  if (streq(req->kind, "router"))
    return OME_OK;
  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(runners); i++)
    rc = override_runner(config, json_at(merged, runners[i]), err);
  return rc;
}

static int32_t tune_merged(const struct component_request *req, const struct mode *m, struct json_object *merged,
                           struct ome_err *err) {
  const struct tune_target to = {
      .kind = req->kind,
      .service = req->service,
      .runtime = req->runtime,
      .accelerator = req->accelerator,
      .component = merged,
      .grouped = is_grouped(m),
  };

  return req->tune ? tune_component(req->tune, &to, err) : OME_OK;
}

/* What runtime and service may each say can still be at odds. */
static int32_t check_merged(const char *kind, struct json_object *merged, struct ome_err *err) {
  char where[32];

  (void)snprintf(where, sizeof(where), "spec.%s", kind);
  int32_t rc = shape_check_component(merged, where, err);
  return rc == OME_OK ? check_replicas(kind, merged, err) : rc;
}

/* The runtime's template with the service's own part over it; a router that neither describes is SGLang's. */
static int32_t merge_parts(const struct component_request *req, struct json_object *template, struct json_object *own,
                           struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *merged = NULL;
  _cleanup_json_ struct json_object *router = NULL;
  int32_t rc = merge_component(template, own, &merged, err);

  if (rc == OME_OK && streq(req->kind, "router") && !router_is_own(merged)) {
    rc = router_template(req->service, req->peers, req->cluster, &router, err);
    return rc == OME_OK ? merge_component(router, merged, out, err) : rc;
  }
  if (rc == OME_OK)
    *out = TAKE_PTR(merged);
  return rc;
}

static int32_t add_adapters(const struct component_request *req, const struct mode *m, struct json_object *merged,
                            struct ome_err *err) {
  const struct adapters_request of = {
      .kind = req->kind,
      .weights = req->weights,
      .service = req->service,
      .component = merged,
      .cluster = req->cluster,
      .grouped = is_grouped(m),
  };

  return adapters_apply(&of, err);
}

/* What engines and decoders read beside the model; a router reads nothing. */
static int32_t add_files(const struct component_request *req, const struct mode *m, struct json_object *merged,
                         struct ome_err *err) {
  const struct overlays_request overlays = {
      .models = req->overlays,
      .service = req->service,
      .component = merged,
      .grouped = is_grouped(m),
  };

  if (streq(req->kind, "router"))
    return OME_OK;
  int32_t rc = add_adapters(req, m, merged, err);
  return rc == OME_OK ? overlays_apply(&overlays, err) : rc;
}

int32_t component_compose(const struct component_request *req, struct json_object **out, const struct mode **mode,
                          struct ome_err *err) {
  static const char *const configs[] = {"engineConfig", "decoderConfig", "routerConfig"};
  struct json_object *own = json_get(json_get(req->service, "spec"), req->kind);
  _cleanup_json_ struct json_object *merged = NULL;
  _cleanup_json_ struct json_object *doc = json_object_new_object();
  const char *config = configs[0];

  for (size_t i = 0; i < COMPONENT_KINDS; i++)
    if (streq(component_kinds[i], req->kind))
      config = configs[i];
  if (!doc)
    return fail_memory(err);
  struct json_object *template = json_get(json_get(req->runtime, "spec"), config);
  int32_t rc = check_shapes(req, config, template, own, err);
  if (rc == OME_OK)
    rc = merge_parts(req, template, own, &merged, err);
  if (rc == OME_OK)
    rc = check_merged(req->kind, merged, err);
  if (rc != OME_OK)
    return rc;
  const struct mode *m = mode_of(req->kind, merged, req->service);
  rc = check_group(req->kind, m, merged, err);
  if (rc == OME_OK)
    rc = override_merged(req, merged, err);
  if (rc == OME_OK)
    rc = tune_merged(req, m, merged, err);
  if (rc == OME_OK)
    rc = add_files(req, m, merged, err);
  if (rc != OME_OK)
    return rc;
  rc = compose_document(req, m, merged, doc, err);
  if (rc != OME_OK)
    return rc;
  *out = TAKE_PTR(doc);
  *mode = m;
  return OME_OK;
}
