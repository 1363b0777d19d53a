#include "tune.h"

#include "fit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB ((uint64_t)1 << 30)

enum { FRACTION_LEAST = 50, FRACTION_MOST = 90 }; /* percent; the plan counts on no more (fit.c) */

/* One call of tune(). */
struct tuning {
  const struct engine *engine;
  const struct ome_score_req *req;
  const struct ome_deployment_facts *deployment;
  const char *command; /* of the engine: the end of deployment's */
  struct ome_setting_sink *out;
  struct fit_request ask;
  struct fit fit;
  int32_t rc;
};

/* ---- what is set already ----------------------------------------------------------------------------------------- */

static bool ends_flag(char c) {
  return c == '\0' || strchr(" =\t\n\"'\\", c) != NULL;
}

/* What follows FLAG in COMMAND: its value, or "" at the end; NULL: the flag is not there. */
static const char *after_flag(const char *command, const char *flag) {
  size_t n = strlen(flag);

  for (const char *p = strstr(command, flag); p; p = strstr(p + 1, flag)) {
    bool begins = p == command || strchr(" \t\n\"'", p[-1]);
    if (begins && ends_flag(p[n]))
      return p + n + strspn(p + n, " =\t\n\"'\\");
  }
  return NULL;
}

/* The value that runtime or person gave; NULL: they did not. */
static const char *stated(const struct tuning *t, enum setting s) {
  const struct spelling *how = &t->engine->settings[s];
  const char *value = NULL;

  for (size_t i = 0; !value && i < sizeof(how->flags) / sizeof(*how->flags) && how->flags[i]; i++)
    value = after_flag(t->command, how->flags[i]);
  return value;
}

/* A number that was given; 0: none, or not as one. */
static uint32_t stated_number(const struct tuning *t, enum setting s, uint32_t most) {
  const char *value = stated(t, s);
  unsigned long n = value && *value >= '1' && *value <= '9' ? strtoul(value, NULL, 10) : 0;

  return n <= most ? (uint32_t)n : 0;
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* Pushes VALUE with a reason, unless it is set or the engine does not have it. */
__attribute__((format(printf, 4, 5))) static void put(struct tuning *t, enum setting s, const char *value,
                                                      const char *fmt, ...) {
  const struct spelling *how = &t->engine->settings[s];
  char reason[256];
  va_list ap;

  if (t->rc != OME_OK || !how->flags[0] || stated(t, s))
    return;
  va_start(ap, fmt);
  (void)vsnprintf(reason, sizeof(reason), fmt, ap);
  va_end(ap);
  t->rc = how->env ? t->out->env(t->out, how->env, value, reason)
                   : t->out->arg(t->out, how->flags[0], how->bare ? "" : value, reason);
}

static void put_size(struct tuning *t, enum setting s, uint32_t n, const char *why) {
  char value[16];

  (void)snprintf(value, sizeof(value), "%u", n);
  if (n > 1)
    put(t, s, value, "%s", why);
}

static void put_parallelism(struct tuning *t) {
  const struct ome_model_facts *m = t->req->model;
  const struct fit *f = &t->fit;
  char why[200];

  if (m->heads)
    (void)snprintf(why, sizeof(why), "%u heads and %u of keys and values divide among %u of %u devices", m->heads,
                   m->kv_heads, f->tp, f->devices * f->nodes);
  else
    (void)snprintf(why, sizeof(why), "%u devices; the model's heads are not known before its files are read", f->tp);
  put_size(t, SET_TENSOR_PARALLEL, f->tp, why);
  (void)snprintf(why, sizeof(why), "%u layers in %u stages, as layers are divided among no more than %u devices",
                 m->layers, f->pp, f->tp);
  put_size(t, SET_PIPELINE_PARALLEL, f->pp, why);
  if (f->ep > 1)
    (void)snprintf(why, sizeof(why), "%u experts, whole ones on each device", m->experts);
  put_size(t, SET_EXPERT_PARALLEL, f->ep, why);
  (void)snprintf(why, sizeof(why), "the latent cache cannot be divided: each of %u devices has sequences of its own",
                 f->dp);
  put_size(t, SET_DATA_PARALLEL, f->dp, why);
  const char *with = t->engine->with_data_parallel;
  if (t->rc == OME_OK && f->dp > 1 && with && !after_flag(t->command, with))
    t->rc = t->out->arg(t->out, with, "", why);
}

static void put_dtypes(struct tuning *t) {
  const struct ome_accelerator_facts *a = t->req->accelerator;
  unsigned capability = fit_capability(a);

  if (t->engine->half && capability && capability < 800 && strcmp(t->req->model->dtype, "bfloat16") == 0)
    put(t, SET_DTYPE, t->engine->half, "%.60s has compute capability %.8s, bfloat16 needs 8.0", a->name,
        a->compute_capability);
  if (t->engine->fp8_cache && t->fit.kv_bits == 8)
    put(t, SET_CACHE_DTYPE, t->engine->fp8_cache, "%u sequences of %llu tokens do not fit at 16 bits a number",
        t->ask.concurrency, (unsigned long long)t->fit.context);
}

/* In percent: what is the engine's to keep weights and cache in. */
static unsigned fraction_of(const struct tuning *t) {
  const struct fit *f = &t->fit;
  uint64_t all = t->req->accelerator->memory_bytes;
  uint64_t whole = all, part = all - f->overhead;

  if (t->engine->fraction == OF_DEVICE_WITHOUT_ACTIVATIONS)
    part -= f->activations < part ? f->activations : part;
  if (t->engine->fraction == OF_FREE_AFTER_WEIGHTS) {
    whole = f->weights + f->overhead < all ? all - f->weights - f->overhead : 1;
    part = f->activations < whole ? whole - f->activations : 0;
  }
  uint64_t percent = part / (whole / 100 ? whole / 100 : 1);
  return percent > FRACTION_MOST ? FRACTION_MOST : percent < FRACTION_LEAST ? FRACTION_LEAST : (unsigned)percent;
}

static void put_memory(struct tuning *t) {
  const struct fit *f = &t->fit;
  char value[16];

  /* Without the width of its layers a model's activations are a guess, too rough to set an engine's memory by. */
  if (f->overhead == 0 || f->overhead >= t->req->accelerator->memory_bytes ||
      !OME_HAS(ome_model_facts, t->req->model, hidden))
    return;
  (void)snprintf(value, sizeof(value), "0.%02u", fraction_of(t));
  put(t, SET_MEMORY_FRACTION, value, "of %llu GiB, %.1f are left to the driver and %.1f to activations",
      (unsigned long long)(t->req->accelerator->memory_bytes / GIB), (double)f->overhead / (double)GIB,
      (double)f->activations / (double)GIB);
}

static void put_lengths(struct tuning *t) {
  const struct fit *f = &t->fit;
  uint64_t context = t->engine->whole_context ? f->context * t->ask.concurrency : f->context;
  char value[24];

  (void)snprintf(value, sizeof(value), "%llu", (unsigned long long)context);
  if (f->cache_known && f->shortened)
    put(t, SET_CONTEXT, value, "of the model's %llu tokens, what fits beside the weights for %u sequences",
        (unsigned long long)t->req->model->context_length, t->ask.concurrency);
  else if (f->context && (t->ask.context || t->engine->whole_context))
    put(t, SET_CONTEXT, value, "%u sequences of %llu tokens, as %s", t->ask.concurrency, (unsigned long long)f->context,
        t->ask.context ? "the service wants" : "the model can");
  if (t->deployment->concurrency) {
    (void)snprintf(value, sizeof(value), "%u", t->deployment->concurrency);
    put(t, SET_SEQUENCES, value, "as the service wants%s", f->cache_known && f->fits ? ", and the cache has room" : "");
  }
}

/* Layers that do not fit on the device stay on the machine's own processor. */
static void put_layers(struct tuning *t) {
  const struct fit *f = &t->fit;
  const struct ome_model_facts *m = t->req->model;
  uint64_t taken = f->sequence * t->ask.concurrency + f->activations + f->overhead;
  uint64_t room = taken < f->usable ? (f->usable - taken) * f->devices : 0;
  char value[16];

  if (f->overhead == 0 || m->layers == 0)
    return;
  uint64_t per_layer = m->weight_bytes / m->layers + 1;
  uint64_t layers = f->fits || room / per_layer >= m->layers ? m->layers + 1u : room / per_layer;
  (void)snprintf(value, sizeof(value), "%llu", (unsigned long long)layers);
  if (layers > m->layers)
    put(t, SET_OFFLOADED_LAYERS, value, "all %u layers and the output fit on the device", m->layers);
  else
    put(t, SET_OFFLOADED_LAYERS, value, "of %u layers, those that fit on the device", m->layers);
}

static void put_devices(struct tuning *t) {
  const char *name = t->req->accelerator->resource;
  char value[16];

  if (t->rc != OME_OK || t->deployment->devices || !*name || t->fit.overhead == 0)
    return;
  (void)snprintf(value, sizeof(value), "%u", t->fit.devices);
  t->rc = t->out->resource(t->out, name, value,
                           t->fit.fits ? "the fewest on which weights and cache fit" : "as many as a node has");
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

/* The command from where the engine's own begins, so that the -c of a shell is nothing of the engine's; NULL: the
 * runtime starts another one. */
static const char *own_command(const struct engine *e, const struct ome_deployment_facts *d) {
  for (const char *const *m = e->marks; *m; m++) {
    const char *at = strstr(d->command, *m);
    if (at)
      return at;
    if (!*d->command && strstr(d->image, *m))
      return d->command;
  }
  return NULL;
}

static void ask_for(struct tuning *t) {
  const struct ome_deployment_facts *d = t->deployment;
  const struct ome_model_facts *m = t->req->model;
  const char *cache = stated(t, SET_CACHE_DTYPE);
  uint64_t context = stated_number(t, SET_CONTEXT, UINT32_MAX);

  if (context == 0 || t->engine->whole_context)
    context = d->context;
  if (m->context_length && context > m->context_length)
    context = m->context_length;
  t->ask = (struct fit_request){
      .model = m,
      .accelerator = t->req->accelerator,
      .context = context,
      .concurrency = d->concurrency ? d->concurrency : 1,
      .devices = d->devices,
      .nodes = d->nodes ? d->nodes : 1,
      .tp = stated_number(t, SET_TENSOR_PARALLEL, 1024),
      .pp = stated_number(t, SET_PIPELINE_PARALLEL, 1024),
      .kv_bits = !cache                          ? 0
                 : strncmp(cache, "fp8", 3) == 0 ? 8
                                                 : 16,
      .fp8_cache = t->engine->fp8_cache != NULL,
      .dp_attention = t->engine->with_data_parallel != NULL && !stated(t, SET_DATA_PARALLEL),
      .layers_only = t->engine->layers_only,
  };
}

/* Layers beside the device are a way to fit, too. */
static bool unfit(const struct tuning *t) {
  return !t->fit.fits && !t->engine->settings[SET_OFFLOADED_LAYERS].flags[0];
}

int32_t tune_engine(const struct engine *e, const struct ome_score_req *req, struct ome_setting_sink *out,
                    struct ome_err *err) {
  char why[400] = "";

  const char *command = OME_HAS(ome_score_req, req, deployment) ? own_command(e, req->deployment) : NULL;
  if (!command) {
    err->code = OME_E_UNSUPPORTED;
    (void)snprintf(err->msg, sizeof(err->msg), "the runtime starts another engine");
    return OME_E_UNSUPPORTED;
  }
  if (!req->accelerator)
    return OME_OK;
  struct tuning t = {.engine = e, .req = req, .deployment = req->deployment, .command = command, .out = out};
  ask_for(&t);
  bool says = OME_HAS(ome_setting_sink, out, unfit);
  if (!fit_plan(&t.ask, &t.fit, why, sizeof(why)))
    return says ? out->unfit(out, why) : OME_OK;
  put_devices(&t);
  put_parallelism(&t);
  put_dtypes(&t);
  put_memory(&t);
  put_lengths(&t);
  put_layers(&t);
  if (t.rc == OME_OK && unfit(&t) && says) {
    fit_advice(&t.ask, &t.fit, why, sizeof(why));
    t.rc = out->unfit(out, why);
  }
  return t.rc;
}
