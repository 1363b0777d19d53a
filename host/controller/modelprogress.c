#include "controller/modelprogress.h"

#include "base/str.h"

#include <stdio.h>

#define MAX_BYTES ((int64_t)1 << 60) /* what a record may claim: sums of it do not overflow */

static uint64_t bounded(struct json_object *entry, const char *path) {
  int64_t n = json_i64(entry, path, 0);

  return n < 0 ? 0 : (uint64_t)(n < MAX_BYTES ? n : MAX_BYTES);
}

static void add_bytes(struct model_progress *p, struct json_object *entry) {
  uint64_t total = bounded(entry, "progress.totalBytes");
  uint64_t done = bounded(entry, "progress.completedBytes");
  uint64_t eta_s = bounded(entry, "progress.etaSeconds");

  if (!total || p->total > (uint64_t)(INT64_MAX - MAX_BYTES))
    return;
  done = done < total ? done : total;
  p->moving++;
  p->total += total;
  p->completed += done;
  p->parts += (uint64_t)((double)done / (double)total * 1000);
  p->eta_s = eta_s > p->eta_s ? eta_s : p->eta_s;
}

void model_progress_add(struct model_progress *p, const char *status, struct json_object *entry) {
  if (!*status || streq(status, "Evicted") || streq(status, "Deleted"))
    return;
  p->nodes++;
  p->ready += streq(status, "Ready");
  p->failed += streq(status, "Failed");
  if (streq(status, "Updating"))
    add_bytes(p, entry);
}

static bool write_bytes(const struct model_progress *p, struct json_object *progress) {
  char done[32], all[32], eta[32], text[80];

  if (!p->moving)
    return true;
  format_bytes(p->completed, done);
  format_bytes(p->total, all);
  (void)snprintf(text, sizeof(text), "%s/%s", done, all);
  if (!json_set_i64(progress, "completedBytes", (int64_t)p->completed) ||
      !json_set_i64(progress, "totalBytes", (int64_t)p->total) || !json_set_str(progress, "bytes", text))
    return false;
  if (!p->eta_s)
    return true;
  format_age((int64_t)p->eta_s, eta);
  return json_set_i64(progress, "etaSeconds", (int64_t)p->eta_s) && json_set_str(progress, "eta", eta);
}

bool model_progress_write(const struct model_progress *p, struct json_object *status) {
  _cleanup_free_ char *nodes = str_printf("%zu/%zu/%zu", p->ready, p->failed, p->nodes);
  struct json_object *progress = json_object_new_object();

  json_del(status, "progress");
  if (!nodes || !progress || !json_set(status, "progress", progress) || !json_set_str(status, "nodes", nodes))
    return false;
  if (!p->nodes) {
    json_del(status, "progress");
    return true;
  }
  return json_set_i64(progress, "percent", (int64_t)((p->ready * 1000 + p->parts) / p->nodes / 10)) &&
         write_bytes(p, progress);
}

bool model_progress_alone(struct json_object *a, struct json_object *b) {
  _cleanup_json_ struct json_object *x = json_copy(a), *y = json_copy(b);

  json_del(x, "progress");
  json_del(y, "progress");
  return x && y && json_equal(x, y);
}
