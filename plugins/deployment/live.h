/* What became of a component's workload. */
#ifndef PLUGINS_DEPLOYMENT_LIVE_H
#define PLUGINS_DEPLOYMENT_LIVE_H

#include "../common/doc.h"

/* A number of pods at PATH; 0 for what cannot be one. */
uint32_t live_count(struct json_object *o, const char *path, int64_t dflt);

/* Reads the workload, the first of the objects rendered, as it is now. */
typedef void live_judge(struct json_object *live, struct ome_status *out);

/* For the observe() of a plugin whose workload is one KIND: the component's URL, and JUDGE's word or that the workload
 * is not there yet. */
void live_observe(const struct request_docs *d, struct json_object *objects, const char *kind, live_judge *judge,
                  struct ome_status *out);

#endif
