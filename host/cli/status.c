/* ome status: how services and models do, and what keeps those that are not ready. */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "kube/meta.h"

#include <stdio.h>

struct options {
  const char *kubeconfig, *ns, *name, *output;
  bool all;
};

static struct json_object *array_in(struct json_object *o, const char *key) {
  struct json_object *list = json_object_new_array();

  return list && json_set(o, key, list) ? list : NULL;
}

/* ---- the report: {services[{namespace, name, ready, model, runtime, accelerator, mode, url, problems[]}],
 * models[...]} - */

/* The conditions of FROM that are not True, but for Ready where others say why. */
static bool add_problems(struct json_object *to, struct json_object *from) {
  struct json_object *conditions = json_at(from, "status.conditions");
  struct json_object *problems = array_in(to, "problems");
  struct json_object *ready = NULL;
  bool ok = problems != NULL;

  for (size_t i = 0; ok && i < json_len(conditions); i++) {
    struct json_object *c = json_index(conditions, i);
    if (streq(json_str(c, "status", ""), "True"))
      continue;
    if (streq(json_str(c, "type", ""), "Ready"))
      ready = c;
    else
      ok = json_add(problems, json_object_get(c));
  }
  if (ok && ready && json_len(problems) == 0)
    ok = json_add(problems, json_object_get(ready));
  return ok;
}

/* Adds a row about O to LIST; borrowed; NULL: no memory. */
static struct json_object *add_row(struct json_object *list, struct json_object *o) {
  struct json_object *row = json_add_object(list);
  const char *ready = meta_condition(o, "Ready");

  bool ok = json_set_str(row, "namespace", meta_namespace(o)) && json_set_str(row, "name", meta_name(o)) &&
            json_set_str(row, "ready", ready ? ready : "Unknown") && add_problems(row, o);
  return ok ? row : NULL;
}

static bool add_service(struct json_object *list, struct json_object *service) {
  static const char *const chosen[] = {"runtime", "accelerator", "mode"};
  struct json_object *selected = json_at(service, "status.selection.selected");
  struct json_object *row = add_row(list, service);
  bool ok = row && json_set_str(row, "model", json_str(service, "spec.model.name", "")) &&
            json_set_str(row, "url", json_str(service, "status.url", ""));

  for (size_t i = 0; ok && i < ARRAY_LEN(chosen); i++)
    ok = json_set_str(row, chosen[i], json_str(selected, chosen[i], ""));
  return ok;
}

static bool add_model(struct json_object *list, struct json_object *model) {
  struct json_object *row = add_row(list, model);

  return row && json_set_str(row, "state", json_str(model, "status.state", "")) &&
         json_set_str(row, "size", json_str(model, "spec.modelParameterSize", "")) &&
         json_set_i64(row, "nodesReady", (int64_t)json_len(json_at(model, "status.nodesReady"))) &&
         json_set_i64(row, "nodesFailed", (int64_t)json_len(json_at(model, "status.nodesFailed")));
}

static int32_t report_kind(struct kube_client *client, const struct kube_resource *r, const struct options *opt,
                           struct json_object *list, bool (*add)(struct json_object *, struct json_object *),
                           struct ome_err *err) {
  const char *ns = !r->namespaced || opt->all ? NULL : opt->ns ? opt->ns : kube_client_namespace(client);
  _cleanup_free_ char *field = opt->name ? str_printf("metadata.name=%s", opt->name) : NULL;
  const struct kube_list_opts only = {.fields = field};
  _cleanup_json_ struct json_object *found = NULL;
  int32_t rc = kube_list(client, r, ns, &only, &found, err);

  if (rc != OME_OK)
    return fail_prefix(err, "list %s", r->resource);
  struct json_object *items = json_get(found, "items");
  for (size_t i = 0; i < json_len(items); i++)
    if (!add(list, json_index(items, i)))
      return fail_memory(err);
  return OME_OK;
}

static int32_t make_report(struct kube_client *client, const struct options *opt, struct json_object *report,
                           struct ome_err *err) {
  struct json_object *services = array_in(report, "services"), *models = array_in(report, "models");

  if (!services || !models)
    return fail_memory(err);
  int32_t rc = report_kind(client, &KUBE_INFERENCESERVICES, opt, services, add_service, err);
  if (rc == OME_OK)
    rc = report_kind(client, &KUBE_BASEMODELS, opt, models, add_model, err);
  if (rc == OME_OK)
    rc = report_kind(client, &KUBE_CLUSTERBASEMODELS, opt, models, add_model, err);
  if (rc == OME_OK && opt->name && json_len(services) + json_len(models) == 0)
    return fail(err, OME_E_NOT_FOUND,
                "%s: no InferenceService and no model has this name; `ome status -A` shows all there are", opt->name);
  return rc;
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static const char *full_name(struct table *t, struct json_object *row) {
  const char *ns = json_str(row, "namespace", "");

  return table_own(t, str_printf("%s%s%s", ns, *ns ? "/" : "", json_str(row, "name", "")));
}

static void print_services(struct json_object *list) {
  static const char *const header[] = {"SERVICE", "READY", "MODEL", "RUNTIME", "ACCELERATOR", "MODE", "URL"};
  static const char *const keys[] = {"ready", "model", "runtime", "accelerator", "mode", "url"};
  struct table t = {0};

  table_add(&t, header, ARRAY_LEN(header));
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *row = json_index(list, i);
    const char *cells[1 + ARRAY_LEN(keys)] = {full_name(&t, row)};
    for (size_t k = 0; k < ARRAY_LEN(keys); k++)
      cells[1 + k] = table_dash(json_str(row, keys[k], NULL));
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}

static void print_models(struct json_object *list) {
  static const char *const header[] = {"MODEL", "STATE", "SIZE", "NODES READY", "NODES FAILED"};
  struct table t = {0};

  table_add(&t, header, ARRAY_LEN(header));
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *row = json_index(list, i);
    const char *cells[] = {full_name(&t, row), table_dash(json_str(row, "state", NULL)),
                           table_dash(json_str(row, "size", NULL)),
                           table_own(&t, str_printf("%lld", (long long)json_i64(row, "nodesReady", 0))),
                           table_own(&t, str_printf("%lld", (long long)json_i64(row, "nodesFailed", 0)))};
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}

/* One cause often fails several conditions: it is said once. */
static void print_problems(struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *row = json_index(list, i), *problems = json_get(row, "problems");
    const char *ns = json_str(row, "namespace", ""), *said = "";
    for (size_t k = 0; k < json_len(problems); k++) {
      struct json_object *p = json_index(problems, k);
      const char *message = json_str(p, "message", json_str(p, "reason", ""));
      if (!streq(message, said))
        printf("\n%s%s%s: %s: %s\n", ns, *ns ? "/" : "", json_str(row, "name", ""), json_str(p, "type", ""), message);
      said = message;
    }
  }
}

static void print_report(struct json_object *report) {
  struct json_object *services = json_get(report, "services"), *models = json_get(report, "models");

  if (json_len(services))
    print_services(services);
  if (json_len(services) && json_len(models))
    printf("\n");
  if (json_len(models))
    print_models(models);
  if (json_len(services) + json_len(models) == 0)
    printf("no services and no models\n");
  print_problems(services);
  print_problems(models);
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static bool all_ready(struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++)
    if (!streq(json_str(json_index(list, i), "ready", ""), "True"))
      return false;
  return true;
}

static int status_main(const struct cli_command *self, int argc, char **argv) {
  struct options o = {.output = "table"};
  const struct cli_option options[] = {
      OPTION_NAMESPACE(&o.ns),
      {'A', "all-namespaces", NULL, "of every namespace", CLI_FLAG, &o.all},
      OPTION_OUTPUT(&o.output),
      OPTION_KUBECONFIG(&o.kubeconfig),
      {0},
  };
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_json_ struct json_object *report = json_object_new_object();
  struct ome_err err = ERR_INIT;
  int operands = cli_parse(self, options, argc, argv);

  if (operands > 1)
    return cli_usage(self, "name one service or model, or none");
  o.name = operands == 1 ? argv[1] : NULL;
  int32_t rc = report ? cli_connect(o.kubeconfig, NULL, &client, &err) : fail_memory(&err);
  if (rc == OME_OK)
    rc = make_report(client, &o, report, &err);
  if (rc != OME_OK)
    return cli_fail(&err);
  int code = cli_print(report, o.output, print_report);
  return code ? code : !all_ready(json_get(report, "services")) || !all_ready(json_get(report, "models"));
}

const struct cli_command cli_status = {
    .name = "status",
    .args = "[NAME]",
    .summary = "say how services and models do, and what keeps them",
    .help =
        "Shows the InferenceServices of a namespace with what was chosen for each, the models with the nodes they are\n"
        "on, and below, for what is not ready, the reason.  Exits with 1 when something is not ready.\n\n"
        "  ome status\n"
        "  ome status -A -o json\n"
        "  ome status chat -n demo",
    .run = status_main,
};
