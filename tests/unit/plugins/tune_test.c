/* How engines are set up: the plan against hand-worked figures, each engine's spelling of it, and what wins. */
#include "../../../plugins/scorer/fit.h"
#include "../../../plugins/scorer/tune.h"
#include "../unit.h"

#include <stdio.h>

#define GIB ((uint64_t)1 << 30)

/* ---- what there is ----------------------------------------------------------------------------------------------- */

static const struct ome_model_facts llama_70b = {
    .struct_size = sizeof(llama_70b),
    .name = "llama-70b",
    .type = "llama",
    .architecture = "LlamaForCausalLM",
    .format = "safetensors",
    .quantization = "",
    .dtype = "bfloat16",
    .weight_bytes = 141107412992u,
    .kv_bytes_per_token = 327680, /* 2 x 80 layers x 8 heads x 128 x 2 bytes */
    .context_length = 131072,
    .layers = 80,
    .heads = 64,
    .kv_heads = 8,
    .head_size = 128,
    .vocabulary = 128256,
    .hidden = 8192,
    .intermediate = 28672,
};

static const struct ome_model_facts deepseek = {
    .struct_size = sizeof(deepseek),
    .name = "deepseek-v3",
    .type = "deepseek_v3",
    .architecture = "DeepseekV3ForCausalLM",
    .format = "safetensors",
    .quantization = "fp8",
    .dtype = "bfloat16",
    .weight_bytes = 688586727753u,
    .kv_bytes_per_token = 70272, /* 61 layers x (512 + 64) x 2 bytes */
    .context_length = 163840,
    .layers = 61,
    .heads = 128,
    .kv_heads = 128,
    .vocabulary = 129280,
    .experts = 256,
    .kv_latent = 512,
    .hidden = 7168,
    .intermediate = 18432,
};

static struct ome_accelerator_facts device(const char *name, const char *family, const char *capability, unsigned gib) {
  return (struct ome_accelerator_facts){.struct_size = sizeof(struct ome_accelerator_facts),
                                        .name = name,
                                        .vendor = "nvidia",
                                        .family = family,
                                        .model = name,
                                        .compute_capability = capability,
                                        .resource = "nvidia.com/gpu",
                                        .memory_bytes = gib * GIB};
}

/* ---- a sink that keeps one line a setting ------------------------------------------------------------------------ */

struct kept {
  struct ome_setting_sink sink;
  char text[2048];
  char unfit[768];
};

static int32_t keep(struct ome_setting_sink *s, const char *what, const char *name, const char *value,
                    const char *reason) {
  struct kept *k = s->ctx;
  size_t n = strlen(k->text);

  assert_true(*reason);
  (void)snprintf(k->text + n, sizeof(k->text) - n, "%s%s=%s\n", what, name, value);
  return OME_OK;
}

static int32_t on_arg(struct ome_setting_sink *s, const char *name, const char *value, const char *reason) {
  return keep(s, "", name, value, reason);
}

static int32_t on_env(struct ome_setting_sink *s, const char *name, const char *value, const char *reason) {
  return keep(s, "$", name, value, reason);
}

static int32_t on_resource(struct ome_setting_sink *s, const char *name, const char *value, const char *reason) {
  return keep(s, "@", name, value, reason);
}

static int32_t on_unfit(struct ome_setting_sink *s, const char *reason) {
  struct kept *k = s->ctx;

  (void)snprintf(k->unfit, sizeof(k->unfit), "%s", reason);
  return OME_OK;
}

struct ask {
  const struct ome_model_facts *model;
  struct ome_accelerator_facts accelerator;
  const char *command;
  uint64_t context;
  uint32_t concurrency, devices, nodes;
};

static int32_t ask(const struct ome_factory *f, const struct ask *a, struct kept *k) {
  const struct ome_scorer_ops *ops = f->ops;
  const struct ome_deployment_facts d = {.struct_size = sizeof(d),
                                         .image = "",
                                         .command = a->command,
                                         .context = a->context,
                                         .concurrency = a->concurrency,
                                         .devices = a->devices,
                                         .nodes = a->nodes ? a->nodes : 1};
  const struct ome_runtime_facts r = {.struct_size = sizeof(r), .name = "r"};
  const struct ome_score_req req = {
      .struct_size = sizeof(req), .model = a->model, .runtime = &r, .accelerator = &a->accelerator, .deployment = &d};
  struct ome_err err = {0};

  *k = (struct kept){.text = ""};
  k->sink = (struct ome_setting_sink){.struct_size = sizeof(k->sink),
                                      .ctx = k,
                                      .arg = on_arg,
                                      .env = on_env,
                                      .resource = on_resource,
                                      .unfit = on_unfit};
  return ops->tune(NULL, NULL, &req, &k->sink, &err);
}

#define EXPECT(factory, a, want)                                                                                       \
  do {                                                                                                                 \
    struct kept kept_;                                                                                                 \
    assert_int_equal(ask(&(factory), &(a), &kept_), OME_OK);                                                           \
    assert_string_equal(kept_.text, want);                                                                             \
    assert_string_equal(kept_.unfit, "");                                                                              \
  } while (0)

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static struct fit plan(const struct ome_model_facts *m, const struct ome_accelerator_facts *a, uint64_t context,
                       uint32_t concurrency, uint32_t devices, uint32_t nodes) {
  const struct fit_request req = {.model = m,
                                  .accelerator = a,
                                  .context = context,
                                  .concurrency = concurrency,
                                  .devices = devices,
                                  .nodes = nodes,
                                  .fp8_cache = true,
                                  .dp_attention = true};
  struct fit f;
  char why[400];

  assert_true(fit_plan(&req, &f, why, sizeof(why)));
  return f;
}

/* 141 GB of weights and a sequence of 128k tokens (40 GiB): 131.4 / 4 + 10 + 1 + 0.9 GiB are within 72 of 80. */
static void test_fewest_devices(void **state) {
  struct ome_accelerator_facts h100 = device("h100", "hopper", "9.0", 80);
  struct fit f = plan(&llama_70b, &h100, 0, 1, 0, 1);

  (void)state;
  assert_int_equal(f.devices, 4);
  assert_int_equal(f.tp, 4);
  assert_int_equal(f.pp, 1);
  assert_int_equal(f.kv_bits, 16);
  assert_true(f.fits && !f.shortened);
  assert_true(f.weights == 141107412992u / 4);
  assert_true(f.sequence == (uint64_t)327680 * 131072 / 4);
}

static void test_heads_divide(void **state) {
  struct ome_accelerator_facts h100 = device("h100", "hopper", "9.0", 80);
  struct ome_model_facts odd = llama_70b;

  (void)state;
  odd.heads = 40;
  odd.kv_heads = 10;
  for (uint32_t devices = 1; devices <= 64; devices++) {
    struct fit f = plan(&odd, &h100, 8192, 1, devices, 1);
    assert_int_equal(odd.heads % f.tp, 0);
    assert_true(odd.kv_heads % f.tp == 0 || f.tp % odd.kv_heads == 0);
    assert_int_equal(f.tp * f.pp, devices);
  }
}

static void test_shorter_context(void **state) {
  struct ome_accelerator_facts a100 = device("a100", "ampere", "8.0", 80);
  struct fit f = plan(&llama_70b, &a100, 0, 1, 2, 1);

  (void)state;
  assert_true(f.fits && f.shortened);
  assert_true(f.context > 2048 && f.context < 131072 && f.context % 1024 == 0);
  assert_true(f.weights + f.activations + f.overhead + f.sequence <= f.usable);
}

static void test_eight_bits(void **state) {
  struct ome_accelerator_facts h100 = device("h100", "hopper", "9.0", 80), a100 = device("a100", "ampere", "8.0", 80);
  uint32_t most = 1;

  (void)state;
  while (plan(&llama_70b, &a100, 32768, most + 1, 4, 1).fits)
    most++;
  struct fit f = plan(&llama_70b, &h100, 32768, most + 1, 4, 1);
  assert_true(f.fits);
  assert_int_equal(f.kv_bits, 8);
  assert_int_equal(plan(&llama_70b, &h100, 32768, most, 4, 1).kv_bits, 16);
}

static void test_latent_attention(void **state) {
  struct ome_accelerator_facts h200 = device("h200", "hopper", "9.0", 141);
  struct fit few = plan(&deepseek, &h200, 32768, 2, 8, 1), many = plan(&deepseek, &h200, 32768, 64, 8, 1);

  (void)state;
  assert_int_equal(few.dp, 1);
  assert_int_equal(many.dp, 8);
  assert_int_equal(many.ep, 8);
  assert_true(many.fits);
}

/* ---- spellings --------------------------------------------------------------------------------------------------- */

static void test_sglang(void **state) {
  struct ask a = {.model = &llama_70b,
                  .accelerator = device("h100", "hopper", "9.0", 80),
                  .command = "python3 -m sglang.launch_server --model-path x",
                  .context = 32768,
                  .concurrency = 4};

  (void)state;
  EXPECT(scorer_sglang, a,
         "@nvidia.com/gpu=4\n--tp-size=4\n--mem-fraction-static=0.90\n--context-length=32768\n"
         "--max-running-requests=4\n");
  a.command = "python3 -m sglang.launch_server --tp 4 --context-length=16384 --mem-fraction-static 0.8";
  a.devices = 4;
  EXPECT(scorer_sglang, a, "--max-running-requests=4\n");
}

static void test_vllm(void **state) {
  struct ask a = {.model = &deepseek,
                  .accelerator = device("h100", "hopper", "9.0", 80),
                  .command = "sh -c exec vllm serve $(MODEL_PATH)",
                  .context = 8192,
                  .concurrency = 4,
                  .devices = 8,
                  .nodes = 2};

  (void)state;
  EXPECT(
      scorer_vllm, a,
      "--tensor-parallel-size=8\n--pipeline-parallel-size=2\n--enable-expert-parallel=\n--gpu-memory-utilization=0.90\n--max-model-len=8192\n"
      "--max-num-seqs=4\n");
  a.command = "vllm serve x --tensor-parallel-size 8";
  EXPECT(scorer_vllm, a,
         "--pipeline-parallel-size=2\n--enable-expert-parallel=\n--gpu-memory-utilization=0.90\n--max-model-len=8192\n"
         "--max-num-seqs=4\n");
}

static void test_trtllm(void **state) {
  struct ask a = {.model = &llama_70b,
                  .accelerator = device("h200", "hopper", "9.0", 141),
                  .command = "trtllm-serve x",
                  .context = 8192};

  (void)state;
  EXPECT(scorer_trtllm, a,
         "@nvidia.com/gpu=2\n--tp_size=2\n--kv_cache_free_gpu_memory_fraction=0.90\n--max_seq_len=8192\n");
}

/* Layers that a device has no room for stay with the processor: not fitting is no obstacle there. */
static void test_llamacpp(void **state) {
  struct ome_model_facts m = llama_70b;
  struct ask a = {.model = &m,
                  .accelerator = device("l4", "ada", "8.9", 24),
                  .command = "sh -c exec /app/llama-server --model x",
                  .context = 4096,
                  .concurrency = 2,
                  .devices = 1};
  struct kept k;

  (void)state;
  m.weight_bytes = 40u * GIB;
  assert_int_equal(ask(&scorer_llamacpp, &a, &k), OME_OK);
  assert_string_equal(k.text, "$LLAMA_ARG_CTX_SIZE=8192\n$LLAMA_ARG_N_PARALLEL=2\n$LLAMA_ARG_N_GPU_LAYERS=33\n");
  assert_string_equal(k.unfit, "");
  m.weight_bytes = 8u * GIB;
  assert_int_equal(ask(&scorer_llamacpp, &a, &k), OME_OK);
  assert_non_null(strstr(k.text, "$LLAMA_ARG_N_GPU_LAYERS=81\n"));
}

/* bfloat16 came with compute capability 8.0. */
static void test_old_device(void **state) {
  struct ome_model_facts m = llama_70b;
  struct ask a = {.model = &m,
                  .accelerator = device("v100", "volta", "7.0", 32),
                  .command = "vllm serve x --max-model-len 4096",
                  .devices = 1};
  struct kept k;

  (void)state;
  m.weight_bytes = 16u * GIB;
  assert_int_equal(ask(&scorer_vllm, &a, &k), OME_OK);
  assert_non_null(strstr(k.text, "--dtype=half\n"));
}

static void test_another_engine(void **state) {
  struct ask a = {.model = &llama_70b, .accelerator = device("h100", "hopper", "9.0", 80), .command = "vllm serve x"};
  struct kept k;

  (void)state;
  assert_int_equal(ask(&scorer_sglang, &a, &k), OME_E_UNSUPPORTED);
  assert_string_equal(k.text, "");
}

/* ---- what does not fit ------------------------------------------------------------------------------------------- */

/* What the advice names must fit when it is done. */
static void test_advice(void **state) {
  struct ask a = {.model = &llama_70b,
                  .accelerator = device("a100", "ampere", "8.0", 80),
                  .command = "vllm serve x",
                  .context = 131072,
                  .concurrency = 4,
                  .devices = 2};
  unsigned devices = 0, memory = 0;
  unsigned long long context = 0;
  struct kept k;

  (void)state;
  assert_int_equal(ask(&scorer_vllm, &a, &k), OME_OK);
  const char *would = strstr(k.unfit, "what would: ");
  assert_non_null(would);
  assert_int_equal(sscanf(would, "what would: %u devices, or a context of %llu tokens, or an accelerator with %u GiB",
                          &devices, &context, &memory),
                   3);
  struct ask more = a, shorter = a, larger = a;
  more.devices = devices;
  shorter.context = context;
  larger.accelerator.memory_bytes = memory * GIB;
  assert_int_equal(ask(&scorer_vllm, &more, &k), OME_OK);
  assert_string_equal(k.unfit, "");
  assert_int_equal(ask(&scorer_vllm, &shorter, &k), OME_OK);
  assert_string_equal(k.unfit, "");
  assert_int_equal(ask(&scorer_vllm, &larger, &k), OME_OK);
  assert_string_equal(k.unfit, "");
}

static void test_not_known(void **state) {
  struct ask a = {.model = &llama_70b, .accelerator = device("new", "", "", 0), .command = "vllm serve x"};
  struct kept k;

  (void)state;
  assert_int_equal(ask(&scorer_vllm, &a, &k), OME_OK);
  assert_string_equal(k.unfit, "the accelerator's memory is not known: see spec.capabilities.memoryGB");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fewest_devices),
      cmocka_unit_test(test_heads_divide),
      cmocka_unit_test(test_shorter_context),
      cmocka_unit_test(test_eight_bits),
      cmocka_unit_test(test_latent_attention),
      cmocka_unit_test(test_sglang),
      cmocka_unit_test(test_vllm),
      cmocka_unit_test(test_trtllm),
      cmocka_unit_test(test_llamacpp),
      cmocka_unit_test(test_old_device),
      cmocka_unit_test(test_another_engine),
      cmocka_unit_test(test_advice),
      cmocka_unit_test(test_not_known),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
