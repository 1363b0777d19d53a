/* ome apply: manifests to the API server. */
#include "cli/apply_objects.h"
#include "cli/cli.h"
#include "cli/connect.h"

static int apply_main(const struct cli_command *self, int argc, char **argv) {
  const char *kubeconfig = NULL;
  const char *ns = NULL;
  struct cli_list files = {0};
  const struct cli_option options[] = {
      {'f', "filename", "PATH", "file, folder (and what is below) or - with manifests; may be repeated", CLI_LIST,
       &files},
      {'n', "namespace", "NAMESPACE", "for objects that name none", CLI_STRING, &ns},
      OPTION_KUBECONFIG(&kubeconfig),
      {0},
  };
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_json_ struct json_object *docs = NULL;
  struct ome_err err = ERR_INIT;

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected operand \"%s\"; name manifests with -f", argv[1]);
  if (!files.len)
    return cli_usage(self, "name manifests with -f");
  if (cli_load_manifests(&files, &docs, &err) != OME_OK || cli_connect(kubeconfig, NULL, &client, &err) != OME_OK ||
      apply_objects(client, docs, ns, stdout, &err) != OME_OK)
    return cli_fail(&err);
  return 0;
}

const struct cli_command cli_apply = {
    .name = "apply",
    .args = "-f PATH...",
    .summary = "create or change the objects of manifests",
    .help = "Server-side apply as manager \"ome\"; fields that others manage are taken over.\n\n"
            "  ome apply -f manifests/quickstart\n"
            "  ome render -f service.yaml | ome apply -f -",
    .run = apply_main,
};
