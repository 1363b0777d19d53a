#include "cli/connect.h"

#include "os/file.h"

#include <stdlib.h>

#define LOCAL_KUBECONFIG ".ome/kubeconfig" /* written by `ome up` in its default data folder */

int32_t cli_connect(const char *kubeconfig, const char *context, struct kube_client **out, struct ome_err *err) {
  if (!kubeconfig && !context && !getenv("KUBECONFIG") && file_exists(LOCAL_KUBECONFIG))
    kubeconfig = LOCAL_KUBECONFIG;
  int32_t rc = kube_client_new(kubeconfig, context, out, err);

  return rc == OME_OK ? rc : fail_prefix(err, "find the API server (start `ome up`, or name one with --kubeconfig)");
}

int32_t cli_connect_role(const char *part, const char *kubeconfig, const char *context, struct kube_client **out,
                         struct ome_err *err) {
  int32_t rc = kube_client_new(kubeconfig, context, out, err);

  return rc == OME_OK ? kube_client_name_part(*out, part, err)
                      : fail_prefix(err, "find the API server (name one with --kubeconfig)");
}
