#include "local/ray.h"

#include "base/buf.h"
#include "base/quantity.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/plan.h"

#include <string.h>
#include <strings.h>

#define OVERWRITE "ray.io/overwrite-container-cmd" /* "true": the container's command starts Ray itself */
#define POD_ADDRESS "RAY_NODE_IP"
#define HEAD_GROUP "headgroup"

/* What one pod is made of. */
struct ray_node {
  struct json_object *cluster, *group;
  const char *name, *group_name;
  const char *head; /* where workers meet; NULL: this is the head */
};

const char *ray_port(struct json_object *cluster) {
  return json_str(cluster, "spec.headGroupSpec.rayStartParams.port", "6379");
}

static bool is_true(const char *text) {
  return text && strcasecmp(text, "true") == 0;
}

/* ---- ray start --------------------------------------------------------------------------------------------------- */

static void dflt_param(struct json_object *params, const char *key, const char *value) {
  if (!json_get(params, key))
    (void)json_object_object_add(params, key, json_object_new_string(value));
}

/* KEY says how much of RESOURCE, or of what ends so, the container may have. */
static void dflt_amount(struct json_object *params, const char *key, struct json_object *amounts,
                        const char *resource) {
  int64_t n = 0;

  if (!json_is(amounts, json_type_object))
    return;
  json_object_object_foreach (amounts, name, amount) {
    _cleanup_free_ char *text =
        has_suffix(name, resource) && quantity_value(json_object_get_string(amount), &n) && n > 0
            ? str_printf("%lld", (long long)n)
            : NULL;
    if (text)
      dflt_param(params, key, text);
  }
}

static struct json_object *start_params(const struct ray_node *n, struct json_object *container) {
  struct json_object *given = json_get(n->group, "rayStartParams"), *resources = json_get(container, "resources");
  struct json_object *params = json_is(given, json_type_object) ? json_copy(given) : json_object_new_object();
  _cleanup_free_ char *address = str_printf("%s:%s", n->head ? n->head : "", ray_port(n->cluster));

  dflt_param(params, n->head ? "address" : "dashboard-host", n->head ? address : "0.0.0.0");
  dflt_param(params, "metrics-export-port", "8080");
  dflt_param(params, "dashboard-agent-listen-port", "52365");
  dflt_param(params, "node-ip-address", "$(" POD_ADDRESS ")");
  (void)json_set_str(params, "block", "true");
  dflt_amount(params, "num-cpus", json_get(resources, "limits"), "cpu");
  dflt_amount(params, "num-cpus", json_get(resources, "requests"), "cpu");
  dflt_amount(params, "memory", json_get(resources, "limits"), "memory");
  dflt_amount(params, "num-gpus", json_get(resources, "limits"), "gpu");
  return params;
}

/* An option that is on or off has no value, but for these. */
static void add_option(struct buf *out, const char *key, const char *value) {
  bool has_value = streq(key, "log-color") || streq(key, "include-dashboard");

  if (!has_value && strcasecmp(value, "false") == 0)
    return;
  if (!has_value && is_true(value))
    buf_addf(out, " --%s", key);
  else
    buf_addf(out, " --%s=%s", key, value);
}

/* new */
static char *start_command(const struct ray_node *n, struct json_object *container) {
  _cleanup_json_ struct json_object *params = start_params(n, container);
  _cleanup_json_ struct json_object *sorted = json_sorted(params);
  _cleanup_buf_ struct buf out = BUF_INIT;

  buf_adds(&out, n->head ? "ray start" : "ray start --head");
  if (sorted) {
    json_object_object_foreach (sorted, key, value) {
      add_option(&out, key, json_object_get_string(value));
    }
  }
  return buf_take(&out);
}

/* ---- the container ----------------------------------------------------------------------------------------------- */

static void set_words(struct json_object *o, const char *key, const char *const *words, size_t n) {
  struct json_object *a = json_object_new_array();

  for (size_t i = 0; i < n; i++)
    (void)json_object_array_add(a, json_object_new_string(words[i]));
  (void)json_set(o, key, a);
}

static void set_shell(struct json_object *container, const char *script) {
  static const char *const shell[] = {"/bin/bash", "-c", "--"};

  set_words(container, "command", shell, ARRAY_LEN(shell));
  set_words(container, "args", &script, 1);
}

static void add_words(struct buf *out, struct json_object *words) {
  for (size_t i = 0; i < json_len(words); i++)
    buf_addf(out, "%s%s", out->len ? " " : "", json_object_get_string(json_index(words, i)));
}

/* Unless the container starts Ray itself, its command is what comes before. */
static void join_command(const struct ray_node *n, struct json_object *container, const char *start) {
  struct json_object *annotations = json_at(n->group, "template.metadata.annotations");
  const char *own = json_object_get_string(json_get(annotations, OVERWRITE));
  _cleanup_buf_ struct buf script = BUF_INIT;

  add_words(&script, json_get(container, "command"));
  add_words(&script, json_get(container, "args"));
  _cleanup_free_ char *given = buf_take(&script);
  if (is_true(own) || is_true(meta_annotation(n->cluster, OVERWRITE)) || (given && strstr(given, "ray start")))
    return;
  _cleanup_free_ char *all =
      str_printf("%s%sulimit -n 65536; %s", given ? given : "", given && *given ? " && " : "", start);
  set_shell(container, all);
}

static void tell_cluster(const struct ray_node *n, struct json_object *container, const char *start) {
  const char *port = ray_port(n->cluster);
  _cleanup_free_ char *address = str_printf("%s:%s", n->head ? n->head : "$(" POD_ADDRESS ")", port);
  const struct plan_env vars[] = {
      {POD_ADDRESS, NULL, false},
      {"RAY_CLUSTER_NAME", meta_name(n->cluster), false},
      {"RAY_CLOUD_INSTANCE_ID", n->name, false},
      {"RAY_NODE_TYPE_NAME", n->group_name, false},
      {"KUBERAY_GEN_RAY_START_CMD", start, false},
      {"RAY_PORT", port, true},
      {"RAY_ADDRESS", address, true},
      {"RAY_USAGE_STATS_KUBERAY_IN_USE", "1", true},
      {"FQ_RAY_IP", n->head, false}, /* of workers */
      {"RAY_IP", n->head, false},
  };

  plan_add_env(container, vars, n->head ? ARRAY_LEN(vars) : ARRAY_LEN(vars) - 2);
}

static void fit_to_machine(struct json_object *container) {
  struct json_object *command = json_get(container, "command");
  struct json_object *stop = json_at(container, "lifecycle.preStop.exec.command");
  _cleanup_buf_ struct buf words = BUF_INIT;

  if (json_len(command) > 1 && has_suffix(json_object_get_string(json_index(command, 0)), "bash") &&
      streq(json_object_get_string(json_index(command, 1)), "-lc"))
    (void)json_object_array_put_idx(command, 1, json_object_new_string("-c"));
  add_words(&words, stop);
  _cleanup_free_ char *text = buf_take(&words);
  if (text && strstr(text, "ray stop"))
    json_del(container, "lifecycle.preStop");
}

/* A worker that started before its head's control store would give up. */
static void wait_for_head(const struct ray_node *n, struct json_object *spec, struct json_object *container) {
  static const char *const shared[] = {"image", "env", "volumeMounts"};
  struct json_object *all = json_get(spec, "initContainers"), *wait = json_object_new_object();
  _cleanup_free_ char *script = str_printf("until ray health-check --address %s:%s > /dev/null 2>&1; do sleep 1; done",
                                           n->head, ray_port(n->cluster));

  (void)json_set_str(wait, "name", "wait-gcs-ready");
  set_shell(wait, script);
  for (size_t i = 0; i < ARRAY_LEN(shared); i++)
    if (json_get(container, shared[i]))
      (void)json_set(wait, shared[i], json_copy(json_get(container, shared[i])));
  if (!json_is(all, json_type_array)) {
    all = json_object_new_array();
    (void)json_set(spec, "initContainers", all);
  }
  (void)json_object_array_add(all, wait);
}

/* ---- the pod ----------------------------------------------------------------------------------------------------- */

static void label_pod(const struct ray_node *n, struct json_object *pod) {
  const char *cluster = meta_name(n->cluster), *type = n->head ? "worker" : "head";
  _cleanup_free_ char *whole = str_printf("%s-%s", cluster, type);
  size_t len = whole ? strlen(whole) : 0;
  const struct {
    const char *key, *value;
  } labels[] = {
      {"ray.io/is-ray-node", "yes"},
      {RAY_CLUSTER_LABEL, cluster},
      {RAY_NODE_TYPE_LABEL, type},
      {"ray.io/group", n->group_name},
      {"ray.io/identifier", whole ? whole + (len > 63 ? len - 63 : 0) : ""},
      {"app.kubernetes.io/name", "kuberay"},
      {"app.kubernetes.io/created-by", "kuberay-operator"},
  };

  for (size_t i = 0; i < ARRAY_LEN(labels); i++)
    meta_set_label(pod, labels[i].key, labels[i].value);
}

struct json_object *ray_pod(struct json_object *cluster, struct json_object *group, const char *name,
                            const char *head) {
  const struct ray_node n = {cluster, group, name, json_str(group, "groupName", HEAD_GROUP), head};
  struct json_object *template = json_get(group, "template"), *pod = json_object_new_object();
  struct json_object *spec = json_copy(json_get(template, "spec"));
  struct json_object *containers = json_get(spec, "containers"), *container = json_index(containers, 0);

  (void)json_set_str(pod, "apiVersion", "v1");
  (void)json_set_str(pod, "kind", "Pod");
  (void)json_set(pod, "metadata", plan_child_meta(cluster, json_get(template, "metadata")));
  (void)json_set_str(pod, "metadata.name", name);
  label_pod(&n, pod);
  if (container) {
    _cleanup_free_ char *start = start_command(&n, container);
    join_command(&n, container, start);
    tell_cluster(&n, container, start);
  }
  for (size_t i = 0; i < json_len(containers); i++)
    fit_to_machine(json_index(containers, i));
  if (container && head)
    wait_for_head(&n, spec, container);
  (void)json_set(pod, "spec", spec);
  return pod;
}
