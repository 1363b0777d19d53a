/* vLLM's arguments (vllm serve --help, 0.11). */
#include "tune.h"

static const char *const marks[] = {"vllm serve", "vllm.entrypoints", "vllm/vllm-openai", NULL};

static const struct engine engine = {
    .marks = marks,
    .settings =
        {
            [SET_TENSOR_PARALLEL] = {.flags = {"--tensor-parallel-size", "-tp"}},
            [SET_PIPELINE_PARALLEL] = {.flags = {"--pipeline-parallel-size", "-pp"}},
            [SET_EXPERT_PARALLEL] = {.flags = {"--enable-expert-parallel"}, .bare = true},
            [SET_DTYPE] = {.flags = {"--dtype"}},
            [SET_CACHE_DTYPE] = {.flags = {"--kv-cache-dtype"}},
            [SET_MEMORY_FRACTION] = {.flags = {"--gpu-memory-utilization"}},
            [SET_CONTEXT] = {.flags = {"--max-model-len"}},
            [SET_SEQUENCES] = {.flags = {"--max-num-seqs"}},
        },
    .fp8_cache = "fp8",
    .half = "half",
    .fraction = OF_DEVICE,
};

TUNER_FACTORY(vllm, "vllm");
