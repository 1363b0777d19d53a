/* How far a model is on its way to its nodes, summed up from what their agents say.  Pure. */
#ifndef HOST_CONTROLLER_MODELPROGRESS_H
#define HOST_CONTROLLER_MODELPROGRESS_H

#include "base/json.h"

#include <stddef.h>
#include <stdint.h>

struct model_progress {
  size_t ready, failed, nodes; /* nodes that have it, could not get it, and are to have it */
  size_t moving;               /* of these, where bytes are coming */
  uint64_t completed, total;   /* bytes of those where they are */
  uint64_t eta_s;              /* until the slowest of them has it, seconds */
  uint64_t parts;              /* sum of the per mille of them */
};

/* Adds what one node says: STATUS ("Ready", "Failed", ...) and its ENTRY.  "Evicted" and "Deleted" nodes are not to
 * have it. */
void model_progress_add(struct model_progress *p, const char *status, struct json_object *entry);

/* status.nodes ("2/0/3": ready, failed, all) and status.progress {percent; and while bytes are coming completedBytes,
 * totalBytes, etaSeconds, and bytes and eta for people}; false: out of memory. */
bool model_progress_write(const struct model_progress *p, struct json_object *status);

/* Whether the two statuses differ in status.progress at most. */
bool model_progress_alone(struct json_object *a, struct json_object *b);

#endif
