/* What agents say of a model, summed up. */
#include "../unit.h"

#include "base/str.h"
#include "controller/modelprogress.h"

#include <string.h>

static void add(struct model_progress *p, const char *status, const char *entry) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  assert_int_equal(json_parse(entry, strlen(entry), 0, &o, &err), OME_OK);
  model_progress_add(p, status, o);
}

#define HALF "{\"progress\":{\"totalBytes\":2147483648,\"completedBytes\":1073741824,\"etaSeconds\":90}}"
#define QUARTER "{\"progress\":{\"totalBytes\":2147483648,\"completedBytes\":536870912,\"etaSeconds\":10}}"

static void sums_up(void **state) {
  _cleanup_json_ struct json_object *status = json_object_new_object();
  struct model_progress p = {0};

  (void)state;
  add(&p, "Ready", "{}");
  add(&p, "Failed", "{}");
  add(&p, "Updating", HALF);
  add(&p, "Updating", QUARTER);
  add(&p, "Updating", "{\"message\":\"waiting\"}");
  add(&p, "Evicted", HALF);
  add(&p, "Deleted", HALF);
  add(&p, "", HALF);
  assert_true(model_progress_write(&p, status));
  assert_string_equal(json_str(status, "nodes", ""), "1/1/5");
  assert_int_equal(json_i64(status, "progress.percent", -1), 35);
  assert_string_equal(json_str(status, "progress.bytes", ""), "1.5 GiB/4.0 GiB");
  assert_int_equal(json_i64(status, "progress.etaSeconds", -1), 90);
  assert_string_equal(json_str(status, "progress.eta", ""), "90s");
}

static void ends(void **state) {
  _cleanup_json_ struct json_object *status = json_object_new_object();
  struct model_progress p = {0};

  (void)state;
  assert_true(model_progress_write(&p, status));
  assert_string_equal(json_str(status, "nodes", ""), "0/0/0");
  assert_null(json_at(status, "progress"));
  add(&p, "Ready", "{}");
  assert_true(model_progress_write(&p, status));
  assert_int_equal(json_i64(status, "progress.percent", -1), 100);
  assert_null(json_at(status, "progress.bytes"));
}

/* A record is written by whoever may write to it. */
static void bounds_claims(void **state) {
  static const char *const claims[] = {
      "{\"progress\":{\"totalBytes\":9223372036854775807,\"completedBytes\":9223372036854775807}}",
      "{\"progress\":{\"totalBytes\":-5,\"completedBytes\":7}}",
      "{\"progress\":{\"totalBytes\":5,\"completedBytes\":-7,\"etaSeconds\":-1}}",
      "{\"progress\":[]}",
  };
  _cleanup_json_ struct json_object *status = json_object_new_object();
  struct model_progress p = {0};

  (void)state;
  for (int i = 0; i < 1000; i++)
    for (size_t k = 0; k < ARRAY_LEN(claims); k++)
      add(&p, "Updating", claims[k]);
  assert_true(p.completed <= p.total);
  assert_true(model_progress_write(&p, status));
  assert_in_range(json_i64(status, "progress.percent", -1), 0, 100);
}

static void tells_progress_alone(void **state) {
  _cleanup_json_ struct json_object *a = json_object_new_object(), *b = json_object_new_object();

  (void)state;
  (void)json_set_i64(a, "progress.percent", 3);
  assert_true(model_progress_alone(a, b));
  (void)json_set_str(b, "state", "Ready");
  assert_false(model_progress_alone(a, b));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_up),
      cmocka_unit_test(ends),
      cmocka_unit_test(bounds_claims),
      cmocka_unit_test(tells_progress_alone),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
