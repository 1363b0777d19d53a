/* ome render: the objects that the controller would apply, from files. */
#include "cli/cli.h"

#include "base/str.h"
#include "cli/render_diff.h"
#include "cli/render_table.h"
#include "compose/clash.h"
#include "compose/offline.h"

#include <stdio.h>

struct options {
  struct cli_list files;
  const char *output;
  const char *plugins;
  const char *kubeconfig;
  bool embedded;
  bool diff;
};

static size_t report(const char *where, const char *why) {
  fprintf(stderr, "ome: render: %s: %s\n", where, why);
  return 1;
}

static void warn(const char *where, const char *what) {
  fprintf(stderr, "ome: render: %s: warning: %s\n", where, what);
}

/* What stands in PLAN's way, which counts, and what it does that may surprise. */
static size_t report_plan(struct json_object *service, const struct plan *plan) {
  _cleanup_free_ char *name = str_printf("InferenceService %s/%s", json_str(service, "metadata.namespace", "default"),
                                         json_str(service, "metadata.name", ""));
  const char *where = name ? name : "";

  for (size_t i = 0; i < plan->nproblems; i++)
    (void)report(where, plan->problems[i].message);
  if (plan->selection && *plan->selection->warning)
    warn(where, plan->selection->warning);
  for (size_t i = 0; i < json_len(plan->warnings); i++)
    warn(where, json_object_get_string(json_index(plan->warnings, i)));
  return plan->nproblems;
}

/* What there is of all services so far. */
struct rendering {
  struct json_object *items; /* the objects, as rows of the table for TABLE */
  struct strmap *names;      /* of the objects (clash.h) */
  bool table;
  size_t failures; /* what stands in the way */
};

static int32_t render_service(const struct offline *o, struct json_object *service, struct rendering *r,
                              struct ome_err *err) {
  _cleanup_(plan_freep) struct plan *plan = NULL;
  int32_t rc = plan_service(&o->world, service, &plan, err);

  if (rc == OME_OK)
    rc = clash_check(r->names, plan, err);
  if (rc != OME_OK)
    return rc;
  r->failures += report_plan(service, plan);
  if (plan->nproblems)
    return OME_OK;
  if (r->table)
    return render_table_add(r->items, plan, err);
  return json_add_all(r->items, plan->objects) ? OME_OK : fail_memory(err);
}

static struct json_object *list_of(struct json_object *items) {
  struct json_object *list = json_object_new_object();

  if (list && json_set_str(list, "apiVersion", "v1") && json_set_str(list, "kind", "List") &&
      json_set(list, "items", json_object_get(items)))
    return list;
  json_unref(list);
  return NULL;
}

/* Exit code 1 where the cluster would change, as other tools' diffs have it. */
static int print_diff(struct json_object *items, const char *kubeconfig) {
  struct ome_err err = ERR_INIT;
  size_t changes = 0;

  return render_diff(items, kubeconfig, &changes, &err) == OME_OK ? changes > 0 : cli_fail(&err);
}

static int print_items(struct json_object *items, const char *output) {
  struct ome_err err = ERR_INIT;

  if (streq(output, "table"))
    return cli_print(items, output, render_table_print);
  _cleanup_json_ struct json_object *list = list_of(items);
  if (list)
    return cli_print(list, output, NULL);
  (void)fail_memory(&err);
  return cli_fail(&err);
}

static int render_all(const struct offline *o, const struct options *opt) {
  _cleanup_json_ struct json_object *items = json_object_new_array();
  _cleanup_strmap_ struct strmap *names = strmap_new(free);
  struct rendering r = {.items = items, .names = names, .table = streq(opt->output, "table")};
  struct ome_err err = ERR_INIT;
  int32_t rc = items && names ? OME_OK : fail_memory(&err);

  for (size_t i = 0; i < json_len(o->problems); i++)
    r.failures += report("input", json_object_get_string(json_index(o->problems, i)));
  for (size_t i = 0; i < json_len(o->warnings); i++)
    warn("input", json_object_get_string(json_index(o->warnings, i)));
  if (json_len(o->services) == 0)
    r.failures += report("input", "no InferenceService among the documents; add it with -f");
  for (size_t i = 0; rc == OME_OK && i < json_len(o->services); i++)
    rc = render_service(o, json_index(o->services, i), &r, &err);
  if (rc != OME_OK)
    return cli_fail(&err);
  int code = opt->diff ? print_diff(items, opt->kubeconfig) : print_items(items, opt->output);
  return r.failures ? 1 : code;
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct options opt = {.output = "yaml"};
  const struct cli_option options[] = {
      {'f', "filename", "PATH", "file, folder (and what is below) or - with services, models, runtimes; repeatable",
       CLI_LIST, &opt.files},
      {'o', "output", "FORMAT", "yaml (default), json, or table: which plugin makes which object", CLI_STRING,
       &opt.output},
      {0, "embedded", NULL, "for `ome up` instead of a cluster", CLI_FLAG, &opt.embedded},
      {0, "diff", NULL, "print what would change in the cluster, and change nothing", CLI_FLAG, &opt.diff},
      {0, "kubeconfig", "FILE", "with --diff: the cluster", CLI_STRING, &opt.kubeconfig},
      OPTION_PLUGINS(&opt.plugins),
      {0},
  };
  _cleanup_json_ struct json_object *docs = NULL;
  _cleanup_(plugins_freep) struct plugins *plugins = NULL;
  struct offline o;
  struct ome_err err = ERR_INIT;

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected argument \"%s\"; files are given with -f", argv[1]);
  if (opt.files.len == 0)
    return cli_usage(self, "give at least one -f PATH");
  bool table = streq(opt.output, "table");
  if (!table && !streq(opt.output, "yaml") && !streq(opt.output, "json"))
    return cli_usage(self, "--output: \"%s\" is none of yaml, json, table", opt.output);
  if (table && opt.diff)
    return cli_usage(self, "--diff has an output of its own; leave -o table out");
  int32_t rc = cli_load_manifests(&opt.files, &docs, &err);
  if (rc == OME_OK)
    rc = plugins_load(opt.plugins, NULL, 0, &plugins, &err);
  if (rc == OME_OK)
    rc = offline_init(&o, docs, opt.embedded, plugins, &err);
  if (rc != OME_OK)
    return cli_fail(&err);
  int code = render_all(&o, &opt);
  offline_fini(&o);
  return code;
}

const struct cli_command cli_render = {
    .name = "render",
    .args = "-f PATH...",
    .summary = "print the objects the controller would apply",
    .help =
        "Composes every InferenceService among the documents with the models and runtimes beside it and prints a v1\n"
        "List of the objects in the order they would be applied. The output is the same byte for byte from run to\n"
        "run. When something cannot be rendered all problems are printed and the exit code is 1.\n\n"
        "  ome render -f models/ -f runtimes/ -f service.yaml | kubectl apply --server-side -f -\n\n"
        "--diff reads the cluster instead: + is an object that it lacks, ~ one that the controller would change, with the\n"
        "old and new value of each field, - one that it would delete, a workload once what takes its place is ready,\n"
        "! one that is somebody else's, for which it would apply nothing of the service.\n"
        "Exit code 0: nothing would change, 1: something would, or went wrong.\n\n"
        "  ome render -f service.yaml --diff",
    .run = run,
};
