/* What every plugin of ours says of itself: version, licence and the one symbol. */
#ifndef PLUGINS_COMMON_DESCRIPTOR_H
#define PLUGINS_COMMON_DESCRIPTOR_H

#include <ome/abi.h>

/* From the file's own `factories`. */
#define PLUGIN_DESCRIPTOR(plugin_name, text)                                                                           \
  static const struct ome_plugin plugin = {                                                                            \
      .struct_size = sizeof(plugin),                                                                                   \
      .abi_epoch = OME_ABI_EPOCH,                                                                                      \
      .abi_minor = OME_ABI_MINOR,                                                                                      \
      .name = plugin_name,                                                                                             \
      .version = OME_VERSION,                                                                                          \
      .license = "Apache-2.0",                                                                                         \
      .summary = text,                                                                                                 \
      .factories = factories,                                                                                          \
  };                                                                                                                   \
  const struct ome_plugin *ome_plugin_v1(void) {                                                                       \
    return &plugin;                                                                                                    \
  }                                                                                                                    \
  _Static_assert(sizeof(plugin_name) > 1, "a plugin has a name")

#endif
