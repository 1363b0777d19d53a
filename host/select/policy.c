#include "select/policy.h"

#include "base/quantity.h"
#include "base/str.h"
#include "select/accelerator.h"
#include "select/refuse.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GIB 1073741824.0

static const char *text_of(struct json_object *v) {
  return json_as_str(v, "");
}

/* ---- constraints ------------------------------------------------------------------------------------------------- */

/* "nvidia-hopper" names vendor and family, "hopper" the family alone. */
static bool is_family(struct json_object *class, const char *wanted) {
  char full[160];

  if (!strchr(wanted, '-'))
    return strcasecmp(wanted, json_str(class, "spec.family", "")) == 0;
  (void)snprintf(full, sizeof(full), "%s-%s", json_str(class, "spec.vendor", ""), json_str(class, "spec.family", ""));
  return strcasecmp(wanted, full) == 0;
}

static bool allows_class(struct json_object *constraints, struct json_object *class, char *why, size_t cap) {
  struct json_object *excluded = json_get(constraints, "excludedClasses");
  struct json_object *families = json_get(constraints, "architectureFamilies");

  for (size_t i = 0; i < json_len(excluded); i++)
    if (streq(text_of(json_index(excluded, i)), json_str(class, "metadata.name", "")))
      return select_refuse(why, cap, "it is in excludedClasses");
  for (size_t i = 0; i < json_len(families); i++)
    if (is_family(class, text_of(json_index(families, i))))
      return true;
  return json_len(families) == 0 || select_refuse(why, cap, "its family %.60s is not in architectureFamilies",
                                                  json_str(class, "spec.family", "\"\""));
}

/* Whole GiB, rounded down, as the limits are. */
static bool allows_memory(struct json_object *constraints, struct json_object *class, char *why, size_t cap) {
  int64_t min = json_i64(constraints, "minMemory", 0);
  int64_t max = json_i64(constraints, "maxMemory", 0);
  int64_t has = (int64_t)(accelerator_memory(class) >> 30);

  if (!json_get(constraints, "minMemory") && !json_get(constraints, "maxMemory"))
    return true;
  if (max && min > max)
    return select_refuse(why, cap, "minMemory %lld is above maxMemory %lld", (long long)min, (long long)max);
  if (accelerator_memory(class) == 0)
    return select_refuse(why, cap, "capabilities.memoryGB is not stated, so minMemory and maxMemory cannot be checked");
  if (has < min)
    return select_refuse(why, cap, "its memory of %lld GiB is below minMemory %lld", (long long)has, (long long)min);
  if (max && has > max)
    return select_refuse(why, cap, "its memory of %lld GiB is above maxMemory %lld", (long long)has, (long long)max);
  return true;
}

static bool allows_features(struct json_object *constraints, struct json_object *class, char *why, size_t cap) {
  struct json_object *wanted = json_get(constraints, "requiredFeatures");
  struct json_object *has = json_at(class, "spec.capabilities.features");

  for (size_t i = 0; i < json_len(wanted); i++) {
    const char *feature = text_of(json_index(wanted, i));
    bool found = false;
    for (size_t k = 0; k < json_len(has) && !found; k++)
      found = strcasecmp(feature, text_of(json_index(has, k))) == 0;
    if (!found)
      return select_refuse(why, cap, "it lacks the required feature %.60s", feature);
  }
  return true;
}

/* The number at *TEXT, which moves behind it and behind a dot; parts that are no numbers make -1. */
static int64_t next_part(const char **text) {
  int64_t n = -1;
  const char *s = *text;

  for (; isdigit((unsigned char)*s) && n < 1000000; s++)
    n = (n < 0 ? 0 : n * 10) + (*s - '0');
  *text = *s == '.' ? s + 1 : s;
  return n;
}

/* "10.0" is above "9.0": by number, part by part; what is no number ("gfx942") by its bytes. */
static int compare_capability(const char *a, const char *b) {
  const char *x = a;
  const char *y = b;

  while (*x || *y) {
    int64_t p = *x ? next_part(&x) : 0;
    int64_t q = *y ? next_part(&y) : 0;
    if (p < 0 || q < 0)
      return strcmp(a, b);
    if (p != q)
      return p < q ? -1 : 1;
  }
  return 0;
}

static bool allows_capability(struct json_object *constraints, struct json_object *class, char *why, size_t cap) {
  const char *wanted = json_str(constraints, "minArchitectureVersion", "");
  const char *has = json_str(class, "spec.capabilities.computeCapability", "");

  if (!*wanted)
    return true;
  if (!*has)
    return select_refuse(why, cap,
                         "capabilities.computeCapability is not stated, so minArchitectureVersion cannot be checked");
  return compare_capability(has, wanted) >= 0 ||
         select_refuse(why, cap, "its compute capability %.30s is below minArchitectureVersion %.30s", has, wanted);
}

bool policy_allows(struct json_object *constraints, struct json_object *class, char *why, size_t cap) {
  return allows_class(constraints, class, why, cap) && allows_memory(constraints, class, why, cap) &&
         allows_features(constraints, class, why, cap) && allows_capability(constraints, class, why, cap);
}

/* ---- what a class is worth --------------------------------------------------------------------------------------- */

static double performance(struct json_object *class, const char *precision) {
  static const struct {
    const char *precision;
    const char *field;
  } fields[] = {
      {"fp32", "fp32Tflops"}, {"fp16", "fp16Tflops"}, {"int8", "int8Tops"}, {"fp8", "int8Tops"}, {"int4", "int4Tops"},
  };
  struct json_object *p = json_at(class, "spec.capabilities.performance");

  for (size_t i = 0; i < ARRAY_LEN(fields); i++)
    if (strcasecmp(precision, fields[i].precision) == 0)
      return (double)json_i64(p, fields[i].field, 0);
  return 0;
}

static double best_performance(struct json_object *class) {
  static const char *const all[] = {"fp32", "fp16", "int8", "int4"};
  double best = 0;

  for (size_t i = 0; i < ARRAY_LEN(all); i++) {
    double t = performance(class, all[i]);
    best = t > best ? t : best;
  }
  return best;
}

static double gib(struct json_object *class) {
  return (double)accelerator_memory(class) / GIB;
}

/* A quantity in its own unit; 0: not stated. */
static double quantity_of(struct json_object *v) {
  int64_t milli = 0;

  return v && quantity_milli(json_object_get_string(v), &milli) && milli > 0 ? (double)milli / 1000.0 : 0;
}

/* A field of the costs; -1: not stated.  A price of 0 is a price. */
static double price(struct json_object *class, const char *field) {
  struct json_object *v = json_get(json_at(class, "spec.cost"), field);
  int64_t milli = 0;

  return v && quantity_milli(json_object_get_string(v), &milli) && milli >= 0 ? (double)milli / 1000.0 : -1;
}

/* ---- BestFit ----------------------------------------------------------------------------------------------------- */

/* Nothing wasted: as much memory as asked for, no more. */
static double fit_memory(struct json_object *constraints, struct json_object *class) {
  double min = (double)json_i64(constraints, "minMemory", 0);
  double has = gib(class);

  if (min <= 0)
    return 1;
  return has < min ? 0 : min / has;
}

static double enough(double tflops, double wanted) {
  if (tflops <= 0)
    return 0;
  return wanted <= 0 || tflops >= wanted ? 1 : tflops / wanted;
}

/* Precisions count in the order of preference, each one without figures halving what the next is worth. */
static double fit_compute(struct json_object *constraints, struct json_object *class) {
  struct json_object *preferred = json_get(constraints, "preferredPrecisions");
  double wanted = (double)json_i64(constraints, "minComputePerformanceTFLOPS", 0);
  double penalty = 1;
  bool fp16 = false;

  if (json_len(preferred) == 0)
    return enough(best_performance(class), wanted);
  for (size_t i = 0; i < json_len(preferred); i++) {
    const char *precision = text_of(json_index(preferred, i));
    double t = performance(class, precision);
    if (t > 0)
      return enough(t, wanted) * penalty;
    fp16 |= strcasecmp(precision, "fp16") == 0;
    penalty /= 2;
  }
  return fp16 ? 0 : enough(performance(class, "fp16"), wanted) * penalty;
}

static int pick_best_fit(const struct policy_wish *wish, struct json_object *const *classes, size_t n, char *why,
                         size_t cap) {
  double best = -1;
  int at = -1;

  for (size_t i = 0; i < n; i++) {
    double memory = fit_memory(wish->constraints, classes[i]);
    double compute = fit_compute(wish->constraints, classes[i]);
    double score = 0.7 * memory + 0.3 * compute;
    if (score <= best)
      continue;
    best = score;
    at = (int)i;
    (void)snprintf(why, cap, "the best fit with %.3f (memory %.3f, compute %.3f)", score, memory, compute);
  }
  return at;
}

/* ---- Cheapest ---------------------------------------------------------------------------------------------------- */

static double per_hour(struct json_object *class) {
  double spot = price(class, "spotPerHour");

  return spot >= 0 ? spot : price(class, "perHour");
}

static double per_tokens(struct json_object *class) {
  return price(class, "perMillionTokens");
}

static double tier(struct json_object *class) {
  const char *name = json_str(class, "spec.cost.tier", "");

  if (!*name)
    return -1;
  return streq(name, "low") ? 1 : streq(name, "high") ? 3 : 2;
}

/* The first kind of price that any class states decides; classes without it are left out. */
static int pick_cheapest(UNUSED const struct policy_wish *wish, struct json_object *const *classes, size_t n, char *why,
                         size_t cap) {
  static const struct {
    double (*of)(struct json_object *class);
    const char *what;
  } prices[] = {{per_hour, "an hour"}, {per_tokens, "a million tokens"}, {tier, "as tier, where low is 1"}};

  for (size_t k = 0; k < ARRAY_LEN(prices); k++) {
    double lowest = -1;
    int at = -1;
    for (size_t i = 0; i < n; i++) {
      double p = prices[k].of(classes[i]);
      if (p < 0 || (at >= 0 && p >= lowest))
        continue;
      lowest = p;
      at = (int)i;
    }
    if (at < 0)
      continue;
    (void)snprintf(why, cap, "the cheapest with %.2f %s", lowest, prices[k].what);
    return at;
  }
  (void)snprintf(why, cap, "none states spec.cost.perHour, spotPerHour, perMillionTokens or tier");
  return -1;
}

/* ---- MostCapable ------------------------------------------------------------------------------------------------- */

/* At the first preferred precision that the class has figures for; fp16 where nothing is preferred. */
static double preferred_performance(struct json_object *constraints, struct json_object *class) {
  struct json_object *preferred = json_get(constraints, "preferredPrecisions");

  if (json_len(preferred) == 0)
    return performance(class, "fp16");
  for (size_t i = 0; i < json_len(preferred); i++) {
    double t = performance(class, text_of(json_index(preferred, i)));
    if (t > 0)
      return t;
  }
  return 0;
}

static double bandwidth(struct json_object *class) {
  return quantity_of(json_at(class, "spec.capabilities.memoryBandwidthGBps"));
}

static double share(double value, double most) {
  return most > 0 ? value / most : 0;
}

static int pick_most_capable(const struct policy_wish *wish, struct json_object *const *classes, size_t n, char *why,
                             size_t cap) {
  double most[3] = {0};
  double best = -1;
  int at = -1;

  for (size_t i = 0; i < n; i++) {
    double v[3] = {gib(classes[i]), bandwidth(classes[i]), preferred_performance(wish->constraints, classes[i])};
    for (size_t k = 0; k < 3; k++)
      most[k] = v[k] > most[k] ? v[k] : most[k];
  }
  for (size_t i = 0; i < n; i++) {
    double score = 0.5 * share(gib(classes[i]), most[0]) + 0.3 * share(bandwidth(classes[i]), most[1]) +
                   0.2 * share(preferred_performance(wish->constraints, classes[i]), most[2]);
    if (score <= best)
      continue;
    best = score;
    at = (int)i;
    (void)snprintf(why, cap, "the most capable with %.3f of memory, bandwidth and compute", score);
  }
  return at;
}

/* ---- FirstAvailable ---------------------------------------------------------------------------------------------- */

static int64_t nodes_of(struct json_object *class) {
  return json_i64(class, "status.availableNodes", 0);
}

/* Free devices; -1: nobody has counted. */
static int64_t free_of(struct json_object *class) {
  return json_i64(class, "status.availableAccelerators", -1);
}

/* What a component runs on already is available to it: its own pods are among those that take the devices. */
static int stay(const struct policy_wish *wish, struct json_object *const *classes, size_t n) {
  for (size_t i = 0; wish->current && i < n; i++)
    if (streq(json_str(classes[i], "metadata.name", ""), wish->current) && nodes_of(classes[i]) > 0)
      return (int)i;
  return -1;
}

/* A class without nodes is not available, nor is one without enough free devices where they are counted.  Where none is
 * free, one that has nodes; where none has any (or nobody has counted yet), the first will do. */
static int pick_first(const struct policy_wish *wish, struct json_object *const *classes, size_t n, char *why,
                      size_t cap) {
  int at = stay(wish, classes, n), busy = -1;

  if (at >= 0) {
    (void)snprintf(why, cap, "it is on this one already");
    return at;
  }
  for (size_t i = 0; i < n; i++) {
    int64_t left = free_of(classes[i]);
    if (nodes_of(classes[i]) <= 0)
      continue;
    if (left < 0)
      (void)snprintf(why, cap, "the first in the runtime's list that has nodes (%lld)",
                     (long long)nodes_of(classes[i]));
    else if (left >= wish->devices)
      (void)snprintf(why, cap, "the first in the runtime's list that has enough free (%lld; a pod takes %lld)",
                     (long long)left, (long long)wish->devices);
    else if (busy < 0)
      busy = (int)i;
    if (left < 0 || left >= wish->devices)
      return (int)i;
  }
  if (busy >= 0)
    (void)snprintf(why, cap, "the first in the runtime's list that has nodes; none has %lld free for a pod",
                   (long long)wish->devices);
  else
    (void)snprintf(why, cap, "the first in the runtime's list; none is known to have nodes");
  return busy >= 0 ? busy : n ? 0 : -1;
}

int policy_pick(const char *policy, const struct policy_wish *wish, struct json_object *const *classes, size_t n,
                char *why, size_t cap) {
  static const struct {
    const char *name;
    int (*pick)(const struct policy_wish *, struct json_object *const *, size_t, char *, size_t);
  } policies[] = {
      {"BestFit", pick_best_fit},
      {"Cheapest", pick_cheapest},
      {"MostCapable", pick_most_capable},
      {"FirstAvailable", pick_first},
  };

  for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
    if (!streq(policy, policies[i].name))
      continue;
    if (n != 1)
      return policies[i].pick(wish, classes, n, why, cap);
    (void)snprintf(why, cap, "the only one that remains");
    return 0;
  }
  (void)snprintf(why, cap, "there is no such policy; write BestFit, Cheapest, MostCapable or FirstAvailable");
  return -1;
}
