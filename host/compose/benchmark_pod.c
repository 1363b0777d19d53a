/* The pod of a benchmark: containers, what is mounted into them, and what podOverride changes. */
#include "base/str.h"
#include "compose/benchmark_internal.h"
#include "compose/merge.h"
#include "compose/names.h"
#include "compose/words.h"
#include "kube/meta.h"

#include <string.h>

#define NOBODY 65532 /* the user of the image */
#define GRACE_S 120  /* to save what was measured, when the pod is told to end */

/* ---- volumes ----------------------------------------------------------------------------------------------------- */

struct mount {
  const char *name, *at;
  bool wanted, read_only;
  const char *kind; /* member of the volume: "secret" */
  const char *key;  /* in it: "secretName" */
  const char *value;
};

static bool add_mount(struct json_object *pod, struct json_object *mounts, const struct mount *m) {
  struct json_object *volume = json_object_new_object();
  struct json_object *mount = json_object_new_object();
  _cleanup_free_ char *path = m->key ? str_printf("%s.%s", m->kind, m->key) : strdup(m->kind);
  bool ok = path && json_set_str(volume, "name", m->name) && json_set_str(mount, "name", m->name) &&
            json_set_str(mount, "mountPath", m->at) && (!m->read_only || json_set_bool(mount, "readOnly", true));

  ok = ok && (m->key ? json_set_str(volume, path, m->value) : json_set(volume, path, json_object_new_object()));
  if (ok && streq(m->kind, "hostPath") && !m->read_only)
    ok = json_set_str(volume, "hostPath.type", "DirectoryOrCreate");
  ok = json_add(json_get(pod, "volumes"), volume) && ok;
  return json_add(mounts, mount) && ok;
}

/* Whether S is to be mounted from PLACE.  Processes of `ome up` see the machine's folders as they are. */
static bool is_at(const struct benchmark_work *w, const struct benchmark_storage *s, enum benchmark_place place) {
  return s->uri && s->place == place && (place != PLACE_HOST || !w->facts->embedded);
}

/* Of a claim with prompts only the folder that is named is seen. */
static bool narrow_claim(const struct benchmark_work *w, struct json_object *mounts) {
  return !*w->dataset.path || json_set_str(json_find(mounts, "name", "dataset-claim"), "subPath", w->dataset.path);
}

/* Fills the pod's volumes and MOUNTS, which all containers share. */
static bool add_mounts(const struct benchmark_work *w, struct json_object *pod, struct json_object *mounts) {
  _cleanup_free_ char *config = benchmark_config_name(w->job);
  const char *key = json_str(w->job, "spec.outputLocation.key", "");
  const char *api_key = json_str(w->job, "spec.endpoint.apiKeySecret.name", "");
  const char *dataset_key = json_str(w->job, "spec.dataset.key", "");
  const char *model_path = json_str(w->facts->model, "spec.storage.path", "");
  bool claim = is_at(w, &w->output, PLACE_CLAIM);
  bool data_claim = is_at(w, &w->dataset, PLACE_CLAIM);
  bool data_host = is_at(w, &w->dataset, PLACE_HOST);
  const struct mount all[] = {
      {"job", AT_JOB, true, true, "configMap", "name", config},
      {"results", AT_RESULTS, !claim, false, "emptyDir", NULL, NULL},
      {"output", AT_OUTPUT, claim, false, "persistentVolumeClaim", "claimName", w->output.claim},
      {"output-host", w->output.path, is_at(w, &w->output, PLACE_HOST), false, "hostPath", "path", w->output.path},
      {"credentials", AT_CREDENTIALS, *key && !claim, true, "secret", "secretName", key},
      {"api-key", AT_API_KEY, *api_key, true, "secret", "secretName", api_key},
      {"dataset", AT_DATASET, w->dataset.uri && !data_claim, false, "emptyDir", NULL, NULL},
      {"dataset-claim", AT_DATASET, data_claim, true, "persistentVolumeClaim", "claimName", w->dataset.claim},
      {"dataset-host", w->dataset.path, data_host, true, "hostPath", "path", w->dataset.path},
      {"dataset-credentials", AT_DATASET_CREDENTIALS, *dataset_key, true, "secret", "secretName", dataset_key},
      {"model", model_path, benchmark_reads_model(w) && *model_path && !w->facts->embedded, true, "hostPath", "path",
       model_path},
  };
  bool ok = config != NULL;

  for (size_t i = 0; ok && i < ARRAY_LEN(all); i++)
    ok = !all[i].wanted || add_mount(pod, mounts, &all[i]);
  return ok && (!data_claim || narrow_claim(w, mounts));
}

/* ---- environment ------------------------------------------------------------------------------------------------- */

static bool add_env(struct json_object *env, const char *name, const char *value) {
  struct json_object *e = json_object_new_object();

  return json_set_str(e, "name", name) && json_set_str(e, "value", value) && json_add(env, e);
}

static bool add_secret_env(struct json_object *env, const char *name, const char *secret, const char *key) {
  struct json_object *e = json_object_new_object();

  return json_set_str(e, "name", name) && json_set_str(e, "valueFrom.secretKeyRef.name", secret) &&
         json_set_str(e, "valueFrom.secretKeyRef.key", key) && json_add(env, e);
}

/* Tokens for the Hugging Face Hub as genai-bench and as our plugin look for them; genai-bench's API key. */
static struct json_object *environment(const struct benchmark_work *w) {
  const char *hub = json_str(w->job, "spec.huggingFaceSecretReference.name", "");
  const char *api_key = json_str(w->job, "spec.endpoint.apiKeySecret.name", "");
  struct json_object *env = json_object_new_array();
  bool ok = env != NULL;

  if (ok && *hub)
    ok = add_secret_env(env, "HUGGINGFACE_API_KEY", hub, "HUGGINGFACE_API_KEY") &&
         add_secret_env(env, "HF_TOKEN", hub, "HUGGINGFACE_API_KEY");
  if (ok && w->genai && *api_key)
    ok = add_secret_env(env, "MODEL_API_KEY", api_key, json_str(w->job, "spec.endpoint.apiKeySecret.key", "api-key"));
  if (ok && w->genai) /* the server of OME's services takes any key, its client insists on one */
    ok = add_env(env, "ENABLE_UI", "false") && (*api_key || add_env(env, "MODEL_API_KEY", "sample-key"));
  if (ok)
    return env;
  json_unref(env);
  return NULL;
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

static bool set_resources(struct json_object *container, struct json_object *config) {
  static const struct {
    const char *path, *key, *fallback;
  } all[] = {{"resources.requests.cpu", "podConfig.cpuRequest", "100m"},
             {"resources.requests.memory", "podConfig.memoryRequest", "128Mi"},
             {"resources.limits.cpu", "podConfig.cpuLimit", ""},
             {"resources.limits.memory", "podConfig.memoryLimit", ""}};
  bool ok = true;

  for (size_t i = 0; ok && i < ARRAY_LEN(all); i++) {
    const char *v = json_str(config, all[i].key, all[i].fallback);
    ok = !*v || json_set_str(container, all[i].path, v);
  }
  return ok;
}

/* Takes ARGS and ENV. */
static struct json_object *container(const char *name, const char *image, const char *command, struct json_object *args,
                                     struct json_object *env, struct json_object *mounts) {
  struct json_object *c = json_object_new_object();
  struct json_object *words = json_object_new_array();

  if (c && args && env && words_add(words, command, NULL) && json_set_str(c, "name", name) &&
      json_set_str(c, "image", image) && json_set(c, "command", words) && json_set(c, "args", args) &&
      json_set(c, "env", env) && json_set(c, "volumeMounts", json_copy(mounts)) &&
      json_set_str(c, "terminationMessagePolicy", "FallbackToLogsOnError"))
    return c;
  json_unref(c);
  return NULL;
}

/* Of containers that nothing of the node is mounted into: as little as a client needs. */
static bool confine(const struct benchmark_work *w, struct json_object *pod) {
  if (w->genai || w->output.place == PLACE_HOST || w->facts->embedded)
    return true;
  return json_set_bool(pod, "securityContext.runAsNonRoot", true) &&
         json_set_i64(pod, "securityContext.runAsUser", NOBODY) &&
         json_set_i64(pod, "securityContext.runAsGroup", NOBODY) &&
         json_set_i64(pod, "securityContext.fsGroup", NOBODY) &&
         json_set_str(pod, "securityContext.seccompProfile.type", "RuntimeDefault") &&
         json_set_bool(pod, "runner.securityContext.allowPrivilegeEscalation", false);
}

static const char *program_of(const struct benchmark_work *w) {
  return w->facts->program ? w->facts->program : "ome";
}

/* The tool is the pod's "runner" until podOverride, which is about it, is merged. */
static bool set_runner(const struct benchmark_work *w, struct json_object *pod, struct json_object *mounts) {
  struct json_object *runner =
      container(w->genai ? "genai-bench" : BENCHMARK_CONTAINER, w->image, w->genai ? "genai-bench" : program_of(w),
                w->genai ? benchmark_genai_args(w) : benchmark_native_args(w), environment(w), mounts);

  return runner && set_resources(runner, w->facts->config) && json_set(pod, "runner", runner);
}

static bool place(const struct benchmark_work *w, struct json_object *pod) {
  _cleanup_free_ char *label = NULL;
  struct json_object *toleration;
  const char *model = meta_name(w->facts->model);

  if (!benchmark_reads_model(w) || w->facts->embedded || !*model)
    return true;
  /* The model's tokenizer is read where the model is. */
  label = name_model_label(*meta_namespace(w->facts->model) ? meta_namespace(w->facts->model) : NULL, model);
  toleration = json_object_new_object();
  struct json_object *list = json_object_new_array();
  struct json_object *selector = json_ensure(pod, "nodeSelector");
  bool ok = label && json_set_str(toleration, "key", "nvidia.com/gpu") &&
            json_set_str(toleration, "operator", "Exists") && json_set_str(toleration, "effect", "NoSchedule");

  (void)json_add(list, toleration);
  return json_set(pod, "tolerations", list) && ok && selector && json_put_str(selector, label, "Ready");
}

/* podOverride as a patch of such a pod. */
static struct json_object * override(struct json_object *job) {
  static const char *const of_pod[] = {"affinity", "nodeSelector", "tolerations", "volumes"};
  static const char *const of_runner[] = {"image", "env", "envFrom", "volumeMounts", "resources"};
  struct json_object *given = json_at(job, "spec.podOverride");
  struct json_object *patch = json_object_new_object();
  bool ok = patch != NULL;

  for (size_t i = 0; ok && i < ARRAY_LEN(of_pod); i++)
    if (json_get(given, of_pod[i]))
      ok = json_set(patch, of_pod[i], json_copy(json_get(given, of_pod[i])));
  for (size_t i = 0; ok && i < ARRAY_LEN(of_runner); i++) {
    _cleanup_free_ char *path = str_printf("runner.%s", of_runner[i]);
    if (json_get(given, of_runner[i]))
      ok = path && json_set(patch, path, json_copy(json_get(given, of_runner[i])));
  }
  if (ok)
    return patch;
  json_unref(patch);
  return NULL;
}

/* ---- the pod ----------------------------------------------------------------------------------------------------- */

/* Brings the prompts. */
static bool add_fetch(const struct benchmark_work *w, struct json_object *before, struct json_object *mounts) {
  struct json_object *c =
      container("dataset", w->ome_image, program_of(w), benchmark_dataset_args(w), environment(w), mounts);

  return c && json_add(before, c);
}

/* Sends what genai-bench left. */
static bool add_upload(const struct benchmark_work *w, struct json_object *main, struct json_object *mounts) {
  struct json_object *c = container(BENCHMARK_CONTAINER, w->ome_image, program_of(w), benchmark_upload_args(w),
                                    json_object_new_array(), mounts);

  return c && json_add(main, c);
}

/* The runner takes its place among the others: last of those that come before, or the only one that counts. */
static bool seat_containers(const struct benchmark_work *w, struct json_object *pod, struct json_object *mounts) {
  struct json_object *runner = json_object_get(json_get(pod, "runner"));
  struct json_object *before = json_object_new_array();
  struct json_object *main = json_object_new_array();
  bool fetch = w->dataset.uri && w->dataset.place != PLACE_CLAIM;
  bool ok = runner && before && main;

  json_del(pod, "runner");
  ok = ok && (!fetch || add_fetch(w, before, mounts)) && (!w->genai || add_upload(w, main, mounts));
  ok = json_add(w->genai ? before : main, runner) && ok;
  ok = json_set(pod, "containers", main) && ok;
  if (json_len(before))
    return json_set(pod, "initContainers", before) && ok;
  json_unref(before);
  return ok;
}

int32_t benchmark_pod(const struct benchmark_work *w, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *pod = json_object_new_object();
  _cleanup_json_ struct json_object *mounts = json_object_new_array();
  _cleanup_json_ struct json_object *patch = override(w->job);
  _cleanup_json_ struct json_object *merged = NULL;

  if (!pod || !mounts || !patch || !json_set(pod, "volumes", json_object_new_array()) || !add_mounts(w, pod, mounts) ||
      !json_set_str(pod, "restartPolicy", "Never") || !json_set_i64(pod, "terminationGracePeriodSeconds", GRACE_S) ||
      !json_set_bool(pod, "automountServiceAccountToken", false) || !set_runner(w, pod, mounts) || !confine(w, pod) ||
      !place(w, pod))
    return fail_memory(err);
  int32_t rc = merge_component(pod, patch, &merged, err);
  if (rc != OME_OK)
    return fail_prefix(err, "spec.podOverride");
  if (!seat_containers(w, merged, mounts))
    return fail_memory(err);
  *out = TAKE_PTR(merged);
  return OME_OK;
}
