/* Resources of other projects.  Not among KUBE_RESOURCES: those are there without being asked for, and a cluster may
 * lack these. */
#ifndef HOST_LOCAL_FOREIGN_H
#define HOST_LOCAL_FOREIGN_H

#include "kube/resource.h"

extern const struct kube_resource LOCAL_LEADERWORKERSETS, LOCAL_RAYCLUSTERS, LOCAL_KNATIVESERVICES;

#endif
