/* The command line of a container that is a runner put over a container of its pod: to read, and to add to.  Pure. */
#ifndef HOST_COMPOSE_COMMAND_H
#define HOST_COMPOSE_COMMAND_H

#include "base/json.h"

#include <stdbool.h>
#include <stddef.h>

/* The container of GROUP (component, leader or worker) that RUNNER is put over; borrowed, NULL: none. */
struct json_object *command_below(struct json_object *group, struct json_object *runner);

/* new: the words of the command line with a space between. */
char *command_text(struct json_object *group, struct json_object *runner);

/* Puts WORDS behind the command line: to the runner's args, or at the end of a shell's script, where they are to need
 * no quotes.  *ADDED: false where the script goes on behind the program.  Fails when memory runs out. */
int32_t command_add(struct json_object *group, struct json_object *runner, const char *const *words, size_t nwords,
                    bool *added);

#endif
