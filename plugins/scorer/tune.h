/* What the plugins for inference engines share: one plan (fit.h), and how each engine spells it. */
#ifndef PLUGINS_SCORER_TUNE_H
#define PLUGINS_SCORER_TUNE_H

#include <ome/scorer.h>

#include <stdbool.h>

enum setting {
  SET_TENSOR_PARALLEL,
  SET_PIPELINE_PARALLEL,
  SET_EXPERT_PARALLEL,
  SET_DATA_PARALLEL,
  SET_DTYPE,
  SET_CACHE_DTYPE,
  SET_MEMORY_FRACTION,
  SET_CONTEXT,
  SET_SEQUENCES,
  SET_OFFLOADED_LAYERS,
  SETTINGS
};

/* How a setting is written.  A setting without flags is one that the engine does not have. */
struct spelling {
  const char *flags[4]; /* the first is written, each of them counts as set */
  const char *env;      /* written instead of the flag, where the engine reads it; NULL: the flag is */
  bool bare;            /* the flag has no value */
};

struct engine {
  const char *const *marks; /* text of a command, or of an image, that tells the engine; NULL-terminated */
  struct spelling settings[SETTINGS];
  const char *with_data_parallel; /* a bare flag that goes with SET_DATA_PARALLEL; NULL: none */
  const char *fp8_cache;          /* the value of SET_CACHE_DTYPE for 8 bits; NULL: it has none */
  const char *half;               /* the value of SET_DTYPE for float16 */
  bool layers_only;               /* see fit_request */
  bool whole_context;             /* SET_CONTEXT is for all sequences together */
  /* What SET_MEMORY_FRACTION is a part of. */
  enum { OF_DEVICE_WITHOUT_ACTIVATIONS, OF_DEVICE, OF_FREE_AFTER_WEIGHTS } fraction;
};

/* The whole of tune() for an engine. */
int32_t tune_engine(const struct engine *e, const struct ome_score_req *req, struct ome_setting_sink *out,
                    struct ome_err *err);

extern const struct ome_factory scorer_sglang;
extern const struct ome_factory scorer_vllm;
extern const struct ome_factory scorer_llamacpp;
extern const struct ome_factory scorer_trtllm;

/* They score nothing, and are asked only to tune. */
#define TUNER_FACTORY(id, text)                                                                                        \
  static int32_t tune(void *self, const struct ome_call *call, const struct ome_score_req *req,                        \
                      struct ome_setting_sink *out, struct ome_err *err) {                                             \
    (void)self, (void)call;                                                                                            \
    return tune_engine(&engine, req, out, err);                                                                        \
  }                                                                                                                    \
  static const struct ome_scorer_ops ops = {                                                                           \
      .struct_size = sizeof(ops),                                                                                      \
      .tune = tune,                                                                                                    \
  };                                                                                                                   \
  const struct ome_factory scorer_##id = {                                                                             \
      .struct_size = sizeof(struct ome_factory),                                                                       \
      .threads = OME_THREADS_PARALLEL,                                                                                 \
      .kind = OME_KIND_SCORER,                                                                                         \
      .name = text,                                                                                                    \
      .ops = &ops,                                                                                                     \
  }

#endif
