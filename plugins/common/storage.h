/* The descriptor of a plugin with one storage factory that any number of threads may call. */
#ifndef PLUGINS_COMMON_STORAGE_H
#define PLUGINS_COMMON_STORAGE_H

#include <ome/storage.h>

/* schemes(), from the prefixes that match() knows. */
#define STORAGE_SCHEMES(...)                                                                                           \
  static const char *const *schemes(void *self) {                                                                      \
    static const char *const known[] = {__VA_ARGS__, NULL};                                                            \
                                                                                                                       \
    (void)self;                                                                                                        \
    return known;                                                                                                      \
  }                                                                                                                    \
  _Static_assert(1, "")

/* From the file's own ops. */
#define STORAGE_PLUGIN(storage_name, text, its_keys, its_create, its_destroy)                                          \
  static const struct ome_factory factory = {                                                                          \
      .struct_size = sizeof(factory),                                                                                  \
      .threads = OME_THREADS_PARALLEL,                                                                                 \
      .kind = OME_KIND_STORAGE,                                                                                        \
      .name = storage_name,                                                                                            \
      .keys = its_keys,                                                                                                \
      .ops = &ops,                                                                                                     \
      .create = its_create,                                                                                            \
      .destroy = its_destroy,                                                                                          \
  };                                                                                                                   \
  static const struct ome_factory *const factories[] = {&factory, NULL};                                               \
  static const struct ome_plugin plugin = {                                                                            \
      .struct_size = sizeof(plugin),                                                                                   \
      .abi_epoch = OME_ABI_EPOCH,                                                                                      \
      .abi_minor = OME_ABI_MINOR,                                                                                      \
      .name = "storage-" storage_name,                                                                                 \
      .version = OME_VERSION,                                                                                          \
      .license = "Apache-2.0",                                                                                         \
      .summary = text,                                                                                                 \
      .factories = factories,                                                                                          \
  };                                                                                                                   \
  const struct ome_plugin *ome_plugin_v1(void) {                                                                       \
    return &plugin;                                                                                                    \
  }                                                                                                                    \
  _Static_assert(sizeof(storage_name) > 1, "a plugin has a name")

#endif
