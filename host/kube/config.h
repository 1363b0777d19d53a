/* Where an API server is and how to prove who we are: kubeconfig files and the in-cluster account. */
#ifndef HOST_KUBE_CONFIG_H
#define HOST_KUBE_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct kube_config {
  char *server; /* URL without a trailing slash */
  char *ns;     /* "default" when the context names none */
  char *ca_pem, *cert_pem, *key_pem;
  char *tls_server_name;
  char *proxy_url;
  bool insecure;
  char *token;      /* secret */
  char *token_file; /* read again when a minute old: tokens rotate */
  char *username, *password;
  struct json_object *exec; /* credential plugin; read only */
};

/* See kube_client_new() for PATH and CONTEXT. */
int32_t kube_config_load(const char *path, const char *context, struct kube_config *out, struct ome_err *err);
void kube_config_fini(struct kube_config *c);

/* Runs the exec credential plugin (client.authentication.k8s.io/v1 and v1beta1): *TOKEN and the certificates may be
 * new, *EXPIRES_MS is wall time, 0: never. */
int32_t kube_config_exec(const struct kube_config *c, char **token, char **cert_pem, char **key_pem,
                         int64_t *expires_ms, struct ome_err *err);

#endif
