/* Which pod has which GPUs: what a device plugin does in a cluster.  Any thread. */
#ifndef HOST_LOCAL_GPUS_H
#define HOST_LOCAL_GPUS_H

#include "base/cleanup.h"

#include <stdbool.h>

#define GPU_RESOURCE "nvidia.com/gpu"
#define GPUS_MAX 64
#define GPUS_TEXT 256 /* "0,1,..." */

struct gpus;

int gpus_count(void); /* of this machine, by its device files */
struct gpus *gpus_new(int count);
void gpus_free(struct gpus *g);
DEFINE_CLEANUP(struct gpus *, gpus_free)

/* N devices for CONTAINER of the pod UID, as the list that CUDA_VISIBLE_DEVICES takes; what it has it keeps.  False
 * when there are not that many left. */
bool gpus_take(struct gpus *g, const char *uid, const char *container, int n, char out[GPUS_TEXT]);
void gpus_release(struct gpus *g, const char *uid); /* all of the pod's */

#endif
