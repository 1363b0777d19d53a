/* What is kept beside the figures of a benchmark, and where its results and prompts are. */
#include "base/str.h"
#include "compose/benchmark_internal.h"
#include "compose/claim.h"
#include "compose/names.h"
#include "kube/meta.h"

#include <string.h>

/* ---- addresses --------------------------------------------------------------------------------------------------- */

void benchmark_storage_fini(struct benchmark_storage *s) {
  free(s->claim);
  free(s->path);
}

/* The namespace is the job's own in any case, since pods mount no others. */
static int32_t read_claim(const char *uri, const char *field, struct benchmark_storage *out, struct ome_err *err) {
  _cleanup_(claim_fini) struct claim c = {0};
  int32_t rc = claim_parse(uri, &c, err);

  if (rc != OME_OK)
    return fail_prefix(err, "%s", field);
  out->place = PLACE_CLAIM;
  out->claim = TAKE_PTR(c.name);
  out->path = TAKE_PTR(c.path);
  return OME_OK;
}

int32_t benchmark_storage_read(const char *uri, const char *field, struct benchmark_storage *out, struct ome_err *err) {
  const char *sep = strstr(uri, "://");

  out->uri = uri;
  if (!sep || !sep[3])
    return fail(err, OME_E_INVALID, "%s: \"%s\" is no address of a storage backend", field, uri);
  if (claim_is(uri))
    return read_claim(uri, field, out, err);
  if (!has_prefix(uri, "local://") && !has_prefix(uri, "file://"))
    return OME_OK;
  out->place = PLACE_HOST;
  out->path = sep[3] == '/' ? strdup(sep + 3) : str_printf("/%s", sep + 3);
  if (!out->path)
    return fail_memory(err);
  return strstr(out->path, "/..") ? fail(err, OME_E_INVALID, "%s: \"%s\" leads upward", field, uri) : OME_OK;
}

char *benchmark_report_uri(const char *uri, const char *folder) {
  size_t len = strlen(uri);

  /* A registry has no folders: a tag is one benchmark. */
  if (has_prefix(uri, "oras://")) {
    const char *slash = strrchr(uri, '/');
    return strchr(slash, ':') ? strdup(uri) : str_printf("%s:%s", uri, folder);
  }
  while (len && uri[len - 1] == '/')
    len--;
  return str_printf("%.*s/%s", (int)len, uri, folder);
}

/* ---- facts ------------------------------------------------------------------------------------------------------- */

static bool copy(struct json_object *to, const char *name, struct json_object *from, const char *path) {
  struct json_object *v = json_at(from, path);

  return json_empty(v) || json_set(to, name, json_copy(v));
}

static bool set_model(struct json_object *o, struct json_object *model) {
  static const char *const paths[][2] = {{"model.name", "metadata.name"},
                                         {"model.kind", "kind"},
                                         {"model.storageUri", "spec.storage.storageUri"},
                                         {"model.type", "spec.modelType"},
                                         {"model.architecture", "spec.modelArchitecture"},
                                         {"model.parameterSize", "spec.modelParameterSize"},
                                         {"model.quantization", "spec.quantization"},
                                         {"model.maxTokens", "spec.maxTokens"},
                                         {"model.format", "spec.modelFormat"},
                                         {"model.capabilities", "spec.modelCapabilities"},
                                         {"model.vendor", "spec.vendor"}};
  bool ok = true;

  for (size_t i = 0; ok && i < ARRAY_LEN(paths); i++)
    ok = copy(o, paths[i][0], model, paths[i][1]);
  return ok;
}

/* The image of the engine: what really runs, whatever the runtime says. */
static const char *engine_image(const struct benchmark_facts *f) {
  struct json_object *containers = json_at(f->workload, "spec.template.spec.containers");
  struct json_object *main = json_find(containers, "name", MAIN_CONTAINER);

  main = main ? main : json_index(containers, 0);
  return json_str(main, "image", json_str(f->runtime, "spec.engineConfig.runner.image", ""));
}

/* Name and version as an image's own name and tag say them; what the job says of the service counts more. */
static bool set_engine(struct json_object *o, const struct benchmark_facts *f) {
  static const char *const told[] = {"engine", "version", "gpuType", "gpuCount"};
  const char *image = engine_image(f);
  const char *name = strrchr(image, '/') ? strrchr(image, '/') + 1 : image;
  size_t len = strcspn(name, ":@");
  _cleanup_free_ char *engine = str_copy(name, len);
  bool ok = engine && (!*engine || json_set_str(o, "engine", engine)) &&
            (name[len] != ':' || json_set_str(o, "version", name + len + 1)) &&
            (!*image || json_set_str(o, "runtime.image", image)) &&
            copy(o, "gpuType", f->service, "status.selection.selected.accelerator");

  for (size_t i = 0; ok && i < ARRAY_LEN(told); i++) {
    struct json_object *v = json_get(json_at(f->job, "spec.serviceMetadata"), told[i]);
    ok = !v || json_set(o, told[i], json_copy(v));
  }
  return ok;
}

static bool set_service(struct json_object *o, const struct benchmark_facts *f) {
  struct json_object *s = f->service;

  if (!s)
    return true;
  return json_set_str(o, "service.namespace", meta_namespace(s)) && json_set_str(o, "service.name", meta_name(s)) &&
         json_set_str(o, "service.uid", meta_uid(s)) && json_set_i64(o, "service.generation", meta_generation(s)) &&
         copy(o, "service.url", s, "status.url") && copy(o, "service.replicas", f->workload, "status.readyReplicas") &&
         copy(o, "accelerator", s, "status.selection.selected.accelerator") &&
         copy(o, "selection", s, "status.selection");
}

struct json_object *benchmark_metadata(const struct benchmark_work *w) {
  const struct benchmark_facts *f = w->facts;
  struct json_object *o = json_object_new_object();

  if (o && json_set_str(o, "benchmark.namespace", meta_namespace(w->job)) &&
      json_set_str(o, "benchmark.name", meta_name(w->job)) &&
      json_set_i64(o, "benchmark.generation", meta_generation(w->job)) && set_service(o, f) && set_model(o, f->model) &&
      copy(o, "runtime.name", f->runtime, "metadata.name") && copy(o, "runtime.kind", f->runtime, "kind") &&
      set_engine(o, f))
    return o;
  json_unref(o);
  return NULL;
}

struct json_object *benchmark_params(const struct benchmark_work *w) {
  struct json_object *given = json_at(w->job, "spec.additionalRequestParams");
  struct json_object *o = json_object_new_object();

  if (!o || !json_is(given, json_type_object))
    return o;
  /* The API has texts: "0.0" is meant as a number, "true" as such, and anything else as it stands. */
  json_object_object_foreach (given, key, v) {
    const char *text = v ? json_object_get_string(v) : "";
    struct json_object *value = NULL;
    struct ome_err ignored = ERR_INIT;
    if (json_parse(text, strlen(text), 0, &value, &ignored) != OME_OK)
      value = json_object_new_string(text);
    if (!json_put(o, key, value)) {
      json_unref(o);
      return NULL;
    }
  }
  return o;
}

static bool is_told_model(const struct benchmark_work *w) {
  const char *told = meta_annotation(w->job, TOKENIZER_ANNOTATION);

  return told && streq(told, "model");
}

bool benchmark_reads_model(const struct benchmark_work *w) {
  return w->genai || is_told_model(w);
}

char *benchmark_tokenizer(const struct benchmark_work *w) {
  const char *told = meta_annotation(w->job, TOKENIZER_ANNOTATION);
  const char *path = json_str(w->facts->model, "spec.storage.path", "");
  const char *uri = json_str(w->facts->model, "spec.storage.storageUri", "");

  if (told && *told && !is_told_model(w))
    return strdup(told);
  if (*path)
    return strdup(path);
  if (!w->genai)
    return NULL; /* nothing is fetched for it */
  if (has_prefix(uri, "hf://"))
    return str_copy(uri + 5, strcspn(uri + 5, "@"));
  return w->facts->service ? NULL : strdup(json_str(w->job, "spec.endpoint.endpoint.modelName", ""));
}
