/* Runtime selection: which runtime serves a model, and why.
 *
 * Pure: documents in, a selection out; no clock, no network, and the order of the documents changes nothing.
 *
 * A candidate is a runtime with the one of its supportedModelFormats that suits the model best.  Gates (gates.h) and
 * scorers (ome/scorer.h) reject it with a reason or give it points; the order of what is left is total:
 *
 *   1. what OME takes before what only suits by intent (select_by_intent)
 *   2. namespaced runtimes before cluster-scoped ones
 *   3. the higher score
 *   4. where the model's size is known: the narrower size range, then ranges open at one end by the distance to the
 *      other, then no range
 *   5. the name, by bytes
 *
 * What a service runs already (status.selection) stays where the first is better by rules 4 and 5 alone, or where the
 * service is pinned to it.
 */
#ifndef HOST_SELECT_SELECT_H
#define HOST_SELECT_SELECT_H

#include "plugin/plugin.h"
#include "select/accelerator.h"
#include "select/facts.h"
#include "select/field.h"
#include "select/revision.h"

/* One scorer instance, or anything that scores like one. */
struct select_scorer {
  const char *name;
  int32_t (*score)(void *arg, const struct ome_score_req *req, struct ome_term_sink *out, struct ome_err *err);
  void *arg;
  uint32_t caps; /* OME_SCORER_* */
};

/* All scorers of P that score, in name order; fills OUT up to MAX, returns how many it filled. */
size_t select_scorers_of(struct plugins *p, struct select_scorer *out, size_t max);

struct select_request {
  struct json_object *service;  /* InferenceService; NULL: what would serve this model */
  const char *ns;               /* the service's namespace */
  struct json_object *model;    /* BaseModel or ClusterBaseModel; NULL where SERVICE names a runtime and no model */
  struct json_object *runtimes; /* array of ServingRuntimes and ClusterServingRuntimes; other namespaces are skipped */
  struct select_field *field;   /* instead of runtimes; outlives the selection; NULL: read runtimes */
  struct json_object *accelerators; /* array of AcceleratorClasses; may be NULL */
  struct json_object *revisions;    /* array of ControllerRevisions: revision_wanted()'s; may be NULL */
  const struct select_scorer *scorers;
  size_t nscorers;
  /* For asking about many models: only candidates that suit, without terms, unless none does.  The field is sorted. */
  bool brief;
};

/* What the order looks at. */
struct score {
  const struct select_entry *entry; /* NULL: rejected */
  int64_t points;
  uint64_t distance; /* rule 4, smaller is better */
  bool intent;       /* rule 1 */
};

struct select_candidate {
  const struct select_runtime *runtime;
  struct score score;        /* of the best entry */
  struct json_object *terms; /* array of {scorer, points, reason}; of the best entry */
  uint32_t misses;           /* of a rejected one: how far its nearest entry is from suiting */
  char rejected[512];        /* "" or why, one sentence */
};

struct selection {
  struct select_model model;
  struct select_field own;             /* what was read for this selection alone */
  size_t nruntimes;                    /* that the namespace sees */
  struct select_candidate *candidates; /* ranked; rejected ones follow, nearest first */
  size_t ncandidates;
  size_t naccepted;
  const struct select_candidate *chosen; /* NULL: none */
  struct accelerator_choice engine;      /* on the chosen runtime */
  struct accelerator_choice decoder;
  bool named;                     /* the service named the runtime */
  struct select_pin pin;          /* of a named one */
  struct select_runtime pinned;   /* what PIN's revision says, where that is not what the runtime says now */
  struct json_object *pinned_doc; /* its document; owned */
  int32_t code;                   /* OME_OK, or why nothing is chosen */
  char reason[1024];              /* why this one, or why none; for people */
  char warning[1152];             /* what is done although it looks wrong; "" */
};

/* Fails only when memory runs out or a scorer breaks; that nothing suits is an answer: chosen is NULL and reason says
 * why. */
int32_t select_runtime(const struct select_request *req, struct selection **out, struct ome_err *err);
void selection_free(struct selection *s);
DEFINE_CLEANUP(struct selection *, selection_free)

/* The runtime that select_runtime() would choose for MODEL without a service: NULL when none suits.  No reasons and no
 * allocation: for asking about many models.  The field is sorted. */
int32_t select_winner(const struct select_request *req, const struct select_model *model,
                      const struct select_runtime **out, struct ome_err *err);

/* Adds a clause to the warning. */
void selection_warn(struct selection *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The AcceleratorClass of COMPONENT ("engine", "decoder"; a router has none), borrowed; NULL: none. */
struct json_object *selection_accelerator(const struct selection *s, const char *component);

/* The decision record, as `ome explain -o json` prints one service: {namespace, name, model, selected{runtime, scope,
 * accelerator, mode, score} | null, reason, candidates[{runtime, scope, score, terms, rejected}]}; new.  MODE may be
 * NULL.  MAX_CANDIDATES bounds the list (0: all). */
struct json_object *select_record(const struct selection *s, struct json_object *service, const char *ns,
                                  const char *mode, size_t max_candidates);

#endif
