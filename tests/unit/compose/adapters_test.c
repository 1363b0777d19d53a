/* Fine-tuned weights: which a service may have, and what its engines are told of them. */
#include "../unit.h"

#include "../documents.h"
#include "base/buf.h"
#include "base/str.h"
#include "compose/adapters.h"
#include "compose/cluster.h"

#include <stdio.h>
#include <stdlib.h>

static const char all_weights[] =
    "weights:\n"
    "- {kind: FineTunedWeight, metadata: {name: sql}, spec: {baseModelRef: {name: m}, hyperParameters: {strategy: lora, r: "
    "20}, storage: {storageUri: 'hf://org/sql/v2/best@main', path: /data/sql, key: hub-token, parameters: {b: '2', a: '1'}}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: law}, spec: {baseModelRef: {name: m}, hyperParameters: {}, storage: "
    "{storageUri: 'pvc://team:adapters/law'}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: here}, spec: {baseModelRef: {name: m}, hyperParameters: {}, storage: "
    "{storageUri: 'local:///data/here', path: /data/here}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: ggml}, spec: {baseModelRef: {name: m}, hyperParameters: {}, storage: "
    "{storageUri: 'pvc://adapters/x/ggml.gguf'}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: web}, spec: {baseModelRef: {name: m}, hyperParameters: {}, storage: "
    "{storageUri: 'https://h/p/web.gguf#sha256=00', path: /data/web}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: whole}, spec: {baseModelRef: {name: m}, hyperParameters: {}, configuration: "
    "{merged_weights: true}, storage: {storageUri: 's3://b/whole', path: /data/whole}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: off}, spec: {baseModelRef: {name: m}, disabled: true, storage: {storageUri: "
    "'hf://o/off'}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: other}, spec: {baseModelRef: {name: q}, storage: {storageUri: "
    "'hf://o/other'}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: new}, spec: {baseModelRef: {name: m}, storage: {storageUri: "
    "'hf://o/new'}}}\n"
    "- {kind: FineTunedWeight, metadata: {name: far}, spec: {baseModelRef: {name: m}, storage: {storageUri: "
    "'pvc://elsewhere:c/far'}}}\n";

static struct {
  struct json_object *weights, *service, *model, *cluster, *found;
  struct ome_err err;
  const char *reason;
} t;

/* Finds the weights NAMES ("[a, b]"); FETCHED: init containers bring them. */
static int32_t find_as(const char *names, bool fetched) {
  char *text =
      str_printf("metadata: {name: s, namespace: team}\nspec: {model: {name: m, fineTunedWeights: %s}}\n", names);

  memset(&t, 0, sizeof(t));
  t.weights = yaml(all_weights);
  t.service = yaml(text);
  t.model = yaml("kind: ClusterBaseModel\nmetadata: {name: m}\n");
  assert_int_equal(cluster_offline(false, NULL, &t.cluster, &t.err), OME_OK);
  if (fetched)
    json_set_str(t.cluster, "config.fineTunedAdapter.image", "tools:1");
  free(text);
  const struct adapters_search search = {
      .all = json_get(t.weights, "weights"), .service = t.service, .model = t.model, .cluster = t.cluster};
  return adapters_find(&search, &t.found, &t.reason, &t.err);
}

static int32_t find(const char *names) {
  return find_as(names, false);
}

static void done(void) {
  json_unref(t.weights);
  json_unref(t.service);
  json_unref(t.model);
  json_unref(t.cluster);
  json_unref(t.found);
}

/* COMPONENT with the weights that were found; NULL: what is wrong is in t.err. */
static struct json_object *apply(const char *component, bool grouped) {
  struct json_object *o = yaml(component);
  struct adapters_request req = {.kind = "engine",
                                 .weights = t.found,
                                 .service = t.service,
                                 .component = o,
                                 .cluster = t.cluster,
                                 .grouped = grouped};

  if (adapters_apply(&req, &t.err) == OME_OK)
    return o;
  json_unref(o);
  return NULL;
}

static struct json_object *at(struct json_object *o, const char *path, size_t i) {
  return json_index(json_at(o, path), i);
}

/* The words of an array, with a space between. */
static const char *joined(struct json_object *list) {
  static char line[1024];

  line[0] = '\0';
  for (size_t i = 0; i < json_len(list); i++)
    (void)snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%s", i ? " " : "",
                   json_object_get_string(json_index(list, i)));
  return line;
}

static void refuses_what_cannot_be(UNUSED void **state) {
  static const struct {
    const char *names, *reason, *says;
  } cases[] = {
      {"[nobody]", "FineTunedWeightsNotFound",
       "spec.model.fineTunedWeights[0]: No FineTunedWeight with the name: nobody"},
      {"[sql, off]", "FineTunedWeightsDisabled", "spec.model.fineTunedWeights[1]: FineTunedWeight off is disabled"},
      {"[other]", "ModelReconcileError", "FineTunedWeight other was trained from q, and the service's model is m"},
      {"[sql, sql]", "ModelReconcileError", "spec.model.fineTunedWeights[1]: sql is named twice"},
      {"[whole, sql]", "ModelReconcileError", "it can only stand alone"},
      {"[new]", "ModelNotReady", "FineTunedWeight new: spec.storage.path: not known yet"},
      {"[far]", "PVCInvalid", "references PVC in namespace elsewhere"},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    assert_int_equal(find(cases[i].names), OME_E_INVALID);
    assert_string_equal(t.reason, cases[i].reason);
    if (!strstr(t.err.msg, cases[i].says))
      fail_msg("%s", t.err.msg);
    done();
  }
  assert_int_equal(find("[]"), OME_OK);
  assert_int_equal(json_len(t.found), 0);
  done();
}

static void tells_each_engine(UNUSED void **state) {
  static const struct {
    const char *names, *component, *list, *words;
  } cases[] = {
      {"[sql, law, here]", "{runner: {command: [python3, -m, sglang.launch_server], args: [--port, '1']}}",
       "runner.args",
       "--port 1 --lora-paths sql=/opt/ml/adapters/sql/v2/best law=/opt/ml/adapters/law here=/opt/ml/adapters/here"},
      {"[sql, law]", "{runner: {image: 'x/vllm/vllm-openai:1'}}", "runner.args",
       "--enable-lora --lora-modules sql=/opt/ml/adapters/sql/v2/best law=/opt/ml/adapters/law --max-loras 2 "
       "--max-lora-rank 32"},
      {"[law]", "{runner: {command: [vllm, serve], args: [--enable-lora, --max-loras, '8']}}", "runner.command",
       "vllm serve"},
      {"[law]", "{runner: {command: [vllm serve], args: [--enable-lora]}}", "runner.args",
       "--enable-lora --lora-modules law=/opt/ml/adapters/law"},
      {"[ggml, web]", "{runner: {command: [llama-server]}}", "runner.args",
       "--lora /opt/ml/adapters/ggml/ggml.gguf --lora /opt/ml/adapters/web/web.gguf"},
      {"[law]", "{runner: {command: [sh, -c, 'exec llama-server -m x']}, containers: []}", NULL,
       "llama.cpp takes an adapter"},
      {"[ggml]", "{runner: {command: [sh, -c, 'exec llama-server -m x']}}", "runner.command",
       "sh -c exec llama-server -m x --lora /opt/ml/adapters/ggml/ggml.gguf"},
      {"[law]", "{runner: {command: [sh, -c, 'vllm serve m; sleep 1']}}", NULL,
       "goes on behind the engine; write --lora-modules"},
      {"[law]", "{runner: {command: [mine]}}", NULL, "name /opt/ml/adapters/law in its arguments"},
      {"[law]", "{runner: {command: [mine], args: [/opt/ml/adapters/law]}}", "runner.args", "/opt/ml/adapters/law"},
      {"[law]", "{runner: {command: [vllm serve], args: [--lora-modules, mine=/x]}}", "runner.args",
       "--lora-modules mine=/x"},
      {"[law]", "{containers: [{name: side}, {name: ome-container, command: [vllm serve]}]}", NULL, NULL},
  };

  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    assert_int_equal(find(cases[i].names), OME_OK);
    struct json_object *o = apply(cases[i].component, false);
    if (cases[i].list) {
      if (!o)
        fail_msg("%s", t.err.msg);
      assert_string_equal(joined(json_at(o, cases[i].list)), cases[i].words);
    } else if (cases[i].words) {
      assert_null(o);
      if (!strstr(t.err.msg, cases[i].words))
        fail_msg("%s", t.err.msg);
    } else {
      assert_string_equal(joined(json_get(at(o, "containers", 1), "args")),
                          "--enable-lora --lora-modules law=/opt/ml/adapters/law");
    }
    json_unref(o);
    done();
  }
}

static void mounts_what_is_there(UNUSED void **state) {
  assert_int_equal(find("[sql, law, ggml]"), OME_OK);
  struct json_object *o = apply("{runner: {command: [mine], args: [/opt/ml/adapters/x]}}", false);

  assert_string_equal(json_str(json_find(json_get(o, "volumes"), "name", "adapter-sql"), "hostPath.path", ""),
                      "/data/sql");
  assert_string_equal(
      json_str(json_find(json_get(o, "volumes"), "name", "adapter-law"), "persistentVolumeClaim.claimName", ""),
      "adapters");
  struct json_object *mounts = json_at(o, "runner.volumeMounts");
  assert_int_equal(json_len(mounts), 3);
  for (size_t i = 0; i < 3; i++)
    assert_true(json_flag(json_index(mounts, i), "readOnly", false));
  assert_string_equal(json_str(json_index(mounts, 1), "subPath", ""), "law");
  /* Of one file, its folder. */
  assert_string_equal(json_str(json_index(mounts, 2), "subPath", ""), "x");
  struct json_object *selector = json_get(o, "nodeSelector");
  assert_int_equal(json_object_object_length(selector), 1);
  assert_string_equal(json_object_get_string(json_get(selector, "models.ome.io/finetunedweight.sql")), "Ready");
  assert_null(json_get(o, "initContainers"));
  json_unref(o);
  done();
}

static void fetches_where_the_site_says_so(UNUSED void **state) {
  assert_int_equal(find_as("[sql, law, new]", true), OME_OK);
  struct json_object *o = apply("{runner: {command: [mine], args: [/opt/ml/adapters/x]}}", false);

  assert_non_null(json_get(json_find(json_get(o, "volumes"), "name", "adapter-sql"), "emptyDir"));
  assert_null(json_get(o, "nodeSelector"));
  struct json_object *fetch = at(o, "initContainers", 0);
  assert_int_equal(json_len(json_get(o, "initContainers")), 2);
  assert_string_equal(json_str(fetch, "image", ""), "tools:1");
  assert_string_equal(json_str(fetch, "name", ""), "fine-tuned-adapter");
  assert_string_equal(
      joined(json_get(fetch, "args")),
      "pull hf://org/sql/v2/best@main /opt/ml/adapters/sql --parameter a=1 --parameter b=2 --credentials "
      "/opt/ml/credentials");
  assert_null(json_get(at(fetch, "volumeMounts", 0), "readOnly"));
  assert_string_equal(json_str(json_find(json_get(o, "volumes"), "name", "adapter-sql-key"), "secret.secretName", ""),
                      "hub-token");
  json_unref(o);
  done();
}

static void goes_to_every_pod_of_a_group(UNUSED void **state) {
  assert_int_equal(find("[law]"), OME_OK);
  struct json_object *o = apply(
      "{leader: {runner: {command: [sglang serve]}}, worker: {size: 1, runner: {command: [sglang serve]}}}", true);

  assert_string_equal(joined(json_at(o, "leader.runner.args")), "--lora-paths law=/opt/ml/adapters/law");
  assert_string_equal(joined(json_at(o, "worker.runner.args")), "--lora-paths law=/opt/ml/adapters/law");
  assert_int_equal(json_len(json_at(o, "worker.volumes")), 1);
  assert_null(json_get(o, "volumes"));
  json_unref(o);
  /* A worker may run something else, as Ray's do. */
  o = apply("{leader: {runner: {command: [vllm serve]}}, worker: {size: 1, runner: {command: [ray, start]}}}", true);
  assert_null(json_at(o, "worker.runner.args"));
  assert_int_equal(json_len(json_at(o, "worker.runner.volumeMounts")), 1);
  json_unref(o);
  done();
}

static void loads_merged_weights_instead(UNUSED void **state) {
  assert_int_equal(find("[whole]"), OME_OK);
  assert_true(adapters_are_merged(t.found));
  struct json_object *o = apply("{runner: {command: [mine]}}", false);

  assert_string_equal(json_str(at(o, "runner.env", 0), "value", ""), "/opt/ml/adapters/whole");
  assert_null(json_at(o, "runner.args"));
  json_unref(o);
  done();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_what_cannot_be),       cmocka_unit_test(tells_each_engine),
      cmocka_unit_test(mounts_what_is_there),         cmocka_unit_test(fetches_where_the_site_says_so),
      cmocka_unit_test(goes_to_every_pod_of_a_group), cmocka_unit_test(loads_merged_weights_instead),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
