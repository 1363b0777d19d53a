/* The API server that a client command talks to. */
#ifndef HOST_CLI_CONNECT_H
#define HOST_CLI_CONNECT_H

#include "kube/client.h"

/* KUBECONFIG NULL: $KUBECONFIG, else ./.ome/kubeconfig where there is one, else as kube_client_new(), as a CONTEXT
 * (NULL: the present one) is looked for. */
int32_t cli_connect(const char *kubeconfig, const char *context, struct kube_client **out, struct ome_err *err);

/* For roles that serve: as kube_client_new(); PART is who their requests say they are. */
int32_t cli_connect_role(const char *part, const char *kubeconfig, const char *context, struct kube_client **out,
                         struct ome_err *err);

#endif
