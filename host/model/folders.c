/* Folders of models: which of the folders below one hold a model. */
#include "model/facts.h"

#include "base/str.h"
#include "os/file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* models--ORG--NAME/snapshots/REVISION of a Hugging Face cache has three, ORG/NAME has two. */
#define MAX_DEPTH 4
#define MAX_MODELS 100000u

static bool is_telling(const char *name) {
  static const char *const whole[] = {"config.json", "model_index.json", "adapter_config.json"};

  for (size_t i = 0; i < ARRAY_LEN(whole); i++)
    if (streq(name, whole[i]))
      return true;
  return has_suffix(name, ".safetensors") || has_suffix(name, ".gguf");
}

static bool is_folder(const char *path) {
  struct stat st;

  return lstat(path, &st) == 0 && S_ISDIR(st.st_mode); /* links could make circles */
}

static int32_t walk(const char *path, unsigned depth, struct model_folders *out, struct ome_err *err);

static int32_t walk_below(const char *path, struct dirent **names, int n, unsigned depth, struct model_folders *out,
                          struct ome_err *err) {
  int32_t rc = OME_OK;

  for (int i = 0; i < n && rc == OME_OK; i++) {
    _cleanup_free_ char *below = path_join(path, names[i]->d_name);
    if (!below)
      return fail_memory(err);
    if (names[i]->d_name[0] != '.' && is_folder(below))
      rc = walk(below, depth + 1, out, err);
  }
  return rc;
}

static int32_t add(const char *path, struct model_folders *out, struct ome_err *err) {
  char *copy = strdup(path);

  if (!copy || !VEC_PUSH(&out->list, copy)) {
    free(copy);
    return fail_memory(err);
  }
  return out->list.len <= MAX_MODELS
             ? OME_OK
             : fail(err, OME_E_INVALID, "inspect: more than %u models are below it", MAX_MODELS);
}

static int32_t walk(const char *path, unsigned depth, struct model_folders *out, struct ome_err *err) {
  struct dirent **names = NULL;
  int n = scandir(path, &names, NULL, alphasort);
  int32_t rc = n < 0 ? fail_errno(err, "list", path) : OME_OK;
  bool tells = false;

  for (int i = 0; i < n; i++)
    tells = tells || is_telling(names[i]->d_name);
  if (tells)
    rc = add(path, out, err);
  else if (depth < MAX_DEPTH && n > 0)
    rc = walk_below(path, names, n, depth, out, err);
  for (int i = 0; i < n; i++)
    free(names[i]);
  free(names);
  return rc;
}

int32_t model_folders_find(const char *path, struct model_folders *out, struct ome_err *err) {
  int32_t rc = walk(path, 0, out, err);

  return rc == OME_OK && out->list.len == 0
             ? fail(err, OME_E_NOT_FOUND,
                    "inspect: %s: no folder in it holds a model: none has a config.json, model_index.json, "
                    "adapter_config.json, safetensors or GGUF file",
                    path)
             : rc;
}

void model_folders_fini(struct model_folders *f) {
  for (size_t i = 0; i < f->list.len; i++)
    free(f->list.items[i]);
  VEC_FREE(&f->list);
}
