#include "compose/metadata.h"

#include "base/str.h"
#include "compose/adapters.h"
#include "compose/names.h"
#include "compose/plan.h"

/* Not handed down from a service to its components.  What only tells us how to decide, or what to say, is no pod's
 * affair: pods would be replaced because somebody asks. */
static bool is_private(const char *key) {
  static const char *const keys[] = {
      "autoscaling.knative.dev/min-scale",
      "autoscaling.knative.dev/max-scale",
      "internal.ome.io/storage-initializer-sourceuri",
      "kubectl.kubernetes.io/last-applied-configuration",
      "ome.io/runtime-selection",
      "ome.io/runtime-sync",
      PLAN_RECORD_ANNOTATION,
  };

  for (size_t i = 0; i < ARRAY_LEN(keys); i++)
    if (streq(keys[i], key))
      return true;
  return false;
}

static bool copy_map(struct json_object *to, struct json_object *from, bool filtered) {
  if (!json_is(from, json_type_object))
    return true;
  json_object_object_foreach (from, key, value) {
    if ((!filtered || !is_private(key)) && !json_put(to, key, json_object_get(value)))
      return false;
  }
  return true;
}

struct json_object *metadata_inherited(struct json_object *from, bool annotations) {
  struct json_object *o = json_object_new_object();

  if (o && copy_map(o, from, annotations))
    return o;
  json_unref(o);
  return NULL;
}

static bool put(struct json_object *o, const char *key, const char *value) {
  struct json_object *v = json_object_new_string(value);

  return v && json_put(o, key, v);
}

static bool put_label(struct json_object *o, const char *key, const char *value) {
  _cleanup_free_ char *clean = name_label_value(value);

  return clean && put(o, key, clean);
}

/* ome.io/volcano-queue and ome.io/dedicated-ai-cluster are read by queueing systems as labels. */
bool metadata_queue_labels(struct json_object *labels, struct json_object *annotations) {
  const char *queue = json_object_get_string(json_get(annotations, "ome.io/volcano-queue"));
  const char *cluster = json_object_get_string(json_get(annotations, "ome.io/dedicated-ai-cluster"));
  bool ok = true;

  if (queue)
    ok = put_label(labels, "volcano.sh/queue-name", queue);
  else if (cluster && json_get(annotations, "kueue-enabled"))
    ok = put_label(labels, "kueue.x-k8s.io/queue-name", cluster) &&
         put(labels, "kueue.x-k8s.io/priority-class", "kueue-scheduling-high-priority");
  else if (cluster)
    ok = put_label(labels, "volcano.sh/queue-name", cluster) &&
         put(labels, "ray.io/priority-class-name", "volcano-scheduling-high-priority");
  return ok && (!json_get(annotations, "volcano") || put(labels, "ray.io/scheduler-name", "volcano"));
}

/* What fine-tuned weights an engine loads; PREFIX of the keys. */
static bool put_tuning(const struct component_request *req, struct json_object *map, const char *prefix) {
  bool tuned = json_len(req->weights) > 0 && !streq(req->kind, "router");
  const char *strategy = tuned ? adapters_strategy(req->weights) : NULL;
  _cleanup_free_ char *how = str_printf("%sfine-tuned-weight-ft-strategy", prefix);
  _cleanup_free_ char *merged = str_printf("%sfine-tuned-serving-with-merged-weights", prefix);

  return how && merged && (*prefix || put(map, "fine-tuned-serving", tuned ? "true" : "false")) &&
         (!strategy || put_label(map, how, strategy)) &&
         (!tuned || !adapters_are_merged(req->weights) || put(map, merged, "true"));
}

static bool fill_labels(const struct component_request *req, struct json_object *merged, struct json_object *labels) {
  const char *size =
      json_object_get_string(json_get(json_at(req->model, "metadata.annotations"), "models.ome.io/category"));
  const char *vendor = json_str(req->model, "spec.vendor", "");
  bool ok = copy_map(labels, json_at(req->service, "metadata.labels"), false) &&
            copy_map(labels, json_get(merged, "labels"), false) &&
            put_label(labels, LABEL_SERVICE, json_str(req->service, "metadata.name", "")) &&
            put(labels, LABEL_COMPONENT, req->kind) && put_tuning(req, labels, "");

  if (ok && req->runtime)
    ok = put_label(labels, "serving-runtime", json_str(req->runtime, "metadata.name", ""));
  if (ok && req->model)
    ok = put_label(labels, "base-model-name", json_str(req->model, "metadata.name", "")) &&
         put_label(labels, "base-model-size", size ? size : "SMALL") && put(labels, "base-model-type", "Serving");
  return ok && (!*vendor || put_label(labels, "base-model-vendor", vendor));
}

struct json_object *component_labels(const struct component_request *req, struct json_object *merged) {
  struct json_object *labels = json_object_new_object();
  _cleanup_json_ struct json_object *annotations = component_annotations(req, merged);

  if (!labels || !annotations || !fill_labels(req, merged, labels) || !metadata_queue_labels(labels, annotations)) {
    json_unref(labels);
    return NULL;
  }
  return labels;
}

static bool fill_model_annotations(const struct component_request *req, struct json_object *annotations) {
  static const struct {
    const char *key;
    const char *path; /* in the model */
  } facts[] = {{"ome.io/base-model-name", "metadata.name"},
               {"ome.io/base-model-vendor", "spec.vendor"},
               {"ome.io/base-model-format", "spec.modelFormat.name"},
               {"ome.io/base-model-format-version", "spec.modelFormat.version"}};
  static const char *const copied[] = {"ome.io/base-model-decryption-key-name",
                                       "ome.io/base-model-decryption-secret-name"};

  for (size_t i = 0; i < ARRAY_LEN(facts); i++) {
    const char *v = json_str(req->model, facts[i].path, "");
    if (*v && !put(annotations, facts[i].key, v))
      return false;
  }
  for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
    struct json_object *v = json_get(json_at(req->model, "metadata.annotations"), copied[i]);
    if (v && !json_put(annotations, copied[i], json_object_get(v)))
      return false;
  }
  return true;
}

struct json_object *component_annotations(const struct component_request *req, struct json_object *merged) {
  struct json_object *a = json_object_new_object();
  const char *runtime = json_str(req->runtime, "metadata.name", "");

  if (!a || !copy_map(a, json_at(req->service, "metadata.annotations"), true) ||
      !copy_map(a, json_get(merged, "annotations"), false) || !fill_model_annotations(req, a) ||
      !put_tuning(req, a, "ome.io/") || (*runtime && !put(a, "ome.io/serving-runtime", runtime))) {
    json_unref(a);
    return NULL;
  }
  return a;
}
