#include "agent/cause.h"

/* What others have to mend is asked for less often than what mends itself. */
#define SOON_MS 60000u
#define LATER_MS 300000u

static const struct {
  const char *name;
  uint64_t longest_ms;
} causes[CAUSES] = {
    [CAUSE_OTHER] = {"Failed", SOON_MS},
    [CAUSE_GATED] = {"Gated", LATER_MS},
    [CAUSE_UNAUTHORISED] = {"Unauthorised", SOON_MS},
    [CAUSE_NOT_FOUND] = {"NotFound", SOON_MS},
    [CAUSE_RATE_LIMITED] = {"RateLimited", LATER_MS},
    [CAUSE_STALLED] = {"Stalled", SOON_MS},
    [CAUSE_UNREACHABLE] = {"Unreachable", SOON_MS},
    [CAUSE_NO_SPACE] = {"NoSpace", SOON_MS},
    [CAUSE_CORRUPT] = {"Corrupt", SOON_MS},
    [CAUSE_UNSUPPORTED] = {"UnsupportedScheme", LATER_MS},
    [CAUSE_INVALID] = {"Invalid", LATER_MS},
};

enum cause cause_of(const struct ome_err *err) {
  switch (err->code) {
  case OME_E_GATED:
    return CAUSE_GATED;
  case OME_E_DENIED:
    return CAUSE_UNAUTHORISED;
  case OME_E_NOT_FOUND:
    return CAUSE_NOT_FOUND;
  case OME_E_BUSY:
    return CAUSE_RATE_LIMITED;
  case OME_E_DEADLINE:
    return CAUSE_STALLED;
  case OME_E_UNAVAILABLE:
    return CAUSE_UNREACHABLE;
  case OME_E_NO_SPACE:
    return CAUSE_NO_SPACE;
  case OME_E_CORRUPT:
    return CAUSE_CORRUPT;
  case OME_E_UNSUPPORTED:
    return CAUSE_UNSUPPORTED;
  case OME_E_INVALID:
  case OME_E_EXISTS:
    return CAUSE_INVALID;
  default:
    return CAUSE_OTHER;
  }
}

const char *cause_name(enum cause c) {
  return causes[c].name;
}

uint64_t cause_longest_wait_ms(enum cause c) {
  return causes[c].longest_ms;
}
