/* What the agent does, in numbers.  Metrics that OME's agent has keep its names and labels (model_type, namespace,
 * name); what these leave out (the cause of a failure, the phases, queued and present models) has names of its own.
 * [any-thread]
 *
 * NS as in struct task: NULL for cluster-scoped models. */
#ifndef HOST_AGENT_MEASURE_H
#define HOST_AGENT_MEASURE_H

#include "agent/machine.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* An attempt to bring a model is over: verified and in place, or failed with ERR. */
void measure_brought(const char *ns, const char *name, uint64_t took_ms);
void measure_failed(const char *ns, const char *name, const struct ome_err *err);
/* Files that had been verified were looked at once more. */
void measure_verified(const char *ns, const char *name, bool whole, uint64_t took_ms);
/* A source asked to come back after WAIT_MS. */
void measure_rate_limited(const char *ns, const char *name, uint64_t wait_ms);
/* BYTES of the model came, from wherever. */
void measure_bytes(const char *ns, const char *name, uint64_t bytes);
/* Of all bytes: from their origin, or from another node. */
void measure_source(bool peer, uint64_t bytes);
/* A model came from one phase, in which it was for IN_MS, into another. */
void measure_phase(enum phase was, uint64_t in_ms, enum phase now);

#endif
