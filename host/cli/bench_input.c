/* What the options of `ome bench` come to. */
#include "base/str.h"
#include "base/yaml.h"
#include "cli/bench.h"
#include "os/file.h"
#include "tokens/tokenizer.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void bench_input_fini(struct bench_input *in) {
  if (in->api_key)
    explicit_bzero(in->api_key, strlen(in->api_key));
  free(in->api_key);
  dataset_fini(&in->dataset);
  tokenizer_free(in->tokenizer);
  VEC_FREE(&in->replay.ns);
  json_unref(in->params);
  json_unref(in->metadata);
  free(in->model);
}

/* ---- reading options --------------------------------------------------------------------------------------------- */

static int32_t set_duration(const char *option, const char *text, uint64_t *out, uint64_t unit, struct ome_err *err) {
  uint64_t ns;

  if (!text)
    return OME_OK;
  if (!cli_duration(text, &ns) || ns < unit)
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

/* new: GIVEN, or the one file in it: what `ome pull` brought. */
static int32_t only_file(const char *given, char **out, struct ome_err *err) {
  DIR *dir = opendir(given);
  size_t n = 0;

  *out = dir ? NULL : strdup(given);
  for (struct dirent *e; dir && (e = readdir(dir));) {
    if (*e->d_name == '.')
      continue;
    free(*out);
    *out = path_join(given, e->d_name);
    n++;
  }
  if (dir)
    (void)closedir(dir);
  if (dir && n != 1) {
    free(TAKE_PTR(*out));
    return fail(err, OME_E_INVALID, "bench: %s holds %zu files; name one of them", given, n);
  }
  return *out ? OME_OK : fail_memory(err);
}

/* When requests start, from a file of its own or the rows of the dataset. */
static int32_t read_replay(struct bench_input *in, const struct bench_options *o, struct ome_err *err) {
  _cleanup_free_ char *path = NULL;
  _cleanup_free_ char *text = NULL;

  if (!o->replay && !o->dataset)
    return fail(err, OME_E_INVALID, "bench: --arrival: a replay needs --replay FILE, or a --dataset with timestamps");
  int32_t rc = only_file(o->replay ? o->replay : o->dataset, &path, err);
  if (rc == OME_OK)
    rc = file_read(path, (size_t)64 << 20, &text, NULL, err);
  if (rc == OME_OK)
    rc = arrival_read(path, text, &in->replay, err);
  in->cfg.replay = &in->replay;
  return rc;
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
  return rc == OME_OK && c->arrival == ARRIVAL_REPLAY ? read_replay(in, o, err) : rc;
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
    if (!json_put(o, name, value))
      return fail_memory(err);
  }
  return OME_OK;
}

/* *OUT is new: the object that FILE holds, empty where FILE is NULL. */
static int32_t read_object(const char *file, struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  size_t len = 0;

  if (!file) {
    *out = json_object_new_object();
    return *out ? OME_OK : fail_memory(err);
  }
  int32_t rc = file_read(file, (size_t)1 << 20, &text, &len, err);
  if (rc == OME_OK)
    rc = yaml_parse_one(file, text, len, out, err);
  if (rc == OME_OK && !json_is(*out, json_type_object))
    return fail(err, OME_E_INVALID, "bench: %s: holds no object", file);
  return rc;
}

static int32_t set_params(struct bench_input *in, const struct bench_options *o, struct ome_err *err) {
  int32_t rc = read_object(o->params_file, &in->params, err);

  if (rc == OME_OK)
    rc = read_object(o->metadata_file, &in->metadata, err);
  if (rc == OME_OK)
    rc = add_pairs("param", &o->params, in->params, err);
  if (rc == OME_OK)
    rc = add_pairs("metadata", &o->metadata, in->metadata, err);
  in->cfg.params = in->params;
  in->cfg.metadata = json_empty(in->metadata) ? NULL : in->metadata;
  return rc;
}

static int32_t read_dataset(struct bench_input *in, const char *given, struct ome_err *err) {
  _cleanup_free_ char *path = NULL;
  _cleanup_free_ char *text = NULL;
  size_t len = 0;
  int32_t rc = only_file(given, &path, err);

  if (rc == OME_OK)
    rc = file_read(path, DATASET_MAX_BYTES, &text, &len, err);
  if (rc == OME_OK)
    rc = dataset_read(path, text, len, &in->dataset, err);
  in->cfg.dataset = &in->dataset;
  in->cfg.dataset_name = given;
  if (rc == OME_OK && in->dataset.bad)
    fprintf(stderr, "ome: bench: %s: %llu bad rows are left out; the first: %s\n", given,
            (unsigned long long)in->dataset.bad, in->dataset.first_bad);
  return rc;
}

static int32_t read_tokenizer(struct bench_input *in, const char *given, struct ome_err *err) {
  _cleanup_free_ char *below = path_join(given, "tokenizer.json");
  struct stat st;
  const char *path = below && stat(given, &st) == 0 && S_ISDIR(st.st_mode) ? below : given;
  _cleanup_free_ char *text = NULL;
  size_t len = 0;
  int32_t rc = file_read(path, TOKENIZER_MAX_FILE, &text, &len, err);

  if (rc == OME_OK)
    rc = tokenizer_read(path, text, len, &in->tokenizer, err);
  in->cfg.tokenizer = in->tokenizer;
  in->cfg.tokenizer_name = given;
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
  if (o->dataset)
    rc = read_dataset(in, o->dataset, err);
  if (rc == OME_OK && o->tokenizer)
    rc = read_tokenizer(in, o->tokenizer, err);
  return rc == OME_OK && o->tokenizer ? dataset_count(&in->dataset, in->tokenizer, err) : rc;
}

int32_t bench_input_read(struct bench_input *in, const struct bench_options *o, struct ome_err *err) {
  struct bench_config *c = &in->cfg;

  if (!task_find(o->task ? o->task : "chat", &c->task))
    return fail(err, OME_E_INVALID,
                "bench: --task: \"%s\" is none of chat, completions, embeddings, rerank, image, image-embeddings",
                o->task);
  c->url = o->url;
  c->model = o->model;
  for (size_t i = 0; i < o->headers.len; i++)
    in->headers[i] = o->headers.items[i];
  c->headers = in->headers;
  c->stream = !o->no_stream && task_facts(c->task)->generates;
  c->requests = o->requests;
  c->turns = o->turns < UINT32_MAX ? (uint32_t)o->turns : UINT32_MAX;
  c->warmup = o->warmup;
  c->cooldown = o->cooldown;
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
  if (rc == OME_OK)
    rc = read_files(in, o, err);
  if (rc == OME_OK && !c->model) {
    rc = bench_find_model(c, &in->model, err);
    c->model = in->model;
  }
  return rc;
}
