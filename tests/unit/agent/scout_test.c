/* Which models belong on a node. */
#include "../unit.h"

#include "agent/scout.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "base/yaml.h"

static struct json_object *yaml(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (yaml_parse_one("test", text, strlen(text), &o, &err) != OME_OK)
    fail_msg("%s: %s", text, err.msg);
  return o;
}

#define NODE "{metadata: {name: n1, labels: {zone: a, gpu: 'true', count: '8'}}}"
#define WITH(rest) "{spec: {storage: {storageUri: 'hf://a/b', " rest "}}}"
#define REQUIRED(terms)                                                                                                \
  WITH("nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [" terms "]}}")
#define TERM(e) REQUIRED("{matchExpressions: [" e "]}")

static const struct {
  const char *model;
  bool wanted;
  const char *why;
} cases[] = {
    {"{spec: {storage: {storageUri: 'hf://a/b'}}}", true, ""},
    {"{spec: {}}", false, "storageUri"},
    {"{spec: {disabled: true, storage: {storageUri: 'hf://a/b'}}}", false, "disabled"},
    {WITH("nodeSelector: {}"), true, ""},
    {WITH("nodeSelector: {zone: a, gpu: 'true'}"), true, ""},
    {WITH("nodeSelector: {zone: a, gpu: 'false'}"), false, "gpu=false"},
    {WITH("nodeSelector: {absent: x}"), false, "absent=x"},
    {TERM("{key: zone, operator: In, values: [a, b]}"), true, ""},
    {TERM("{key: zone, operator: In, values: [b]}"), false, "affinity"},
    {TERM("{key: zone, operator: NotIn, values: [b]}"), true, ""},
    {TERM("{key: absent, operator: NotIn, values: [b]}"), true, ""}, /* as Kubernetes; OME said no */
    {TERM("{key: gpu, operator: Exists}"), true, ""},
    {TERM("{key: gpu, operator: DoesNotExist}"), false, "affinity"},
    {TERM("{key: count, operator: Gt, values: ['4']}"), true, ""},
    {TERM("{key: count, operator: Lt, values: ['4']}"), false, "affinity"},
    {TERM("{key: zone, operator: In, values: [a]}, {key: gpu, operator: DoesNotExist}"), false, "affinity"},
    {REQUIRED("{matchExpressions: [{key: absent, operator: Exists}]}, {matchExpressions: [{key: gpu, operator: "
              "Exists}]}"),
     true, ""},
    {REQUIRED("{}"), false, "affinity"}, /* an empty term matches nothing */
    {REQUIRED("{matchFields: [{key: metadata.name, operator: In, values: [n1]}]}"), true, ""},
    {REQUIRED("{matchFields: [{key: metadata.name, operator: In, values: [n2]}]}"), false, "affinity"},
    {WITH("nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, preference: "
          "{matchExpressions: [{key: absent, operator: Exists}]}}]}"),
     true, ""},
    {WITH("nodeSelector: {zone: b}, nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
          "{nodeSelectorTerms: [{matchExpressions: [{key: gpu, operator: Exists}]}]}}"),
     false, "zone=b"},
};

static void decides(void **state) {
  _cleanup_json_ struct json_object *node = yaml(NODE);

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_json_ struct json_object *model = yaml(cases[i].model);
    struct scout_decision d;
    scout_decide(model, node, &d);
    if (d.wanted != cases[i].wanted || !strstr(d.why, cases[i].why))
      fail_msg("%s: wanted %d, \"%s\"", cases[i].model, d.wanted, d.why);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(decides)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
