/* Runtime inheritance (OME 1.3): the annotation ome.io/inherit-from names a runtime whose spec is taken where this one
 * says nothing.  Pure.
 *
 * A ClusterServingRuntime inherits from ClusterServingRuntimes, a ServingRuntime from those of its namespace, then from
 * ClusterServingRuntimes.  At most INHERIT_MAX runtimes make a chain, and none of its names comes twice.  Objects
 * merge, and so do lists whose items have a name (containers, env, volumes, ...), containers' ports, mounts and spread
 * constraints; other lists and plain values replace.  "", {} and [] are not said, so that nothing can be taken away.
 * Whether a runtime is disabled is its own: profiles, that others inherit from, are. */
#ifndef HOST_SELECT_INHERIT_H
#define HOST_SELECT_INHERIT_H

#include "base/json.h"

#include <stdbool.h>

enum { INHERIT_MAX = 5 };

struct heritage {
  struct json_object *doc;   /* new: the runtime with all that it inherits; NULL: see problem */
  struct json_object *chain; /* new array of names, the root first, the runtime last; as far as it could be followed */
  const char *reason;        /* of the condition InheritanceReady: "Resolved", or what went wrong */
  char problem[256];         /* "" or a sentence for people */
};

bool inherits(struct json_object *runtime);

/* RUNTIMES, an array of ServingRuntimes and ClusterServingRuntimes, has RUNTIME's possible ancestors.  Fails only when
 * memory runs out. */
int32_t inherit(struct json_object *runtime, struct json_object *runtimes, struct heritage *out, struct ome_err *err);

#endif
