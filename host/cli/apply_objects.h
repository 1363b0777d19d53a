/* Server-side apply of manifests, for `ome apply` and `ome up -f`. */
#ifndef HOST_CLI_APPLY_OBJECTS_H
#define HOST_CLI_APPLY_OBJECTS_H

#include "kube/client.h"

#include <stdio.h>

/* Applies every document of the array DOCS as manager "ome", with force, in order; the first failure ends it and names
 * its object.  Namespaced ones that name no namespace get NS (NULL: the client's), written into the document.  REPORT
 * (may be NULL) gets a line an object: "kind.group/name created", "configured" or "unchanged"; what the server warns of
 * goes to stderr.  Nobody else uses CLIENT meanwhile. */
int32_t apply_objects(struct kube_client *client, struct json_object *docs, const char *ns, FILE *report,
                      struct ome_err *err);

#endif
