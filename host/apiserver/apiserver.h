/* The embedded API server: the Kubernetes REST conventions over HTTPS, on SQLite. */
#ifndef HOST_APISERVER_APISERVER_H
#define HOST_APISERVER_APISERVER_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct apiserver;

struct apiserver_config {
  const char *data_dir;          /* made when absent; holds store.db, pki/, kubeconfig */
  const char *address;           /* NULL: 127.0.0.1 */
  uint16_t port;                 /* 0: any */
  const char *audit_log;         /* file that gets a line for each request on a resource; NULL: none */
  const char *context_namespace; /* namespace in the written kubeconfig; NULL: "default" */
  /* Services get addresses of 127.128.0.0/10, where the local platform listens; true: of 10.96.0.0/12, as where there
   * is a network for them. */
  bool cluster_network;
  bool faults; /* PUT /faults makes things go wrong, for tests; see faults.h */
};

/* Answers requests when it returns; data_dir/kubeconfig (mode 0600) names server, CA and token. */
int32_t apiserver_start(const struct apiserver_config *cfg, struct apiserver **out, struct ome_err *err);
void apiserver_stop(struct apiserver *s);
DEFINE_CLEANUP(struct apiserver *, apiserver_stop)
uint16_t apiserver_port(const struct apiserver *s);
const char *apiserver_kubeconfig(const struct apiserver *s); /* path */

/* GET /api/v1/namespaces/N/pods/P/log is answered by whoever runs the pods; until set it is 501.  Called on the API
 * server's thread: FN answers the exchange then or later, on that thread.  See local/local.h. */
struct http_exchange;
struct apiserver_log_request {
  const char *ns, *pod, *container; /* CONTAINER "": the only one */
  int64_t tail_lines;               /* -1: all */
  int64_t limit_bytes;              /* -1: all */
  int64_t since_seconds;            /* -1: all */
  int follow, previous, timestamps;
};
typedef void apiserver_log_fn(void *arg, const struct apiserver_log_request *req, struct http_exchange *x);
void apiserver_set_logs(struct apiserver *s, apiserver_log_fn *fn, void *arg);

#endif
