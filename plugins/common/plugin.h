/* The descriptor of a plugin with one stateless render factory. */
#ifndef PLUGINS_COMMON_PLUGIN_H
#define PLUGINS_COMMON_PLUGIN_H

#include "descriptor.h"

#include "doc.h"

/* A factory without configuration and state. */
static int32_t stateless_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                                struct ome_err *err) {
  (void)host, (void)cfg, (void)ncfg, (void)err;
  *out_self = NULL;
  return OME_OK;
}

static void stateless_destroy(void *self) {
  (void)self;
}

/* A plugin of the render shape: its file defines render() and observe() on documents, and `needed`. */
#define RENDER_PLUGIN(kind_id, plugin_name, factory_name, text)                                                        \
  static int32_t on_render(void *self, const struct ome_call *call, const struct ome_render_req *req,                  \
                           struct ome_object_sink *out, struct ome_err *err) {                                         \
    (void)self, (void)call;                                                                                            \
    return docs_render(req, render, out, err);                                                                         \
  }                                                                                                                    \
  static int32_t on_observe(void *self, const struct ome_call *call, const struct ome_render_req *req,                 \
                            struct ome_bytes observed, struct ome_status *out, struct ome_err *err) {                  \
    (void)self, (void)call;                                                                                            \
    return docs_observe(req, observed, observe, out, err);                                                             \
  }                                                                                                                    \
  static int32_t on_needs(void *self, const struct ome_render_req *req, struct ome_object_sink *out,                   \
                          struct ome_err *err) {                                                                       \
    (void)self, (void)req;                                                                                             \
    return doc_need(&needed, out, err);                                                                                \
  }                                                                                                                    \
  static const struct ome_render_ops ops = {                                                                           \
      .struct_size = sizeof(ops),                                                                                      \
      .render = on_render,                                                                                             \
      .observe = on_observe,                                                                                           \
      .needs = on_needs,                                                                                               \
  };                                                                                                                   \
  static const struct ome_factory factory = {                                                                          \
      .struct_size = sizeof(factory),                                                                                  \
      .threads = OME_THREADS_PARALLEL,                                                                                 \
      .kind = kind_id,                                                                                                 \
      .name = factory_name,                                                                                            \
      .ops = &ops,                                                                                                     \
      .create = stateless_create,                                                                                      \
      .destroy = stateless_destroy,                                                                                    \
  };                                                                                                                   \
  static const struct ome_factory *const factories[] = {&factory, NULL};                                               \
  PLUGIN_DESCRIPTOR(plugin_name, text)

#endif
