/* ome crds: the CustomResourceDefinitions of the ome.io kinds. */
#include "api/schema.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/yaml.h"
#include "cli/cli.h"
#include "os/file.h"

#include <stdio.h>

/* One file a CRD, as manifests/crds holds them. */
static int write_files(const char *folder, struct json_object *crds) {
  struct ome_err err = ERR_INIT;

  if (dir_make(folder, 0755, &err) != OME_OK)
    return cli_fail(&err);
  for (size_t i = 0; i < json_len(crds); i++) {
    _cleanup_buf_ struct buf b = BUF_INIT;
    _cleanup_free_ char *path =
        str_printf("%s/ome.io_%s.yaml", folder, json_str(json_index(crds, i), "spec.names.plural", ""));
    yaml_write(&b, json_index(crds, i));
    if (file_write(path, buf_str(&b), b.len, 0644, &err) != OME_OK)
      return cli_fail(&err);
  }
  return 0;
}

static int crds_main(const struct cli_command *self, int argc, char **argv) {
  const char *format = "yaml";
  const char *folder = NULL;
  const struct cli_option options[] = {
      {'o', "output", "FORMAT", "yaml or json", CLI_STRING, &format},
      {0, "write", "DIR", "write one file a kind into DIR instead", CLI_STRING, &folder},
      {0},
  };

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected operand \"%s\"", argv[1]);
  _cleanup_json_ struct json_object *crds = api_crds();
  if (folder)
    return write_files(folder, crds);
  if (streq(format, "json"))
    return cli_print(crds, format, NULL);
  for (size_t i = 0; i < json_len(crds); i++) {
    printf("---\n");
    (void)cli_print(json_index(crds, i), format, NULL);
  }
  return 0;
}

const struct cli_command cli_crds = {
    .name = "crds",
    .args = "",
    .summary = "print the CustomResourceDefinitions of the ome.io kinds",
    .help = "For `ome apply` or kubectl, as many documents as there are kinds.\n\n"
            "  ome crds | kubectl apply -f -\n"
            "  ome crds --write manifests/crds",
    .run = crds_main,
};
