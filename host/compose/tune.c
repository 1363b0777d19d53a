#include "compose/tune.h"

#include "base/str.h"
#include "compose/command.h"
#include "compose/container.h"
#include "select/vendor.h"

#include <stdio.h>
#include <string.h>

#define MAX_TUNERS 64
#define MAX_SETTINGS 32 /* of one container: engines have no use for more */

/* ---- applying ---------------------------------------------------------------------------------------------------- */

/* One container that is set up. */
struct work {
  struct ome_setting_sink sink;
  const struct tune_target *to;
  struct tune *tune;
  struct json_object *group;  /* component, leader or worker */
  struct json_object *runner; /* of the group */
  const char *by;             /* the plugin that is asked */
  size_t settings;
  bool silent; /* a worker, whose settings the leader's record has said */
};

static int32_t note(struct work *w, const char *kind, const char *name, const char *value, const char *reason,
                    bool applied) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  if (w->silent)
    return OME_OK;
  if (!o || !json_set_str(o, "component", w->to->kind) || !json_set_str(o, "kind", kind) ||
      !json_set_str(o, "name", name) || !json_set_str(o, "value", value) || !json_set_str(o, "reason", reason) ||
      !json_set_str(o, "by", w->by) || !json_set_bool(o, "applied", applied) || !json_add(w->tune->record, TAKE_PTR(o)))
    return OME_E_NO_MEMORY;
  return OME_OK;
}

static int32_t on_arg(struct ome_setting_sink *s, const char *flag, const char *value, const char *reason) {
  struct work *w = s->ctx;
  bool applied = false;

  if (++w->settings > MAX_SETTINGS)
    return OME_E_INVALID;
  const char *const words[] = {flag, value};
  int32_t rc = command_add(w->group, w->runner, words, *value ? 2 : 1, &applied);
  if (rc != OME_OK || applied)
    return rc == OME_OK ? note(w, "arg", flag, value, reason, true) : rc;
  _cleanup_free_ char *why = str_printf("%s; not set, as the command is a shell's script that goes on behind the "
                                        "engine: write it there",
                                        reason);
  return why ? note(w, "arg", flag, value, why, false) : OME_E_NO_MEMORY;
}

static int32_t on_env(struct ome_setting_sink *s, const char *name, const char *value, const char *reason) {
  struct work *w = s->ctx;
  struct json_object *below = json_get(command_below(w->group, w->runner), "env");
  struct json_object *env = list_in(w->runner, "env");
  struct json_object *e = NULL;

  if (++w->settings > MAX_SETTINGS)
    return OME_E_INVALID;
  if (json_find(env, "name", name) || json_find(below, "name", name))
    return OME_OK;
  e = json_object_new_object();
  if (!env || !e || !json_add(env, e) || !json_set_str(e, "name", name) || !json_set_str(e, "value", value))
    return OME_E_NO_MEMORY;
  return note(w, "env", name, value, reason, true);
}

static int32_t on_resource(struct ome_setting_sink *s, const char *name, const char *quantity, const char *reason) {
  struct work *w = s->ctx;
  static const char *const kinds[] = {"requests", "limits"};
  struct json_object *resources = json_ensure(w->runner, "resources");

  if (++w->settings > MAX_SETTINGS)
    return OME_E_INVALID;
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    struct json_object *map = resources ? json_ensure(resources, kinds[i]) : NULL;
    if (!map)
      return OME_E_NO_MEMORY;
    if (!json_get(map, name) && !json_put_str(map, name, quantity))
      return OME_E_NO_MEMORY;
  }
  return note(w, "resource", name, quantity, reason, true);
}

static int32_t on_unfit(struct ome_setting_sink *s, const char *reason) {
  struct work *w = s->ctx;

  if (!*w->tune->unfit)
    (void)snprintf(w->tune->unfit, sizeof(w->tune->unfit), "%s: %s", w->to->kind, reason);
  return OME_OK;
}

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

/* A number that an annotation of the service gives; 0: none.  One that cannot be read is said, not guessed. */
static uint64_t wish(struct tune *tune, const struct tune_target *to, const char *annotation, uint64_t most) {
  struct json_object *v = json_get(json_at(to->service, "metadata.annotations"), annotation);
  const char *text = v ? json_object_get_string(v) : "";
  uint64_t n = 0;

  if (!*text || (str_to_u64(text, &n) && n > 0 && n <= most))
    return n;
  (void)snprintf(tune->unfit, sizeof(tune->unfit), "annotation %s: \"%.40s\" is no number from 1 to %llu", annotation,
                 text, (unsigned long long)most);
  return 0;
}

static bool is_off(struct json_object *o) {
  struct json_object *v = json_get(json_at(o, "metadata.annotations"), "ome.io/tuning");

  return v && streq(json_object_get_string(v), "off");
}

/* Devices that are given already: by the runner, the container below, or a container of the runtime. */
static int64_t devices_given(const struct work *w) {
  const char *name = json_str(w->runner, "name", "");
  int64_t n = vendor_devices_of(w->runner);

  n = n ? n : vendor_devices_of(command_below(w->group, w->runner));
  return n ? n : vendor_devices_of(json_find(json_at(w->to->runtime, "spec.containers"), "name", name));
}

static char *command_of(const struct work *w) {
  return command_text(w->group, w->runner);
}

static int32_t ask_all(struct work *w, const struct ome_score_req *req, struct ome_err *err) {
  struct plugin_instance *instances[MAX_TUNERS];
  size_t n = plugins_of_kind(w->tune->plugins, OME_KIND_SCORER, instances, ARRAY_LEN(instances));

  for (size_t i = 0; i < n && i < ARRAY_LEN(instances); i++) {
    struct plugin_call call = {0};
    if (!plugin_tunes(instances[i]))
      continue;
    w->by = plugin_instance_name(instances[i]);
    int32_t rc = plugin_tune(instances[i], &call, req, &w->sink, err);
    if (rc != OME_OK && rc != OME_E_UNSUPPORTED)
      return fail_prefix(err, "scorer %s: tune", w->by);
  }
  err_clear(err);
  return OME_OK;
}

/* GROUP's runner, if it has one. */
static int32_t tune_group(struct tune *tune, const struct tune_target *to, struct json_object *group, bool silent,
                          struct ome_err *err) {
  struct work w = {.to = to, .tune = tune, .group = group, .runner = json_get(group, "runner"), .silent = silent};
  struct ome_accelerator_facts accelerator;
  struct ome_runtime_facts runtime = tune->runtime->facts;
  int64_t pods = to->grouped ? 1 + json_i64(to->component, "worker.size", 0) : 1;

  if (!w.runner)
    return OME_OK;
  _cleanup_free_ char *command = command_of(&w);
  if (!command)
    return fail_memory(err);
  int64_t devices = devices_given(&w);
  const struct ome_deployment_facts deployment = {
      .struct_size = sizeof(deployment),
      .image = json_str(w.runner, "image", json_str(command_below(group, w.runner), "image", "")),
      .command = command,
      .context = wish(tune, to, "ome.io/context-length", UINT32_MAX),
      .concurrency = (uint32_t)wish(tune, to, "ome.io/concurrency", 1u << 20),
      .devices = devices < 4096 ? (uint32_t)devices : 0,
      .nodes = pods > 0 && pods < 65536 ? (uint32_t)pods : 1,
  };
  select_accelerator_facts(to->accelerator, &accelerator);
  const char *text = json_object_to_json_string_ext(to->service, JSON_C_TO_STRING_PLAIN);
  const struct ome_score_req req = {
      .struct_size = sizeof(req),
      .model = &tune->model->facts,
      .runtime = &runtime,
      .accelerator = &accelerator,
      .service = {text, strlen(text)},
      .deployment = &deployment,
  };
  w.sink = (struct ome_setting_sink){.struct_size = sizeof(w.sink),
                                     .ctx = &w,
                                     .arg = on_arg,
                                     .env = on_env,
                                     .resource = on_resource,
                                     .unfit = on_unfit};
  return ask_all(&w, &req, err);
}

int32_t tune_component(struct tune *tune, const struct tune_target *to, struct ome_err *err) {
  struct json_object *leader = to->grouped ? json_get(to->component, "leader") : NULL;

  if (!to->accelerator || is_off(to->service) || is_off(to->runtime))
    return OME_OK;
  int32_t rc = tune_group(tune, to, leader ? leader : to->component, false, err);
  if (rc == OME_OK && leader)
    rc = tune_group(tune, to, json_get(to->component, "worker"), true, err);
  return rc;
}
