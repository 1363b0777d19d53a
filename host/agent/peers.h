/* Node to node: what other nodes have of a model is fetched from them, and given to them.
 *
 * Peers are found in the API: a node that has or wants a model carries the model's label, and the annotation
 * models.ome.io/peer with its address and the certificate of its agent.  Both ends of a connection show their
 * certificates; who may write a Node's annotations speaks for it, which is what the API server already decides.  The
 * key never leaves the process, which makes another one each time it starts.
 *
 * What peers give is worth no more than any bytes: the digest that the origin pinned is what counts.  A peer whose
 * bytes were wrong is found by comparing with the origin's, dropped and reported; not so one that had them from another
 * and said so. */
#ifndef HOST_AGENT_PEERS_H
#define HOST_AGENT_PEERS_H

#include "hub/api.h"
#include "kube/client.h"
#include "store/store.h"

struct peers;
struct peer_job;

struct peers_config { /* functions are called on threads of their own: [any-thread] */
  struct kube_client *client;
  /* The store that model KEY is in; NULL: in none.  Until peers_stop(). */
  struct model_store *(*store_of)(void *arg, const char *key);
  const char *node;              /* our own */
  const char *address;           /* IP that other nodes reach us at */
  uint16_t port;                 /* 0: any */
  uint64_t max_bytes_per_second; /* given to others; 0: no bound */
  /* Whether model KEY (name_model_key()) belongs on NODE (its metadata): others get nothing of it. */
  bool (*entitled)(void *arg, const char *key, struct json_object *node);
  /* Somebody did what should be known: for an event on model KEY. */
  void (*report)(void *arg, const char *key, const char *message);
  void *arg;
  /* What anybody may read over the Hub API, at the same address and without a certificate; copied; NULL: nothing. */
  const struct hub_source *models;
};

int32_t peers_start(const struct peers_config *cfg, struct peers **out, struct ome_err *err);
/* Nobody is answered or looked for any more; what else may be called still may. */
void peers_end(struct peers *p);
void peers_stop(struct peers *p);
DEFINE_CLEANUP(struct peers *, peers_stop)

/* NODE, our own, as it is now: what it should say of us is written again where it does not.  [any-thread] */
void peers_check_node(struct peers *p, struct json_object *node);

/* Model KEY, whose label LABEL says which nodes have or want it, begins to be brought: from now on those who ask are
 * told so, and leave to this node what it is to fetch.  *OUT until peers_leave().  P may be NULL: then *OUT is.
 * OME_E_NO_MEMORY. */
int32_t peers_begin(struct peers *p, const char *key, const char *label, struct peer_job **out, struct ome_err *err);
/* Finds out who else has or wants JOB's model (NULL: nobody) before M, its files, is fetched from URI; waits a moment
 * for those that begin at the same time.  Its swarm is for the transfer.  OME_E_CANCELLED, or OME_OK: without the API
 * there is nobody else. */
int32_t peers_join(struct peer_job *job, const char *uri, const struct manifest *m, bool (*cancelled)(void *),
                   void *arg, struct ome_err *err);
const struct transfer_swarm *peer_job_swarm(const struct peer_job *job); /* JOB NULL: NULL */
void peers_leave(struct peer_job *job);                                  /* JOB may be NULL */
/* Model KEY is not here any more, or another one. */
void peers_forget(struct peers *p, const char *key);

#endif
