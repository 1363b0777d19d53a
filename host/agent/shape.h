/* Which shape of machine the node is, for models that are built for one.  Pure. */
#ifndef HOST_AGENT_SHAPE_H
#define HOST_AGENT_SHAPE_H

#include "base/err.h"
#include "base/json.h"

/* The short name of NODE's instance type ("H100"), where MODEL is of a format that holds engines for several shapes
 * (tensorrtllm): only the files below a folder of that name are of use here.  MAP is $INSTANCE_TYPE_MAP, JSON from
 * instance types to short names; NULL or "": the built-in names.  A type without short name is its own.  *OUT: NULL
 * where it does not matter or the node does not say; borrowed from NODE, or static, unless MAP has it: then copied into
 * ROOM. */
#define SHAPE_TEXT 128
int32_t shape_of_model(struct json_object *model, struct json_object *node, const char *map, char room[SHAPE_TEXT],
                       const char **out, struct ome_err *err);

#endif
