/* Calls into plugins: made on first use, under the locks of the thread ceiling, with a deadline and a cancel check. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "plugin/internal.h"
#include "plugin/keys.h"

#include <string.h>

METRIC_HISTOGRAM(call_seconds, "ome_plugin_call_duration_seconds", "Time of calls into plugins.", METRIC_SECONDS,
                 "plugin", "method");
METRIC_COUNTER(call_errors, "ome_plugin_errors_total", "Calls into plugins that failed, by reason.", "plugin", "method",
               "reason");

/* The circumstances as the plugin sees them; ome_call first, so that cancelled() finds the rest. */
struct call {
  struct ome_call base;
  const struct plugin_call *from;
};

static int32_t is_cancelled(const struct ome_call *base) {
  const struct call *c = (const void *)base;

  return c->from && c->from->cancelled && c->from->cancelled(c->from->arg);
}

static struct call make_call(const struct plugin_call *from) {
  struct call c = {.base = {.struct_size = sizeof(c.base), .cancelled = is_cancelled}, .from = from};

  if (from && from->timeout_ms)
    c.base.deadline_ns = mono_ns() + (uint64_t)from->timeout_ms * 1000000u;
  c.base.trace_id = from && from->trace_id ? from->trace_id : log_trace();
  return c;
}

static int32_t make_locked(struct plugin_instance *i, struct ome_err *err) {
  const struct ome_factory *f = i->factory->from;
  struct keys keys;

  if (atomic_load(&i->made))
    return OME_OK;
  int32_t rc = f->create ? keys_resolve(f, i->settings, &keys, err) : OME_OK;
  if (rc != OME_OK)
    return rc;
  if (f->create) {
    rc = f->create(i->host, keys.pairs, keys.n, &i->self, err);
    keys_fini(&keys);
  }
  atomic_store(&i->made, rc == OME_OK);
  return rc == OME_OK ? rc : fail_prefix(err, "plugin %s", f->name);
}

/* Readies I for a call and takes the locks that its ceiling asks for. */
static int32_t enter(struct plugin_instance *i, struct ome_err *err) {
  uint32_t threads = i->factory->from->threads;

  if (threads == OME_THREADS_PARALLEL && atomic_load(&i->made))
    return OME_OK;
  (void)pthread_mutex_lock(&i->lock);
  int32_t rc = make_locked(i, err);
  if (rc != OME_OK || threads != OME_THREADS_PER_INSTANCE)
    (void)pthread_mutex_unlock(&i->lock);
  if (rc == OME_OK && threads == OME_THREADS_SERIAL)
    (void)pthread_mutex_lock(&i->factory->lock);
  return rc;
}

static void leave(struct plugin_instance *i) {
  uint32_t threads = i->factory->from->threads;

  if (threads == OME_THREADS_SERIAL)
    (void)pthread_mutex_unlock(&i->factory->lock);
  else if (threads == OME_THREADS_PER_INSTANCE)
    (void)pthread_mutex_unlock(&i->lock);
}

static void observe_time(const struct plugin_instance *i, const char *method, uint64_t began_ns) {
  metric_observe(METRIC(&call_seconds, plugin_instance_name(i), method), (double)(mono_ns() - began_ns) / 1e9);
}

/* Many plugins begin with their own name, which is said once. */
static void drop_name(struct ome_err *err, const char *name) {
  size_t n = strlen(name);

  if (strncmp(err->msg, name, n) == 0 && err->msg[n] == ':' && err->msg[n + 1] == ' ')
    memmove(err->msg, err->msg + n + 2, strlen(err->msg + n + 2) + 1);
}

/* A plugin that fails without a word, or with a message that does not end, still gives a sentence. */
static int32_t settle(const struct plugin_instance *i, const char *method, int32_t rc, struct ome_err *err) {
  if (rc == OME_OK)
    return rc;
  err->msg[sizeof(err->msg) - 1] = '\0';
  if (rc > 0)
    rc = OME_E_INTERNAL;
  metric_add(METRIC(&call_errors, plugin_instance_name(i), method, err_name(rc)), 1);
  err->code = rc;
  if (!err->msg[0])
    (void)fail(err, rc, "%s failed: %s", method, err_name(rc));
  drop_name(err, plugin_instance_name(i));
  return fail_prefix(err, "plugin %s", plugin_instance_name(i));
}

static int32_t unsupported(const struct plugin_instance *i, const char *method, struct ome_err *err) {
  return fail(err, OME_E_UNSUPPORTED, "plugin %s has no %s()", plugin_instance_name(i), method);
}

/* Every wrapper is this, with another method. */
#define CALL(kind, method, ...)                                                                                        \
  do {                                                                                                                 \
    if (!i->factory->ops.kind.method)                                                                                  \
      return unsupported(i, #method, err);                                                                             \
    int32_t rc_ = enter(i, err);                                                                                       \
    if (rc_ != OME_OK)                                                                                                 \
      return rc_;                                                                                                      \
    err_clear(err);                                                                                                    \
    uint64_t began_ns_ = mono_ns();                                                                                    \
    rc_ = i->factory->ops.kind.method(i->self, __VA_ARGS__);                                                           \
    leave(i);                                                                                                          \
    observe_time(i, #method, began_ns_);                                                                               \
    return settle(i, #method, rc_, err);                                                                               \
  } while (0)

bool plugin_uploads(const struct plugin_instance *i) {
  return i->factory->ops.storage.upload != NULL;
}

int32_t plugin_storage_list(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                            struct ome_file_sink *out, struct ome_err *err) {
  struct call call = make_call(c);

  CALL(storage, list, &call.base, ref, out, err);
}

int32_t plugin_storage_headers(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                               const struct ome_model_file *file, struct ome_kv_sink *out, struct ome_err *err) {
  struct call call = make_call(c);

  CALL(storage, headers, &call.base, ref, file, out, err);
}

int32_t plugin_storage_read(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                            const struct ome_model_file *file, uint64_t offset, uint64_t len, struct ome_byte_sink *out,
                            struct ome_err *err) {
  struct call call = make_call(c);

  CALL(storage, read, &call.base, ref, file, offset, len, out, err);
}

int32_t plugin_storage_upload(struct plugin_instance *i, const struct plugin_call *c, const struct ome_model_ref *ref,
                              const struct ome_upload_file *file, struct ome_uploader *to, struct ome_err *err) {
  struct call call = make_call(c);

  CALL(storage, upload, &call.base, ref, file, to, err);
}

int32_t plugin_render(struct plugin_instance *i, const struct plugin_call *c, const struct ome_render_req *req,
                      struct ome_object_sink *out, struct ome_err *err) {
  struct call call = make_call(c);

  CALL(render, render, &call.base, req, out, err);
}

int32_t plugin_observe(struct plugin_instance *i, const struct plugin_call *c, const struct ome_render_req *req,
                       struct ome_bytes observed, struct ome_status *out, struct ome_err *err) {
  struct call call = make_call(c);

  CALL(render, observe, &call.base, req, observed, out, err);
}

int32_t plugin_needs(struct plugin_instance *i, const struct ome_render_req *req, struct ome_object_sink *out,
                     struct ome_err *err) {
  CALL(render, needs, req, out, err);
}

/* For every pair of model and runtime: to look at the clock would take longer than it does. */
int32_t plugin_score(struct plugin_instance *i, const struct plugin_call *c, const struct ome_score_req *req,
                     struct ome_term_sink *out, struct ome_err *err) {
  struct call call = make_call(c);

  if (!i->factory->ops.scorer.score)
    return unsupported(i, "score", err);
  int32_t rc = enter(i, err);
  if (rc != OME_OK)
    return rc;
  err->msg[0] = '\0';
  rc = i->factory->ops.scorer.score(i->self, &call.base, req, out, err);
  leave(i);
  bool by_sink = rc == OME_E_CANCELLED && req->flags & OME_SCORE_NO_REASONS; /* a rejection, which needs no sentence */
  return by_sink ? rc : settle(i, "score", rc, err);
}

uint32_t plugin_storage_caps(const struct plugin_instance *i) {
  return i->factory->ops.storage.caps;
}

uint32_t plugin_scorer_caps(const struct plugin_instance *i) {
  return i->factory->ops.scorer.caps;
}

int32_t plugin_tune(struct plugin_instance *i, const struct plugin_call *c, const struct ome_score_req *req,
                    struct ome_setting_sink *out, struct ome_err *err) {
  struct call call = make_call(c);

  CALL(scorer, tune, &call.base, req, out, err);
}

bool plugin_scores(const struct plugin_instance *i) {
  return i->factory->ops.scorer.score != NULL;
}

bool plugin_tunes(const struct plugin_instance *i) {
  return i->factory->ops.scorer.tune != NULL;
}

/* "hf://, local://", or the plugin's name where it does not say. */
static void add_schemes(struct buf *b, struct plugin_instance *i) {
  struct ome_err ignored = ERR_INIT;
  bool says = i->factory->ops.storage.schemes && enter(i, &ignored) == OME_OK;
  const char *const *known = says ? i->factory->ops.storage.schemes(i->self) : NULL;

  if (!known)
    buf_addf(b, "%s%s", b->len ? ", " : "", plugin_instance_name(i));
  for (; known && *known; known++)
    buf_addf(b, "%s%s", b->len ? ", " : "", *known);
  if (says)
    leave(i);
}

/* How well I can do URI, 0: not at all. */
static int32_t fit_of(struct plugin_instance *i, const char *uri, int32_t *out, struct ome_err *err) {
  *out = 0;
  if (!i->factory->ops.storage.match)
    return OME_OK;
  int32_t rc = enter(i, err);
  if (rc != OME_OK)
    return rc;
  *out = i->factory->ops.storage.match(i->self, uri);
  leave(i);
  return OME_OK;
}

/* None of the N in LIST can do URI. */
static int32_t fail_unclaimed(struct plugin_instance *const *list, size_t n, const char *uri, struct ome_err *err) {
  _cleanup_buf_ struct buf names = BUF_INIT;

  for (size_t k = 0; k < n; k++)
    add_schemes(&names, list[k]);
  const char *known = names.len ? buf_str(&names) : "none";
  if (strstr(uri, "://"))
    return fail(err, OME_E_UNSUPPORTED, "no storage plugin for \"%.*s://\"; known are: %s", (int)strcspn(uri, ":"), uri,
                known);
  return fail(err, OME_E_INVALID,
              "\"%.200s\" is no address of a model: it begins with none of %s; a path of this machine is "
              "local://PATH",
              uri, known);
}

int32_t plugins_storage_for(struct plugins *p, const char *uri, struct plugin_instance **out, struct ome_err *err) {
  struct plugin_instance *list[64];
  size_t n = plugins_of_kind(p, OME_KIND_STORAGE, list, ARRAY_LEN(list));
  int32_t high = 0;

  n = n < ARRAY_LEN(list) ? n : ARRAY_LEN(list);
  *out = NULL;
  for (size_t k = 0; k < n; k++) {
    int32_t fit;
    int32_t rc = fit_of(list[k], uri, &fit, err);
    if (rc != OME_OK)
      return rc;
    if (fit > high) {
      high = fit;
      *out = list[k];
    }
  }
  return *out ? OME_OK : fail_unclaimed(list, n, uri, err);
}
