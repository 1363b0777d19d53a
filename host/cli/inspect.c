/* ome inspect: what a model's files say about it. */
#include "cli/backends.h"
#include "cli/cli.h"
#include "cli/inspect_list.h"
#include "cli/inspect_memory.h"
#include "model/facts.h"
#include "os/file.h"
#include "transfer/remote_model.h"

#include "base/str.h"
#include "cli/serve.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- for people -------------------------------------------------------------------------------------------------- */

static const char *or_dash(const char *text) {
  return *text ? text : "-";
}

static void print_row(const char *what, const char *value) {
  (void)printf("%-15s %s\n", what, value);
}

static void print_named(struct json_object *doc, const char *what, const char *key) {
  struct json_object *pair = json_get(doc, key);

  (void)printf("%-15s %s %s\n", what, or_dash(json_str(pair, "name", "")), json_str(pair, "version", ""));
}

static void print_list(struct json_object *list, const char *what) {
  for (size_t i = 0; i < json_len(list); i++)
    print_row(i ? "" : what, json_object_get_string(json_index(list, i)));
}

static void print_parts(struct json_object *doc) {
  struct json_object *parts = json_get(doc, "components"), *adapter = json_get(doc, "adapter");
  char bytes[32];

  for (size_t i = 0; i < json_len(parts); i++) {
    struct json_object *c = json_index(parts, i);
    format_bytes((uint64_t)json_i64(c, "weightBytes", 0), bytes);
    (void)printf("%-15s %s: %s, %" PRId64 " parameters, %s\n", i ? "" : "components", json_str(c, "name", ""),
                 json_str(c, "type", ""), json_i64(c, "parameterCount", 0), bytes);
  }
  if (adapter)
    (void)printf("%-15s %s of rank %" PRId64 " for %s, on %s\n", "adapter", json_str(adapter, "type", ""),
                 json_i64(adapter, "rank", 0), or_dash(json_str(adapter, "baseModel", "")),
                 or_dash(json_str(adapter, "targetModules", "")));
}

static void print_dimensions(struct json_object *d) {
  int64_t experts = json_i64(d, "experts", 0), window = json_i64(d, "slidingWindow", 0);

  if (json_i64(d, "layers", 0) == 0)
    return;
  (void)printf("%-15s %" PRId64 " layers of %" PRId64 ", %" PRId64 " heads of %" PRId64 ", %" PRId64
               " for keys and values; %" PRId64 " words\n",
               "dimensions", json_i64(d, "layers", 0), json_i64(d, "hiddenSize", 0), json_i64(d, "attentionHeads", 0),
               json_i64(d, "headSize", 0), json_i64(d, "kvHeads", 0), json_i64(d, "vocabularySize", 0));
  if (experts)
    (void)printf("%-15s %" PRId64 " experts, %" PRId64 " for a token\n", "", experts,
                 json_i64(d, "expertsPerToken", 0));
  if (window)
    (void)printf("%-15s a window of %" PRId64 " tokens in %" PRId64 " layers\n", "", window,
                 json_i64(d, "slidingLayers", 0));
}

static void print_facts(struct json_object *doc) {
  char bytes[32], cache[32];

  format_bytes((uint64_t)json_i64(doc, "weightBytes", 0), bytes);
  format_bytes((uint64_t)json_i64(doc, "kvBytesPerToken", 0), cache);
  print_row("type", or_dash(json_str(doc, "modelType", "")));
  print_row("architecture", or_dash(json_str(doc, "modelArchitecture", "")));
  print_row("family", or_dash(json_str(doc, "family", "")));
  print_named(doc, "format", "modelFormat");
  print_named(doc, "framework", "modelFramework");
  (void)printf("%-15s %" PRId64 " (%s), from %s\n", "parameters", json_i64(doc, "parameterCount", 0),
               json_str(doc, "modelParameterSize", ""), json_str(doc, "parameterCountSource", ""));
  if (json_i64(doc, "activeParameterCount", 0) != json_i64(doc, "parameterCount", 0))
    (void)printf("%-15s %" PRId64 " a token\n", "active", json_i64(doc, "activeParameterCount", 0));
  print_dimensions(json_get(doc, "dimensions"));
  (void)printf("%-15s %" PRId64 " tokens\n", "context", json_i64(doc, "contextLength", 0));
  print_row("dtype", or_dash(json_str(doc, "dtype", "")));
  print_row("quantization", or_dash(json_str(doc, "quantization", "")));
  print_row("weights", bytes);
  (void)printf("%-15s %s a token\n", "KV cache", cache);
  print_row("licence", or_dash(json_str(doc, "license", "")));
  print_parts(doc);
  print_list(json_get(doc, "modelCapabilities"), "capabilities");
  print_list(json_get(doc, "apiCapabilities"), "interfaces");
  print_list(json_get(doc, "warnings"), "warnings");
  if (json_get(doc, "memory"))
    inspect_memory_print(json_get(doc, "memory"));
}

/* ---- where it is ------------------------------------------------------------------------------------------------- */

static bool stopped(UNUSED void *arg) {
  return cli_stopping();
}

static int32_t of_uri(const char *uri, const char *revision, const char *plugins, struct model_facts *out,
                      struct ome_err *err) {
  _cleanup_backends_ struct backends backends = {0};
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .uri = uri, .revision = revision};
  const struct plugin_call call = {.timeout_ms = 300000, .cancelled = stopped};
  struct plugin_instance *storage = NULL;
  int32_t rc = backends_open(&backends, plugins, err);

  if (rc == OME_OK)
    rc = plugins_storage_for(backends.plugins, uri, &storage, err);
  return rc == OME_OK ? remote_model_facts(storage, &call, &ref, out, err) : rc;
}

static int32_t look(const char *what, const char *revision, const char *plugins, struct model_facts *out,
                    struct ome_err *err) {
  const char *path = has_prefix(what, "file://") ? what + 7 : what;

  path = has_prefix(path, "local://") ? path + 8 : path;
  return *path != '/' && strstr(path, "://") ? of_uri(what, revision, plugins, out, err)
                                             : model_facts_of_path(path, out, err);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

struct request {
  const char *format, *revision, *plugins;
  struct inspect_memory memory;
  bool wants_memory, each, families, report;
};

/* What is there and is no model is another thing than what is not there. */
static int32_t look_for_report(const char *what, struct model_facts *out, struct ome_err *err) {
  int32_t rc = look(what, NULL, NULL, out, err);

  if (rc == OME_E_NOT_FOUND && *what == '/' && file_exists(what))
    err->code = OME_E_UNSUPPORTED;
  return err->code;
}

/* One line, as an agent puts it into a node's record: the controller reads it in the log of a pod. */
static int report(const char *what) {
  _cleanup_model_facts_ struct model_facts facts = {0};
  _cleanup_json_ struct json_object *event = json_object_new_object();
  struct ome_err err = ERR_INIT;
  int32_t rc = look_for_report(what, &facts, &err);

  if (rc == OME_OK)
    (void)(json_set_str(event, "event", "done") && json_set(event, "config", model_facts_config(&facts)));
  else
    (void)(json_set_str(event, "event", "error") && json_set_str(event, "code", err_name(rc)) &&
           json_set_str(event, "message", err.msg));
  _cleanup_free_ char *text = json_text(event);
  (void)printf("%s\n", text ? text : "");
  return rc == OME_OK ? 0 : 1;
}

static int one(const struct request *r, const char *what) {
  _cleanup_model_facts_ struct model_facts facts = {0};
  _cleanup_json_ struct json_object *doc = NULL;
  struct ome_err err = ERR_INIT;

  if (look(what, r->revision, r->plugins, &facts, &err) != OME_OK)
    return cli_fail(&err);
  doc = model_facts_json(&facts);
  if (r->wants_memory && inspect_memory(&r->memory, &facts, doc, &err) != OME_OK)
    return cli_fail(&err);
  return cli_print(doc, r->format, print_facts);
}

static int each(const struct request *r, const char *folder) {
  _cleanup_json_ struct json_object *list = NULL;
  struct ome_err err = ERR_INIT;

  if (inspect_each(folder, &list, &err) != OME_OK)
    return cli_fail(&err);
  return cli_print(list, r->format, inspect_each_print);
}

/* What does not go together; NULL: nothing. */
static const char *find_wrong(const struct request *r, int operands) {
  const struct {
    bool is_so;
    const char *what;
  } all[] = {
      {r->families, "--families stands alone"},
      {operands != 1, "one folder, file or address is needed"},
      {r->wants_memory != (r->memory.accelerator != NULL), "--memory and --accelerator go together"},
      {r->report && (r->each || r->wants_memory || r->format), "--report goes with no other option"},
      {r->each && r->wants_memory, "--memory is of one model"},
      {r->memory.concurrency == 0 || r->memory.concurrency > 1000000, "--concurrency is 1 to 1000000"},
  };

  for (size_t i = 0; i < ARRAY_LEN(all); i++)
    if (all[i].is_so)
      return all[i].what;
  return NULL;
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct request r = {.memory = {.concurrency = 1}};
  const struct cli_option options[] = {
      {'o', "output", "FORMAT", "json, yaml or table", CLI_STRING, &r.format},
      {0, "each", NULL, "PATH is a folder of models: say it of each of them", CLI_FLAG, &r.each},
      {0, "families", NULL, "list the families of models that config.json is understood of", CLI_FLAG, &r.families},
      {0, "report", NULL,
       "one line of JSON as a node reports it, {event: done, config} or {event: error, code, message}", CLI_FLAG,
       &r.report},
      {0, "memory", NULL, "say what fits on --accelerator, and why", CLI_FLAG, &r.wants_memory},
      {0, "accelerator", "NAME|FILE", "an AcceleratorClass: h100-80g, or a manifest", CLI_STRING,
       &r.memory.accelerator},
      {0, "context", "TOKENS", "of a sequence: 8192, 32k (default: the model's own length)", CLI_STRING,
       &r.memory.context},
      {0, "concurrency", "N", "sequences at a time (default: 1)", CLI_UINT, &r.memory.concurrency},
      {0, "revision", "NAME", "branch, tag or commit (default: what the address says)", CLI_STRING, &r.revision},
      OPTION_PLUGINS(&r.plugins),
      {0},
  };
  int operands = cli_parse(self, options, argc, argv);

  if (r.families && operands == 0) {
    _cleanup_json_ struct json_object *list = inspect_families();
    return cli_print(list, r.format, inspect_families_print);
  }
  const char *wrong = find_wrong(&r, operands);
  if (wrong)
    return cli_usage(self, "%s", wrong);
  return r.report ? report(argv[1]) : r.each ? each(&r, argv[1]) : one(&r, argv[1]);
}

const struct cli_command cli_inspect = {
    .name = "inspect",
    .args = "PATH|URI",
    .summary = "say what a model is, from its own files",
    .help = "Reads config.json, safetensors headers, GGUF metadata and the indexes of PyTorch archives of a folder, a\n"
            "file or an address that a storage plugin knows: architecture, parameters, context, quantization, memory.\n"
            "Of a remote model only the first bytes of each file are fetched, no weights.\n\n"
            "  ome inspect ./SmolLM2-135M-Instruct -o json\n"
            "  ome inspect --each /models\n"
            "  ome inspect hf://meta-llama/Llama-3.1-8B --memory --accelerator h100-80g --context 32k --concurrency 64",
    .run = run,
};
