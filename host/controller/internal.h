/* What the reconcilers share. */
#ifndef HOST_CONTROLLER_INTERNAL_H
#define HOST_CONTROLLER_INTERNAL_H

#include "base/strmap.h"
#include "compose/plan.h"
#include "controller/controller.h"
#include "kube/cache.h"
#include "kube/event.h"
#include "kube/queue.h"

#include <pthread.h>
#include <stdatomic.h>

#define CONTROLLER_MANAGER "ome-controller"
#define NODE_MODELS_LABEL "models.ome/basemodel-status=true"

/* The watch caches that reconcilers read. */
enum watch_id {
  WATCH_SERVICES,
  WATCH_BASE_MODELS,
  WATCH_CLUSTER_BASE_MODELS,
  WATCH_RUNTIMES,
  WATCH_CLUSTER_RUNTIMES,
  WATCH_ACCELERATORS,
  WATCH_BENCHMARKS,
  WATCH_NODES,
  WATCH_NODE_MODELS, /* the agents' ConfigMaps */
  WATCH_CONFIG,      /* inferenceservice-config */
  WATCH_PODS,
  WATCH_COUNT
};

enum queue_id { QUEUE_SERVICES, QUEUE_MODELS, QUEUE_RUNTIMES, QUEUE_ACCELERATORS, QUEUE_BENCHMARKS, QUEUE_COUNT };

/* The kinds that services are made of; what the cluster does not have is absent. */
#define CHILD_KINDS 9

struct child_kind {
  const char *api_version;
  const char *kind;
  const struct kube_resource *resource; /* NULL: the cluster does not have it */
  struct kube_cache *cache;
};

struct controller {
  struct kube_client *client; /* borrowed */
  struct plugins *plugins;    /* borrowed */
  char *ome_namespace;
  char *gateway_url; /* NULL: none */
  struct kube_recorder *recorder;
  struct kube_cache *watches[WATCH_COUNT];
  struct child_kind children[CHILD_KINDS];
  struct kube_queue *queues[QUEUE_COUNT];
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;     /* every cache has been filled once: reconcilers may begin */
    bool stopping; /* nothing is queued or begun any more */
  } gate;
  atomic_uint_fast64_t world_version; /* moves when anything of the world below changed */
  /* Of the services queue's one worker. */
  struct plan_world world;
  uint64_t world_seen;
  char bad_config[64];    /* resourceVersion of the configuration that was complained of */
  struct strmap *applied; /* "kind/ns/name" -> text: resourceVersion and digest of our last apply */
};

/* ---- controller.c ------------------------------------------------------------------------------------------------ */

/* Puts a key into a queue; NS NULL or "" for cluster scope.  [any-thread] */
void enqueue(struct controller *c, enum queue_id queue, const char *ns, const char *name);

/* ---- world.c ----------------------------------------------------------------------------------------------------- */

/* Brings c->world up to date with the caches. */
int32_t world_refresh(struct controller *c, struct ome_err *err);
void world_fini(struct controller *c);
/* new array of the at most two models that NAME can mean to a service in NS. */
struct json_object *world_models(struct controller *c, const char *ns, const char *name);

/* ---- children.c -------------------------------------------------------------------------------------------------- */

/* Finds which kinds there are and starts their caches. */
int32_t children_start(struct controller *c, kube_event_fn *on_event, struct ome_err *err);
void children_stop(struct controller *c);
bool children_wait(struct controller *c, uint64_t timeout_ms);
/* Applies what is missing or different of PLAN, and deletes what SERVICE owns and PLAN has no more.  *LIVE is a new
 * array: every object of the plan as the server has it now. */
int32_t children_sync(struct controller *c, struct json_object *service, const struct plan *plan,
                      struct json_object **live, struct ome_err *err);

/* ---- one a kind -------------------------------------------------------------------------------------------------- */

kube_reconcile_fn reconcile_service;
kube_reconcile_fn reconcile_model;
kube_reconcile_fn reconcile_runtime;
kube_reconcile_fn reconcile_accelerator;
kube_reconcile_fn reconcile_benchmark;

/* Queues every service in NS (NULL: everywhere) that names MODEL (NULL: any). */
void requeue_services(struct controller *c, const char *ns, const char *model);
/* Queues the models that the keys of an agent's ConfigMap name. */
void requeue_models_of(struct controller *c, struct json_object *config_map);
void requeue_all_models(struct controller *c);

#endif
