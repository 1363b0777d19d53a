/* What a service's pods say about why it is not running.  Pure. */
#ifndef HOST_COMPOSE_PODS_H
#define HOST_COMPOSE_PODS_H

#include "base/json.h"

#include <stdbool.h>

struct pods_summary {
  size_t total;
  size_t ready;
  /* The trouble of the newest pod that is in any; reason[0] 0: none. */
  char reason[64];
  char message[640];
  int64_t exit_code; /* of a container that ended; -1: none did */
  bool failed;       /* it does not come right by waiting: crash, image, command */
};

/* The pods in PODS with label component=KIND that are not being deleted. */
void pods_summarize(struct json_object *pods, const char *kind, struct pods_summary *out);

/* How many of PODS a Service that selects by LABELS leads to: ready, and not being deleted. */
size_t pods_serving(struct json_object *pods, struct json_object *labels);

/* Takes out of POD, in place, what pods_summarize() does not read; its identity, labels and owners stay. */
void pods_trim(struct json_object *pod);

#endif
