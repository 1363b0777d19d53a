/* What the files of the client share. */
#ifndef HOST_KUBE_CLIENT_INTERNAL_H
#define HOST_KUBE_CLIENT_INTERNAL_H

#include "kube/client.h"
#include "kube/config.h"
#include "kube/flow.h"
#include "kube/lists.h"

#include <pthread.h>

struct discovery;

struct kube_client {
  struct kube_config config;
  struct http_client *http;
  bool (*stopping)(void); /* may be NULL */
  kube_warning_fn *warn;  /* may be NULL */
  void *warn_arg;
  struct lists lists; /* of the watch caches */
  struct {
    pthread_mutex_t lock;
    char *token; /* secret; from the file or the plugin */
    char *cert_pem, *key_pem;
    uint64_t fresh_until_ms; /* monotonic */
    struct discovery *discovery;
    struct flow flow;
  } shared;
};

/* "/api/v1/namespaces/NS/pods/NAME/SUB?QUERY", new; NS, NAME, SUB and QUERY may be NULL. */
char *kube_path(const struct kube_resource *r, const char *ns, const char *name, const char *sub, const char *query);

/* What a request for a list or a watch without spec and status accepts; a server that has no such form sends the whole.
 */
#define KUBE_METADATA_LIST "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
#define KUBE_METADATA "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

/* A request ready for http_do() or http_fetch_start(); everything it points to lives in the struct. */
struct kube_request {
  struct http_request http;
  struct http_tls tls;
  char *url, *authorization, *accept, *content_type, *cert_pem, *key_pem;
  char trace[80]; /* header traceparent */
  const char *headers[5];
};
int32_t kube_request_init(struct kube_client *c, const char *method, const char *path, const char *accept,
                          const char *content_type, struct kube_request *out, struct ome_err *err);
void kube_request_fini(struct kube_request *r);

/* Counts a request that ended: with STATUS, or without an answer because of RC. */
void kube_count_request(const char *method, int32_t rc, int status);

void discovery_free(struct discovery *d);

#endif
