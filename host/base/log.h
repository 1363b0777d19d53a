/* The log: one line an event on stderr, "2026-01-02T03:04:05.678Z LEVEL topic: message".
 *
 * Library functions return errors instead of logging them; what logs is the loop that handled one, once.  Any
 * thread.  Never hand a secret in. */
#ifndef HOST_BASE_LOG_H
#define HOST_BASE_LOG_H

#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level); /* default: INFO */
void log_write(enum log_level level, const char *topic, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define log_error(topic, ...) log_write(LOG_LEVEL_ERROR, topic, __VA_ARGS__)
#define log_warning(topic, ...) log_write(LOG_LEVEL_WARNING, topic, __VA_ARGS__)
#define log_info(topic, ...) log_write(LOG_LEVEL_INFO, topic, __VA_ARGS__)
#define log_debug(topic, ...) log_write(LOG_LEVEL_DEBUG, topic, __VA_ARGS__)

#endif
