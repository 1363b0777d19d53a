#include "agent/record.h"

#include "base/clock.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/meta.h"

#include <string.h>

static const char *const statuses[] = {"Ready", "Updating", "Failed", "Evicted"};

static struct json_object *entry_document(const struct record_entry *e) {
  struct json_object *o = json_object_new_object();
  char now[TIME_TEXT];

  (void)json_set_str(o, "name", e->model);
  (void)json_set_str(o, "status", statuses[e->status]);
  if (e->config)
    (void)json_set(o, "config", json_object_get(e->config));
  if (e->cause)
    (void)json_set_str(o, "cause", e->cause);
  if (e->message && *e->message)
    (void)json_set_str(o, "message", e->message);
  if (e->progress && e->status == RECORD_UPDATING) {
    time_format(wall_ms() / 1000, now);
    (void)json_set_str(o, "progress.phase", "downloading");
    (void)json_set_i64(o, "progress.totalBytes", (int64_t)e->progress->total_bytes);
    (void)json_set_i64(o, "progress.completedBytes", (int64_t)e->progress->bytes);
    (void)json_set_i64(o, "progress.totalFiles", e->progress->total_files);
    (void)json_set_i64(o, "progress.completedFiles", e->progress->files);
    (void)json_set(o, "progress.speedBytesPerSec", json_object_new_double(e->progress->bytes_per_second));
    if (e->progress->eta_ms != UINT64_MAX)
      (void)json_set_i64(o, "progress.etaSeconds", (int64_t)((e->progress->eta_ms + 999) / 1000));
    (void)json_set_str(o, "progress.lastUpdated", now);
  }
  return o;
}

static struct json_object *new_config_map(const struct record *r) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set_str(o, "kind", "ConfigMap");
  (void)json_set_str(o, "metadata.name", r->node);
  (void)json_set_str(o, "metadata.namespace", r->ns);
  meta_set_label(o, "models.ome/basemodel-status", "true");
  meta_set_label(o, "node", r->node);
  meta_set_annotation(o, "models.ome.io/node-name", r->node);
  meta_set_annotation(o, "models.ome.io/managed-by", "model-agent");
  return o;
}

/* Merges PATCH into the ConfigMap.  One that somebody deleted is made again of it. */
static int32_t merge(const struct record *r, struct json_object *patch, struct ome_err *err) {
  int32_t rc = kube_patch(r->client, &KUBE_CONFIGMAPS, r->ns, r->node, NULL, KUBE_PATCH_MERGE, patch, NULL, err);

  if (rc != OME_E_NOT_FOUND)
    return rc;
  err_clear(err);
  rc = kube_create(r->client, &KUBE_CONFIGMAPS, patch, NULL, err);
  return rc == OME_E_EXISTS
             ? fail(err, OME_E_CONFLICT, "ConfigMap %s/%s: made by somebody else just now", r->ns, r->node)
             : rc;
}

static int32_t put_key(const struct record *r, const char *key, const char *text, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = new_config_map(r);
  struct json_object *data = json_ensure(patch, "data");

  return data && json_put_str(data, key, text) ? merge(r, patch, err) : fail_memory(err);
}

/* A ConfigMap that is not there has no key. */
static int32_t drop_key(const struct record *r, const char *key, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = new_config_map(r);
  struct json_object *data = json_ensure(patch, "data");

  if (!data || !json_put(data, key, NULL))
    return fail_memory(err);
  int32_t rc = kube_patch(r->client, &KUBE_CONFIGMAPS, r->ns, r->node, NULL, KUBE_PATCH_MERGE, patch, NULL, err);
  if (rc != OME_E_NOT_FOUND)
    return rc;
  err_clear(err);
  return OME_OK;
}

int32_t record_annotate(const struct record *r, const char *key, const char *value, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = new_config_map(r);

  meta_set_annotation(patch, key, value);
  return merge(r, patch, err);
}

static int32_t put_label(const struct record *r, const char *key, const char *value, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = json_object_new_object();
  struct json_object *labels = json_ensure(patch, "metadata.labels");

  if (!labels || !json_put(labels, key, value ? json_object_new_string(value) : NULL))
    return fail_memory(err);
  int32_t rc = kube_patch(r->client, &KUBE_NODES, NULL, r->node, NULL, KUBE_PATCH_MERGE, patch, NULL, err);
  if (rc != OME_E_NOT_FOUND || value)
    return rc;
  err_clear(err); /* the node went, and its labels with it */
  return OME_OK;
}

int32_t record_put(const struct record *r, const struct record_entry *e, struct ome_err *err) {
  _cleanup_free_ char *key = name_model_key(e->model_ns, e->model);
  _cleanup_free_ char *label = name_model_label(e->model_ns, e->model);
  _cleanup_json_ struct json_object *document = entry_document(e);
  _cleanup_free_ char *text = json_text(document);

  if (!key || !label || !text)
    return fail_memory(err);
  /* Pods follow the label: it never says more than is written down. */
  if (e->status != RECORD_READY && !e->progress) {
    int32_t rc = put_label(r, label, statuses[e->status], err);
    return rc == OME_OK ? put_key(r, key, text, err) : rc;
  }
  int32_t rc = put_key(r, key, text, err);
  return rc == OME_OK && e->status == RECORD_READY ? put_label(r, label, statuses[e->status], err) : rc;
}

int32_t record_unlabel(const struct record *r, const char *model_ns, const char *model, struct ome_err *err) {
  _cleanup_free_ char *label = name_model_label(model_ns, model);

  return label ? put_label(r, label, NULL, err) : fail_memory(err);
}

int32_t record_remove(const struct record *r, const char *model_ns, const char *model, struct ome_err *err) {
  _cleanup_free_ char *key = name_model_key(model_ns, model);
  int32_t rc = key ? record_unlabel(r, model_ns, model, err) : fail_memory(err);

  return rc == OME_OK ? drop_key(r, key, err) : rc;
}

/* The entry of E's model, where label and entry are there and the label says E's status; new; NULL: not so. */
static struct json_object *find_entry(struct json_object *node, struct json_object *config_map,
                                      const struct record_entry *e) {
  _cleanup_free_ char *key = name_model_key(e->model_ns, e->model);
  _cleanup_free_ char *label = name_model_label(e->model_ns, e->model);
  struct json_object *text = key ? json_get(json_at(config_map, "data"), key) : NULL;
  const char *value = label ? meta_label(node, label) : NULL;
  const char *found = meta_label(config_map, "models.ome/basemodel-status");
  struct json_object *entry = NULL;
  struct ome_err err = ERR_INIT;

  if (!text || !value || !streq(value, statuses[e->status]) || !found || !streq(found, "true"))
    return NULL;
  const char *s = json_object_get_string(text);
  return json_parse(s, strlen(s), 0, &entry, &err) == OME_OK ? entry : NULL;
}

bool record_has(struct json_object *node, struct json_object *config_map, const struct record_entry *e) {
  _cleanup_json_ struct json_object *entry = find_entry(node, config_map, e);
  _cleanup_json_ struct json_object *want = entry ? entry_document(e) : NULL;

  return entry && json_equal(entry, want);
}

bool record_says(struct json_object *node, struct json_object *config_map, const struct record_entry *e) {
  _cleanup_json_ struct json_object *entry = find_entry(node, config_map, e);

  return streq(json_str(entry, "status", ""), statuses[e->status]);
}
