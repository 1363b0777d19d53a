/* Small edits of pods and containers.  Pure; false and NULL: memory ran out. */
#ifndef HOST_COMPOSE_CONTAINER_H
#define HOST_COMPOSE_CONTAINER_H

#include "base/json.h"

#include <stdbool.h>

/* The array at KEY of O, made when absent; borrowed. */
struct json_object *list_in(struct json_object *o, const char *key);

/* The container of GROUP, a component or its leader or worker, that serves: the runner, or what is in its place;
 * borrowed, NULL: there is none yet. */
struct json_object *container_serving(struct json_object *group);

/* NAME=VALUE in the container's env; an existing one is kept unless OVERWRITE. */
bool container_set_env(struct json_object *container, const char *name, const char *value, bool overwrite);

/* Mounts VOLUME at PATH, read only; SUB_PATH NULL or "": all of it. */
bool container_mount(struct json_object *container, const char *volume, const char *path, const char *sub_path);

#endif
