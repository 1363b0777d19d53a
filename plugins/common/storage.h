/* The descriptor of a plugin with one storage factory that any number of threads may call. */
#ifndef PLUGINS_COMMON_STORAGE_H
#define PLUGINS_COMMON_STORAGE_H

#include "descriptor.h"

#include <ome/storage.h>

/* key_ID: a key of the configuration, of type OME_KEY_*; TEXT is one sentence. */
#define STORAGE_KEY(id, type, text)                                                                                    \
  static const struct ome_key key_##id = {sizeof(struct ome_key), type, 0, 0, #id, NULL, text}

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
  PLUGIN_DESCRIPTOR("storage-" storage_name, text)

#endif
