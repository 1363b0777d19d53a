/* What the files of the plugin room share. */
#ifndef HOST_PLUGIN_INTERNAL_H
#define HOST_PLUGIN_INTERNAL_H

#include "base/vec.h"
#include "plugin/plugin.h"

#include <pthread.h>
#include <stdatomic.h>

/* The host's own copy of a factory's table: what the plugin does not have is NULL. */
union ops {
  struct ome_storage_ops storage;
  struct ome_render_ops render;
  struct ome_scorer_ops scorer;
};

struct factory {
  const struct ome_factory *from;
  union ops ops;
  pthread_mutex_t lock; /* of OME_THREADS_SERIAL */
};

struct plugin_instance {
  struct factory *factory;
  struct json_object *settings; /* borrowed from the plugin's row */
  const struct ome_host *host;
  pthread_mutex_t lock; /* of OME_THREADS_PER_INSTANCE, and of its making */
  void *self;
  atomic_bool made; /* under LOCK, but read without it */
};

enum plugin_state { PLUGIN_LOADED, PLUGIN_REFUSED };

/* One file of plugins.conf and what became of it. */
struct plugin_row {
  char *file;
  const struct ome_plugin *plugin; /* NULL: refused */
  enum plugin_state state;
  struct ome_err err;
  struct json_object *settings;
};

struct plugins {
  struct ome_host host;
  struct plugin_service *services;
  size_t nservices;
  VEC(struct plugin_row *) rows;
  VEC(struct plugin_instance *) instances;
};

/* Checks PLUGIN against this host, member by member; the error names what does not fit. */
int32_t negotiate(const struct ome_plugin *plugin, struct ome_err *err);
/* A factory's table, by prefix, into the host's own. */
int32_t copy_ops(const struct ome_factory *f, union ops *out, struct ome_err *err);

#endif
