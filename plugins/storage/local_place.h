/* Where local://, file:// and pvc:// lead, and opening what is there.
 *
 * What a claim holds was written by whoever may write to the claim: its links are resolved as a container that has the
 * claim for its root would do it, and never lead out (openat2(2), RESOLVE_IN_ROOT). */
#ifndef PLUGINS_STORAGE_LOCAL_PLACE_H
#define PLUGINS_STORAGE_LOCAL_PLACE_H

#include <ome/abi.h>

#define LOCAL_MAX_PATH 4096

struct local_place {
  char base[LOCAL_MAX_PATH]; /* folder that PATH starts from */
  char path[LOCAL_MAX_PATH]; /* relative; never empty */
  int confined;              /* nothing leads out of BASE */
};

/* PVC_ROOT: folder of the mounted claims; NULL: pvc:// is OME_E_UNSUPPORTED.  Pure. */
int32_t local_place_of(const char *pvc_root, const char *uri, struct local_place *out, struct ome_err *err);

/* Whether PATH is relative and every part of it leads down. */
int local_is_down(const char *path);

/* The base; -1 and an error. */
int local_open_base(const struct local_place *p, struct ome_err *err);

/* PATH below the folder BASE (of local_open_base) as open(2) with FLAGS; -1 and errno. */
int local_open(const struct local_place *p, int base, const char *path, int flags);

/* The folder PATH below FOLDER; it and its parents are made where they are missing.  FOLLOW: links on the way are
 * followed as local_open() does.  -1 and errno. */
int local_make_folder(const struct local_place *p, int folder, const char *path, int follow);

/* From errno: "local: WHAT PATH: why". */
int32_t local_fail(struct ome_err *err, const char *what, const char *path);

#endif
