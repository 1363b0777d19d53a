#include "agent/scout.h"

#include "api/selector.h"
#include "base/str.h"
#include "compose/claim.h"
#include "kube/meta.h"
#include "select/discovery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_UNKNOWN ((int64_t)1000) /* billions of parameters */
#define MAX_PREFERENCE 10000         /* a hundred terms of the greatest weight */

static struct scout_decision decide(enum scout_verdict verdict, const char *why) {
  struct scout_decision d = {.verdict = verdict};

  (void)snprintf(d.why, sizeof(d.why), "%s", why);
  return d;
}

/* The first label of SELECTOR that NODE does not have, into OUT; false: it has all. */
static bool lacks_label(struct json_object *selector, struct json_object *node, struct scout_decision *out) {
  if (!json_is(selector, json_type_object))
    return false;
  json_object_object_foreach (selector, key, v) {
    const char *want = v ? json_object_get_string(v) : "";
    const char *have = meta_label(node, key);
    if (have && streq(have, want))
      continue;
    *out = decide(SCOUT_DROP, "");
    (void)snprintf(out->why, sizeof(out->why), "the node has no label %.100s=%.100s", key, want);
    return true;
  }
  return false;
}

/* A node that does not say is taken to be ready: its agent runs. */
static bool is_ready(struct json_object *node) {
  struct json_object *conditions = json_at(node, "status.conditions");

  for (size_t i = 0; i < json_len(conditions); i++) {
    struct json_object *c = json_index(conditions, i);
    if (streq(json_str(c, "type", ""), "Ready"))
      return streq(json_str(c, "status", ""), "True");
  }
  return true;
}

void scout_node(struct json_object *node, struct scout_decision *out) {
  if (json_flag(node, "spec.unschedulable", false))
    *out = decide(SCOUT_HOLD, "the node is cordoned; uncordon it to have the model brought");
  else if (!is_ready(node))
    *out = decide(SCOUT_HOLD, "the node is not ready");
  else
    *out = decide(SCOUT_BRING, "");
}

/* ---- accelerator classes ----------------------------------------------------------------------------------------- */

/* How a node suits the classes of a model: of several, the best counts. */
enum classes_fit {
  CLASSES_OTHER,   /* it is of none */
  CLASSES_UNKNOWN, /* one is not there */
  CLASSES_LACKING, /* of one, but for the devices */
  CLASSES_SUITED,
};

static enum classes_fit fit_class(const char *name, struct json_object *node, const struct scout_classes *classes) {
  static const enum classes_fit fits[] = {
      [DISCOVERY_OTHER] = CLASSES_OTHER, [DISCOVERY_LACKS] = CLASSES_LACKING, [DISCOVERY_HAS] = CLASSES_SUITED};
  _cleanup_json_ struct json_object *class = classes->find(classes->arg, name);

  return class ? fits[discovery_fits(class, node)] : CLASSES_UNKNOWN;
}

/* A model that names none suits every node. */
static enum classes_fit fit_classes(struct json_object *model, struct json_object *node,
                                    const struct scout_classes *classes) {
  const char *names = meta_annotation(model, SCOUT_CLASSES);
  _cleanup_free_ char *copy = names ? strdup(names) : NULL;
  enum classes_fit best = copy || !names ? CLASSES_SUITED : CLASSES_UNKNOWN;
  char *rest = NULL;
  bool any = false;

  for (char *name = copy ? strtok_r(copy, ", ", &rest) : NULL; name; name = strtok_r(NULL, ", ", &rest)) {
    enum classes_fit fit = fit_class(name, node, classes);
    best = !any || fit > best ? fit : best;
    any = true;
  }
  return best;
}

static void decide_classes(struct json_object *model, enum classes_fit fit, struct scout_decision *out) {
  static const char *const whys[] = {[CLASSES_OTHER] = "the node is of no accelerator class",
                                     [CLASSES_UNKNOWN] = "there is no AcceleratorClass yet that is called",
                                     [CLASSES_LACKING] = "the node has no devices yet of accelerator class"};

  *out = decide(fit == CLASSES_OTHER ? SCOUT_DROP : SCOUT_HOLD, "");
  (void)snprintf(out->why, sizeof(out->why), "%s %.160s", whys[fit], meta_annotation(model, SCOUT_CLASSES));
}

/* ---- decisions --------------------------------------------------------------------------------------------------- */

void scout_decide(struct json_object *model, struct json_object *node, const struct scout_classes *classes,
                  struct scout_decision *out) {
  struct json_object *required =
      json_at(model, "spec.storage.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");
  enum classes_fit fit;

  if (!model || meta_deleting(model))
    *out = decide(SCOUT_DROP, "the model is gone or going");
  else if (json_flag(model, "spec.disabled", false))
    *out = decide(SCOUT_DROP, "the model is disabled");
  else if (!*json_str(model, "spec.storage.storageUri", ""))
    *out = decide(SCOUT_DROP, "the model names no storageUri");
  else if (claim_is(json_str(model, "spec.storage.storageUri", "")))
    *out = decide(SCOUT_DROP, "the model is on a claim, which pods mount where it is");
  else if (lacks_label(json_at(model, "spec.storage.nodeSelector"), node, out))
    return;
  else if (required && !node_selector_match(required, node))
    *out = decide(SCOUT_DROP, "the node does not match the required node affinity");
  else if ((fit = fit_classes(model, node, classes)) != CLASSES_SUITED)
    decide_classes(model, fit, out);
  else
    scout_node(node, out);
}

bool scout_entitles(struct json_object *model, struct json_object *node, const struct scout_classes *classes) {
  struct scout_decision decision;

  scout_decide(model, node, classes, &decision);
  return decision.verdict != SCOUT_DROP && fit_classes(model, node, classes) != CLASSES_UNKNOWN;
}

static bool prefers(struct json_object *term, struct json_object *node) {
  _cleanup_json_ struct json_object *selector = json_object_new_object();
  struct json_object *terms = json_object_new_array();

  if (!selector || !terms || !json_add(terms, json_object_get(json_at(term, "preference"))) ||
      !json_set(selector, "nodeSelectorTerms", terms))
    return false;
  return node_selector_match(selector, node);
}

int64_t scout_preference(struct json_object *model, struct json_object *node) {
  struct json_object *terms =
      json_at(model, "spec.storage.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution");
  int64_t sum = 0;

  for (size_t i = 0; i < json_len(terms) && sum < MAX_PREFERENCE; i++) {
    struct json_object *term = json_index(terms, i);
    int64_t weight = json_i64(term, "weight", 0);
    if (weight >= 1 && weight <= 100 && prefers(term, node)) /* what the API accepts */
      sum += weight;
  }
  return sum < MAX_PREFERENCE ? sum : MAX_PREFERENCE;
}

/* "70B", "1.5B", "500M", in billions, rounded up. */
static int64_t size_of(struct json_object *model) {
  const char *text = json_str(model, "spec.modelParameterSize", "");
  char *end = NULL;
  double n = strtod(text, &end);

  if (end == text || !(n > 0) || n >= 1e6)
    return SIZE_UNKNOWN;
  n *= *end == 'T' ? 1000.0 : *end == 'M' ? 0.001 : *end == 'K' ? 0.000001 : 1.0;
  return n < (double)SIZE_UNKNOWN ? (int64_t)n + 1 : SIZE_UNKNOWN;
}

int64_t scout_rank(struct json_object *model, struct json_object *node, const struct scout_classes *classes) {
  struct scout_decision d;

  scout_decide(model, node, classes, &d);
  if (d.verdict == SCOUT_DROP)
    return 0;
  return 1 + (MAX_PREFERENCE - scout_preference(model, node)) * (SIZE_UNKNOWN + 1) + size_of(model);
}
