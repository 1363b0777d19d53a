/* Volumes as folders: hostPath where it is, everything else below DATA/volumes/UID/. */
#ifndef HOST_LOCAL_VOLUMES_H
#define HOST_LOCAL_VOLUMES_H

#include "base/json.h"
#include "base/strmap.h"

struct volume_source {      /* where ConfigMaps and Secrets come from; as in struct pod_inputs */
  struct json_object *pod;  /* with its addresses in the status, for the downward API */
  struct json_object *node; /* may be NULL */
  int (*lookup)(void *arg, const char *kind, const char *name, struct json_object **out);
  void *arg;
};

/* Makes all volumes of the pod; *OUT maps their names to paths (new strings).  The error says which volume and why;
 * OME_E_UNAVAILABLE: something it needs may come later. */
int32_t volumes_make(const char *data_dir, const struct volume_source *src, struct strmap **out, struct ome_err *err);
/* Removes what volumes_make() made for the pod with UID. */
void volumes_remove(const char *data_dir, const char *uid);

#endif
