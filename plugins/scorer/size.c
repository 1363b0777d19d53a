/* The model's parameter count must lie in the runtime's range, ends included. */
#include "match.h"

#include <stdbool.h>
#include <stdio.h>

/* "70B", "7.11B", "135M": as people write it, at most three decimals. */
static const char *text_of(uint64_t n, char out[32]) {
  static const struct {
    uint64_t unit;
    char suffix;
  } units[] = {{1000000000000u, 'T'}, {1000000000u, 'B'}, {1000000u, 'M'}};

  for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
    if (n < units[i].unit)
      continue;
    unsigned milli = (unsigned)(n % units[i].unit / (units[i].unit / 1000));
    int len = snprintf(out, 32, "%llu.%03u", (unsigned long long)(n / units[i].unit), milli);
    while (out[len - 1] == '0')
      len--;
    len -= out[len - 1] == '.';
    (void)snprintf(out + len, (size_t)(32 - len), "%c", units[i].suffix);
    return out;
  }
  (void)snprintf(out, 32, "%llu", (unsigned long long)n);
  return out;
}

static int32_t score(void *self, const struct ome_call *call, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  uint64_t n = req->model->parameters;
  uint64_t min = req->runtime->size_min;
  uint64_t max = req->runtime->size_max;
  char size[32];
  char low[32];
  char high[32];

  (void)self, (void)call, (void)err;
  if (n == 0 || (min == 0 && max == 0))
    return OME_OK;
  bool outside = n < min || (max && n > max);
  if (req->flags & OME_SCORE_NO_REASONS)
    return outside ? out->reject(out, NULL) : OME_OK;
  text_of(n, size);
  if (outside)
    return reject(req, out, "model size %s is outside supported range %s%s, %s%s", size, min ? "[" : "(",
                  min ? text_of(min, low) : "-inf", max ? text_of(max, high) : "inf", max ? "]" : ")");
  return points(req, out, 0, "size %s is in range", size);
}

SCORER_FACTORY(size, "size", 0);
