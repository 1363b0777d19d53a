/* The index of a zip archive: what is in it, without unpacking anything (APPNOTE.TXT 6.3.10, §4.3). */
#ifndef HOST_MODEL_ZIP_H
#define HOST_MODEL_ZIP_H

#include "model/facts.h"

struct zip_entry {
  char name[512];
  uint16_t method; /* 0: stored as it is */
  uint64_t size, packed;
  uint64_t header; /* where the entry begins in the file */
};

/* Calls ENTRY for each file of the archive PATH, in the order of the index.  Its non-zero result ends the listing and
 * is returned.  OME_E_UNSUPPORTED: PATH is no zip archive; OME_E_CORRUPT names file and byte. */
int32_t zip_list(const struct model_source *src, const char *path,
                 int32_t (*entry)(void *arg, const struct zip_entry *e), void *arg, struct ome_err *err);

/* The bytes of an entry that is stored as it is, at most MAX, into *OUT (new). */
int32_t zip_read(const struct model_source *src, const char *path, const struct zip_entry *e, size_t max, char **out,
                 struct ome_err *err);

#endif
