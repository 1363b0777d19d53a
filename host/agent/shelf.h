/* Models on this node's disk: where each is, what it was made from, whether it is still whole.
 *
 * ROOT/models/KEY is a model's folder unless its spec names a path; ROOT/staging/KEY is where it is brought in;
 * ROOT/records/KEY.json says what was verified, ROOT/records/KEY.staging where else it is brought in.  A model is there
 * when its record says so and its files have the sizes and times they had then.  Publishing is one rename. */
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

/* Where KEY is brought in on its way to PATH, into *OUT (new): in the store, or beside PATH when that is on another
 * file system, since publishing is a rename.  Remembered, so that shelf_remove() finds it; a place of before is
 * cleared. */
int32_t shelf_stage(const struct shelf *s, const char *key, const char *path, char **out, struct ome_err *err);
/* Takes out of STAGING what MANIFEST does not name: left by a transfer of something else. */
int32_t shelf_prune(const char *staging, const struct manifest *manifest, struct ome_err *err);

/* The record of KEY when the model in it was made from URI at PATH and its files are as they were; NULL: not there;
 * new. */
struct json_object *shelf_find(const struct shelf *s, const char *key, const char *uri, const char *path);

/* Moves the verified STAGING folder to PATH and writes the record; REPORT is what was found out about the model.  A
 * folder where the model was before is removed. */
int32_t shelf_publish(const struct shelf *s, const char *key, const char *uri, const char *path, const char *staging,
                      const struct manifest *manifest, struct json_object *report, struct ome_err *err);

/* Whether anything of KEY is on the shelf, whole or not. */
bool shelf_holds(const struct shelf *s, const char *key);
/* Removes the model's files, staging and record.  Absent is fine. */
int32_t shelf_remove(const struct shelf *s, const char *key, struct ome_err *err);

#endif
