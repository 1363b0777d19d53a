#include "base/str.h"
#include "bench/report.h"
#include "os/file.h"

#include <string.h>
#include <sys/stat.h>

static int32_t write_text(const char *dir, const char *name, const void *data, size_t len, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(dir, name);

  return path ? file_write(path, data, len, 0644, err) : fail_memory(err);
}

int32_t report_write_json(const char *dir, const char *name, struct json_object *o, struct ome_err *err) {
  _cleanup_free_ char *text = o ? json_pretty(o) : NULL;
  int32_t rc = dir_make(dir, 0755, err);

  if (rc == OME_OK && !text)
    return fail_memory(err);
  return rc == OME_OK ? write_text(dir, name, text, strlen(text), err) : rc;
}

int32_t report_write(const char *dir, struct json_object *report, struct ome_err *err) {
  _cleanup_buf_ struct buf markdown = BUF_INIT, html = BUF_INIT;
  int32_t rc = report_write_json(dir, "report.json", report, err);

  report_markdown(report, &markdown);
  report_html(report, &html);
  if (rc == OME_OK && (!buf_ok(&markdown) || !buf_ok(&html)))
    return fail_memory(err);
  if (rc == OME_OK)
    rc = write_text(dir, "report.md", buf_str(&markdown), markdown.len, err);
  return rc == OME_OK ? write_text(dir, "report.html", buf_str(&html), html.len, err) : rc;
}

int32_t report_read(const char *path, struct json_object **out, struct ome_err *err) {
  _cleanup_free_ char *inside = path_join(path, "report.json");
  _cleanup_free_ char *text = NULL;
  _cleanup_json_ struct json_object *report = NULL;
  struct stat st;
  size_t len = 0;
  bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);

  if (!inside)
    return fail_memory(err);
  int32_t rc = file_read(folder ? inside : path, (size_t)64 << 20, &text, &len, err);
  if (rc == OME_OK && json_parse(text, len, (size_t)64 << 20, &report, err) != OME_OK)
    rc = fail_prefix(err, "bench: %s", path);
  if (rc == OME_OK &&
      (!streq(json_str(report, "schema", ""), REPORT_SCHEMA) || !json_is(json_get(report, "runs"), json_type_array)))
    rc = fail(err, OME_E_INVALID, "bench: %s: is no report of ome bench; write one with -o json or --report", path);
  if (rc == OME_OK)
    *out = TAKE_PTR(report);
  return rc;
}
