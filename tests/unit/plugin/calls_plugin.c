/* Scorers that tell what the host did for a call: one counts without a lock, one shows its circumstances. */
#include <ome/scorer.h>

static int64_t g_calls; /* on purpose without a lock: SERIAL promises one */

static int32_t count(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  (void)self, (void)call, (void)req, (void)err;
  return out->points(out, ++g_calls, "calls so far");
}

static int32_t circumstances(void *self, const struct ome_call *call, const struct ome_score_req *req,
                             struct ome_term_sink *out, struct ome_err *err) {
  (void)self, (void)req, (void)err;
  if (call->cancelled(call))
    return OME_E_CANCELLED; /* without a sentence */
  return out->points(out, call->deadline_ns != 0, "has a deadline");
}

static const struct ome_scorer_ops count_ops = {.struct_size = sizeof(count_ops), .score = count};
static const struct ome_scorer_ops circumstances_ops = {.struct_size = sizeof(count_ops), .score = circumstances};
static const struct ome_factory serial = {.struct_size = sizeof(serial),
                                          .threads = OME_THREADS_SERIAL,
                                          .kind = OME_KIND_SCORER,
                                          .name = "count",
                                          .ops = &count_ops};
static const struct ome_factory parallel = {.struct_size = sizeof(parallel),
                                            .threads = OME_THREADS_PARALLEL,
                                            .kind = OME_KIND_SCORER,
                                            .name = "circumstances",
                                            .ops = &circumstances_ops};
static const struct ome_factory *const factories[] = {&serial, &parallel, NULL};
static const struct ome_plugin plugin = {.struct_size = sizeof(plugin),
                                         .abi_epoch = OME_ABI_EPOCH,
                                         .abi_minor = OME_ABI_MINOR,
                                         .name = "scorer-calls",
                                         .version = "1",
                                         .license = "Apache-2.0",
                                         .summary = "For tests.",
                                         .factories = factories};

const struct ome_plugin *ome_plugin_v1(void) {
  return &plugin;
}
