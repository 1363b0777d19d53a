#include "compose/benchmark.h"

#include "base/str.h"
#include "compose/benchmark_internal.h"
#include "compose/jobs.h"
#include "compose/metadata.h"
#include "compose/names.h"
#include "kube/meta.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TOOL_ANNOTATION "ome.io/benchmark-tool" /* "ome" or "genai-bench" */

char *benchmark_job_name(struct json_object *job) {
  return name_truncate(meta_name(job), NAME_MAX_LABEL); /* pods carry it as a label */
}

char *benchmark_config_name(struct json_object *job) {
  return str_printf("%.230s-benchmark", meta_name(job));
}

const char *benchmark_service_namespace(struct json_object *job) {
  if (!json_at(job, "spec.endpoint.inferenceService"))
    return NULL;
  const char *ns = json_str(job, "spec.endpoint.inferenceService.namespace", "");
  return *ns ? ns : meta_namespace(job);
}

/* ---- what stands in the way -------------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static bool obstacle(struct benchmark_work *w, bool waiting, const char *reason,
                                                           const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  (void)vsnprintf(w->out->message, sizeof(w->out->message), fmt, ap);
  va_end(ap);
  (void)snprintf(w->out->reason, sizeof(w->out->reason), "%s", reason);
  w->out->waiting = waiting;
  return false;
}

/* Names below .localhost are for who knows RFC 6761, as libcurl does: Python asks the system, which may not.  The
 * gateway serves the same by path. */
static bool avoid_name(struct benchmark_work *w) {
  const char *host = strstr(w->url, "://");
  const char *end = host ? strstr(host, ".localhost") : NULL;

  if (!w->genai || !w->facts->embedded || !end)
    return true;
  const char *port = end + strlen(".localhost");
  w->path_url = str_printf("%.*s://127.0.0.1%.*s/%s/%s", (int)(host - w->url), w->url, (int)strcspn(port, "/"), port,
                           meta_namespace(w->facts->service), meta_name(w->facts->service));
  w->url = w->path_url;
  return w->url != NULL;
}

static bool find_service(struct benchmark_work *w) {
  struct json_object *service = w->facts->service;
  const char *ns = benchmark_service_namespace(w->job);
  const char *name = json_str(w->job, "spec.endpoint.inferenceService.name", "");

  if (!service)
    return obstacle(w, true, "ServiceNotFound", "waits for InferenceService %s/%s, which is not there", ns, name);
  struct json_object *ready = json_find(json_at(service, "status.conditions"), "type", "Ready");
  const char *url = json_str(service, "status.url", "");
  if (!streq(json_str(ready, "status", ""), "True") || !*url)
    return obstacle(w, true, "ServiceNotReady", "waits for InferenceService %s/%s to be Ready: %s", ns, name,
                    json_str(ready, "message", "nothing is said about it yet"));
  w->url = w->facts->embedded ? url : json_str(service, "status.address.url", url);
  w->format = "openai";
  return avoid_name(w) || obstacle(w, true, "NoMemory", "memory ran out");
}

static bool find_endpoint(struct benchmark_work *w) {
  struct json_object *endpoint = json_at(w->job, "spec.endpoint.endpoint");

  if (json_at(w->job, "spec.endpoint.inferenceService"))
    return endpoint ? obstacle(w, false, "EndpointInvalid",
                               "spec.endpoint: names an address and an InferenceService; keep one of them")
                    : find_service(w);
  w->url = json_str(endpoint, "url", "");
  w->format = json_str(endpoint, "apiFormat", "openai");
  w->model = json_str(endpoint, "modelName", NULL);
  if (w->model && !*w->model)
    w->model = NULL;
  if (!*w->url)
    return obstacle(w, false, "EndpointInvalid", "spec.endpoint: names neither an address nor an InferenceService");
  if (!w->genai && !streq(w->format, "openai"))
    return obstacle(w, false, "FormatUnsupported",
                    "spec.endpoint.endpoint.apiFormat: ome bench does not speak %s; ask for genai-bench by "
                    "spec.podOverride.image or the annotation " TOOL_ANNOTATION,
                    w->format);
  return true;
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

/* Whether IMAGE is genai-bench's, whatever registry it is from. */
static bool is_genai(const char *image) {
  const char *name = strrchr(image, '/') ? strrchr(image, '/') + 1 : image;

  return strncmp(name, "genai-bench", strlen("genai-bench")) == 0;
}

static void choose_tool(struct benchmark_work *w) {
  const char *configured = json_str(w->facts->config, "podConfig.image", "");
  const char *override = json_str(w->job, "spec.podOverride.image", "");
  const char *told = meta_annotation(w->job, TOOL_ANNOTATION);
  const char *image = *override ? override : configured;

  w->genai = told ? streq(told, "genai-bench") : is_genai(image);
  w->ome_image = *configured && !is_genai(configured) ? configured : OME_IMAGE;
  /* The other tool's image is of no use. */
  w->image = *image && is_genai(image) == w->genai ? image : w->genai ? "genai-bench" : w->ome_image;
  if (*override && (is_genai(override) == w->genai || told))
    w->image = override;
}

static int32_t choose_folder(struct benchmark_work *w, struct ome_err *err) {
  const char *told = json_str(w->job, "spec.resultFolderName", "");
  int64_t generation = meta_generation(w->job);

  if (*told)
    w->folder = strdup(told);
  else if (generation > 1)
    w->folder = str_printf("%s-%.8s-%lld", meta_name(w->job), meta_uid(w->job), (long long)generation);
  else
    w->folder = str_printf("%s-%.8s", meta_name(w->job), meta_uid(w->job));
  bool claim = w->output.place == PLACE_CLAIM;
  const char *below = claim ? w->output.path : "";
  if (w->folder)
    w->results = str_printf("%s%s%s/%s", claim ? AT_OUTPUT : AT_RESULTS, *below ? "/" : "", below, w->folder);
  w->out->report_uri = w->folder ? benchmark_report_uri(w->output.uri, w->folder) : NULL;
  return w->results && w->out->report_uri ? OME_OK : fail_memory(err);
}

static bool is_folder_name(const char *name) {
  return *name != '/' && !strstr(name, "..") && !strpbrk(name, "\\?#%");
}

static int32_t choose_places(struct benchmark_work *w, struct ome_err *err) {
  const char *dataset = json_str(w->job, "spec.dataset.storageUri", "");
  const char *folder = json_str(w->job, "spec.resultFolderName", "");
  struct ome_err bad = ERR_INIT;
  int32_t rc = benchmark_storage_read(json_str(w->job, "spec.outputLocation.storageUri", ""),
                                      "spec.outputLocation.storageUri", &w->output, &bad);

  if (rc == OME_OK && *dataset)
    rc = benchmark_storage_read(dataset, "spec.dataset.storageUri", &w->dataset, &bad);
  if (rc == OME_OK && !is_folder_name(folder))
    rc = fail(&bad, OME_E_INVALID, "spec.resultFolderName: \"%s\" is no name of a folder", folder);
  if (rc == OME_E_INVALID) {
    (void)obstacle(w, false, "SpecInvalid", "%s", bad.msg);
    return OME_OK;
  }
  if (rc != OME_OK)
    return fail(err, rc, "%s", bad.msg);
  return choose_folder(w, err);
}

static bool check_tokenizer(struct benchmark_work *w) {
  bool wanted = w->genai || meta_annotation(w->job, TOKENIZER_ANNOTATION);
  _cleanup_free_ char *tokenizer = wanted ? benchmark_tokenizer(w) : NULL;

  if (!wanted || (tokenizer && *tokenizer))
    return true;
  return obstacle(w, false, "TokenizerUnknown",
                  w->genai ? "genai-bench needs the model's tokenizer: give its name or path in the annotation "
                             "" TOKENIZER_ANNOTATION
                           : TOKENIZER_ANNOTATION
                      ": the model has no folder of its own (spec.storage.path); name a path");
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static bool put_file(struct json_object *map, const char *name, struct json_object *content) {
  _cleanup_free_ char *text = content ? json_text(content) : strdup("{}");
  struct json_object *data = json_ensure(map, "data");

  return text && data && json_object_object_add(data, name, json_object_new_string(text)) == 0;
}

static bool set_head(const struct benchmark_work *w, struct json_object *o, const char *api_version, const char *kind,
                     const char *name) {
  _cleanup_free_ char *label = name_label_value(meta_name(w->job));

  if (!name || !label || !json_set_str(o, "apiVersion", api_version) || !json_set_str(o, "kind", kind) ||
      !json_set_str(o, "metadata.name", name) || !json_set_str(o, "metadata.namespace", meta_namespace(w->job)))
    return false;
  meta_set_label(o, LABEL_BENCHMARK, label);
  meta_set_owner(o, w->job);
  return true;
}

static struct json_object *config_map(const struct benchmark_work *w) {
  _cleanup_free_ char *name = benchmark_config_name(w->job);
  _cleanup_json_ struct json_object *metadata = benchmark_metadata(w);
  _cleanup_json_ struct json_object *params = benchmark_params(w);
  struct json_object *o = json_object_new_object();

  if (metadata && params && set_head(w, o, "v1", "ConfigMap", name) && put_file(o, FILE_METADATA, metadata) &&
      put_file(o, FILE_PARAMS, params) && put_file(o, FILE_OUTPUT, json_at(w->job, "spec.outputLocation.parameters")) &&
      put_file(o, FILE_DATASET, json_at(w->job, "spec.dataset.parameters")))
    return o;
  json_unref(o);
  return NULL;
}

/* Labels and annotations of the BenchmarkJob, so that queues and gangs that it is put into get its pods. */
static bool set_metadata(const struct benchmark_work *w, struct json_object *o) {
  _cleanup_json_ struct json_object *annotations = metadata_inherited(json_at(w->job, "metadata.annotations"), true);
  _cleanup_json_ struct json_object *labels = metadata_inherited(json_at(w->job, "metadata.labels"), false);
  _cleanup_free_ char *label = name_label_value(meta_name(w->job));
  _cleanup_free_ char *generation = str_printf("%lld", (long long)meta_generation(w->job));

  if (!annotations || !labels || !label || !generation || !metadata_queue_labels(labels, annotations) ||
      !json_set(o, "metadata.labels", json_object_get(labels)) ||
      !json_set(o, "metadata.annotations", json_object_get(annotations)))
    return false;
  meta_set_label(o, "benchmark", label);
  meta_set_label(o, LABEL_BENCHMARK, label);
  meta_set_annotation(o, "logging-forward", "true");
  meta_set_annotation(o, ANNOTATION_BENCHMARK, meta_name(w->job));
  meta_set_annotation(o, ANNOTATION_BENCHMARK_GENERATION, generation);
  meta_set_annotation(o, ANNOTATION_BENCHMARK_REPORT, w->out->report_uri);
  return true;
}

static int32_t make_job(const struct benchmark_work *w, struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *name = benchmark_job_name(w->job);
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_json_ struct json_object *template = json_object_new_object();
  struct json_object *pod = NULL;
  int32_t rc = benchmark_pod(w, &pod, err);

  if (rc != OME_OK)
    return rc;
  if (!json_set(template, "spec", pod) || !set_metadata(w, template) || !set_metadata(w, o) ||
      !set_head(w, o, "batch/v1", "Job", name) || !json_set_i64(o, "spec.backoffLimit", 0) ||
      !json_set(o, "spec.template", json_object_get(template)))
    return fail_memory(err);
  *out = TAKE_PTR(o);
  return OME_OK;
}

static void work_fini(struct benchmark_work *w) {
  free(w->folder);
  free(w->results);
  free(w->path_url);
  benchmark_storage_fini(&w->output);
  benchmark_storage_fini(&w->dataset);
}

int32_t benchmark_plan(const struct benchmark_facts *facts, struct benchmark_plan *out, struct ome_err *err) {
  _cleanup_(work_fini) struct benchmark_work w = {.facts = facts, .job = facts->job, .out = out};

  memset(out, 0, sizeof(*out));
  choose_tool(&w);
  int32_t rc = choose_places(&w, err);
  if (rc != OME_OK || *out->reason || !find_endpoint(&w) || !check_tokenizer(&w))
    return rc;
  rc = make_job(&w, &out->job, err);
  if (rc == OME_E_INVALID) {
    (void)obstacle(&w, false, "SpecInvalid", "%s", err->msg);
    err_clear(err);
    return OME_OK;
  }
  out->config_map = rc == OME_OK ? config_map(&w) : NULL;
  return rc != OME_OK || out->config_map ? rc : fail_memory(err);
}

void benchmark_plan_fini(struct benchmark_plan *p) {
  json_unref(p->config_map);
  json_unref(p->job);
  free(p->report_uri);
}
