/* Reads the documents that -f options name. */
#include "cli/cli.h"

#include "base/str.h"
#include "base/vec.h"
#include "base/yaml.h"
#include "os/file.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_DEPTH 16

/* A List is opened: its items are the documents. */
static int32_t keep(void *arg, struct json_object *doc, size_t line, struct ome_err *err) {
  struct json_object *array = arg;
  struct json_object *items = json_get(doc, "items");

  (void)line;
  if (has_suffix(json_str(doc, "kind", ""), "List") && json_is(items, json_type_array)) {
    bool ok = json_add_all(array, items);
    json_unref(doc);
    return ok ? OME_OK : fail_memory(err);
  }
  return json_add(array, doc) ? OME_OK : fail_memory(err);
}

static int32_t load_file(const char *path, struct json_object *array, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  size_t len = 0;
  int32_t rc = file_read(path, JSON_MAX_BYTES, &text, &len, err);

  if (rc == OME_OK)
    rc = yaml_parse(path, text, len, keep, array, err);
  return rc;
}

static bool is_manifest(const char *name) {
  return has_suffix(name, ".yaml") || has_suffix(name, ".yml") || has_suffix(name, ".json");
}

static int is_visible(const struct dirent *e) {
  return e->d_name[0] != '.';
}

/* A folder with what is below it, in the order of names; links to folders are not followed, they could go in circles.
 */
static int32_t load_folder(const char *path, struct json_object *array, int depth, struct ome_err *err) {
  struct dirent **names = NULL;
  int32_t rc = depth < MAX_DEPTH ? OME_OK : fail(err, OME_E_INVALID, "%s: folders are nested too deep", path);
  int n = rc == OME_OK ? scandir(path, &names, is_visible, alphasort) : 0;

  if (n < 0)
    return fail_errno(err, "read folder", path);
  for (int i = 0; i < n; i++) {
    _cleanup_free_ char *below = path_join(path, names[i]->d_name);
    struct stat st;
    if (rc == OME_OK && !below)
      rc = fail_memory(err);
    else if (rc == OME_OK && lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
      rc = load_folder(below, array, depth + 1, err);
    else if (rc == OME_OK && is_manifest(below))
      rc = load_file(below, array, err);
    free(names[i]);
  }
  free(names);
  return rc;
}

static int32_t load_path(const char *path, struct json_object *array, struct ome_err *err) {
  size_t before = json_len(array);
  struct stat st;

  if (streq(path, "-") || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
    return load_file(path, array, err);
  int32_t rc = load_folder(path, array, 0, err);
  if (rc == OME_OK && json_len(array) == before)
    rc = fail(err, OME_E_NOT_FOUND, "%s: no manifests in it or below it (.yaml, .yml, .json)", path);
  return rc;
}

int32_t cli_load_manifests(const struct cli_list *paths, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *array = json_object_new_array();

  if (!array)
    return fail_memory(err);
  for (size_t i = 0; i < paths->len; i++) {
    int32_t rc = load_path(paths->items[i], array, err);
    if (rc != OME_OK)
      return rc;
  }
  *out = TAKE_PTR(array);
  return OME_OK;
}
