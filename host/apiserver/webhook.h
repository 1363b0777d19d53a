/* Admission webhooks that are configured, and which of them want to be asked.  Loop thread. */
#ifndef HOST_APISERVER_WEBHOOK_H
#define HOST_APISERVER_WEBHOOK_H

#include "apiserver/server.h"
#include "base/vec.h"

struct cel_program;
struct selector;

/* One change that webhooks are asked about: admission.Attributes. */
struct attributes {
  const char *operation; /* "CREATE", "UPDATE", "DELETE" */
  const struct resource *resource;
  const char *sub; /* subresource, "" for the object itself */
  const char *ns, *name;
  struct json_object *object, *old; /* NULL: there is none */
  bool dry_run;
  const char *manager;
};

/* One entry of a Validating- or MutatingWebhookConfiguration, compiled. */
struct webhook {
  const char *configuration, *name; /* in SPEC's document */
  struct json_object *spec;
  struct selector *namespaces, *objects;
  VEC(struct cel_program *) conditions;
  bool ignore;     /* failurePolicy: a failed call is as none */
  bool reinvoke;   /* reinvocationPolicy: IfNeeded */
  bool exact;      /* matchPolicy */
  bool no_dry_run; /* it has side effects even then */
  uint32_t timeout_ms;
};

struct webhooks;

/* The webhooks in the order in which they are asked: by configuration's name, then as they stand there.  Valid until
 * the turn ends. */
const struct webhook *webhooks_mutating(struct apiserver *s, size_t *n);
const struct webhook *webhooks_validating(struct apiserver *s, size_t *n);
void webhooks_free(struct webhooks *w);
/* An object of COLLECTION was written: what was compiled may be old. */
void webhooks_changed(struct apiserver *s, const char *collection);

enum webhook_match {
  WEBHOOK_PASSES,  /* it is not concerned */
  WEBHOOK_MATCHES, /* it has to be asked */
  WEBHOOK_FAILS    /* a match condition has no value; ERR says which and why */
};

/* *AS is the resource in the version that the webhook knows: the request's own, or another of the same objects
 * (matchPolicy Equivalent). */
enum webhook_match webhook_match(struct apiserver *s, const struct webhook *w, const struct attributes *a,
                                 const struct resource **as, struct ome_err *err);

/* The request part of an AdmissionReview (admission.k8s.io/v1) without its uid; new. */
struct json_object *webhook_request(const struct attributes *a, const struct resource *as);

/* Asks W.  DONE is called once, on the loop thread and never before this returns: with OME_OK and the review's
 * response, or with what went wrong.  RESPONSE is borrowed. */
typedef void webhook_done_fn(void *arg, int32_t rc, struct json_object *response, const struct ome_err *err);
int32_t webhook_ask(struct apiserver *s, const struct webhook *w, struct json_object *request, webhook_done_fn *done,
                    void *arg, struct ome_err *err);

#endif
