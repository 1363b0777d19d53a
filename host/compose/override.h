/* What a runtime changes on an accelerator: acceleratorConfig[CLASS] of a supportedModelFormats entry, put into the
 * arguments of a runner (OME's MergeArgs and OverrideArgParam).  Pure. */
#ifndef HOST_COMPOSE_OVERRIDE_H
#define HOST_COMPOSE_OVERRIDE_H

#include "base/json.h"

/* CONFIG (NULL: nothing to do) is put into RUNNER, a container, in place:
 *
 *   runtimeArgsOverride        a flag takes the place of the runner's own with its value, in either spelling ("--a b",
 *                              "--a=b"); what the runner does not have comes at the end.  Where an argument is a script
 *                              of several lines, its lines are what is compared.
 *   tensorParallelismOverride  the value of --tp-size, --pp-size, --dp-size, in any spelling of theirs, in the
 * arguments, else in the command.  A flag that neither has is not added (OME 1.3).
 *
 * Fails only when memory runs out. */
int32_t override_runner(struct json_object *config, struct json_object *runner, struct ome_err *err);

#endif
