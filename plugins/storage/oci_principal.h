/* Who signs: the four principals of Oracle Cloud. */
#ifndef PLUGINS_STORAGE_OCI_PRINCIPAL_H
#define PLUGINS_STORAGE_OCI_PRINCIPAL_H

#include "../common/http.h"
#include "oci_sign.h"
#include "oci_uri.h"

#include <pthread.h>
#include <stdint.h>

enum oci_kind { OCI_USER, OCI_INSTANCE, OCI_RESOURCE, OCI_WORKLOAD, OCI_KINDS };

/* Ready to sign. */
struct oci_identity {
  char *key_id; /* secret: it may hold a token */
  EVP_PKEY *key;
  time_t fresh_until;           /* a new one is got from then on */
  char region[OCI_REGION_TEXT]; /* where the principal is; "": it does not say */
  char domain[OCI_DOMAIN_TEXT]; /* of its realm; "" */
};
void oci_identity_fini(struct oci_identity *who);

/* The instance. */
struct oci {
  const struct ome_host *host;
  char *auth, *region, *endpoint, *auth_endpoint, *config_file, *profile, *service_account; /* NULL: not set */
  pthread_mutex_t lock;
  struct oci_identity kept[OCI_KINDS]; /* of this machine or pod, for whoever asks; users are not kept */
};

/* The principal that REF asks for, got anew when it is about to run out.  WHO is the caller's to end. */
int32_t oci_identify(struct oci *o, const struct ome_call *call, const struct ome_model_ref *ref,
                     struct oci_identity *who, struct ome_err *err);

/* Who they say they are: "UserPrincipal"...; -1. */
int oci_kind_of(const char *name);

#endif
