/* Held requests: their order, their bound, and what ends the wait.  The server, the loop's timers and the streams are
 * stood in for: what is tested is who is told what, and when. */
#include "../unit.h"

#include "base/str.h"
#include "gateway/hold.h"
#include "gateway/refuse.h"
#include "net/http_server.h"
#include "net/loop.h"

#include <stdio.h>
#include <stdlib.h>

#define HELD_BOUND 1024 /* as docs/deployment.md says */

/* ---- stand-ins --------------------------------------------------------------------------------------------------- */

struct http_exchange {
  int status; /* answered with; 0: not yet */
  bool started, aborted;
  char message[256];
  http_handler *on_close;
  void *arg;
};

struct loop_timer {
  uint64_t ms;
  loop_fn *fn;
  void *arg;
};

static struct loop_timer *g_last_timer;
static size_t g_timers;
static bool g_no_timer;

struct loop_timer *loop_timer_new(UNUSED struct loop *l, uint64_t ms, bool repeat, loop_fn *fn, void *arg) {
  assert_false(repeat);
  if (g_no_timer)
    return NULL;
  struct loop_timer *t = calloc(1, sizeof(*t));
  *t = (struct loop_timer){ms, fn, arg};
  g_last_timer = t;
  g_timers++;
  return t;
}

void loop_timer_free(struct loop_timer *t) {
  g_timers--;
  free(t);
}

void http_on_close(struct http_exchange *x, http_handler *on_close, void *arg) {
  x->on_close = on_close;
  x->arg = arg;
}

void http_abort(struct http_exchange *x) {
  x->aborted = true;
}

void refuse(struct http_exchange *x, int status, UNUSED const char *type, UNUSED const char *code,
            const char *message) {
  assert_null(x->on_close); /* nobody is told of its end twice */
  x->status = status;
  (void)snprintf(x->message, sizeof(x->message), "%s", message);
}

void stream_start(UNUSED struct gateway_core *g, struct http_exchange *x, const struct match *match) {
  assert_null(x->on_close);
  assert_non_null(match->route);
  x->started = true;
}

/* ---- the stand --------------------------------------------------------------------------------------------------- */

static char g_demand[128];

static void on_demand(UNUSED void *arg, const char *ns, const char *name) {
  (void)snprintf(g_demand, sizeof(g_demand), "%s/%s", ns, name);
}

static struct gateway_core core;

static int setup(UNUSED void **state) {
  memset(&core, 0, sizeof(core));
  assert_true(table_init(&core.table));
  core.on_demand = on_demand;
  g_no_timer = false;
  g_demand[0] = '\0';
  return 0;
}

static int teardown(UNUSED void **state) {
  held_end(&core);
  assert_int_equal(core.nheld, 0);
  assert_int_equal(g_timers, 0);
  table_fini(&core.table);
  return 0;
}

/* The one route, s in n, with ADDRESS behind it (NULL: nothing yet). */
static void set_route(const char *address) {
  const struct gateway_route route = {
      .ns = "n", .name = "s", .backend = address, .not_ready_why = "no pod yet", .wakes = "s-engine"};
  struct ome_err err = ERR_INIT;

  assert_int_equal(table_set(&core.table, &route, 1, &err), OME_OK);
}

static void hold_one(struct http_exchange *x) {
  struct match m;

  table_match(&core.table, "s.n.localhost", "/v1/models", &m);
  assert_non_null(m.route);
  hold(&core, x, &m);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void waits_for_a_replica(UNUSED void **state) {
  struct http_exchange x[3] = {{0}};

  set_route(NULL);
  for (size_t i = 0; i < 3; i++)
    hold_one(&x[i]);
  assert_string_equal(g_demand, "n/s-engine");
  assert_int_equal(held_count(&core, "n", "s-engine"), 3);
  assert_int_equal(held_count(&core, "n", "other"), 0);
  held_release(&core); /* the table has changed, but not so */
  assert_int_equal(core.nheld, 3);
  /* A client that goes is forgotten, wherever it stands. */
  x[1].on_close(x[1].arg, &x[1]);
  assert_int_equal(core.nheld, 2);
  set_route("127.0.0.1:1");
  held_release(&core);
  assert_true(x[0].started && !x[1].started && x[2].started);
  assert_int_equal(core.nheld, 0);
}

static void says_why_it_took_too_long(UNUSED void **state) {
  struct http_exchange x = {0};

  set_route(NULL);
  hold_one(&x);
  assert_int_equal(g_last_timer->ms, HELD_MS);
  g_last_timer->fn(g_last_timer->arg);
  assert_int_equal(x.status, 504);
  assert_non_null(strstr(x.message, "service s in namespace n did not become ready within"));
  assert_non_null(strstr(x.message, "no pod yet"));
  /* Or the service has gone meanwhile. */
  x = (struct http_exchange){0};
  hold_one(&x);
  struct ome_err err = ERR_INIT;
  assert_int_equal(table_set(&core.table, NULL, 0, &err), OME_OK);
  g_last_timer->fn(g_last_timer->arg);
  assert_non_null(strstr(x.message, "it is gone"));
}

static void lets_go_of_a_service_that_goes(UNUSED void **state) {
  struct http_exchange x = {0};
  struct ome_err err = ERR_INIT;

  set_route(NULL);
  hold_one(&x);
  assert_int_equal(table_set(&core.table, NULL, 0, &err), OME_OK);
  held_release(&core);
  assert_int_equal(x.status, 503);
}

static void holds_no_more_than_it_may(UNUSED void **state) {
  struct http_exchange *x = calloc(HELD_BOUND + 2, sizeof(*x));

  set_route(NULL);
  for (size_t i = 0; i < HELD_BOUND; i++)
    hold_one(&x[i]);
  assert_int_equal(core.nheld, HELD_BOUND);
  hold_one(&x[HELD_BOUND]);
  assert_int_equal(x[HELD_BOUND].status, 503);
  assert_non_null(strstr(x[HELD_BOUND].message, "1024 requests wait"));
  assert_int_equal(x[0].status, 0);
  /* One that goes makes room for one. */
  x[7].on_close(x[7].arg, &x[7]);
  hold_one(&x[HELD_BOUND + 1]);
  assert_int_equal(x[HELD_BOUND + 1].status, 0);
  assert_int_equal(core.nheld, HELD_BOUND);
  held_end(&core);
  assert_true(x[0].aborted && !x[7].aborted && x[HELD_BOUND + 1].aborted);
  free(x);
}

static void refuses_without_a_timer(UNUSED void **state) {
  struct http_exchange x = {0};

  set_route(NULL);
  g_no_timer = true;
  hold_one(&x);
  assert_int_equal(x.status, 503);
  assert_int_equal(core.nheld, 0);
  assert_string_equal(g_demand, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(waits_for_a_replica, setup, teardown),
      cmocka_unit_test_setup_teardown(says_why_it_took_too_long, setup, teardown),
      cmocka_unit_test_setup_teardown(lets_go_of_a_service_that_goes, setup, teardown),
      cmocka_unit_test_setup_teardown(holds_no_more_than_it_may, setup, teardown),
      cmocka_unit_test_setup_teardown(refuses_without_a_timer, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
