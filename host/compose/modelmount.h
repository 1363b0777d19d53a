/* How a model gets into pods: the folder of its node, where the agent brought it, or a persistent volume claim.  Pure.
 */
#ifndef HOST_COMPOSE_MODELMOUNT_H
#define HOST_COMPOSE_MODELMOUNT_H

#include "base/json.h"

/* Where OME mounts what is on a claim. */
#define MODEL_MOUNT "/opt/ml/model"

/* The model's folder as its pods see it, borrowed; "": not known yet, nothing is mounted. */
const char *model_mount_path(struct json_object *model);

/* The volume with MODEL's files, in POD of namespace NS. */
int32_t model_mount_volume(struct json_object *model, const char *ns, struct json_object *pod, struct ome_err *err);

/* Where a container sees a model. */
struct model_mount {
  struct json_object *model;
  const char *ns;       /* of the pod */
  const char *path;     /* model_mount_path(), or another; "": nothing is mounted */
  const char *variable; /* that says PATH, unless the container has it */
};

int32_t model_mount_container(const struct model_mount *m, struct json_object *container, struct ome_err *err);

/* Adds to SELECTOR, a node selector, that nodes have MODEL; what is on a claim every node has.  False: no memory. */
bool model_select_nodes(struct json_object *model, struct json_object *selector);

#endif
