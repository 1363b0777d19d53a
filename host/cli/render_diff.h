/* `ome render --diff`: rendered objects beside those of a cluster. */
#ifndef HOST_CLI_RENDER_DIFF_H
#define HOST_CLI_RENDER_DIFF_H

#include "base/err.h"
#include "base/json.h"

/* Prints what an apply of ITEMS by the controller would change in the cluster of KUBECONFIG (NULL: found as by every
 * command); writes nothing there.  *CHANGES counts objects that would be new, others or gone. */
int32_t render_diff(struct json_object *items, const char *kubeconfig, size_t *changes, struct ome_err *err);

#endif
