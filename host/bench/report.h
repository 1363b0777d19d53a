/* What is said about runs: as JSON (docs/bench.md has the schema), as text for people, as files for other tools. */
#ifndef HOST_BENCH_REPORT_H
#define HOST_BENCH_REPORT_H

#include "base/buf.h"
#include "base/json.h"
#include "bench/sweep.h"

#define REPORT_SCHEMA "ome.io/bench/v1"

/* new: the run as one of "runs"; NULL: memory ran out. */
struct json_object *report_run(const struct run *r);
/* new: what was asked for, without secrets. */
struct json_object *report_config(const struct bench_config *c);

/* ---- for people -------------------------------------------------------------------------------------------------- */

/* Appends the report as Markdown, and as one HTML page without scripts that opens from disk. */
void report_markdown(struct json_object *report, struct buf *out);
void report_html(struct json_object *report, struct buf *out);

/* The columns of both. */
struct report_column {
  const char *title, *path;
  int digits;
};
#define REPORT_COLUMNS 9
extern const struct report_column report_columns[REPORT_COLUMNS];
void report_cell(struct json_object *run, const struct report_column *c, char out[32]);
/* How well repeats agree, "114.2 ± 1.3 tokens/s, ..."; false: there are none. */
bool report_confidence(struct json_object *run, char out[200]);
void report_load(struct json_object *run, char out[32]);         /* "16", or "2.5/s" */
double report_number(struct json_object *run, const char *path); /* 0: absent */

/* ---- for genai-bench's tools ------------------------------------------------------------------------------------- */

struct json_object *report_genai_metadata(const struct bench_config *c, const char *folder); /* new */
struct json_object *report_genai_run(const struct run *r);                                   /* new */
char *report_genai_name(const struct run *r, enum bench_task task);                          /* new: its file's name */

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* report.json, report.md and report.html below DIR, which is made. */
int32_t report_write(const char *dir, struct json_object *report, struct ome_err *err);
/* One document below DIR, as indented JSON. */
int32_t report_write_json(const char *dir, const char *name, struct json_object *o, struct ome_err *err);
/* new: the report at PATH, a file or a folder with report.json; OME_E_INVALID: it is none. */
int32_t report_read(const char *path, struct json_object **out, struct ome_err *err);

/* The same of a folder that may be genai-bench's. */
int32_t report_read_any(const char *folder, struct json_object **out, struct ome_err *err);

/* ---- in short ---------------------------------------------------------------------------------------------------- */

/* new array: the runs of REPORT with their main figures, enough for report_compare(); at most 256 of them. */
struct json_object *report_brief(struct json_object *report);

/* ---- two of them ------------------------------------------------------------------------------------------------- */

/* new: {thresholdPercent, compared, onlyInA, onlyInB, worse, better, figures: [{scenario, load, figure, a, b,
 * changePercent, p, verdict}]}, verdicts "same", "better", "worse", of B against A.  A figure differs when chance
 * explains that in less than one of a hundred cases (Welch's t-test over repeats where both have three, else over
 * requests) and it moved by THRESHOLD percent or more. */
struct json_object *report_compare(struct json_object *a, struct json_object *b, double threshold);

#endif
