/* What a webhook is asked and answers, as functions from documents to a verdict.
 *
 * A review function looks at the object of the request, asks the lookup for what else it needs, and fills the verdict.
 * It has no side effect, so that a dry run is nothing special.  One thread a review. */
#ifndef HOST_ADMISSION_REVIEW_H
#define HOST_ADMISSION_REVIEW_H

#include "base/buf.h"
#include "base/json.h"
#include "kube/resource.h"
#include "plugin/plugin.h"

/* The rest of the cluster.  Documents are new. */
struct admission_lookup {
  /* OME_E_NOT_FOUND: it is not there. */
  int32_t (*get)(void *arg, const struct kube_resource *r, const char *ns, const char *name, struct json_object **out,
                 struct ome_err *err);
  int32_t (*list)(void *arg, const struct kube_resource *r, const char *ns, struct json_object **out,
                  struct ome_err *err); /* an array */
  void *arg;
  struct plugins *plugins;
  const char *ome_namespace;
};

struct verdict {
  struct buf denials;           /* sentences, joined by "; "; empty: allowed */
  struct json_object *warnings; /* array of strings */
  struct json_object *object;   /* what the object becomes, new; NULL: it stays */
};

struct review {
  const struct admission_lookup *lookup;
  const char *ns, *name;
  struct json_object *user; /* who asks: UserInfo of authentication.k8s.io/v1; borrowed */
  struct json_object
      *object; /* borrowed; NULL only of a deletion, which entries with on_delete or of_agent are asked about */
  struct json_object *old; /* NULL on create */
  struct verdict *verdict;
};

void verdict_deny(struct review *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void verdict_warn(struct review *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* An error is no verdict: the lookup failed, memory ran out. */
typedef int32_t review_fn(struct review *r, struct ome_err *err);

review_fn default_service;    /* the older spec.predictor becomes engine, model and runtime */
review_fn validate_service;   /* names, references, autoscaling, a runtime that can be had */
review_fn validate_runtime;   /* ServingRuntime and ClusterServingRuntime: structure, classes, priorities */
review_fn validate_benchmark; /* endpoint, traffic scenarios, parameters, output */
review_fn mutate_pod;         /* RDMA profile, metrics annotations */
review_fn validate_revision;  /* what a runtime said stays as it is, and while a service is pinned to it */
review_fn validate_agent;     /* an agent writes what is its own of its Node, and its record */

/* What the API server calls the ServiceAccount that all agents have: new. */
char *agent_username(const char *ome_namespace);

/* One webhook, and where it is registered. */
struct webhook_entry {
  const char *path;
  const char *configuration; /* metadata.name of the Validating- or MutatingWebhookConfiguration */
  const char *name;
  const char *group, *resource; /* of its rule; version v1beta1 of ome.io, else v1 */
  bool mutating;
  bool on_update;    /* also asked about updates */
  bool on_delete;    /* also asked about deletions */
  bool needed;       /* failurePolicy Fail: what it guards against is worse than waiting */
  bool of_agent;     /* asked about whatever the agents' ServiceAccount writes, deletions too, and nobody else */
  const char *label; /* only objects that have it; NULL: all */
  review_fn *review;
};
/* NULL after the last. */
const struct webhook_entry *webhook_entry_at(size_t i);

/* Answers the AdmissionReview TEXT (admission.k8s.io/v1 or v1beta1) that came for ENTRY: *OUT is the review with its
 * response, new, and *ALLOWED what it says.  OME_E_INVALID: TEXT is none. */
int32_t review_answer(const struct webhook_entry *entry, const struct admission_lookup *lookup, const char *text,
                      size_t len, bool *allowed, char **out, struct ome_err *err);

#endif
