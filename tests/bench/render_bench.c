/* How fast services become objects, plugins included, on one thread.
 *
 *   render_bench [SERVICES=1000] PATH...
 *
 * PATH are manifests with services, models and runtimes.  The services are repeated under other names up to SERVICES;
 * each is planned from documents that are parsed already, and its objects are written as text. */
#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"
#include "compose/offline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void die(const struct ome_err *err) {
  fprintf(stderr, "render_bench: %s\n", err->msg);
  exit(1);
}

/* Number I of all: a copy of one of FROM under another name; new. */
static struct json_object *service_of(struct json_object *from, size_t i) {
  struct json_object *copy = NULL;
  _cleanup_free_ char *name =
      str_printf("s%zu-%s", i, json_str(json_index(from, i % json_len(from)), "metadata.name", ""));
  struct ome_err err = ERR_INIT;

  if (!name || json_object_deep_copy(json_index(from, i % json_len(from)), &copy, NULL) != 0 ||
      !json_set_str(copy, "metadata.name", name)) {
    (void)fail_memory(&err);
    die(&err);
  }
  return copy;
}

static void measure(const struct offline *o, size_t n) {
  struct json_object *services = json_object_new_array();
  size_t objects = 0, bytes = 0, refused = 0;
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < n; i++)
    (void)json_object_array_add(services, service_of(o->services, i));
  uint64_t began = cpu_ns();
  for (size_t i = 0; i < n; i++) {
    struct plan *plan = NULL;
    if (plan_service(&o->world, json_index(services, i), &plan, &err) != OME_OK)
      die(&err);
    refused += plan->nproblems > 0;
    objects += json_len(plan->objects);
    for (size_t j = 0; j < json_len(plan->objects); j++)
      bytes += strlen(json_object_to_json_string_ext(json_index(plan->objects, j), JSON_C_TO_STRING_PLAIN));
    plan_free(plan);
  }
  double seconds = (double)(cpu_ns() - began) / 1e9;
  printf(
      "%zu services (%zu kinds of them) with %zu models and %zu runtimes: %zu objects, %.1f MiB of JSON, %zu refused, "
      "%.2f s of a processor\n",
      n, json_len(o->services), json_len(o->world.models), json_len(o->world.runtimes), objects,
      (double)bytes / 1048576, refused, seconds);
  json_unref(services);
}

int main(int argc, char **argv) {
  uint64_t n = 1000;
  struct cli_list paths = {0};
  struct json_object *docs = NULL;
  struct plugins *plugins = NULL;
  struct offline o = {0};
  struct ome_err err = ERR_INIT;

  for (int i = 1; i < argc; i++)
    if ((i > 1 || !str_to_u64(argv[i], &n)) && paths.len < ARRAY_LEN(paths.items))
      paths.items[paths.len++] = argv[i];
  if (paths.len == 0) {
    fprintf(stderr, "usage: render_bench [SERVICES=1000] PATH...\n");
    return 2;
  }
  if (cli_load_manifests(&paths, &docs, &err) != OME_OK || plugins_load(NULL, NULL, 0, &plugins, &err) != OME_OK ||
      offline_init(&o, docs, false, plugins, &err) != OME_OK)
    die(&err);
  if (json_len(o.services) == 0) {
    fprintf(stderr, "render_bench: no InferenceService in these files\n");
    return 1;
  }
  measure(&o, n);
  offline_fini(&o);
  plugins_free(plugins);
  json_unref(docs);
  return 0;
}
