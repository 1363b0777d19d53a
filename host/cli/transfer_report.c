#include "cli/transfer_report.h"

#include "base/str.h"
#include "cli/cli.h"

#include <stdio.h>

static const char *const event_names[] = {"progress", "retry", "file"};

static void print_json(const char *name, const struct transfer_event *e, const char *message) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_free_ char *text = NULL;

  (void)json_set_str(o, "event", name);
  (void)json_object_object_add(o, "bytes", json_object_new_uint64(e->bytes));
  (void)json_object_object_add(o, "totalBytes", json_object_new_uint64(e->total_bytes));
  (void)json_set_i64(o, "files", e->files);
  (void)json_set_i64(o, "totalFiles", e->total_files);
  (void)json_object_object_add(o, "bytesPerSecond", json_object_new_uint64((uint64_t)e->bytes_per_second));
  (void)json_set_str(o, "message", message ? message : e->file ? e->file : "");
  text = json_text(o);
  if (text)
    printf("%s\n", text);
  (void)fflush(stdout);
}

static void print_line(const struct transfer_event *e) {
  char have[32], all[32], rate[32], left[32] = "?";

  format_bytes(e->bytes, have);
  format_bytes(e->total_bytes, all);
  format_bytes((uint64_t)e->bytes_per_second, rate);
  if (e->eta_ms != UINT64_MAX)
    format_age((int64_t)(e->eta_ms / 1000), left);
  fprintf(stderr, "\r\033[K%s of %s, %u of %u files, %s/s, %s left", have, all, e->files, e->total_files, rate, left);
}

void transfer_report_event(void *report, const struct transfer_event *e) {
  const struct transfer_report *r = report;

  if (r->json)
    print_json(event_names[e->type], e, e->message);
  else if (e->type == TRANSFER_RETRY)
    fprintf(stderr, "%some: %s\n", r->terminal ? "\r\033[K" : "", e->message);
  else if (r->terminal)
    print_line(e);
}

int transfer_report_end(const struct transfer_report *r, const struct transfer_event *end, int32_t rc,
                        const struct ome_err *err) {
  if (r->terminal && !r->json)
    fprintf(stderr, "\r\033[K");
  if (r->json)
    print_json(rc == OME_OK ? "done" : "error", end, rc == OME_OK ? NULL : err->msg);
  return rc == OME_OK ? 0 : cli_fail(err);
}
