/* What `ome bench` says while it measures and afterwards. */
#ifndef HOST_CLI_BENCH_H
#define HOST_CLI_BENCH_H

#include "bench/sweep.h"

struct bench_outputs {
  const char *format; /* "table", "json", "yaml"; NULL: table */
  const char *report; /* a folder for the report's files; NULL: none are written */
};

/* clang-format off */
#define BENCH_OUTPUT_OPTIONS(o)                                                                                        \
  {'o', "output", "FORMAT", "table (default), json or yaml", CLI_STRING, &(o)->format},                                \
  {0, "report", "DIR", "write JSON, Markdown, HTML and genai-bench's files there", CLI_STRING, &(o)->report}
/* clang-format on */

struct bench_printer;

bool bench_outputs_valid(const struct bench_outputs *o);
/* Sets CFG's callbacks.  OUT and CFG must outlive it. */
int32_t bench_printer_new(const struct bench_outputs *out, struct bench_config *cfg, struct bench_printer **printer,
                          struct ome_err *err);
void bench_printer_free(struct bench_printer *p);
/* Prints REPORT; returns the exit code: 1 where no request was answered, or a file cannot be written. */
int bench_printer_end(struct bench_printer *p, struct json_object *report, struct ome_err *err);

/* Prints what differs between the reports at A and B; the exit code: 1 where something of B is worse, or nothing can be
 * compared. */
int bench_compare(const char *a, const char *b, double threshold, const char *format);

#endif
