/* Serving runtimes at the door: a structure that can run, classes that exist, priorities that decide. */
#include "admission/review.h"

#include "base/str.h"
#include "kube/meta.h"
#include "select/inherit.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MULTI_NODE                                                                                                     \
  "for MultiNode deployment, both leader and worker must be defined and worker.size must be greater than 0"
#define RAW "for RawDeployment, leader and worker must not be defined"

static bool is_cluster(struct json_object *runtime) {
  return streq(json_str(runtime, "kind", ""), "ClusterServingRuntime");
}

/* ---- structure --------------------------------------------------------------------------------------------------- */

/* DEPLOYMENT_MODE of any top-level container; "": none says it. */
static const char *stated_mode(struct json_object *spec) {
  struct json_object *containers = json_get(spec, "containers");

  for (size_t i = 0; i < json_len(containers); i++) {
    struct json_object *env = json_find(json_get(json_index(containers, i), "env"), "name", "DEPLOYMENT_MODE");
    if (env)
      return json_str(env, "value", "");
  }
  return "";
}

static void check_group(struct review *r, const char *component) {
  _cleanup_free_ char *leader = str_printf("spec.%s.leader", component);
  _cleanup_free_ char *worker = str_printf("spec.%s.worker", component);
  _cleanup_free_ char *size = str_printf("spec.%s.worker.size", component);

  if (!json_at(r->object, leader) != !json_at(r->object, worker) ||
      (json_at(r->object, worker) && json_i64(r->object, size, 1) <= 0))
    verdict_deny(r, "invalid configuration: spec.%s: " MULTI_NODE, component);
}

static void check_structure(struct review *r) {
  struct json_object *spec = json_get(r->object, "spec");
  struct json_object *workers = json_get(spec, "workers");
  const char *mode = stated_mode(spec);
  int64_t size = json_i64(workers, "size", workers ? 1 : 0);

  check_group(r, "engineConfig");
  check_group(r, "decoderConfig");
  if (json_get(spec, "engineConfig") && json_get(spec, "decoderConfig"))
    return;
  if ((workers && size <= 0) || (streq(mode, "MultiNode") && size <= 0))
    verdict_deny(r, "invalid configuration: " MULTI_NODE);
  else if (streq(mode, "RawDeployment") && size > 0)
    verdict_deny(r, "invalid configuration: " RAW);
}

/* ---- accelerator classes ----------------------------------------------------------------------------------------- */

static int32_t check_classes(struct review *r, struct ome_err *err) {
  struct json_object *names = json_at(r->object, "spec.acceleratorRequirements.acceleratorClasses");
  _cleanup_buf_ struct buf unknown = BUF_INIT;

  for (size_t i = 0; i < json_len(names); i++) {
    const char *name = json_object_get_string(json_index(names, i));
    _cleanup_json_ struct json_object *class = NULL;
    int32_t rc = r->lookup->get(r->lookup->arg, &KUBE_ACCELERATORCLASSES, NULL, name, &class, err);
    if (rc == OME_E_NOT_FOUND) {
      err_clear(err);
      buf_addf(&unknown, "%s%s", unknown.len ? " " : "", name);
    } else if (rc != OME_OK)
      return rc;
  }
  if (unknown.len)
    verdict_deny(r, "unknown accelerator classes referenced in AcceleratorRequirements: [%s]", buf_str(&unknown));
  return OME_OK;
}

/* ---- priorities -------------------------------------------------------------------------------------------------- */

static const char *format_name(struct json_object *entry) {
  const char *legacy = json_str(entry, "name", "");

  return *legacy ? legacy : json_str(entry, "modelFormat.name", "");
}

static bool is_auto(struct json_object *entry) {
  return json_flag(entry, "autoSelect", false);
}

/* Entries of one runtime that stand for the same format weigh the same. */
static void check_own_priorities(struct review *r) {
  struct json_object *list = json_at(r->object, "spec.supportedModelFormats");

  for (size_t i = 0; i < json_len(list); i++)
    for (size_t k = 0; k < i; k++) {
      struct json_object *a = json_index(list, i), *b = json_index(list, k);
      const char *name = json_str(a, "name", "");
      if (!is_auto(a) || !is_auto(b) || !*name || !streq(name, json_str(b, "name", "")) ||
          json_i64(a, "priority", 0) == json_i64(b, "priority", 0))
        continue;
      verdict_deny(r, "different priorities assigned for the model format %s under the %s %s", name,
                   is_cluster(r->object) ? "clusterservingruntime" : "servingruntime", meta_name(r->object));
      return;
    }
}

/* By value: what is left out equals its default. */
static bool same_format(struct json_object *a, struct json_object *b) {
  static const struct {
    const char *path, *dflt;
  } fields[] = {{"version", ""},
                {"quantization", ""},
                {"modelArchitecture", ""},
                {"modelFormat.name", ""},
                {"modelFormat.version", ""},
                {"modelFormat.operator", "Equal"},
                {"modelFramework.name", ""},
                {"modelFramework.version", ""},
                {"modelFramework.operator", "Equal"}};

  if (strcasecmp(format_name(a), format_name(b)) != 0)
    return false;
  for (size_t i = 0; i < ARRAY_LEN(fields); i++)
    if (!streq(json_str(a, fields[i].path, fields[i].dflt), json_str(b, fields[i].path, fields[i].dflt)))
      return false;
  return json_equal(json_get(a, "diffusionPipeline"), json_get(b, "diffusionPipeline")) &&
         json_equal(json_get(a, "modelSizeRange"), json_get(b, "modelSizeRange"));
}

static bool share_protocol(struct json_object *a, struct json_object *b) {
  struct json_object *x = json_at(a, "spec.protocolVersions"), *y = json_at(b, "spec.protocolVersions");

  for (size_t i = 0; i < json_len(x); i++)
    for (size_t k = 0; k < json_len(y); k++)
      if (streq(json_object_get_string(json_index(x, i)), json_object_get_string(json_index(y, k))))
        return true;
  return false;
}

/* Whether nothing but their names tells the two runtimes apart for a model of FORMAT. */
static const char *shared_priority(struct json_object *a, struct json_object *b) {
  struct json_object *x = json_at(a, "spec.supportedModelFormats"), *y = json_at(b, "spec.supportedModelFormats");

  if (json_flag(b, "spec.disabled", false) || !share_protocol(a, b) ||
      !json_equal(json_at(a, "spec.modelSizeRange"), json_at(b, "spec.modelSizeRange")))
    return NULL;
  for (size_t i = 0; i < json_len(x); i++)
    for (size_t k = 0; k < json_len(y); k++) {
      struct json_object *e = json_index(x, i), *f = json_index(y, k);
      if (is_auto(e) && is_auto(f) && json_get(e, "priority") && json_get(f, "priority") &&
          json_i64(e, "priority", 0) == json_i64(f, "priority", 0) && same_format(e, f))
        return format_name(e);
    }
  return NULL;
}

/* OME refuses such a pair only where it happens to compare the same pointers, so runtimes that it took must be taken:
 * the order by name decides, and a person hears of it. */
static int32_t check_other_priorities(struct review *r, struct ome_err *err) {
  bool cluster = is_cluster(r->object);
  _cleanup_json_ struct json_object *others = NULL;
  int32_t rc = r->lookup->list(r->lookup->arg, cluster ? &KUBE_CLUSTERSERVINGRUNTIMES : &KUBE_SERVINGRUNTIMES,
                               cluster ? NULL : r->ns, &others, err);

  for (size_t i = 0; rc == OME_OK && i < json_len(others); i++) {
    struct json_object *other = json_index(others, i);
    const char *format = streq(meta_name(other), meta_name(r->object)) ? NULL : shared_priority(r->object, other);
    if (format)
      verdict_warn(
          r,
          "same priority assigned for the model format %s in the %s %s and %s: for a model that both suit, the "
          "first by name is taken",
          format, cluster ? "clusterservingruntimes" : "servingruntimes", meta_name(r->object), meta_name(other));
  }
  return rc;
}

/* What it inherits from must be there first (OME 1.3). */
static int32_t check_heritage(struct review *r, struct ome_err *err) {
  _cleanup_json_ struct json_object *all = NULL, *near = NULL;
  struct heritage h;

  if (!inherits(r->object))
    return OME_OK;
  int32_t rc = r->lookup->list(r->lookup->arg, &KUBE_CLUSTERSERVINGRUNTIMES, NULL, &all, err);
  if (rc == OME_OK && !is_cluster(r->object))
    rc = r->lookup->list(r->lookup->arg, &KUBE_SERVINGRUNTIMES, r->ns, &near, err);
  if (rc == OME_OK && !json_add_all(all, near))
    rc = fail_memory(err);
  if (rc == OME_OK)
    rc = inherit(r->object, all, &h, err);
  if (rc != OME_OK)
    return rc;
  if (*h.problem)
    verdict_deny(r, "%s", h.problem);
  json_unref(h.doc);
  json_unref(h.chain);
  return OME_OK;
}

static void check_profile(struct review *r) {
  const char *profile = meta_annotation(r->object, "ome.io/runtime-profile");

  if (streq(profile, "true") && !json_flag(r->object, "spec.disabled", false))
    verdict_deny(r, "runtimes carrying ome.io/runtime-profile=\"true\" must also set spec.disabled: true");
}

int32_t validate_runtime(struct review *r, struct ome_err *err) {
  bool same_spec = r->old && json_equal(json_get(r->old, "spec"), json_get(r->object, "spec"));

  if (same_spec && json_equal(json_at(r->old, "metadata.annotations"), json_at(r->object, "metadata.annotations")))
    return OME_OK;
  check_profile(r);
  int32_t rc = check_heritage(r, err);
  if (rc != OME_OK || same_spec || json_flag(r->object, "spec.disabled", false))
    return rc;
  check_structure(r);
  check_own_priorities(r);
  rc = check_classes(r, err);
  return rc == OME_OK ? check_other_priorities(r, err) : rc;
}
