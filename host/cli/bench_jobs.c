/* BenchmarkJobs of the cluster: ome bench list, and what `ome bench compare` reads of one. */
#include "base/clock.h"
#include "base/str.h"
#include "bench/report.h"
#include "cli/bench.h"
#include "cli/connect.h"
#include "cli/table.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

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

static const char *figure(struct table *t, struct json_object *run, const char *path) {
  return json_at(run, path) ? table_own(t, str_printf("%.1f", report_number(run, path))) : "-";
}

static void print_jobs(struct json_object *list) {
  static const char *const head[] = {"NAMESPACE",     "NAME",         "ENDPOINT", "STATE", "PROGRESS",
                                     "BEST TOKENS/S", "ITS TTFT P50", "TPOT P50", "REPORT"};
  struct json_object *items = json_get(list, "items");
  struct table t = {0};

  table_add(&t, head, ARRAY_LEN(head));
  for (size_t i = 0; i < json_len(items); i++) {
    struct json_object *job = json_index(items, i), *best = best_run(job);
    const char *url = json_str(job, "spec.endpoint.endpoint.url", "-");
    const char *const cells[] = {meta_namespace(job),
                                 meta_name(job),
                                 json_str(job, "spec.endpoint.inferenceService.name", url),
                                 json_str(job, "status.state", "Pending"),
                                 json_str(job, "status.progress", "-"),
                                 figure(&t, best, "outputTokensPerSecond"),
                                 figure(&t, best, "ttftMs.p50"),
                                 figure(&t, best, "tpotMs.p50"),
                                 json_str(job, "status.reportURI", "-")};
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}

int bench_list(const struct bench_options *o) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_json_ struct json_object *found = NULL;
  struct ome_err err = ERR_INIT;
  int32_t rc = cli_connect(o->kubeconfig, NULL, &client, &err);

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
  int32_t rc = cli_connect(o->kubeconfig, NULL, &client, err);

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
