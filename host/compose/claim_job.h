/* The Job that reads what the files of a model on a claim say, where the claim can be mounted, and what it found. Pure.
 *
 * Its pod has no account, no network to speak of and the claim read-only: what it finds it says in its log, which the
 * controller reads.  Names and labels are OME's. */
#ifndef HOST_COMPOSE_CLAIM_JOB_H
#define HOST_COMPOSE_CLAIM_JOB_H

#include "compose/claim.h"

#define CLAIM_JOB_LABEL "app.kubernetes.io/component"
#define CLAIM_JOB_COMPONENT "ome-model-metadata-job"
#define CLAIM_JOB_CONTAINER "metadata"

struct claim_job_facts {
  struct json_object *model;  /* borrowed */
  const struct claim *claim;  /* borrowed */
  const char *ns;             /* of the claim */
  struct json_object *config; /* "omeAgent" of ConfigMap inferenceservice-config; NULL: none */
  const char *program;        /* how a container starts ome; NULL: "ome" */
  bool embedded;              /* `ome up`: the container is a process of this machine */
};

/* new: "MODEL-metadata-0123abcd"; another one for another model of the name, or another address. */
char *claim_job_name(struct json_object *model);
/* new: the Job; NULL: out of memory. */
struct json_object *claim_job(const struct claim_job_facts *f);

/* What the container of such a Job said, EVENT of its log (job_last_event()): OME_OK and *OUT, new, is what an agent
 * would report as the model's "config"; or why it found nothing, as the reader put it: NOT_FOUND: there is nothing at
 * that path; UNSUPPORTED: there is, and it is no model that is known; INVALID; UNAVAILABLE: it said nothing. */
int32_t claim_job_result(struct json_object *event, struct json_object **out, struct ome_err *err);

#endif
