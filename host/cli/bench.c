/* ome bench: load on an OpenAI-compatible server, and what it makes of it. */
#include "cli/bench.h"

#include "base/str.h"
#include "base/yaml.h"
#include "bench/report.h"
#include "cli/cli.h"
#include "os/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct bench_options {
  const char *model, *task, *duration, *arrival, *replay, *timeout, *stall, *key_file, *dataset, *params_file, *output;
  struct cli_list scenarios, concurrency, rates, params, headers, metadata;
  uint64_t requests, warmup, repeat, stable, batch, seed;
  bool no_stream;
  const char *threshold;
  struct bench_outputs outputs;
};

/* What the configuration borrows. */
struct bench_input {
  struct bench_config cfg;
  char *api_key;
  struct dataset dataset;
  struct arrival_offsets replay;
  struct json_object *params, *metadata;
};

static void input_fini(struct bench_input *in) {
  if (in->api_key)
    explicit_bzero(in->api_key, strlen(in->api_key));
  free(in->api_key);
  dataset_fini(&in->dataset);
  VEC_FREE(&in->replay.ns);
  json_unref(in->params);
  json_unref(in->metadata);
}

/* ---- reading options --------------------------------------------------------------------------------------------- */

/* "30s", "5m", "1h", "250ms", "30": nanoseconds. */
static bool read_duration(const char *text, uint64_t *out) {
  static const struct {
    const char *unit;
    double seconds;
  } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"ms", 0.001}};
  char *end;
  double n = strtod(text, &end);

  for (size_t i = 0; i < ARRAY_LEN(units); i++)
    if (end > text && streq(end, units[i].unit) && n >= 0 && n * units[i].seconds <= 1e6) {
      *out = (uint64_t)(n * units[i].seconds * 1e9);
      return true;
    }
  return false;
}

static int32_t set_duration(const char *option, const char *text, uint64_t *out, uint64_t unit, struct ome_err *err) {
  uint64_t ns;

  if (!text)
    return OME_OK;
  if (!read_duration(text, &ns) || ns < unit)
    return fail(err, OME_E_INVALID, "bench: --%s: \"%s\" is no time; write 30s, 5m or 250ms", option, text);
  *out = ns / unit;
  return OME_OK;
}

/* The parts of repeated options and of "1,2,4", one by one. */
static int32_t each_number(const char *option, const struct cli_list *list, double *out, size_t *n,
                           struct ome_err *err) {
  for (size_t i = 0; i < list->len; i++) {
    _cleanup_free_ char **parts = str_split(list->items[i], ',');
    for (size_t j = 0; parts && parts[j]; j++) {
      char *end;
      double v = strtod(parts[j], &end);
      if (end == parts[j] || *end || !isfinite(v) || v < 0)
        return fail(err, OME_E_INVALID, "bench: --%s: \"%s\" is no number", option, parts[j]);
      if (*n == BENCH_MAX_POINTS)
        return fail(err, OME_E_INVALID, "bench: --%s: more than %u values", option, BENCH_MAX_POINTS);
      out[(*n)++] = v;
    }
  }
  return OME_OK;
}

static int32_t set_concurrency(struct bench_config *c, const struct cli_list *list, struct ome_err *err) {
  double values[BENCH_MAX_POINTS];
  int32_t rc = each_number("concurrency", list, values, &c->nconcurrency, err);

  for (size_t i = 0; rc == OME_OK && i < c->nconcurrency; i++) {
    if (values[i] < 1 || values[i] > RUN_MAX_STREAMS || values[i] != floor(values[i]))
      return fail(err, OME_E_INVALID, "bench: --concurrency: %g is not 1 to %u", values[i], RUN_MAX_STREAMS);
    c->concurrency[i] = (uint32_t)values[i];
  }
  if (rc == OME_OK && !c->nconcurrency) {
    c->concurrency[0] = c->arrival == ARRIVAL_CLOSED ? 1 : 2000;
    c->nconcurrency = 1;
  }
  return rc;
}

static int32_t set_scenarios(struct bench_config *c, const struct cli_list *list, struct ome_err *err) {
  for (size_t i = 0; i < list->len; i++) {
    if (streq(list->items[i], "dataset"))
      continue;
    int32_t rc = scenario_parse(list->items[i], c->task, &c->scenarios[c->nscenarios], err);
    if (rc != OME_OK)
      return rc;
    c->nscenarios++;
  }
  return OME_OK;
}

static int32_t set_arrival(struct bench_input *in, const struct bench_options *o, struct ome_err *err) {
  static const char *const names[] = {"closed", "constant", "poisson", "ramp", "replay"};
  struct bench_config *c = &in->cfg;
  const char *name = o->arrival ? o->arrival : o->replay ? "replay" : o->rates.len ? "poisson" : "closed";
  int32_t rc = each_number("rate", &o->rates, c->rates, &c->nrates, err);
  size_t i = 0;

  while (i < ARRAY_LEN(names) && !streq(name, names[i]))
    i++;
  if (rc == OME_OK && i == ARRAY_LEN(names))
    return fail(err, OME_E_INVALID, "bench: --arrival: \"%s\" is none of closed, constant, poisson, ramp, replay",
                name);
  c->arrival = (enum arrival_kind)i;
  if (rc == OME_OK && c->arrival == ARRIVAL_CLOSED && c->nrates)
    return fail(err, OME_E_INVALID, "bench: --rate: a closed loop has none");
  if (rc != OME_OK || c->arrival != ARRIVAL_REPLAY)
    return rc;
  if (!o->replay)
    return fail(err, OME_E_INVALID, "bench: --arrival: a replay needs --replay FILE");
  _cleanup_free_ char *text = NULL;
  rc = file_read(o->replay, (size_t)64 << 20, &text, NULL, err);
  if (rc == OME_OK)
    rc = arrival_read(o->replay, text, &in->replay, err);
  c->replay = &in->replay;
  return rc;
}

/* "name=value" into O: JSON where VALUE is some, else a string; "name=" is null, which takes a default out. */
static int32_t add_pairs(const char *option, const struct cli_list *list, struct json_object *o, struct ome_err *err) {
  for (size_t i = 0; i < list->len; i++) {
    const char *text = list->items[i];
    const char *equals = strchr(text, '=');
    struct json_object *value = NULL;
    struct ome_err ignored = ERR_INIT;
    if (!equals || equals == text)
      return fail(err, OME_E_INVALID, "bench: --%s: \"%s\" is not NAME=VALUE", option, text);
    _cleanup_free_ char *name = str_copy(text, (size_t)(equals - text));
    if (!name)
      return fail_memory(err);
    if (equals[1] && json_parse(equals + 1, strlen(equals + 1), 0, &value, &ignored) != OME_OK)
      value = json_object_new_string(equals + 1);
    if (json_object_object_add(o, name, value) != 0)
      return fail_memory(err);
  }
  return OME_OK;
}

static int32_t set_params(struct bench_input *in, const struct bench_options *o, struct ome_err *err) {
  int32_t rc = OME_OK;

  if (o->params_file) {
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    rc = file_read(o->params_file, (size_t)1 << 20, &text, &len, err);
    if (rc == OME_OK)
      rc = yaml_parse_one(o->params_file, text, len, &in->params, err);
    if (rc == OME_OK && !json_is(in->params, json_type_object))
      return fail(err, OME_E_INVALID, "bench: %s: holds no object", o->params_file);
  }
  if (rc == OME_OK && !in->params)
    in->params = json_object_new_object();
  in->metadata = json_object_new_object();
  if (rc == OME_OK && (!in->params || !in->metadata))
    return fail_memory(err);
  if (rc == OME_OK)
    rc = add_pairs("param", &o->params, in->params, err);
  if (rc == OME_OK)
    rc = add_pairs("metadata", &o->metadata, in->metadata, err);
  in->cfg.params = in->params;
  in->cfg.metadata = json_empty(in->metadata) ? NULL : in->metadata;
  return rc;
}

static int32_t read_files(struct bench_input *in, const struct bench_options *o, struct ome_err *err) {
  int32_t rc = OME_OK;

  if (o->key_file) {
    rc = file_read(o->key_file, 65536, &in->api_key, NULL, err);
    if (rc != OME_OK)
      return rc;
    in->api_key[strcspn(in->api_key, "\r\n")] = '\0';
    in->cfg.api_key = in->api_key;
  }
  if (o->dataset) {
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    rc = file_read(o->dataset, DATASET_MAX_BYTES, &text, &len, err);
    if (rc == OME_OK)
      rc = dataset_read(o->dataset, text, len, &in->dataset, err);
    in->cfg.dataset = &in->dataset;
    in->cfg.dataset_name = o->dataset;
    if (rc == OME_OK && in->dataset.bad)
      fprintf(stderr, "ome: bench: %s: %llu bad rows are left out; the first: %s\n", o->dataset,
              (unsigned long long)in->dataset.bad, in->dataset.first_bad);
  }
  return rc;
}

static int32_t read_input(struct bench_input *in, const struct bench_options *o, struct ome_err *err) {
  struct bench_config *c = &in->cfg;

  if (!task_find(o->task ? o->task : "chat", &c->task))
    return fail(err, OME_E_INVALID,
                "bench: --task: \"%s\" is none of chat, completions, embeddings, rerank, image, image-embeddings",
                o->task);
  c->model = o->model;
  c->stream = !o->no_stream && task_facts(c->task)->generates;
  c->requests = o->requests;
  c->warmup = o->warmup;
  c->repeats = (uint32_t)o->repeat;
  c->stable_percent = (double)o->stable;
  c->documents = (uint32_t)o->batch;
  c->seed = o->seed;
  int32_t rc = set_duration("duration", o->duration, &c->duration_ns, 1, err);
  if (rc == OME_OK)
    rc = set_duration("timeout", o->timeout, &c->timeout_ms, 1000000, err);
  if (rc == OME_OK)
    rc = set_duration("stall-timeout", o->stall, &c->stall_ms, 1000000, err);
  if (rc == OME_OK)
    rc = set_arrival(in, o, err);
  if (rc == OME_OK)
    rc = set_concurrency(c, &o->concurrency, err);
  if (rc == OME_OK)
    rc = set_scenarios(c, &o->scenarios, err);
  if (rc == OME_OK)
    rc = set_params(in, o, err);
  return rc == OME_OK ? read_files(in, o, err) : rc;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static int measure(const struct bench_options *o, const char *url) {
  _cleanup_(input_fini) struct bench_input in = {0};
  _cleanup_json_ struct json_object *report = NULL;
  struct ome_err err = ERR_INIT;
  const char *headers[ARRAY_LEN(o->headers.items) + 1];

  for (size_t i = 0; i <= o->headers.len; i++)
    headers[i] = i < o->headers.len ? o->headers.items[i] : NULL;
  in.cfg.url = url;
  in.cfg.headers = headers;
  struct bench_printer *printer = NULL;
  int32_t rc = read_input(&in, o, &err);
  if (rc == OME_OK)
    rc = bench_printer_new(&o->outputs, &in.cfg, &printer, &err);
  cli_signals_block();
  if (rc == OME_OK)
    rc = bench_sweep(&in.cfg, &report, &err);
  int code = rc == OME_OK ? bench_printer_end(printer, report, &err) : cli_fail(&err);
  bench_printer_free(printer);
  return code;
}

static int compare(const struct cli_command *self, const struct bench_options *o, const char *a, const char *b) {
  char *end = NULL;
  double percent = o->threshold ? strtod(o->threshold, &end) : 3;

  if (!(percent >= 0 && percent <= 1000) || (end && (*end || end == o->threshold)))
    return cli_usage(self, "--threshold: \"%s\" is no percentage", o->threshold);
  return bench_compare(a, b, percent, o->outputs.format);
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct bench_options o = {.seed = 1};
  const struct cli_option options[] = {
      {'m', "model", "NAME", "what requests name as their model", CLI_STRING, &o.model},
      {0, "task", "TASK", "chat (default), completions, embeddings, rerank, image, image-embeddings", CLI_STRING,
       &o.task},
      {'s', "scenario", "S", "lengths, as D(100,200); repeat for several", CLI_LIST, &o.scenarios},
      {'c', "concurrency", "N", "streams at a time, 1; 1,2,4 or repeat for several", CLI_LIST, &o.concurrency},
      {'n', "requests", "N", "requests a run", CLI_UINT, &o.requests},
      {'d', "duration", "TIME", "how long requests start, as 60s", CLI_STRING, &o.duration},
      {0, "rate", "R", "requests a second: an open loop; 1,2,4 for several", CLI_LIST, &o.rates},
      {0, "arrival", "KIND", "closed, constant, poisson (default with --rate), ramp (two rates), replay", CLI_STRING,
       &o.arrival},
      {0, "replay", "FILE", "when requests start: seconds, a line each", CLI_STRING, &o.replay},
      {0, "warmup", "N", "requests before each run that do not count", CLI_UINT, &o.warmup},
      {0, "repeat", "N", "times to repeat each run", CLI_UINT, &o.repeat},
      {0, "stable", "PERCENT", "stop repeating when the throughput is known this well", CLI_UINT, &o.stable},
      {0, "timeout", "TIME", "for a request, 600s", CLI_STRING, &o.timeout},
      {0, "stall-timeout", "TIME", "between two pieces of a stream, 60s", CLI_STRING, &o.stall},
      {0, "no-stream", NULL, "ask for whole answers", CLI_FLAG, &o.no_stream},
      {0, "batch", "N", "documents a request, for embeddings and rerank", CLI_UINT, &o.batch},
      {0, "param", "NAME=VALUE", "a further member of each request; NAME= takes a default out", CLI_LIST, &o.params},
      {0, "params-file", "FILE", "the same from a JSON or YAML file", CLI_STRING, &o.params_file},
      {0, "header", "LINE", "a further header of each request; no secrets here", CLI_LIST, &o.headers},
      {0, "api-key-file", "FILE", "the API key is in FILE", CLI_STRING, &o.key_file},
      {0, "dataset", "FILE", "prompts from FILE, a line each, text or JSON", CLI_STRING, &o.dataset},
      {0, "metadata", "NAME=VALUE", "a fact about the service, kept in the report", CLI_LIST, &o.metadata},
      {0, "seed", "N", "of everything random, 1", CLI_UINT, &o.seed},
      {0, "threshold", "PERCENT", "compare: a smaller change is none, 3", CLI_STRING, &o.threshold},
      BENCH_OUTPUT_OPTIONS(&o.outputs),
      {0},
  };
  int operands = cli_parse(self, options, argc, argv);

  if (!bench_outputs_valid(&o.outputs))
    return cli_usage(self, "--output: \"%s\" is none of table, json, yaml", o.outputs.format);
  if (operands == 3 && streq(argv[1], "compare"))
    return compare(self, &o, argv[2], argv[3]);
  if (operands != 1)
    return cli_usage(self, "one address is needed");
  if (!o.model)
    return cli_usage(self, "--model is needed");
  if (o.repeat > BENCH_MAX_REPEATS || o.stable > 100 || o.batch > SCENARIO_MAX_COUNT)
    return cli_usage(self, "--repeat is at most %u, --stable 100, --batch %u", BENCH_MAX_REPEATS, SCENARIO_MAX_COUNT);
  if (o.stable && !o.repeat)
    o.repeat = 10;
  return measure(&o, argv[1]);
}

const struct cli_command cli_bench = {
    .name = "bench",
    .args = "URL | compare A B",
    .summary = "measure an inference server: latencies, throughput, errors",
    .help =
        "Sends requests to the OpenAI-compatible server at URL and reports time to first token, time per output\n"
        "token, inter-token and end-to-end latency, throughput, and errors by class. Every scenario is run at every\n"
        "concurrency; with --rate requests come at their own times, and latencies count from those.\n\n"
        "Scenarios: D(in,out) fixed, N(mean,sd)/(mean,sd) normal, U(min,max)/(min,max) uniform,\n"
        "P(prefix,suffix)/out with a shared prefix, E(tokens[,documents]), R(tokens[,query]),\n"
        "I(width,height[,images]). Ctrl-C ends the benchmark and keeps what there is.\n"
        "compare says what two reports (files, or folders of --report) differ in beyond noise; status 1: B is worse.\n\n"
        "  ome bench http://localhost:8080 -m llama -s 'D(100,200)' -c 1,4,16 -d 60s\n"
        "  ome bench http://localhost:8080 -m llama -s 'N(480,240)/(300,150)' --rate 5 -d 5m -o json\n"
        "  ome bench http://localhost:8080 -m bge --task embeddings -s 'E(256)' -c 8 -n 1000\n"
        "  ome bench compare before after --threshold 5\n",
    .run = run,
};
