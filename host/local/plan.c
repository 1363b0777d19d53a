/* What the workload controllers share. */
#include "local/plan.h"

#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

void plan_init(struct plan *p) {
  *p = (struct plan){.create = json_object_new_array(),
                     .patch = json_object_new_array(),
                     .remove = json_object_new_array(),
                     .services = json_object_new_array()};
}

void plan_fini(struct plan *p) {
  json_unref(p->create);
  json_unref(p->patch);
  json_unref(p->remove);
  json_unref(p->services);
  json_unref(p->self);
  json_unref(p->status);
  *p = (struct plan){0};
}

void plan_again(struct plan *p, int64_t ms) {
  uint64_t wanted = ms > 0 ? (uint64_t)ms : 1;

  if (!p->again_ms || wanted < p->again_ms)
    p->again_ms = wanted;
}

struct json_object *plan_patch_for(struct plan *p, const char *name) {
  for (size_t i = 0; i < json_len(p->patch); i++)
    if (streq(meta_name(json_index(p->patch, i)), name))
      return json_index(p->patch, i);
  struct json_object *patch = json_object_new_object();
  (void)json_set_str(patch, "metadata.name", name);
  (void)json_object_array_add(p->patch, patch);
  return patch;
}

void plan_condition(struct json_object *status, const char *type, const char *value, const char *reason,
                    const char *message, int64_t now_ms, bool update_time) {
  char now[TIME_TEXT];
  struct json_object *all = json_get(status, "conditions");

  if (!all) {
    all = json_object_new_array();
    (void)json_set(status, "conditions", all);
  }
  time_format(now_ms / 1000, now);
  struct json_object *c = json_find(all, "type", type);
  bool fresh = !c;
  if (fresh) {
    c = json_object_new_object();
    (void)json_set_str(c, "type", type);
    (void)json_object_array_add(all, c);
  }
  bool moved = fresh || !streq(json_str(c, "status", ""), value);
  bool changed = moved || !streq(json_str(c, "reason", ""), reason) || !streq(json_str(c, "message", ""), message);
  if (!changed)
    return;
  (void)json_set_str(c, "status", value);
  (void)json_set_str(c, "reason", reason);
  (void)json_set_str(c, "message", message);
  if (moved)
    (void)json_set_str(c, "lastTransitionTime", now);
  if (update_time)
    (void)json_set_str(c, "lastUpdateTime", now);
}

void plan_count(struct json_object *status, const char *path, int64_t n) {
  if (n)
    (void)json_set_i64(status, path, n);
  else
    json_del(status, path);
}

int64_t plan_share(struct json_object *v, int64_t total, bool round_up, int64_t dflt) {
  int64_t n;

  if (json_is(v, json_type_int))
    return json_object_get_int64(v);
  if (!json_is(v, json_type_string))
    return dflt;
  const char *s = json_object_get_string(v);
  _cleanup_free_ char *digits = str_copy(s, strcspn(s, "%"));
  if (!digits || !str_to_i64(digits, &n) || n < 0 || n > 1000000)
    return dflt;
  if (!strchr(s, '%'))
    return n;
  return (n * total + (round_up ? 99 : 0)) / 100;
}

struct json_object *plan_child_meta(struct json_object *owner, struct json_object *template_meta) {
  struct json_object *child = json_object_new_object();
  struct json_object *labels = json_copy(json_get(template_meta, "labels"));
  struct json_object *annotations = json_copy(json_get(template_meta, "annotations"));

  (void)json_set_str(child, "metadata.namespace", meta_namespace(owner));
  if (labels)
    (void)json_set(child, "metadata.labels", labels);
  if (annotations)
    (void)json_set(child, "metadata.annotations", annotations);
  meta_set_owner(child, owner);
  struct json_object *meta = json_object_get(json_get(child, "metadata"));
  json_unref(child);
  return meta;
}

static struct json_object *variable(const struct plan_env *var) {
  struct json_object *e = json_object_new_object();

  (void)json_set_str(e, "name", var->name);
  if (var->value)
    (void)json_set_str(e, "value", var->value);
  else
    (void)json_set_str(e, "valueFrom.fieldRef.fieldPath", "status.podIP");
  return e;
}

void plan_add_env(struct json_object *container, const struct plan_env *vars, size_t n) {
  struct json_object *own = json_get(container, "env"), *all = json_object_new_array();

  for (size_t i = 0; i < n; i++)
    if (!vars[i].yields || !json_find(own, "name", vars[i].name))
      (void)json_object_array_add(all, variable(&vars[i]));
  size_t ours = json_len(all);
  for (size_t i = 0; i < json_len(own); i++) {
    const char *name = json_str(json_index(own, i), "name", "");
    bool taken = false;
    for (size_t k = 0; k < ours && !taken; k++)
      taken = streq(json_str(json_index(all, k), "name", ""), name);
    if (!taken)
      (void)json_object_array_add(all, json_object_get(json_index(own, i)));
  }
  (void)json_set(container, "env", all);
}

int64_t plan_time(struct json_object *o, const char *path) {
  const char *text = json_str(o, path, NULL);
  int64_t ms = 0;

  return text && time_parse(text, &ms) ? ms : 0;
}

bool pod_is_active(struct json_object *pod) {
  const char *phase = json_str(pod, "status.phase", "");

  return !streq(phase, "Succeeded") && !streq(phase, "Failed") && !meta_deleting(pod);
}

bool pod_is_ready(struct json_object *pod) {
  return streq(meta_condition(pod, "Ready"), "True");
}

bool pod_is_available(struct json_object *pod, int64_t min_ready_s, int64_t now_ms, int64_t *wait_ms) {
  if (wait_ms)
    *wait_ms = 0;
  if (!pod_is_ready(pod))
    return false;
  if (min_ready_s <= 0)
    return true;
  struct json_object *ready = json_find(json_at(pod, "status.conditions"), "type", "Ready");
  int64_t since = plan_time(ready, "lastTransitionTime");
  int64_t missing = since + min_ready_s * 1000 - now_ms;
  if (wait_ms && missing > 0)
    *wait_ms = missing;
  return missing <= 0;
}

void template_hash(struct json_object *template, int64_t collision_count, char out[16]) {
  static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789"; /* no vowels: a hash never spells a word */
  _cleanup_free_ char *text = json_canonical(template);
  uint32_t hash = 2166136261u; /* FNV-1a */
  char digits[12];

  for (const char *c = text ? text : ""; *c; c++)
    hash = (hash ^ (uint8_t)*c) * 16777619u;
  for (uint64_t n = (uint64_t)collision_count; n; n >>= 8)
    hash = (hash ^ (uint8_t)n) * 16777619u;
  int len = snprintf(digits, sizeof(digits), "%u", hash);
  for (int i = 0; i < len; i++)
    out[i] = alphabet[(digits[i] - '0') % 27];
  out[len] = '\0';
}
