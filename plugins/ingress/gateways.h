/* The gateways that routes of a service attach to: the site's or its namespace's, and further ones (OME v1.3). */
#ifndef PLUGINS_INGRESS_GATEWAYS_H
#define PLUGINS_INGRESS_GATEWAYS_H

#include "../common/doc.h"

#define GATEWAYS_MAX 16
#define GATEWAY_CLASS "omeIngressGatewayClass" /* what the site calls the addresses at its gateway */

/* Each is what a request says where that gateway is the site's only one: hosts are found for it as for that. */
struct gateways {
  struct request_docs each[GATEWAYS_MAX]; /* the primary one first */
  size_t len;                             /* at least 1 */
};

/* Keys namespaceIngressGateways and additionalIngressGateways, and annotation ome.io/ingress-additional-gateways.
 * OME_E_INVALID names the entry that is wrong.  In any case free OUT with gateways_free(), and before D. */
int32_t gateways_of(const struct request_docs *d, struct gateways *out, struct ome_err *err);
void gateways_free(struct gateways *g);

#endif
