/* ome explain: why this runtime, this accelerator, this mode. */
#include "cli/cli.h"
#include "cli/connect.h"

#include "base/buf.h"
#include "base/str.h"
#include "cli/table.h"
#include "compose/offline.h"
#include "kube/client.h"

#include <stdio.h>
#include <string.h>

struct options {
  struct cli_list files;
  const char *output;
  const char *plugins;
  const char *kubeconfig;
  const char *context;
  const char *ns;
  const char *ome_namespace;
  const char *model;
  const char *service;
  bool matrix;
};

/* ---- records ----------------------------------------------------------------------------------------------------- */

static int32_t explain_service(const struct offline *o, struct json_object *service, struct json_object *records,
                               struct ome_err *err) {
  _cleanup_(plan_freep) struct plan *plan = NULL;
  int32_t rc = plan_service(&o->world, service, &plan, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *record = plan_record(plan, 0);
  return record && json_add(records, record) ? OME_OK : fail_memory(err);
}

/* What would serve MODEL; new. */
static int32_t select_model(const struct offline *o, struct json_object *model, const char *ns, bool brief,
                            struct selection **out, struct ome_err *err) {
  struct select_request req = {
      .field = o->world.field,
      .brief = brief,
      .ns = ns,
      .model = model,
      .accelerators = o->world.accelerators,
      .scorers = o->world.scorers,
      .nscorers = o->world.nscorers,
  };

  return select_runtime(&req, out, err);
}

static int32_t explain_model(const struct offline *o, const struct options *opt, struct json_object *records,
                             struct ome_err *err) {
  const char *ns = opt->ns ? opt->ns : "default";
  struct json_object *model = plan_find_model(o->world.models, ns, opt->model);
  _cleanup_(selection_freep) struct selection *s = NULL;

  if (!model)
    return fail(err, OME_E_NOT_FOUND, "explain: model %s: not found in namespace %s or at cluster scope", opt->model,
                ns);
  int32_t rc = select_model(o, model, ns, false, &s, err);
  if (rc != OME_OK)
    return rc;
  struct json_object *record = select_record(s, NULL, ns, NULL, 0);
  return record && json_add(records, record) ? OME_OK : fail_memory(err);
}

static int32_t explain_row(const struct offline *o, struct json_object *model, struct json_object *records,
                           struct ome_err *err) {
  _cleanup_(selection_freep) struct selection *s = NULL;
  int32_t rc = select_model(o, model, json_str(model, "metadata.namespace", "default"), true, &s, err);

  if (rc != OME_OK)
    return rc;
  struct json_object *row = json_add_object(records);
  const char *runtime = s->chosen ? s->chosen->runtime->facts.name : NULL;
  if (!row || !json_set_str(row, "model", json_str(model, "metadata.name", "")) ||
      !json_put(row, "runtime", runtime ? json_object_new_string(runtime) : NULL) ||
      !json_set_i64(row, "score", s->chosen ? s->chosen->score.points : 0) || !json_set_str(row, "reason", s->reason))
    return fail_memory(err);
  return OME_OK;
}

static int32_t explain_matrix(const struct offline *o, struct json_object *records, struct ome_err *err) {
  int32_t rc = select_field_sort(o->world.field, err);

  for (size_t i = 0; rc == OME_OK && i < json_len(o->world.models); i++)
    rc = explain_row(o, json_index(o->world.models, i), records, err);
  return rc;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* "+100 format: safetensors matches; ..." */
static char *terms_text(struct json_object *terms) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(terms); i++) {
    struct json_object *t = json_index(terms, i);
    int64_t points = json_i64(t, "points", 0);
    buf_adds(&b, i ? "; " : "");
    if (points)
      buf_addf(&b, "%+lld ", (long long)points);
    buf_addf(&b, "%s: %s", json_str(t, "scorer", ""), json_str(t, "reason", ""));
  }
  return buf_take(&b);
}

static void print_candidates(struct json_object *candidates) {
  static const char *const head[] = {"  RUNTIME", "SCOPE", "SCORE", "WHY"};
  struct table t = {0};

  if (json_len(candidates) == 0)
    return;
  table_add(&t, head, ARRAY_LEN(head));
  for (size_t i = 0; i < json_len(candidates); i++) {
    struct json_object *c = json_index(candidates, i);
    const char *rejected = json_str(c, "rejected", NULL);
    const char *cells[] = {
        table_own(&t, str_printf("  %s", json_str(c, "runtime", ""))),
        json_str(c, "scope", ""),
        rejected ? "-" : table_own(&t, str_printf("%lld", (long long)json_i64(c, "score", 0))),
        rejected ? rejected : table_own(&t, terms_text(json_get(c, "terms"))),
    };
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}

static void print_tuning(struct json_object *tuning) {
  static const char *const head[] = {"  SETTING", "VALUE", "OF", "WHY"};
  struct table t = {0};

  if (json_len(tuning) == 0)
    return;
  table_add(&t, head, ARRAY_LEN(head));
  for (size_t i = 0; i < json_len(tuning); i++) {
    struct json_object *s = json_index(tuning, i);
    const char *cells[] = {table_own(&t, str_printf("  %s", json_str(s, "name", ""))), json_str(s, "value", ""),
                           json_str(s, "component", ""), json_str(s, "reason", "")};
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}

static void print_warnings(struct json_object *record) {
  struct json_object *more = json_get(record, "warnings");

  if (json_str(record, "warning", NULL))
    printf("  warning: %s\n", json_str(record, "warning", ""));
  for (size_t i = 0; i < json_len(more); i++)
    printf("  warning: %s\n", json_object_get_string(json_index(more, i)));
}

static void print_records(struct json_object *records) {
  for (size_t i = 0; i < json_len(records); i++) {
    struct json_object *r = json_index(records, i);
    struct json_object *s = json_get(r, "selected");
    const char *name = json_str(r, "name", NULL);
    const char *model = json_str(r, "model", "");
    const char *mode = json_str(s, "mode", NULL);
    const char *accelerator = json_str(s, "accelerator", NULL);
    printf("%s", i ? "\n" : "");
    if (name)
      printf("InferenceService %s/%s, %s%s: ", json_str(r, "namespace", ""), name, *model ? "model " : "no model",
             model);
    else
      printf("model %s: ", model);
    if (s)
      printf("runtime %s%s%s%s%s: %s\n", json_str(s, "runtime", ""), mode ? ", mode " : "", mode ? mode : "",
             accelerator ? ", accelerator " : "", accelerator ? accelerator : "", json_str(r, "reason", ""));
    else
      printf("no runtime: %s\n", json_str(r, "reason", ""));
    print_warnings(r);
    print_tuning(json_get(r, "tuning"));
    print_candidates(json_get(r, "candidates"));
  }
}

static void print_matrix(struct json_object *records) {
  static const char *const head[] = {"MODEL", "RUNTIME", "SCORE", "REASON"};
  struct table t = {0};

  table_add(&t, head, ARRAY_LEN(head));
  for (size_t i = 0; i < json_len(records); i++) {
    struct json_object *r = json_index(records, i);
    const char *cells[] = {json_str(r, "model", ""), json_str(r, "runtime", "-"),
                           table_own(&t, str_printf("%lld", (long long)json_i64(r, "score", 0))),
                           json_str(r, "reason", "")};
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

/* One kind of the cluster's; items of a list carry neither kind nor apiVersion everywhere. */
static int32_t fetch_kind(struct kube_client *client, const struct kube_resource *r, const char *ns,
                          struct json_object *docs, struct ome_err *err) {
  _cleanup_json_ struct json_object *list = NULL;
  int32_t rc = kube_list(client, r, r->namespaced ? ns : NULL, NULL, &list, err);
  char api_version[128];

  if (rc != OME_OK)
    return fail_prefix(err, "list %s", r->resource);
  kube_api_version(r, api_version);
  struct json_object *items = json_get(list, "items");
  for (size_t i = 0; i < json_len(items); i++) {
    struct json_object *o = json_index(items, i);
    if (!json_set_str(o, "apiVersion", api_version) || !json_set_str(o, "kind", r->kind) ||
        !json_add(docs, json_object_get(o)))
      return fail_memory(err);
  }
  return OME_OK;
}

/* What the service is pinned to; selection says it when that is gone. */
static int32_t fetch_revision(const struct options *opt, struct kube_client *client, struct json_object *service,
                              struct json_object *docs, struct ome_err *err) {
  const char *name = revision_wanted(service);
  struct json_object *found = NULL;
  int32_t rc = *name ? kube_get(client, &KUBE_CONTROLLERREVISIONS, opt->ome_namespace, name, &found, err) : OME_OK;

  if (rc == OME_E_NOT_FOUND) {
    err_clear(err);
    return OME_OK;
  }
  return rc != OME_OK || !found || json_add(docs, found) ? rc : fail_memory(err);
}

static int32_t fetch_world(const struct options *opt, struct json_object *docs, struct ome_err *err) {
  static const struct kube_resource *const kinds[] = {&KUBE_BASEMODELS, &KUBE_CLUSTERBASEMODELS, &KUBE_SERVINGRUNTIMES,
                                                      &KUBE_CLUSTERSERVINGRUNTIMES, &KUBE_ACCELERATORCLASSES};
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  struct json_object *found = NULL;
  int32_t rc = cli_connect(opt->kubeconfig, opt->context, &client, err);

  if (rc != OME_OK)
    return rc;
  const char *ns = opt->ns ? opt->ns : kube_client_namespace(client);
  if (opt->service)
    rc = kube_get(client, &KUBE_INFERENCESERVICES, ns, opt->service, &found, err);
  if (rc == OME_OK && found && !json_add(docs, found))
    rc = fail_memory(err);
  if (rc == OME_OK && found)
    rc = fetch_revision(opt, client, found, docs, err);
  for (size_t i = 0; rc == OME_OK && i < ARRAY_LEN(kinds); i++)
    rc = fetch_kind(client, kinds[i], ns, docs, err);
  return rc;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static int32_t explain(const struct offline *o, const struct options *opt, struct json_object *records,
                       struct ome_err *err) {
  int32_t rc = OME_OK;

  if (opt->model)
    return explain_model(o, opt, records, err);
  if (opt->matrix)
    return explain_matrix(o, records, err);
  for (size_t i = 0; rc == OME_OK && i < json_len(o->services); i++)
    rc = explain_service(o, json_index(o->services, i), records, err);
  if (rc == OME_OK && json_len(o->services) == 0)
    return fail(err, OME_E_INVALID,
                "explain: no InferenceService among the documents; add one with -f, or ask with --model or --matrix");
  return rc;
}

/* A service is the cluster's; a model is, where no documents are given. */
static int work(const struct options *opt) {
  _cleanup_json_ struct json_object *docs = NULL;
  _cleanup_json_ struct json_object *records = json_object_new_array();
  _cleanup_(plugins_freep) struct plugins *plugins = NULL;
  struct offline o = {0};
  struct ome_err err = ERR_INIT;
  int32_t rc = cli_load_manifests(&opt->files, &docs, &err);

  if (rc == OME_OK && (opt->service || opt->files.len == 0))
    rc = fetch_world(opt, docs, &err);
  if (rc == OME_OK)
    rc = plugins_load(opt->plugins, NULL, 0, &plugins, &err);
  if (rc == OME_OK)
    rc = offline_init(&o, docs, false, plugins, &err);
  for (size_t i = 0; rc == OME_OK && i < json_len(o.problems); i++)
    fprintf(stderr, "ome: explain: input: %s\n", json_object_get_string(json_index(o.problems, i)));
  for (size_t i = 0; rc == OME_OK && i < json_len(o.warnings); i++)
    fprintf(stderr, "ome: explain: input: warning: %s\n", json_object_get_string(json_index(o.warnings, i)));
  bool refused = json_len(o.problems) > 0;
  if (rc == OME_OK)
    rc = records ? explain(&o, opt, records, &err) : fail_memory(&err);
  int code =
      rc == OME_OK ? cli_print(records, opt->output, opt->matrix ? print_matrix : print_records) : cli_fail(&err);
  offline_fini(&o);
  return refused ? 1 : code;
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct options opt = {.output = "table", .ome_namespace = "ome"};
  const struct cli_option options[] = {
      {'f', "filename", "PATH", "file, folder (and what is below) or - with services, models, runtimes; repeatable",
       CLI_LIST, &opt.files},
      OPTION_OUTPUT(&opt.output),
      {0, "model", "NAME", "what would serve this model", CLI_STRING, &opt.model},
      {0, "isvc", "NAME", "a service in the cluster", CLI_STRING, &opt.service},
      {0, "matrix", NULL, "the winner for every model", CLI_FLAG, &opt.matrix},
      {'n', "namespace", "NAME", "namespace of the service or model", CLI_STRING, &opt.ns},
      {0, "ome-namespace", "NAME", "where revisions of runtimes are (default: ome)", CLI_STRING, &opt.ome_namespace},
      OPTION_KUBECONFIG(&opt.kubeconfig),
      {0, "context", "NAME", "context of the kubeconfig", CLI_STRING, &opt.context},
      OPTION_PLUGINS(&opt.plugins),
      {0},
  };
  int n = cli_parse(self, options, argc, argv);

  if (self == &cli_runtime) { /* `ome runtime explain`, as OME's own client spells it */
    if (n == 0 || !streq(argv[1], "explain"))
      return cli_usage(self, "give explain, and --model NAME or --isvc NAME");
    argv++;
    n--;
  }
  if (n == 2 && (streq(argv[1], "isvc") || streq(argv[1], "inferenceservice")))
    opt.service = argv[2];
  else if (n > 0)
    return cli_usage(self, "unexpected argument \"%s\"", argv[1]);
  if (!opt.service && !opt.model && !opt.matrix && opt.files.len == 0)
    return cli_usage(self, "give -f PATH, or isvc NAME, --model NAME or --matrix to ask the cluster");
  if ((opt.model != NULL) + opt.matrix + (opt.service != NULL) > 1)
    return cli_usage(self, "a service, --model and --matrix exclude each other");
  return work(&opt);
}

const struct cli_command cli_explain = {
    .name = "explain",
    .args = "-f PATH... | isvc NAME",
    .summary = "say why a runtime was chosen, and why the others were not",
    .help = "Selects a runtime for every InferenceService among the documents, or for one in the cluster, and prints\n"
            "every candidate with its score terms or the reason it was rejected.\n\n"
            "  ome explain -f models/ -f runtimes/ -f service.yaml\n"
            "  ome explain -f models/ -f runtimes/ --model llama-3-70b-instruct -o json\n"
            "  ome explain -f models/ -f runtimes/ --matrix\n"
            "  ome explain isvc smollm2",
    .run = run,
};

const struct cli_command cli_runtime = {
    .name = "runtime",
    .args = "explain --model NAME | --isvc NAME",
    .summary = "ome explain, under the name that kubectl ome has for it",
    .help = "Says which runtimes could serve a model or a service, in order, and why not the others.\n\n"
            "  ome runtime explain --model llama-3-70b-instruct\n"
            "  ome runtime explain --isvc smollm2 -n demo\n"
            "  ome runtime explain --model smollm2 -f models/ -f runtimes/",
    .run = run,
};
