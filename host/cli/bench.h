/* What `ome bench` says while it measures and afterwards. */
#ifndef HOST_CLI_BENCH_H
#define HOST_CLI_BENCH_H

#include "bench/sweep.h"

struct bench_outputs {
  const char *format; /* "table", "json", "yaml"; NULL: table */
};

#define BENCH_OUTPUT_OPTIONS(o)                                                                                        \
  { 'o', "output", "FORMAT", "table (default), json or yaml", CLI_STRING, &(o)->format }

struct bench_printer;

bool bench_outputs_valid(const struct bench_outputs *o);
/* Sets CFG's callbacks.  OUT and CFG must outlive it. */
int32_t bench_printer_new(const struct bench_outputs *out, struct bench_config *cfg, struct bench_printer **printer,
                          struct ome_err *err);
void bench_printer_free(struct bench_printer *p);
/* Prints REPORT; returns the exit code: 1 where no request was answered, or a file cannot be written. */
int bench_printer_end(struct bench_printer *p, struct json_object *report, struct ome_err *err);

#endif
