#include "../unit.h"

#include "apiserver/patch.h"
#include "documents.h"
#include "schemas.h"

/* ---- one object and what is done to it ------------------------------------------------------------------------ */

static struct json_object *live;
static int64_t now_s;
static struct json_object *conflicts;
static struct ome_err err;
static const char *const no_status[] = {"status", NULL};
static const char *const only_status[] = {"spec", "metadata", NULL};

static int start(void **state) {
  live = conflicts = NULL;
  now_s = 1000000000;
  return schemas_setup(state);
}

static int finish(void **state) {
  json_unref(live);
  json_unref(conflicts);
  return schemas_teardown(state);
}

static const struct schema *schema_of(struct json_object *o) {
  return streq(json_str(o, "kind", ""), "Workload") ? &workload_schema : &thing_schema;
}

static struct manager_info as(const char *manager, const char *subresource) {
  return (struct manager_info){.manager = manager,
                               .api_version = "v1",
                               .subresource = subresource,
                               .now_s = now_s++,
                               .reset_fields = streq(subresource, "status") ? only_status : no_status};
}

/* BODY is what follows apiVersion, kind and name. */
static struct json_object *document(const char *kind, const char *body) {
  _cleanup_free_ char *text = str_printf("{'apiVersion':'v1','kind':'%s'%s%s}", kind, *body ? "," : "", body);
  struct json_object *o = J(text);

  assert_non_null(o);
  assert_true(json_set_str(o, "metadata.name", "x"));
  return o;
}

static int32_t do_apply(const char *manager, const char *kind, const char *body, bool force, const char *subresource) {
  _cleanup_json_ struct json_object *applied = document(kind, body);
  struct manager_info who = as(manager, subresource);
  struct json_object *out;

  json_unref(conflicts);
  conflicts = NULL;
  err_clear(&err);
  int32_t rc = apply_merge(live, applied, schema_of(applied), &who, force, &out, &conflicts, &err);
  if (rc == OME_OK) {
    assert_null(conflicts);
    json_unref(live);
    live = out;
  }
  return rc;
}

static void apply(const char *manager, const char *body) {
  int32_t rc = do_apply(manager, "Thing", body, false, "");

  if (rc != OME_OK)
    fail_msg("apply %s: %s: %s", manager, body, err.msg);
}

static void apply_force(const char *manager, const char *body) {
  assert_int_equal(do_apply(manager, "Thing", body, true, ""), OME_OK);
}

static void apply_work(const char *manager, const char *body) {
  int32_t rc = do_apply(manager, "Workload", body, false, "");

  if (rc != OME_OK)
    fail_msg("apply %s: %s: %s", manager, body, err.msg);
}

/* Merge-patches the object, as an update by MANAGER. */
static void update(const char *manager, const char *kind, const char *patch_body, const char *subresource) {
  struct json_object *changed = live ? json_copy(live) : document(kind, "");
  _cleanup_json_ struct json_object *patch = J(patch_body);
  struct manager_info who = as(manager, subresource);

  changed = json_merge_patch(changed, patch);
  assert_int_equal(apply_track_update(live, changed, schema_of(changed), &who, &err), OME_OK);
  json_unref(live);
  live = changed;
}

static void assert_at(const char *path, const char *expected) {
  assert_json(json_at(live, path), expected, path);
}

/* What MANAGER owns by OPERATION; EXPECTED NULL: it has no entry. */
static void assert_owns(const char *manager, const char *operation, const char *expected) {
  struct json_object *entries = json_at(live, "metadata.managedFields");

  for (size_t i = 0; i < json_len(entries); i++) {
    struct json_object *m = json_index(entries, i);
    if (streq(json_str(m, "manager", ""), manager) && streq(json_str(m, "operation", ""), operation)) {
      if (!expected)
        fail_msg("%s still has an entry", manager);
      assert_json(json_get(m, "fieldsV1"), expected, manager);
      return;
    }
  }
  if (expected)
    fail_msg("%s has no %s entry", manager, operation);
}

static void assert_conflict(const char *manager, const char *body, const char *message) {
  assert_int_equal(do_apply(manager, "Thing", body, false, ""), OME_E_CONFLICT);
  _cleanup_free_ char *text = apply_conflict_message(conflicts);
  assert_string_equal(text, message);
}

/* ---- ownership ------------------------------------------------------------------------------------------------ */

static void test_create(void **state) {
  (void)state;
  apply("one", "'metadata':{'labels':{'x':'y'}},'data':{'a':'1','b':'2'}");
  assert_at("data", "{'a':'1','b':'2'}");
  assert_at("metadata.managedFields",
            "[{'manager':'one','operation':'Apply','apiVersion':'v1','time':'2001-09-09T01:46:40Z','fieldsType':"
            "'FieldsV1','fieldsV1':{'f:data':{'f:a':{},'f:b':{}},'f:metadata':{'f:labels':{'f:x':{}}}}}]");
}

static void test_again(void **state) {
  _cleanup_json_ struct json_object *before = NULL;

  (void)state;
  apply("one", "'data':{'a':'1'}");
  before = json_copy(live);
  apply("one", "'data':{'a':'1'}");
  assert_true(json_equal(before, live));
}

static void test_remove(void **state) {
  (void)state;
  apply("one", "'metadata':{'labels':{'x':'1'}},'data':{'a':'1','b':'2'}");
  apply("one", "'data':{'a':'1'}");
  assert_at("data", "{'a':'1'}");
  assert_null(json_at(live, "metadata.labels"));
  assert_owns("one", "Apply", "{'f:data':{'f:a':{}}}");
}

static void test_conflicts(void **state) {
  (void)state;
  apply("one", "'data':{'a':'1','b':'1','c':'1'}");
  assert_conflict("two", "'data':{'a':'2'}", "Apply failed with 1 conflict: conflict with \"one\": .data.a");
  assert_json(conflicts, "[{'manager':'\\\"one\\\"','field':'.data.a','message':'conflict with \\\"one\\\"'}]",
              "causes");
  assert_conflict("two", "'data':{'a':'2','b':'2'}",
                  "Apply failed with 2 conflicts: conflicts with \"one\":\n- .data.a\n- .data.b");
  update("editor", "Thing", "{'data':{'c':'2'}}", "");
  assert_conflict("two", "'data':{'a':'2','c':'3'}",
                  "Apply failed with 2 conflicts: conflicts with \"editor\" using v1:\n- .data.c\nconflicts with "
                  "\"one\":\n- .data.a");
  assert_at("data", "{'a':'1','b':'1','c':'2'}");
}

static void test_share(void **state) {
  (void)state;
  apply("one", "'data':{'a':'1'}");
  apply("two", "'data':{'a':'1','b':'2'}");
  assert_owns("one", "Apply", "{'f:data':{'f:a':{}}}");
  assert_owns("two", "Apply", "{'f:data':{'f:a':{},'f:b':{}}}");
  apply("one", "'metadata':{'labels':{'x':'y'}}");
  assert_at("data", "{'a':'1','b':'2'}");
  apply("two", "'data':{'b':'2'}");
  assert_at("data", "{'b':'2'}");
  assert_owns("one", "Apply", "{'f:metadata':{'f:labels':{'f:x':{}}}}");
}

static void test_force(void **state) {
  (void)state;
  apply("one", "'data':{'a':'1'}");
  apply_force("two", "'data':{'a':'2'}");
  assert_at("data", "{'a':'2'}");
  assert_owns("one", "Apply", NULL);
  assert_conflict("one", "'data':{'a':'1'}", "Apply failed with 1 conflict: conflict with \"two\": .data.a");
}

static void test_updates(void **state) {
  (void)state;
  update("editor", "Thing", "{'data':{'a':'1','b':'1'}}", "");
  assert_owns("editor", "Update", "{'f:data':{'.':{},'f:a':{},'f:b':{}}}");
  assert_conflict("one", "'data':{'a':'2'}",
                  "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.a");
  apply_force("one", "'data':{'a':'2'}");
  assert_owns("editor", "Update", "{'f:data':{'.':{},'f:b':{}}}");
  update("editor", "Thing", "{'data':{'a':'9'}}", "");
  assert_owns("one", "Apply", NULL);
  assert_owns("editor", "Update", "{'f:data':{'.':{},'f:a':{},'f:b':{}}}");
  update("editor", "Thing", "{'data':{'a':null}}", "");
  assert_owns("editor", "Update", "{'f:data':{'.':{},'f:b':{}}}");
  apply("one", "'data':{'a':'1'}");
  assert_at("data", "{'a':'1','b':'1'}");
}

static void test_same_name(void **state) {
  (void)state;
  apply("one", "'data':{'a':'1'}");
  update("one", "Thing", "{'data':{'b':'2'}}", "");
  assert_owns("one", "Apply", "{'f:data':{'f:a':{}}}");
  assert_owns("one", "Update", "{'f:data':{'f:b':{}}}");
}

static void test_untouched_update(void **state) {
  _cleanup_json_ struct json_object *before = NULL;

  (void)state;
  update("one", "Thing", "{'data':{'a':'1'}}", "");
  before = json_copy(live);
  update("two", "Thing", "{'data':{'a':'1'}}", "");
  assert_true(json_equal(before, live));
}

static void test_nothing_left(void **state) {
  (void)state;
  apply("one", "'metadata':{'finalizers':['x/a']}");
  apply("two", "'metadata':{'finalizers':['x/b']}");
  assert_at("metadata.finalizers", "['x/a','x/b']");
  assert_owns("two", "Apply", "{'f:metadata':{'f:finalizers':{'v:\\\"x/b\\\"':{}}}}");
  apply("one", "");
  assert_at("metadata.finalizers", "['x/b']");
  assert_owns("one", "Apply", NULL);
  apply("two", "");
  assert_null(json_at(live, "metadata.finalizers"));
  assert_null(json_at(live, "metadata.managedFields"));
}

/* ---- lists and maps ------------------------------------------------------------------------------------------- */

static void test_list_map(void **state) {
  (void)state;
  apply("one", "'ports':[{'containerPort':80,'protocol':'TCP','name':'a'}]");
  apply("two", "'ports':[{'containerPort':81,'protocol':'TCP','name':'b'}]");
  assert_owns("two", "Apply",
              "{'f:ports':{'k:{\\\"containerPort\\\":81,\\\"protocol\\\":\\\"TCP\\\"}':{'.':{},'f:containerPort':{},"
              "'f:name':{},'f:protocol':{}}}}");
  assert_conflict("two", "'ports':[{'containerPort':80,'protocol':'TCP','name':'x'}]",
                  "Apply failed with 1 conflict: conflict with \"one\": "
                  ".ports[containerPort=80,protocol=\"TCP\"].name");
  apply("two", "");
  assert_at("ports", "[{'containerPort':80,'protocol':'TCP','name':'a'}]");
}

static void test_list_map_default_key(void **state) {
  (void)state;
  apply("one", "'ports':[{'containerPort':53,'name':'a'}]");
  apply("two", "'ports':[{'containerPort':53,'protocol':'UDP','name':'u'}]");
  apply("three", "'ports':[{'containerPort':53,'protocol':'TCP','name':'a'}]");
  assert_int_equal(json_len(json_at(live, "ports")), 2);
  apply("two", "");
  assert_int_equal(json_len(json_at(live, "ports")), 1);
}

static void assert_refused(const char *kind, const char *body, const char *message) {
  assert_int_equal(do_apply("one", kind, body, false, ""), OME_E_CORRUPT);
  assert_string_equal(err.msg, message);
}

static void test_refused(void **state) {
  (void)state;
  assert_refused("Thing", "'ports':[{'containerPort':80},{'containerPort':80,'protocol':'TCP'}]",
                 "failed to create typed patch object (/x; /v1, Kind=Thing): .ports: duplicate entries for key "
                 "[containerPort=80,protocol=\"TCP\"]");
  assert_refused("Thing", "'tags':['a','a']",
                 "failed to create typed patch object (/x; /v1, Kind=Thing): .tags: duplicate entries for key "
                 "[=\"a\"]");
  assert_refused("Thing", "'ports':[{'name':'a'}]",
                 "failed to create typed patch object (/x; /v1, Kind=Thing): .ports: element 0: associative list with "
                 "keys has an element that omits key field \"containerPort\" (and doesn't have default value)");
  assert_refused("Thing", "'nope':1",
                 "failed to create typed patch object (/x; /v1, Kind=Thing): .nope: field not "
                 "declared in schema");
  assert_refused("Thing", "'data':{'a':1}",
                 "failed to create typed patch object (/x; /v1, Kind=Thing): .data.a: expected string, got "
                 "&value.valueUnstructured{Value:1}");
  assert_refused("Workload", "'spec':{'replicas':'2','nope':1}",
                 "failed to create typed patch object (/x; /v1, Kind=Workload): errors:   .spec.replicas: expected "
                 "numeric (int or float), got &value.valueUnstructured{Value:\"2\"}   .spec.nope: field not declared "
                 "in schema");
  assert_int_equal(do_apply("one", "Thing", "'metadata':{'managedFields':[{}]}", false, ""), OME_E_INVALID);
  assert_string_equal(err.msg, "metadata.managedFields must be nil");
}

static void test_set(void **state) {
  (void)state;
  apply("one", "'tags':['a','b']");
  apply("two", "'tags':['b','c']");
  assert_at("tags", "['a','b','c']");
  assert_owns("two", "Apply", "{'f:tags':{'v:\\\"b\\\"':{},'v:\\\"c\\\"':{}}}");
  apply("one", "'tags':['a']");
  assert_at("tags", "['a','b','c']");
  apply("two", "");
  assert_at("tags", "['a']");
}

static void test_atomic(void **state) {
  (void)state;
  apply("one", "'args':['a'],'whole':{'matchLabels':{'a':'1'}}");
  assert_owns("one", "Apply", "{'f:args':{},'f:whole':{}}");
  assert_conflict("two", "'args':['b'],'whole':{'matchLabels':{'a':'1','b':'2'}}",
                  "Apply failed with 2 conflicts: conflicts with \"one\":\n- .args\n- .whole");
  apply_force("two", "'args':['b']");
  assert_at("args", "['b']");
  assert_at("whole", "{'matchLabels':{'a':'1'}}");
}

static void test_nested(void **state) {
  (void)state;
  apply("one", "'pair':{'name':'a'},'data':{'one':'1'}");
  apply("two", "'pair':{'value':'b'},'data':{'two':'2'}");
  assert_at("pair", "{'name':'a','value':'b'}");
  apply("two", "'data':{'two':'2'}");
  assert_at("pair", "{'name':'a'}");
  apply("one", "'data':{'one':'1'}");
  assert_null(json_at(live, "pair"));
}

static void test_untyped(void **state) {
  (void)state;
  apply("one", "'loose':{'a':{'b':1,'list':[1,2]}}");
  assert_owns("one", "Apply", "{'f:loose':{'f:a':{'.':{},'f:b':{},'f:list':{}}}}");
  apply("two", "'loose':{'a':{'c':2}}");
  assert_at("loose", "{'a':{'b':1,'list':[1,2],'c':2}}");
  apply("one", "'loose':{'a':{'b':1}}");
  assert_at("loose", "{'a':{'b':1,'c':2}}");
}

#define WITH_CONTAINERS(list) "'spec':{'template':{'spec':{'containers':[" list "]}}}"

static void test_containers(void **state) {
  (void)state;
  apply_work("one", WITH_CONTAINERS("{'name':'a','image':'1','env':[{'name':'A','value':'1'}]}"));
  apply_work("two", WITH_CONTAINERS("{'name':'b','image':'2'},{'name':'a','env':[{'name':'B','value':'2'}]}"));
  assert_at("spec.template.spec.containers",
            "[{'name':'a','image':'1','env':[{'name':'A','value':'1'},{'name':'B','value':'2'}]},{'name':'b','image':"
            "'2'}]");
  apply_work("two", WITH_CONTAINERS("{'name':'a'}"));
  assert_at("spec.template.spec.containers", "[{'name':'a','image':'1','env':[{'name':'A','value':'1'}]}]");
  assert_int_equal(
      do_apply("two", "Workload", WITH_CONTAINERS("{'name':'a','env':[{'name':'A','value':'7'}]}"), false, ""),
      OME_E_CONFLICT);
  assert_string_equal(json_str(json_index(conflicts, 0), "field", ""),
                      ".spec.template.spec.containers[name=\"a\"].env[name=\"A\"].value");
  apply_work("one", "'spec':{'replicas':1}");
  assert_at("spec.template.spec.containers", "[{'name':'a'}]");
}

/* What the server put there, and nobody owns, stays when the list item around it does; goes when that goes. */
static void test_defaults(void **state) {
  (void)state;
  apply_work("one", WITH_CONTAINERS("{'name':'a','ports':[{'containerPort':80}]}"));
  _cleanup_json_ struct json_object *defaults = J("{'spec':{'replicas':1}}");
  live = json_merge_patch(live, defaults);
  apply_work("one", WITH_CONTAINERS("{'name':'a'}"));
  assert_at("spec", "{'replicas':1,'template':{'spec':{'containers':[{'name':'a'}]}}}");
}

static void test_handover(void **state) {
  (void)state;
  apply_work("one", "'spec':{'replicas':2,'strategy':{'type':'Recreate'}}");
  update("scaler", "Workload", "{'spec':{'replicas':5}}", "scale");
  assert_int_equal(do_apply("one", "Workload", "'spec':{'replicas':2}", false, ""), OME_E_CONFLICT);
  assert_string_equal(json_str(json_index(conflicts, 0), "message", ""),
                      "conflict with \"scaler\" with subresource \"scale\" using v1");
  apply_work("one", "'spec':{'strategy':{'type':'Recreate'}}");
  assert_at("spec.replicas", "5");
}

/* ---- subresources --------------------------------------------------------------------------------------------- */

static void test_status(void **state) {
  (void)state;
  apply_work("one", "'spec':{'replicas':1},'status':{'phase':'ignored'}");
  assert_owns("one", "Apply", "{'f:spec':{'f:replicas':{}}}");
  json_del(live, "status"); /* as the server does */
  assert_int_equal(do_apply("ctl", "Workload",
                            "'spec':{'replicas':2},'status':{'phase':'Ready','conditions':[{'type':'A','status':"
                            "'True'}]}",
                            true, "status"),
                   OME_OK);
  assert_owns("ctl", "Apply",
              "{'f:status':{'f:conditions':{'k:{\\\"type\\\":\\\"A\\\"}':{'.':{},'f:status':{},'f:type':{}}},"
              "'f:phase':{}}}");
  assert_owns("one", "Apply", "{'f:spec':{'f:replicas':{}}}");
  assert_string_equal(json_str(json_index(json_at(live, "metadata.managedFields"), 1), "subresource", ""), "status");
}

/* ---- the list itself ------------------------------------------------------------------------------------------ */

static void test_reset(void **state) {
  (void)state;
  update("one", "Thing", "{'data':{'a':'1'}}", "");
  update("two", "Thing", "{'metadata':{'managedFields':[{}]},'data':{'a':'2'}}", "");
  assert_null(json_at(live, "metadata.managedFields"));
  update("two", "Thing", "{'data':{'a':'3'}}", "");
  assert_null(json_at(live, "metadata.managedFields"));
  assert_conflict("one", "'data':{'a':'1'}",
                  "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
  apply("one", "'data':{'b':'1'}");
  assert_owns("before-first-apply", "Update", "{'f:data':{'.':{},'f:a':{}}}");
  update("one", "Thing", "{'metadata':{'managedFields':[]}}", "");
  assert_null(json_at(live, "metadata.managedFields"));
}

static void test_list_left_out(void **state) {
  (void)state;
  apply("one", "'data':{'a':'1'}");
  update("two", "Thing", "{'metadata':{'managedFields':null},'data':{'b':'1'}}", "");
  assert_owns("one", "Apply", "{'f:data':{'f:a':{}}}");
  update("two", "Thing", "{'metadata':{'managedFields':[{'manager':'x','operation':'Nope'}]}}", "");
  assert_owns("one", "Apply", "{'f:data':{'f:a':{}}}");
  update("two", "Thing", "{'metadata':{'managedFields':[{}]}}", "status");
  assert_owns("one", "Apply", "{'f:data':{'f:a':{}}}");
}

static void test_migrate(void **state) {
  (void)state;
  update("kubectl-client-side-apply", "Thing", "{'data':{'a':'1','b':'2'}}", "");
  struct json_object *entry = json_index(json_at(live, "metadata.managedFields"), 0);
  _cleanup_json_ struct json_object *renamed = json_copy(entry);
  assert_true(json_set_str(renamed, "operation", "Apply") && json_set_str(renamed, "manager", "kubectl"));
  _cleanup_free_ char *text = json_text(renamed);
  _cleanup_free_ char *patch = str_printf("{\"metadata\":{\"managedFields\":[%s]}}", text);
  update("someone", "Thing", patch, "");
  assert_owns("kubectl", "Apply", "{'f:data':{'.':{},'f:a':{},'f:b':{}}}");
  apply("kubectl", "'data':{'a':'1'}");
  assert_at("data", "{'a':'1'}");
}

/* kubectl's own client-side apply is no conflict, and its annotation keeps up. */
static void test_last_applied(void **state) {
  (void)state;
  update("kubectl-client-side-apply", "Thing",
         "{'metadata':{'annotations':{'kubectl.kubernetes.io/last-applied-configuration':"
         "'{\\\"apiVersion\\\":\\\"v1\\\",\\\"kind\\\":\\\"Thing\\\",\\\"metadata\\\":{\\\"name\\\":\\\"x\\\"},"
         "\\\"data\\\":{\\\"a\\\":\\\"1\\\"}}'}},'data':{'a':'1','b':'1'}}",
         "");
  assert_int_equal(do_apply("other", "Thing", "'data':{'a':'2'}", false, ""), OME_E_CONFLICT);
  assert_int_equal(do_apply("kubectl", "Thing", "'data':{'a':'2','b':'2'}", false, ""), OME_E_CONFLICT);
  assert_int_equal(json_len(conflicts), 1);
  apply("kubectl", "'data':{'a':'2'}");
  assert_at("data", "{'a':'2','b':'1'}");
  assert_string_equal(json_object_get_string(json_get(json_at(live, "metadata.annotations"),
                                                      "kubectl.kubernetes.io/last-applied-configuration")),
                      "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"2\"},\"kind\":\"Thing\",\"metadata\":{\"name\":"
                      "\"x\"}}\n");
}

static void test_order_and_cap(void **state) {
  (void)state;
  for (int i = 0; i < 15; i++) {
    _cleanup_free_ char *patch = str_printf("{'data':{'k%d':'1'}}", i), *name = str_printf("m%02d", i);
    update(name, "Thing", patch, "");
  }
  apply("zz", "'data':{'z':'1'}");
  struct json_object *entries = json_at(live, "metadata.managedFields");
  assert_int_equal(json_len(entries), 11);
  assert_string_equal(json_str(json_index(entries, 0), "manager", ""), "zz");
  assert_string_equal(json_str(json_index(entries, 1), "manager", ""), "ancient-changes");
  assert_string_equal(json_str(json_index(entries, 10), "manager", ""), "m14");
  assert_owns("ancient-changes", "Update",
              "{'f:data':{'.':{},'f:k0':{},'f:k1':{},'f:k2':{},'f:k3':{},'f:k4':{},'f:k5':{}}}");
}

static void test_keep_times(void **state) {
  _cleanup_json_ struct json_object *later = NULL, *other = NULL;

  (void)state;
  update("one", "Thing", "{'data':{'a':'1'}}", "");
  later = json_copy(live);
  (void)json_set_str(json_index(json_at(later, "metadata.managedFields"), 0), "time", "2020-01-01T00:00:00Z");
  other = json_copy(later);
  (void)json_set_str(other, "data.a", "2");
  assert_false(apply_keep_times(live, other));
  assert_true(apply_keep_times(live, later));
  assert_true(json_equal(live, later));
}

/* What an older schema kept apart and this one holds for one value is owned whole. */
static void test_became_atomic(void **state) {
  (void)state;
  apply("one", "'args':['a']");
  struct json_object *entry = json_index(json_at(live, "metadata.managedFields"), 0);
  (void)json_object_object_add(entry, "fieldsV1", J("{'f:args':{'v:\\\"a\\\"':{}}}"));
  assert_conflict("two", "'args':['b']", "Apply failed with 1 conflict: conflict with \"one\": .args");
}

/* ---- whatever the documents ----------------------------------------------------------------------------------- */

static uint32_t seed = 7;
static uint32_t pick(uint32_t n) {
  seed = seed * 1664525u + 1013904223u;
  return (seed >> 8) % n;
}

static void add_random_members(struct buf *b) {
  const char *sep = "";

  if (pick(2))
    buf_addf(b, "'data':{'a%u':'%u','b%u':'%u'}", pick(3), pick(3), pick(3), pick(3)), sep = ",";
  if (pick(2))
    buf_addf(b, "%s'tags':['t%u','u%u']", sep, pick(3), pick(3)), sep = ",";
  if (pick(2))
    buf_addf(b, "%s'ports':[{'containerPort':%u,'name':'n%u'},{'containerPort':%u,'protocol':'UDP'}]", sep, pick(3),
             pick(3), pick(3)),
        sep = ",";
  if (pick(2))
    buf_addf(b, "%s'loose':{'x':{'y%u':%u,'l':[%u]},'z':{}}", sep, pick(2), pick(3), pick(3)), sep = ",";
  if (pick(2))
    buf_addf(b, "%s'args':['%u'],'pair':{'name':'%u'}", sep, pick(3), pick(3));
}

/* Every member that was applied is in the object; applying again changes nothing at all. */
static void test_random(void **state) {
  static const char *const names[] = {"one", "two", "three"};

  (void)state;
  for (int i = 0; i < 400; i++) {
    _cleanup_buf_ struct buf body = BUF_INIT;
    const char *name = names[pick(3)];
    add_random_members(&body);
    if (strstr(buf_str(&body), "['t0','t0']"))
      continue;
    if (pick(4) == 0) {
      _cleanup_free_ char *patch = str_printf("{%s}", buf_str(&body));
      update(name, "Thing", patch, "");
      continue;
    }
    apply_force(name, buf_str(&body));
    _cleanup_json_ struct json_object *before = json_copy(live), *applied = document("Thing", buf_str(&body));
    apply_force(name, buf_str(&body));
    if (!json_equal(before, live))
      fail_msg("applied twice, %s is not the same: %s\n%s\n%s", name, buf_str(&body),
               json_object_to_json_string(before), json_object_to_json_string(live));
    if (json_get(applied, "data")) {
      json_object_object_foreach (json_get(applied, "data"), key, v) {
        assert_true(json_equal(json_get(json_get(live, "data"), key), v));
      }
    }
    assert_true(json_equal(json_get(applied, "args"), json_get(live, "args")) || !json_get(applied, "args"));
  }
}

#define T(f) cmocka_unit_test_setup_teardown(f, start, finish)

int main(void) {
  const struct CMUnitTest tests[] = {
      T(test_create),        T(test_again),         T(test_remove),
      T(test_conflicts),     T(test_share),         T(test_force),
      T(test_updates),       T(test_same_name),     T(test_untouched_update),
      T(test_nothing_left),  T(test_list_map),      T(test_list_map_default_key),
      T(test_refused),       T(test_set),           T(test_atomic),
      T(test_nested),        T(test_untyped),       T(test_containers),
      T(test_defaults),      T(test_handover),      T(test_status),
      T(test_reset),         T(test_list_left_out), T(test_migrate),
      T(test_last_applied),  T(test_order_and_cap), T(test_keep_times),
      T(test_became_atomic), T(test_random),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
