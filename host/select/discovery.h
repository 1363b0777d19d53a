/* Discovery: which nodes have the accelerators of an AcceleratorClass, how many, and how many are free.  Pure. */
#ifndef HOST_SELECT_DISCOVERY_H
#define HOST_SELECT_DISCOVERY_H

#include "base/json.h"

enum discovery_fit {
  DISCOVERY_OTHER, /* its labels say that it has something else */
  DISCOVERY_LACKS, /* they do not, but it has none of the devices, or does not say so yet */
  DISCOVERY_HAS,
};
/* NODE against CLASS, as below. */
enum discovery_fit discovery_fits(struct json_object *class, struct json_object *node);

/* new {nodes, availableNodes, totalAccelerators, availableAccelerators}, what status of CLASS says; NULL: out of
 * memory.
 *
 * A node has the class when it has all labels of discovery.nodeSelector, suits the required terms of
 * discovery.affinity.nodeAffinity, and has some of each of resources[] (OME 1.3).  A class that lists no resources is
 * looked for by those of its vendor.  Where discovery states neither labels nor affinity, ids and memory decide as far
 * as the node's labels tell them (vendor_labels_allow).
 *
 * Counted is the first of the resources: all that nodes have, and free what is allocatable on nodes that take pods,
 * less what PODS that are bound to them ask for.  A class without a resource has nodes and no counts. */
struct json_object *discovery_status(struct json_object *class, struct json_object *nodes, struct json_object *pods);

#endif
