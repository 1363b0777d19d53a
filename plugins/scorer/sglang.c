/* SGLang's arguments (python3 -m sglang.launch_server --help, 0.5). */
#include "tune.h"

static const char *const marks[] = {"sglang.launch_server", "sglang serve", "lmsysorg/sglang", NULL};

static const struct engine engine = {
    .marks = marks,
    .settings =
        {
            [SET_TENSOR_PARALLEL] = {.flags = {"--tp-size", "--tensor-parallel-size", "--tp"}},
            [SET_PIPELINE_PARALLEL] = {.flags = {"--pp-size", "--pipeline-parallel-size", "--pp"}},
            [SET_EXPERT_PARALLEL] = {.flags = {"--ep-size", "--expert-parallel-size", "--ep"}},
            [SET_DATA_PARALLEL] = {.flags = {"--dp-size", "--data-parallel-size", "--dp"}},
            [SET_DTYPE] = {.flags = {"--dtype"}},
            [SET_CACHE_DTYPE] = {.flags = {"--kv-cache-dtype"}},
            [SET_MEMORY_FRACTION] = {.flags = {"--mem-fraction-static"}},
            [SET_CONTEXT] = {.flags = {"--context-length"}},
            [SET_SEQUENCES] = {.flags = {"--max-running-requests"}},
        },
    .with_data_parallel = "--enable-dp-attention",
    .fp8_cache = "fp8_e4m3",
    .half = "half",
    .fraction = OF_DEVICE_WITHOUT_ACTIVATIONS,
};

TUNER_FACTORY(sglang, "sglang");
