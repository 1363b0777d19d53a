/* BenchmarkJobs of the cluster: ome bench list, and what `ome bench compare` reads of one. */
#include "base/clock.h"
#include "base/str.h"
#include "bench/report.h"
#include "cli/bench.h"
#include "cli/connect.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 9 };

/* The run with the highest throughput: one figure to tell jobs apart by. */
static struct json_object *best_run(struct json_object *job) {
  struct json_object *runs = json_at(job, "status.runs");
  struct json_object *best = NULL;

  for (size_t i = 0; i < json_len(runs); i++) {
    struct json_object *run = json_index(runs, i);
    if (!best || report_number(run, "outputTokensPerSecond") > report_number(best, "outputTokensPerSecond"))
      best = run;
  }
  return best;
}

static char *figure(struct json_object *run, const char *path) {
  return json_at(run, path) ? str_printf("%.1f", report_number(run, path)) : strdup("-");
}

static void fill_row(struct json_object *job, char *cells[COLUMNS + 1]) {
  struct json_object *best = best_run(job);
  const char *service = json_str(job, "spec.endpoint.inferenceService.name", NULL);

  cells[0] = strdup(meta_namespace(job));
  cells[1] = strdup(meta_name(job));
  cells[2] = strdup(service ? service : json_str(job, "spec.endpoint.endpoint.url", "-"));
  cells[3] = strdup(json_str(job, "status.state", "Pending"));
  cells[4] = strdup(json_str(job, "status.progress", "-"));
  cells[5] = figure(best, "outputTokensPerSecond");
  cells[6] = figure(best, "ttftMs.p50");
  cells[7] = figure(best, "tpotMs.p50");
  cells[8] = strdup(json_str(job, "status.reportURI", "-"));
}

static void print_jobs(struct json_object *list) {
  static const char *const head[] = {"NAMESPACE",     "NAME",         "ENDPOINT", "STATE",  "PROGRESS",
                                     "BEST TOKENS/S", "ITS TTFT P50", "TPOT P50", "REPORT", NULL};
  struct json_object *items = json_get(list, "items");
  size_t n = json_len(items);
  char *(*cells)[COLUMNS + 1] = calloc(n + 1, sizeof(*cells));
  const char *const **rows = calloc(n + 1, sizeof(*rows));

  for (size_t i = 0; cells && rows && i < n; i++) {
    fill_row(json_index(items, i), cells[i]);
    rows[i + 1] = (const char *const *)cells[i];
  }
  if (cells && rows) {
    rows[0] = head;
    cli_table(rows, n + 1);
  }
  for (size_t i = 0; cells && i < n; i++)
    for (size_t j = 0; j < COLUMNS; j++)
      free(cells[i][j]);
  free(cells);
  free(rows);
}

int bench_list(const struct bench_options *o) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_json_ struct json_object *found = NULL;
  struct ome_err err = ERR_INIT;
  int32_t rc = cli_connect(o->kubeconfig, &client, &err);

  if (rc == OME_OK)
    rc = kube_list(client, &KUBE_BENCHMARKJOBS,
                   o->all_namespaces ? NULL
                   : o->ns           ? o->ns
                                     : kube_client_namespace(client),
                   NULL, &found, &err);
  return rc == OME_OK ? cli_print(found, o->outputs.format ? o->outputs.format : "table", print_jobs) : cli_fail(&err);
}

int32_t bench_job_report(const struct bench_options *o, const char *name, struct json_object **out,
                         struct ome_err *err) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_json_ struct json_object *job = NULL;
  _cleanup_json_ struct json_object *report = json_object_new_object();
  const char *slash = strchr(name, '/');
  _cleanup_free_ char *ns = slash ? str_copy(name, (size_t)(slash - name)) : NULL;
  int32_t rc = cli_connect(o->kubeconfig, &client, err);

  if (rc != OME_OK)
    return fail_prefix(err, "bench: %s is no file", name);
  rc = kube_get(client, &KUBE_BENCHMARKJOBS,
                ns      ? ns
                : o->ns ? o->ns
                        : kube_client_namespace(client),
                slash ? slash + 1 : name, &job, err);
  if (rc != OME_OK)
    return fail_prefix(err, "bench: %s is no file", name);
  struct json_object *runs = json_at(job, "status.runs");
  if (json_len(runs) == 0)
    return fail(err, OME_E_NOT_FOUND, "bench: BenchmarkJob %s has no figures; its state is %s%s%s", name,
                json_str(job, "status.state", "Pending"), json_at(job, "status.failureMessage") ? ": " : "",
                json_str(job, "status.failureMessage", ""));
  if (!json_set_str(report, "schema", REPORT_SCHEMA) || !json_set(report, "runs", json_copy(runs)))
    return fail_memory(err);
  *out = TAKE_PTR(report);
  return OME_OK;
}
