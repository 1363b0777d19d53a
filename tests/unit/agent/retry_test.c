/* When a failed model is tried again, what is said of it, and which model a key stands for. */
#include "../unit.h"

#include "agent/keeper.h"
#include "agent/retry.h"

static void waits_longer_each_time(void **state) {
  _cleanup_(retries_freep) struct retries *r = retries_new();
  struct ome_err err = ERR_INIT;
  struct ome_err why = ERR_INIT;

  (void)state;
  (void)fail(&err, OME_E_UNAVAILABLE, "the hub is away");
  assert_int_equal(retries_wait_ms(r, "m", "a", 1000, &why), 0);
  for (uint64_t wait = 1000; wait <= 32000; wait *= 2) {
    (void)retries_failed(r, "m", "a", &err, 1000);
    assert_in_range(retries_wait_ms(r, "m", "a", 1000, &why), wait - wait / 4, wait);
  }
  assert_string_equal(why.msg, "the hub is away");
  for (int i = 0; i < 3; i++)
    (void)retries_failed(r, "m", "a", &err, 1000);
  assert_in_range(retries_wait_ms(r, "m", "a", 1000, NULL), 45000, 60000);
  assert_int_equal(retries_count(r, "m", "a"), 9);
  assert_int_equal(retries_count(r, "m", "b"), 0);
  assert_int_equal(retries_wait_ms(r, "m", "a", 61000, NULL), 0);
  assert_int_equal(retries_wait_ms(r, "m", "b", 1000, NULL), 0); /* another request */
  assert_int_equal(retries_wait_ms(r, "n", "a", 1000, NULL), 0);
  (void)retries_failed(r, "m", "b", &err, 1000);
  assert_in_range(retries_wait_ms(r, "m", "b", 1000, NULL), 750, 1000);
  err.retry_after_ms = 90000;
  (void)retries_failed(r, "m", "b", &err, 1000);
  assert_int_equal(retries_wait_ms(r, "m", "b", 1000, NULL), 90000);
  retries_forget(r, "m");
  assert_int_equal(retries_wait_ms(r, "m", "b", 1000, NULL), 0);
}

static void count(void *arg, const char *key) {
  assert_string_equal(key, "full");
  ++*(int *)arg;
}

static void space_ends_the_wait_for_it(void **state) {
  _cleanup_(retries_freep) struct retries *r = retries_new();
  struct ome_err err = ERR_INIT;
  int looks = 0;

  (void)state;
  (void)fail(&err, OME_E_UNAVAILABLE, "the hub is away");
  (void)retries_failed(r, "away", "a", &err, 1000);
  (void)fail(&err, OME_E_NO_SPACE, "no room");
  (void)retries_failed(r, "full", "a", &err, 1000);
  retries_relieve(r, OME_E_NO_SPACE, count, &looks);
  assert_int_equal(looks, 1);
  assert_int_equal(retries_wait_ms(r, "full", "a", 1000, NULL), 0);
  assert_true(retries_wait_ms(r, "away", "a", 1000, NULL) > 0);
  retries_relieve(r, OME_E_NO_SPACE, count, &looks); /* it does not wait now */
  assert_int_equal(looks, 1);
  (void)retries_failed(r, "full", "a", &err, 1000); /* as often as before */
  assert_in_range(retries_wait_ms(r, "full", "a", 1000, NULL), 1500, 2000);
}

static void says_it_once(void **state) {
  _cleanup_(retries_freep) struct retries *r = retries_new();
  struct ome_err err = ERR_INIT;

  (void)state;
  (void)fail(&err, OME_E_NOT_FOUND, "no such model");
  assert_true(retries_failed(r, "m", "a", &err, 1000));
  assert_false(retries_failed(r, "m", "a", &err, 2000));
  assert_true(retries_failed(r, "m", "a", &err, 301000));
  (void)fail(&err, OME_E_DENIED, "no token");
  assert_true(retries_failed(r, "m", "a", &err, 301001));
  assert_true(retries_failed(r, "m", "b", &err, 301002));
}

static void reads_keys(void **state) {
  static const struct {
    const char *key;
    int which;
    const char *ns, *name; /* NAME NULL: none */
  } rows[] = {
      {"clusterbasemodel.llama-3.1", 0, "", "llama-3.1"},
      {"clusterbasemodel.llama-3.1", 1, NULL, NULL},
      {"team.basemodel.llama-3.1", 0, "team", "llama-3.1"},
      {"team.basemodel.llama-3.1", 1, NULL, NULL},
      {"clusterbasemodel.basemodel.x", 0, "", "basemodel.x"},
      {"clusterbasemodel.basemodel.x", 1, "clusterbasemodel", "x"},
      {"finetunedweight.basemodel.x", 0, "finetunedweight.", "basemodel.x"},
      {"finetunedweight.basemodel.x", 1, "finetunedweight", "x"},
      {"finetunedweight.x", 1, NULL, NULL},
      {"dir-0123456789abcdef", 0, NULL, NULL},
      {".basemodel.x", 0, NULL, NULL},
      {"team.basemodel.", 0, NULL, NULL},
      {"clusterbasemodel.", 0, NULL, NULL},
  };
  char ns[64];
  char name[64];

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    bool found = keeper_parse_key(rows[i].key, rows[i].which, ns, name, sizeof(ns));
    assert_int_equal(found, rows[i].name != NULL);
    if (!found)
      continue;
    assert_string_equal(ns, rows[i].ns);
    assert_string_equal(name, rows[i].name);
  }
  assert_false(keeper_parse_key("team.basemodel.long", 0, ns, name, 4));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(waits_longer_each_time),
      cmocka_unit_test(space_ends_the_wait_for_it),
      cmocka_unit_test(says_it_once),
      cmocka_unit_test(reads_keys),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
