/* The factories of scorer-match and what they share. */
#ifndef PLUGINS_SCORER_MATCH_H
#define PLUGINS_SCORER_MATCH_H

#include <ome/scorer.h>

extern const struct ome_factory scorer_format;
extern const struct ome_factory scorer_framework;
extern const struct ome_factory scorer_architecture;
extern const struct ome_factory scorer_size;
extern const struct ome_factory scorer_quantization;
extern const struct ome_factory scorer_priority;
extern const struct ome_factory scorer_pipeline;
extern const struct ome_factory scorer_accelerator;
extern const struct ome_factory scorer_protocol;
extern const struct ome_factory scorer_components;

/* Scorers have neither configuration nor state. */
int32_t scorer_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                      struct ome_err *err);
void scorer_destroy(void *self);

/* One whose file has a score(). */
#define SCORER_FACTORY_WITH(id, text, its_caps, its_keys, its_create, its_destroy)                                     \
  static const struct ome_scorer_ops ops = {                                                                           \
      .struct_size = sizeof(ops),                                                                                      \
      .caps = its_caps,                                                                                                \
      .score = score,                                                                                                  \
  };                                                                                                                   \
  const struct ome_factory scorer_##id = {                                                                             \
      .struct_size = sizeof(struct ome_factory),                                                                       \
      .threads = OME_THREADS_PARALLEL,                                                                                 \
      .kind = OME_KIND_SCORER,                                                                                         \
      .name = text,                                                                                                    \
      .keys = its_keys,                                                                                                \
      .ops = &ops,                                                                                                     \
      .create = its_create,                                                                                            \
      .destroy = its_destroy,                                                                                          \
  }
#define SCORER_FACTORY(id, text, its_caps) SCORER_FACTORY_WITH(id, text, its_caps, NULL, scorer_create, scorer_destroy)

/* The format entry under judgement: the host asks once for each entry of a runtime.  NULL: none was given. */
const struct ome_supported_format *entry_of(const struct ome_score_req *req);

/* Points for a matching format and framework: the entry's weight; a weight of 0 stands for OME's own 10 and 5. */
int64_t format_points(const struct ome_supported_format *e);
int64_t framework_points(const struct ome_supported_format *e);

/* Push a rejection or points with a printf-formatted reason, which is not written when nobody reads it. */
int32_t reject(const struct ome_score_req *req, struct ome_term_sink *out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int32_t points(const struct ome_score_req *req, struct ome_term_sink *out, int64_t n, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
