/* Accelerator selection: which AcceleratorClass a component of a service runs on, and why.
 *
 * Pure.  A class that the service names is taken as it is; otherwise a policy picks among the classes that the runtime
 * lists, after the service's constraints.  Classes that are equal to the policy keep the runtime's order. */
#ifndef HOST_SELECT_ACCELERATOR_H
#define HOST_SELECT_ACCELERATOR_H

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

struct accelerator_choice {
  struct json_object *class; /* AcceleratorClass document, borrowed; NULL: none */
  bool named;                /* the service named it, so that without it the component cannot run */
  int32_t code;              /* OME_OK, also when none was asked for; OME_E_NOT_FOUND or OME_E_INVALID: see reason */
  char reason[512];          /* why this one or why none, for people; "" when none was asked for */
};

/* For COMPONENT ("engine", "decoder"; others run without) of SERVICE (NULL: none) on RUNTIME (NULL: any), both
 * documents.  CLASSES is the array of AcceleratorClasses, or NULL.  Fills OUT. */
void accelerator_choose(struct json_object *service, const char *component, struct json_object *runtime,
                        struct json_object *classes, struct accelerator_choice *out);

/* Devices that a pod of COMPONENT asks for: by the service's own container, else by RUNTIME's; 0: that is decided
 * later.  Both may be NULL. */
int64_t accelerator_devices(struct json_object *service, const char *component, struct json_object *runtime);

/* Memory of one device of CLASS in bytes; 0: not stated or no quantity.  "80Gi" is what it says; a number without a
 * unit is GiB, as the field's name means. */
uint64_t accelerator_memory(struct json_object *class);

#endif
