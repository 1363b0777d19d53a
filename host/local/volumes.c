/* Making a pod's volumes. */
#include "local/volumes.h"

#include "base/str.h"
#include "kube/meta.h"
#include "local/podspec.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct making {
  const struct volume_source *src;
  const char *name; /* of the volume */
  const char *root; /* DATA/volumes/UID */
  const char *data_dir;
  char *path; /* of the volume; new */
};

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* A file in a volume: not durable, since it is made anew with its pod. */
static int32_t put_file(const char *dir, const char *name, const void *data, size_t len, mode_t mode,
                        struct ome_err *err) {
  _cleanup_free_ char *path = path_join(dir, name);
  _cleanup_free_ char *parent = path ? str_copy(path, (size_t)(strrchr(path, '/') - path)) : NULL;

  if (!path || !parent)
    return fail_memory(err);
  if (!path_is_safe(name))
    return fail(err, OME_E_INVALID, "the path \"%s\" would lead out of the volume", name);
  int32_t rc = dir_make(parent, 0755, err);
  if (rc != OME_OK)
    return rc;
  (void)unlink(path);
  _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0)
    return fail_errno(err, "create", path);
  for (size_t done = 0; done < len;) {
    ssize_t n = write(fd, (const char *)data + done, len - done);
    if (n < 0)
      return fail_errno(err, "write", path);
    done += (size_t)n;
  }
  return fchmod(fd, mode) == 0 ? OME_OK : fail_errno(err, "chmod", path);
}

/* The content of KEY in a ConfigMap or Secret; new, NULL: absent. */
static char *content(struct json_object *source, const char *key, size_t *len) {
  struct json_object *v = json_get(json_get(source, "data"), key);
  bool encoded = streq(json_str(source, "kind", ""), "Secret");

  if (!v) {
    v = json_get(json_get(source, "binaryData"), key);
    encoded = true;
  }
  if (!v)
    return NULL;
  if (encoded)
    return base64_decode(json_object_get_string(v), len);
  *len = (size_t)json_object_get_string_len(v);
  return str_copy(json_object_get_string(v), *len);
}

static int32_t put_key(struct json_object *source, const char *key, const char *path, const char *dir, mode_t mode,
                       struct ome_err *err) {
  size_t len = 0;
  _cleanup_free_ char *data = content(source, key, &len);

  if (!data)
    return fail(err, OME_E_UNAVAILABLE, "%s \"%s\" has no key \"%s\"", json_str(source, "kind", "ConfigMap"),
                meta_name(source), key);
  return put_file(dir, path, data, len, mode, err);
}

static int32_t put_all(struct json_object *source, const char *dir, mode_t mode, struct ome_err *err) {
  static const char *const maps[] = {"data", "binaryData"};
  int32_t rc = OME_OK;

  for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
    struct json_object *map = json_get(source, maps[i]);
    if (!map)
      continue;
    json_object_object_foreach (map, key, unused) {
      (void)unused;
      if (rc == OME_OK)
        rc = put_key(source, key, key, dir, mode, err);
    }
  }
  return rc;
}

/* A configMap or secret source (NAME: the field that names it) into DIR. */
static int32_t put_source(struct making *m, const char *kind, const char *name, struct json_object *source,
                          const char *dir, mode_t mode, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  struct json_object *items = json_get(source, "items");
  int found = m->src->lookup(m->src->arg, kind, name, &o);
  int32_t rc = OME_OK;

  if (found <= 0 && json_flag(source, "optional", false) && found == 0)
    return OME_OK;
  if (found <= 0)
    return fail(err, OME_E_UNAVAILABLE, "%s \"%s\" not found", streq(kind, "Secret") ? "secret" : "configmap", name);
  (void)json_set_str(o, "kind", kind);
  if (!items)
    return put_all(o, dir, mode, err);
  for (size_t i = 0; i < json_len(items) && rc == OME_OK; i++) {
    struct json_object *item = json_index(items, i);
    rc = put_key(o, json_str(item, "key", ""), json_str(item, "path", ""), dir,
                 (mode_t)json_i64(item, "mode", (int64_t)mode), err);
  }
  return rc;
}

static int32_t put_downward(struct making *m, struct json_object *items, const char *dir, mode_t mode,
                            struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; i < json_len(items) && rc == OME_OK; i++) {
    struct json_object *item = json_index(items, i), *field = json_get(item, "fieldRef");
    _cleanup_free_ char *value =
        field ? field_value(m->src->pod, json_str(field, "fieldPath", ""))
              : resource_value(m->src->pod, m->src->node, NULL, json_get(item, "resourceFieldRef"));
    if (!value)
      return fail(err, OME_E_INVALID, "\"%s\" names nothing that can be read", json_str(item, "path", ""));
    rc = put_file(dir, json_str(item, "path", ""), value, strlen(value), (mode_t)json_i64(item, "mode", (int64_t)mode),
                  err);
  }
  return rc;
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

static mode_t mode_of(struct json_object *source) {
  return (mode_t)(json_i64(source, "defaultMode", 0644) & 0777);
}

static int32_t own_dir(struct making *m, struct ome_err *err) {
  m->path = path_join(m->root, m->name);
  return m->path ? dir_make(m->path, 0777, err) : fail_memory(err);
}

static int32_t make_empty_dir(struct making *m, struct json_object *v UNUSED, struct ome_err *err) {
  return own_dir(m, err);
}

static int32_t make_config_map(struct making *m, struct json_object *v, struct ome_err *err) {
  int32_t rc = own_dir(m, err);

  return rc != OME_OK ? rc : put_source(m, "ConfigMap", json_str(v, "name", ""), v, m->path, mode_of(v), err);
}

static int32_t make_secret(struct making *m, struct json_object *v, struct ome_err *err) {
  int32_t rc = own_dir(m, err);

  return rc != OME_OK ? rc : put_source(m, "Secret", json_str(v, "secretName", ""), v, m->path, mode_of(v), err);
}

static int32_t make_downward(struct making *m, struct json_object *v, struct ome_err *err) {
  int32_t rc = own_dir(m, err);

  return rc != OME_OK ? rc : put_downward(m, json_get(v, "items"), m->path, mode_of(v), err);
}

static int32_t make_projected(struct making *m, struct json_object *v, struct ome_err *err) {
  struct json_object *sources = json_get(v, "sources"), *part;
  int32_t rc = own_dir(m, err);

  for (size_t i = 0; i < json_len(sources) && rc == OME_OK; i++) {
    struct json_object *s = json_index(sources, i);
    if ((part = json_get(s, "configMap")))
      rc = put_source(m, "ConfigMap", json_str(part, "name", ""), part, m->path, mode_of(v), err);
    else if ((part = json_get(s, "secret")))
      rc = put_source(m, "Secret", json_str(part, "name", ""), part, m->path, mode_of(v), err);
    else if ((part = json_get(s, "downwardAPI")))
      rc = put_downward(m, json_get(part, "items"), m->path, mode_of(v), err);
    else if (!json_get(s, "serviceAccountToken")) /* there are no tokens for pods here; the rest can do without */
      rc = fail(err, OME_E_UNSUPPORTED, "a projected source of a kind that is not available on a single machine");
  }
  return rc;
}

/* hostPath.type: what must be there, and whether it is made. */
static const struct {
  const char *type;
  mode_t format; /* S_IFMT bits; 0: anything */
  bool make;
} host_types[] = {{"Directory", S_IFDIR, false},   {"DirectoryOrCreate", S_IFDIR, true}, {"File", S_IFREG, false},
                  {"FileOrCreate", S_IFREG, true}, {"Socket", S_IFSOCK, false},          {"CharDevice", S_IFCHR, false},
                  {"BlockDevice", S_IFBLK, false}};

static int32_t make_host_path(struct making *m, struct json_object *v, struct ome_err *err) {
  const char *path = json_str(v, "path", ""), *type = json_str(v, "type", "");
  struct stat st;

  m->path = strdup(path);
  for (size_t i = 0; m->path && i < ARRAY_LEN(host_types); i++) {
    if (!streq(type, host_types[i].type))
      continue;
    int32_t rc = OME_OK;
    if (host_types[i].make && host_types[i].format == S_IFDIR)
      rc = dir_make(path, 0755, err);
    else if (host_types[i].make && !file_exists(path))
      rc = file_write(path, "", 0, 0644, err);
    if (rc != OME_OK)
      return rc;
    if (stat(path, &st) != 0)
      return fail(err, OME_E_UNAVAILABLE, "hostPath type check failed: %s does not exist", path);
    if ((st.st_mode & S_IFMT) != host_types[i].format)
      return fail(err, OME_E_UNAVAILABLE, "hostPath type check failed: %s is not a %s", path, type);
  }
  return m->path ? OME_OK : fail_memory(err);
}

/* A claim is a folder that stays: one machine has one disk. */
static int32_t make_claim(struct making *m, struct json_object *v, struct ome_err *err) {
  const char *claim = json_str(v, "claimName", "");

  if (!is_dns_subdomain(claim))
    return fail(err, OME_E_INVALID, "\"%s\" is not a claim's name", claim);
  m->path = str_printf("%s/claims/%s/%s", m->data_dir, meta_namespace(m->src->pod), claim);
  return m->path ? dir_make(m->path, 0777, err) : fail_memory(err);
}

static const struct {
  const char *field;
  int32_t (*make)(struct making *m, struct json_object *v, struct ome_err *err);
} kinds[] = {{"hostPath", make_host_path},         {"emptyDir", make_empty_dir},
             {"configMap", make_config_map},       {"secret", make_secret},
             {"projected", make_projected},        {"downwardAPI", make_downward},
             {"persistentVolumeClaim", make_claim}};

static int32_t make_one(struct making *m, struct json_object *volume, struct ome_err *err) {
  if (!path_is_safe(m->name) || strchr(m->name, '/'))
    return fail(err, OME_E_INVALID, "not a volume's name");
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    struct json_object *v = json_get(volume, kinds[i].field);
    if (v)
      return kinds[i].make(m, v, err);
  }
  json_object_object_foreach (volume, key, unused) {
    (void)unused;
    if (!streq(key, "name"))
      return fail(err, OME_E_UNSUPPORTED, "volumes of type %s are not available on a single machine", key);
  }
  return make_empty_dir(m, NULL, err); /* a volume without a source is an emptyDir */
}

int32_t volumes_make(const char *data_dir, const struct volume_source *src, struct strmap **out, struct ome_err *err) {
  struct json_object *volumes = json_at(src->pod, "spec.volumes");
  _cleanup_free_ char *root = str_printf("%s/volumes/%s", data_dir, meta_uid(src->pod));
  _cleanup_strmap_ struct strmap *paths = strmap_new(free);

  if (!root || !paths)
    return fail_memory(err);
  for (size_t i = 0; i < json_len(volumes); i++) {
    struct json_object *v = json_index(volumes, i);
    struct making m = {.src = src, .name = json_str(v, "name", ""), .root = root, .data_dir = data_dir};
    int32_t rc = make_one(&m, v, err);
    if (rc == OME_OK && !strmap_put(paths, m.name, m.path))
      rc = fail_memory(err);
    if (rc != OME_OK) {
      free(m.path);
      return fail_prefix(err, "volume \"%s\"", m.name);
    }
  }
  *out = TAKE_PTR(paths);
  return OME_OK;
}

void volumes_remove(const char *data_dir, const char *uid) {
  _cleanup_free_ char *root = str_printf("%s/volumes/%s", data_dir, uid);
  struct ome_err err = ERR_INIT;

  if (root && *uid)
    (void)tree_remove(root, &err);
}
