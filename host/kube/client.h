/* Kubernetes API client: configuration and requests.
 *
 * One struct kube_client serves any number of threads.  Requests block; a non-2xx answer becomes an error whose
 * message is the Status' message and whose code follows its reason (NotFound, AlreadyExists/Conflict, Forbidden,
 * Invalid, TooManyRequests with retry_after_ms, 5xx UNAVAILABLE). */
#ifndef HOST_KUBE_CLIENT_H
#define HOST_KUBE_CLIENT_H

#include "base/json.h"
#include "kube/resource.h"
#include "net/http_client.h"

struct kube_client;

/* Where the API server is and who we are.  PATH NULL: $KUBECONFIG, then the in-cluster account, then ~/.kube/config.
 * CONTEXT NULL: the current one. */
int32_t kube_client_new(const char *path, const char *context, struct kube_client **out, struct ome_err *err);
void kube_client_free(struct kube_client *c);
DEFINE_CLEANUP(struct kube_client *, kube_client_free)

/* How C's requests call themselves in the server's audit log: "ome/0.1.0 (PART)".  Before the first of them. */
int32_t kube_client_name_part(struct kube_client *c, const char *part, struct ome_err *err);

/* Once STOPPING says so, requests in progress and those to come get two seconds: who ends does not wait for a server
 * that does not answer.  Asked about every 100 ms. [any-thread] */
void kube_client_until(struct kube_client *c, bool (*stopping)(void));

/* At most QPS requests a second after the first BURST, so that a burst of work is none for the server.  Watches,
 * deletions and leases are free.  Without it, and for QPS 0, there is no limit. [any-thread] */
void kube_client_limit(struct kube_client *c, uint64_t qps, uint64_t burst);

/* Called with what the server warns of in answers that succeed, in the thread that asked; NULL: nobody hears it.  Not
 * while other threads use C. */
typedef void kube_warning_fn(void *arg, const char *text);
void kube_client_on_warning(struct kube_client *c, kube_warning_fn *warn, void *arg);

const char *kube_client_namespace(const struct kube_client *c); /* of the context; "default" */
const char *kube_client_server(const struct kube_client *c);    /* URL */
struct http_client *kube_client_http(struct kube_client *c);

/* NS is NULL for cluster-scoped resources, and for all namespaces in lists.  *OUT is the caller's. */
int32_t kube_get(struct kube_client *c, const struct kube_resource *r, const char *ns, const char *name,
                 struct json_object **out, struct ome_err *err);

struct kube_list_opts {
  const char *labels; /* selector, NULL: all */
  const char *fields;
  uint32_t limit;     /* page size; 0: 500.  All pages are fetched */
  bool metadata_only; /* PartialObjectMetadata: no spec, no status */
};
/* Calls FN for each page, a List, borrowed, which may be changed; ends early with what FN fails with. */
typedef int32_t kube_page_fn(void *arg, struct json_object *page, struct ome_err *err);
int32_t kube_list_pages(struct kube_client *c, const struct kube_resource *r, const char *ns,
                        const struct kube_list_opts *opts, kube_page_fn *fn, void *arg, struct ome_err *err);
/* *OUT is the List with all items. */
int32_t kube_list(struct kube_client *c, const struct kube_resource *r, const char *ns,
                  const struct kube_list_opts *opts, struct json_object **out, struct ome_err *err);

/* The object's own metadata name the path.  *OUT (may be NULL) is the stored object. */
int32_t kube_create(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                    struct json_object **out, struct ome_err *err);
int32_t kube_update(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                    struct json_object **out, struct ome_err *err); /* PUT: resourceVersion guards it */
int32_t kube_update_status(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                           struct json_object **out, struct ome_err *err);

enum kube_patch_type { KUBE_PATCH_JSON, KUBE_PATCH_MERGE, KUBE_PATCH_STRATEGIC };
/* SUBRESOURCE NULL: the object itself. */
int32_t kube_patch(struct kube_client *c, const struct kube_resource *r, const char *ns, const char *name,
                   const char *subresource, enum kube_patch_type type, struct json_object *patch,
                   struct json_object **out, struct ome_err *err);

/* Server-side apply as MANAGER.  FORCE takes fields over from other managers; without it a conflict is
 * OME_E_CONFLICT naming them. */
int32_t kube_apply(struct kube_client *c, const struct kube_resource *r, struct json_object *obj,
                   const char *subresource, const char *manager, bool force, struct json_object **out,
                   struct ome_err *err);

/* The same, with force, to the object that has UID; NULL: only if there is none.  OME_E_CONFLICT: the server has
 * another, or none, and nothing was changed. */
int32_t kube_apply_on(struct kube_client *c, const struct kube_resource *r, struct json_object *obj, const char *uid,
                      const char *manager, struct json_object **out, struct ome_err *err);

enum kube_propagation { KUBE_BACKGROUND, KUBE_FOREGROUND, KUBE_ORPHAN };
/* UID NULL: no precondition.  Absent is OME_E_NOT_FOUND. */
int32_t kube_delete(struct kube_client *c, const struct kube_resource *r, const char *ns, const char *name,
                    const char *uid, enum kube_propagation propagation, struct ome_err *err);

/* Any path below the server: GET of "/version", "/apis/...". */
int32_t kube_raw(struct kube_client *c, const char *method, const char *path, struct json_object *body,
                 struct json_object **out, struct ome_err *err);

/* new: the last LINES of a container's log, as they are (bytes of somebody's program). */
int32_t kube_pod_log(struct kube_client *c, const char *ns, const char *pod, const char *container, uint32_t lines,
                     char **out, struct ome_err *err);

/* Finds the resource of a kind by discovery, cached for the client's life, asked again once when absent.  *OUT is
 * valid as long as C.  OME_E_NOT_FOUND names what is missing. */
int32_t kube_discover(struct kube_client *c, const char *api_version, const char *kind,
                      const struct kube_resource **out, struct ome_err *err);
/* The same by what a person types: plural, singular, short name or kind, "resource.group". */
int32_t kube_discover_name(struct kube_client *c, const char *name, const struct kube_resource **out,
                           struct ome_err *err);

#endif
