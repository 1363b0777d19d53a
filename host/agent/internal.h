/* What the parts of the agent share. */
#ifndef HOST_AGENT_INTERNAL_H
#define HOST_AGENT_INTERNAL_H

#include "agent/agent.h"
#include "agent/budget.h"
#include "agent/demand.h"
#include "agent/machine.h"
#include "agent/node_hub.h"
#include "agent/peers.h"
#include "agent/presence.h"
#include "agent/record.h"
#include "agent/retry.h"
#include "agent/room.h"
#include "agent/scout.h"
#include "agent/stores.h"
#include "base/strmap.h"
#include "kube/cache.h"
#include "kube/event.h"
#include "kube/queue.h"
#include "net/seal.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

enum agent_watch {
  WATCH_CLUSTER_MODELS,
  WATCH_MODELS,
  WATCH_WEIGHTS,
  WATCH_CLASSES,
  WATCH_NODE,
  WATCH_RECORD,
  WATCH_SERVICES,
  WATCH_PODS, /* of this node */
  WATCHES
};

struct agent {
  struct kube_client *client;
  struct plugins *plugins;
  char *node, *ns, *node_selector, *record_selector, *pod_selector;
  struct stores stores;
  struct retries *retries;
  struct budget *budget;
  struct demand *demand;
  struct presence *presence;
  struct peers *peers;   /* NULL: none */
  struct node_hub hub;   /* what they answer to anybody */
  struct seal_key *key;  /* what credentials are sealed for; of this process */
  struct health *health; /* NULL: nobody asks */
  struct record record;
  struct kube_recorder *recorder;
  struct kube_cache *caches[WATCHES];
  struct kube_queue *queue;
  struct {
    pthread_mutex_t lock;
    struct strmap *models; /* queue key -> struct model_state */
  } states;
  atomic_bool started, stopping; /* events before the start is over find half an agent */
};

/* What is remembered of a model between two looks at it; but for the news, used by the worker that has the model. */
struct model_state {
  enum phase phase;
  uint64_t since_ms; /* in this phase, as of mono_ms() */
  atomic_uint news;  /* moves with every event of the model or its node; [any-thread] */
  uint64_t bytes;    /* of its manifest, as last listed; 0: not known */
  uint64_t need;     /* of these, what was not in the store then */
  char *request_id;  /* what BYTES is of */
};

/* One look at a model. */
struct task {
  struct agent *agent;
  const char *ns, *name; /* NS NULL: cluster-scoped; NS_WEIGHTS: a FineTunedWeight */
  char *key;             /* in the record and the store */
  char *queue_key;       /* NS/NAME, or NAME */
  struct model_state *state;
  atomic_uint seen; /* the news that MODEL is as of */
  const char *uri;
  const char *max_rate;    /* as the model says it; "": it does not */
  const char *store;       /* that the model's annotation names; NULL: none */
  struct node_store *home; /* the store that it is in, or is to be; NULL: it names one that is not here */
  char *path;
  char *request;    /* request_of() */
  char *request_id; /* all that makes another attempt another one */
  char uid[64];
  struct json_object *model;
  struct json_object *whole; /* the store's reference, when all is as it was verified */
  char why[256];             /* it waits, if it does */
  uint64_t told_ms;          /* when progress was last written; 0: not yet */
  uint64_t measured;         /* bytes fetched that were counted */
  bool has_failed;           /* Failed is what the cluster was told */
};

/* bring.c: everything from the URI to the verified folder in place, described: t->whole.  *NO_ROOM: not begun, because
 * enough is in flight; the model is looked at again when that changes. */
int32_t bring(struct task *t, bool *no_room, struct ome_err *err);
/* The reference when the model is as it should be; new. */
struct json_object *find_whole(const struct task *t);
/* spec.storage.parameters of MODEL that say what is brought, as canonical text; new. */
char *request_of(struct json_object *model);
/* The one that says only how fast it may come: another one makes what is there no worse.  Borrowed. */
static inline const char *max_rate_of(struct json_object *model) {
  return json_str(model, "spec.storage.parameters.maxRate", "");
}

/* ask.c: the Secret SECRET that T's model names, as far as the controller hands it over (its name and data), into *OUT,
 * new; waits a while for it, until CANCELLED.  OME_E_NOT_FOUND: there is no such Secret; OME_E_UNAVAILABLE: nothing
 * came. */
int32_t credential_ask(const struct task *t, const char *secret, bool (*cancelled)(void *arg), void *arg,
                       struct json_object **out, struct ome_err *err);

/* agent.c */
/* The model NAME in NS, as in a task; new; NULL: there is none. */
struct json_object *agent_find(const struct agent *a, const char *ns, const char *name);
/* Whether all models that are where NAME in NS is are known; waits a moment for it. */
bool agent_has_listed(const struct agent *a, const char *ns);
/* The same of all models. */
bool agent_has_listed_all(struct agent *a);
/* AcceleratorClasses as they are known now, for a scout; until agent_stop(). */
struct scout_classes agent_classes(struct agent *a);
/* Puts the model that stores and records know as KEY into the queue; where there is none, all that it may have been. */
void agent_look_at_key(struct agent *a, const char *key);
/* The model that KEY (of the store, and of the record) stands for; new; NULL: there is none. */
struct json_object *model_of_key(struct agent *a, const char *key);

/* stay.c */
/* Why MODEL stays on the node when room is short: RESIDENT_*; 0: it may go. */
unsigned model_stays(struct agent *a, struct json_object *model);
unsigned stays_by_key(void *arg, const char *key); /* ARG: the agent */
/* Whether its files outlive it: label models.ome/reserve-model-artifact. */
bool model_is_reserved(struct json_object *model);
/* Whether T's model, as it is asked for now, was here and made room for others. */
bool model_made_room(const struct task *t);
/* Whether it is known what pods and services use; waits a moment for it. */
bool agent_knows_demand(struct agent *a);

/* gopher.c */
/* Something happened to a model (NAME NULL: to the node): what is under way is to look whether it is still wanted.
 * [any-thread] */
void agent_note_news(struct agent *a, const char *ns, const char *name);
struct json_object *agent_model(const struct task *t);
/* t->home and t->path as far as the model's size is known; OME_E_INVALID: it names a store that is not here. */
int32_t task_choose_store(struct task *t, struct ome_err *err);
/* What the agent knows of T's model, told to the cluster unless the cluster says so already. */
int32_t agent_tell(const struct task *t, const struct record_entry *what, struct ome_err *err);
kube_reconcile_fn reconcile_model_on_node; /* ARG: the agent */
void model_state_free(void *state);

#endif
