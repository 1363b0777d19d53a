/* Words of command lines.  Pure. */
#ifndef HOST_COMPOSE_WORDS_H
#define HOST_COMPOSE_WORDS_H

#include "base/json.h"

#include <stdbool.h>

/* Appends copies of the texts, up to the first NULL, to LIST; true for NULL alone.  False: LIST is NULL, or memory ran
 * out. */
bool words_add(struct json_object *list, ...) __attribute__((sentinel));

#endif
