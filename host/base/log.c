#include "base/log.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_MAX 2048
#define LINE_MAX (2 * MESSAGE_MAX + 512) /* every character of the message escaped, and the rest */

/* Process-wide by nature: stderr is. */
static _Atomic int g_level = LOG_LEVEL_INFO;
static _Atomic int g_format = LOG_FORMAT_TEXT;
static _Thread_local char t_trace[LOG_TRACE_DIGITS + 1];

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const format_names[] = {"text", "logfmt", "json"};

static bool choose(const char *name, const char *const *names, size_t n, _Atomic int *out) {
  for (size_t i = 0; i < n; i++)
    if (streq(name, names[i])) {
      atomic_store(out, (int)i);
      return true;
    }
  return false;
}

bool log_set_level_named(const char *name) {
  return choose(streq(name, "warn") ? "warning" : name, level_names, ARRAY_LEN(level_names), &g_level);
}

bool log_set_format_named(const char *name) {
  return choose(name, format_names, ARRAY_LEN(format_names), &g_format);
}

void log_set_trace(const char *id) {
  (void)snprintf(t_trace, sizeof(t_trace), "%s", id ? id : "");
}

const char *log_trace(void) {
  return *t_trace ? t_trace : NULL;
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

struct line {
  char text[LINE_MAX];
  size_t len;
};

/* Appends S as it is. */
static void put(struct line *l, const char *s) {
  size_t room = sizeof(l->text) - 1 - l->len;
  size_t len = strlen(s);
  size_t n = len < room ? len : room;

  memcpy(l->text + l->len, s, n);
  l->len += n;
}

/* Appends S in double quotes, as JSON has it and logfmt's readers take it. */
static void put_quoted(struct line *l, const char *s) {
  put(l, "\"");
  for (; *s && l->len < sizeof(l->text) - 8; s++) {
    const char one[] = {'\\', *s, '\0'};
    put(l, *s == '"' || *s == '\\' ? one : one + 1);
  }
  put(l, "\"");
}

static void put_text(struct line *l, const char *stamp, enum log_level level, const char *topic, const char *message) {
  static const char *const shown[] = {" ERROR ", " WARN ", " INFO ", " DEBUG "};

  put(l, stamp);
  put(l, shown[level]);
  put(l, topic);
  put(l, ": ");
  put(l, message);
  if (*t_trace) {
    put(l, " [");
    put(l, t_trace);
    put(l, "]");
  }
}

static void put_fields(struct line *l, bool json, const char *stamp, enum log_level level, const char *topic,
                       const char *message) {
  const struct {
    const char *key, *value;
    bool quoted; /* in logfmt too */
  } fields[] = {{"ts", stamp, false},
                {"level", level_names[level], false},
                {"topic", topic, false},
                {"msg", message, true},
                {"trace", t_trace, false}};

  for (size_t i = 0; i < ARRAY_LEN(fields) - (*t_trace == '\0'); i++) {
    put(l, json ? (i ? ",\"" : "{\"") : (i ? " " : ""));
    put(l, fields[i].key);
    put(l, json ? "\":" : "=");
    if (json || fields[i].quoted)
      put_quoted(l, fields[i].value);
    else
      put(l, fields[i].value);
  }
  put(l, json ? "}" : "");
}

void log_write(enum log_level level, const char *topic, const char *fmt, ...) {
  char message[MESSAGE_MAX];
  char stamp[TIME_TEXT_MS];
  struct line line = {.len = 0};
  int format = atomic_load(&g_format);
  va_list ap;

  if ((int)level > atomic_load(&g_level))
    return;
  time_format_ms(wall_ms(), stamp);
  va_start(ap, fmt);
  (void)vsnprintf(message, sizeof(message), fmt, ap);
  va_end(ap);
  for (char *p = message; *p; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  if (format == LOG_FORMAT_TEXT)
    put_text(&line, stamp, level, topic, message);
  else
    put_fields(&line, format == LOG_FORMAT_JSON, stamp, level, topic, message);
  line.text[line.len++] = '\n';
  ssize_t done = write(STDERR_FILENO, line.text, line.len); /* one write: lines of threads do not mix */
  (void)done;
}
