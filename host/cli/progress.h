/* Follows what `ome up -f` applied until it is Ready or has failed, and tells the person. */
#ifndef HOST_CLI_PROGRESS_H
#define HOST_CLI_PROGRESS_H

#include "kube/client.h"

#include <stdio.h>

struct progress;

/* Watches the models and services among DOCS and prints to REPORT: one line redrawn on a terminal, a line a change
 * elsewhere.  When all are Ready, one has failed, or TIMEOUT_MS is over, says so, and tells READY_FD (>= 0) 0 or 1.
 * BEGAN_MS is when the platform began, as wall_ms(): what is Ready was found so since.  Runs on threads of its own;
 * REPORT must outlive it. */
int32_t progress_start(struct kube_client *client, struct json_object *docs, FILE *report, uint64_t timeout_ms,
                       int64_t began_ms, int ready_fd, struct progress **out, struct ome_err *err);
void progress_stop(struct progress *p);

/* Writes the one byte that a waiting `ome up --detach` reads, its exit code, after REPORT has let go of the terminal or
 * pipe: a reader there sees the end of it although the platform runs on. */
void progress_tell(FILE *report, int ready_fd, int code);

#endif
