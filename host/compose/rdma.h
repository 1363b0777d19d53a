/* RDMA profiles: what a pod needs to reach the fast network of its node.  Pure. */
#ifndef HOST_COMPOSE_RDMA_H
#define HOST_COMPOSE_RDMA_H

#include "base/json.h"

#define RDMA_DEFAULT_PROFILE "oci-roce"

/* Does what ANNOTATIONS, a pod's, ask for: with rdma.ome.io/auto-inject "true", profile rdma.ome.io/profile goes into
 * container rdma.ome.io/container-name of SPEC (v1.PodSpec), or without such a container nowhere: devices and shared
 * memory as volumes, resources, capabilities, environment, host network where the profile says so, and networks into
 * ANNOTATIONS. What is there already stays as it is, so that twice is as good as once.  PROFILES are the site's own, by
 * name, and come before those that are built in; NULL: none; docs/admission.md has their keys.  OME_E_INVALID: there is
 * no such profile, and which there are, or what is wrong with it. */
int32_t rdma_apply(struct json_object *annotations, struct json_object *spec, struct json_object *profiles,
                   struct ome_err *err);

#endif
