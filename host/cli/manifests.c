/* Reads the documents that -f options name. */
#include "cli/cli.h"

#include "base/str.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "os/file.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

/* A List is opened: its items are the documents. */
static int32_t keep(void *arg, struct json_object *doc, size_t line, struct ome_err *err) {
  struct json_object *array = arg;
  struct json_object *items = json_get(doc, "items");

  (void)line;
  if (has_suffix(json_str(doc, "kind", ""), "List") && json_is(items, json_type_array)) {
    for (size_t i = 0; i < json_len(items); i++)
      if (json_object_array_add(array, json_object_get(json_index(items, i))) != 0)
        return fail_memory(err);
    json_unref(doc);
    return OME_OK;
  }
  if (json_object_array_add(array, doc) != 0) {
    json_unref(doc);
    return fail_memory(err);
  }
  return OME_OK;
}

static int32_t load_file(const char *path, struct json_object *array, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  size_t len = 0;
  int32_t rc = file_read(path, JSON_MAX_BYTES, &text, &len, err);

  if (rc == OME_OK)
    rc = yaml_parse(path, text, len, keep, array, err);
  return rc;
}

static int is_manifest(const struct dirent *e) {
  return has_suffix(e->d_name, ".yaml") || has_suffix(e->d_name, ".yml") || has_suffix(e->d_name, ".json");
}

static int32_t load_path(const char *path, struct json_object *array, int depth, struct ome_err *err);

static int32_t load_folder(const char *path, struct json_object *array, int depth, struct ome_err *err) {
  struct dirent **names = NULL;
  int32_t rc = OME_OK;
  int n = scandir(path, &names, is_manifest, alphasort);

  if (n < 0)
    return fail_errno(err, "read folder", path);
  for (int i = 0; i < n; i++) {
    _cleanup_free_ char *file = path_join(path, names[i]->d_name);
    if (rc == OME_OK)
      rc = file ? load_path(file, array, depth + 1, err) : fail_memory(err);
    free(names[i]);
  }
  free(names);
  return rc;
}

static int32_t load_path(const char *path, struct json_object *array, int depth, struct ome_err *err) {
  struct stat st;

  if (!streq(path, "-") && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
    return depth ? OME_OK : load_folder(path, array, depth, err);
  return load_file(path, array, err);
}

int32_t cli_load_manifests(const struct cli_list *paths, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *array = json_object_new_array();

  if (!array)
    return fail_memory(err);
  for (size_t i = 0; i < paths->len; i++) {
    int32_t rc = load_path(paths->items[i], array, 0, err);
    if (rc != OME_OK)
      return rc;
  }
  *out = TAKE_PTR(array);
  return OME_OK;
}
