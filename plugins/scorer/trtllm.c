/* TensorRT-LLM's arguments (trtllm-serve --help, 1.0). */
#include "tune.h"

static const char *const marks[] = {"trtllm-serve", "tensorrt-llm/", NULL};

static const struct engine engine = {
    .marks = marks,
    .settings =
        {
            [SET_TENSOR_PARALLEL] = {.flags = {"--tp_size"}},
            [SET_PIPELINE_PARALLEL] = {.flags = {"--pp_size"}},
            [SET_EXPERT_PARALLEL] = {.flags = {"--ep_size"}},
            [SET_MEMORY_FRACTION] = {.flags = {"--kv_cache_free_gpu_memory_fraction"}},
            [SET_CONTEXT] = {.flags = {"--max_seq_len"}},
            [SET_SEQUENCES] = {.flags = {"--max_batch_size"}},
        },
    .fraction = OF_FREE_AFTER_WEIGHTS,
};

TUNER_FACTORY(trtllm, "trtllm");
