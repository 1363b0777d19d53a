/* Names and labels that existing clusters, dashboards and selectors rely on: byte for byte OME's.  Pure. */
#ifndef HOST_COMPOSE_NAMES_H
#define HOST_COMPOSE_NAMES_H

#include "base/json.h"

#define OME_API_VERSION "ome.io/v1beta1"
#define LABEL_SERVICE "ome.io/inferenceservice"
#define LABEL_COMPONENT "component"
#define MAIN_CONTAINER "ome-container"

#define NAME_MAX_LABEL 63

/* new: S when it is at most MAX bytes; else the first 8 hex digits of its SHA-256 (a leading digit becomes "a"), "-",
 * and its last MAX-9 bytes.  For DNS labels. */
char *name_truncate(const char *s, size_t max);
/* new: the same without the rule for a leading digit.  For parts of label keys. */
char *name_truncate_hash(const char *s, size_t max);

/* Stands in place of the namespace of FineTunedWeights, which have none, where other models have NULL or theirs; no
 * namespace has a dot. */
#define NS_WEIGHTS "finetunedweight."
bool name_is_weights(const char *ns);
/* What the API server knows NS as: NULL for what is cluster-scoped. */
const char *name_api_ns(const char *ns);

/* new: the label on a node that says the model is ready there: "models.ome.io/clusterbasemodel.NAME" or
 * "models.ome.io/NS.basemodel.NAME"; NS NULL: cluster-scoped; NS_WEIGHTS: "models.ome.io/finetunedweight.NAME". */
char *name_model_label(const char *ns, const char *name);
/* new: the model's key in a node's status ConfigMap: "clusterbasemodel.NAME", "NS.basemodel.NAME" or
 * "finetunedweight.NAME". */
char *name_model_key(const char *ns, const char *name);

/* Keys have dots, and so have names: the BaseModel x in a namespace called "clusterbasemodel" has the key of a
 * ClusterBaseModel called "basemodel.x" (and one in "finetunedweight" that of a FineTunedWeight).  The cluster-scoped
 * one has it then, and nothing is done for the other. */
/* new: who NAME in NS shares its key with, in *OTHER_NS as above; NULL: nobody could. */
char *name_rival(const char *ns, const char *name, const char **other_ns);
/* The other way round: whom the cluster-scoped NAME keeps from it; borrowed from NAME. */
const char *name_twin(const char *ns, const char *name, const char **other_ns);

/* new: V when it is a valid label value; else with other characters replaced by "-", trimmed and truncated. */
char *name_label_value(const char *v);
/* new: S when it is a DNS label; else made one in the same way.  For volume names. */
char *name_dns_label(const char *s);

#endif
