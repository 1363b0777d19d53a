/* Inside the local room: what the controllers share.  Each controller is a work queue and a reconcile function. */
#ifndef HOST_LOCAL_LOCAL_INT_H
#define HOST_LOCAL_LOCAL_INT_H

#include "gateway/gateway.h"
#include "kube/cache.h"
#include "kube/event.h"
#include "kube/queue.h"
#include "local/address.h"
#include "local/gpus.h"
#include "local/local.h"
#include "local/podspec.h"
#include "local/proxy.h"
#include "local/runner.h"

#include <pthread.h>

enum local_queue {
  QUEUE_DEPLOYMENTS,
  QUEUE_REPLICASETS,
  QUEUE_JOBS,
  QUEUE_LWS,
  QUEUE_RAY,
  QUEUE_KNATIVE,
  QUEUE_SCALE,
  QUEUE_PODS,
  QUEUE_SERVICES,
  QUEUE_NODE,
  QUEUE_CLAIMS,
  QUEUE_ROUTES,
  QUEUES
};
enum local_cache {
  CACHE_DEPLOYMENTS,
  CACHE_REPLICASETS,
  CACHE_JOBS,
  CACHE_LWS,
  CACHE_RAY,
  CACHE_KNATIVE,
  CACHE_PODS,
  CACHE_SERVICES,
  CACHE_SLICES,
  CACHE_NODES,
  CACHE_CLAIMS,
  CACHE_ISVCS,
  CACHES
};

struct local {
  struct kube_client *client;
  struct gateway *gateway; /* NULL: no routes to set */
  char *data_dir;          /* absolute */
  char *node_name, *node_ip;
  char *id;       /* of the data folder */
  char *shim;     /* path of ome-shim */
  char *bind_lib; /* path of ome-bind.so; NULL: not installed */
  struct strv base_env;
  struct kube_recorder *recorder;
  struct runner *runner;
  struct http_client *probe_client;
  struct proxies *proxies;
  bool swept; /* folders of pods long gone have been removed; the node controller's */
  struct addresses *pod_ips, *service_ips;
  struct gpus *gpus;
  struct kube_cache *caches[CACHES];
  struct kube_queue *queues[QUEUES];
  pthread_mutex_t gate;       /* guards running */
  bool running;               /* events may be acted upon: everything above is in place */
  struct strmap *needed;      /* "ns/name" of Knative Services: when all replicas were last needed; the scaler's */
  pthread_mutex_t lock;       /* guards unscheduled */
  struct strmap *unscheduled; /* "ns/name" of pods that no room was found for */
};

/* Waits until the first lists of the caches that pods and services are decided from are in. */
bool local_synced(struct local *l);
void local_enqueue(struct local *l, enum local_queue q, const char *ns, const char *name);

/* workloads.c; ARG is the struct local, in all of them */
kube_reconcile_fn deployments_reconcile, replicasets_reconcile, jobs_reconcile, lws_reconcile, ray_reconcile,
    knative_reconcile;

/* scale.c: as many replicas of a Knative Service as the gateway's requests ask for */
kube_reconcile_fn scale_reconcile;
void scale_on_demand(void *arg, const char *ns, const char *name); /* the gateway holds a request for it */

/* pods.c */
kube_reconcile_fn pods_reconcile;
void pods_retry_unscheduled(struct local *l); /* there may be room now */
void pods_sweep(struct local *l);             /* folders of pods that are gone since an earlier run */

/* podstart.c: makes everything POD needs and hands it to the runner; PENDING and MESSAGE (new) say why not yet. */
int32_t pod_start(struct local *l, struct json_object *pod, const char *ip, char **pending, char **message,
                  struct ome_err *err);

/* services.c */
kube_reconcile_fn services_reconcile;
#define ALL_SERVICES "*" /* as a name: every Service of the namespace */

/* node.c */
kube_reconcile_fn node_reconcile;
char *node_address(void); /* this machine's first address that is not loopback; new */

/* claims.c: a claim is bound as soon as it is there: it is a folder */
kube_reconcile_fn claims_reconcile;

/* routes.c */
kube_reconcile_fn routes_reconcile;

/* "NS/NAME"'s object as a merge patch from BEFORE to AFTER; NULL: they are equal.  New. */
struct json_object *merge_diff(struct json_object *before, struct json_object *after);

#endif
