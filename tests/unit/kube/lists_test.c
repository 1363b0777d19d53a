/* Turns of lists: so many at once, and those who wait for the end of all. */
#include "../unit.h"

#include "kube/lists.h"

#include <sched.h>
#include <stdatomic.h>

#define LISTERS (LISTS_AT_ONCE * 4)
#define FOREVER_MS 60000u

static struct lists lists;
static atomic_uint inside, most, done;

static void *list(void *arg) {
  (void)arg;
  lists_enter(&lists);
  unsigned now = atomic_fetch_add(&inside, 1) + 1;
  for (unsigned seen = atomic_load(&most); now > seen && !atomic_compare_exchange_weak(&most, &seen, now);)
    continue;
  (void)sched_yield();
  atomic_fetch_sub(&inside, 1);
  atomic_fetch_add(&done, 1);
  lists_leave(&lists);
  return NULL;
}

static void so_many_at_once(void **state) {
  pthread_t threads[LISTERS];

  (void)state;
  for (size_t i = 0; i < LISTS_AT_ONCE; i++) /* nobody else gets a turn */
    lists_enter(&lists);
  for (size_t i = 0; i < LISTERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, list, NULL), 0);
  assert_int_equal(atomic_load(&done), 0);
  lists_await_end(&lists, 0); /* does not wait for what does not end */
  for (size_t i = 0; i < LISTS_AT_ONCE; i++)
    lists_leave(&lists);
  for (size_t i = 0; i < LISTERS; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(atomic_load(&done), LISTERS);
  assert_in_range(atomic_load(&most), 1, LISTS_AT_ONCE);
  lists_await_end(&lists, FOREVER_MS); /* there is none left: at once, or the test takes too long */
}

/* How many had listed by then. */
static void *await_end(void *arg) {
  unsigned *seen = arg;

  lists_await_end(&lists, FOREVER_MS);
  *seen = atomic_load(&done);
  return NULL;
}

static void watches_come_after_lists(void **state) {
  pthread_t threads[LISTERS];
  pthread_t waiting;
  unsigned seen = 0;

  (void)state;
  atomic_store(&done, 0);
  lists_enter(&lists);
  assert_int_equal(pthread_create(&waiting, NULL, await_end, &seen), 0);
  for (size_t i = 0; i < LISTERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, list, NULL), 0);
  while (atomic_load(&done) < LISTERS)
    (void)sched_yield();
  lists_leave(&lists);
  assert_int_equal(pthread_join(waiting, NULL), 0);
  assert_int_equal(seen, LISTERS);
  for (size_t i = 0; i < LISTERS; i++)
    assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static int setup(void **state) {
  (void)state;
  lists_init(&lists);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  lists_fini(&lists);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(so_many_at_once),
      cmocka_unit_test(watches_come_after_lists),
  };

  return cmocka_run_group_tests(tests, setup, teardown);
}
