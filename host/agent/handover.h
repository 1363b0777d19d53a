/* How a model's credential comes from the controller, which may read Secrets, to an agent, which may not.
 *
 * An agent makes a key pair, keeps the private half in memory and says the public one in an annotation of its node's
 * record.  While the record says that a model which belongs on the node is not there yet, the controller keeps a
 * ConfigMap for the two of them: the Secret that the model names, sealed for that key and for model, node and expiry.
 * Everybody may read it, and one process can.  Pure; times are wall time in milliseconds. */
#ifndef HOST_AGENT_HANDOVER_H
#define HOST_AGENT_HANDOVER_H

#include "base/json.h"
#include "net/seal.h"

#define HANDOVER_KEY "models.ome.io/credential-key" /* annotation of the record: the agent's public key */
#define HANDOVER_LABEL "models.ome.io/credential"   /* "true": of a hand-over */
#define HANDOVER_LIFE_MS ((int64_t)600 * 1000)      /* what is older opens no more */

/* Whose hand-over it is. */
struct handover {
  const char *ns; /* OME's namespace */
  const char *node;
  const char *model_key; /* name_model_key() */
  const char *model_uid;
};

/* new: the name of the ConfigMap. */
char *handover_name(const char *node, const char *model_key);

/* new: the ConfigMap that hands SECRET's name and data to the agent of RECORD (its node's, which will own the ConfigMap
 * and has the annotation), as of NOW_MS.  SECRET NULL: why there is none is WHY, for people.  NULL and ERR: the
 * annotation is no key. */
struct json_object *handover_write(const struct handover *h, struct json_object *record, struct json_object *secret,
                                   const char *why, int64_t now_ms, struct ome_err *err);
/* Whether MAP is for RECORD's key of now and not past half its life. */
bool handover_is_current(struct json_object *map, struct json_object *record, const struct handover *h, int64_t now_ms);
/* Whether it was written from SECRET as that is; NULL: from none, for the reason WHY. */
bool handover_is_of(struct json_object *map, struct json_object *secret, const char *why);

/* The model whose hand-over MAP is, as name_model_key(); NULL: it does not say.  An index of watch caches. */
const char *handover_model(struct json_object *map);
const char *handover_node(struct json_object *map); /* "" likewise */

/* Opens MAP with the agent's KEY: *OUT is the Secret's name and data as of then, new.  OME_E_NOT_FOUND: there is none,
 * and why; OME_E_CORRUPT: it is not for this agent as it is now, or too old: another one is to come. */
int32_t handover_open(const struct handover *h, struct json_object *map, const struct seal_key *key, int64_t now_ms,
                      struct json_object **out, struct ome_err *err);

#endif
