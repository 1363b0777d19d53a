/* deployment "serverless": a component as a Knative Service, from no replica upwards. */
#include "../common/plugin.h"
#include "live.h"
#include "template.h"

#include <stdio.h>
#include <string.h>

/* ---- pod --------------------------------------------------------------------------------------------------------- */

/* What a Revision has of a PodSpec and of its containers.  What a runtime says besides, for its other modes, the API
 * server would drop or refuse. */
static const char *const pod_fields[] = {"affinity",
                                         "automountServiceAccountToken",
                                         "containers",
                                         "dnsConfig",
                                         "dnsPolicy",
                                         "enableServiceLinks",
                                         "hostAliases",
                                         "hostIPC",
                                         "hostNetwork",
                                         "hostPID",
                                         "imagePullSecrets",
                                         "initContainers",
                                         "nodeSelector",
                                         "priorityClassName",
                                         "runtimeClassName",
                                         "schedulerName",
                                         "securityContext",
                                         "serviceAccountName",
                                         "shareProcessNamespace",
                                         "tolerations",
                                         "topologySpreadConstraints",
                                         "volumes",
                                         NULL};
static const char *const container_fields[] = {"args",
                                               "command",
                                               "env",
                                               "envFrom",
                                               "image",
                                               "imagePullPolicy",
                                               "livenessProbe",
                                               "name",
                                               "ports",
                                               "readinessProbe",
                                               "resources",
                                               "securityContext",
                                               "startupProbe",
                                               "terminationMessagePath",
                                               "terminationMessagePolicy",
                                               "volumeMounts",
                                               "workingDir",
                                               NULL};

/* new: the entries of O that FIELDS name. */
static struct json_object *only(struct json_object *o, const char *const *fields) {
  struct json_object *out = json_object_new_object();

  for (; *fields; fields++)
    doc_share(out, *fields, doc_get(o, *fields));
  return out;
}

static void trim_containers(struct json_object *pod, const char *key) {
  struct json_object *list = doc_get(pod, key);
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < doc_len(list); i++)
    (void)json_object_array_add(out, only(doc_item(list, i), container_fields));
  if (list)
    doc_set(pod, key, out);
  else
    (void)json_object_put(out);
}

static struct json_object *revision_spec(struct json_object *component) {
  struct json_object *pod = only(doc_get(component, "podSpec"), pod_fields);
  struct json_object *timeout = doc_get(component, "timeoutSeconds");

  trim_containers(pod, "containers");
  trim_containers(pod, "initContainers");
  doc_share(pod, "containerConcurrency", doc_get(component, "containerConcurrency"));
  doc_share(pod, "timeoutSeconds", timeout);
  doc_share(pod, "responseStartTimeoutSeconds", timeout);
  return pod;
}

/* ---- metadata ---------------------------------------------------------------------------------------------------- */

#define KPA "autoscaling.knative.dev/"

/* They are read on the Service; everything else on its revisions. */
static const char *const service_annotations[] = {"serving.knative.dev/rollout-duration",
                                                  "serving.knative.openshift.io/enablePassthrough"};

static void put(struct json_object *map, const char *key, const char *value) {
  (void)json_object_object_add(map, key, json_object_new_string(value));
}

static void put_number(struct json_object *map, const char *key, int64_t n) {
  char text[24];

  (void)snprintf(text, sizeof(text), "%lld", (long long)n);
  put(map, key, text);
}

static void scale(struct json_object *component, struct json_object *annotations) {
  const char *metric = doc_str(component, "scaleMetric", "");

  put_number(annotations, KPA "min-scale", doc_int(component, "minReplicas", 1));
  if (doc_int(component, "maxReplicas", 0) > 0)
    put_number(annotations, KPA "max-scale", doc_int(component, "maxReplicas", 0));
  if (!doc_get(annotations, KPA "class"))
    put(annotations, KPA "class", "kpa.autoscaling.knative.dev");
  if (doc_get(component, "scaleTarget"))
    put_number(annotations, KPA "target", doc_int(component, "scaleTarget", 0));
  if (*metric)
    put(annotations, KPA "metric", metric);
}

static void move_annotations(struct json_object *o, struct json_object *template) {
  struct json_object *from = doc_at(template, "metadata.annotations");
  struct json_object *to = json_object_new_object();

  for (size_t i = 0; i < sizeof(service_annotations) / sizeof(*service_annotations); i++) {
    struct json_object *v = doc_get(from, service_annotations[i]);
    if (!v)
      continue;
    (void)json_object_object_add(to, service_annotations[i], json_object_get(v));
    json_object_object_del(from, service_annotations[i]);
  }
  doc_set(o, "metadata.annotations", to);
}

/* ---- traffic ----------------------------------------------------------------------------------------------------- */

static struct json_object *target(int64_t percent, int tagged, const char *tag, const char *revision) {
  struct json_object *t = json_object_new_object();

  doc_set(t, "latestRevision", json_object_new_boolean(!revision));
  doc_set_int(t, "percent", percent);
  if (revision)
    doc_set_str(t, "revisionName", revision);
  if (tagged)
    doc_set_str(t, "tag", tag);
  return t;
}

/* A canary shares with the revision that was rolled out last; before there is one, the latest takes all. */
static struct json_object *traffic(struct json_object *component, struct json_object *service) {
  struct json_object *list = json_object_new_array();
  const char *kind = doc_str(component, "component", "");
  const char *last = doc_str(doc_get(doc_at(service, "status.components"), kind), "latestRolledoutRevision", "");
  int64_t percent = doc_int(component, "canaryTrafficPercent", 100);
  const char *routing =
      json_object_get_string(doc_get(doc_get(component, "annotations"), "serving.knative.dev/enable-tag-routing"));
  int tagged = routing && strcmp(routing, "true") == 0;

  if (!*last || percent < 0 || percent > 100 || !doc_get(component, "canaryTrafficPercent")) {
    (void)json_object_array_add(list, target(100, 0, "", NULL));
    return list;
  }
  (void)json_object_array_add(list, target(percent, tagged, "latest", NULL));
  if (percent < 100)
    (void)json_object_array_add(list, target(100 - percent, 1, "prev", last));
  return list;
}

/* ---- rendering --------------------------------------------------------------------------------------------------- */

static struct json_object *knative_service(const struct request_docs *d) {
  struct json_object *c = d->component;
  /* Its name is a label in the host names of its routes: where the component's is longer, Knative would refuse it. */
  struct json_object *o = doc_object("serving.knative.dev/v1", "Service", doc_str(c, "app", ""), c);
  struct json_object *spec = revision_spec(c);
  struct json_object *template = template_new(c, spec);

  (void)json_object_put(spec);
  move_annotations(o, template);
  scale(c, doc_at(template, "metadata.annotations"));
  json_object_object_del(doc_at(template, "metadata.labels"), "networking.knative.dev/visibility");
  doc_set(o, "spec.template", template);
  doc_set(o, "spec.traffic", traffic(c, d->service));
  return o;
}

static int32_t render(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err) {
  if (!doc_get(d->component, "podSpec"))
    return doc_fail(err, OME_E_INVALID, "deployment serverless: the component has no podSpec");
  return doc_push(out, knative_service(d), err);
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

/* Without a replica it is ready too: Knative holds the requests until one is there. */
static void judge(struct json_object *live, struct ome_status *out) {
  struct json_object *ready = doc_condition(live, "Ready");
  const char *status = doc_str(ready, "status", "");
  const char *url = doc_str(live, "status.url", "");

  out->phase = strcmp(status, "True") == 0    ? OME_PHASE_READY
               : strcmp(status, "False") == 0 ? OME_PHASE_FAILED
                                              : OME_PHASE_PROGRESSING;
  doc_text(out->reason, sizeof(out->reason), "%s",
           doc_str(ready, "reason", out->phase == OME_PHASE_READY ? "" : "Initializing"));
  doc_text(out->message, sizeof(out->message), "%s",
           doc_str(ready, "message", out->phase == OME_PHASE_READY ? "" : "Knative has not made it ready yet"));
  if (*url)
    doc_text(out->url, sizeof(out->url), "%s", url);
}

static int32_t observe(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                       struct ome_err *err) {
  (void)err;
  live_observe(d, live, "Knative Service", judge, out);
  return OME_OK;
}

static const struct api_kind needed = {"serving.knative.dev", "v1", "Service"};

RENDER_PLUGIN(OME_KIND_DEPLOYMENT, "deployment-serverless", "serverless",
              "A component as a Knative Service, which scales it from zero");
