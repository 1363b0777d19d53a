/* ome plugin: what is loaded, how it is set up, and whether a file keeps the ABI's promises. */
#include "cli/cli.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/storage_suite.h"
#include "cli/table.h"
#include "plugin/plugin.h"

#include <conform.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
  const char *plugins; /* plugins.conf */
  const char *output;
  const char *uri;
  struct storage_suite storage; /* uri set: check runs the storage suite instead */
};

/* ---- tables ----------------------------------------------------------------------------------------------------- */

/* A row in which what is not said is a dash. */
static void add_row(struct table *t, const char *const *cells, size_t n) {
  const char *dashed[5];

  for (size_t i = 0; i < n && i < ARRAY_LEN(dashed); i++)
    dashed[i] = table_dash(cells[i]);
  table_add(t, dashed, n);
}

#define ADD_ROW(t, ...)                                                                                                \
  add_row(t, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static char *join_factories(struct json_object *plugin) {
  struct json_object *factories = json_at(plugin, "factories");
  struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(factories); i++) {
    struct json_object *f = json_index(factories, i);
    buf_addf(&b, "%s%s:%s", i ? "," : "", json_str(f, "kind", ""), json_str(f, "name", ""));
  }
  return buf_take(&b);
}

static void print_list(struct json_object *list) {
  struct table t = {0};

  ADD_ROW(&t, "NAME", "VERSION", "ABI", "STATE", "FACTORIES");
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *p = json_index(list, i);
    ADD_ROW(&t, json_str(p, "name", ""), json_str(p, "version", ""), json_str(p, "abi", ""), json_str(p, "state", ""),
            table_own(&t, join_factories(p)));
  }
  table_print(&t);
  for (size_t i = 0; i < json_len(list); i++)
    if (*json_str(json_index(list, i), "error", ""))
      printf("\nrefused: %s\n", json_str(json_index(list, i), "error", ""));
}

/* "apps/v1 Deployment", as new text. */
static char *api_text(struct json_object *need) {
  const char *group = json_str(need, "group", "");

  return str_printf("%s%s%s %s", group, *group ? "/" : "", json_str(need, "version", ""), json_str(need, "kind", ""));
}

static void print_factory(struct json_object *f) {
  struct json_object *needs = json_at(f, "needs");
  struct json_object *keys = json_at(f, "keys");
  struct table t = {0};

  printf("\n%s \"%s\", threads: %s\n", json_str(f, "kind", ""), json_str(f, "name", ""), json_str(f, "threads", ""));
  for (size_t i = 0; i < json_len(needs); i++) {
    _cleanup_free_ char *api = api_text(json_index(needs, i));
    printf("needs %s\n", api ? api : "");
  }
  if (json_len(keys) == 0)
    return;
  ADD_ROW(&t, " SETTING", "TYPE", "REQUIRED", "DEFAULT", "MEANING");
  for (size_t i = 0; i < json_len(keys); i++) {
    struct json_object *k = json_index(keys, i);
    ADD_ROW(&t, table_own(&t, str_printf("  %s", json_str(k, "name", ""))), json_str(k, "type", ""),
            json_flag(k, "required", false) ? "yes" : "no", json_str(k, "default", ""), json_str(k, "doc", ""));
  }
  table_print(&t);
}

static void print_info(struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *p = json_index(list, i);
    printf("%s%s %s (ABI %s, %s)\n%s\n%s\n", i ? "\n" : "", json_str(p, "name", ""), json_str(p, "version", ""),
           json_str(p, "abi", ""), json_str(p, "license", ""), json_str(p, "summary", ""), json_str(p, "file", ""));
    if (*json_str(p, "error", ""))
      printf("refused: %s\n", json_str(p, "error", ""));
    struct json_object *factories = json_at(p, "factories");
    for (size_t k = 0; k < json_len(factories); k++)
      print_factory(json_index(factories, k));
  }
}

static void print_checks(struct json_object *list) {
  struct table t = {0};

  ADD_ROW(&t, "RESULT", "CHECK", "OF", "DETAIL");
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *r = json_index(list, i);
    ADD_ROW(&t, json_str(r, "result", ""), json_str(r, "check", ""), json_str(r, "subject", ""),
            json_str(r, "detail", ""));
  }
  table_print(&t);
}

/* ---- what factories need ---------------------------------------------------------------------------------------- */

struct needs {
  struct ome_object_sink sink;
  struct json_object *found;
};

static int32_t on_need(struct ome_object_sink *s, struct ome_bytes text) {
  struct needs *n = s->ctx;
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  int32_t rc = json_parse(text.ptr, text.len, 0, &o, &err);
  return rc != OME_OK || json_add(n->found, o) ? rc : OME_E_NO_MEMORY;
}

static bool is_render_kind(const char *kind) {
  return streq(kind, OME_KIND_DEPLOYMENT) || streq(kind, OME_KIND_AUTOSCALER) || streq(kind, OME_KIND_INGRESS);
}

/* The API kinds that a factory needs whatever is asked of it: "needs" of F.  One that does not say has none. */
static void add_needs(struct plugins *plugins, struct json_object *f) {
  const char *kind = json_str(f, "kind", "");
  struct plugin_instance *i = is_render_kind(kind) ? plugins_find(plugins, kind, json_str(f, "name", "")) : NULL;
  struct ome_render_req req = {.struct_size = sizeof(req)};
  struct needs n = {.found = i ? json_object_new_array() : NULL};
  struct ome_err err = ERR_INIT;

  n.sink = (struct ome_object_sink){.struct_size = sizeof(n.sink), .ctx = &n, .object = on_need};
  if (n.found && plugin_needs(i, &req, &n.sink, &err) == OME_OK)
    (void)json_set(f, "needs", n.found);
  else
    json_unref(n.found);
}

/* ---- list, info ------------------------------------------------------------------------------------------------- */

static int load(const struct options *opt, struct json_object **out) {
  _cleanup_(plugins_freep) struct plugins *plugins = NULL;
  struct ome_err err = ERR_INIT;

  if (plugins_load(opt->plugins, NULL, 0, &plugins, &err) != OME_OK)
    return cli_fail(&err);
  *out = plugins_list(plugins);
  for (size_t i = 0; i < json_len(*out); i++) {
    struct json_object *factories = json_at(json_index(*out, i), "factories");
    for (size_t k = 0; k < json_len(factories); k++)
      add_needs(plugins, json_index(factories, k));
  }
  return 0;
}

static int list(const struct cli_command *self, const struct options *opt, int argc, char **argv) {
  _cleanup_json_ struct json_object *all = NULL;

  if (argc > 0)
    return cli_usage(self, "list: unexpected argument \"%s\"", argv[0]);
  int code = load(opt, &all);
  return code ? code : cli_print(all, opt->output, print_list);
}

static bool is_called(struct json_object *plugin, const char *name) {
  return streq(json_str(plugin, "name", ""), name) || json_find(json_at(plugin, "factories"), "name", name);
}

/* NAME is a plugin's or a factory's; several may have it. */
static int info(const struct cli_command *self, const struct options *opt, int argc, char **argv) {
  _cleanup_json_ struct json_object *all = NULL;
  _cleanup_json_ struct json_object *found = json_object_new_array();
  struct ome_err err = ERR_INIT;

  if (argc != 1)
    return cli_usage(self, "info: give the name of one plugin or factory");
  int code = load(opt, &all);
  if (code)
    return code;
  for (size_t i = 0; i < json_len(all); i++)
    if (is_called(json_index(all, i), argv[0]))
      (void)json_add(found, json_object_get(json_index(all, i)));
  if (json_len(found) == 0) {
    (void)fail(&err, OME_E_NOT_FOUND, "plugin: %s: none is called so; `ome plugin list` shows what there is", argv[0]);
    return cli_fail(&err);
  }
  return cli_print(found, opt->output, print_info);
}

/* ---- check ------------------------------------------------------------------------------------------------------ */

static void keep_result(void *ctx, const struct conform_result *r) {
  static const char *const names[] = {[CONFORM_PASS] = "pass", [CONFORM_FAIL] = "FAIL", [CONFORM_SKIP] = "skip"};
  struct json_object *o = json_add_object(ctx);

  (void)json_set_str(o, "check", r->check);
  (void)json_set_str(o, "subject", r->subject);
  (void)json_set_str(o, "result", names[r->outcome]);
  (void)json_set_str(o, "detail", r->detail);
}

/* How many failed; -1 and ERR: none could be run. */
static int run_checks(const struct options *opt, const char *path, struct json_object *results, struct ome_err *err) {
  struct storage_suite suite = opt->storage;

  if (!suite.uri)
    return conform_run(path, opt->uri, keep_result, results);
  suite.file = path;
  suite.conf = opt->plugins;
  return storage_suite_run(&suite, keep_result, results, err);
}

static int check(const struct cli_command *self, const struct options *opt, int argc, char **argv) {
  _cleanup_json_ struct json_object *results = json_object_new_array();
  struct ome_err err = ERR_INIT;

  if (argc != 1)
    return cli_usage(self, "check: give one FILE.so");
  _cleanup_free_ char *path = realpath(argv[0], NULL); /* a name without '/' would be searched for */
  if (!path) {
    (void)fail_errno(&err, "plugin", argv[0]);
    return cli_fail(&err);
  }
  int failed = run_checks(opt, path, results, &err);
  if (failed < 0)
    return cli_fail(&err);
  int code = cli_print(results, opt->output, print_checks);
  if (code)
    return code;
  if (failed == 0)
    return 0;
  (void)fail(&err, OME_E_INVALID, "plugin: %s: %d of %zu checks failed", argv[0], failed, json_len(results));
  return cli_fail(&err);
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static int run(const struct cli_command *self, int argc, char **argv) {
  static const struct {
    const char *name;
    int (*run)(const struct cli_command *self, const struct options *opt, int argc, char **argv);
  } verbs[] = {{"list", list}, {"info", info}, {"help", info}, {"check", check}};
  struct options opt = {.output = "table"};
  const struct cli_option options[] = {
      {'p', "plugins", "FILE", "plugins.conf (default: the plugins installed beside ome)", CLI_STRING, &opt.plugins},
      OPTION_OUTPUT(&opt.output),
      {0, "uri", "URI", "check: what a storage plugin is asked for", CLI_STRING, &opt.uri},
      {0, "storage", "URI", "check: run the storage suite on this model of a real backend", CLI_STRING,
       &opt.storage.uri},
      {0, "expect", "FILE", "with --storage: what it is, as sha256sum prints it", CLI_STRING, &opt.storage.expect},
      {0, "upload", "URI", "with --storage: where files may be written", CLI_STRING, &opt.storage.upload},
      {0, "wrong", "KEY=VALUE", "with --storage: a parameter that is no good credential; repeat it", CLI_LIST,
       &opt.storage.wrong},
      {0},
  };
  int n = cli_parse(self, options, argc, argv);

  if (n == 0)
    return cli_usage(self, "give one of list, info, check");
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    if (streq(argv[1], verbs[i].name))
      return verbs[i].run(self, &opt, n - 1, argv + 2);
  return cli_usage(self, "\"%s\" is none of list, info, check", argv[1]);
}

const struct cli_command cli_plugin = {
    .name = "plugin",
    .args = "list | info NAME | check FILE.so",
    .summary = "show what plugins are loaded; check that one keeps the ABI's promises",
    .help =
        "list         every plugin that was found, its factories, and why one was refused\n"
        "info NAME    a plugin's or factory's settings, as plugins.conf takes them (also: help NAME)\n"
        "check FILE   attacks the plugin in child processes: its exports and imports, its descriptor, structs cut\n"
        "             short at an unmapped page or longer than it knows, sinks that fail, deadlines that have passed,\n"
        "             a thousand lives, the same request twice, many threads. Exit code 1 when a check fails\n\n"
        "  ome plugin list -p plugins.conf\n"
        "  ome plugin info hf\n"
        "  ome plugin check ./storage-acme.so --uri acme://bucket/model\n\n"
        "With --storage, check asks a storage plugin about files that are there: are list, sizes, digests and ranges\n"
        "true and stable, are hostile addresses refused, is what is absent or forbidden said, do calls end when they\n"
        "are told to, does what is written come back. Settings come from -p FILE.\n\n"
        "  ome plugin check ./storage-acme.so -p plugins.conf --storage acme://bucket/model --expect SHA256SUMS\n"
        "      --upload acme://bucket/scratch --wrong token=none",
    .run = run,
};
