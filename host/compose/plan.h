/* The plan of one service: selection, components, and every object that should exist, in the order they are applied.
 *
 * Pure but for plugin calls, which are pure themselves.  `ome render`, `ome explain` and the controller all stand on
 * plan_service(), so they cannot disagree. */
#ifndef HOST_COMPOSE_PLAN_H
#define HOST_COMPOSE_PLAN_H

#include "compose/component.h"
#include "plugin/plugin.h"
#include "select/select.h"

#define PLAN_SCORERS 64

/* What there is besides the service.  Documents are borrowed. */
struct plan_world {
  struct json_object *models;       /* array of BaseModels and ClusterBaseModels */
  struct json_object *weights;      /* array of FineTunedWeights; may be NULL */
  struct json_object *claims;       /* array of PersistentVolumeClaims; NULL: not looked at, all are taken for good */
  struct json_object *runtimes;     /* array of ServingRuntimes and ClusterServingRuntimes */
  struct select_field *field;       /* the same, read; NULL: read them for each service */
  struct json_object *accelerators; /* array of AcceleratorClasses */
  struct json_object *revisions;    /* array of ControllerRevisions of runtimes; may be NULL */
  struct json_object *cluster;      /* "ome.io/cluster/1" */
  struct plugins *plugins;
  struct select_scorer scorers[PLAN_SCORERS];
  size_t nscorers;
};

/* The reason of a problem that ends when somebody installs a CRD. */
#define PLAN_API_MISSING "APIMissing"

/* What stands in the way: a condition's reason and a sentence. */
struct plan_problem {
  const char *condition; /* the condition that says it: "RuntimeReady", "EngineReady", ... */
  char reason[64];       /* "RuntimeNotFound" */
  char message[1024];
};

/* One plugin's part of the objects. */
struct plan_part {
  struct plugin_instance *plugin; /* NULL: nothing to do */
  size_t first, count;            /* in objects */
};

struct plan_component {
  const char *kind;
  struct json_object *doc; /* "ome.io/component/1" */
  char *text;              /* of it, for plugins; NULL: did not come to it */
  const struct mode *mode;
  struct plan_part deployment;
  struct plan_part autoscaler;
};

struct plan {
  struct json_object *service;    /* folded */
  struct json_object *model;      /* borrowed; NULL: not found, or the service names none */
  struct json_object *weights;    /* array of those that the service names; NULL: did not come to it */
  struct json_object *overlays;   /* array of further models to mount (overlays.h); NULL: did not come to it */
  char claim_waits[512];          /* what the model's claim waits for; "": nothing */
  char *overlays_skipped;         /* what is said of those that are left out; NULL: none is */
  struct json_object *runtime;    /* folded; NULL: none */
  struct selection *selection;    /* NULL: did not come to it */
  struct json_object *components; /* array of the component documents */
  struct plan_texts {
    char *service, *components, *cluster;
  } texts;                    /* for plugins, which are asked several times; NULL: did not come to it */
  struct json_object *tuning; /* array of what was computed for engines (tune.h) */
  struct plan_component parts[COMPONENT_KINDS];
  size_t nparts;
  struct plan_part ingress;
  bool is_virtual; /* annotation ome.io/deploymentMode: VirtualDeployment on the service: nothing is rendered */
  struct json_object *objects; /* array, in apply order; keys sorted, owner references set when the service has a uid */
  struct json_object *warnings; /* array of sentences: what is taken, and other than who wrote it may think */
  struct plan_problem problems[8];
  size_t nproblems; /* > 0: objects is not to be applied */
};

/* Fails only when memory runs out; everything that is wrong with the input is in problems. */
int32_t plan_service(const struct plan_world *world, struct json_object *service, struct plan **out,
                     struct ome_err *err);
void plan_free(struct plan *p);
DEFINE_CLEANUP(struct plan *, plan_free)

/* Adds to what stands in PLAN's way; beyond what it holds, nothing.  CONDITION is a literal. */
void plan_refuse(struct plan *plan, const char *condition, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The model that a service in NS means by NAME: a BaseModel of the namespace, else a ClusterBaseModel; borrowed. */
struct json_object *plan_find_model(struct json_object *models, const char *ns, const char *name);

/* The decision record of the plan (select_record); also when no selection took place.  new. */
struct json_object *plan_record(const struct plan *p, size_t max_candidates);

/* Whether SERVICE wants its whole record in a ConfigMap, and the name of that, new. */
#define PLAN_RECORD_ANNOTATION "ome.io/selection-record"
bool plan_keeps_record(struct json_object *service);
char *plan_record_name(struct json_object *service);

/* Asks PART's plugin what became of its objects.  COMPONENT NULL: ingress.  OBSERVED is the array of the live objects
 * in the order of the part, null for an absent one.  ADDRESSES: array that gets where an ingress is reached,
 * {url, name?} each; NULL: nobody asks. */
int32_t plan_observe(const struct plan *p, const struct plan_part *part, const struct plan_component *component,
                     struct json_object *observed, struct json_object *addresses, struct ome_status *out,
                     struct ome_err *err);

#endif
