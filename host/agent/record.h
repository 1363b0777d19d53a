/* What this node tells the cluster about its models: a label on the Node, and one ConfigMap with an entry a model.
 *
 * The schema of an entry is OME's ({name, status, config, progress}), plus the status "Evicted", "cause" and
 * "message": why it failed, waits or was evicted, and "progress.etaSeconds". */
#ifndef HOST_AGENT_RECORD_H
#define HOST_AGENT_RECORD_H

#include "kube/client.h"
#include "transfer/transfer.h"

struct record {
  struct kube_client *client;
  const char *node;
  const char *ns; /* of the ConfigMap */
};

enum record_status { RECORD_READY, RECORD_UPDATING, RECORD_FAILED, RECORD_EVICTED };

struct record_entry {
  const char *model_ns; /* NULL: cluster-scoped */
  const char *model;
  enum record_status status;
  struct json_object *config;            /* borrowed; NULL: none */
  const struct transfer_event *progress; /* NULL: none */
  const char *cause;                     /* of a failure: cause_name(); NULL: none */
  const char *message;                   /* NULL: none */
};

/* Writes the entry and sets the label; the label says Ready only after the entry does. */
int32_t record_put(const struct record *r, const struct record_entry *e, struct ome_err *err);
/* Sets an annotation of the record, which is made when it is not there. */
int32_t record_annotate(const struct record *r, const char *key, const char *value, struct ome_err *err);
/* Takes the label away: from now on no pod comes here for the model. */
int32_t record_unlabel(const struct record *r, const char *model_ns, const char *model, struct ome_err *err);
/* Takes both away; the label first. */
int32_t record_remove(const struct record *r, const char *model_ns, const char *model, struct ome_err *err);
/* Whether NODE and CONFIG_MAP (either may be NULL) say just what record_put() of E would make them say; only of an
 * entry without progress. */
bool record_has(struct json_object *node, struct json_object *config_map, const struct record_entry *e);

/* Whether they say E's status, in whatever words. */
bool record_says(struct json_object *node, struct json_object *config_map, const struct record_entry *e);

#endif
