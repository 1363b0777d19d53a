/* scorer-engines: how inference engines are set up, one factory an engine. */
#include "../common/descriptor.h"
#include "tune.h"

static const struct ome_factory *const factories[] = {&scorer_sglang, &scorer_vllm, &scorer_llamacpp, &scorer_trtllm,
                                                      NULL};

PLUGIN_DESCRIPTOR("scorer-engines", "Parallelism, memory and context of SGLang, vLLM, llama.cpp and TensorRT-LLM");
