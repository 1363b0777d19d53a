/* ome bench compare: what differs between two reports, and whether it is more than noise. */
#include "base/str.h"
#include "bench/report.h"
#include "cli/bench.h"
#include "cli/table.h"
#include "os/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *figure(struct table *t, struct json_object *o, const char *name) {
  return json_get(o, name) ? table_own(t, str_printf("%.4g", report_number(o, name))) : "-";
}

static const char *change(struct table *t, struct json_object *o) {
  return json_get(o, "changePercent") ? table_own(t, str_printf("%+.1f%%", report_number(o, "changePercent"))) : "-";
}

static void print_table(struct json_object *result) {
  static const char *const head[] = {"SCENARIO", "LOAD", "FIGURE", "A", "B", "CHANGE", "P", "VERDICT"};
  struct json_object *all = json_get(result, "figures");
  struct table t = {0};

  table_add(&t, head, ARRAY_LEN(head));
  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *o = json_index(all, i);
    const char *const cells[] = {json_str(o, "scenario", ""), json_str(o, "load", ""),   json_str(o, "figure", ""),
                                 figure(&t, o, "a"),          figure(&t, o, "b"),        change(&t, o),
                                 figure(&t, o, "p"),          json_str(o, "verdict", "")};
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}

/* A report of this machine, else a BenchmarkJob. */
static int32_t read_report(const struct bench_options *o, const char *name, struct json_object **out,
                           struct ome_err *err) {
  return file_exists(name) ? report_read(name, out, err) : bench_job_report(o, name, out, err);
}

int bench_compare(const struct bench_options *o, const char *a, const char *b, double threshold) {
  _cleanup_json_ struct json_object *first = NULL;
  _cleanup_json_ struct json_object *second = NULL;
  struct ome_err err = ERR_INIT;

  if (read_report(o, a, &first, &err) != OME_OK || read_report(o, b, &second, &err) != OME_OK)
    return cli_fail(&err);
  _cleanup_json_ struct json_object *result = report_compare(first, second, threshold);
  int code = cli_print(result, o->outputs.format, print_table);
  (void)fflush(stdout);
  if (json_i64(result, "compared", 0) == 0) {
    fprintf(stderr, "ome: bench: %s and %s have no run of one scenario at one load in common\n", a, b);
    return 1;
  }
  if (json_i64(result, "onlyInA", 0) || json_i64(result, "onlyInB", 0))
    fprintf(stderr, "ome: bench: left out: %lld runs that only %s has, %lld that only %s has\n",
            (long long)json_i64(result, "onlyInA", 0), a, (long long)json_i64(result, "onlyInB", 0), b);
  return code ? code : json_i64(result, "worse", 0) ? 1 : 0;
}
