/* ome get: one object, or those of a kind. */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "kube/meta.h"

#include <stdio.h>

struct get_options {
  const char *kubeconfig, *ns, *labels, *output;
  bool all;
};

static void print_names(struct json_object *o) {
  struct json_object *items = json_at(o, "items");
  size_t n = items ? json_len(items) : 1;

  printf("%-20s %-40s %s\n", "NAMESPACE", "NAME", "READY");
  for (size_t i = 0; i < n; i++) {
    struct json_object *one = items ? json_index(items, i) : o;
    const char *ready = meta_condition(one, "Ready");
    printf("%-20s %-40s %s\n", *meta_namespace(one) ? meta_namespace(one) : "-", meta_name(one), ready ? ready : "-");
  }
}

static int get_main(const struct cli_command *self, int argc, char **argv) {
  struct get_options o = {.output = "table"};
  const struct cli_option options[] = {
      OPTION_NAMESPACE(&o.ns),
      {'A', "all-namespaces", NULL, "of every namespace", CLI_FLAG, &o.all},
      {'l', "selector", "LABELS", "only objects with these labels", CLI_STRING, &o.labels},
      OPTION_OUTPUT(&o.output),
      OPTION_KUBECONFIG(&o.kubeconfig),
      {0},
  };
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_json_ struct json_object *found = NULL;
  const struct kube_resource *r = NULL;
  struct ome_err err = ERR_INIT;
  int operands = cli_parse(self, options, argc, argv);

  if (operands < 1 || operands > 2)
    return cli_usage(self, "name a KIND, and perhaps one NAME");
  if (operands == 2 && (o.all || o.labels || !*argv[2]))
    return cli_usage(self, "a NAME is one object; -A and -l select many");
  int32_t rc = cli_connect(o.kubeconfig, NULL, &client, &err);
  if (rc == OME_OK)
    rc = kube_discover_name(client, argv[1], &r, &err);
  if (rc != OME_OK)
    return cli_fail(&err);
  const struct kube_list_opts list = {.labels = o.labels};
  const char *ns = !r->namespaced || o.all ? NULL : o.ns ? o.ns : kube_client_namespace(client);
  rc = operands == 2 ? kube_get(client, r, ns, argv[2], &found, &err) : kube_list(client, r, ns, &list, &found, &err);
  return rc == OME_OK ? cli_print(found, o.output, print_names) : cli_fail(&err);
}

const struct cli_command cli_get = {
    .name = "get",
    .args = "KIND [NAME]",
    .summary = "show objects",
    .help = "KIND is a plural, singular, short name or kind, perhaps with its group.\n\n"
            "  ome get inferenceservices -A\n"
            "  ome get clusterbasemodel tiny -o yaml",
    .run = get_main,
};
