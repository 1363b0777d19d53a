#include "match.h"

static const struct ome_factory *const factories[] = {
    &scorer_format, &scorer_framework, &scorer_architecture, &scorer_size, &scorer_quantization, &scorer_priority, NULL,
};

static const struct ome_plugin plugin = {
    .struct_size = sizeof(plugin),
    .abi_epoch = OME_ABI_EPOCH,
    .abi_minor = OME_ABI_MINOR,
    .name = "scorer-match",
    .version = OME_VERSION,
    .license = "Apache-2.0",
    .summary = "Matches runtimes and models by format, framework, architecture, size, quantization and priority",
    .factories = factories,
};

const struct ome_plugin *ome_plugin_v1(void) {
  return &plugin;
}
