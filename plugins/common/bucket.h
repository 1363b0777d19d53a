/* Models in buckets, whose objects have names that look like paths: which of them are a model's files. */
#ifndef PLUGINS_COMMON_BUCKET_H
#define PLUGINS_COMMON_BUCKET_H

#include <ome/storage.h>

/* What a plugin knows of its bucket.  Texts are borrowed; the plugin's name begins every message. */
struct bucket {
  const char *plugin;
  const char *things; /* what the service calls them: "objects" */
  const char *uri;    /* as the caller wrote it */
  int may_be_object;  /* the URI may name one object, not a folder */
  /* Asked for is the object as it was, which a folder cannot be: "generation is one of an object"; NULL: as it is. */
  const char *version;
  const struct ome_call *call;
  void *arg;
  /* The first or the next page of the folder's list, for which FILES is counted up; IS_LAST: there are no more. */
  int32_t (*page)(void *arg, uint64_t *files, int *is_last, struct ome_err *err);
  /* The one object of the URI's name. */
  int32_t (*object)(void *arg, struct ome_err *err);
};

/* A folder where there is one, else an object; with a version, the object.  Who may read an object may not always list
 * its bucket: a refused list is an answer only where the object cannot be read either.  At most 10,000 pages. */
int32_t bucket_list(const struct bucket *b, struct ome_err *err);

/* NAME as a path below FOLDER ("": the whole bucket; without '/' at its end); NULL: it is not below it, or a marker
 * that some tools make so that folders can be seen. */
const char *bucket_path(const char *name, uint64_t size, const char *folder);

/* What a file is called whose NAME is the model. */
const char *bucket_base_name(const char *name);

#endif
