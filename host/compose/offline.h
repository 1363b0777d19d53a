/* A world made of documents: what `ome render` and `ome explain` plan in.  Pure. */
#ifndef HOST_COMPOSE_OFFLINE_H
#define HOST_COMPOSE_OFFLINE_H

#include "compose/plan.h"

struct offline {
  struct plan_world world;
  struct select_field field;    /* the world's */
  struct json_object *services; /* array of InferenceServices, by namespace and name */
  struct json_object *problems; /* array of sentences: documents that the API server would refuse */
  struct json_object *warnings; /* the same: fields of which it would warn, unknown or without effect */
};

/* Sorts DOCS (array; borrowed, filled in where the API has defaults, less what it does not know) by kind; of two
 * documents with one name the later counts, as with kubectl apply.  Other kinds than OME's, ControllerRevisions and
 * ConfigMap inferenceservice-config are skipped. EMBEDDED plans for `ome up` instead of a cluster. */
int32_t offline_init(struct offline *o, struct json_object *docs, bool embedded, struct plugins *plugins,
                     struct ome_err *err);
void offline_fini(struct offline *o);

#endif
