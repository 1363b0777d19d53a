/* The parts of `ome bench`: what its options come to, what it says, where its results go. */
#ifndef HOST_CLI_BENCH_H
#define HOST_CLI_BENCH_H

#include "bench/sweep.h"
#include "cli/cli.h"
#include "cli/parameters.h"

/* ---- options ----------------------------------------------------------------------------------------------------- */

struct bench_outputs {
  const char *format; /* "table", "json", "yaml", "events"; NULL: table */
  const char *report; /* a folder for the report's files; NULL: none are written */
  const char *upload; /* a storage backend's address that the folder is sent to; NULL: it stays here */
  const char *plugins;
  struct parameters parameters; /* of that backend */
};

struct bench_options {
  const char *url; /* operand */
  const char *model, *task, *duration, *arrival, *replay, *timeout, *stall, *key_file, *dataset, *tokenizer,
      *params_file, *metadata_file;
  struct cli_list scenarios, concurrency, rates, params, headers, metadata;
  uint64_t requests, turns, warmup, cooldown, repeat, stable, batch, seed;
  bool no_stream;
  const char *threshold, *ns, *kubeconfig;
  bool all_namespaces;
  struct bench_outputs outputs;
};

/* What a configuration borrows. */
struct bench_input {
  struct bench_config cfg;
  char *api_key, *model;
  const char *headers[ARRAY_LEN(((struct cli_list *)NULL)->items) + 1];
  struct dataset dataset;
  struct tokenizer *tokenizer;
  struct arrival_offsets replay;
  struct json_object *params, *metadata;
};

/* Reads files, and asks the server which model it serves where none is named.  IN is zeroed, and ended in any case. */
int32_t bench_input_read(struct bench_input *in, const struct bench_options *o, struct ome_err *err);
void bench_input_fini(struct bench_input *in);

/* ---- what is said ------------------------------------------------------------------------------------------------ */

struct bench_printer;

bool bench_outputs_valid(const struct bench_outputs *o);
/* Sets CFG's callbacks.  OUT and CFG must outlive it. */
int32_t bench_printer_new(struct bench_outputs *out, struct bench_config *cfg, struct bench_printer **printer,
                          struct ome_err *err);
void bench_printer_free(struct bench_printer *p);
/* Writes and sends REPORT's files where that is asked for, and prints it; returns the exit code: 1 where no request was
 * answered, or a file cannot be written or sent. */
int bench_printer_end(struct bench_printer *p, struct json_object *report, struct ome_err *err);

/* ---- where results go -------------------------------------------------------------------------------------------- */

/* Sends what is below FOLDER to O->upload. */
int32_t bench_upload(struct bench_outputs *o, const char *folder, struct ome_err *err);
/* One line of JSON on standard output: {event: NAME, message, partial, failed, uploaded, runs[]}; REPORT (its figures
 * in short) and MESSAGE may be NULL. */
void bench_event_end(const struct bench_outputs *o, struct json_object *report, bool uploaded, const char *message);
/* `ome bench upload DIR`: the results of another run, or of genai-bench. */
int bench_upload_main(struct bench_outputs *o, const char *folder);

/* ---- comparing --------------------------------------------------------------------------------------------------- */

/* Prints what differs between the reports A and B, which are files, folders or BenchmarkJobs ("NAME" or
 * "NAMESPACE/NAME"); the exit code: 1 where something of B is worse, or nothing can be compared. */
int bench_compare(const struct bench_options *o, const char *a, const char *b, double threshold);
/* Prints the BenchmarkJobs of the cluster. */
int bench_list(const struct bench_options *o);
/* new: what the status of a BenchmarkJob says, as a report. */
int32_t bench_job_report(const struct bench_options *o, const char *name, struct json_object **out,
                         struct ome_err *err);

#endif
