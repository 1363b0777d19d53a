/* ome inspect of many models, and of the families that are known. */
#ifndef HOST_CLI_INSPECT_LIST_H
#define HOST_CLI_INSPECT_LIST_H

#include "base/err.h"
#include "base/json.h"

/* *OUT, new: for each model at or below the folder PATH its facts and "path", or "path" and "error". */
int32_t inspect_each(const char *path, struct json_object **out, struct ome_err *err);
void inspect_each_print(struct json_object *list);

/* The families' table; new. */
struct json_object *inspect_families(void);
void inspect_families_print(struct json_object *list);

#endif
