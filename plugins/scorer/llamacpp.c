/* llama.cpp's server (tools/server/README.md): it reads its settings from the environment, too, which suits runtimes
 * whose command is a shell script; a flag wins over the variable. */
#include "tune.h"

static const char *const marks[] = {"llama-server", "ggml-org/llama.cpp", NULL};

static const struct engine engine = {
    .marks = marks,
    .settings =
        {
            [SET_CONTEXT] = {.flags = {"--ctx-size", "-c"}, .env = "LLAMA_ARG_CTX_SIZE"},
            [SET_SEQUENCES] = {.flags = {"--parallel", "-np"}, .env = "LLAMA_ARG_N_PARALLEL"},
            [SET_OFFLOADED_LAYERS] = {.flags = {"--n-gpu-layers", "--gpu-layers", "-ngl"},
                                      .env = "LLAMA_ARG_N_GPU_LAYERS"},
        },
    .layers_only = true,
    .whole_context = true,
};

TUNER_FACTORY(llamacpp, "llamacpp");
