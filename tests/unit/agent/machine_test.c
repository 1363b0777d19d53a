/* A model's life: the table's promises, over every entry and over random ways through it; causes; room in flight. */
#include "../unit.h"

#include "agent/budget.h"
#include "agent/cause.h"
#include "agent/machine.h"

#include <stdlib.h>
#include <string.h>

#define STEPS 200000

static void keeps_its_promises(void **state) {
  (void)state;
  for (int p = 0; p < PHASES; p++)
    for (int h = 0; h < HAPPENINGS; h++) {
      struct transition t = machine_step((enum phase)p, (enum happening)h);
      bool whole = h == HAPPENED_WHOLE || (h == HAPPENED_FETCHED && p == PHASE_FETCHING);
      assert_int_equal(t.action == ACTION_PUBLISH, whole);
      assert_int_equal(t.action == ACTION_REMOVE, h == HAPPENED_UNWANTED);
      assert_int_equal(t.action == ACTION_FETCH, h == HAPPENED_MISSING);
      assert_int_equal(t.action == ACTION_EVICT, h == HAPPENED_EVICTED);
      if (t.action == ACTION_FETCH)
        assert_int_equal(t.next, PHASE_FETCHING);
      if (t.next == PHASE_READY && p != PHASE_READY)
        assert_int_equal(t.action, ACTION_PUBLISH);
      if (t.action == ACTION_NONE && p != PHASE_FETCHING && p != PHASE_LEAVING)
        assert_int_equal(t.next, p);
    }
}

/* What the world may answer to an action. */
static enum happening answer(enum action action, int chance) {
  static const enum happening fetch[] = {HAPPENED_FETCHED, HAPPENED_FAILED, HAPPENED_CANCELLED, HAPPENED_NO_ROOM};
  static const enum happening world[] = {HAPPENED_UNWANTED, HAPPENED_HELD,    HAPPENED_MISSING,
                                         HAPPENED_BACKOFF,  HAPPENED_EVICTED, HAPPENED_WHOLE};

  if (action == ACTION_FETCH)
    return fetch[chance % 4];
  return action == ACTION_REMOVE ? HAPPENED_REMOVED : world[chance % 6];
}

static void walks_at_random(void **state) {
  enum phase phase = PHASE_ABSENT;
  enum action action = ACTION_NONE;
  bool on_disk = false; /* verified */
  bool told = false;    /* Ready */
  size_t seen[PHASES] = {0};

  (void)state;
  srand(8);
  for (int i = 0; i < STEPS; i++) {
    enum happening h = answer(action, rand());
    on_disk = h == HAPPENED_FETCHED || h == HAPPENED_WHOLE || (on_disk && h == HAPPENED_UNWANTED);
    struct transition t = machine_step(phase, h);
    phase = t.next;
    action = t.action;
    seen[phase]++;
    if (action == ACTION_PUBLISH)
      told = true;
    else if (action != ACTION_NONE)
      told = false; /* each of the others says something else first */
    assert_true(!told || on_disk);
  }
  for (int p = 0; p < PHASES; p++)
    assert_true(seen[p] > 0);
  assert_string_equal(phase_name(PHASE_WAITING), "waiting");
}

/* ---- causes ------------------------------------------------------------------------------------------------------ */

static void tells_causes_apart(void **state) {
  static const struct {
    int32_t code;
    const char *message, *name;
  } rows[] = {
      {OME_E_GATED, "hf: org/m: 403; accept the model's terms on the hub and give a token of that account", "Gated"},
      {OME_E_DENIED, "hf: org/m: private, gated or not there; give a token (Secret, HF_TOKEN)", "Unauthorised"},
      {OME_E_DENIED, "fetch: org/GatedRepo/a: 403 Forbidden; ask for access", "Unauthorised"},
      {OME_E_NOT_FOUND, "no such model", "NotFound"},
      {OME_E_BUSY, "429", "RateLimited"},
      {OME_E_DEADLINE, "no byte for 30 s", "Stalled"},
      {OME_E_UNAVAILABLE, "connection refused", "Unreachable"},
      {OME_E_NO_SPACE, "needs 5 GiB", "NoSpace"},
      {OME_E_CORRUPT, "SHA-256 differs", "Corrupt"},
      {OME_E_UNSUPPORTED, "no storage plugin for \"ftp://\"", "UnsupportedScheme"},
      {OME_E_INVALID, "not a path", "Invalid"},
      {OME_E_INTERNAL, "?", "Failed"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    struct ome_err err = ERR_INIT;
    (void)fail(&err, rows[i].code, "%s", rows[i].message);
    enum cause c = cause_of(&err);
    assert_string_equal(cause_name(c), rows[i].name);
    assert_in_range(cause_longest_wait_ms(c), 1000, 3600000); /* tried again for ever */
  }
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static void wake(void *arg, const char *key) {
  char *woken = arg;

  (void)strcat(woken, key);
}

static void bounds_bytes_in_flight(void **state) {
  char woken[64] = "";
  _cleanup_(budget_freep) struct budget *b = budget_new(100, 3, wake, woken);
  uint32_t models;

  (void)state;
  assert_true(budget_take(b, "a", 500)); /* alone, whatever its size */
  assert_false(budget_take(b, "b", 1));
  assert_false(budget_take(b, "c", 1));
  budget_forget(b, "c"); /* it went */
  budget_give_back(b, "a");
  assert_string_equal(woken, "b");
  assert_true(budget_take(b, "b", 60));
  assert_true(budget_take(b, "c", 40));
  assert_false(budget_take(b, "d", 1));
  assert_int_equal(budget_in_flight(b, &models), 100);
  assert_int_equal(models, 2);
  budget_give_back(b, "c");
  assert_string_equal(woken, "bd");
  assert_true(budget_take(b, "d", 1));
  assert_true(budget_take(b, "e", 1));
  assert_false(budget_take(b, "f", 1)); /* three at a time */
  budget_give_back(b, "nobody");
  assert_int_equal(budget_in_flight(b, NULL), 62);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_its_promises),
      cmocka_unit_test(walks_at_random),
      cmocka_unit_test(tells_causes_apart),
      cmocka_unit_test(bounds_bytes_in_flight),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
