/* ome inspect: what a model is, from its own files. */
#include "base/str.h"
#include "cli/cli.h"
#include "model/facts.h"

#include <stdio.h>
#include <string.h>

static void print_table(struct json_object *o) {
  json_object_object_foreach(o, key, v) {
    _cleanup_free_ char *text = json_is(v, json_type_string) ? strdup(json_object_get_string(v)) : json_text(v);
    printf("%-22s %s\n", key, text);
  }
}

static int inspect_main(const struct cli_command *self, int argc, char **argv) {
  const char *format = "table";
  const struct cli_option options[] = {
      {'o', "output", "FORMAT", "json, yaml or table", CLI_STRING, &format},
      {0},
  };
  struct model_facts facts;
  struct ome_err err = ERR_INIT;

  if (cli_parse(self, options, argc, argv) != 1)
    return cli_usage(self, "one folder is needed");
  if (model_inspect_dir(argv[1], &facts, &err) != OME_OK)
    return cli_fail(&err);
  _cleanup_json_ struct json_object *o = model_document(&facts);
  model_facts_fini(&facts);
  return cli_print(o, format, print_table);
}

const struct cli_command cli_inspect = {
    .name = "inspect",
    .args = "PATH",
    .summary = "say what a model is, from its own files",
    .help = "Reads config.json and the headers of .safetensors and .gguf files in the folder PATH; no weight is read.\n\n"
            "  ome inspect .ome/store/models/clusterbasemodel.smollm2-135m-instruct -o json",
    .run = inspect_main,
};
