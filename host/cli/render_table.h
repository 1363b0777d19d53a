/* `ome render -o table`: which object each plugin makes, in the order in which they are applied. */
#ifndef HOST_CLI_RENDER_TABLE_H
#define HOST_CLI_RENDER_TABLE_H

#include "compose/plan.h"

/* Appends a row for each object of P to the array ROWS. */
int32_t render_table_add(struct json_object *rows, const struct plan *p, struct ome_err *err);
void render_table_print(struct json_object *rows);

#endif
