/* Inside the RayCluster controller: a pod of a cluster as KubeRay makes it of its group's template. */
#ifndef HOST_LOCAL_RAY_H
#define HOST_LOCAL_RAY_H

#include "base/json.h"

#define RAY_CLUSTER_LABEL "ray.io/cluster"
#define RAY_NODE_TYPE_LABEL "ray.io/node-type"

/* The port of the cluster's global control store, as the head's rayStartParams say. */
const char *ray_port(struct json_object *cluster);

/* new: pod NAME of GROUP, a headGroupSpec (HEAD NULL) or one of workerGroupSpecs, which meets at HEAD, the address of
 * the head's pod.
 *
 * Unlike KubeRay: Ray is told the pod's own address, as it would take the machine's, which all pods share; "ray stop",
 * which would stop every Ray of the machine, is not run; and a login shell, which forgets the PATH, is a plain one. */
struct json_object *ray_pod(struct json_object *cluster, struct json_object *group, const char *name, const char *head);

#endif
