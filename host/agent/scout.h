/* Which models belong on this node.  Pure. */
#ifndef HOST_AGENT_SCOUT_H
#define HOST_AGENT_SCOUT_H

#include "base/json.h"

enum scout_verdict {
  SCOUT_DROP,  /* does not belong here: what is here goes */
  SCOUT_HOLD,  /* belongs here, but the node takes nothing new: what is here stays */
  SCOUT_BRING, /* belongs here */
};

struct scout_decision {
  enum scout_verdict verdict;
  char why[256]; /* not SCOUT_BRING: which rule says so */
};

/* A model's annotation: the AcceleratorClasses, separated by commas, on whose nodes it belongs. */
#define SCOUT_CLASSES "ome.io/accelerator-class"

/* Where AcceleratorClasses are found: new; NULL: there is none of this NAME, or none is known yet. */
struct scout_classes {
  struct json_object *(*find)(void *arg, const char *name);
  void *arg;
};

/* MODEL against NODE by Kubernetes' own semantics: deletion, disabled, on a claim (pvc://, as OME's agent: nobody
 * copies it), spec.storage.nodeSelector, required node affinity, SCOUT_CLASSES; then whether the node is cordoned or
 * says that it is not ready.  A preference never excludes: see scout_preference().
 *
 * Of a class, labels decide whether the model belongs here.  A node that lacks the devices, as each does that starts
 * before their plugin, keeps what it has; so it does where a class is not there. */
void scout_decide(struct json_object *model, struct json_object *node, const struct scout_classes *classes,
                  struct scout_decision *out);

/* Whether NODE, of which the metadata are enough, may have MODEL, now or later: of what it may have others give it the
 * bytes and the credential.  A class that is not there entitles nobody. */
bool scout_entitles(struct json_object *model, struct json_object *node, const struct scout_classes *classes);

/* The part of it that NODE decides alone: SCOUT_HOLD or SCOUT_BRING. */
void scout_node(struct json_object *node, struct scout_decision *out);

/* Sum of the weights of MODEL's preferred node affinity that NODE matches, as the scheduler adds them up; 0: none. */
int64_t scout_preference(struct json_object *model, struct json_object *node);

/* Place in the queue of MODEL (NULL: gone) on NODE, lower first: what goes before what comes, preferred and small
 * models before the others.  A model that does not say its size counts as a large one. */
int64_t scout_rank(struct json_object *model, struct json_object *node, const struct scout_classes *classes);

#endif
