/* ome bench: load on an OpenAI-compatible server, and what it makes of it. */
#include "cli/bench.h"

#include "base/str.h"
#include "cli/delivery.h"
#include "cli/serve.h"
#include "os/file.h"

#include <stdlib.h>

static int measure(struct bench_options *o) {
  _cleanup_(bench_input_fini) struct bench_input in = {0};
  _cleanup_json_ struct json_object *report = NULL;
  struct ome_err err = ERR_INIT;
  struct bench_printer *printer = NULL;
  int32_t rc = parameters_read(&o->outputs.parameters, &err);

  if (rc == OME_OK && o->outputs.upload) /* rather than when hours are over */
    rc = deliver_check(o->outputs.plugins, o->outputs.upload, &err);
  if (rc == OME_OK)
    rc = bench_input_read(&in, o, &err);
  if (rc == OME_OK)
    rc = bench_printer_new(&o->outputs, &in.cfg, &printer, &err);
  cli_signals_block();
  if (rc == OME_OK)
    rc = bench_sweep(&in.cfg, &report, &err);
  if (rc != OME_OK && streq(o->outputs.format, "events"))
    bench_event_end(&o->outputs, NULL, false, err.msg);
  int code = rc == OME_OK ? bench_printer_end(printer, report, &err) : cli_fail(&err);
  bench_printer_free(printer);
  return code;
}

static int compare(const struct cli_command *self, const struct bench_options *o, const char *a, const char *b) {
  char *end = NULL;
  double percent = o->threshold ? strtod(o->threshold, &end) : 3;

  if (!(percent >= 0 && percent <= 1000) || (end && (*end || end == o->threshold)))
    return cli_usage(self, "--threshold: \"%s\" is no percentage", o->threshold);
  return bench_compare(o, a, b, percent);
}

static int load(const struct cli_command *self, struct bench_options *o, const char *url) {
  if (o->repeat > BENCH_MAX_REPEATS || o->stable > 100 || o->batch > SCENARIO_MAX_COUNT)
    return cli_usage(self, "--repeat is at most %u, --stable 100, --batch %u", BENCH_MAX_REPEATS, SCENARIO_MAX_COUNT);
  if (o->outputs.upload && !o->outputs.report)
    return cli_usage(self, "--upload sends what --report writes; give both");
  if (o->stable && !o->repeat)
    o->repeat = 10;
  if (!o->seed) {
    random_bytes(&o->seed, sizeof(o->seed));
    o->seed = 1 + o->seed % 1000000000; /* a number that people can type */
  }
  o->url = url;
  return measure(o);
}

/* What the operands ask for. */
static int dispatch(const struct cli_command *self, struct bench_options *o, int operands, char **argv) {
  const char *verb = operands ? argv[1] : "";

  if (operands == 3 && streq(verb, "compare"))
    return compare(self, o, argv[2], argv[3]);
  if (operands == 2 && streq(verb, "upload"))
    return o->outputs.upload ? bench_upload_main(&o->outputs, argv[2]) : cli_usage(self, "upload: --upload is needed");
  if (operands == 1 && streq(verb, "list"))
    return bench_list(o);
  return operands == 1 ? load(self, o, verb) : cli_usage(self, "one address is needed");
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct bench_options o = {0};
  const struct cli_option options[] = {
      {'m', "model", "NAME", "what requests name as their model (default: the server's first)", CLI_STRING, &o.model},
      {0, "task", "TASK", "chat (default), completions, embeddings, rerank, image, image-embeddings", CLI_STRING,
       &o.task},
      {'s', "scenario", "S", "lengths, as D(100,200); repeat for several", CLI_LIST, &o.scenarios},
      {'c', "concurrency", "N", "streams at a time (default: 1); 1,2,4 or repeat for several", CLI_LIST,
       &o.concurrency},
      {'n', "requests", "N", "requests a run", CLI_UINT, &o.requests},
      {'d', "duration", "TIME", "how long requests start, as 60s", CLI_STRING, &o.duration},
      {0, "rate", "R", "requests a second: an open loop; 1,2,4 for several", CLI_LIST, &o.rates},
      {0, "arrival", "KIND", "closed, constant, poisson (default with --rate), ramp (two rates), replay", CLI_STRING,
       &o.arrival},
      {0, "replay", "FILE", "when requests start: seconds, a line each", CLI_STRING, &o.replay},
      {0, "turns", "N", "turns of a conversation (default: 1); further ones are sent with all that was said before",
       CLI_UINT, &o.turns},
      {0, "warmup", "N", "requests before each run that do not count", CLI_UINT, &o.warmup},
      {0, "cooldown", "N", "requests that keep the load up while the last of a run end, and do not count", CLI_UINT,
       &o.cooldown},
      {0, "repeat", "N", "times to repeat each run", CLI_UINT, &o.repeat},
      {0, "stable", "PERCENT", "stop repeating when the throughput is known this well", CLI_UINT, &o.stable},
      {0, "timeout", "TIME", "for a request (default: 600s)", CLI_STRING, &o.timeout},
      {0, "stall-timeout", "TIME", "between two pieces of a stream (default: 60s)", CLI_STRING, &o.stall},
      {0, "no-stream", NULL, "ask for whole answers", CLI_FLAG, &o.no_stream},
      {0, "batch", "N", "documents a request, for embeddings and rerank", CLI_UINT, &o.batch},
      {0, "param", "NAME=VALUE", "a further member of each request; NAME= takes a default out", CLI_LIST, &o.params},
      {0, "params-file", "FILE", "the same from a JSON or YAML file", CLI_STRING, &o.params_file},
      {0, "header", "LINE", "a further header of each request; no secrets here", CLI_LIST, &o.headers},
      {0, "api-key-file", "FILE", "the API key is in FILE", CLI_STRING, &o.key_file},
      {0, "dataset", "FILE", "prompts from FILE, a line each, text or JSON", CLI_STRING, &o.dataset},
      {0, "tokenizer", "FILE", "tokenizer.json, or a folder that has it: prompts of exact lengths, answers counted",
       CLI_STRING, &o.tokenizer},
      {0, "metadata", "NAME=VALUE", "a fact about the service, kept in the report", CLI_LIST, &o.metadata},
      {0, "metadata-file", "FILE", "the same from a JSON or YAML file", CLI_STRING, &o.metadata_file},
      {0, "seed", "N", "of everything random; another each time, so that no server knows the prompts", CLI_UINT,
       &o.seed},
      {0, "threshold", "PERCENT", "compare: a smaller change is none (default: 3)", CLI_STRING, &o.threshold},
      {'o', "output", "FORMAT", "table (default), json, yaml, or events: a line of JSON as things happen", CLI_STRING,
       &o.outputs.format},
      {0, "report", "DIR", "write JSON, Markdown, HTML and genai-bench's files there", CLI_STRING, &o.outputs.report},
      {0, "upload", "URI", "send them to a storage backend", CLI_STRING, &o.outputs.upload},
      PARAMETERS_OPTIONS(&o.outputs.parameters),
      {0, "plugins", "FILE", "plugins.conf to load for it", CLI_STRING, &o.outputs.plugins},
      {0, "namespace", "NAMESPACE", "list, compare: of BenchmarkJobs", CLI_STRING, &o.ns},
      {'A', "all-namespaces", NULL, "list: of every namespace", CLI_FLAG, &o.all_namespaces},
      {0, "kubeconfig", "FILE", "list, compare: the API server (default: $KUBECONFIG, .ome/kubeconfig, ~/.kube/config)",
       CLI_STRING, &o.kubeconfig},
      {0},
  };
  int operands = cli_parse(self, options, argc, argv);

  if (!bench_outputs_valid(&o.outputs))
    return cli_usage(self, "--output: \"%s\" is none of table, json, yaml, events", o.outputs.format);
  int code = dispatch(self, &o, operands, argv);
  parameters_fini(&o.outputs.parameters);
  return code;
}

const struct cli_command cli_bench = {
    .name = "bench",
    .args = "URL | list | compare A B | upload DIR",
    .summary = "measure an inference server: latencies, throughput, errors",
    .help =
        "Sends requests to the OpenAI-compatible server at URL and reports time to first token, time per output\n"
        "token, inter-token and end-to-end latency, throughput, and errors by class. Every scenario is run at every\n"
        "concurrency; with --rate requests come at their own times, and latencies count from those.\n\n"
        "Scenarios: D(in,out) fixed, N(mean,sd)/(mean,sd) normal, U(min,max)/(min,max) uniform,\n"
        "P(prefix,suffix)/out with a shared prefix, E(tokens[,documents]), R(tokens[,query]),\n"
        "I(width,height[,images]). Ctrl-C ends the benchmark and keeps what there is.\n"
        "compare says what two reports (files, folders of --report, or BenchmarkJobs by name) differ in beyond noise;\n"
        "status 1: B is worse.  list shows the BenchmarkJobs of the cluster.  upload sends the results in DIR, also\n"
        "genai-bench's, to --upload.\n\n"
        "  ome bench http://localhost:8080 -m llama -s 'D(100,200)' -c 1,4,16 -d 60s\n"
        "  ome bench http://localhost:8080 -m llama -s 'N(480,240)/(300,150)' --rate 5 -d 5m -o json\n"
        "  ome bench http://localhost:8080 -m bge --task embeddings -s 'E(256)' -c 8 -n 1000\n"
        "  ome bench compare before after --threshold 5\n"
        "  kubectl ome bench compare llama-h100 llama-h200",
    .run = run,
};
