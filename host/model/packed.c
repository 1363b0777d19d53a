/* Bytes of a model's weights where most are packed and some are not. */
#include "model/packing.h"

#include "model/counting.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define LUMP 1024u /* the inputs that a part is taken to have of which only the parameters are known */

double packing_nominal(const struct packing_scheme *s) {
  uint64_t block = s->block_in && s->block_out ? s->block_in * s->block_out : 0;

  return (double)s->bits + (block ? (double)(s->scale_bits + s->zero_bits) / (double)block : 0);
}

static uint64_t blocks(uint64_t side, uint64_t block) {
  return block == 0 ? 1 : (side + block - 1) / block;
}

/* Bytes of a matrix; sides below 2^42, and their product below 2^62. */
static uint64_t packing_bytes(const struct packing_scheme *s, uint64_t in, uint64_t out) {
  uint64_t n = blocks(in, s->block_in) * blocks(out, s->block_out), fixed = s->fixed_bits + in * s->input_bits;

  return (in * out / 8 * s->bits) + (in * out % 8 * s->bits + 7) / 8 + (n * s->scale_bits + 7) / 8 +
         (n * s->zero_bits + 7) / 8 + (fixed + 7) / 8;
}

/* ---- the matrices of a model ------------------------------------------------------------------------------------- */

enum place { IN_ANY_LAYER, IN_DENSE_LAYER, BESIDE_EXPERTS, IN_EXPERT };

/* COPIES matrices of IN by OUT in each of LAYERS layers, each called by one of NAMES. */
struct matrix {
  const char *names; /* "|" between */
  uint64_t in, out, copies, layers;
  enum place place;
};

struct matrices {
  struct matrix list[16];
  size_t n;
};

static void put(struct matrices *m, const char *names, uint64_t in, uint64_t out, uint64_t copies, uint64_t layers,
                enum place place) {
  if (in && out && copies && layers && m->n < ARRAY_LEN(m->list))
    m->list[m->n++] = (struct matrix){names, in, out, copies, layers, place};
}

static void put_latent_attention(const struct shape *s, struct matrices *m) {
  uint64_t n = s->attentions, q = s->heads * (s->nope_head_size + s->rope_head_size);
  uint64_t kv = s->heads * (s->nope_head_size + s->value_size);

  if (s->q_latent)
    put(m, "self_attn.q_a_proj|self_attn.fused_qkv_a_proj_with_mqa", s->hidden, s->q_latent, 1, n, IN_ANY_LAYER);
  put(m, s->q_latent ? "self_attn.q_b_proj" : "self_attn.q_proj", s->q_latent ? s->q_latent : s->hidden, q, 1, n,
      IN_ANY_LAYER);
  put(m, "self_attn.kv_a_proj_with_mqa", s->hidden, s->kv_latent + s->rope_head_size, 1, n, IN_ANY_LAYER);
  put(m, "self_attn.kv_b_proj", s->kv_latent, kv, 1, n, IN_ANY_LAYER);
  put(m, "self_attn.o_proj", s->heads * s->value_size, s->hidden, 1, n, IN_ANY_LAYER);
}

static void put_attention(const struct shape *s, struct matrices *m) {
  uint64_t n = s->attentions, q = s->heads * s->head_size, kv = s->kv_heads * s->head_size;

  put(m, "self_attn.q_proj|self_attn.qkv_proj|attention.wqkv|attn.c_attn|self_attn.query_key_value", s->hidden,
      s->gated_attention ? 2 * q : q, 1, n, IN_ANY_LAYER);
  put(m, "self_attn.k_proj|self_attn.v_proj|self_attn.qkv_proj|attention.wqkv|attn.c_attn|self_attn.query_key_value",
      s->hidden, kv, 2, n, IN_ANY_LAYER);
  put(m, "self_attn.o_proj|attention.wo|attn.c_proj|self_attn.dense", q, s->hidden, 1, n, IN_ANY_LAYER);
}

static void put_mlps(const struct shape *s, struct matrices *m) {
  uint64_t up = s->gated ? 2 : 1, h = s->hidden, moe = s->moe_layers, e = s->experts;

  put(m, "mlp.gate_proj|mlp.up_proj|mlp.gate_up_proj|feed_forward.gate_proj|feed_forward.up_proj|mlp.w1", h,
      s->intermediate, up, s->mlps, IN_DENSE_LAYER);
  put(m, "mlp.down_proj|feed_forward.down_proj|mlp.c_proj|mlp.w2", s->intermediate, h, 1, s->mlps, IN_DENSE_LAYER);
  put(m,
      "mlp.experts.0.gate_proj|mlp.experts.gate_up_proj|block_sparse_moe.experts.0.w1|"
      "feed_forward.experts.0.gate_proj|feed_forward.experts.gate_up_proj",
      h, s->expert_intermediate, up * e, moe, IN_EXPERT);
  put(m,
      "mlp.experts.0.down_proj|mlp.experts.down_proj|block_sparse_moe.experts.0.w2|"
      "feed_forward.experts.0.down_proj|feed_forward.experts.down_proj",
      s->expert_intermediate, h, e, moe, IN_EXPERT);
  put(m, "mlp.shared_expert.gate_proj|mlp.shared_experts.gate_proj|feed_forward.shared_expert.gate_proj", h,
      s->shared_intermediate, up, moe, BESIDE_EXPERTS);
  put(m, "mlp.shared_expert.down_proj|mlp.shared_experts.down_proj|feed_forward.shared_expert.down_proj",
      s->shared_intermediate, h, 1, moe, BESIDE_EXPERTS);
}

static void put_all(const struct shape *s, struct matrices *m) {
  if (s->kv_latent)
    put_latent_attention(s, m);
  else if (!s->summed)
    put_attention(s, m);
  put_mlps(s, m);
  put(m, "linear_attn.in_proj_qkvz|linear_attn.in_proj_qkv|mixer.in_proj|mamba.in_proj|conv.in_proj", s->hidden,
      s->mixer / s->hidden, 1, s->mixers, IN_ANY_LAYER);
}

/* ---- which of them are packed ------------------------------------------------------------------------------------ */

struct tally {
  uint64_t parameters, bytes; /* that are packed */
  bool overflow;
};

static void add(struct tally *t, const struct packing_scheme *s, const struct matrix *m, uint64_t layers) {
  uint64_t n = 0, parameters = 0, bytes = 0;

  t->overflow = t->overflow || __builtin_mul_overflow(m->copies, layers, &n) ||
                __builtin_mul_overflow(n, m->in * m->out, &parameters) ||
                __builtin_mul_overflow(n, packing_bytes(s, m->in, m->out), &bytes) ||
                __builtin_add_overflow(t->parameters, parameters, &t->parameters) ||
                __builtin_add_overflow(t->bytes, bytes, &t->bytes);
}

/* Lists of a plan, ready to be asked. */
struct lists {
  struct module_names *without, *targets[8]; /* targets NULL: every matrix */
};

static void lists_fini(struct lists *l) {
  module_names_free(l->without);
  for (size_t i = 0; i < ARRAY_LEN(l->targets); i++)
    module_names_free(l->targets[i]);
}

/* "Linear" is the class of every matrix. */
static bool names_all(struct json_object *targets) {
  for (size_t i = 0; i < json_len(targets); i++) {
    struct json_object *one = json_index(targets, i);
    if (json_is(one, json_type_string) && streq(json_object_get_string(one), "Linear"))
      return true;
  }
  return json_len(targets) == 0;
}

static bool read_lists(const struct packing_plan *plan, struct lists *l) {
  struct ome_err err = ERR_INIT;
  bool good = module_names_new(&l->without, &err) == OME_OK;

  for (size_t i = 0; good && i < ARRAY_LEN(plan->without); i++)
    good = module_names_add(l->without, plan->without[i]);
  good = good && module_names_add_dynamic(l->without, plan->dynamic);
  for (size_t i = 0; good && i < plan->ngroups; i++)
    if (!names_all(plan->groups[i].targets))
      good =
          module_names_new(&l->targets[i], &err) == OME_OK && module_names_add(l->targets[i], plan->groups[i].targets);
  return good;
}

/* One of the names, "|" between, that LIST has. */
static bool has_one(struct module_names *list, int64_t layer, const char *names) {
  char name[128];

  for (const char *at = names; *at;) {
    size_t n = strcspn(at, "|");
    (void)snprintf(name, sizeof(name), "%.*s", (int)n, at);
    if (module_names_have(list, layer, name))
      return true;
    at += n + (at[n] == '|');
  }
  return false;
}

/* The group of what is called so in LAYER; plan->ngroups: it stays as it is. */
static size_t group_of(const struct packing_plan *plan, const struct lists *l, int64_t layer, const char *names) {
  size_t i = 0;

  if (has_one(l->without, layer, names))
    return plan->ngroups;
  while (i < plan->ngroups && l->targets[i] && !has_one(l->targets[i], layer, names))
    i++;
  return i;
}

/* Layers are asked one by one: lists name those at the ends apart.  Where it is not known which layers have such a
 * matrix, those that a list names are taken to be among them. */
static void add_matrix(const struct packing_plan *plan, const struct lists *l, const struct shape *s,
                       struct json_object *text, const struct matrix *m, struct tally *t) {
  uint64_t layers[ARRAY_LEN(plan->groups) + 1] = {0};

  for (uint64_t i = 0; i < s->layers; i++)
    if (m->place == IN_ANY_LAYER || !s->moe_layers || shape_is_moe(text, s, i) == (m->place != IN_DENSE_LAYER))
      layers[group_of(plan, l, (int64_t)i, m->names)]++;
  uint64_t left = m->layers > layers[plan->ngroups] ? m->layers - layers[plan->ngroups] : 0;
  for (size_t i = 0; i < plan->ngroups; i++) {
    uint64_t n = layers[i] < left ? layers[i] : left;
    if (plan->groups[i].scheme.bits)
      add(t, &plan->groups[i].scheme, m, n);
    left -= n;
  }
}

/* What belongs to no layer, where the method goes that far. */
static void add_other(const struct packing_plan *plan, const struct lists *l, const char *names, struct matrix m,
                      struct tally *t) {
  size_t group = group_of(plan, l, -1, names);

  if (group < plan->ngroups && plan->groups[group].scheme.bits)
    add(t, &plan->groups[group].scheme, &m, 1);
}

static void add_others(const struct packing_plan *plan, const struct lists *l, const struct shape *s, uint64_t towers,
                       struct tally *t) {
  static const char *const words[] = {"vis", "image", "audio", "speech", "multi_modal", "tower"};
  bool named = !plan->towers || towers < LUMP;

  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    named = named || module_names_mention(l->without, words[i]);
  if (!named)
    add_other(plan, l, "visual", (struct matrix){.in = LUMP, .out = towers / LUMP, .copies = 1}, t);
  if (plan->head && !s->tied && !s->headless && !s->labels && !(s->family->traits & ENCODER))
    add_other(plan, l, "lm_head", (struct matrix){.in = s->hidden, .out = s->vocabulary, .copies = 1}, t);
}

uint64_t packed_bytes(const struct packing_plan *plan, const struct shape *s, struct json_object *text, uint64_t count,
                      uint64_t towers) {
  _cleanup_(lists_fini) struct lists lists = {.without = NULL};
  struct matrices all = {.n = 0};
  struct tally t = {0};
  uint64_t plain = 0;

  if (plan->ngroups && s->hidden) {
    if (!read_lists(plan, &lists))
      return 0;
    put_all(s, &all);
    for (size_t i = 0; i < all.n; i++)
      if (all.list[i].place == IN_EXPERT || !plan->experts_only)
        add_matrix(plan, &lists, s, text, &all.list[i], &t);
    add_others(plan, &lists, s, towers, &t);
  }
  uint64_t wider = plan->dtype_bits < 32 ? s->wide / 8 * (32 - plan->dtype_bits) : 0;
  if (t.overflow || t.parameters > count ||
      __builtin_mul_overflow(count - t.parameters, (uint64_t)plan->dtype_bits, &plain) ||
      __builtin_add_overflow(plain / 8, t.bytes, &plain) || __builtin_add_overflow(plain, wider, &plain))
    return 0;
  return plain;
}
