/* Credentials from controller to agent: who can open what, and until when. */
#include "../unit.h"

#include "agent/handover.h"
#include "base/str.h"
#include "kube/meta.h"

#define NOW ((int64_t)1700000000000)
#define HALF (HANDOVER_LIFE_MS / 2)

static const struct handover of = {"ome", "n1", "clusterbasemodel.m", "uid-m"};

static struct json_object *parse(const char *text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  assert_int_equal(json_parse(text, strlen(text), 0, &o, &err), OME_OK);
  return o;
}

/* A Secret with the token "canary", as a server gives it. */
static struct json_object *a_secret(const char *version) {
  struct json_object *o = parse("{\"metadata\":{\"name\":\"hub\",\"namespace\":\"ome\",\"uid\":\"s\"},"
                                "\"data\":{\"token\":\"Y2FuYXJ5\"},\"type\":\"Opaque\"}");

  assert_true(json_set_str(o, "metadata.resourceVersion", version));
  return o;
}

static struct json_object *a_record(const struct seal_key *key) {
  struct json_object *o = parse("{\"metadata\":{\"name\":\"n1\",\"namespace\":\"ome\",\"uid\":\"r\"}}");

  meta_set_annotation(o, HANDOVER_KEY, seal_key_public(key));
  return o;
}

struct world {
  struct seal_key *key;
  struct json_object *record, *secret, *map;
};

static void begin(struct world *w) {
  struct ome_err err = ERR_INIT;

  assert_int_equal(seal_key_new(&w->key, &err), OME_OK);
  w->record = a_record(w->key);
  w->secret = a_secret("1");
  w->map = handover_write(&of, w->record, w->secret, "", NOW, &err);
  assert_non_null(w->map);
}

static void end(struct world *w) {
  seal_key_free(w->key);
  json_unref(w->record);
  json_unref(w->secret);
  json_unref(w->map);
}

static int32_t open_at(const struct handover *h, const struct world *w, int64_t now_ms) {
  struct ome_err err = ERR_INIT;
  struct json_object *out = NULL;
  int32_t rc = handover_open(h, w->map, w->key, now_ms, &out, &err);

  json_unref(out);
  return rc;
}

static void the_agent_gets_name_and_data(UNUSED void **state) {
  struct world w;
  struct ome_err err = ERR_INIT;
  struct json_object *out = NULL;

  begin(&w);
  _cleanup_free_ char *text = json_text(w.map);
  assert_null(strstr(text, "Y2FuYXJ5")); /* nor anything that a reader of ConfigMaps could use */
  assert_null(strstr(text, "canary"));
  assert_string_equal(json_str(w.map, "metadata.namespace", ""), "ome");
  assert_string_equal(json_str(json_index(json_at(w.map, "metadata.ownerReferences"), 0), "uid", ""), "r");
  assert_int_equal(handover_open(&of, w.map, w.key, NOW, &out, &err), OME_OK);
  assert_string_equal(meta_name(out), "hub");
  assert_string_equal(json_str(out, "data.token", ""), "Y2FuYXJ5");
  assert_null(json_get(out, "type"));
  json_unref(out);
  end(&w);
}

static void it_is_for_one_model_on_one_node_for_a_while(UNUSED void **state) {
  const struct handover other_node = {"ome", "n2", of.model_key, of.model_uid};
  const struct handover other_model = {"ome", "n1", "clusterbasemodel.x", of.model_uid};
  const struct handover made_anew = {"ome", "n1", of.model_key, "uid-n"};
  struct world w;

  begin(&w);
  assert_int_equal(open_at(&of, &w, NOW + HANDOVER_LIFE_MS - 1), OME_OK);
  assert_int_equal(open_at(&of, &w, NOW + HANDOVER_LIFE_MS), OME_E_CORRUPT);
  assert_int_equal(open_at(&other_node, &w, NOW), OME_E_CORRUPT);
  assert_int_equal(open_at(&other_model, &w, NOW), OME_E_CORRUPT);
  assert_int_equal(open_at(&made_anew, &w, NOW), OME_E_CORRUPT);
  assert_true(json_set_str(w.map, "data.expires", "1800000000000")); /* a later end is no end that was sealed */
  assert_int_equal(open_at(&of, &w, NOW), OME_E_CORRUPT);
  end(&w);
}

static void an_agent_that_starts_anew_needs_another(UNUSED void **state) {
  struct world w;
  struct ome_err err = ERR_INIT;

  begin(&w);
  assert_true(handover_is_current(w.map, w.record, &of, NOW));
  seal_key_free(w.key);
  assert_int_equal(seal_key_new(&w.key, &err), OME_OK);
  assert_int_equal(open_at(&of, &w, NOW), OME_E_CORRUPT);
  meta_set_annotation(w.record, HANDOVER_KEY, seal_key_public(w.key));
  assert_false(handover_is_current(w.map, w.record, &of, NOW));
  end(&w);
}

static void what_changed_is_handed_over_anew(UNUSED void **state) {
  const struct handover made_anew = {"ome", "n1", of.model_key, "uid-n"};
  struct world w;

  begin(&w);
  _cleanup_json_ struct json_object *rotated = a_secret("2");
  assert_true(handover_is_current(w.map, w.record, &of, NOW + HALF - 1));
  assert_false(handover_is_current(w.map, w.record, &of, NOW + HALF));
  assert_false(handover_is_current(w.map, w.record, &of, NOW - 1)); /* the clock went back */
  assert_true(handover_is_of(w.map, w.secret, ""));
  assert_false(handover_is_of(w.map, rotated, ""));
  assert_false(handover_is_of(w.map, NULL, "gone"));
  assert_false(handover_is_current(w.map, w.record, &made_anew, NOW));
  end(&w);
}

static void why_there_is_none_is_said(UNUSED void **state) {
  struct world w;
  struct ome_err err = ERR_INIT;
  struct json_object *out = NULL;

  begin(&w);
  json_unref(w.map);
  w.map = handover_write(&of, w.record, NULL, "Secret ome/hub: not found", NOW, &err);
  assert_true(handover_is_of(w.map, NULL, "Secret ome/hub: not found"));
  assert_false(handover_is_of(w.map, NULL, "another reason"));
  assert_false(handover_is_of(w.map, w.secret, ""));
  assert_int_equal(handover_open(&of, w.map, w.key, NOW, &out, &err), OME_E_NOT_FOUND);
  assert_string_equal(err.msg, "Secret ome/hub: not found");
  end(&w);
}

static void a_record_without_a_key_gets_nothing(UNUSED void **state) {
  struct world w;
  struct ome_err err = ERR_INIT;

  begin(&w);
  meta_set_annotation(w.record, HANDOVER_KEY, "no key");
  assert_null(handover_write(&of, w.record, w.secret, "", NOW, &err));
  assert_int_equal(err.code, OME_E_INVALID);
  end(&w);
}

static void names_are_those_of_objects(UNUSED void **state) {
  _cleanup_free_ char *a = handover_name("n1", "clusterbasemodel.m");
  _cleanup_free_ char *b = handover_name("n2", "clusterbasemodel.m");
  _cleanup_free_ char *c = handover_name("n1", "ns.basemodel.m");

  assert_true(is_dns_label(a));
  assert_string_not_equal(a, b);
  assert_string_not_equal(a, c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_agent_gets_name_and_data),
      cmocka_unit_test(it_is_for_one_model_on_one_node_for_a_while),
      cmocka_unit_test(an_agent_that_starts_anew_needs_another),
      cmocka_unit_test(what_changed_is_handed_over_anew),
      cmocka_unit_test(why_there_is_none_is_said),
      cmocka_unit_test(a_record_without_a_key_gets_nothing),
      cmocka_unit_test(names_are_those_of_objects),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
