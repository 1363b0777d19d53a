/* The admission webhooks of `ome controller`: served over TLS with a certificate of their own making, and registered
 * with the API server.
 *
 * The CA, its key and the serving pair are in a Secret of OME's namespace, made by whichever replica comes first and
 * renewed well before it expires; every replica serves what the Secret holds.  A CA is replaced beside the one before
 * it, so that no client sees a certificate that it cannot check. */
#ifndef HOST_ADMISSION_ADMISSION_H
#define HOST_ADMISSION_ADMISSION_H

#include "kube/client.h"
#include "plugin/plugin.h"

struct admission_server;

struct admission_config {
  struct kube_client *client; /* borrowed */
  struct plugins *plugins;    /* borrowed */
  const char *ome_namespace;
  const char *address; /* NULL: 0.0.0.0 */
  uint16_t port;
  /* How the API server reaches us: the Service of this name in OME's namespace (NULL: ome-webhook-server-service), or,
   * where it cannot reach Services, this base URL ("https://192.0.2.1:9443"), whose host the certificate names too. */
  const char *service;
  const char *url;
};

/* Serves and is registered when it returns.  Certificates and registrations are looked after from a thread of its own.
 */
int32_t admission_server_start(const struct admission_config *cfg, struct admission_server **out, struct ome_err *err);
/* The registrations stay: another replica, or the next start, serves them. */
void admission_server_stop(struct admission_server *s);
DEFINE_CLEANUP(struct admission_server *, admission_server_stop)
uint16_t admission_server_port(const struct admission_server *s);

#endif
