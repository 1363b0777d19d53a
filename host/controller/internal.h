/* What the reconcilers share. */
#ifndef HOST_CONTROLLER_INTERNAL_H
#define HOST_CONTROLLER_INTERNAL_H

#include "base/strmap.h"
#include "compose/plan.h"
#include "controller/controller.h"
#include "controller/manager.h"
#include "kube/cache.h"
#include "kube/event.h"
#include "kube/queue.h"

#include <pthread.h>
#include <stdatomic.h>

#define NODE_MODELS_LABEL "models.ome/basemodel-status=true"

/* The watch caches that reconcilers read. */
enum watch_id {
  WATCH_CRDS,       /* their metadata; first: the caches of custom kinds wait for it */
  WATCH_BENCHMARKS, /* before those whose handlers look into it */
  WATCH_SERVICES,
  WATCH_WEIGHTS, /* before the models, whose handler looks into it */
  WATCH_BASE_MODELS,
  WATCH_CLUSTER_BASE_MODELS,
  WATCH_RUNTIMES,
  WATCH_CLUSTER_RUNTIMES,
  WATCH_ACCELERATORS,
  WATCH_NODES,
  WATCH_NODE_MODELS, /* the agents' ConfigMaps */
  WATCH_HANDOVERS,   /* credentials on their way to agents */
  WATCH_CONFIG,      /* inferenceservice-config */
  WATCH_PODS,
  WATCH_BENCHMARK_CONFIG, /* benchmarkjob-config */
  WATCH_JOBS,             /* of benchmarks; their pods */
  WATCH_JOB_PODS,
  WATCH_CLAIMS,     /* what PersistentVolumeClaims are bound */
  WATCH_CLAIM_JOBS, /* that read models there */
  WATCH_ALL_PODS,   /* that are bound to nodes, and no more of them than what they take there */
  WATCH_COUNT
};

enum queue_id {
  QUEUE_SERVICES,
  QUEUE_MODELS,
  QUEUE_RUNTIMES,
  QUEUE_ACCELERATORS,
  QUEUE_BENCHMARKS,
  QUEUE_CRDS,
  QUEUE_NODE_RECORDS,
  QUEUE_COUNT
};

#define EVERY_SERVICE "services" /* in the queue of runtimes */

/* The kinds that services are made of; what the cluster does not have is absent. */
#define CHILD_KINDS 17

struct child_kind {
  const struct kube_resource *resource;
  char api_version[128];
  bool scaler;   /* the cache has those of others too */
  bool workload; /* it goes when what takes its place is ready */
  bool names;    /* a workload whose own controller makes a Service of its name */
  atomic_bool there;
  struct kube_cache *cache; /* once it was there; read with child_cache() */
};

/* Services are shared out by their names: each worker has its own queue, its own trees and one thread, so that requests
 * for several services are on their way at once.  What takes the server's answers is several times faster than one. */
#define SERVICE_WORKERS 8

struct service_worker {
  struct controller *c;
  struct kube_queue *queue;
  struct plan_world world;
  struct select_field field; /* the world's */
  uint64_t world_seen, classes_seen;
  struct json_object *foreign; /* array: the scalers of others */
  uint64_t foreign_seen;
  struct strmap *revisions; /* name -> text of revisions of runtimes, which never change; NULL: none was read */
  struct strmap *applied;   /* "kind/ns/name" -> text: resourceVersion and digest of our last apply */
};

struct controller {
  struct kube_client *client; /* borrowed */
  struct plugins *plugins;    /* borrowed */
  char *ome_namespace;
  char *gateway_url;            /* NULL: none */
  char *program, *plugins_conf; /* as configured */
  uint64_t revision_retention, revision_grace_ms;
  struct kube_recorder *recorder;
  struct kube_cache *watches[WATCH_COUNT];
  struct child_kind children[CHILD_KINDS];
  kube_event_fn *on_child;
  struct kube_queue *queues[QUEUE_COUNT]; /* none for services, which their workers have */
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;     /* every cache has been filled once: reconcilers may begin */
    bool stopping; /* nothing is queued or begun any more */
  } gate;
  atomic_uint_fast64_t foreign_version; /* moves when a scaler of somebody else changed */
  atomic_uint_fast64_t world_version;   /* moves when anything of the world below changed */
  atomic_uint_fast64_t classes_version; /* moves when accelerator classes or their status changed */
  struct {
    pthread_mutex_t lock;
    bool known;
    char *good;   /* text of the last configuration that could be read; NULL: there was none */
    char bad[64]; /* resourceVersion of one that could not, and was complained of */
  } config;
  struct {
    pthread_mutex_t lock;
    struct strmap *names; /* "ns/name" (further.c); NULL: none yet */
  } further;
  struct service_worker workers[SERVICE_WORKERS];
  struct strmap *secrets_next; /* of the models' worker: key -> uint64_t, when its Secret is looked at again */
};

/* ---- controller.c ------------------------------------------------------------------------------------------------ */

/* Puts a key into a queue; NS NULL or "" for cluster scope.  [any-thread] */
void enqueue(struct controller *c, enum queue_id queue, const char *ns, const char *name);
/* The same, in MS: what comes in bursts is looked at once. */
void enqueue_after(struct controller *c, enum queue_id queue, const char *ns, const char *name, uint64_t ms);

/* ---- world.c ----------------------------------------------------------------------------------------------------- */

/* Brings w->world up to date with the caches. */
int32_t world_refresh(struct service_worker *w, struct ome_err *err);
void world_fini(struct service_worker *w);
/* new array of the runtimes of both scopes. */
struct json_object *world_runtimes(struct controller *c);
/* new array of the models that the names in SERVICE can mean, at most two each. */
struct json_object *world_models(struct controller *c, struct json_object *service);
/* Whether one of MODELS, or of the weights that SERVICE names, is on a claim. */
bool world_uses_claims(const struct plan_world *world, struct json_object *service, struct json_object *models);
/* new array of the claims in NS; NULL: they are not known yet. */
struct json_object *world_claims(struct controller *c, const char *ns);

/* ---- kinds.c ----------------------------------------------------------------------------------------------------- */

/* Starts the caches of the kinds that every cluster has. */
int32_t kinds_start(struct controller *c, kube_event_fn *on_child, struct ome_err *err);
/* Then those of other projects' kinds that this one has; the cache of CRDs is filled. */
int32_t kinds_start_custom(struct controller *c, struct ome_err *err);
/* Waits until they are filled. */
int32_t kinds_wait(struct controller *c, uint64_t timeout_ms, struct ome_err *err);
void kinds_stop(struct controller *c);
/* The CRD of this name came, changed or went. */
void kinds_note(struct controller *c, const char *crd);
/* The cache of K; NULL: the cluster does not have the kind.  [any-thread] */
struct kube_cache *child_cache(struct child_kind *k);
/* The kind of O; NULL: the cluster does not have it, or no service is made of it. */
struct child_kind *child_kind_of(struct controller *c, struct json_object *o);

/* ---- claimmodel.c ------------------------------------------------------------------------------------------------ */

/* The index of models that are on claims. */
kube_index_fn on_claim_of;
/* How far it is known what the files of a model on a claim say. */
struct claim_look {
  enum {
    CLAIM_UNREAD,  /* nobody is to read them, or the claim is not to be had */
    CLAIM_PENDING, /* a Job for it was made */
    CLAIM_READING, /* it is at work, or something is in its way */
    CLAIM_FAILED,
    CLAIM_READ,
  } state;
  struct json_object *config; /* new: what they say, as an agent would; NULL: not known */
  char *facts;                /* new: the same for claim_model_mark(); NULL: that is done */
  struct ome_err why;         /* of what is not READ */
  uint64_t again_ms;          /* look again; 0: when something happens */
};
void claim_look_fini(struct claim_look *l);
/* Has the files of MODEL, which is on a claim, read where they were not; what was found is in OUT. */
int32_t claim_model_look(struct controller *c, struct json_object *model, struct claim_look *out, struct ome_err *err);
/* Keeps with MODEL what was read, which is not read again for as long as its address stays. */
void claim_model_mark(struct json_object *model, const struct claim_look *look);
/* Says in the status of MODEL, which is on one, what the claim is and what became of the reading; false: no memory. */
bool claim_model_status(struct controller *c, struct json_object *model, const struct claim_look *look);
/* A Job that reads one. */
kube_event_fn on_claim_job;
/* Queues the models that a claim in NS may hold.  [any-thread] */
void claim_models_requeue(struct controller *c, const char *ns);

/* ---- further.c --------------------------------------------------------------------------------------------------- */

/* The service LOOKS at more than the model it names (further models, claims), or no longer does.  Said before that is
 * read, nothing that comes later is missed.  [any-thread] */
void further_note(struct controller *c, const char *ns, const char *name, bool looks);
/* Queues the services in NS (NULL: everywhere) that do.  [any-thread] */
void further_requeue(struct controller *c, const char *ns);

/* ---- children.c -------------------------------------------------------------------------------------------------- */

#define REASON_CLASH "NameConflict" /* of a condition: an object's name is somebody else's */

struct children_report {
  struct json_object
      *live; /* new array: every object of the plan as the server has it now, NULL for what is not there */
  const struct child_kind *holders[COMPONENT_KINDS]; /* by part: of takeover_find() */
  const char *condition;                             /* that is to tell what failed */
  struct ome_err scaler;                             /* why an autoscaler could not be applied; the rest was */
};
/* Applies what is missing or different of PLAN. */
int32_t children_sync(struct service_worker *w, struct json_object *service, struct plan *plan,
                      struct children_report *report, struct ome_err *err);
/* Applies the Services that children_sync() left with a workload that is to go, of the parts of which READY says that
 * what takes its place serves. */
int32_t children_take_over(struct service_worker *w, struct json_object *service, const struct plan *plan,
                           const bool *ready, const struct children_report *report, struct ome_err *err);
/* Deletes what SERVICE owns and PLAN has no more.  A workload whose component is still wanted stays until READY, by
 * part of the plan, says that what takes its place serves: a change of mode interrupts nothing. */
int32_t children_prune(struct controller *c, struct json_object *service, const struct plan *plan, const bool *ready,
                       struct ome_err *err);
/* new array of what SERVICE owns of kind K, and PLAN has no more; NULL: the cluster does not have the kind. */
struct json_object *children_unwanted(struct child_kind *k, struct json_object *service, const struct plan *plan);

/* ---- takeover.c -------------------------------------------------------------------------------------------------- */

/* While a workload of another kind serves a component until what takes its place does, the component's Service stays
 * what it is.  HOLDERS (COMPONENT_KINDS of them) gets by part of PLAN the kind of that workload, NULL where there is
 * none. */
void takeover_find(struct controller *c, struct json_object *service, const struct plan *plan,
                   const struct child_kind **holders);
/* Whether object number I of PLAN is such a Service; *PART is then whose. */
bool takeover_waits(const struct plan *plan, const struct child_kind *const *holders, size_t i, size_t *part);

/* ---- pins.c ------------------------------------------------------------------------------------------------------ */

/* w->world.revisions becomes what SERVICE may be pinned to.  What is not there is to be looked for again. */
int32_t pins_load(struct service_worker *w, struct json_object *service, uint64_t *requeue_ms, struct ome_err *err);
/* What the runtime of a pinned service says now is kept, before anything says that it was seen. */
int32_t pins_keep(struct service_worker *w, const struct plan *plan, struct ome_err *err);

/* ---- record.c ---------------------------------------------------------------------------------------------------- */

/* Writes, or removes, the ConfigMap with SERVICE's whole decision record, as its annotation says. */
int32_t record_keep(struct controller *c, struct json_object *service, const struct plan *plan, struct ome_err *err);

/* ---- scalers.c --------------------------------------------------------------------------------------------------- */

/* RIVALS (COMPONENT_KINDS of them, new texts or NULL) get who else scales the plan's workloads.  Where there is one,
 * our autoscaler and a fixed number of replicas are taken out of PLAN: two owners would fight. */
int32_t scalers_yield(struct service_worker *w, struct plan *plan, char **rivals, struct ome_err *err);
/* Deletes the autoscalers of SERVICE that PLAN no longer has, before others of its workloads are applied: KEDA refuses
 * a workload that a HorizontalPodAutoscaler scales.  While a deleted one is still there, the plan's are withheld: their
 * entries become NULL, and its end is an event. */
int32_t scalers_clear(struct controller *c, struct json_object *service, struct plan *plan, struct ome_err *err);
/* Whether SCALER, which PLAN no longer has, stays: what is to take its place is of a kind that the cluster lacks, and
 * until it comes the count has the owner that it had. */
bool scalers_stays(struct controller *c, const struct plan *plan, struct json_object *scaler);
/* Before WANT, which no longer says spec.replicas, is applied over LIVE, where the number is ours: leaves it to another
 * field manager.  Without that the number would fall to the default, 1, until the new owner raises it again. */
int32_t scalers_hand_over(struct controller *c, const struct child_kind *k, struct json_object *want,
                          struct json_object *live, struct ome_err *err);
/* new: the name of the service whose component a scaler of somebody else may scale; NULL: none. */
char *scalers_service(struct json_object *scaler);

/* ---- credentials.c ----------------------------------------------------------------------------------------------- */

/* Hands what the Secret of MODEL (KEY in the records, NS in the queue) says to the agents of the nodes that are to
 * bring it now, and to no other; takes back what is not needed any more.  MODEL NULL: it is gone.  *AGAIN_MS, not 0:
 * look again. */
int32_t credentials_hand_over(struct controller *c, const char *ns, const char *key, struct json_object *model,
                              uint64_t *again_ms, struct ome_err *err);

/* ---- one a kind -------------------------------------------------------------------------------------------------- */

kube_reconcile_fn reconcile_service;
kube_reconcile_fn reconcile_model;
kube_reconcile_fn reconcile_runtime;
kube_reconcile_fn reconcile_accelerator;
kube_reconcile_fn reconcile_benchmark;
kube_reconcile_fn reconcile_crd;
kube_reconcile_fn reconcile_node_record;

/* What the accelerator reconciler is told: it counts all classes at one turn, so that they have one key.  [any-thread]
 */
kube_event_fn on_accelerator, on_node_devices, on_any_pod;
/* What it reads of Nodes and Pods. */
kube_trim_fn trim_node, trim_pod;
/* The index of runtimes whose status tells what they inherit. */
kube_index_fn heir_of;

/* Queues every service in NS (NULL: everywhere) that names MODEL (NULL: any). */
void requeue_services(struct controller *c, const char *ns, const char *model);
/* Queues the models that the keys of an agent's ConfigMap name. */
void requeue_models_of(struct controller *c, struct json_object *config_map);
/* Queues the model that KEY of such a ConfigMap names. */
void requeue_model_of_key(struct controller *c, const char *key);
void requeue_all_models(struct controller *c);
/* Queues the fine-tuned weights that were trained on a model called BASE. */
void requeue_weights_of(struct controller *c, const char *base);
/* Queues the benchmarks that measure the service NAME in NS. */
void requeue_benchmarks_of(struct controller *c, const char *ns, const char *name);

#endif
