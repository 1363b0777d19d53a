/* Workloads on one machine: controllers of Deployment, ReplicaSet, Job, LeaderWorkerSet, Knative Service, Service and
 * Node, and the runner that starts containers as supervised processes.  Reaches the API server over HTTP like any other
 * client. */
#ifndef HOST_LOCAL_LOCAL_H
#define HOST_LOCAL_LOCAL_H

#include "apiserver/apiserver.h"
#include "gateway/gateway.h"
#include "kube/client.h"

struct local;

struct local_config {
  struct kube_client *client;
  const char *data_dir;    /* run/, logs/, volumes/ below it */
  const char *node_name;   /* NULL: the host name */
  struct gateway *gateway; /* gets its routes from the InferenceServices; NULL: none */
};

int32_t local_start(const struct local_config *cfg, struct local **out, struct ome_err *err);
/* Stops every pod's processes (gracefully, then by force), then itself. */
void local_stop(struct local *l);
DEFINE_CLEANUP(struct local *, local_stop)

/* CRDs of the kinds of other projects that run here (LeaderWorkerSet, Knative Service), to be installed before
 * local_start(); new array. */
struct json_object *local_crds(void);

/* An apiserver_log_fn; ARG is the struct local.  Take it out of the API server (apiserver_set_logs() with NULL) before
 * local_stop(). */
void local_serve_logs(void *arg, const struct apiserver_log_request *req, struct http_exchange *x);

#endif
