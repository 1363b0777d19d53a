#include "bench/arrival.h"

#include "base/json.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

#define MAX_SECONDS 1e7

/* A ramp has let n(t) = rate t + (rate_end - rate) t^2 / 2 seconds come after t; solved for t. */
static double ramp_time(const struct arrival *a, double n) {
  double slope = (a->rate_end - a->rate) / a->seconds;
  double by_end = (a->rate + a->rate_end) / 2 * a->seconds;

  if (n <= 0)
    return 0;
  if (n >= by_end)
    return a->seconds + (a->rate_end > 0 ? (n - by_end) / a->rate_end : MAX_SECONDS);
  if (fabs(slope) < 1e-12)
    return n / a->rate;
  return 2 * n / (a->rate + sqrt(a->rate * a->rate + 2 * slope * n)); /* stable for small slopes too */
}

bool arrival_next(struct arrival *a, uint64_t *offset_ns) {
  switch (a->kind) {
  case ARRIVAL_CONSTANT:
    a->at = (double)a->n / a->rate;
    break;
  case ARRIVAL_POISSON:
    a->at += random_exponential(&a->random, 1 / a->rate);
    break;
  case ARRIVAL_RAMP:
    a->at = ramp_time(a, (double)a->n);
    break;
  case ARRIVAL_REPLAY:
    if (a->n >= a->noffsets)
      return false;
    *offset_ns = a->offsets[a->n++];
    return true;
  default:
    return false;
  }
  if (!(a->at < MAX_SECONDS))
    return false;
  a->n++;
  *offset_ns = (uint64_t)(a->at * 1e9);
  return true;
}

/* ---- replay files ------------------------------------------------------------------------------------------------ */

static bool read_seconds(const char *line, double *out) {
  struct ome_err ignored = ERR_INIT;
  _cleanup_json_ struct json_object *o = NULL;

  if (json_parse(line, strlen(line), 0, &o, &ignored) != OME_OK)
    return false;
  struct json_object *n = json_is(o, json_type_object) ? json_get(o, "timestamp") : o;
  if (!json_is(n, json_type_double) && !json_is(n, json_type_int))
    return false;
  *out = json_object_get_double(n);
  return isfinite(*out);
}

int32_t arrival_read(const char *name, const char *text, struct arrival_offsets *out, struct ome_err *err) {
  double first = 0;
  size_t line = 0;

  for (const char *p = text; *p;) {
    size_t len = strcspn(p, "\n");
    _cleanup_free_ char *one = str_copy(p, len);
    double at;
    p += len + (p[len] == '\n');
    line++;
    if (!one)
      return fail_memory(err);
    one[strcspn(one, "\r")] = '\0';
    if (!*one || *one == '#')
      continue;
    if (!read_seconds(one, &at))
      return fail(err, OME_E_INVALID, "%s:%zu: is neither seconds nor an object with a \"timestamp\"", name, line);
    if (!out->ns.len && *one == '{')
      first = at;
    at -= first;
    if (at < 0 || at > MAX_SECONDS || (out->ns.len && (uint64_t)(at * 1e9) < out->ns.items[out->ns.len - 1]))
      return fail(err, OME_E_INVALID, "%s:%zu: comes before the line above, or not within 1e7 s; sort the file", name,
                  line);
    if (out->ns.len == ARRIVAL_MAX_REPLAY)
      return fail(err, OME_E_INVALID, "%s: has more than %u arrivals", name, ARRIVAL_MAX_REPLAY);
    if (!VEC_PUSH(&out->ns, (uint64_t)(at * 1e9)))
      return fail_memory(err);
  }
  return out->ns.len ? OME_OK : fail(err, OME_E_INVALID, "%s: names no arrival", name);
}
