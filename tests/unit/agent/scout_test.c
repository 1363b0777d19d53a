/* Which models belong on a node. */
#include "../unit.h"

#include "../documents.h"

#include "agent/scout.h"
#include "base/cleanup.h"
#include "base/str.h"

/* Of one label and one resource; of labels alone; of a resource alone. */
static struct json_object *find_class(void *arg, const char *name) {
  (void)arg;
  if (streq(name, "x1"))
    return yaml("{spec: {discovery: {nodeSelector: {product: X1}}, resources: [{name: acme.com/gpu}]}}");
  if (streq(name, "x2"))
    return yaml("{spec: {discovery: {nodeSelector: {product: X2}}}}");
  if (streq(name, "any"))
    return yaml("{spec: {resources: [{name: acme.com/gpu}]}}");
  return NULL;
}

static const struct scout_classes classes = {.find = find_class};

#define NODE "{metadata: {name: n1, labels: {zone: a, gpu: 'true', count: '8'}}}"
#define WITH(rest) "{spec: {storage: {storageUri: 'hf://a/b', " rest "}}}"
#define REQUIRED(terms)                                                                                                \
  WITH("nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [" terms "]}}")
#define TERM(e) REQUIRED("{matchExpressions: [" e "]}")

static const struct {
  const char *model;
  enum scout_verdict verdict;
  const char *why;
} cases[] = {
    {"{spec: {storage: {storageUri: 'hf://a/b'}}}", SCOUT_BRING, ""},
    {"{metadata: {deletionTimestamp: '2026-01-01T00:00:00Z'}, spec: {storage: {storageUri: 'hf://a/b'}}}", SCOUT_DROP,
     "going"},
    {"{spec: {}}", SCOUT_DROP, "storageUri"},
    {"{spec: {disabled: true, storage: {storageUri: 'hf://a/b'}}}", SCOUT_DROP, "disabled"},
    {"{spec: {storage: {storageUri: 'pvc://claims:c/llama', nodeSelector: {zone: a}}}}", SCOUT_DROP, "claim"},
    {WITH("nodeSelector: {}"), SCOUT_BRING, ""},
    {WITH("nodeSelector: {zone: a, gpu: 'true'}"), SCOUT_BRING, ""},
    {WITH("nodeSelector: {zone: a, gpu: 'false'}"), SCOUT_DROP, "gpu=false"},
    {WITH("nodeSelector: {absent: x}"), SCOUT_DROP, "absent=x"},
    {TERM("{key: zone, operator: In, values: [a, b]}"), SCOUT_BRING, ""},
    {TERM("{key: zone, operator: In, values: [b]}"), SCOUT_DROP, "affinity"},
    {TERM("{key: zone, operator: NotIn, values: [b]}"), SCOUT_BRING, ""},
    {TERM("{key: absent, operator: NotIn, values: [b]}"), SCOUT_BRING, ""}, /* as Kubernetes; OME said no */
    {TERM("{key: gpu, operator: Exists}"), SCOUT_BRING, ""},
    {TERM("{key: gpu, operator: DoesNotExist}"), SCOUT_DROP, "affinity"},
    {TERM("{key: count, operator: Gt, values: ['4']}"), SCOUT_BRING, ""},
    {TERM("{key: count, operator: Lt, values: ['4']}"), SCOUT_DROP, "affinity"},
    {TERM("{key: zone, operator: In, values: [a]}, {key: gpu, operator: DoesNotExist}"), SCOUT_DROP, "affinity"},
    {REQUIRED("{matchExpressions: [{key: absent, operator: Exists}]}, {matchExpressions: [{key: gpu, operator: "
              "Exists}]}"),
     SCOUT_BRING, ""},
    {REQUIRED("{}"), SCOUT_DROP, "affinity"}, /* an empty term matches nothing */
    {REQUIRED("{matchFields: [{key: metadata.name, operator: In, values: [n1]}]}"), SCOUT_BRING, ""},
    {REQUIRED("{matchFields: [{key: metadata.name, operator: In, values: [n2]}]}"), SCOUT_DROP, "affinity"},
    {WITH("nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: "
          "{matchExpressions: [{key: absent, operator: Exists}]}}]}"),
     SCOUT_BRING, ""},
    {WITH("nodeSelector: {zone: b}, nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
          "{nodeSelectorTerms: [{matchExpressions: [{key: gpu, operator: Exists}]}]}}"),
     SCOUT_DROP, "zone=b"},
};

static void decides(void **state) {
  _cleanup_json_ struct json_object *node = yaml(NODE);

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *model = yaml(cases[i].model);
    struct scout_decision d;
    scout_decide(model, node, &classes, &d);
    if (d.verdict != cases[i].verdict || !strstr(d.why, cases[i].why))
      fail_msg("%s: verdict %d, \"%s\"", cases[i].model, d.verdict, d.why);
  }
}

/* A node that takes nothing new keeps what it has; one that the model does not want loses it all the same. */
static void asks_the_node(void **state) {
  static const struct {
    const char *node;
    enum scout_verdict verdict;
  } nodes[] = {
      {"{metadata: {labels: {zone: a}}}", SCOUT_BRING},
      {"{metadata: {labels: {zone: a}}, spec: {unschedulable: true}}", SCOUT_HOLD},
      {"{metadata: {labels: {zone: b}}, spec: {unschedulable: true}}", SCOUT_DROP},
      {"{metadata: {labels: {zone: a}}, status: {conditions: [{type: Ready, status: 'True'}]}}", SCOUT_BRING},
      {"{metadata: {labels: {zone: a}}, status: {conditions: [{type: Ready, status: 'False'}]}}", SCOUT_HOLD},
      {"{metadata: {labels: {zone: a}}, status: {conditions: [{type: Ready, status: Unknown}]}}", SCOUT_HOLD},
      {"{metadata: {labels: {zone: a}}, status: {conditions: [{type: DiskPressure, status: 'False'}]}}", SCOUT_BRING},
  };
  _cleanup_json_ struct json_object *model = yaml(WITH("nodeSelector: {zone: a}"));

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(nodes); i++) {
    _cleanup_json_ struct json_object *node = yaml(nodes[i].node);
    struct scout_decision d;
    scout_decide(model, node, &classes, &d);
    if (d.verdict != nodes[i].verdict)
      fail_msg("%s: verdict %d, \"%s\"", nodes[i].node, d.verdict, d.why);
  }
}

#define ONE "{metadata: {labels: {product: X1}}, status: {capacity: {acme.com/gpu: '8'}}}"
#define STARTING "{metadata: {labels: {product: X1}}, status: {capacity: {acme.com/gpu: '0'}}}"
#define PLAIN "{metadata: {labels: {}}}"

/* Labels decide what belongs here; devices, when it is brought. */
static void asks_for_accelerator_classes(void **state) {
  static const struct {
    const char *names, *node;
    enum scout_verdict verdict;
    bool entitled;
    const char *why;
  } rows[] = {
      {"x1", ONE, SCOUT_BRING, true, ""},
      {"x1", STARTING, SCOUT_HOLD, true, "no devices yet of accelerator class x1"},
      {"x1", PLAIN, SCOUT_DROP, false, "of no accelerator class x1"},
      {"x2", ONE, SCOUT_DROP, false, "x2"},
      {"x2, x1", ONE, SCOUT_BRING, true, ""},
      {"x2,x1", STARTING, SCOUT_HOLD, true, "no devices"},
      {"any", ONE, SCOUT_BRING, true, ""},
      {"any", PLAIN, SCOUT_HOLD, true, "no devices"}, /* labels say nothing against it */
      {"gone", ONE, SCOUT_HOLD, false, "there is no AcceleratorClass yet that is called gone"},
      {"gone,x2", ONE, SCOUT_HOLD, false, "gone"},
      {"gone,x1", ONE, SCOUT_BRING, true, ""},
      {"", PLAIN, SCOUT_BRING, true, ""},
      {" , ", PLAIN, SCOUT_BRING, true, ""},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    _cleanup_free_ char *text = str_printf(
        "{metadata: {annotations: {ome.io/accelerator-class: '%s'}}, spec: {storage: {storageUri: 'hf://a/b'}}}",
        rows[i].names);
    _cleanup_json_ struct json_object *model = yaml(text);
    _cleanup_json_ struct json_object *node = yaml(rows[i].node);
    struct scout_decision d;
    scout_decide(model, node, &classes, &d);
    if (d.verdict != rows[i].verdict || !strstr(d.why, rows[i].why))
      fail_msg("%s on %s: verdict %d, \"%s\"", rows[i].names, rows[i].node, d.verdict, d.why);
    if (scout_entitles(model, node, &classes) != rows[i].entitled)
      fail_msg("%s on %s: it should be %s", rows[i].names, rows[i].node, rows[i].entitled ? "entitled" : "refused");
  }
}

#define PREFERRED(terms) WITH("nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [" terms "]}")
#define PREFER(weight, key) "{weight: " weight ", preference: {matchExpressions: [{key: " key ", operator: Exists}]}}"

static void adds_up_preferences(void **state) {
  static const struct {
    const char *model;
    int64_t sum;
  } rows[] = {
      {WITH("nodeSelector: {}"), 0},
      {PREFERRED(PREFER("10", "zone")), 10},
      {PREFERRED(PREFER("10", "zone") ", " PREFER("5", "gpu") ", " PREFER("7", "absent")), 15},
      {PREFERRED("{weight: 9, preference: {}}"), 0}, /* an empty term matches nothing */
      {PREFERRED(PREFER("0", "zone")), 0},
      {PREFERRED(PREFER("1000", "zone")), 0}, /* no weight that the API takes */
  };
  _cleanup_json_ struct json_object *node = yaml(NODE);

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    _cleanup_json_ struct json_object *model = yaml(rows[i].model);
    assert_int_equal(scout_preference(model, node), rows[i].sum);
  }
}

/* Each of these goes before the next. */
static void ranks(void **state) {
  static const char *const order[] = {
      "{spec: {disabled: true, storage: {storageUri: 'hf://a/b'}}}",
      "{spec: {modelParameterSize: 405B, storage: {storageUri: 'hf://a/b', nodeAffinity: "
      "{preferredDuringSchedulingIgnoredDuringExecution: [" PREFER("1", "gpu") "]}}}}",
      "{spec: {modelParameterSize: 500M, storage: {storageUri: 'hf://a/b'}}}",
      "{spec: {modelParameterSize: '7.5B', storage: {storageUri: 'hf://a/b'}}}",
      "{spec: {modelParameterSize: 70B, storage: {storageUri: 'hf://a/b'}}}",
      "{spec: {storage: {storageUri: 'hf://a/b'}}}",
  };
  _cleanup_json_ struct json_object *node = yaml(NODE);
  int64_t before = 0;

  (void)state;
  assert_int_equal(scout_rank(NULL, node, &classes), 0);
  for (size_t i = 0; i < ARRAY_LEN(order); i++) {
    _cleanup_json_ struct json_object *model = yaml(order[i]);
    int64_t rank = scout_rank(model, node, &classes);
    if (i && rank <= before)
      fail_msg("%s: %ld does not come after %ld", order[i], (long)rank, (long)before);
    before = rank;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(decides), cmocka_unit_test(asks_the_node),
                                     cmocka_unit_test(asks_for_accelerator_classes),
                                     cmocka_unit_test(adds_up_preferences), cmocka_unit_test(ranks)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
