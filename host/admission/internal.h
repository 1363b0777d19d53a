/* What the effects of the room share: certificates and registrations. */
#ifndef HOST_ADMISSION_INTERNAL_H
#define HOST_ADMISSION_INTERNAL_H

#include "admission/admission.h"
#include "net/tls.h"

struct serving_certificate {
  struct tls_pair pair; /* what is served */
  char *ca_bundle;      /* PEM: the present CA and, for a while, the one before */
};
void certificate_fini(struct serving_certificate *i);

/* Reads the Secret, makes or renews what is missing or old.  NAMES (NULL-terminated) are what the certificate vouches
 * for.  Safe with several replicas: the second to write reads what the first wrote. */
int32_t certificate_load(struct kube_client *c, const char *ns, const char *const *names,
                         struct serving_certificate *out, struct ome_err *err);

/* Applies the webhook configurations, trusting CA_BUNDLE. */
int32_t register_webhooks(const struct admission_config *cfg, const char *ca_bundle, struct ome_err *err);

#define WEBHOOK_SERVICE "ome-webhook-server-service"

#endif
