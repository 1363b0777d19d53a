#include "compose/container.h"

#include "compose/names.h"

struct json_object *list_in(struct json_object *o, const char *key) {
  if (!json_get(o, key) && !json_set(o, key, json_object_new_array()))
    return NULL;
  return json_get(o, key);
}

struct json_object *container_serving(struct json_object *group) {
  struct json_object *containers = json_get(group, "containers");
  struct json_object *main = json_get(group, "runner");

  main = main ? main : json_find(containers, "name", MAIN_CONTAINER);
  return main ? main : json_index(containers, 0);
}

bool container_set_env(struct json_object *container, const char *name, const char *value, bool overwrite) {
  struct json_object *env = list_in(container, "env");
  struct json_object *e = json_find(env, "name", name);

  if (e && !overwrite)
    return true;
  if (e) {
    json_del(e, "valueFrom");
    return json_set_str(e, "value", value);
  }
  e = json_object_new_object();
  return env && e && json_set_str(e, "name", name) && json_set_str(e, "value", value) && json_add(env, e);
}

bool container_mount(struct json_object *container, const char *volume, const char *path, const char *sub_path) {
  struct json_object *mounts = list_in(container, "volumeMounts");
  struct json_object *m = json_object_new_object();

  return mounts && m && json_set_str(m, "name", volume) && json_set_str(m, "mountPath", path) &&
         json_set_bool(m, "readOnly", true) && (!sub_path || !*sub_path || json_set_str(m, "subPath", sub_path)) &&
         json_add(mounts, m);
}
