#include "cli/transfer_report.h"

#include "base/clock.h"
#include "base/str.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *const event_names[] = {"progress", "retry", "file"};

static void print_json(const char *name, const struct transfer_event *e, const char *message) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_free_ char *text = NULL;

  (void)json_set_str(o, "event", name);
  (void)json_put(o, "bytes", json_object_new_uint64(e->bytes));
  (void)json_put(o, "totalBytes", json_object_new_uint64(e->total_bytes));
  (void)json_set_i64(o, "files", e->files);
  (void)json_set_i64(o, "totalFiles", e->total_files);
  (void)json_put(o, "bytesPerSecond", json_object_new_uint64((uint64_t)e->bytes_per_second));
  (void)json_set_str(o, "message", message ? message : e->file ? e->file : "");
  text = json_text(o);
  if (text)
    printf("%s\n", text);
}

/* ---- terminal ---------------------------------------------------------------------------------------------------- */

#define BAR 20u
#define LINE 512u
#define LINES 16384u /* bytes of them at most before they are shown */
#define SHOWN_MS 200u

static size_t columns(void) {
  struct winsize size = {.ws_col = 0};

  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

/* "[######..............]  31%" */
static void format_bar(uint64_t bytes, uint64_t total, char out[40]) {
  double part = total && bytes <= total ? (double)bytes / (double)total : 0;
  char bar[BAR + 1];

  memset(bar, '.', BAR);
  memset(bar, '#', (size_t)(part * BAR));
  bar[BAR] = '\0';
  (void)snprintf(out, 40, "[%s] %3u%%", bar, (unsigned)(part * 100) % 101);
}

static void print_part(const struct transfer_part *p, size_t width) {
  char have[32], all[32], bar[40], line[LINE];
  size_t len = strlen(p->file);

  format_bytes(p->bytes, have);
  format_bytes(p->size, all);
  format_bar(p->bytes, p->size, bar);
  /* The end of a name is what tells shards apart. */
  (void)snprintf(line, sizeof(line), "%s %s of %s  %s%s", bar, have, all, len > 60 ? "..." : "",
                 len > 60 ? p->file + len - 57 : p->file);
  fprintf(stderr, "%.*s\n", (int)(width - 1), line);
}

static void clear_lines(struct transfer_report *r) {
  if (r->drawn > 1)
    fprintf(stderr, "\033[%uA", r->drawn - 1);
  if (r->terminal)
    fprintf(stderr, "\r\033[J");
  r->drawn = 0;
}

static void print_lines(struct transfer_report *r, const struct transfer_event *e) {
  char have[32], all[32], rate[32], left[32] = "?", bar[40], line[LINE];
  size_t width = columns();

  clear_lines(r);
  format_bytes(e->bytes, have);
  format_bytes(e->total_bytes, all);
  format_bytes((uint64_t)e->bytes_per_second, rate);
  if (e->eta_ms != UINT64_MAX)
    format_age((int64_t)(e->eta_ms / 1000), left);
  for (uint32_t i = 0; i < e->nparts; i++)
    print_part(&e->parts[i], width);
  format_bar(e->bytes, e->total_bytes, bar);
  (void)snprintf(line, sizeof(line), "%s %s of %s, %u of %u files, %s/s, %s left", bar, have, all, e->files,
                 e->total_files, rate, left);
  fprintf(stderr, "%.*s", (int)(width - 1), line);
  r->drawn = e->nparts + 1;
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

/* What was said of files goes out with the next other event, or after a moment: thousands of them come at once. */
static void flush(struct transfer_report *r) {
  if (r->lines.len)
    (void)fwrite(r->lines.data, 1, r->lines.len, stderr);
  buf_clear(&r->lines);
  (void)fflush(stdout);
  r->shown_ms = mono_ms();
}

void transfer_report_event(void *report, const struct transfer_event *e) {
  struct transfer_report *r = report;

  if (r->json) {
    print_json(event_names[e->type], e, e->message);
  } else if (e->type == TRANSFER_RETRY) {
    flush(r);
    clear_lines(r);
    fprintf(stderr, "ome: %s\n", e->message);
  } else if (r->terminal && e->type == TRANSFER_PROGRESS) {
    print_lines(r, e);
  } else if (e->type == TRANSFER_FILE && !r->terminal) {
    buf_adds(&r->lines, e->file);
    buf_addf(&r->lines, ": %u of %u files\n", e->files, e->total_files);
  }
  if (e->type != TRANSFER_FILE || r->lines.len > LINES || mono_ms() - r->shown_ms >= SHOWN_MS)
    flush(r);
}

int transfer_report_end(struct transfer_report *r, const struct transfer_event *end, int32_t rc,
                        const struct ome_err *err) {
  flush(r);
  buf_fini(&r->lines);
  if (!r->json)
    clear_lines(r);
  if (r->json)
    print_json(rc == OME_OK ? "done" : "error", end, rc == OME_OK ? NULL : err->msg);
  (void)fflush(stdout);
  return rc == OME_OK ? 0 : cli_fail(err);
}
