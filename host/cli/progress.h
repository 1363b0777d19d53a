/* Follows what `ome up -f` applied until it is Ready or has failed, and tells the person. */
#ifndef HOST_CLI_PROGRESS_H
#define HOST_CLI_PROGRESS_H

#include "kube/client.h"

#include <stdio.h>

struct progress;

struct progress_config {
  FILE *report;        /* one line redrawn on a terminal, a line a change elsewhere; outlives it */
  uint64_t timeout_ms; /* from now */
  int64_t began_ms;    /* when the platform began, as wall_ms(): what is Ready was found so since */
  int ready_fd;        /* told 0 or 1 at the end; -1: none */
};

/* Watches the models and services among DOCS until all are Ready, one has failed, or the time is over, and says so.
 * On threads of its own. */
int32_t progress_start(struct kube_client *client, struct json_object *docs, const struct progress_config *cfg,
                       struct progress **out, struct ome_err *err);
void progress_stop(struct progress *p);

/* Writes the one byte that a waiting `ome up --detach` reads, its exit code, after REPORT has let go of the terminal or
 * pipe: a reader there sees the end of it although the platform runs on. */
void progress_tell(FILE *report, int ready_fd, int code);

#endif
