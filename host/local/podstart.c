/* Starting a pod: its volumes, environments and command lines, and what is known of it from an earlier run. */
#include "local/local_int.h"

#include "base/clock.h"
#include "base/quantity.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/orphans.h"
#include "local/volumes.h"
#include "os/file.h"

#include <string.h>

struct starting {
  struct local *l;
  struct json_object *pod; /* with its addresses in the status */
  struct strmap *volumes;
};

static int lookup(void *arg, const char *kind, const char *name, struct json_object **out) {
  struct starting *s = arg;
  struct ome_err err = ERR_INIT;
  const struct kube_resource *r = streq(kind, "Secret") ? &KUBE_SECRETS : &KUBE_CONFIGMAPS;
  int32_t rc = *name ? kube_get(s->l->client, r, meta_namespace(s->pod), name, out, &err) : OME_E_NOT_FOUND;

  return rc == OME_OK ? 1 : rc == OME_E_NOT_FOUND ? 0 : -1;
}

static char *volume(void *arg, const char *name, const char *sub) {
  struct starting *s = arg;
  struct ome_err err = ERR_INIT;
  const char *root = strmap_get(s->volumes, name);
  char *path = !root ? NULL : *sub ? path_join(root, sub) : strdup(root);

  if (path && *sub && !file_exists(path))
    (void)dir_make(path, 0777, &err);
  return path;
}

/* ---- what was before --------------------------------------------------------------------------------------------- */

static struct json_object *find_status(struct json_object *pod, const char *name) {
  struct json_object *s = json_find(json_at(pod, "status.containerStatuses"), "name", name);

  return s ? s : json_find(json_at(pod, "status.initContainerStatuses"), "name", name);
}

/* A start that was running when ome ended, as it ended. */
static struct json_object *cut_off(struct json_object *status) {
  struct json_object *state = json_object_new_object();
  char now[TIME_TEXT];

  time_format(wall_ms() / 1000, now);
  (void)json_set_i64(state, "terminated.exitCode", 137);
  (void)json_set_str(state, "terminated.reason", "Error");
  (void)json_set_str(state, "terminated.message", "ended together with ome");
  (void)json_set_str(state, "terminated.startedAt", json_str(status, "state.running.startedAt", now));
  (void)json_set_str(state, "terminated.finishedAt", now);
  (void)json_set_str(state, "terminated.containerID", json_str(status, "containerID", ""));
  return state;
}

/* Restart counts and last states go on; a container that the restart policy does not start again stays ended. */
static void remember(struct json_object *pod, enum restart_policy policy, struct container_spec *c) {
  struct json_object *status = find_status(pod, c->name);
  bool running = json_at(status, "state.running") != NULL;
  struct json_object *ended = json_at(status, "state.terminated");

  if (!status || !json_get(status, "containerID"))
    return;
  _cleanup_json_ struct json_object *last =
      running ? cut_off(status) : json_copy(ended ? json_get(status, "state") : json_get(status, "lastState"));
  int64_t code = running ? 137 : json_i64(ended, "exitCode", 0);
  bool stays = c->role == CONTAINER_MAIN && (running || ended) &&
               (policy == RESTART_NEVER || (policy == RESTART_ON_FAILURE && code == 0));
  if (stays) {
    _cleanup_json_ struct json_object *final = json_copy(status);
    (void)json_set(final, "state", json_copy(last));
    (void)json_set_bool(final, "ready", false);
    (void)json_set_bool(final, "started", false);
    c->final = json_text(final);
    return;
  }
  c->restarts = json_i64(status, "restartCount", 0) + 1;
  if (!json_empty(last))
    c->last_state = json_text(last);
}

/* ---- environment that is ours ------------------------------------------------------------------------------------ */

static void add_own_env(struct local *l, const struct pod_spec *spec, struct container_spec *c) {
  const char *preload = strv_getenv(&c->env, "LD_PRELOAD");

  (void)strv_setenv(&c->env, ORPHAN_MARK, l->id);
  (void)strv_setenv(&c->env, "OME_POD_UID", spec->uid);
  (void)strv_setenv(&c->env, "OME_POD_IP", spec->ip);
  if (!l->bind_lib)
    return;
  _cleanup_free_ char *both = preload && *preload ? str_printf("%s:%s", l->bind_lib, preload) : strdup(l->bind_lib);
  if (both)
    (void)strv_setenv(&c->env, "LD_PRELOAD", both);
}

/* The GPUs that the container's limits ask for, made the only ones it sees unless it chooses for itself. */
static bool add_gpus(struct local *l, struct json_object *pod, struct container_spec *c, const char *uid) {
  struct json_object *o = json_find(json_at(pod, "spec.containers"), "name", c->name);
  struct json_object *q = json_get(json_at(o, "resources.limits"), GPU_RESOURCE);
  char list[GPUS_TEXT];
  int64_t n = 0;

  if (!q || !quantity_value(json_object_get_string(q), &n) || n <= 0)
    return true;
  if (n > GPUS_MAX || !gpus_take(l->gpus, uid, c->name, (int)n, list))
    return false;
  static const char *const names[] = {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"};
  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (!strv_getenv(&c->env, names[i]))
      (void)strv_setenv(&c->env, names[i], list);
  return true;
}

static int32_t build(struct starting *s, const char *ip, struct pod_spec **out, struct ome_err *err) {
  struct local *l = s->l;
  _cleanup_json_ struct json_object *services = kube_cache_list(l->caches[CACHE_SERVICES], meta_namespace(s->pod));
  _cleanup_json_ struct json_object *node = kube_cache_get(l->caches[CACHE_NODES], NULL, l->node_name);
  const struct volume_source source = {s->pod, node, lookup, s};
  int32_t rc = volumes_make(l->data_dir, &source, &s->volumes, err);

  if (rc != OME_OK)
    return rc;
  const struct pod_inputs in = {.pod = s->pod,
                                .pod_ip = ip,
                                .node_ip = l->node_ip,
                                .node_name = l->node_name,
                                .node = node,
                                .services = services,
                                .base_env = &l->base_env,
                                .lookup = lookup,
                                .volume = volume,
                                .arg = s};
  *out = pod_spec_build(&in);
  return *out ? OME_OK : fail_memory(err);
}

/* The first container that cannot be started at all; NULL: all can. */
static const struct container_spec *hopeless(const struct pod_spec *spec) {
  for (size_t i = 0; i < spec->containers.len; i++)
    if (spec->containers.items[i].reason)
      return &spec->containers.items[i];
  return NULL;
}

int32_t pod_start(struct local *l, struct json_object *pod, const char *ip, char **pending, char **message,
                  struct ome_err *err) {
  _cleanup_json_ struct json_object *with_ip = json_copy(pod);
  _cleanup_(pod_spec_freep) struct pod_spec *spec = NULL;
  struct starting s = {.l = l, .pod = with_ip};

  if (!with_ip || !json_set_str(with_ip, "status.podIP", ip) || !json_set_str(with_ip, "status.hostIP", l->node_ip))
    return fail_memory(err);
  int32_t rc = build(&s, ip, &spec, err);
  if (s.volumes)
    strmap_free(s.volumes);
  if (rc != OME_OK) {
    *pending = strdup("ContainerCreating");
    *message = strdup(err->msg);
    return rc;
  }
  const struct container_spec *c = hopeless(spec);
  if (c) {
    *pending = strdup(c->reason);
    *message = strdup(c->message ? c->message : "");
    return fail(err, OME_E_INVALID, "container \"%s\": %s", c->name, c->message ? c->message : c->reason);
  }
  for (size_t i = 0; i < spec->containers.len; i++) {
    remember(pod, spec->restart, &spec->containers.items[i]);
    add_own_env(l, spec, &spec->containers.items[i]);
    if (!add_gpus(l, pod, &spec->containers.items[i], spec->uid)) {
      *pending = strdup("ContainerCreating");
      *message = str_printf("container \"%s\": its GPUs are not free yet", spec->containers.items[i].name);
      return fail(err, OME_E_BUSY, "%s", *message ? *message : "its GPUs are not free yet");
    }
  }
  runner_add(l->runner, TAKE_PTR(spec));
  return OME_OK;
}
