/* What a service asks of its runtime, as scorers are told.  Text is borrowed from the service. */
#ifndef HOST_SELECT_WISH_H
#define HOST_SELECT_WISH_H

#include "base/json.h"

#include <ome/scorer.h>

struct select_wish {
  struct ome_wish_facts facts;
  const char *accelerators[5];
};

/* SERVICE is folded: what older fields say is where it belongs. */
void select_wish_read(struct select_wish *w, struct json_object *service);

/* OME_COMPONENT_* that RUNTIME, a document, has containers for. */
uint32_t select_components_of(struct json_object *runtime);

#endif
