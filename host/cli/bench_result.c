/* Where the results of `ome bench` go, and what is said of them in one line: what a BenchmarkJob's pod leaves behind.
 */
#include "base/str.h"
#include "bench/report.h"
#include "cli/bench.h"
#include "cli/delivery.h"
#include "cli/serve.h"

#include <stdio.h>

#define CONNECTIONS 8u /* at a time, of an upload */

int32_t bench_upload(struct bench_outputs *o, const char *folder, struct ome_err *err) {
  struct transfer_event end = {0};
  /* Being told to stop ends the load, not what saves its figures. */
  const struct delivery delivery = {.from = folder,
                                    .uri = o->upload,
                                    .plugins = o->plugins,
                                    .connections = CONNECTIONS,
                                    .parameters = &o->parameters};
  int32_t rc = deliver(&delivery, &end, err);

  return rc == OME_OK ? rc : fail_prefix(err, "bench: the results could not be sent to %.300s", o->upload);
}

void bench_event_end(const struct bench_outputs *o, struct json_object *report, bool uploaded, const char *message) {
  _cleanup_json_ struct json_object *event = json_object_new_object();
  bool failed = message != NULL;

  (void)json_set_str(event, "event", failed ? "error" : "done");
  (void)json_set_bool(event, "partial", json_flag(report, "partial", false));
  if (message)
    (void)json_set_str(event, "message", message);
  if (uploaded)
    (void)json_set_str(event, "uploaded", o->upload);
  if (report)
    (void)json_set(event, "runs", report_brief(report));
  printf("%s\n", json_view(event));
  (void)fflush(stdout);
}

int bench_upload_main(struct bench_outputs *o, const char *folder) {
  _cleanup_json_ struct json_object *report = NULL;
  struct ome_err err = ERR_INIT;
  struct ome_err unread = ERR_INIT;
  bool events = streq(o->format, "events");

  cli_signals_block();
  int32_t rc = parameters_read(&o->parameters, &err);
  if (rc == OME_OK)
    rc = bench_upload(o, folder, &err);
  if (events && report_read_any(folder, &report, &unread) != OME_OK && rc == OME_OK)
    rc = fail(&err, unread.code, "%s", unread.msg);
  if (events)
    bench_event_end(o, report, rc == OME_OK, rc == OME_OK ? NULL : err.msg);
  return rc == OME_OK ? 0 : cli_fail(&err);
}
