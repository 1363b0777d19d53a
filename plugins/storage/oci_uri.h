/* Addresses of Oracle Cloud's Object Storage: models, regions, realms, endpoints. */
#ifndef PLUGINS_STORAGE_OCI_URI_H
#define PLUGINS_STORAGE_OCI_URI_H

#include <stddef.h>

#define OCI_REGION_TEXT 64
#define OCI_DOMAIN_TEXT 128

struct oci_uri {
  char ns[128];                 /* "": that of the caller's tenancy */
  char region[OCI_REGION_TEXT]; /* "": not said */
  char bucket[258];
  char prefix[1025]; /* "": the whole bucket; no '/' at its ends */
};

/* oci://n/NAMESPACE/b/BUCKET/o[/PREFIX], oci://NAMESPACE@REGION/BUCKET[/PREFIX], oci://BUCKET[/PREFIX].  -1: none of
 * them.  Pure. */
int oci_uri_parse(const char *uri, struct oci_uri *out);

/* Lower-case letters, digits and '-': what may become part of a host's name. */
int oci_region_is_name(const char *text);
/* The region's identifier for its airport code ("iad"), as the instance metadata has it for old regions; REGION itself
 * where it is none. */
const char *oci_region_of(const char *region);
/* The domain of the realm that REGION is in ("oraclecloud.com"); OTHERWISE (may be NULL) for regions not known here. */
const char *oci_domain_of(const char *region, const char *otherwise);

#endif
