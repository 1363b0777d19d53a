/* Runtimes that are ready to be compared: read once for many selections, one at a time.
 *
 * Many entries say the same: a runtime has one for each architecture, and so have the others.  Entries with equal facts
 * are of one kind.  Scorers that look at nothing but model and entry are asked about a kind once for a model, and where
 * they reject it, none of its entries is looked at. */
#ifndef HOST_SELECT_FIELD_H
#define HOST_SELECT_FIELD_H

#include "select/facts.h"

/* An entry of a runtime, by number. */
struct select_place {
  uint32_t runtime;
  uint32_t entry;
};

struct select_field {
  struct select_runtime *runtimes;
  size_t n;
  struct select_place *places; /* all entries, kind by kind, each in the order of runtimes; NULL: not sorted */
  uint32_t *ends;              /* of each kind: behind its last place */
  size_t nkinds;
};

/* RUNTIMES, an array of ServingRuntimes and ClusterServingRuntimes, must outlive the field.  On failure OUT is
 * empty. */
int32_t select_field_init(struct select_field *f, struct json_object *runtimes, struct ome_err *err);
void select_field_fini(struct select_field *f);
/* Finds the kinds: pays where many models are asked about.  Entries of runtimes that are disabled, or cannot be used at
 * all, are of none. */
int32_t select_field_sort(struct select_field *f, struct ome_err *err);

#endif
