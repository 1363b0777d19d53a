#include "bucket.h"

#include <ome-sdk/error.h>

#include <string.h>

#define MAX_PAGES 10000

static int32_t list_folder(const struct bucket *b, uint64_t *files, struct ome_err *err) {
  int32_t rc = OME_OK;
  int is_last = 0;

  for (int page = 0; rc == OME_OK && !is_last; page++) {
    rc = ome_check_cancelled(b->call, err);
    if (rc == OME_OK && page == MAX_PAGES)
      rc = ome_fail(err, OME_E_INVALID, "%s: %.200s: its list does not end", b->plugin, b->uri);
    if (rc == OME_OK)
      rc = b->page(b->arg, files, &is_last, err);
  }
  return rc;
}

int32_t bucket_list(const struct bucket *b, struct ome_err *err) {
  uint64_t files = 0;

  if (b->version)
    return b->may_be_object ? b->object(b->arg, err)
                            : ome_fail(err, OME_E_INVALID, "%s: %.200s: a %s, not of a folder; leave it out", b->plugin,
                                       b->uri, b->version);
  int32_t rc = list_folder(b, &files, err);
  if (b->may_be_object && ((rc == OME_OK && files == 0) || rc == OME_E_DENIED)) {
    struct ome_err of_object = {0};
    int32_t found = b->object(b->arg, &of_object);
    if (found == OME_OK || rc == OME_OK) {
      *err = of_object;
      rc = found;
    }
  } else if (rc == OME_OK && files == 0) {
    rc = ome_fail(err, OME_E_NOT_FOUND, "%s: %.200s: there are no %s below it; check the name", b->plugin, b->uri,
                  b->things);
  }
  return rc;
}

/* "folder/", and Hadoop's "folder_$folder$". */
static int is_marker(const char *name, uint64_t size) {
  static const char hadoop[] = "_$folder$";
  size_t len = strlen(name), n = sizeof(hadoop) - 1;

  return len == 0 || name[len - 1] == '/' || (size == 0 && len >= n && strcmp(name + len - n, hadoop) == 0);
}

const char *bucket_path(const char *name, uint64_t size, const char *folder) {
  size_t n = strlen(folder);

  if (is_marker(name, size))
    return NULL;
  if (n == 0)
    return name;
  return strncmp(name, folder, n) == 0 && name[n] == '/' && name[n + 1] ? name + n + 1 : NULL;
}

const char *bucket_base_name(const char *name) {
  const char *slash = strrchr(name, '/');

  return slash ? slash + 1 : name;
}
