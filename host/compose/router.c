#include "compose/router.h"

#include "base/str.h"
#include "compose/mode.h"
#include "compose/names.h"
#include "compose/words.h"

#include <stdio.h>

enum { ROUTER_PORT = 8080 };

bool router_is_own(struct json_object *merged) {
  struct json_object *runner = json_get(merged, "runner");

  return json_get(runner, "image") || json_get(runner, "command") || json_len(json_get(merged, "containers")) > 0;
}

/* ---- command ----------------------------------------------------------------------------------------------------- */

/* The label of the one pod of a group that takes requests; NULL: all pods do. */
static const char *leader_label(struct json_object *peer) {
  static const struct {
    const char *plugin;
    const char *label;
  } labels[] = {{"multinode", "leaderworkerset.sigs.k8s.io/worker-index=0"}, {"ray", "ray.io/node-type=head"}};
  const struct mode *mode = mode_find(json_str(peer, "mode", ""));

  for (size_t i = 0; mode && i < ARRAY_LEN(labels); i++)
    if (streq(labels[i].plugin, mode->plugin))
      return labels[i].label;
  return NULL;
}

/* OPTION and the labels of component KIND's pods, as words of their own. */
static bool add_selector(struct json_object *list, const char *option, const char *kind, const char *service,
                         struct json_object *peers) {
  const char *leader = leader_label(json_find(peers, "component", kind));
  _cleanup_free_ char *component = str_printf(LABEL_COMPONENT "=%s", kind);
  _cleanup_free_ char *value = name_label_value(service);
  _cleanup_free_ char *owner = value ? str_printf(LABEL_SERVICE "=%s", value) : NULL;

  return component && owner && words_add(list, option, component, owner, leader, NULL);
}

static bool fill_command(struct json_object *list, struct json_object *service, struct json_object *peers,
                         struct json_object *cluster, int64_t port) {
  static const char *const start[] = {"python3", "-m", "sglang_router.launch_router", "--host", "0.0.0.0"};
  const char *name = json_str(service, "metadata.name", "");
  bool apart = json_at(service, "spec.decoder") != NULL;
  const char *policy = json_str(cluster, "config.router.policy", apart ? "power_of_two" : "cache_aware");
  char own[16], theirs[24];
  bool ok = true;

  (void)snprintf(own, sizeof(own), "%d", ROUTER_PORT);
  (void)snprintf(theirs, sizeof(theirs), "%lld", (long long)port);
  for (size_t i = 0; i < ARRAY_LEN(start); i++)
    ok = ok && words_add(list, start[i], NULL);
  ok = ok && words_add(list, "--port", own, "--policy", policy, "--service-discovery", "--service-discovery-namespace",
                       json_str(service, "metadata.namespace", "default"), "--service-discovery-port", theirs, NULL);
  if (!apart)
    return ok && add_selector(list, "--selector", "engine", name, peers);
  return ok && words_add(list, "--pd-disaggregation", NULL) &&
         add_selector(list, "--prefill-selector", "engine", name, peers) &&
         add_selector(list, "--decode-selector", "decoder", name, peers);
}

/* ---- the rest of the container ----------------------------------------------------------------------------------- */

/* It is ready when an engine is, and alive before that. */
static bool fill_probes(struct json_object *runner) {
  static const struct {
    const char *probe;
    const char *path;
    int period, failures;
  } probes[] = {{"readinessProbe", "/readiness", 10, 3}, {"livenessProbe", "/liveness", 30, 5}};
  bool ok = true;

  for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
    struct json_object *p = json_ensure(runner, probes[i].probe);
    ok = ok && p && json_set_str(p, "httpGet.path", probes[i].path) && json_set_i64(p, "httpGet.port", ROUTER_PORT) &&
         json_set_i64(p, "periodSeconds", probes[i].period) &&
         json_set_i64(p, "failureThreshold", probes[i].failures) && json_set_i64(p, "timeoutSeconds", 5);
  }
  return ok;
}

static bool fill_ports(struct json_object *runner) {
  struct json_object *ports = json_object_new_array();
  struct json_object *port = json_object_new_object();

  return ports && json_set(runner, "ports", ports) && port && json_add(ports, port) &&
         json_set_str(port, "name", "http") && json_set_i64(port, "containerPort", ROUTER_PORT) &&
         json_set_str(port, "protocol", "TCP");
}

/* Its discovery knows one port for all that it finds. */
static int32_t find_port(struct json_object *peers, int64_t *port, struct ome_err *err) {
  struct json_object *engine = json_find(peers, "component", "engine");
  struct json_object *decoder = json_find(peers, "component", "decoder");
  int64_t prefill = json_i64(json_index(json_get(engine, "ports"), 0), "port", 8080);
  int64_t decode = json_i64(json_index(json_get(decoder, "ports"), 0), "port", prefill);

  if (prefill != decode)
    return fail(
        err, OME_E_INVALID,
        "spec.decoder: its first port is %lld and the engine's is %lld, and the default router looks for both on "
        "one; make them the same, or bring a router in spec.router.runner",
        (long long)decode, (long long)prefill);
  *port = prefill;
  return OME_OK;
}

int32_t router_template(struct json_object *service, struct json_object *peers, struct json_object *cluster,
                        struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  struct json_object *runner = o ? json_ensure(o, "runner") : NULL;
  struct json_object *command = json_object_new_array();
  struct json_object *resources = json_at(cluster, "config.router.resources");
  int64_t port = 0;

  if (!runner || !command || !json_set(runner, "command", command))
    return fail_memory(err);
  int32_t rc = find_port(peers, &port, err);
  if (rc != OME_OK)
    return rc;
  if (!json_set_str(runner, "name", "router") ||
      !json_set_str(runner, "image", json_str(cluster, "config.router.image", "")) ||
      !fill_command(command, service, peers, cluster, port) || !fill_ports(runner) || !fill_probes(runner) ||
      (resources && !json_set(runner, "resources", json_copy(resources))))
    return fail_memory(err);
  *out = TAKE_PTR(o);
  return OME_OK;
}
