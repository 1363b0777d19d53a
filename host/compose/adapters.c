#include "compose/adapters.h"

#include "base/str.h"
#include "compose/claim.h"
#include "compose/command.h"
#include "compose/container.h"
#include "compose/names.h"
#include "compose/words.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define MAX_WEIGHTS 64
#define CREDENTIALS_MOUNT "/opt/ml/credentials"

/* ---- finding ----------------------------------------------------------------------------------------------------- */

static bool is_merged(struct json_object *weight) {
  return json_flag(weight, "spec.configuration.merged_weights", false);
}

bool adapters_are_merged(struct json_object *weights) {
  return json_len(weights) == 1 && is_merged(json_index(weights, 0));
}

const char *adapters_strategy(struct json_object *weights) {
  struct json_object *s = json_at(json_index(weights, 0), "spec.hyperParameters.strategy");

  return json_as_str(s, NULL);
}

static struct json_object *find_named(struct json_object *all, const char *name) {
  for (size_t i = 0; i < json_len(all); i++)
    if (streq(meta_name(json_index(all, i)), name))
      return json_index(all, i);
  return NULL;
}

/* Whether init containers fetch adapters, rather than the nodes' agents. */
static bool are_fetched(struct json_object *cluster) {
  return *json_str(cluster, "config.fineTunedAdapter.image", "") != '\0';
}

/* Whether the claim that holds WEIGHT can be mounted; that it is bound its pods can wait for. */
static int32_t check_claim_of(const struct adapters_search *s, struct json_object *weight, const char **reason,
                              struct ome_err *err) {
  _cleanup_(claim_fini) struct claim claim = {0};
  const char *ns = json_str(s->service, "metadata.namespace", "default");
  struct ome_err why = ERR_INIT;

  *reason = "PVCInvalid";
  int32_t rc = claim_of_model(weight, ns, &claim, err);
  if (rc != OME_OK || claim_check(&claim, ns, s->claims, &why) != OME_E_NOT_FOUND)
    return rc;
  *reason = "PVCNotFound";
  return fail(err, OME_E_INVALID, "FineTunedWeight %s: %s", meta_name(weight), why.msg);
}

/* Whether pods can have its files. */
static int32_t check_files_of(const struct adapters_search *s, struct json_object *weight, const char **reason,
                              struct ome_err *err) {
  if (claim_is(json_str(weight, "spec.storage.storageUri", "")))
    return check_claim_of(s, weight, reason, err);
  *reason = "ModelNotReady";
  if (!*json_str(weight, "spec.storage.path", "") && !are_fetched(s->cluster))
    return fail(
        err, OME_E_INVALID,
        "FineTunedWeight %s: spec.storage.path: not known yet; the agent fills it in when it begins to bring the "
        "weights",
        meta_name(weight));
  return OME_OK;
}

/* What speaks against WEIGHT, the one at index I of N of the service's. */
static int32_t check(const struct adapters_search *s, struct json_object *weight, size_t i, size_t n,
                     const char **reason, struct ome_err *err) {
  struct json_object *model = s->model;
  const char *name = meta_name(weight);
  const char *base = json_str(weight, "spec.baseModelRef.name", "");
  const char *base_ns = json_str(weight, "spec.baseModelRef.namespace", "");

  *reason = "FineTunedWeightsDisabled";
  if (json_flag(weight, "spec.disabled", false))
    return fail(err, OME_E_INVALID, "spec.model.fineTunedWeights[%zu]: FineTunedWeight %s is disabled", i, name);
  *reason = "ModelReconcileError";
  if (!streq(base, meta_name(model)) || (*base_ns && !streq(base_ns, meta_namespace(model))))
    return fail(
        err, OME_E_INVALID,
        "spec.model.fineTunedWeights[%zu]: FineTunedWeight %s was trained from %s%s%s, and the service's model is "
        "%s",
        i, name, base_ns, *base_ns ? "/" : "", base, meta_name(model));
  if (is_merged(weight) && n > 1)
    return fail(
        err, OME_E_INVALID,
        "spec.model.fineTunedWeights[%zu]: FineTunedWeight %s holds merged weights, which are loaded instead of "
        "the model: it can only stand alone",
        i, name);
  return check_files_of(s, weight, reason, err);
}

int32_t adapters_find(const struct adapters_search *s, struct json_object **out, const char **reason,
                      struct ome_err *err) {
  struct json_object *names = json_at(s->service, "spec.model.fineTunedWeights");
  _cleanup_json_ struct json_object *found = json_object_new_array();
  size_t n = json_len(names);

  *reason = "ModelReconcileError";
  if (n > MAX_WEIGHTS)
    return fail(err, OME_E_INVALID, "spec.model.fineTunedWeights: %zu of them, %d is the most", n, MAX_WEIGHTS);
  for (size_t i = 0; found && i < n; i++) {
    const char *name = json_object_get_string(json_index(names, i));
    struct json_object *weight = find_named(s->all, name ? name : "");
    *reason = "ModelReconcileError";
    if (!weight) {
      *reason = "FineTunedWeightsNotFound";
      return fail(err, OME_E_INVALID,
                  "spec.model.fineTunedWeights[%zu]: No FineTunedWeight with the name: %.253s; apply one, the service "
                  "follows by itself",
                  i, name ? name : "");
    }
    if (find_named(found, meta_name(weight)))
      return fail(err, OME_E_INVALID, "spec.model.fineTunedWeights[%zu]: %s is named twice", i, name);
    int32_t rc = check(s, weight, i, n, reason, err);
    if (rc != OME_OK)
      return rc;
    if (!json_add(found, json_object_get(weight)))
      return fail_memory(err);
  }
  if (!found)
    return fail_memory(err);
  *out = TAKE_PTR(found);
  return OME_OK;
}

/* ---- where the files are ----------------------------------------------------------------------------------------- */

/* One adapter in one group of pods. */
struct adapter {
  const char *name; /* borrowed */
  const char *uri;  /* borrowed */
  struct json_object *weight;
  struct claim claim; /* name NULL: on no claim */
  bool fetched;       /* by an init container */
  char *volume;       /* its name */
  char *at;           /* where it is mounted */
  char *file;         /* what the engine is given: below AT */
};

static void adapter_fini(struct adapter *a) {
  claim_fini(&a->claim);
  free(a->volume);
  free(a->at);
  free(a->file);
}

/* Cuts the file's name off PATH when it is one GGUF file, as llama.cpp takes them: folders are mounted.  new: it. */
static char *split_file(char *path) {
  char *slash = strrchr(path, '/');
  char *name = slash ? slash + 1 : path;

  if (!has_suffix(name, ".gguf"))
    return strdup("");
  char *file = strdup(name);
  *(slash ? slash : path) = '\0';
  return file;
}

/* new: where below its folder an address leads: the hub's files keep their paths, others are
 * below the address, or have its last name. */
static char *path_inside(const char *uri) {
  const char *path = strstr(uri, "://");
  size_t n;

  path = path ? path + 3 : uri;
  n = strcspn(path, "@?#");
  if (has_prefix(uri, "hf://")) {
    for (int i = 0; i < 2; i++) {
      const char *slash = memchr(path, '/', n);
      if (!slash)
        return strdup("");
      n -= (size_t)(slash + 1 - path);
      path = slash + 1;
    }
    while (n && path[n - 1] == '/')
      n--;
    return str_copy(path, n);
  }
  _cleanup_free_ char *whole = str_copy(path, n);
  return whole ? split_file(whole) : NULL;
}

static int32_t place(struct adapter *a, const char *ns, struct ome_err *err) {
  _cleanup_free_ char *volume = str_printf("adapter-%s", a->name);
  _cleanup_free_ char *inner = NULL;

  if (claim_is(a->uri)) {
    int32_t rc = claim_of_model(a->weight, ns, &a->claim, err);
    if (rc != OME_OK)
      return rc;
    inner = split_file(a->claim.path);
  } else {
    inner = path_inside(a->uri);
  }
  a->volume = volume ? name_dns_label(volume) : NULL;
  a->at = str_printf(ADAPTER_MOUNT "/%s", a->name);
  a->file = a->at && inner ? str_printf("%s%s%s", a->at, *inner ? "/" : "", inner) : NULL;
  return a->volume && a->file ? OME_OK : fail_memory(err);
}

/* ---- volumes and fetching ---------------------------------------------------------------------------------------- */

static bool fill_volume(const struct adapter *a, struct json_object *v) {
  if (a->claim.name)
    return json_set_str(v, "persistentVolumeClaim.claimName", a->claim.name) &&
           json_set_bool(v, "persistentVolumeClaim.readOnly", true);
  if (a->fetched)
    return json_set(v, "emptyDir", json_object_new_object());
  return json_set_str(v, "hostPath.path", json_str(a->weight, "spec.storage.path", ""));
}

/* Only nodes that hold it. */
static bool ask_for_node(const struct adapter *a, struct json_object *group) {
  _cleanup_free_ char *label = name_model_label(NS_WEIGHTS, a->name);
  struct json_object *selector = json_ensure(group, "nodeSelector");

  return label && selector && (json_get(selector, label) || json_put_str(selector, label, "Ready"));
}

static bool add_volume(const struct adapter *a, struct json_object *group) {
  struct json_object *v = json_object_new_object();
  struct json_object *volumes = list_in(group, "volumes");

  return v && volumes && json_add(volumes, v) && json_set_str(v, "name", a->volume) && fill_volume(a, v);
}

/* spec.storage.parameters in the order of their names: pods must not change by the order of a map. */
static bool add_parameters(const struct adapter *a, struct json_object *args) {
  _cleanup_json_ struct json_object *sorted = json_sorted(json_at(a->weight, "spec.storage.parameters"));

  if (!json_is(sorted, json_type_object))
    return true;
  json_object_object_foreach (sorted, key, value) {
    _cleanup_free_ char *word = str_printf("%s=%s", key, value ? json_object_get_string(value) : "");
    if (!word || !words_add(args, "--parameter", word, NULL))
      return false;
  }
  return true;
}

/* The Secret that spec.storage.key names, as files for the init container alone. */
static bool add_credentials(const struct adapter *a, struct json_object *group, struct json_object *fetch,
                            struct json_object *args) {
  const char *secret = json_str(a->weight, "spec.storage.key", "");
  _cleanup_free_ char *long_name = str_printf("%s-key", a->volume);
  _cleanup_free_ char *name = long_name ? name_dns_label(long_name) : NULL;
  struct json_object *v = json_object_new_object();

  if (!*secret) {
    json_unref(v);
    return name != NULL;
  }
  return name && v && json_add(list_in(group, "volumes"), v) && json_set_str(v, "name", name) &&
         json_set_str(v, "secret.secretName", secret) && container_mount(fetch, name, CREDENTIALS_MOUNT, NULL) &&
         words_add(args, "--credentials", CREDENTIALS_MOUNT, NULL);
}

static bool set_resources(struct json_object *fetch, struct json_object *config) {
  static const struct {
    const char *path, *key;
  } all[] = {{"resources.requests.cpu", "cpuRequest"},
             {"resources.requests.memory", "memoryRequest"},
             {"resources.limits.cpu", "cpuLimit"},
             {"resources.limits.memory", "memoryLimit"}};
  bool ok = true;

  for (size_t i = 0; ok && i < ARRAY_LEN(all); i++) {
    const char *v = json_str(config, all[i].key, "");
    ok = !*v || json_set_str(fetch, all[i].path, v);
  }
  return ok;
}

/* "ome pull ADDRESS FOLDER" and what belongs to it, but for credentials. */
static bool fill_fetch(const struct adapter *a, struct json_object *fetch, struct json_object *args,
                       struct json_object *cluster) {
  struct json_object *config = json_at(cluster, "config.fineTunedAdapter");
  const char *plugins = json_str(cluster, "pluginsConf", "");
  bool ok = json_set_str(fetch, "image", json_str(config, "image", "")) && set_resources(fetch, config) &&
            words_add(args, "pull", a->uri, a->at, NULL) && add_parameters(a, args) &&
            container_mount(fetch, a->volume, a->at, NULL);

  if (ok)
    json_del(json_index(json_get(fetch, "volumeMounts"), 0), "readOnly");
  return ok && (!*plugins || words_add(args, "--plugins", plugins, NULL));
}

/* The init container that fetches adapter number I. */
static bool add_fetch(const struct adapter *a, size_t i, struct json_object *group, struct json_object *cluster) {
  struct json_object *fetch = json_object_new_object();
  struct json_object *args = fetch ? list_in(fetch, "args") : NULL;
  struct json_object *command = fetch ? list_in(fetch, "command") : NULL;
  struct json_object *first = list_in(group, "initContainers");
  char name[48] = "fine-tuned-adapter";

  if (i)
    (void)snprintf(name, sizeof(name), "fine-tuned-adapter-%zu", i);
  if (!fetch || !first || !json_add(first, fetch) || !args || !command)
    return false;
  return json_set_str(fetch, "name", name) && words_add(command, json_str(cluster, "program", "ome"), NULL) &&
         fill_fetch(a, fetch, args, cluster) && add_credentials(a, group, fetch, args);
}

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* How engines are told of adapters. */
static const struct engine {
  const char *marks[4]; /* one of them is in the command or the image */
  const char *enable;   /* a switch before; NULL: none */
  const char *flag;
  bool named;          /* all behind one flag, as NAME=PATH; else a flag each, with the path alone */
  bool one_file;       /* an adapter is one GGUF file */
  const char *at_once; /* a flag for how many there are; NULL: it finds out */
  const char *rank;    /* a flag for the highest rank; NULL: it finds out */
} engines[] = {
    {.marks = {"sglang.launch_server", "sglang serve", "lmsysorg/sglang"}, .flag = "--lora-paths", .named = true},
    {.marks = {"vllm serve", "vllm.entrypoints", "vllm/vllm-openai"},
     .enable = "--enable-lora",
     .flag = "--lora-modules",
     .named = true,
     .at_once = "--max-loras",
     .rank = "--max-lora-rank"},
    {.marks = {"llama-server", "ggml-org/llama.cpp"}, .flag = "--lora", .one_file = true},
};

static const struct engine *engine_of(const char *command, const char *image) {
  for (size_t i = 0; i < ARRAY_LEN(engines); i++)
    for (size_t m = 0; m < ARRAY_LEN(engines[i].marks) && engines[i].marks[m]; m++)
      if (strstr(command, engines[i].marks[m]) || strstr(image, engines[i].marks[m]))
        return &engines[i];
  return NULL;
}

/* The highest rank that the weights, or their files, tell, rounded up to one that vLLM takes; 0: they tell none. */
static int highest_rank(struct json_object *weights) {
  static const char *const keys[] = {"r", "rank", "lora_rank", "loraRank"};
  static const int taken[] = {8, 16, 32, 64, 128, 256, 320, 512};
  int64_t most = 0;

  for (size_t i = 0; i < json_len(weights); i++) {
    struct json_object *spec = json_get(json_index(weights, i), "spec");
    int64_t r = json_i64(spec, "configuration.r", 0);
    for (size_t k = 0; k < ARRAY_LEN(keys) && r == 0; k++)
      r = json_i64(json_get(spec, "hyperParameters"), keys[k], 0);
    most = r > most ? r : most;
  }
  for (size_t i = 0; most > 0 && i < ARRAY_LEN(taken); i++)
    if (most <= taken[i])
      return taken[i];
  return 0;
}

struct words {
  const char *list[2 * MAX_WEIGHTS + 8];
  char *owned[MAX_WEIGHTS + 2];
  size_t n, nowned;
};

static void words_fini(struct words *w) {
  for (size_t i = 0; i < w->nowned; i++)
    free(w->owned[i]);
}

/* Takes WORD; NULL: memory ran out, as is found at the end. */
static void put_owned(struct words *w, char *word) {
  w->owned[w->nowned++] = word;
  w->list[w->n++] = word;
}

static void put_number(struct words *w, const char *flag, const char *command, int number) {
  if (!flag || number == 0 || strstr(command, flag))
    return;
  w->list[w->n++] = flag;
  put_owned(w, str_printf("%d", number));
}

static void put_words(struct words *w, const struct engine *e, const char *command, const struct adapter *all, size_t n,
                      struct json_object *weights) {
  if (e->enable && !strstr(command, e->enable))
    w->list[w->n++] = e->enable;
  for (size_t i = 0; i < n; i++) {
    if (i == 0 || !e->named)
      w->list[w->n++] = e->flag;
    put_owned(w, e->named ? str_printf("%s=%s", all[i].name, all[i].file) : strdup(all[i].file));
  }
  put_number(w, e->at_once, command, n > 1 ? (int)n : 0);
  put_number(w, e->rank, command, highest_rank(weights));
}

static int32_t check_files(const struct engine *e, const struct adapter *all, size_t n, struct ome_err *err) {
  for (size_t i = 0; e->one_file && i < n; i++)
    if (!has_suffix(all[i].file, ".gguf"))
      return fail(err, OME_E_INVALID,
                  "FineTunedWeight %s: spec.storage.storageUri: llama.cpp takes an adapter as one GGUF file; let the "
                  "address end in its name (.../adapter.gguf)",
                  all[i].name);
  return OME_OK;
}

/* A command that says itself where adapters are is left as it is. */
static int32_t tell_engine(const struct adapters_request *req, struct json_object *group, struct json_object *runner,
                           const struct adapter *all, size_t n, bool required, struct ome_err *err) {
  struct json_object *below = command_below(group, runner);
  _cleanup_free_ char *command = command_text(group, runner);
  _cleanup_(words_fini) struct words w = {.n = 0};
  bool added = false;

  if (!command)
    return fail_memory(err);
  const struct engine *e = engine_of(command, json_str(runner, "image", json_str(below, "image", "")));
  if (strstr(command, ADAPTER_MOUNT) || (e && strstr(command, e->flag)) || (!e && !required))
    return OME_OK;
  if (!e)
    return fail(
        err, OME_E_INVALID,
        "spec.model.fineTunedWeights: the %s is none of SGLang, vLLM and llama.cpp, so that it is not known how it "
        "takes adapters; name " ADAPTER_MOUNT "/%s in its arguments",
        req->kind, all[0].name);
  int32_t rc = check_files(e, all, n, err);
  if (rc != OME_OK)
    return rc;
  put_words(&w, e, command, all, n, req->weights);
  for (size_t i = 0; i < w.n; i++)
    if (!w.list[i])
      return fail_memory(err);
  rc = command_add(group, runner, w.list, w.n, &added);
  if (rc != OME_OK)
    return fail_memory(err);
  return added ? OME_OK
               : fail(err, OME_E_INVALID,
                      "spec.model.fineTunedWeights: the command of the %s is a shell's script that goes on behind the "
                      "engine; write %s and " ADAPTER_MOUNT "/%s into it",
                      req->kind, e->flag, all[0].name);
}

/* ---- one group of pods ------------------------------------------------------------------------------------------- */

static int32_t apply_one(const struct adapters_request *req, struct json_object *group, struct json_object *runner,
                         size_t i, struct adapter *a, struct ome_err *err) {
  a->weight = json_index(req->weights, i);
  a->name = meta_name(a->weight);
  a->uri = json_str(a->weight, "spec.storage.storageUri", "");
  int32_t rc = place(a, json_str(req->service, "metadata.namespace", "default"), err);
  if (rc != OME_OK)
    return rc;
  a->fetched = !a->claim.name && are_fetched(req->cluster);
  bool ok = add_volume(a, group) && container_mount(runner, a->volume, a->at, a->claim.path);
  if (ok && a->fetched)
    ok = add_fetch(a, i, group, req->cluster);
  else if (ok && !a->claim.name)
    ok = ask_for_node(a, group);
  return ok ? OME_OK : fail_memory(err);
}

static int32_t apply_group(const struct adapters_request *req, struct json_object *group, bool required,
                           struct ome_err *err) {
  struct json_object *runner = container_serving(group);
  struct adapter all[MAX_WEIGHTS] = {{0}};
  size_t n = json_len(req->weights);
  int32_t rc = OME_OK;

  if (!runner)
    return OME_OK; /* composition says what is missing */
  for (size_t i = 0; rc == OME_OK && i < n; i++)
    rc = apply_one(req, group, runner, i, &all[i], err);
  if (rc == OME_OK && adapters_are_merged(req->weights))
    rc = container_set_env(runner, "MODEL_PATH", all[0].file, false) ? OME_OK : fail_memory(err);
  else if (rc == OME_OK)
    rc = tell_engine(req, group, runner, all, n, required, err);
  for (size_t i = 0; i < n; i++)
    adapter_fini(&all[i]);
  return rc;
}

int32_t adapters_apply(const struct adapters_request *req, struct ome_err *err) {
  struct json_object *leader = req->grouped ? json_get(req->component, "leader") : NULL;
  struct json_object *worker = req->grouped ? json_get(req->component, "worker") : NULL;

  if (json_len(req->weights) == 0)
    return OME_OK;
  int32_t rc = apply_group(req, leader ? leader : req->component, true, err);
  return rc == OME_OK && worker ? apply_group(req, worker, false, err) : rc;
}
