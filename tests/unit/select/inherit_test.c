/* What a runtime inherits, and what is said of chains that cannot be followed. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "select/inherit.h"
#include "select/select.h"

#include <stdio.h>

#define RT(kind, meta, parent, spec)                                                                                   \
  "{\"kind\":\"" kind "\",\"metadata\":{" meta ",\"annotations\":{\"ome.io/inherit-from\":\"" parent                   \
  "\"}},\"spec\":{" spec "}}"
#define CLUSTER(name, parent, spec) RT("ClusterServingRuntime", "\"name\":\"" name "\"", parent, spec)
#define LOCAL(name, ns, parent, spec)                                                                                  \
  RT("ServingRuntime", "\"name\":\"" name "\",\"namespace\":\"" ns "\"", parent, spec)

static const char
    runtimes_text[] = "[" CLUSTER("base", "",
                                  "\"disabled\":true,\"engineConfig\":{\"minReplicas\":1,\"runner\":{\"name\":\"ome-container\",\"image\":"
                                  "\"base:1\",\"args\":[\"a\",\"b\"],\"env\":[{\"name\":\"X\",\"value\":\"1\"},{\"name\":\"Y\",\"value\":"
                                  "\"2\"}],\"ports\":[{\"containerPort\":8080,\"name\":\"http\"}],\"volumeMounts\":[{\"mountPath\":\"/a\","
                                  "\"name\":\"a\"}]},\"tolerations\":[{\"key\":\"gpu\"}]},\"supportedModelFormats\":[{\"modelFormat\":"
                                  "{\"name\":\"gguf\"},\"autoSelect\":true}]") "," CLUSTER("middle", "base",
                                                                                           "\"engineConfig\":{\"runner\":{\"image\":\"middle:1\",\"env\":[{\"name\":\"Y\",\"value\":"
                                                                                           "\"3\"},{\"name\":\"Z\",\"value\":\"4\"}]}}") "," CLUSTER("leaf",
                                                                                                                                                     "middle",
                                                                                                                                                     "\"engineConfig\":{\"minReplicas\":2,\"runner\":{\"args\":[\"c\"],\"image\":\"\",\"ports\":"
                                                                                                                                                     "[{\"containerPort\":8080,\"name\":\"web\"},{\"containerPort\":9}]},\"tolerations\":[]}") "," CLUSTER("a",
                                                                                                                                                                                                                                                           "b",
                                                                                                                                                                                                                                                           "") "," CLUSTER("b",
                                                                                                                                                                                                                                                                           "a", "") "," CLUSTER("self", "self", "") "," CLUSTER("orphan", "nobody", "") "," CLUSTER("d5",
                                                                                                                                                                                                                                                                                                                                                                    "d4",
                                                                                                                                                                                                                                                                                                                                                                    "") "," CLUSTER("d4", "d3", "") "," CLUSTER("d3", "d2", "") "," CLUSTER("d2",
                                                                                                                                                                                                                                                                                                                                                                                                                                            "d1", "") "," CLUSTER("d1",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                  "d0",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                  "") "," CLUSTER("d0",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  "",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                  "") "," LOCAL("near",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "x",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "\"engineConfig\":{\"labels\":{\"from\":\"x\"}}") "," CLUSTER("near",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "\"engineConfig\":{\"labels\":{\"from\":\"cluster\"}}") "," LOCAL("child",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "x", "near", "") "," LOCAL("other", "y", "near", "") "," CLUSTER("far", "near", "") "," LOCAL("base",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "x",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "base",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                              "") "]";

static struct json_object *find(struct json_object *runtimes, const char *name, const char *ns) {
  for (size_t i = 0; i < json_len(runtimes); i++) {
    struct json_object *r = json_index(runtimes, i);
    if (streq(json_str(r, "metadata.name", ""), name) && streq(json_str(r, "metadata.namespace", ""), ns))
      return r;
  }
  fail_msg("no %s", name);
  return NULL;
}

static void merges(void **state) {
  struct json_object *runtimes = parse(runtimes_text);
  struct json_object *want = parse(
      "{\"engineConfig\":{\"minReplicas\":2,\"runner\":{\"name\":\"ome-container\",\"image\":\"middle:1\",\"args\":[\"c\"],"
      "\"env\":[{\"name\":\"X\",\"value\":\"1\"},{\"name\":\"Y\",\"value\":\"3\"},{\"name\":\"Z\",\"value\":\"4\"}],"
      "\"ports\":[{\"containerPort\":8080,\"name\":\"web\"},{\"containerPort\":9}],\"volumeMounts\":[{\"mountPath\":\"/a\","
      "\"name\":\"a\"}]},\"tolerations\":[{\"key\":\"gpu\"}]},\"supportedModelFormats\":[{\"modelFormat\":{\"name\":"
      "\"gguf\"},\"autoSelect\":true}]}");
  struct heritage h;
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(inherit(find(runtimes, "leaf", ""), runtimes, &h, &err), OME_OK);
  assert_string_equal(h.reason, "Resolved");
  if (!json_equal(json_get(h.doc, "spec"), want))
    fail_msg("%s", json_object_to_json_string(h.doc));
  assert_string_equal(json_str(h.doc, "metadata.name", ""), "leaf");
  assert_string_equal(json_object_to_json_string(h.chain), "[ \"base\", \"middle\", \"leaf\" ]");
  json_unref(h.doc);
  json_unref(h.chain);
  json_unref(want);
  json_unref(runtimes);
}

static const struct {
  const char *name, *ns;
  const char *reason;
  const char *words; /* of the problem; of a chain that holds, the label "from" */
} chains[] = {
    {"a", "", "InheritanceCycle", "inheritance cycle detected: [a b a]"},
    {"self", "", "InheritanceCycle", "[self self]"},
    {"orphan", "", "ParentNotFound", "inherit-from parent \"nobody\" not found (chain so far: [orphan])"},
    {"d4", "", "Resolved", ""},
    {"d5", "", "MaxDepthExceeded", "inheritance chain exceeds max depth 5: [d5 d4 d3 d2 d1]"},
    {"child", "x", "Resolved", "x"},
    {"other", "y", "Resolved", "cluster"},
    {"far", "", "Resolved", "cluster"},
    {"base", "x", "InheritanceCycle", "[base base]"}, /* a name comes once, whatever the kind */
    {"base", "", "Resolved", ""},
};

static void follows_chains(void **state) {
  struct json_object *runtimes = parse(runtimes_text);

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
    struct heritage h;
    struct ome_err err = ERR_INIT;
    assert_int_equal(inherit(find(runtimes, chains[i].name, chains[i].ns), runtimes, &h, &err), OME_OK);
    const char *said = h.doc ? json_str(h.doc, "spec.engineConfig.labels.from", "") : h.problem;
    if (!streq(h.reason, chains[i].reason) || !strstr(said, chains[i].words) || !h.doc != !!*h.problem)
      fail_msg("%s: %s: %s", chains[i].name, h.reason, said);
    json_unref(h.doc);
    json_unref(h.chain);
  }
  json_unref(runtimes);
}

static int32_t one_point(void *arg, const struct ome_score_req *req, struct ome_term_sink *out, struct ome_err *err) {
  (void)arg, (void)req, (void)err;
  return out->points(out, 1, "one");
}

static const char *chosen(struct json_object *runtimes, struct json_object *model, const char *named, char *reason,
                          size_t cap) {
  char text[128];
  (void)snprintf(text, sizeof(text), "{\"spec\":{\"runtime\":{\"name\":\"%s\"},\"engine\":{}}}", named);
  struct json_object *service = parse(text);
  const struct select_scorer scorer = {.name = "one", .score = one_point};
  struct select_request req = {
      .service = service, .ns = "x", .model = model, .runtimes = runtimes, .scorers = &scorer, .nscorers = 1};
  struct selection *s = NULL;
  struct ome_err err = ERR_INIT;
  static char image[64];

  assert_int_equal(select_runtime(&req, &s, &err), OME_OK);
  (void)snprintf(image, sizeof(image), "%s",
                 s->chosen ? json_str(s->chosen->runtime->doc, "spec.engineConfig.runner.image", "-") : "");
  (void)snprintf(reason, cap, "%s", s->chosen ? s->warning : s->reason);
  selection_free(s);
  json_unref(service);
  return image;
}

/* Named or not, a runtime is what it is with its ancestors; one whose chain breaks serves nobody. */
static void selects_heirs(void **state) {
  struct json_object *runtimes = parse(runtimes_text);
  struct json_object *model = parse("{\"metadata\":{\"name\":\"m\"},\"spec\":{\"modelFormat\":{\"name\":\"gguf\"}}}");
  char reason[2048];

  (void)state;
  assert_string_equal(chosen(runtimes, model, "leaf", reason, sizeof(reason)), "middle:1");
  assert_string_equal(reason, "");
  assert_string_equal(chosen(runtimes, model, "", reason, sizeof(reason)), "middle:1");
  assert_string_equal(chosen(runtimes, model, "orphan", reason, sizeof(reason)), "");
  assert_non_null(strstr(reason, "inherit-from parent \"nobody\" not found"));
  json_unref(model);
  json_unref(runtimes);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(merges), cmocka_unit_test(follows_chains),
                                     cmocka_unit_test(selects_heirs)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
