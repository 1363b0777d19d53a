#include "fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  USABLE_PERCENT = 90,   /* what engines take of a device unless told otherwise (vLLM, SGLang) */
  PREFILL_TOKENS = 8192, /* worked on at a time, as engines cut prompts */
  ACTIVATION_BYTES = 2,  /* of a number while it is computed with */
  LOGIT_BYTES = 4,
  DEVICES_PER_NODE = 8, /* where the accelerator does not say */
  MAX_NODES = 8,        /* as far as advice looks */
  CONTEXT_STEP = 1024,  /* contexts are cut to multiples of this */
  CONTEXT_LEAST = 2048, /* a shorter one serves nobody */
};

#define GIB ((uint64_t)1 << 30)
#define DRIVER_BYTES GIB             /* the driver's context, captured graphs, buffers of collectives */
#define UNKNOWN_ACTIVATION (2 * GIB) /* where the width of the layers is not known */

static uint64_t times(uint64_t a, uint64_t b) {
  uint64_t n = 0;

  return __builtin_mul_overflow(a, b, &n) ? UINT64_MAX / 4 : n; /* such figures are no model's */
}

static uint64_t divide_up(uint64_t a, uint64_t b) {
  return a / b + (a % b != 0);
}

unsigned fit_capability(const struct ome_accelerator_facts *a) {
  char *end = NULL;
  unsigned long major = strtoul(a->compute_capability, &end, 10);
  unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;

  return major < 1000 && minor < 10 ? (unsigned)(major * 100 + minor * 10) : 0;
}

/* Whether the device computes with 8-bit floating point numbers. */
static bool has_fp8(const struct ome_accelerator_facts *a) {
  static const char *const families[] = {"ada", "hopper", "blackwell", "cdna3", "cdna4"};

  for (size_t i = 0; i < sizeof(families) / sizeof(*families); i++)
    if (strcmp(a->family, families[i]) == 0)
      return true;
  return strcmp(a->vendor, "nvidia") == 0 && fit_capability(a) >= 890;
}

static bool is_host(const struct ome_accelerator_facts *a) {
  return strcmp(a->family, "cpu") == 0;
}

/* ---- one way ----------------------------------------------------------------------------------------------------- */

static uint32_t latent_of(const struct ome_model_facts *m) {
  return OME_HAS(ome_model_facts, m, kv_latent) ? m->kv_latent : 0;
}

static uint32_t experts_of(const struct ome_model_facts *m) {
  return OME_HAS(ome_model_facts, m, experts) ? m->experts : 0;
}

/* Whether TP devices can share a layer: whole heads of queries each, and keys and values whole or repeated whole. */
static bool divides(const struct ome_model_facts *m, uint32_t tp) {
  if (m->heads && m->heads % tp)
    return false;
  return latent_of(m) || m->kv_heads == 0 || m->kv_heads % tp == 0 || tp % m->kv_heads == 0;
}

/* What the widest layer holds for the tokens of a prefill, and the logits of the sequences that are sampled. */
static uint64_t activations_of(const struct fit_request *req, uint32_t tp) {
  const struct ome_model_facts *m = req->model;

  if (!OME_HAS(ome_model_facts, m, hidden))
    return is_host(req->accelerator) ? 0 : UNKNOWN_ACTIVATION;
  uint64_t wide = OME_HAS(ome_model_facts, m, intermediate) ? m->intermediate : 4 * m->hidden;
  uint64_t row = times(m->hidden, 4) + 2 * divide_up(wide, tp);
  return times(times(PREFILL_TOKENS, row), ACTIVATION_BYTES) +
         times(times(req->concurrency, m->vocabulary), LOGIT_BYTES);
}

/* Among how many devices of a stage a sequence's cache is divided. */
static uint32_t cache_shares(const struct ome_model_facts *m, const struct fit *f) {
  if (f->dp > 1 || latent_of(m) || m->kv_heads == 0)
    return 1;
  return m->kv_heads < f->tp ? m->kv_heads : f->tp;
}

static uint64_t room_of(const struct fit *f) {
  uint64_t taken = f->weights + f->activations + f->overhead;

  return taken < f->usable ? f->usable - taken : 0;
}

/* A token's bytes on a device. */
static uint64_t token_bytes(const struct ome_model_facts *m, const struct fit *f) {
  uint64_t bytes = m->kv_bytes_per_token * f->kv_bits / 16;

  return divide_up(bytes, (uint64_t)cache_shares(m, f) * f->pp);
}

/* The figures of F, whose sizes and context are set. */
static void weigh(const struct fit_request *req, struct fit *f) {
  const struct ome_model_facts *m = req->model;
  uint64_t weights = m->weight_bytes;

  f->usable = req->accelerator->memory_bytes / 100 * USABLE_PERCENT;
  f->weights = divide_up(weights, (uint64_t)f->tp * f->pp);
  f->activations = activations_of(req, f->tp);
  f->overhead = is_host(req->accelerator) ? 0 : DRIVER_BYTES;
  f->cache_known = m->kv_bytes_per_token && f->context;
  f->sequence = f->cache_known ? times(token_bytes(m, f), f->context) : 0;
  uint64_t room = room_of(f);
  /* Of a cache that is not known it is asked that a tenth of the memory is left for it. */
  if (!f->cache_known)
    f->fits = room >= f->usable / 10;
  else {
    f->sequences = room / (f->sequence ? f->sequence : 1) * f->dp;
    f->fits = f->sequences >= req->concurrency;
  }
}

/* Sizes for DEVICES a node: as much inside of layers as heads and node allow, the rest by layers. */
static bool spread(const struct fit_request *req, uint32_t devices, struct fit *f) {
  const struct ome_model_facts *m = req->model;
  uint32_t all = devices * req->nodes;
  uint32_t tp = req->tp ? req->tp : req->layers_only ? 1 : devices;

  if (!req->tp)
    while (tp > 1 && (all % tp || !divides(m, tp)))
      tp--;
  uint32_t pp = req->pp ? req->pp : all % tp ? 1 : all / tp;
  if (m->layers && pp > m->layers)
    return false;
  f->devices = devices;
  f->nodes = req->nodes;
  f->tp = tp;
  f->pp = pp;
  f->dp = 1;
  uint32_t experts = experts_of(m);
  f->ep = experts && tp > 1 && experts % tp == 0 ? tp : 1;
  return true;
}

/* ---- the search -------------------------------------------------------------------------------------------------- */

static uint32_t per_node(const struct fit_request *req) {
  uint32_t n = req->accelerator->devices_per_node;

  return is_host(req->accelerator) ? 1 : n ? n : DEVICES_PER_NODE;
}

/* The first way that fits with BITS; otherwise OUT is the last that was tried. */
static bool search(const struct fit_request *req, unsigned bits, uint64_t context, struct fit *out) {
  uint32_t from = req->devices ? req->devices : 1;
  uint32_t to = req->devices ? req->devices : per_node(req);

  for (uint32_t devices = from; devices <= to; devices *= 2) {
    struct fit f = {.kv_bits = bits, .context = context};
    if (!spread(req, devices, &f))
      continue;
    weigh(req, &f);
    /* Latent caches are repeated on every device: with sequences of its own for each they are not. */
    if (!f.fits && req->dp_attention && latent_of(req->model) && f.tp > 1 && req->concurrency > 1) {
      struct fit d = f;
      d.dp = f.tp;
      weigh(req, &d);
      f = d.fits ? d : f;
    }
    *out = f;
    if (f.fits)
      return true;
  }
  return false;
}

/* The longest context that fits beside the weights; false: none worth it. */
static bool shorten(const struct fit_request *req, struct fit *f) {
  uint64_t token = token_bytes(req->model, f);
  uint64_t shares = divide_up(req->concurrency, f->dp);
  uint64_t tokens = token ? room_of(f) / token / (shares ? shares : 1) / CONTEXT_STEP * CONTEXT_STEP : 0;

  if (!f->cache_known || tokens < CONTEXT_LEAST || tokens >= f->context)
    return false;
  f->context = tokens;
  weigh(req, f);
  return f->fits;
}

bool fit_plan(const struct fit_request *req, struct fit *out, char *why, size_t cap) {
  const struct ome_model_facts *m = req->model;
  unsigned bits = req->kv_bits ? req->kv_bits : 16;
  uint64_t context = req->context ? req->context : m->context_length;

  *out = (struct fit){0};
  if (m->weight_bytes == 0 || req->accelerator->memory_bytes == 0) {
    (void)snprintf(why, cap, "%s",
                   m->weight_bytes ? "the accelerator's memory is not known: see spec.capabilities.memoryGB"
                                   : "the size of the model's weights is not known before its files are read");
    return false;
  }
  if (search(req, bits, context, out))
    return true;
  struct fit half;
  if (bits == 16 && !req->kv_bits && req->fp8_cache && has_fp8(req->accelerator) && m->kv_bytes_per_token &&
      search(req, 8, context, &half)) {
    *out = half;
    return true;
  }
  if (out->devices == 0) {
    (void)snprintf(why, cap, "the model has fewer layers than there are devices");
    return false;
  }
  if (!req->context)
    out->shortened = shorten(req, out);
  return true;
}

/* ---- advice ------------------------------------------------------------------------------------------------------ */

/* Devices, or nodes of them, on which it would fit; "" none. */
static void more_devices(const struct fit_request *req, const struct fit *f, char *out, size_t cap) {
  struct fit_request r = *req;
  struct fit g;

  r.tp = r.pp = 0;
  out[0] = '\0';
  for (uint32_t nodes = 1; nodes <= MAX_NODES; nodes *= 2)
    for (uint32_t devices = 1; devices <= per_node(req); devices *= 2) {
      if (devices * nodes <= f->devices * f->nodes || (nodes > 1 && devices < per_node(req)))
        continue;
      r.devices = devices;
      r.nodes = nodes;
      if (!search(&r, f->kv_bits, f->context, &g))
        continue;
      if (nodes > 1)
        (void)snprintf(out, cap, "%u nodes of %u devices", nodes, devices);
      else
        (void)snprintf(out, cap, "%u devices", devices);
      return;
    }
}

static unsigned long long gib(uint64_t bytes) {
  return (unsigned long long)divide_up(bytes, GIB);
}

void fit_advice(const struct fit_request *req, const struct fit *f, char *out, size_t cap) {
  uint64_t needs = f->weights + f->activations + f->overhead + times(f->sequence, divide_up(req->concurrency, f->dp));
  char devices[64];
  struct fit g = *f;
  int n =
      snprintf(out, cap,
               "model %.64s needs %llu GiB on each of %u devices %s (weights %llu, %u sequences of %llu tokens %llu) "
               "and %.64s has %llu to give",
               req->model->name, gib(needs), f->devices * f->nodes, f->nodes > 1 ? "in all" : "of a node",
               gib(f->weights), req->concurrency, (unsigned long long)f->context, gib(needs - f->weights),
               req->accelerator->name, gib(f->usable));

  more_devices(req, f, devices, sizeof(devices));
  const char *sep = "; what would: ";
  if (*devices && n > 0 && (size_t)n < cap) {
    n += snprintf(out + n, cap - (size_t)n, "%s%s", sep, devices);
    sep = ", or ";
  }
  if (shorten(req, &g) && n > 0 && (size_t)n < cap) {
    n += snprintf(out + n, cap - (size_t)n, "%sa context of %llu tokens", sep, (unsigned long long)g.context);
    sep = ", or ";
  }
  if (n > 0 && (size_t)n < cap)
    (void)snprintf(out + n, cap - (size_t)n, "%san accelerator with %llu GiB", sep,
                   gib(needs / USABLE_PERCENT * 100 + 100));
}
