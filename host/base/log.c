#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic int g_level = LOG_LEVEL_INFO; /* process-wide by nature: stderr is */

void log_set_level(enum log_level level) {
  atomic_store(&g_level, (int)level);
}

void log_write(enum log_level level, const char *topic, const char *fmt, ...) {
  static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};
  char line[2048];
  char stamp[TIME_TEXT_MS];
  va_list ap;

  if ((int)level > atomic_load(&g_level))
    return;
  time_format_ms(wall_ms(), stamp);
  int n = snprintf(line, sizeof(line), "%s %s %s: ", stamp, names[level], topic);
  if (n < 0 || (size_t)n >= sizeof(line))
    return;
  va_start(ap, fmt);
  int m = vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
  va_end(ap);
  size_t len = (size_t)n + (m > 0 ? (size_t)m : 0);
  if (len > sizeof(line) - 2)
    len = sizeof(line) - 2;
  for (char *p = line; p < line + len; p++)
    if ((unsigned char)*p < ' ')
      *p = ' ';
  line[len++] = '\n';
  ssize_t done = write(STDERR_FILENO, line, len); /* one write: lines of threads do not mix */
  (void)done;
}
