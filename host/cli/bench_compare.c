/* ome bench compare: what differs between two reports, and whether it is more than noise. */
#include "base/str.h"
#include "bench/report.h"
#include "cli/bench.h"
#include "os/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 8 };

static char *figure(struct json_object *o, const char *name) {
  return json_get(o, name) ? str_printf("%.4g", report_number(o, name)) : strdup("-");
}

static void print_table(struct json_object *result) {
  static const char *const head[] = {"SCENARIO", "LOAD", "FIGURE", "A", "B", "CHANGE", "P", "VERDICT", NULL};
  struct json_object *all = json_get(result, "figures");
  size_t n = json_len(all);
  char *(*cells)[COLUMNS + 1] = calloc(n + 1, sizeof(*cells));
  const char *const **rows = calloc(n + 1, sizeof(*rows));

  for (size_t i = 0; cells && rows && i < n; i++) {
    struct json_object *o = json_index(all, i);
    cells[i][0] = strdup(json_str(o, "scenario", ""));
    cells[i][1] = strdup(json_str(o, "load", ""));
    cells[i][2] = strdup(json_str(o, "figure", ""));
    cells[i][3] = figure(o, "a");
    cells[i][4] = figure(o, "b");
    cells[i][5] = json_get(o, "changePercent") ? str_printf("%+.1f%%", report_number(o, "changePercent")) : strdup("-");
    cells[i][6] = figure(o, "p");
    cells[i][7] = strdup(json_str(o, "verdict", ""));
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
