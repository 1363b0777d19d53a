#include "agent/measure.h"

#include "agent/cause.h"
#include "base/metrics.h"
#include "compose/names.h"

#define OF_MODEL "model_type", "namespace", "name"

/* OME's go to 51 s; whole models take hours. */
static const double doubling[] = {0.1,   0.2,   0.4,   0.8,   1.6,    3.2,    6.4,    12.8,    25.6,    51.2,
                                  102.4, 204.8, 409.6, 819.2, 1638.4, 3276.8, 6553.6, 13107.2, 26214.4, 0};
static const double waits[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 0};

METRIC_COUNTER(succeeded, "model_agent_downloads_success_total", "Models that were brought and verified.", OF_MODEL);
METRIC_COUNTER(failed, "model_agent_downloads_failed_total", "Attempts to bring a model that failed.", OF_MODEL);
METRIC_COUNTER(causes, "model_agent_download_failures_total", "Attempts to bring a model that failed, by cause.",
               "cause");
METRIC_HISTOGRAM(download_seconds, "model_agent_download_duration_seconds",
                 "Time of the attempt that brought a model, verification included.", doubling, OF_MODEL);
METRIC_COUNTER(bytes_of_model, "model_agent_download_bytes_total", "Bytes fetched, by model.", OF_MODEL);
METRIC_COUNTER(bytes_by_source, "model_agent_fetched_bytes_total",
               "Bytes of models fetched, from their origin or from other nodes.", "source");
METRIC_COUNTER(verifications, "model_agent_verifications_total", "Verifications of whole models.", OF_MODEL, "result");
METRIC_COUNTER(mismatches, "model_agent_md5_checksum_failed_total",
               "Verifications that found other bytes than there should be, whatever the digest.", OF_MODEL);
METRIC_HISTOGRAM(verification_seconds, "model_agent_verification_duration_seconds",
                 "Time to find out whether a model on disk is what was verified.", doubling);
METRIC_COUNTER(rate_limits, "model_agent_rate_limit_total", "Answers that asked to come back later.", OF_MODEL);
METRIC_HISTOGRAM(rate_limit_seconds, "model_agent_rate_limit_wait_seconds", "Waited because a source asked to.", waits,
                 OF_MODEL);
METRIC_GAUGE(models, "model_agent_models", "Models that belong on this node, or did, by phase.", "phase");
METRIC_HISTOGRAM(phase_seconds, "model_agent_phase_duration_seconds", "Time that models were in a phase.", doubling,
                 "phase");

static const char *type_of(const char *ns) {
  return name_is_weights(ns) ? "FineTunedWeight" : ns ? "BaseModel" : "ClusterBaseModel";
}

static const char *space_of(const char *ns) {
  return name_is_weights(ns) || !ns ? "" : ns;
}

#define OF(family, ns, name, ...) METRIC(&(family), type_of(ns), space_of(ns), name, ##__VA_ARGS__)

static void count_verification(const char *ns, const char *name, bool whole) {
  metric_add(OF(verifications, ns, name, whole ? "success" : "failure"), 1);
  metric_add(OF(mismatches, ns, name), whole ? 0 : 1);
}

void measure_brought(const char *ns, const char *name, uint64_t took_ms) {
  metric_add(OF(succeeded, ns, name), 1);
  metric_observe(OF(download_seconds, ns, name), (double)took_ms / 1000);
  count_verification(ns, name, true);
}

void measure_failed(const char *ns, const char *name, const struct ome_err *err) {
  enum cause cause = cause_of(err);

  metric_add(OF(failed, ns, name), 1);
  metric_add(METRIC(&causes, cause_name(cause)), 1);
  if (cause == CAUSE_CORRUPT)
    count_verification(ns, name, false);
  if (cause == CAUSE_RATE_LIMITED)
    measure_rate_limited(ns, name, err->retry_after_ms);
}

void measure_verified(const char *ns, const char *name, bool whole, uint64_t took_ms) {
  count_verification(ns, name, whole);
  metric_observe(METRIC(&verification_seconds), (double)took_ms / 1000);
}

void measure_rate_limited(const char *ns, const char *name, uint64_t wait_ms) {
  metric_add(OF(rate_limits, ns, name), 1);
  metric_observe(OF(rate_limit_seconds, ns, name), (double)wait_ms / 1000);
}

void measure_bytes(const char *ns, const char *name, uint64_t bytes) {
  metric_add(OF(bytes_of_model, ns, name), (double)bytes);
}

void measure_source(bool peer, uint64_t bytes) {
  metric_add(METRIC(&bytes_by_source, peer ? "peer" : "origin"), (double)bytes);
}

void measure_phase(enum phase was, uint64_t in_ms, enum phase now) {
  if (was != PHASE_ABSENT)
    metric_add(METRIC(&models, phase_name(was)), -1);
  if (now != PHASE_ABSENT)
    metric_add(METRIC(&models, phase_name(now)), 1);
  /* Models that never belonged here pass through leaving at every look. */
  if (was != PHASE_ABSENT && was != PHASE_LEAVING)
    metric_observe(METRIC(&phase_seconds, phase_name(was)), (double)in_ms / 1000);
}
