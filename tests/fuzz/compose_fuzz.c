/* Manifests of any shape through folding, selection and composition: the API server keeps what it does not know, so
 * that nothing may be taken for granted.  The input is {service, model, runtime, pods}. */
#include "compose/cluster.h"
#include "compose/component.h"
#include "compose/fold.h"
#include "compose/pods.h"
#include "select/select.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_selection(struct json_object *service, struct json_object *model, struct json_object *runtime) {
  struct json_object *runtimes = json_object_new_array();
  struct selection *s = NULL;
  struct ome_err err = ERR_INIT;

  (void)json_object_array_add(runtimes, json_object_get(runtime));
  struct select_request req = {.service = service, .ns = "default", .model = model, .runtimes = runtimes};
  if (select_runtime(&req, &s, &err) == OME_OK) {
    json_unref(select_record(s, service, "default", NULL, 3));
    selection_free(s);
  }
  json_unref(runtimes);
}

static void try_components(struct json_object *service, struct json_object *model, struct json_object *runtime) {
  struct json_object *cluster = NULL;
  struct ome_err err = ERR_INIT;

  if (cluster_offline(false, NULL, &cluster, &err) != OME_OK)
    return;
  for (size_t i = 0; i < COMPONENT_KINDS; i++) {
    struct json_object *doc = NULL;
    const struct mode *mode = NULL;
    struct component_request req = {
        .kind = component_kinds[i], .service = service, .model = model, .runtime = runtime, .cluster = cluster};
    if (component_compose(&req, &doc, &mode, &err) == OME_OK)
      json_unref(doc);
  }
  json_unref(cluster);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct json_object *in = NULL;
  struct json_object *service = NULL;
  struct json_object *runtime = NULL;
  struct pods_summary pods;
  struct ome_err err = ERR_INIT;

  if (json_parse((const char *)data, size, 65536, &in, &err) != OME_OK)
    return 0;
  struct json_object *model = json_get(in, "model");
  pods_summarize(json_get(in, "pods"), "engine", &pods);
  if (fold_service(json_get(in, "service"), &service, &err) == OME_OK &&
      fold_runtime(json_get(in, "runtime"), &runtime, &err) == OME_OK) {
    try_selection(service, model, runtime);
    try_components(service, model, runtime);
  }
  json_unref(service);
  json_unref(runtime);
  json_unref(in);
  return 0;
}
