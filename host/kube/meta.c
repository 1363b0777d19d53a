#include "kube/meta.h"

#include "base/clock.h"
#include "base/str.h"

#include <string.h>

const char *meta_name(struct json_object *o) {
  return json_str(o, "metadata.name", "");
}

const char *meta_namespace(struct json_object *o) {
  return json_str(o, "metadata.namespace", "");
}

const char *meta_uid(struct json_object *o) {
  return json_str(o, "metadata.uid", "");
}

int64_t meta_generation(struct json_object *o) {
  return json_i64(o, "metadata.generation", 0);
}

bool meta_deleting(struct json_object *o) {
  return json_at(o, "metadata.deletionTimestamp") != NULL;
}

static const char *text_of(struct json_object *map, const char *key) {
  struct json_object *v = json_get(map, key);

  return json_as_str(v, NULL);
}

const char *meta_label(struct json_object *o, const char *key) {
  return text_of(json_at(o, "metadata.labels"), key);
}

const char *meta_annotation(struct json_object *o, const char *key) {
  return text_of(json_at(o, "metadata.annotations"), key);
}

static void set_text(struct json_object *o, const char *map, const char *key, const char *value) {
  struct json_object *m = json_ensure(o, map);

  if (m)
    (void)json_put_str(m, key, value);
}

void meta_set_label(struct json_object *o, const char *key, const char *value) {
  set_text(o, "metadata.labels", key, value);
}

void meta_set_annotation(struct json_object *o, const char *key, const char *value) {
  set_text(o, "metadata.annotations", key, value);
}

/* Where NAME stands among the finalizers; -1: nowhere. */
static ssize_t find_finalizer(struct json_object *o, const char *name) {
  struct json_object *list = json_at(o, "metadata.finalizers");

  for (size_t i = 0; i < json_len(list); i++)
    if (streq(json_object_get_string(json_index(list, i)), name))
      return (ssize_t)i;
  return -1;
}

bool meta_has_finalizer(struct json_object *o, const char *name) {
  return find_finalizer(o, name) >= 0;
}

bool meta_add_finalizer(struct json_object *o, const char *name) {
  if (meta_has_finalizer(o, name))
    return false;
  return json_add_str(json_ensure_array(o, "metadata.finalizers"), name);
}

bool meta_remove_finalizer(struct json_object *o, const char *name) {
  ssize_t at = find_finalizer(o, name);

  return at >= 0 && json_object_array_del_idx(json_at(o, "metadata.finalizers"), (size_t)at, 1) == 0;
}

struct json_object *meta_owner(struct json_object *o) {
  struct json_object *list = json_at(o, "metadata.ownerReferences");

  for (size_t i = 0; i < json_len(list); i++)
    if (json_flag(json_index(list, i), "controller", false))
      return json_index(list, i);
  return NULL;
}

bool meta_is_owned_by(struct json_object *o, struct json_object *owner) {
  return streq(json_str(meta_owner(o), "uid", ""), meta_uid(owner));
}

void meta_set_owner(struct json_object *o, struct json_object *owner) {
  struct json_object *list = json_object_new_array();
  struct json_object *ref = json_add_object(list);

  if (!ref) {
    json_unref(list);
    return;
  }
  (void)json_set_str(ref, "apiVersion", json_str(owner, "apiVersion", ""));
  (void)json_set_str(ref, "kind", json_str(owner, "kind", ""));
  (void)json_set_str(ref, "name", meta_name(owner));
  (void)json_set_str(ref, "uid", meta_uid(owner));
  (void)json_set_bool(ref, "controller", true);
  (void)json_set_bool(ref, "blockOwnerDeletion", true);
  (void)json_set(o, "metadata.ownerReferences", list);
}

const char *meta_condition(struct json_object *o, const char *type) {
  return json_str(json_find(json_at(o, "status.conditions"), "type", type), "status", NULL);
}

/* The condition of TYPE, made when absent. */
static struct json_object *ensure_condition(struct json_object *o, const char *type) {
  struct json_object *list = json_ensure_array(o, "status.conditions");
  struct json_object *c = json_find(list, "type", type);

  if (c)
    return c;
  c = json_add_object(list);
  if (c)
    (void)json_set_str(c, "type", type);
  return c;
}

bool meta_set_condition(struct json_object *o, const char *type, const char *status, const char *reason,
                        const char *message, int64_t now_ms) {
  struct json_object *c = ensure_condition(o, type);
  char stamp[TIME_TEXT];

  if (!c)
    return false;
  bool moved = !streq(json_str(c, "status", ""), status);
  if (!moved && streq(json_str(c, "reason", ""), reason ? reason : "") &&
      streq(json_str(c, "message", ""), message ? message : ""))
    return false;
  (void)json_set_str(c, "status", status);
  if (moved || !json_at(c, "lastTransitionTime")) {
    time_format(now_ms / 1000, stamp);
    (void)json_set_str(c, "lastTransitionTime", stamp);
  }
  if (reason && *reason)
    (void)json_set_str(c, "reason", reason);
  else
    json_del(c, "reason");
  if (message && *message)
    (void)json_set_str(c, "message", message);
  else
    json_del(c, "message");
  return true;
}

void meta_drop_condition(struct json_object *o, const char *type) {
  struct json_object *list = json_at(o, "status.conditions");

  for (size_t i = json_len(list); i-- > 0;)
    if (streq(json_str(json_index(list, i), "type", ""), type))
      (void)json_object_array_del_idx(list, i, 1);
}

/* A new object with the members of O but KEY, shared; NULL: out of memory. */
static struct json_object *share_but(struct json_object *o, const char *key) {
  _cleanup_json_ struct json_object *out = json_object_new_object();

  if (!out)
    return NULL;
  json_object_object_foreach (o, k, v) {
    if (!streq(k, key) && !json_put(out, k, json_object_get(v)))
      return NULL;
  }
  return TAKE_PTR(out);
}

struct json_object *meta_without_managers(struct json_object *o) {
  struct json_object *meta = json_get(o, "metadata");

  if (!json_get(meta, "managedFields"))
    return json_object_get(o);
  _cleanup_json_ struct json_object *out = share_but(o, "metadata");
  struct json_object *rest = out ? share_but(meta, "managedFields") : NULL;
  return rest && json_put(out, "metadata", rest) ? TAKE_PTR(out) : json_object_get(o);
}
