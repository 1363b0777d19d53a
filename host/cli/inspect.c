/* ome inspect: what a model's files say about it. */
#include "cli/cli.h"
#include "model/facts.h"

#include "base/str.h"

#include <string.h>

static int run(const struct cli_command *self, int argc, char **argv) {
  _cleanup_model_facts_ struct model_facts facts = {0};
  _cleanup_json_ struct json_object *doc = NULL;
  const char *format = "yaml";
  struct ome_err err = ERR_INIT;
  const struct cli_option options[] = {
      {'o', "output", "FORMAT", "json or yaml", CLI_STRING, &format},
      {0, NULL, NULL, NULL, CLI_FLAG, NULL},
  };

  if (cli_parse(self, options, argc, argv) != 1)
    return cli_usage(self, "one folder or file is needed");
  const char *path = has_prefix(argv[1], "file://") ? argv[1] + 7 : argv[1];
  path = has_prefix(path, "local://") ? path + 8 : path;
  if (strstr(path, "://"))
    return cli_usage(self, "%s is not on this machine; `ome pull` it first", path);
  if (model_facts_of_path(path, &facts, &err) != OME_OK)
    return cli_fail(&err);
  doc = model_facts_json(&facts);
  return cli_print(doc, format, NULL);
}

const struct cli_command cli_inspect = {
    .name = "inspect",
    .args = "PATH",
    .summary = "say what a model is, from its own files",
    .help = "Reads config.json, safetensors headers and GGUF metadata of a folder or file: architecture, parameters,\n"
            "context, quantization, memory.\n\n"
            "  ome inspect ./SmolLM2-135M-Instruct -o json\n",
    .run = run,
};
