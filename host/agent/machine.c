#include "agent/machine.h"

/* What the world says counts whatever was going on before: the phase of another time is no evidence. */
#define WORLD                                                                                                          \
  [HAPPENED_UNWANTED] = {PHASE_LEAVING, ACTION_REMOVE}, [HAPPENED_HELD] = {PHASE_WAITING, ACTION_WAIT},                \
  [HAPPENED_MISSING] = {PHASE_FETCHING, ACTION_FETCH}, [HAPPENED_BACKOFF] = {PHASE_FAILED, ACTION_FAIL},               \
  [HAPPENED_EVICTED] = {PHASE_EVICTED, ACTION_EVICT}, [HAPPENED_WHOLE] = {PHASE_READY, ACTION_PUBLISH}

/* The end of an attempt means something only while there is one; elsewhere it is late news, and changes nothing. */
#define LATE(phase)                                                                                                    \
  [HAPPENED_NO_ROOM] = {phase, ACTION_NONE}, [HAPPENED_FETCHED] = {phase, ACTION_NONE},                                \
  [HAPPENED_FAILED] = {phase, ACTION_NONE}, [HAPPENED_CANCELLED] = {phase, ACTION_NONE},                               \
  [HAPPENED_REMOVED] = {phase, ACTION_NONE}

static const struct transition table[PHASES][HAPPENINGS] = {
    [PHASE_ABSENT] = {WORLD, LATE(PHASE_ABSENT)},
    [PHASE_WAITING] = {WORLD, LATE(PHASE_WAITING)},
    [PHASE_FETCHING] =
        {WORLD, [HAPPENED_NO_ROOM] = {PHASE_WAITING, ACTION_WAIT}, [HAPPENED_FETCHED] = {PHASE_READY, ACTION_PUBLISH},
         [HAPPENED_FAILED] = {PHASE_FAILED, ACTION_FAIL}, [HAPPENED_CANCELLED] = {PHASE_ABSENT, ACTION_NONE},
         [HAPPENED_REMOVED] = {PHASE_FETCHING, ACTION_NONE}},
    [PHASE_READY] = {WORLD, LATE(PHASE_READY)},
    [PHASE_FAILED] = {WORLD, LATE(PHASE_FAILED)},
    [PHASE_EVICTED] = {WORLD, LATE(PHASE_EVICTED)},
    [PHASE_LEAVING] =
        {WORLD, [HAPPENED_NO_ROOM] = {PHASE_LEAVING, ACTION_NONE}, [HAPPENED_FETCHED] = {PHASE_LEAVING, ACTION_NONE},
         [HAPPENED_FAILED] = {PHASE_LEAVING, ACTION_NONE}, [HAPPENED_CANCELLED] = {PHASE_LEAVING, ACTION_NONE},
         [HAPPENED_REMOVED] = {PHASE_ABSENT, ACTION_NONE}},
};

struct transition machine_step(enum phase phase, enum happening happening) {
  return table[phase][happening];
}

const char *phase_name(enum phase phase) {
  static const char *const names[PHASES] = {
      [PHASE_ABSENT] = "absent", [PHASE_WAITING] = "waiting", [PHASE_FETCHING] = "fetching", [PHASE_READY] = "ready",
      [PHASE_FAILED] = "failed", [PHASE_EVICTED] = "evicted", [PHASE_LEAVING] = "leaving",
  };

  return names[phase];
}
