#include "bench/sweep.h"

#include "base/clock.h"
#include "base/str.h"
#include "bench/report.h"
#include "bench/stability.h"
#include "net/http_client.h"

#include <string.h>
#include <sys/resource.h>

struct sweep {
  const struct bench_config *cfg;
  struct http_client *http;
  struct request_source source;
  struct run_target target;
  struct bench_progress progress;
  char *url;
  char *authorization;
  VEC(const char *) headers;
  bool stopped;
};

int32_t bench_url(const char *url, enum bench_task task, char **out, struct ome_err *err) {
  const char *path = task_facts(task)->path;
  size_t len = strlen(url);

  if (!has_prefix(url, "http://") && !has_prefix(url, "https://"))
    return fail(err, OME_E_INVALID, "bench: %.200s: is no http:// or https:// address", url);
  const char *host = strstr(url, "//") + 2;
  if (!*host || *host == '/' || strcspn(host, "@") < strcspn(host, "/?#"))
    return fail(err, OME_E_INVALID,
                "bench: the address has no host, or has credentials in it; give those with --api-key-file");
  if (has_suffix(url, path)) {
    *out = strdup(url);
    return *out ? OME_OK : fail_memory(err);
  }
  while (len && url[len - 1] == '/')
    len--;
  if (len > 3 && strncmp(url + len - 3, "/v1", 3) == 0)
    len -= 3;
  *out = str_printf("%.*s%s", (int)len, url, path);
  return *out ? OME_OK : fail_memory(err);
}

size_t bench_default_scenarios(enum bench_task task, struct scenario out[BENCH_MAX_POINTS]) {
  _cleanup_free_ char **texts = str_split(task_facts(task)->fallback, ' ');
  struct ome_err err = ERR_INIT;
  size_t n = 0;

  for (size_t i = 0; texts && texts[i] && n < BENCH_MAX_POINTS; i++)
    n += scenario_parse(texts[i], task, &out[n], &err) == OME_OK;
  return n;
}

/* ---- before ------------------------------------------------------------------------------------------------------ */

static int32_t check_arrival(const struct bench_config *c, struct ome_err *err) {
  bool ramp = c->arrival == ARRIVAL_RAMP;

  for (size_t i = 0; i < c->nrates; i++) {
    bool ok = c->rates[i] > 0 || (ramp && i == 0); /* a ramp may begin with nothing */
    if (!ok || c->rates[i] > ARRIVAL_MAX_RATE)
      return fail(err, OME_E_INVALID, "bench: --rate: %g is not above 0 and at most %g a second", c->rates[i],
                  ARRIVAL_MAX_RATE);
  }
  if (ramp && (c->nrates != 2 || !c->duration_ns))
    return fail(err, OME_E_INVALID, "bench: a ramp takes two rates and a --duration");
  if ((c->arrival == ARRIVAL_CONSTANT || c->arrival == ARRIVAL_POISSON) && !c->nrates)
    return fail(err, OME_E_INVALID, "bench: --arrival: no --rate is given");
  return OME_OK;
}

static int32_t check(const struct bench_config *c, struct ome_err *err) {
  if (!c->nconcurrency)
    return fail(err, OME_E_INVALID, "bench: no concurrency is given");
  for (size_t i = 0; i < c->nconcurrency; i++)
    if (c->concurrency[i] == 0 || c->concurrency[i] > RUN_MAX_STREAMS)
      return fail(err, OME_E_INVALID, "bench: --concurrency: %u is not 1 to %u", c->concurrency[i], RUN_MAX_STREAMS);
  if (c->turns > 1 && (c->task != TASK_CHAT || c->turns > CONVERSATION_MAX_TURNS))
    return fail(err, OME_E_INVALID, "bench: --turns: conversations are for the task chat, of at most %u turns",
                CONVERSATION_MAX_TURNS);
  if (!c->requests && !c->duration_ns && c->arrival != ARRIVAL_REPLAY)
    return fail(err, OME_E_INVALID, "bench: a run would never end; give --requests or --duration");
  return check_arrival(c, err);
}

/* A stream is a connection: as many files must be open at a time. */
static int32_t raise_files(uint32_t streams, struct ome_err *err) {
  struct rlimit limit;
  rlim_t wanted = (rlim_t)streams + 128;

  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
    return OME_OK;
  limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur >= wanted
             ? OME_OK
             : fail(err, OME_E_NO_SPACE, "bench: %u streams need %u open files, the limit is %llu; raise ulimit -n",
                    streams, (unsigned)wanted, (unsigned long long)limit.rlim_cur);
}

static int32_t set_headers(struct sweep *s, struct ome_err *err) {
  const struct bench_config *c = s->cfg;

  if (c->api_key) {
    s->authorization = str_printf("Authorization: Bearer %s", c->api_key);
    if (!s->authorization || !VEC_PUSH(&s->headers, s->authorization))
      return fail_memory(err);
  }
  bool ok = VEC_PUSH(&s->headers, "Content-Type: application/json");
  ok = ok && VEC_PUSH(&s->headers, c->stream ? "Accept: text/event-stream" : "Accept: application/json");
  for (size_t i = 0; ok && c->headers && c->headers[i]; i++)
    ok = VEC_PUSH(&s->headers, c->headers[i]);
  return ok && VEC_PUSH(&s->headers, NULL) ? OME_OK : fail_memory(err);
}

static bool on_tick(void *arg, uint64_t done, uint64_t failed, uint64_t active, double seconds) {
  struct sweep *s = arg;

  s->progress.done = done;
  s->progress.failed = failed;
  s->progress.active = active;
  s->progress.seconds = seconds;
  if (s->cfg->progress && !s->cfg->progress(s->cfg->arg, &s->progress))
    s->stopped = true;
  return !s->stopped;
}

static int32_t prepare(struct sweep *s, struct ome_err *err) {
  const struct bench_config *c = s->cfg;
  uint32_t most = 1;

  for (size_t i = 0; i < c->nconcurrency; i++)
    most = c->concurrency[i] > most ? c->concurrency[i] : most;
  const struct http_client_config http = {.max_connections = most, .arrival_times = true};
  int32_t rc = raise_files(most, err);
  if (rc == OME_OK)
    rc = bench_url(c->url, c->task, &s->url, err);
  if (rc == OME_OK)
    rc = set_headers(s, err);
  if (rc == OME_OK)
    rc = request_source_init(&s->source, c->task, c->stream, c->model, c->params, c->seed, err);
  if (rc == OME_OK && c->tokenizer && (!c->dataset || c->task == TASK_RERANK)) /* whose queries are made up */
    rc = request_source_measure(&s->source, c->tokenizer, err);
  s->source.exact = c->tokenizer != NULL;
  if (rc == OME_OK)
    rc = http_client_new(&http, &s->http, err);
  s->source.dataset = c->dataset;
  s->source.documents = c->documents;
  s->target = (struct run_target){.url = s->url,
                                  .headers = s->headers.items,
                                  .task = c->task,
                                  .stream = c->stream && task_facts(c->task)->generates,
                                  .tokenizer = c->tokenizer,
                                  .timeout_ms = c->timeout_ms ? c->timeout_ms : BENCH_TIMEOUT_MS,
                                  .stall_ms = c->stall_ms ? c->stall_ms : BENCH_STALL_MS,
                                  .go_on = on_tick,
                                  .arg = s};
  return rc;
}

static void finish(struct sweep *s) {
  http_client_free(s->http);
  request_source_fini(&s->source);
  VEC_FREE(&s->headers);
  free(s->authorization);
  free(s->url);
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

static int32_t warm_up(struct sweep *s, const struct run_load *load, struct ome_err *err) {
  struct run_load warm = {.scenario = load->scenario,
                          .has_scenario = load->has_scenario,
                          .concurrency = load->concurrency,
                          .turns = load->turns,
                          .requests = s->cfg->warmup};
  struct run ignored;

  if (!s->cfg->warmup)
    return OME_OK;
  if (warm.requests < warm.concurrency)
    warm.concurrency = (uint32_t)warm.requests;
  s->progress.warming = true;
  s->progress.wanted = warm.requests;
  int32_t rc = run_load(s->http, &s->target, &s->source, &warm, &ignored, err);
  if (rc == OME_OK)
    run_fini(&ignored);
  s->progress.warming = false;
  return rc;
}

/* LOAD once or several times, gathered in OUT; how each went is in KNOWN. */
static int32_t repeat(struct sweep *s, const struct run_load *load, struct run *out, struct stability *known,
                      struct ome_err *err) {
  uint32_t wanted = s->cfg->repeats ? s->cfg->repeats : 1;

  for (uint32_t i = 0; i < wanted && !s->stopped; i++) {
    struct run one;
    s->progress.wanted = load->requests;
    s->progress.wanted_seconds = (double)load->duration_ns / 1e9;
    int32_t rc = run_load(s->http, &s->target, &s->source, load, &one, err);
    if (rc != OME_OK)
      return rc;
    if (!one.partial)
      stability_add(known, &one);
    if (i == 0) {
      *out = one;
    } else {
      run_merge(out, &one);
      run_fini(&one);
    }
    if (s->cfg->stable_percent > 0 && stability_is_known(known, s->cfg->stable_percent))
      break;
  }
  return OME_OK;
}

static int32_t run_point(struct sweep *s, const struct run_load *load, struct json_object *runs, struct ome_err *err) {
  struct stability known = {0};
  struct run run = {0};

  s->progress.scenario = load->has_scenario ? load->scenario.text : "dataset";
  s->progress.concurrency = load->concurrency;
  s->progress.rate = load->arrival.kind == ARRIVAL_CLOSED ? 0 : load->arrival.rate;
  s->progress.point++;
  int32_t rc = warm_up(s, load, err);
  if (rc == OME_OK && !s->stopped)
    rc = repeat(s, load, &run, &known, err);
  if (rc == OME_OK && *run.scenario) {
    struct json_object *figures = report_run(&run);
    if (figures && known.n > 1)
      (void)(json_set(figures, "repeats", stability_report(&known)) &&
             json_set(figures, "confidence", stability_confidence(&known)));
    if (!figures || !json_add(runs, figures))
      rc = fail_memory(err);
    else if (s->cfg->point)
      rc = s->cfg->point(s->cfg->arg, &run, figures, err);
  }
  run_fini(&run);
  return rc;
}

static void set_arrival(const struct bench_config *c, size_t rate, struct run_load *load) {
  struct arrival *a = &load->arrival;

  a->kind = c->arrival;
  a->random.state = c->seed ^ 0xa441u;
  a->rate = c->nrates ? c->rates[rate] : 0;
  a->rate_end = c->arrival == ARRIVAL_RAMP ? c->rates[1] : a->rate;
  a->seconds = (double)c->duration_ns / 1e9;
  if (c->replay) {
    a->offsets = c->replay->ns.items;
    a->noffsets = c->replay->ns.len;
  }
}

static int32_t run_points(struct sweep *s, struct json_object *runs, struct ome_err *err) {
  const struct bench_config *c = s->cfg;
  struct scenario own[BENCH_MAX_POINTS];
  size_t nown = c->nscenarios || c->dataset ? 0 : bench_default_scenarios(c->task, own);
  const struct scenario *scenarios = c->nscenarios ? c->scenarios : own;
  size_t nscenarios = c->nscenarios ? c->nscenarios : nown;
  size_t nkinds = nscenarios ? nscenarios : 1;
  size_t nrates = c->arrival == ARRIVAL_CONSTANT || c->arrival == ARRIVAL_POISSON ? c->nrates : 1;
  int32_t rc = OME_OK;

  s->progress.points = nkinds * c->nconcurrency * nrates;
  for (size_t i = 0; i < nkinds * c->nconcurrency * nrates && rc == OME_OK && !s->stopped; i++) {
    size_t kind = i / (c->nconcurrency * nrates);
    struct run_load load = {.has_scenario = nscenarios > 0,
                            .concurrency = c->concurrency[i / nrates % c->nconcurrency],
                            .requests = c->requests,
                            .duration_ns = c->duration_ns,
                            .turns = c->turns,
                            .cooldown = c->cooldown};
    if (nscenarios)
      load.scenario = scenarios[kind];
    set_arrival(c, i % nrates, &load);
    rc = run_point(s, &load, runs, err);
  }
  return rc;
}

int32_t bench_sweep(const struct bench_config *cfg, struct json_object **out, struct ome_err *err) {
  struct sweep s = {.cfg = cfg};
  _cleanup_json_ struct json_object *report = json_object_new_object();
  struct json_object *runs = json_object_new_array();
  char start[TIME_TEXT], end[TIME_TEXT];
  int32_t rc = check(cfg, err);

  time_format(wall_ms() / 1000, start);
  if (rc == OME_OK && (!report || !runs || !json_set_str(report, "schema", REPORT_SCHEMA) ||
                       !json_set(report, "config", report_config(cfg)) || !json_set_str(report, "startTime", start)))
    rc = fail_memory(err);
  if (rc == OME_OK)
    rc = prepare(&s, err);
  if (rc == OME_OK)
    rc = run_points(&s, runs, err);
  finish(&s);
  time_format(wall_ms() / 1000, end);
  if (rc == OME_OK && (!json_set_str(report, "endTime", end) || !json_set_bool(report, "partial", s.stopped) ||
                       !json_set(report, "runs", json_object_get(runs))))
    rc = fail_memory(err);
  json_unref(runs);
  if (rc == OME_OK)
    *out = TAKE_PTR(report);
  return rc;
}
