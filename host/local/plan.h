/* What a workload controller decided: objects to make, change and remove, and the workload's next status.  All of them
 * decide purely, from documents and "now"; workloads.c carries plans out. */
#ifndef HOST_LOCAL_PLAN_H
#define HOST_LOCAL_PLAN_H

#include "base/json.h"

struct plan {
  struct json_object *create;   /* array of whole children, metadata.generateName or name set */
  struct json_object *patch;    /* array of merge patches for children; metadata.name says which */
  struct json_object *remove;   /* array of children (as read) to delete */
  struct json_object *services; /* array of Services to make where they are not there */
  struct json_object *self;     /* merge patch for the workload itself; NULL: none */
  struct json_object *status;   /* the whole next status; NULL: as it is */
  bool remove_self;             /* delete the workload, with its children */
  uint64_t again_ms;            /* decide again after this long even if nothing happens; 0: no */
};

void plan_init(struct plan *p);
void plan_fini(struct plan *p);
#define _cleanup_plan_ _cleanup_(plan_fini)

/* Asks to decide again in MS unless that is asked for sooner already. */
void plan_again(struct plan *p, int64_t ms);

/* New patch for a child, already in P->patch; fill it in. */
struct json_object *plan_patch_for(struct plan *p, const char *name);

/* Sets status.conditions[TYPE] in STATUS as meta_set_condition() does, with lastUpdateTime (Deployment) when
 * UPDATE_TIME: then it moves whenever anything changes. */
void plan_condition(struct json_object *status, const char *type, const char *value, const char *reason,
                    const char *message, int64_t now_ms, bool update_time);

/* Counts at PATH in STATUS; zero removes the field, as omitempty does. */
void plan_count(struct json_object *status, const char *path, int64_t n);

/* An int-or-percent field against TOTAL. */
int64_t plan_share(struct json_object *v, int64_t total, bool round_up, int64_t dflt);

/* metadata of a child: namespace, labels and annotations of TEMPLATE, controller owner reference to OWNER. New. */
struct json_object *plan_child_meta(struct json_object *owner, struct json_object *template_meta);

/* A variable that a controller gives a container. */
struct plan_env {
  const char *name, *value; /* VALUE NULL: the pod's own address */
  bool yields;              /* the container's own of that name stays */
};
/* Before CONTAINER's own variables, so that those may refer to them. */
void plan_add_env(struct json_object *container, const struct plan_env *vars, size_t n);

/* Wall milliseconds of an RFC 3339 field, 0 when absent. */
int64_t plan_time(struct json_object *o, const char *path);

/* ---- pods as the controllers see them ------------------------------------------------------------------------ */

bool pod_is_active(struct json_object *pod); /* neither finished nor being deleted */
bool pod_is_ready(struct json_object *pod);
/* Ready for at least MIN_READY_S; otherwise *WAIT_MS (may be NULL) is what is missing, 0 when not ready at all. */
bool pod_is_available(struct json_object *pod, int64_t min_ready_s, int64_t now_ms, int64_t *wait_ms);

/* ---- the controllers ------------------------------------------------------------------------------------------ */

/* DEPLOYMENT and the array of ReplicaSets that it controls (apps/v1; rolling update, Recreate, revisions, clean-up). */
void deployment_plan(struct json_object *deployment, struct json_object *replicasets, int64_t now_ms, struct plan *out);
/* REPLICASET and the array of pods that it controls. */
void replicaset_plan(struct json_object *replicaset, struct json_object *pods, int64_t now_ms, struct plan *out);
/* JOB and the array of pods that it controls (batch/v1, NonIndexed and Indexed). */
void job_plan(struct json_object *job, struct json_object *pods, int64_t now_ms, struct plan *out);

/* LeaderWorkerSet SET and the array of pods that it controls (leaderworkerset.x-k8s.io/v1). */
void lws_plan(struct json_object *set, struct json_object *pods, int64_t now_ms, struct plan *out);
/* RayCluster CLUSTER and the array of pods that it controls (ray.io/v1). */
void ray_plan(struct json_object *cluster, struct json_object *pods, int64_t now_ms, struct plan *out);
/* Knative Service SERVICE and the array of Deployments that it controls: one, whose replicas are the scaler's. */
void knative_plan(struct json_object *service, struct json_object *deployments, int64_t now_ms, struct plan *out);

/* The replicas that a Knative Service should have next: LOAD requests are held or under way, CURRENT replicas are
 * wanted now, and for QUIET_MS fewer would have done. */
int64_t knative_replicas(struct json_object *service, int64_t current, int64_t load, int64_t quiet_ms);

/* The pod-template-hash of a pod template. */
void template_hash(struct json_object *template, int64_t collision_count, char out[16]);

#endif
