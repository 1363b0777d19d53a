/* Plugins as the host sees them: loaded once, never unloaded, reached through guarded calls.
 *
 * A struct plugin_instance is a created factory.  The call wrappers below take the locks its thread ceiling asks for,
 * hand a deadline and a cancel check over, and answer OME_E_UNSUPPORTED for a method the plugin does not have. */
#ifndef HOST_PLUGIN_PLUGIN_H
#define HOST_PLUGIN_PLUGIN_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

#include <ome/render.h>
#include <ome/scorer.h>
#include <ome/service.h>
#include <ome/storage.h>

struct plugins;
struct plugin_instance;

/* Reads CONF (plugins.conf; NULL: the built-in search path and everything in it) and loads.  Fails only for a required
 * plugin or an unreadable file; every other refusal is one log line and one row of plugins_list().
 * SERVICES may be NULL; it is what ome_host.service() answers from: NULL-terminated pairs. */
struct plugin_service {
  const char *id;
  const void *table;
};
int32_t plugins_load(const char *conf, const struct plugin_service *services, size_t nservices, struct plugins **out,
                     struct ome_err *err);
void plugins_free(struct plugins *p); /* destroys instances; the shared objects stay mapped */
DEFINE_CLEANUP(struct plugins *, plugins_free)

/* What `ome plugin list -o json` prints: new array. */
struct json_object *plugins_list(struct plugins *p);

/* The instance of KIND named NAME; NULL: none.  Borrowed. */
struct plugin_instance *plugins_find(struct plugins *p, const char *kind, const char *name);
/* All instances of KIND in name order: fills OUT up to MAX, returns how many there are. */
size_t plugins_of_kind(struct plugins *p, const char *kind, struct plugin_instance **out, size_t max);
const char *plugin_instance_name(const struct plugin_instance *i);
/* The storage plugin that suits URI best; OME_E_UNSUPPORTED names the scheme and what is loaded. */
int32_t plugins_storage_for(struct plugins *p, const char *uri, struct plugin_instance **out, struct ome_err *err);

/* Circumstances of a call; zeroed is fine. */
struct plugin_call {
  uint32_t timeout_ms; /* 0: none */
  const char *trace_id;
  bool (*cancelled)(void *arg);
  void *arg;
};

/* Each calls the plugin's method of the same name; sinks are the caller's.  [any-thread] */
int32_t plugin_storage_list(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                            struct ome_file_sink *out, struct ome_err *err);
int32_t plugin_storage_headers(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                               const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err);
int32_t plugin_storage_read(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                            const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                            struct ome_err *err);
int32_t plugin_storage_upload(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                              const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err);
int32_t plugin_render(struct plugin_instance *i, const struct plugin_call *c, const struct ome_render_req *req,
                      struct ome_object_sink *out, struct ome_err *err);
int32_t plugin_observe(struct plugin_instance *i, const struct plugin_call *c, const struct ome_render_req *req,
                       struct ome_bytes observed, struct ome_status *out, struct ome_err *err);
int32_t plugin_needs(struct plugin_instance *i, const struct ome_render_req *req, struct ome_object_sink *out,
                     struct ome_err *err);
int32_t plugin_score(struct plugin_instance *i, const struct plugin_call *c, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err);
/* Whether a storage plugin writes. */
bool plugin_uploads(const struct plugin_instance *i);
/* OME_STORAGE_* and OME_SCORER_* of its factory. */
uint32_t plugin_storage_caps(const struct plugin_instance *i);
uint32_t plugin_scorer_caps(const struct plugin_instance *i);
/* Whether a scorer has the methods. */
bool plugin_scores(const struct plugin_instance *i);
bool plugin_tunes(const struct plugin_instance *i);
int32_t plugin_tune(struct plugin_instance *i, const struct plugin_call *c, const struct ome_score_req *req,
                    struct ome_setting_sink *out, struct ome_err *err);

#endif
