/* What the node's models are over the Hub API (hub/api.h), for engines in the cluster and whoever else can reach it.
 *
 * A model of hf://ORG/NAME is the repository ORG/NAME at its pinned commit; every other is called as in Kubernetes:
 * NAME, or NAMESPACE/NAME.  Models of one repository are its revisions.  Of several that fit as well the first counts,
 * in the order of kinds and names.
 *
 * Clients say nothing of who they are.  So they see only what is Ready here and what anybody may read at its origin:
 * see node_hub_is_open(). */
#ifndef HOST_AGENT_NODE_HUB_H
#define HOST_AGENT_NODE_HUB_H

#include "base/json.h"
#include "hub/api.h"

struct agent;

/* Whether nothing but the URI was needed to fetch MODEL: it names no Secret, no parameter that could be one, and the
 * scheme is one for which the node has no identity of its own to show.  HAS_TOKEN: it has one for hf://.  Pure. */
bool node_hub_is_open(struct json_object *model, bool has_token);
/* new: what MODEL of namespace NS (as in names.h) is called.  NULL: out of memory, or it has no name here.  Pure. */
char *node_hub_name(const char *ns, struct json_object *model);

enum node_hub_fit {
  NODE_HUB_OTHER,   /* another revision */
  NODE_HUB_INSTEAD, /* clients that name no revision ask for main: they get another where nothing is of main */
  NODE_HUB_MEANT,
};
/* How REVISION, a commit or a branch, fits MODEL, which is here at COMMIT ("": not known).  What is of no hub has one
 * revision, by whatever name.  Pure. */
enum node_hub_fit node_hub_fits(struct json_object *model, const char *commit, const char *revision);

/* The models of A's node.  DIGESTS: of small files; used by the API's thread. */
struct node_hub {
  struct agent *agent;
  struct digest_cache *digests;
};
struct hub_source node_hub_source(struct node_hub *h);

#endif
