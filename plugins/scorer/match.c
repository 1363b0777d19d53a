#include "match.h"
#include "../common/descriptor.h"

static const struct ome_factory *const factories[] = {
    &scorer_format, &scorer_framework, &scorer_architecture, &scorer_size, &scorer_quantization, &scorer_priority, NULL,
};

PLUGIN_DESCRIPTOR("scorer-match",
                  "Matches runtimes and models by format, framework, architecture, size, quantization and priority");
