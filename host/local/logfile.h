/* Container logs on disk: one line an entry, as container runtimes write them:
 *
 *   2026-01-02T03:04:05.678901Z stdout F a whole line
 *   2026-01-02T03:04:05.678902Z stderr P a part of a long line
 *
 * DIR/N.log is the container's N-th start.  It is locked (flock) as long as it is written to, so that a reader knows
 * whether more may come.  At LOG_MAX_BYTES it becomes N.log.1, replacing an older one. */
#ifndef HOST_LOCAL_LOGFILE_H
#define HOST_LOCAL_LOGFILE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define LOG_MAX_BYTES ((uint64_t)10 << 20)
#define LOG_LINE_MAX 16384

struct logfile;

/* Makes DIR; removes the logs of starts before the last one. */
int32_t logfile_open(const char *dir, int64_t n, struct logfile **out, struct ome_err *err);
/* STREAM 1: stdout, 2: stderr.  A full disk loses lines, not the container. */
void logfile_write(struct logfile *l, int stream, const char *data, size_t len);
/* Writes what is left of unfinished lines. */
void logfile_close(struct logfile *l);
/* The last complete lines, at most SIZE - 1 bytes of them, NUL-terminated: for termination messages. */
void logfile_tail(const struct logfile *l, char *out, size_t size);

/* LOGS/NS_POD_UID/CONTAINER, new. */
char *logfile_dir(const char *data_dir, const char *ns, const char *pod, const char *uid, const char *container);

#endif
