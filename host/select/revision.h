/* Pinned runtimes (OME 1.2): a service with spec.runtime.autoSync: false keeps what its runtime said when it was
 * pinned.
 *
 * What a runtime says, with all that it inherits, is kept as a ControllerRevision (apps/v1) in OME's namespace, named
 * cr-RUNTIME-HASH, of a ServingRuntime r-NAMESPACE-RUNTIME-HASH, where HASH is eight hexadecimal digits of what it
 * says: equal specs have equal names, and a revision never changes.  Pure. */
#ifndef HOST_SELECT_REVISION_H
#define HOST_SELECT_REVISION_H

#include "select/facts.h"

#define REVISION_LABEL "ome.io/runtime-of" /* on each, with its runtime's name */
#define REVISION_NAME_MAX 600              /* two names and what is between them, with its end */

/* How a service is tied to its runtime. */
struct select_pin {
  enum { PIN_NONE, PIN_MANAGED, PIN_EXPLICIT } mode; /* follows; keeps what it has; keeps the one that it names */
  char revision[REVISION_NAME_MAX];                  /* that it runs, or would; "" none */
  const struct select_runtime *live;                 /* the runtime as it is now; NULL: it is gone */
  char live_revision[REVISION_NAME_MAX];             /* its name; "" */
  const char *drift;                                 /* reason of RuntimeDrifted; NULL: none */
  char message[REVISION_NAME_MAX + 160];             /* of RuntimeDrifted */
};

/* What R says now; NAME has REVISION_NAME_MAX. */
int32_t revision_name(const struct select_runtime *r, char *name, struct ome_err *err);

/* The ControllerRevision of that name in NS, the NUMBERth of its runtime; new. */
struct json_object *revision_document(const struct select_runtime *r, const char *name, const char *ns, int64_t number);

/* The one that SERVICE may need besides what its runtime says now: spec.runtime.revision, else the one that its status
 * names; "": none. */
const char *revision_wanted(struct json_object *service);

/* Whether SERVICE is pinned to the one called NAME, or says so. */
bool revision_is_used(struct json_object *service, const char *name);

/* The runtime that REVISION, a ControllerRevision, keeps: a document of the kind that it was taken of; new.  NULL: it
 * is of none. */
struct json_object *revision_runtime(struct json_object *revision);

/* Decides on PIN for SERVICE, whose runtime is R now (NULL: it is gone).  REVISIONS, an array, has revision_wanted()'s,
 * if it is there.  *OUT is the revision that is to be used instead of R, borrowed, or NULL for R itself.  WHY (or "")
 * is what makes it impossible. */
int32_t revision_pin(struct json_object *service, const struct select_runtime *r, struct json_object *revisions,
                     struct select_pin *pin, struct json_object **out, char *why, size_t cap, struct ome_err *err);

#endif
