#include "plugin/conf.h"

#include "base/str.h"
#include "base/yaml.h"
#include "os/file.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define CONF_MAX ((size_t)1 << 20)
#define FOLDER "../lib/ome/plugins"
#ifndef INSTALLED_FOLDER
#define INSTALLED_FOLDER "/usr/local/lib/ome/plugins"
#endif

static void plugin_fini(struct conf_plugin *p) {
  free(p->file);
  free(p->sha256);
  json_unref(p->settings);
}

void conf_fini(struct conf *c) {
  for (size_t i = 0; i < c->plugins.len; i++)
    plugin_fini(&c->plugins.items[i]);
  VEC_FREE(&c->plugins);
}

static int32_t add(struct conf *c, struct conf_plugin p, struct ome_err *err) {
  if (p.file && VEC_PUSH(&c->plugins, p))
    return OME_OK;
  plugin_fini(&p);
  return fail_memory(err);
}

static struct conf_plugin *find(struct conf *c, const char *file) {
  for (size_t i = 0; i < c->plugins.len; i++)
    if (streq(c->plugins.items[i].file, file))
      return &c->plugins.items[i];
  return NULL;
}

/* Where the plugins of this installation are, new: beside the executable, else where it was to be installed. */
static char *own_folder(void) {
  char exe[PATH_MAX];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

  if (n <= 0)
    return NULL;
  exe[n] = '\0';
  *strrchr(exe, '/') = '\0';
  _cleanup_free_ char *joined = path_join(exe, FOLDER);
  char *beside = joined ? realpath(joined, NULL) : NULL;
  return beside ? beside : realpath(INSTALLED_FOLDER, NULL);
}

static int is_plugin(const struct dirent *e) {
  return has_suffix(e->d_name, ".so");
}

/* Every plugin of FOLDER that is not there already. */
static int32_t add_folder(struct conf *c, const char *folder, struct ome_err *err) {
  struct dirent **names = NULL;
  int32_t rc = OME_OK;
  int n = scandir(folder, &names, is_plugin, alphasort);

  if (n < 0)
    return fail_errno(err, "plugins: read folder", folder);
  for (int i = 0; i < n; i++) {
    _cleanup_free_ char *file = path_join(folder, names[i]->d_name);
    if (rc == OME_OK && file && !find(c, file))
      rc = add(c, (struct conf_plugin){.file = strdup(file)}, err);
    free(names[i]);
  }
  free(names);
  return rc;
}

/* PATH as the file in FOLDER means it, new. */
static char *resolve(const char *folder, const char *path) {
  return path[0] == '/' ? strdup(path) : path_join(folder, path);
}

/* A bare name is looked for in every folder of PATHS. */
static char *locate(const char *folder, struct json_object *paths, const char *file) {
  for (size_t i = 0; !strchr(file, '/') && i < json_len(paths); i++) {
    _cleanup_free_ char *dir = resolve(folder, json_object_get_string(json_index(paths, i)));
    char *path = dir ? path_join(dir, file) : NULL;
    if (path && file_exists(path))
      return path;
    free(path);
  }
  return resolve(folder, file);
}

/* A key of the file and the type its value must have: a digest of digits only is a number unless quoted. */
struct field {
  const char *name;
  enum json_type type;
};

static int32_t check_fields(const char *path, struct json_object *o, const struct field *fields, struct ome_err *err) {
  json_object_object_foreach (o, key, v) {
    const struct field *f = fields;
    while (f->name && !streq(f->name, key))
      f++;
    if (!f->name)
      return fail(err, OME_E_INVALID,
                  "%s: unknown key \"%s\"; there are path, all, plugins, file, sha256, required, settings", path, key);
    if (v && !json_is(v, f->type))
      return fail(err, OME_E_INVALID, "%s: %s must be of type %s%s", path, key, json_type_to_name(f->type),
                  f->type == json_type_string ? "; put it in quotes" : "");
  }
  return OME_OK;
}

static bool is_sha256(const char *s) {
  return strlen(s) == 64 && strspn(s, "0123456789abcdefABCDEF") == 64;
}

static int32_t add_entry(struct conf *c, const char *path, const char *folder, struct json_object *paths,
                         struct json_object *o, struct ome_err *err) {
  static const struct field fields[] = {{"file", json_type_string},
                                        {"sha256", json_type_string},
                                        {"required", json_type_boolean},
                                        {"settings", json_type_object},
                                        {NULL, json_type_null}};
  const char *file = json_str(o, "file", NULL);
  const char *sha256 = json_str(o, "sha256", NULL);

  if (!json_is(o, json_type_object))
    return fail(err, OME_E_INVALID, "%s: every entry of plugins is a mapping", path);
  int32_t rc = check_fields(path, o, fields, err);
  if (rc != OME_OK)
    return rc;
  if (!file || !*file)
    return fail(err, OME_E_INVALID, "%s: every entry of plugins needs a file", path);
  if (sha256 && !is_sha256(sha256))
    return fail(err, OME_E_INVALID, "%s: %s: sha256 is 64 hex digits", path, file);
  struct conf_plugin p = {.file = locate(folder, paths, file),
                          .sha256 = sha256 ? strdup(sha256) : NULL,
                          .required = json_flag(o, "required", false),
                          .settings = json_copy(json_at(o, "settings"))};
  if (p.file && find(c, p.file)) {
    plugin_fini(&p);
    return fail(err, OME_E_INVALID, "%s: %s is listed twice", path, file);
  }
  return add(c, p, err);
}

static int32_t check_paths(const char *path, struct json_object *paths, struct ome_err *err) {
  for (size_t i = 0; i < json_len(paths); i++)
    if (!json_is(json_index(paths, i), json_type_string))
      return fail(err, OME_E_INVALID, "%s: path is a list of folders", path);
  return OME_OK;
}

static int32_t read_conf(const char *path, struct json_object *o, struct conf *c, struct ome_err *err) {
  static const struct field fields[] = {
      {"path", json_type_array}, {"plugins", json_type_array}, {"all", json_type_boolean}, {NULL, json_type_null}};
  const char *slash = strrchr(path, '/');
  _cleanup_free_ char *folder = slash ? str_copy(path, (size_t)(slash - path)) : strdup(".");
  _cleanup_free_ char *absolute = folder ? realpath(*folder ? folder : "/", NULL) : NULL;
  struct json_object *paths = json_at(o, "path");
  struct json_object *list = json_at(o, "plugins");
  int32_t rc = json_is(o, json_type_object) ? check_fields(path, o, fields, err)
                                            : fail(err, OME_E_INVALID, "%s: not a mapping", path);

  if (rc == OME_OK && !absolute)
    rc = fail_errno(err, "plugins", path);
  if (rc == OME_OK)
    rc = check_paths(path, paths, err);
  for (size_t i = 0; rc == OME_OK && i < json_len(list); i++)
    rc = add_entry(c, path, absolute, paths, json_index(list, i), err);
  for (size_t i = 0; rc == OME_OK && json_flag(o, "all", true) && i < json_len(paths); i++) {
    _cleanup_free_ char *dir = resolve(absolute, json_object_get_string(json_index(paths, i)));
    rc = dir ? add_folder(c, dir, err) : fail_memory(err);
  }
  return rc;
}

int32_t conf_load(const char *path, struct conf *out, struct ome_err *err) {
  _cleanup_(conf_fini) struct conf c = {{0}};
  _cleanup_json_ struct json_object *o = NULL;
  _cleanup_free_ char *text = NULL;
  size_t len;
  int32_t rc;

  if (!path) {
    _cleanup_free_ char *folder = own_folder();
    rc = folder ? add_folder(&c, folder, err) : OME_OK; /* an installation without plugins is one without plugins */
  } else {
    rc = file_read(path, CONF_MAX, &text, &len, err);
    if (rc == OME_OK)
      rc = yaml_parse_one(path, text, len, &o, err);
    if (rc == OME_OK)
      rc = read_conf(path, o, &c, err);
  }
  if (rc != OME_OK)
    return rc;
  *out = c;
  memset(&c, 0, sizeof(c));
  return OME_OK;
}
