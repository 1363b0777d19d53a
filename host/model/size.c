/* Parameter counts as OME writes them: existing selectors and size ranges rely on its rounding, oddities included. */
#include "model/facts.h"

#include <inttypes.h>
#include <stdio.h>

void model_size_text(uint64_t parameters, char out[32]) {
  static const struct {
    double unit;
    char letter;
  } units[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}};
  double n = (double)parameters;

  for (size_t i = 0; i < ARRAY_LEN(units); i++) {
    if (n < units[i].unit)
      continue;
    double v = n / units[i].unit, hundred = v * 100;
    if (v == (double)(int64_t)v)
      (void)snprintf(out, 32, "%" PRId64 "%c", (int64_t)v, units[i].letter);
    else if (hundred == (double)(int64_t)hundred)
      (void)snprintf(out, 32, "%.1f%c", v, units[i].letter);
    else
      (void)snprintf(out, 32, "%.2f%c", v, units[i].letter);
    return;
  }
  (void)snprintf(out, 32, "%" PRIu64, parameters);
}
