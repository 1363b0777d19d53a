/* ome delete: takes objects away. */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "kube/meta.h"

#include <stdio.h>

static int32_t delete_one(struct kube_client *client, const struct kube_resource *r, const char *ns, const char *name,
                          struct ome_err *err) {
  int32_t rc = kube_delete(client, r, r->namespaced ? ns : NULL, name, NULL, KUBE_BACKGROUND, err);

  if (rc != OME_OK)
    return fail_prefix(err, "delete %s %s", r->kind, name);
  printf("%s/%s deleted\n", r->resource, name);
  return OME_OK;
}

/* Last first, as the first ones are what the others stand on. */
static int32_t delete_all(struct kube_client *client, struct json_object *docs, const char *ns, struct ome_err *err) {
  for (size_t i = json_len(docs); i-- > 0;) {
    struct json_object *doc = json_index(docs, i);
    const char *own = meta_namespace(doc);
    const struct kube_resource *r;
    int32_t rc = *meta_name(doc)
                     ? kube_discover(client, json_str(doc, "apiVersion", ""), json_str(doc, "kind", ""), &r, err)
                     : fail(err, OME_E_INVALID, "document %zu: metadata.name is missing", i + 1);
    if (rc == OME_OK)
      rc = delete_one(client, r, *own ? own : ns, meta_name(doc), err);
    if (rc == OME_E_NOT_FOUND) { /* gone already, or its kind is: the rest still has to go */
      fprintf(stderr, "ome: %s\n", err->msg);
      err_clear(err);
    } else if (rc != OME_OK) {
      return rc;
    }
  }
  return OME_OK;
}

static int delete_main(const struct cli_command *self, int argc, char **argv) {
  const char *kubeconfig = NULL;
  const char *ns = NULL;
  struct cli_list files = {0};
  const struct cli_option options[] = {
      {'f', "filename", "PATH", "delete what these manifests name; may be repeated", CLI_LIST, &files},
      OPTION_NAMESPACE(&ns),
      OPTION_KUBECONFIG(&kubeconfig),
      {0},
  };
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_json_ struct json_object *docs = NULL;
  const struct kube_resource *r = NULL;
  struct ome_err err = ERR_INIT;
  int operands = cli_parse(self, options, argc, argv);

  if (operands != (files.len ? 0 : 2))
    return cli_usage(self, "name either KIND NAME or manifests with -f");
  if (!files.len && !*argv[2])
    return cli_usage(self, "NAME is empty");
  if (cli_load_manifests(&files, &docs, &err) != OME_OK || cli_connect(kubeconfig, NULL, &client, &err) != OME_OK)
    return cli_fail(&err);
  if (!ns)
    ns = kube_client_namespace(client);
  int32_t rc = files.len ? delete_all(client, docs, ns, &err) : kube_discover_name(client, argv[1], &r, &err);
  if (rc == OME_OK && !files.len)
    rc = delete_one(client, r, ns, argv[2], &err);
  return rc == OME_OK ? 0 : cli_fail(&err);
}

const struct cli_command cli_delete = {
    .name = "delete",
    .args = "KIND NAME | -f PATH...",
    .summary = "delete objects",
    .help = "Returns when the server has taken the request; finalizers may hold the object for longer.\n\n"
            "  ome delete inferenceservice chat\n"
            "  ome delete -f manifests/quickstart",
    .run = delete_main,
};
