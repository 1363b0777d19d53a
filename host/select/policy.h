/* The rules by which a policy compares AcceleratorClasses (OME's acceleratorclassselector).  Pure. */
#ifndef HOST_SELECT_POLICY_H
#define HOST_SELECT_POLICY_H

#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether CLASS keeps the service's CONSTRAINTS (NULL: none); otherwise WHY says which one it breaks. */
bool policy_allows(struct json_object *constraints, struct json_object *class, char *why, size_t cap);

/* What the policies look at besides the classes. */
struct policy_wish {
  struct json_object *constraints; /* NULL: none */
  int64_t devices;                 /* that a pod asks for, at least 1: FirstAvailable */
  const char *current; /* the class that the component has already, NULL: none: FirstAvailable stays there */
};

/* The index of the class among the N that POLICY picks, the first of equals; -1 when it can compare none of them, or
 * when it is no policy.  WHY says how it decided, or what was missing. */
int policy_pick(const char *policy, const struct policy_wish *wish, struct json_object *const *classes, size_t n,
                char *why, size_t cap);

#endif
