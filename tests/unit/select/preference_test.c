/* Scorers about what a service asks for: what they say, and what the site's settings make of it. */
#include "../unit.h"

#include "base/err.h"
#include "base/str.h"

#include <ome/scorer.h>

#include <stdio.h>
#include <stdlib.h>

/* ---- kit --------------------------------------------------------------------------------------------------------- */

struct heard {
  int64_t points;
  bool rejected;
  char reason[300];
};

static int32_t on_points(struct ome_term_sink *s, int64_t points, const char *reason) {
  struct heard *h = s->ctx;

  h->points += points;
  (void)snprintf(h->reason, sizeof(h->reason), "%s", reason);
  return OME_OK;
}

static int32_t on_reject(struct ome_term_sink *s, const char *reason) {
  struct heard *h = s->ctx;

  h->rejected = true;
  (void)snprintf(h->reason, sizeof(h->reason), "%s", reason);
  return OME_OK;
}

static const struct ome_factory *factory_of(const char *name) {
  for (const struct ome_factory *const *f = ome_plugin_v1()->factories; *f; f++)
    if (streq((*f)->name, name))
      return *f;
  fail_msg("no scorer %s", name);
  abort(); /* does not come so far, which compilers cannot see */
}

static struct heard ask(const char *name, const struct ome_kv *cfg, uint32_t ncfg, const struct ome_score_req *req) {
  const struct ome_factory *f = factory_of(name);
  const struct ome_scorer_ops *ops = f->ops;
  struct ome_call call = {.struct_size = sizeof(call)};
  struct heard h = {0};
  struct ome_term_sink sink = {.struct_size = sizeof(sink), .ctx = &h, .points = on_points, .reject = on_reject};
  struct ome_err err = ERR_INIT;
  void *self = NULL;

  assert_int_equal(f->create(NULL, cfg, ncfg, &self, &err), OME_OK);
  assert_int_equal(ops->score(self, &call, req, &sink, &err), OME_OK);
  f->destroy(self);
  return h;
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

#define GIB ((uint64_t)1 << 30)

enum { E = OME_COMPONENT_ENGINE, D = OME_COMPONENT_DECODER, R = OME_COMPONENT_ROUTER };

static const char *const none[] = {NULL};
static const char *const h100[] = {"h100", NULL};
static const char *const both[] = {"h100", "a100", NULL};
static const char *const openai[] = {"openAI", NULL};

/* Says the same with both settings, and what a good answer is worth, or that a bad one rejects. */
static void says_and_decides_by_settings(void **state) {
  static const struct {
    const char *scorer;
    struct ome_wish_facts wish;
    struct ome_runtime_facts runtime;
    uint64_t weights, memory;
    bool good;
    const char *says;
  } cases[] = {
      {"protocol", {.protocol = "openAI"}, {.protocols = openai}, 0, 0, true, "runtime speaks openAI"},
      {"protocol",
       {.protocol = "cohere"},
       {.protocols = openai},
       0,
       0,
       false,
       "service wants protocol cohere, runtime speaks openAI"},
      {"components",
       {.components = E | D | R},
       {.components = E | D | R},
       0,
       0,
       true,
       "runtime has containers for every component of the service"},
      {"components", {.components = E | D, .own = D}, {.components = E}, 0, 0, true, "every component"},
      {"components", {.components = E | R}, {.components = E}, 0, 0, true, "the router is the default one"},
      {"components", {.components = E | D}, {.components = E | R}, 0, 0, false, "a container for its decoder"},
      {"accelerator", {0}, {.devices = 2, .nodes = 1}, 150, 80, true, "150.0 GiB of weights fit 2 x 80 GiB of h100"},
      {"accelerator", {0}, {.devices = 1, .nodes = 1}, 150, 80, false, "do not fit 1 x 80 GiB of h100"},
      {"accelerator", {0}, {.devices = 8, .nodes = 2}, 700, 80, true, "fit 2 nodes of 8 x 80 GiB of h100"},
  };
  static const struct ome_kv settings[] = {{"points", "7"}, {"require", "true"}};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct ome_model_facts model = {.struct_size = sizeof(model), .weight_bytes = cases[i].weights * GIB};
    struct ome_accelerator_facts accelerator = {
        .struct_size = sizeof(accelerator), .name = "h100", .memory_bytes = cases[i].memory * GIB};
    struct ome_runtime_facts runtime = cases[i].runtime;
    struct ome_wish_facts wish = cases[i].wish;
    struct ome_score_req req = {.struct_size = sizeof(req), .model = &model, .runtime = &runtime, .wish = &wish};
    runtime.struct_size = sizeof(runtime);
    wish.struct_size = sizeof(wish);
    wish.accelerators = none;
    if (cases[i].memory)
      req.accelerator = &accelerator;
    struct heard quiet = ask(cases[i].scorer, NULL, 0, &req);
    struct heard strict = ask(cases[i].scorer, settings, ARRAY_LEN(settings), &req);
    if (!strstr(quiet.reason, cases[i].says) || !streq(quiet.reason, strict.reason))
      fail_msg("%zu: \"%s\", then \"%s\"", i, quiet.reason, strict.reason);
    assert_true(quiet.points == 0 && !quiet.rejected);
    assert_int_equal(strict.points, cases[i].good ? 7 : 0);
    assert_int_equal(strict.rejected, !cases[i].good);
  }
}

/* As in OME, whatever the settings: every class that is named must be listed. */
static void named_classes_are_listed(void **state) {
  static const struct {
    const char *const *named, *const *listed;
    bool rejected;
  } cases[] = {{none, none, false}, {h100, both, false}, {both, both, false}, {both, h100, true}, {h100, none, true}};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct ome_model_facts model = {.struct_size = sizeof(model)};
    struct ome_runtime_facts runtime = {.struct_size = sizeof(runtime), .accelerators = cases[i].listed};
    struct ome_wish_facts wish = {.struct_size = sizeof(wish), .protocol = "", .accelerators = cases[i].named};
    struct ome_score_req req = {.struct_size = sizeof(req), .model = &model, .runtime = &runtime, .wish = &wish};
    struct heard h = ask("accelerator", NULL, 0, &req);
    assert_int_equal(h.rejected, cases[i].rejected);
    if (h.rejected)
      assert_string_equal(h.reason, "runtime does not support the required accelerator class");
    req.wish = NULL; /* a bare model names none */
    assert_false(ask("accelerator", NULL, 0, &req).rejected);
  }
}

/* What a host of 1.0 hands over is no longer than it was: what came later is not read. */
static void older_hosts_ask_for_nothing(void **state) {
  static const char *const scorers[] = {"accelerator", "protocol", "components", "pipeline"};
  struct ome_model_facts model = {.struct_size = offsetof(struct ome_model_facts, experts)};
  struct ome_runtime_facts runtime = {.struct_size = offsetof(struct ome_runtime_facts, accelerators)};
  struct ome_wish_facts wish = {.struct_size = sizeof(wish), .protocol = "cohere", .accelerators = h100};
  struct ome_score_req req = {
      .struct_size = offsetof(struct ome_score_req, deployment), .model = &model, .runtime = &runtime, .wish = &wish};

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(scorers); i++)
    assert_string_equal(ask(scorers[i], NULL, 0, &req).reason, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(says_and_decides_by_settings),
      cmocka_unit_test(named_classes_are_listed),
      cmocka_unit_test(older_hosts_ask_for_nothing),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
