#include "compose/claim_job.h"

#include "base/str.h"
#include "compose/jobs.h"
#include "compose/names.h"
#include "compose/words.h"
#include "kube/meta.h"

#include <string.h>

#define AT_CLAIM "/run/ome-model"
#define NOBODY 65532 /* the user of the image */
#define SUFFIX_MAX sizeof("-metadata-01234567")
#define TTL_S 3600

char *claim_job_name(struct json_object *model) {
  _cleanup_free_ char *of = str_printf("%s\n%s", meta_uid(model), json_str(model, "spec.storage.storageUri", ""));
  _cleanup_free_ char *name = name_truncate(meta_name(model), NAME_MAX_LABEL - SUFFIX_MAX);
  char digest[65];

  if (!of || !name)
    return NULL;
  sha256_hex(of, strlen(of), digest);
  return str_printf("%s-metadata-%.8s", name, digest);
}

/* ---- the Job ----------------------------------------------------------------------------------------------------- */

static struct json_object *list_of(struct json_object *one) {
  struct json_object *list = json_object_new_array();

  if (one && json_add(list, one))
    return list;
  json_unref(list);
  return NULL;
}

static struct json_object *volumes(const struct claim_job_facts *f) {
  struct json_object *v = json_object_new_object();

  (void)(json_set_str(v, "name", "model") && json_set_str(v, "persistentVolumeClaim.claimName", f->claim->name) &&
         json_set_bool(v, "persistentVolumeClaim.readOnly", true));
  return list_of(v);
}

static struct json_object *mounts(void) {
  struct json_object *m = json_object_new_object();

  (void)(json_set_str(m, "name", "model") && json_set_str(m, "mountPath", AT_CLAIM) &&
         json_set_bool(m, "readOnly", true));
  return list_of(m);
}

static bool set_resources(const struct claim_job_facts *f, struct json_object *c) {
  static const struct {
    const char *path, *key, *fallback; /* OME's */
  } all[] = {{"resources.requests.cpu", "cpuRequest", "100m"},
             {"resources.requests.memory", "memoryRequest", "256Mi"},
             {"resources.limits.cpu", "cpuLimit", "500m"},
             {"resources.limits.memory", "memoryLimit", "512Mi"}};
  bool ok = true;

  for (size_t i = 0; ok && i < ARRAY_LEN(all); i++)
    ok = json_set_str(c, all[i].path, json_str(f->config, all[i].key, all[i].fallback));
  return ok;
}

/* Of the container: nothing but to read. */
static bool confine_container(struct json_object *c) {
  return json_set_bool(c, "securityContext.allowPrivilegeEscalation", false) &&
         json_set_bool(c, "securityContext.readOnlyRootFilesystem", true) &&
         json_set(c, "securityContext.capabilities.drop", list_of(json_object_new_string("ALL")));
}

/* fsGroup would make the kubelet change the owner of files that are not ours. */
static bool confine_pod(struct json_object *pod) {
  return json_set_bool(pod, "securityContext.runAsNonRoot", true) &&
         json_set_i64(pod, "securityContext.runAsUser", NOBODY) &&
         json_set_i64(pod, "securityContext.runAsGroup", NOBODY) &&
         json_set_str(pod, "securityContext.seccompProfile.type", "RuntimeDefault");
}

static struct json_object *container(const struct claim_job_facts *f) {
  const char *path = f->claim->path;
  _cleanup_free_ char *folder = str_printf(AT_CLAIM "%s%s", *path ? "/" : "", path);
  struct json_object *c = json_object_new_object();
  struct json_object *words = json_object_new_array();

  if (folder && words_add(words, f->program ? f->program : "ome", "inspect", "--report", folder, NULL) &&
      json_set_str(c, "name", CLAIM_JOB_CONTAINER) &&
      json_set_str(c, "image", json_str(f->config, "image", OME_IMAGE)) &&
      json_set(c, "command", json_object_get(words)) && json_set(c, "volumeMounts", mounts()) && set_resources(f, c) &&
      (f->embedded || confine_container(c))) {
    json_unref(words);
    return c;
  }
  json_unref(words);
  json_unref(c);
  return NULL;
}

static struct json_object *pod(const struct claim_job_facts *f) {
  struct json_object *p = json_object_new_object();

  if (json_set_str(p, "restartPolicy", "Never") && json_set_bool(p, "automountServiceAccountToken", false) &&
      json_set_bool(p, "enableServiceLinks", false) && json_set(p, "volumes", volumes(f)) &&
      json_set(p, "containers", list_of(container(f))) && (f->embedded || confine_pod(p)))
    return p;
  json_unref(p);
  return NULL;
}

static void set_labels(const struct claim_job_facts *f, struct json_object *o, const char *name) {
  bool cluster = !streq(json_str(f->model, "kind", ""), "BaseModel");

  meta_set_label(o, CLAIM_JOB_LABEL, CLAIM_JOB_COMPONENT);
  meta_set_label(o, "models.ome/model-name", name);
  meta_set_label(o, "models.ome/model-scope", cluster ? "cluster" : "namespaced");
}

struct json_object *claim_job(const struct claim_job_facts *f) {
  _cleanup_free_ char *name = claim_job_name(f->model);
  _cleanup_free_ char *label = name_label_value(meta_name(f->model));
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_json_ struct json_object *template = json_object_new_object();

  if (!name || !label || !json_set_str(o, "apiVersion", "batch/v1") || !json_set_str(o, "kind", "Job") ||
      !json_set_str(o, "metadata.name", name) || !json_set_str(o, "metadata.namespace", f->ns) ||
      !json_set(template, "spec", pod(f)))
    return NULL;
  set_labels(f, o, label);
  set_labels(f, template, label);
  meta_set_owner(o, f->model);
  /* A pod that failed has said why, and the next one would say the same: it is tried again later. */
  if (!json_set_i64(o, "spec.backoffLimit", 0) || !json_set_i64(o, "spec.ttlSecondsAfterFinished", TTL_S) ||
      !json_set(o, "spec.template", json_object_get(template)))
    return NULL;
  return TAKE_PTR(o);
}

/* ---- what it said ------------------------------------------------------------------------------------------------ */

int32_t claim_job_result(struct json_object *event, struct json_object **out, struct ome_err *err) {
  struct json_object *config = json_get(event, "config");

  if (streq(json_str(event, "event", ""), "done") && json_is(config, json_type_object)) {
    *out = json_object_get(config);
    return OME_OK;
  }
  if (!streq(json_str(event, "event", ""), "error"))
    return fail(err, OME_E_UNAVAILABLE, "the pod has ended and said nothing of what it read");
  const char *code = json_str(event, "code", "");
  int32_t rc = streq(code, err_name(OME_E_NOT_FOUND))     ? OME_E_NOT_FOUND
               : streq(code, err_name(OME_E_UNSUPPORTED)) ? OME_E_UNSUPPORTED
                                                          : OME_E_INVALID;
  return fail(err, rc, "%.900s", json_str(event, "message", "the reader does not say why"));
}
