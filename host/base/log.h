/* The log: one line an event on stderr.
 *
 *   text    2026-01-02T03:04:05.678Z INFO topic: message [4bf92f3577b34da6a3ce929d0e0e4736]
 *   logfmt  ts=2026-01-02T03:04:05.678Z level=info topic=topic msg="message" trace=4bf92f3577b34da6a3ce929d0e0e4736
 *   json    {"ts":"2026-01-02T03:04:05.678Z","level":"info","topic":"topic","msg":"message","trace":"4bf9..."}
 *
 * Library functions return errors instead of logging them; what logs is the loop that handled one, once.  Any
 * thread.  Never hand a secret in. */
#ifndef HOST_BASE_LOG_H
#define HOST_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* By name ("debug", "json"; "info" and "text" at first; "warn" is "warning"); false: no such name, nothing changed. */
bool log_set_level_named(const char *name);
bool log_set_format_named(const char *name);

void log_write(enum log_level level, const char *topic, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_error(topic, ...) log_write(LOG_LEVEL_ERROR, topic, __VA_ARGS__)
#define log_warning(topic, ...) log_write(LOG_LEVEL_WARNING, topic, __VA_ARGS__)
#define log_info(topic, ...) log_write(LOG_LEVEL_INFO, topic, __VA_ARGS__)
#define log_debug(topic, ...) log_write(LOG_LEVEL_DEBUG, topic, __VA_ARGS__)

/* What this thread works on: a W3C trace id, which its lines, its requests and its calls into plugins carry. */
#define LOG_TRACE_DIGITS 32
void log_set_trace(const char *id); /* copied; NULL: nothing in particular */
const char *log_trace(void);        /* NULL: none */

#endif
