/* autoscaler "hpa": a HorizontalPodAutoscaler on one resource metric. */
#include "../common/doc.h"
#include "../common/plugin.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_UTILIZATION = 80 };

/* The annotation, then scaleTarget, then 80 %. */
static int64_t utilization(struct json_object *component) {
  struct json_object *given = doc_get(doc_get(component, "annotations"), "ome.io/targetUtilizationPercentage");
  long n = given ? strtol(json_object_get_string(given), NULL, 10) : 0;

  if (n >= 1 && n <= 100)
    return n;
  return doc_int(component, "scaleTarget", DEFAULT_UTILIZATION);
}

/* A HorizontalPodAutoscaler measures cpu and memory by itself; other metrics need an autoscaler that knows them. */
static const char *metric(struct json_object *component) {
  return strcmp(doc_str(component, "scaleMetric", ""), "memory") == 0 ? "memory" : "cpu";
}

static struct json_object *metrics(struct json_object *component) {
  struct json_object *list = json_object_new_array();
  struct json_object *m = json_object_new_object();

  doc_set_str(m, "type", "Resource");
  doc_set_str(m, "resource.name", metric(component));
  doc_set_str(m, "resource.target.type", "Utilization");
  doc_set_int(m, "resource.target.averageUtilization", utilization(component));
  (void)json_object_array_add(list, m);
  return list;
}

static int32_t render(void *self, const struct ome_call *call, const struct ome_render_req *req,
                      struct ome_object_sink *out, struct ome_err *err) {
  struct request_docs d;
  int32_t rc = docs_open(req, &d, err);

  (void)self, (void)call;
  if (rc != OME_OK)
    return rc;
  const char *name = doc_str(d.component, "name", "");
  int64_t min = doc_int(d.component, "minReplicas", 1);
  int64_t max = doc_int(d.component, "maxReplicas", min);
  if (min < 1)
    min = 1;
  struct json_object *o = doc_object("autoscaling/v2", "HorizontalPodAutoscaler", name, d.component);
  doc_set_str(o, "metadata.labels.app", doc_str(d.component, "app", ""));
  doc_set_str(o, "spec.scaleTargetRef.apiVersion", "apps/v1");
  doc_set_str(o, "spec.scaleTargetRef.kind", "Deployment");
  doc_set_str(o, "spec.scaleTargetRef.name", name);
  doc_set_int(o, "spec.minReplicas", min);
  doc_set_int(o, "spec.maxReplicas", max < min ? min : max);
  doc_set(o, "spec.metrics", metrics(d.component));
  rc = doc_push(out, o, err);
  docs_close(&d);
  return rc;
}

static int32_t observe(void *self, const struct ome_call *call, const struct ome_render_req *req,
                       struct ome_bytes observed, struct ome_status *out, struct ome_err *err) {
  struct json_object *list = NULL;
  int32_t rc = doc_parse(observed, &list, err);

  (void)self, (void)call, (void)req;
  if (rc == OME_OK)
    out->phase = doc_item(list, 0) ? OME_PHASE_READY : OME_PHASE_PENDING;
  (void)json_object_put(list);
  return rc;
}

static int32_t needs(void *self, const struct ome_render_req *req, struct ome_object_sink *out, struct ome_err *err) {
  static const char api[] = "{\"group\":\"autoscaling\",\"version\":\"v2\",\"kind\":\"HorizontalPodAutoscaler\"}";

  (void)self, (void)req;
  int32_t rc = out->object(out, (struct ome_bytes){api, sizeof(api) - 1});
  return rc == OME_OK ? OME_OK : doc_fail(err, rc, "the host did not take an API kind");
}

RENDER_PLUGIN(OME_KIND_AUTOSCALER, "autoscaler-hpa", "hpa", "Scales a component by CPU or memory use");
