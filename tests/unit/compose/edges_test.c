/* What autoscaler and ingress plugins make of services: each edges/KIND/NAME.yaml gives the objects in NAME.golden.
 *
 * With OME_SHARED_DIR, or ../shared beside the sources, the objects are also held against the CRDs in its crds folder.
 * OME_GOLDEN_UPDATE=1 writes the golden files anew. */
#include "../unit.h"

#include "edges.h"

#include "api/schema.h"
#include "base/buf.h"
#include "os/file.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

#define FOLDER OME_SOURCE_DIR "/tests/unit/compose/edges"

/* ---- CRDs -------------------------------------------------------------------------------------------------------- */

#define CRD_MAX 128

static struct {
  char *id; /* "keda.sh/v1alpha1/ScaledObject" */
  struct schema_doc *schema;
} g_crds[CRD_MAX];
static size_t g_ncrds;

static int32_t keep_crd(UNUSED void *arg, struct json_object *crd, UNUSED size_t line, UNUSED struct ome_err *err) {
  struct json_object *versions = json_at(crd, "spec.versions");

  for (size_t i = 0; i < json_len(versions) && g_ncrds < CRD_MAX; i++) {
    struct json_object *v = json_index(versions, i);
    struct ome_err e = ERR_INIT;
    ok(schema_from_openapi(json_at(v, "schema.openAPIV3Schema"), &g_crds[g_ncrds].schema, &e), &e);
    g_crds[g_ncrds++].id = str_printf("%s/%s/%s", json_str(crd, "spec.group", ""), json_str(v, "name", ""),
                                      json_str(crd, "spec.names.kind", ""));
  }
  json_unref(crd);
  return OME_OK;
}

static int read_crds(const char *path, UNUSED const struct stat *st, int type) {
  static const char *const wanted[] = {"/keda/scaledobjects", "/gateway-api/httproutes", "/inference-extension/",
                                       "/istio/"};
  _cleanup_free_ char *text = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;
  bool is_wanted = false;

  for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
    is_wanted |= strstr(path, wanted[i]) != NULL;
  if (type != FTW_F || !is_wanted)
    return 0;
  ok(file_read(path, JSON_MAX_BYTES, &text, &len, &err), &err);
  ok(yaml_parse(path, text, len, keep_crd, NULL, &err), &err);
  return 0;
}

static const struct schema *schema_for(struct json_object *o) {
  const char *version = json_str(o, "apiVersion", "");
  const char *kind = json_str(o, "kind", "");
  const char *slash = strchr(version, '/');
  _cleanup_free_ char *id = str_printf("%s/%s", version, kind);
  _cleanup_free_ char *group = slash ? str_copy(version, (size_t)(slash - version)) : strdup("");

  for (size_t i = 0; i < g_ncrds; i++)
    if (streq(g_crds[i].id, id))
      return schema_root(g_crds[i].schema);
  return schema_builtin(group, slash ? slash + 1 : version, kind);
}

/* Nothing that the API would not know, nothing that it would refuse. */
static void check_against_schema(const char *name, struct json_object *objects) {
  for (size_t i = 0; i < json_len(objects); i++) {
    struct json_object *o = json_copy(json_index(objects, i));
    struct json_object *unknown = json_object_new_array();
    struct field_errors errors = {0};
    const struct schema *s = schema_for(o);
    if (s) {
      schema_prune(s, o, unknown);
      schema_default(s, o);
      schema_validate(s, o, NULL, &errors);
    } else if (g_ncrds && !has_prefix(json_str(o, "apiVersion", ""), "gateway.envoyproxy.io/")) {
      fail_msg("%s: no schema for %s", name, json_str(o, "kind", ""));
    }
    if (json_len(unknown))
      fail_msg("%s: %s: unknown %s", name, json_str(o, "kind", ""), json_object_to_json_string(unknown));
    if (errors.list.len)
      fail_msg("%s: %s: %s: %s", name, json_str(o, "kind", ""), errors.list.items[0].field,
               errors.list.items[0].message);
    field_errors_fini(&errors);
    json_unref(unknown);
    json_unref(o);
  }
}

/* ---- goldens ----------------------------------------------------------------------------------------------------- */

/* A copy with the keys of every map in another order. */
static struct json_object *shuffled(struct json_object *o, unsigned *seed) {
  const char *keys[64];
  size_t n = 0;

  if (json_is(o, json_type_array)) {
    struct json_object *a = json_object_new_array();
    for (size_t i = 0; i < json_len(o); i++)
      (void)json_object_array_add(a, shuffled(json_index(o, i), seed));
    return a;
  }
  if (!json_is(o, json_type_object))
    return json_object_get(o);
  json_object_object_foreach (o, key, value) {
    (void)value;
    assert_true(n < ARRAY_LEN(keys));
    keys[n++] = key;
  }
  struct json_object *out = json_object_new_object();
  while (n > 0) {
    size_t i = (size_t)rand_r(seed) % n;
    (void)json_object_object_add(out, keys[i], shuffled(json_get(o, keys[i]), seed));
    keys[i] = keys[--n];
  }
  return out;
}

/* The objects of autoscalers and ingress of the one service in DOCS as YAML, or its problems; new. */
static char *outcome(const char *name, struct json_object *docs) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  struct edges e;

  edges_plan(&e, docs);
  for (size_t i = 0; i < e.plan->nproblems; i++)
    buf_addf(&b, "# %s %s: %s\n", e.plan->problems[i].condition, e.plan->problems[i].reason,
             e.plan->problems[i].message);
  if (e.plan->nproblems == 0) {
    struct json_object *objects = edges_objects(&e);
    check_against_schema(name, objects);
    for (size_t i = 0; i < json_len(objects); i++) {
      buf_addf(&b, "---\n");
      yaml_write(&b, json_index(objects, i));
    }
    for (size_t i = 0; i < e.plan->nparts; i++) {
      struct json_object *doc = e.plan->parts[i].doc;
      const char *warning = json_str(doc, "scaling.warning", "");
      buf_addf(&b, "# %s: autoscaler %s, of %s%s%s\n", e.plan->parts[i].kind, json_str(doc, "autoscaler", ""),
               json_str(doc, "scaling.source", ""), *warning ? ": " : "", warning);
    }
    json_unref(objects);
  }
  edges_fini(&e);
  return buf_take(&b);
}

static void check_case(const char *path) {
  _cleanup_free_ char *golden = str_printf("%.*s.golden", (int)(strlen(path) - strlen(".yaml")), path);
  _cleanup_free_ char *want = NULL;
  struct ome_err err = ERR_INIT;
  struct json_object *docs = edges_documents(path);
  _cleanup_free_ char *got = outcome(path, docs);
  unsigned seed = 3;
  size_t len = 0;

  if (getenv("OME_GOLDEN_UPDATE"))
    ok(file_write(golden, got, strlen(got), 0644, &err), &err);
  ok(file_read(golden, JSON_MAX_BYTES, &want, &len, &err), &err);
  if (!streq(got, want))
    fail_msg("%s gives\n%s\ninstead of\n%s", path, got, want);
  for (int i = 0; i < 1; i++) {
    struct json_object *other = shuffled(docs, &seed);
    _cleanup_free_ char *again = outcome(path, other);
    if (!streq(again, want))
      fail_msg("%s: with maps in another order\n%s\ninstead of\n%s", path, again, want);
    json_unref(other);
  }
  json_unref(docs);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

/* Every object of the one service in DOCS, as `ome render` writes it; new. */
static char *rendered(struct json_object *docs) {
  struct edges e;

  edges_plan(&e, docs);
  if (e.plan->nproblems)
    fail_msg("%s", e.plan->problems[0].message);
  char *text = json_text(e.plan->objects);
  edges_fini(&e);
  return text;
}

/* A whole sample: no byte of its objects changes when maps of the input are in another order. */
static void check_order(const char *path) {
  struct json_object *docs = json_object_new_array();
  unsigned seed = 5;

  edges_read(path, docs);
  _cleanup_free_ char *want = rendered(docs);
  for (int i = 0; i < 3; i++) {
    struct json_object *other = shuffled(docs, &seed);
    _cleanup_free_ char *got = rendered(other);
    if (!streq(got, want))
      fail_msg("%s: with maps in another order\n%s\ninstead of\n%s", path, got, want);
    json_unref(other);
  }
  json_unref(docs);
}

static void check_folder(const char *folder, int least, void (*check)(const char *path)) {
  struct dirent **list = NULL;
  int cases = 0;
  int n = scandir(folder, &list, NULL, by_name);

  for (int i = 0; i < n; i++) {
    if (has_suffix(list[i]->d_name, ".yaml")) {
      _cleanup_free_ char *path = path_join(folder, list[i]->d_name);
      check(path);
      cases++;
    }
    free(list[i]);
  }
  free(list);
  assert_true(cases >= least);
}

static void renders_autoscalers(UNUSED void **state) {
  check_folder(FOLDER "/autoscaler", 20, check_case);
}

static void renders_ingress(UNUSED void **state) {
  check_folder(FOLDER "/ingress", EDGES_INGRESS_CASES, check_case);
}

static void keeps_to_no_order_of_maps(UNUSED void **state) {
  check_folder(OME_SOURCE_DIR "/manifests/samples", 10, check_order);
}

int main(void) {
  const char *shared = getenv("OME_SHARED_DIR");
  _cleanup_free_ char *crds = str_printf("%s/crds", shared && *shared ? shared : OME_SOURCE_DIR "/../shared");
  const struct CMUnitTest tests[] = {cmocka_unit_test(renders_autoscalers), cmocka_unit_test(renders_ingress),
                                     cmocka_unit_test(keeps_to_no_order_of_maps)};

  if (access(crds, R_OK) != 0)
    fprintf(stderr, "not checked against CRDs: no %s (set OME_SHARED_DIR)\n", crds);
  else
    assert_int_equal(ftw(crds, read_crds, 16), 0);
  int failed = cmocka_run_group_tests(tests, edges_load, edges_unload);
  for (size_t i = 0; i < g_ncrds; i++) {
    schema_doc_free(g_crds[i].schema);
    free(g_crds[i].id);
  }
  return failed;
}
