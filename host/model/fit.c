#include "model/fit.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>

#define USABLE_PERCENT 90u               /* what engines take of a device unless told otherwise (vLLM, SGLang) */
#define DRIVER_BYTES ((uint64_t)1 << 30) /* the driver's context, captured graphs, buffers of collectives */
#define PREFILL_TOKENS 8192u             /* worked on at a time, as engines cut prompts */
#define ACTIVATION_BYTES 2u              /* of a number while it is computed with */
#define LOGIT_BYTES 4u

/* 0 where a product would not fit: such figures are no model's. */
static uint64_t times(uint64_t a, uint64_t b) {
  uint64_t n = 0;

  return __builtin_mul_overflow(a, b, &n) ? UINT64_MAX / 4 : n;
}

static uint64_t divide_up(uint64_t a, uint64_t b) {
  return a / b + (a % b != 0);
}

/* What the widest layer holds for the tokens of a prefill, twice, since input and output of a layer are there at once;
 * and the logits of the sequences that are sampled. */
static uint64_t activations_of(const struct model_facts *f, uint64_t concurrency, uint32_t devices) {
  uint64_t experts = times(f->experts_per_token + f->shared_experts, f->expert_intermediate);
  uint64_t wide = f->intermediate > experts ? f->intermediate : experts;
  uint64_t row = times(f->hidden, 4) + 2 * divide_up(wide, devices);

  return times(times(PREFILL_TOKENS, row), ACTIVATION_BYTES) + times(times(concurrency, f->vocabulary), LOGIT_BYTES);
}

/* Among how many devices the cache of a sequence is divided: by heads; latent attention has none to divide. */
static uint64_t kv_shares(const struct model_facts *f, uint32_t devices) {
  if (f->kv_latent)
    return 1;
  return f->kv_heads < devices ? f->kv_heads ? f->kv_heads : 1 : devices;
}

static void give_reason(const struct model_facts *f, struct model_fit_plan *p, uint64_t concurrency) {
  char what[32], room[32];

  format_bytes(p->weights, what);
  format_bytes(p->usable, room);
  if (f->heads && f->heads % p->devices)
    (void)snprintf(p->reason, sizeof(p->reason), "%" PRIu64 " heads cannot be divided among %u devices", f->heads,
                   p->devices);
  else if (p->weights + p->overhead + p->activations > p->usable)
    (void)snprintf(p->reason, sizeof(p->reason), "the weights alone, %s a device, leave no room in %s", what, room);
  else if (p->max_concurrency < concurrency)
    (void)snprintf(p->reason, sizeof(p->reason), "the cache has room for %" PRIu64 " of %" PRIu64 " sequences",
                   p->max_concurrency, concurrency);
  else
    (void)snprintf(p->reason, sizeof(p->reason), "fits, with room for %" PRIu64 " sequences", p->max_concurrency);
}

static void make_plan(const struct model_facts *f, const struct model_fit_request *req, const struct model_fit *fit,
                      uint64_t weights, uint32_t devices, struct model_fit_plan *p) {
  uint64_t sequence = model_sequence_bytes(f, fit->context, req->kv_bits ? req->kv_bits : 16);

  *p = (struct model_fit_plan){.devices = devices};
  p->usable = req->device_bytes / 100 * USABLE_PERCENT;
  p->weights = divide_up(weights, devices);
  p->kv_sequence = divide_up(sequence, kv_shares(f, devices));
  p->kv = times(p->kv_sequence, fit->concurrency);
  p->activations = activations_of(f, fit->concurrency, devices);
  p->overhead = req->host_memory ? 0 : DRIVER_BYTES;
  uint64_t taken = p->weights + p->activations + p->overhead;
  uint64_t room = taken < p->usable ? p->usable - taken : 0;
  p->max_concurrency = p->kv_sequence ? room / p->kv_sequence : room ? fit->concurrency : 0;
  p->fits = p->max_concurrency >= fit->concurrency && !(f->heads && f->heads % devices);
  give_reason(f, p, fit->concurrency);
}

/* Bytes of the weights; 0: not known. */
static uint64_t weights_of(const struct model_facts *f) {
  if (f->weight_bytes || f->parameters >= UINT64_MAX / 64)
    return f->weight_bytes;
  return (uint64_t)((double)f->parameters * (f->weight_bits > 0 ? f->weight_bits : 16) / 8);
}

int32_t model_fit(const struct model_facts *f, const struct model_fit_request *req, struct model_fit *out,
                  struct ome_err *err) {
  struct model_fit fit = {.context = req->context ? req->context : f->context_length,
                          .concurrency = req->concurrency ? req->concurrency : 1};
  uint64_t weights = weights_of(f);

  if (weights == 0)
    return fail(err, OME_E_INVALID, "memory: neither weights nor a number of parameters are known");
  if (req->device_bytes == 0)
    return fail(err, OME_E_INVALID, "memory: the accelerator's memory is not known; see spec.capabilities.memoryGB");
  if (fit.context == 0 && model_kv_bytes(f))
    return fail(err, OME_E_INVALID, "memory: the model's context length is not known; give --context");
  fit.best = MODEL_FIT_PLANS;
  for (uint32_t i = 0; i < MODEL_FIT_PLANS; i++) {
    if (req->host_memory && i)
      break;
    make_plan(f, req, &fit, weights, 1u << i, &fit.plans[i]);
    fit.nplans++;
    if (fit.plans[i].fits && fit.best == MODEL_FIT_PLANS)
      fit.best = i;
  }
  fit.best = fit.best == MODEL_FIT_PLANS ? fit.nplans : fit.best;
  *out = fit;
  return OME_OK;
}

static void put_number(struct json_object *o, const char *key, uint64_t n) {
  (void)json_put(o, key, json_object_new_uint64(n));
}

static struct json_object *plan_json(const struct model_fit_plan *p) {
  struct json_object *o = json_object_new_object();

  put_number(o, "devices", p->devices);
  (void)json_set_bool(o, "fits", p->fits);
  put_number(o, "weightBytes", p->weights);
  put_number(o, "kvBytes", p->kv);
  put_number(o, "activationBytes", p->activations);
  put_number(o, "overheadBytes", p->overhead);
  put_number(o, "usableBytes", p->usable);
  put_number(o, "maxConcurrency", p->max_concurrency);
  (void)json_set_str(o, "reason", p->reason);
  return o;
}

struct json_object *model_fit_json(const struct model_fit *fit, const struct model_fit_request *req) {
  struct json_object *o = json_object_new_object(), *plans = json_object_new_array();

  put_number(o, "deviceBytes", req->device_bytes);
  put_number(o, "contextLength", fit->context);
  put_number(o, "concurrency", fit->concurrency);
  put_number(o, "devices", fit->best < fit->nplans ? fit->plans[fit->best].devices : 0);
  for (size_t i = 0; i < fit->nplans; i++)
    (void)json_add(plans, plan_json(&fit->plans[i]));
  (void)json_put(o, "plans", plans);
  return o;
}
