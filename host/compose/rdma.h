/* RDMA profiles: what a pod needs to reach the fast network of its node.  Pure. */
#ifndef HOST_COMPOSE_RDMA_H
#define HOST_COMPOSE_RDMA_H

#include "base/json.h"

#define RDMA_DEFAULT_PROFILE "oci-roce"

/* Puts profile NAME into POD_SPEC (v1.PodSpec): devices and shared memory as volumes, capabilities, environment, host
 * network where the profile says so.  They go to CONTAINER, or without such a container nowhere.  What is there already
 * stays as it is.  PROFILES are the site's own, by name: {devices[], capabilities[], env{}, privileged, hostNetwork};
 * they come before the built-in one; NULL: none.  OME_E_INVALID: there is no such profile, and which there are. */
int32_t rdma_inject(struct json_object *pod_spec, const char *name, const char *container, struct json_object *profiles,
                    struct ome_err *err);

#endif
