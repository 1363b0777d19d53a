#include "match.h"
#include "../common/descriptor.h"

static const struct ome_factory *const factories[] = {
    &scorer_format,
    &scorer_framework,
    &scorer_architecture,
    &scorer_size,
    &scorer_quantization,
    &scorer_priority,
    &scorer_pipeline,
    &scorer_accelerator,
    &scorer_protocol,
    &scorer_components,
    NULL,
};

PLUGIN_DESCRIPTOR("scorer-match", "Matches runtimes to models and to what services ask for, one scorer a rule");
