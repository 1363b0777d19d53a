/* Models on this node's disk: where each is, what it was made from, whether it is still whole.
 *
 * ROOT/models/KEY is a model's folder unless its spec names a path; ROOT/staging/KEY is where it is brought in;
 * ROOT/records/KEY.json says what was verified.  A model is there when its record says so and its files have the sizes
 * and times they had then.  Publishing is one rename. */
#ifndef HOST_AGENT_SHELF_H
#define HOST_AGENT_SHELF_H

#include "base/json.h"
#include "transfer/manifest.h"

struct shelf {
  char *root;
};

int32_t shelf_open(const char *root, struct shelf *out, struct ome_err *err);
void shelf_close(struct shelf *s);

/* new: where model KEY lives; SPEC_PATH is spec.storage.path, "" or an absolute path. */
char *shelf_path(const struct shelf *s, const char *key, const char *spec_path);
char *shelf_staging(const struct shelf *s, const char *key); /* new */

/* The record of KEY when the model in it was made from URI at PATH and its files are as they were; NULL: not there; new. */
struct json_object *shelf_find(const struct shelf *s, const char *key, const char *uri, const char *path);

/* Moves the verified staging folder to PATH and writes the record; REPORT is what was found out about the model. */
int32_t shelf_publish(const struct shelf *s, const char *key, const char *uri, const char *path,
                      const struct manifest *manifest, struct json_object *report, struct ome_err *err);

/* Removes the model's files, staging and record.  Absent is fine. */
int32_t shelf_remove(const struct shelf *s, const char *key, struct ome_err *err);

#endif
