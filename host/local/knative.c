/* The Knative Service controller's decisions (serving.knative.dev/v1): one Deployment, whose template is the service's
 * and whose replicas are the scaler's.  What needs several revisions at once, a canary or a tag, goes to the latest. */
#include "local/plan.h"

#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

#define AUTOSCALING "autoscaling.knative.dev/"
#define HASH_ANNOTATION "local.ome.io/template"
#define SERVICE_LABEL "serving.knative.dev/service"

/* Knative's defaults (config-autoscaler). */
#define TARGET 100       /* requests at once to a replica; with containerConcurrency, that */
#define WINDOW_MS 60000  /* fewer replicas when fewer would have done for this long */
#define REPLICAS_MAX 100 /* a bound of ours where max-scale is absent: one machine runs no more */

/* ---- scale ------------------------------------------------------------------------------------------------------- */

/* An annotation of the template, where Knative reads them; KEY2 (NULL: none) is its older spelling. */
static const char *setting(struct json_object *service, const char *key, const char *key2) {
  struct json_object *all = json_at(service, "spec.template.metadata.annotations");
  struct json_object *v = json_get(all, key);

  v = v || !key2 ? v : json_get(all, key2);
  return v ? json_object_get_string(v) : NULL;
}

static int64_t number(const char *text, int64_t dflt) {
  int64_t n = 0;

  return text && str_to_i64(text, &n) && n >= 0 ? n : dflt;
}

/* "90s", "2m", "1h", "500ms" and the like, one unit; DFLT for what is none of it. */
static int64_t duration_ms(const char *text, int64_t dflt) {
  static const struct {
    const char *unit;
    int64_t ms;
  } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
  size_t digits = text ? strspn(text, "0123456789") : 0;
  _cleanup_free_ char *count = digits && digits < 8 ? str_copy(text, digits) : NULL;

  for (size_t i = 0; count && i < ARRAY_LEN(units); i++)
    if (streq(text + digits, units[i].unit))
      return number(count, 0) * units[i].ms;
  return dflt;
}

static int64_t min_scale(struct json_object *service) {
  int64_t n = number(setting(service, AUTOSCALING "min-scale", AUTOSCALING "minScale"), 0);

  return n < REPLICAS_MAX ? n : REPLICAS_MAX;
}

static int64_t max_scale(struct json_object *service) {
  int64_t n = number(setting(service, AUTOSCALING "max-scale", AUTOSCALING "maxScale"), 0);

  return n > 0 && n < REPLICAS_MAX ? n : REPLICAS_MAX;
}

int64_t knative_replicas(struct json_object *service, int64_t current, int64_t load, int64_t quiet_ms) {
  int64_t hard = json_i64(service, "spec.template.spec.containerConcurrency", 0);
  int64_t target = number(setting(service, AUTOSCALING "target", NULL), hard > 0 ? hard : TARGET);
  int64_t window = duration_ms(setting(service, AUTOSCALING "window", NULL), WINDOW_MS);
  int64_t least = min_scale(service), most = max_scale(service);
  int64_t wanted = (load + (target > 0 ? target : 1) - 1) / (target > 0 ? target : 1);

  wanted = wanted > most ? most : wanted;
  wanted = wanted < least ? least : wanted;
  return wanted < current && current <= most && quiet_ms < window ? current : wanted;
}

/* ---- the Deployment ---------------------------------------------------------------------------------------------- */

static int64_t port_of(struct json_object *container) {
  return json_i64(json_index(json_get(container, "ports"), 0), "containerPort", 8080);
}

/* Knative fills in the port of a probe, and has one where the service has none. */
static void complete_probes(struct json_object *container) {
  static const char *const probes[] = {"readinessProbe", "livenessProbe", "startupProbe"};
  static const char *const actions[] = {"httpGet", "tcpSocket", "grpc"};
  int64_t port = port_of(container);

  if (!json_get(container, "readinessProbe")) {
    (void)json_set_i64(container, "readinessProbe.tcpSocket.port", port);
    (void)json_set_i64(container, "readinessProbe.periodSeconds", 1);
  }
  for (size_t i = 0; i < ARRAY_LEN(probes); i++)
    for (size_t k = 0; k < ARRAY_LEN(actions); k++) {
      struct json_object *action = json_get(json_get(container, probes[i]), actions[k]);
      struct json_object *have = json_get(action, "port");
      if (action && (!have || (json_is(have, json_type_int) && !json_object_get_int64(have))))
        (void)json_set_i64(action, "port", port);
    }
}

/* What a revision says of requests and pods do not have goes; what Knative tells every container comes. */
static struct json_object *pod_template(struct json_object *service) {
  static const char *const revision_only[] = {"containerConcurrency", "timeoutSeconds", "responseStartTimeoutSeconds",
                                              "idleTimeoutSeconds"};
  struct json_object *t = json_copy(json_at(service, "spec.template")), *spec = json_ensure(t, "spec");
  struct json_object *container = json_index(json_get(spec, "containers"), 0);
  struct json_object *meta = json_ensure(t, "metadata");

  for (size_t i = 0; i < ARRAY_LEN(revision_only); i++)
    json_object_object_del(spec, revision_only[i]);
  json_object_object_del(meta, "name");
  meta_set_label(t, SERVICE_LABEL, meta_name(service));
  if (!container)
    return t;
  complete_probes(container);
  _cleanup_free_ char *port = str_printf("%lld", (long long)port_of(container));
  const struct { const char *name, *value; } vars[] = {{"PORT", port}, {"K_SERVICE", meta_name(service)}};
  struct json_object *env = json_get(container, "env");
  if (!env && (env = json_object_new_array()))
    (void)json_set(container, "env", env);
  for (size_t i = 0; i < ARRAY_LEN(vars); i++) {
    if (json_find(env, "name", vars[i].name))
      continue;
    struct json_object *e = json_object_new_object();
    (void)json_set_str(e, "name", vars[i].name);
    (void)json_set_str(e, "value", vars[i].value);
    (void)json_add(env, e);
  }
  return t;
}

/* A first replica is started also where none is asked for: that it starts is what makes the service ready. */
static void add_deployment(struct json_object *service, struct json_object *template, const char *hash,
                           struct plan *out) {
  struct json_object *d = json_object_new_object();
  _cleanup_free_ char *name = str_printf("%s-deployment", meta_name(service));
  int64_t least = min_scale(service);

  (void)json_set_str(d, "apiVersion", "apps/v1");
  (void)json_set_str(d, "kind", "Deployment");
  (void)json_set(d, "metadata", plan_child_meta(service, json_get(service, "metadata")));
  (void)json_set_str(d, "metadata.name", name);
  meta_set_label(d, SERVICE_LABEL, meta_name(service));
  meta_set_annotation(d, HASH_ANNOTATION, hash);
  (void)json_set_i64(d, "spec.replicas", least > 0 ? least : 1);
  (void)json_put_str(json_ensure(d, "spec.selector.matchLabels"), SERVICE_LABEL, meta_name(service));
  (void)json_set(d, "spec.template", json_object_get(template));
  (void)json_add(out->create, d);
}

static void change_deployment(struct json_object *service, struct json_object *deployment, struct json_object *template,
                              const char *hash, struct plan *out) {
  int64_t least = min_scale(service);
  struct json_object *patch;

  if (streq(meta_annotation(deployment, HASH_ANNOTATION), hash))
    return;
  patch = plan_patch_for(out, meta_name(deployment));
  meta_set_annotation(patch, HASH_ANNOTATION, hash);
  (void)json_set(patch, "spec.template", json_object_get(template));
  (void)json_set_i64(patch, "spec.replicas", least > 0 ? least : 1); /* the new one has to show that it starts, too */
}

/* ---- the status -------------------------------------------------------------------------------------------------- */

static void set_status(struct json_object *service, struct json_object *deployment, const char *hash, int64_t now_ms,
                       struct plan *out) {
  struct json_object *status = json_copy(json_get(service, "status"));
  _cleanup_free_ char *revision = str_printf("%s-%05lld", meta_name(service), (long long)meta_generation(service));
  struct json_object *available = json_find(json_at(deployment, "status.conditions"), "type", "Available");
  bool current = deployment && streq(meta_annotation(deployment, HASH_ANNOTATION), hash);
  bool seen = json_i64(deployment, "status.observedGeneration", 0) == meta_generation(deployment);
  bool same = json_i64(service, "status.observedGeneration", 0) == meta_generation(service);
  int64_t updated = json_i64(deployment, "status.updatedReplicas", 0);
  int64_t ready = json_i64(deployment, "status.availableReplicas", 0);
  int64_t total = json_i64(deployment, "status.replicas", 0);
  /* Once it has started it stays ready: requests are held until a replica is there. */
  bool started = current && seen && updated == total && ready > 0;
  bool rests = current && same && streq(meta_condition(service, "Ready"), "True");
  const char *why = json_str(available, "message", "the first replica is being started");

  if (!status)
    status = json_object_new_object();
  (void)json_set_i64(status, "observedGeneration", meta_generation(service));
  (void)json_set_str(status, "latestCreatedRevisionName", revision);
  if (started || rests) {
    (void)json_set_str(status, "latestReadyRevisionName", revision);
    plan_condition(status, "Ready", "True", "", "", now_ms, false);
  } else {
    plan_condition(status, "Ready", "Unknown", "Deploying", why, now_ms, false);
  }
  out->status = status;
}

void knative_plan(struct json_object *service, struct json_object *deployments, int64_t now_ms, struct plan *out) {
  struct json_object *deployment = json_index(deployments, 0);
  _cleanup_json_ struct json_object *template = pod_template(service);
  char hash[16];

  if (meta_deleting(service) || !template)
    return;
  template_hash(template, 0, hash);
  if (!deployment)
    add_deployment(service, template, hash, out);
  else if (!meta_deleting(deployment))
    change_deployment(service, deployment, template, hash, out);
  set_status(service, deployment, hash, now_ms, out);
}
