/* Which models belong on this node.  Pure. */
#ifndef HOST_AGENT_SCOUT_H
#define HOST_AGENT_SCOUT_H

#include "base/json.h"

struct scout_decision {
  bool wanted;
  char why[256]; /* not wanted: which rule says so */
};

/* MODEL against NODE by Kubernetes' own semantics: disabled, spec.storage.nodeSelector, required node affinity. */
void scout_decide(struct json_object *model, struct json_object *node, struct scout_decision *out);

#endif
