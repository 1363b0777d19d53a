/* Why a model could not be brought, in classes that a person, a script or an alert can tell apart.  Pure. */
#ifndef HOST_AGENT_CAUSE_H
#define HOST_AGENT_CAUSE_H

#include "base/err.h"

#include <stdint.h>

enum cause {
  CAUSE_OTHER,
  CAUSE_GATED,
  CAUSE_UNAUTHORISED,
  CAUSE_NOT_FOUND,
  CAUSE_RATE_LIMITED,
  CAUSE_STALLED,
  CAUSE_UNREACHABLE,
  CAUSE_NO_SPACE,
  CAUSE_CORRUPT,
  CAUSE_UNSUPPORTED,
  CAUSE_INVALID,
};
#define CAUSES 11

/* By the code of ERR alone. */
enum cause cause_of(const struct ome_err *err);
/* "Gated", "NoSpace", ...: a CamelCase reason, as of conditions and events. */
const char *cause_name(enum cause c);
/* The longest pause between two attempts, milliseconds.  Every cause is tried again for ever: tokens are granted, files
 * appear, disks are emptied, and nobody should have to restart anything. */
uint64_t cause_longest_wait_ms(enum cause c);

#endif
