/* Models and other files on persistent volume claims: pvc://[NAMESPACE:]CLAIM[/PATH].  Pure. */
#ifndef HOST_COMPOSE_CLAIM_H
#define HOST_COMPOSE_CLAIM_H

#include "base/json.h"

#include <stdbool.h>

struct claim {
  char *ns;   /* NULL: not given */
  char *name; /* of the PersistentVolumeClaim */
  char *path; /* below its root, relative; "": the root itself */
};

bool claim_is(const char *uri); /* whether it is such an address */

/* OME_E_INVALID says what is wrong with URI.  claim_fini() what comes out. */
int32_t claim_parse(const char *uri, struct claim *out, struct ome_err *err);

/* The claim of MODEL (BaseModel, ClusterBaseModel or FineTunedWeight, whose storageUri is such an address) for pods in
 * NS.  OME_E_INVALID, in OME's words where it has some: pods mount only claims of their own namespace; the address of a
 * ClusterBaseModel names it, that of a BaseModel does not. */
int32_t claim_of_model(struct json_object *model, const char *ns, struct claim *out, struct ome_err *err);

/* Whether CLAIM, in NS, can be mounted as CLAIMS says, an array of PersistentVolumeClaims; NULL: nobody has looked,
 * which is as good as yes.  OME_E_NOT_FOUND: there is none; OME_E_UNAVAILABLE: it is bound to no volume.  Some classes
 * bind when the first pod comes that mounts it, so that only the first stands in a pod's way. */
int32_t claim_check(const struct claim *claim, const char *ns, struct json_object *claims, struct ome_err *err);

void claim_fini(struct claim *c);

#endif
