/* How fast runtimes are chosen, plugins included, on one thread.
 *
 *   select_bench [MODELS=10000] [RUNTIMES=1000] PATH...
 *
 * PATH are manifests with models and runtimes.  First the matrix of what they hold: the winner for every model, from
 * documents that are parsed already.  Then their documents are repeated under other names, with other sizes, up to
 * MODELS and RUNTIMES, and every pair is decided.  What is allocated in that loop is counted: nothing is. */
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"
#include "compose/offline.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MATRIX_ROUNDS 7

/* ---- what is allocated: by everything in the process, shared objects too ---------------------------------------- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static atomic_ulong allocations;

void *malloc(size_t size) {
  (void)atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
  return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
  (void)atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
  return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
  (void)atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
  return __libc_realloc(p, size);
}

/* ---- the field --------------------------------------------------------------------------------------------------- */

static _Noreturn void die(const struct ome_err *err) {
  fprintf(stderr, "select_bench: %s\n", err->msg);
  exit(1);
}

static void need(bool ok) {
  struct ome_err err = ERR_INIT;

  if (!ok) {
    (void)fail_memory(&err);
    die(&err);
  }
}

/* Copies of what FROM holds, N in all, no two of one name; models' sizes differ by up to 10 %. */
static struct json_object *repeat(struct json_object *from, size_t n) {
  struct json_object *out = json_object_new_array();

  for (size_t i = 0; i < n; i++) {
    struct json_object *copy = NULL;
    need(out && json_object_deep_copy(json_index(from, i % json_len(from)), &copy, NULL) == 0);
    _cleanup_free_ char *name = str_printf("%s-%zu", json_str(copy, "metadata.name", ""), i);
    need(name && json_set_str(copy, "metadata.name", name));
    double size = strtod(json_str(copy, "spec.modelParameterSize", "0"), NULL);
    if (size > 0) {
      const char *text = json_str(copy, "spec.modelParameterSize", "");
      char unit = text[strlen(text) - 1];
      _cleanup_free_ char *other = str_printf("%.3f%c", size * (1 + (double)(i % 100) / 1000), unit);
      need(other && json_set_str(copy, "spec.modelParameterSize", other));
    }
    need(json_object_array_add(out, copy) == 0);
  }
  return out;
}

/* ---- measurements ------------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

/* The winner for every model, reading the documents included. */
static size_t matrix(const struct plan_world *w) {
  struct select_field field;
  struct ome_err err = ERR_INIT;
  size_t found = 0;

  if (select_field_init(&field, w->runtimes, &err) != OME_OK || select_field_sort(&field, &err) != OME_OK)
    die(&err);
  for (size_t i = 0; i < json_len(w->models); i++) {
    struct json_object *model = json_index(w->models, i);
    struct selection *s = NULL;
    struct select_request req = {.field = &field, .brief = true, .model = model, .scorers = w->scorers};
    req.nscorers = w->nscorers;
    req.ns = json_str(model, "metadata.namespace", "default");
    if (select_runtime(&req, &s, &err) != OME_OK)
      die(&err);
    found += s->chosen != NULL;
    selection_free(s);
  }
  select_field_fini(&field);
  return found;
}

static void measure_matrix(const struct plan_world *w) {
  double ms[MATRIX_ROUNDS];
  size_t found = 0;

  for (size_t i = 0; i < MATRIX_ROUNDS; i++) {
    uint64_t began = cpu_ns();
    found = matrix(w);
    ms[i] = (double)(cpu_ns() - began) / 1e6;
  }
  qsort(ms, MATRIX_ROUNDS, sizeof(ms[0]), ascending);
  printf("matrix of %zu models and %zu runtimes: %.1f ms of a processor (median of %d), %zu models have a runtime\n",
         json_len(w->models), json_len(w->runtimes), ms[MATRIX_ROUNDS / 2], MATRIX_ROUNDS, found);
}

static void measure_pairs(const struct plan_world *w, struct json_object *models, struct json_object *runtimes) {
  size_t n = json_len(models), found = 0;
  struct select_model *facts = calloc(n, sizeof(*facts));
  struct select_field field;
  struct ome_err err = ERR_INIT;
  struct select_request req = {.field = &field, .brief = true, .ns = "default", .scorers = w->scorers};

  req.nscorers = w->nscorers;
  need(facts != NULL);
  if (select_field_init(&field, runtimes, &err) != OME_OK || select_field_sort(&field, &err) != OME_OK)
    die(&err);
  for (size_t i = 0; i < n; i++)
    if (select_model_init(&facts[i], json_index(models, i), &err) != OME_OK)
      die(&err);
  unsigned long before = atomic_load(&allocations);
  uint64_t began = cpu_ns();
  for (size_t i = 0; i < n; i++) {
    const struct select_runtime *winner;
    if (select_winner(&req, &facts[i], &winner, &err) != OME_OK)
      die(&err);
    found += winner != NULL;
  }
  double seconds = (double)(cpu_ns() - began) / 1e9;
  printf(
      "%zu models x %zu runtimes, %zu scorers: %.2f s of a processor, %.2f million pairs a second, %lu allocations, %zu winners\n",
      n, field.n, w->nscorers, seconds, (double)n * (double)field.n / seconds / 1e6, atomic_load(&allocations) - before,
      found);
  for (size_t i = 0; i < n; i++)
    select_model_fini(&facts[i]);
  free(facts);
  select_field_fini(&field);
}

int main(int argc, char **argv) {
  uint64_t counts[2] = {10000, 1000};
  struct cli_list paths = {0};
  struct json_object *docs = NULL;
  struct plugins *plugins = NULL;
  struct offline o = {0};
  struct ome_err err = ERR_INIT;
  size_t ncounts = 0;

  for (int i = 1; i < argc; i++) {
    if (ncounts < 2 && str_to_u64(argv[i], &counts[ncounts]))
      ncounts++;
    else if (paths.len < ARRAY_LEN(paths.items))
      paths.items[paths.len++] = argv[i];
  }
  if (paths.len == 0 || counts[0] == 0 || counts[1] == 0) {
    fprintf(stderr, "usage: select_bench [MODELS=10000] [RUNTIMES=1000] PATH...\n");
    return 2;
  }
  if (cli_load_manifests(&paths, &docs, &err) != OME_OK || plugins_load(NULL, NULL, 0, &plugins, &err) != OME_OK ||
      offline_init(&o, docs, false, plugins, &err) != OME_OK)
    die(&err);
  measure_matrix(&o.world);
  struct json_object *models = repeat(o.world.models, counts[0]), *runtimes = repeat(o.world.runtimes, counts[1]);
  measure_pairs(&o.world, models, runtimes);
  json_unref(models);
  json_unref(runtimes);
  offline_fini(&o);
  plugins_free(plugins);
  json_unref(docs);
  return 0;
}
