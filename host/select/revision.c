#include "select/revision.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define HASH_DIGITS 8

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* "cr-RUNTIME-" or "r-NAMESPACE-RUNTIME-": how names of revisions begin. */
static void prefix_of(const char *ns, const char *runtime, char *out) {
  if (ns)
    (void)snprintf(out, REVISION_NAME_MAX, "r-%s-%s-", ns, runtime);
  else
    (void)snprintf(out, REVISION_NAME_MAX, "cr-%s-", runtime);
}

static bool is_named(const char *name, const char *prefix) {
  const char *hash = name + strlen(prefix);

  return has_prefix(name, prefix) && strlen(hash) == HASH_DIGITS && strspn(hash, "0123456789abcdef") == HASH_DIGITS;
}

int32_t revision_name(const struct select_runtime *r, char *name, struct ome_err *err) {
  struct json_object *spec = json_get(r->doc, "spec");
  _cleanup_free_ char *text = spec ? json_canonical(spec) : NULL;
  char hash[65];

  if (!text)
    return fail_memory(err);
  sha256_hex(text, strlen(text), hash);
  prefix_of(r->ns, r->facts.name, name);
  size_t used = strlen(name);
  (void)snprintf(name + used, REVISION_NAME_MAX - used, "%.*s", HASH_DIGITS, hash);
  return OME_OK;
}

/* ---- documents --------------------------------------------------------------------------------------------------- */

/* Keys with dots in them. */
static bool put(struct json_object *map, const char *key, const char *value) {
  return json_put_str(map, key, value);
}

static struct json_object *labels_of(const struct select_runtime *r, const char *name) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  return o && put(o, REVISION_LABEL, r->facts.name) &&
                 put(o, "ome.io/runtime-of-kind", r->ns ? "ServingRuntime" : "ClusterServingRuntime") &&
                 (!r->ns || put(o, "ome.io/runtime-of-namespace", r->ns)) &&
                 put(o, "ome.io/revision-hash", name + strlen(name) - HASH_DIGITS)
             ? TAKE_PTR(o)
             : NULL;
}

struct json_object *revision_document(const struct select_runtime *r, const char *name, const char *ns,
                                      int64_t number) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_json_ struct json_object *annotations = json_object_new_object();
  struct json_object *labels = labels_of(r, name);

  if (!o || !annotations || !labels || !json_set(o, "metadata.labels", labels) ||
      !put(annotations, "ome.io/created-by", "ome-controller") ||
      !json_set(o, "metadata.annotations", TAKE_PTR(annotations)) || !json_set_str(o, "apiVersion", "apps/v1") ||
      !json_set_str(o, "kind", "ControllerRevision") || !json_set_str(o, "metadata.name", name) ||
      !json_set_str(o, "metadata.namespace", ns) || !json_set_i64(o, "revision", number) ||
      !json_set(o, "data.spec", json_object_get(json_get(r->doc, "spec"))))
    return NULL;
  return TAKE_PTR(o);
}

static const char *label_of(struct json_object *o, const char *name) {
  struct json_object *v = json_get(json_at(o, "metadata.labels"), name);

  return json_as_str(v, "");
}

struct json_object *revision_runtime(struct json_object *revision) {
  struct json_object *data = json_get(revision, "data");
  struct json_object *spec = json_get(data, "spec") ? json_get(data, "spec") : data;
  const char *kind = label_of(revision, "ome.io/runtime-of-kind");
  const char *ns = label_of(revision, "ome.io/runtime-of-namespace");
  _cleanup_json_ struct json_object *o = json_object_new_object();

  if (!o || !spec || !*kind || !json_set_str(o, "apiVersion", "ome.io/v1beta1") || !json_set_str(o, "kind", kind) ||
      !json_set_str(o, "metadata.name", label_of(revision, REVISION_LABEL)) ||
      (*ns && !json_set_str(o, "metadata.namespace", ns)) || !json_set(o, "spec", json_object_get(spec)))
    return NULL;
  return TAKE_PTR(o);
}

/* ---- pins -------------------------------------------------------------------------------------------------------- */

static const char *runtime_of(struct json_object *service) {
  return json_str(service, "spec.runtime.name", "");
}

static const char *service_ns(struct json_object *service) {
  return json_str(service, "metadata.namespace", "default");
}

const char *revision_wanted(struct json_object *service) {
  if (json_flag(service, "spec.runtime.autoSync", true))
    return "";
  return json_str(service, "spec.runtime.revision", json_str(service, "status.pinnedRevisionName", ""));
}

bool revision_is_used(struct json_object *service, const char *name) {
  return streq(json_str(service, "spec.runtime.revision", ""), name) ||
         streq(json_str(service, "status.pinnedRevisionName", ""), name);
}

/* Whether NAME is that of a revision of SERVICE's runtime, which is R now; where that is gone, it may have been of
 * either kind. */
static bool is_of_runtime(struct json_object *service, const struct select_runtime *r, const char *name) {
  char prefix[REVISION_NAME_MAX];

  if (!r) {
    prefix_of(NULL, runtime_of(service), prefix);
    if (is_named(name, prefix))
      return true;
  }
  prefix_of(r ? r->ns : service_ns(service), runtime_of(service), prefix);
  return is_named(name, prefix);
}

/* A token that was not seen yet asks for what the runtime says now. */
static bool is_advanced(struct json_object *service) {
  struct json_object *v = json_get(json_at(service, "metadata.annotations"), "ome.io/runtime-sync");
  const char *token = json_as_str(v, "");

  return *token && !streq(token, json_str(service, "status.lastRuntimeSyncToken", ""));
}

static void drift(struct select_pin *pin, const char *reason, const char *what, const char *todo) {
  pin->drift = reason;
  (void)snprintf(pin->message, sizeof(pin->message), "pinned %s, %s; %s", pin->revision, what, todo);
}

/* Which one SERVICE means; "": none that could be. */
static void choose_revision(struct json_object *service, struct select_pin *pin) {
  const char *explicit = json_str(service, "spec.runtime.revision", "");
  const char *kept = json_str(service, "status.pinnedRevisionName", "");

  pin->mode = *explicit ? PIN_EXPLICIT : PIN_MANAGED;
  if (!*explicit && (!is_of_runtime(service, pin->live, kept) || (is_advanced(service) && pin->live)))
    kept = pin->live_revision; /* the first time, of another runtime than before, or told to */
  (void)snprintf(pin->revision, sizeof(pin->revision), "%s", *explicit ? explicit : kept);
}

static void check_convention(struct json_object *service, struct select_pin *pin, char *why, size_t cap) {
  bool namespaced =
      pin->live ? pin->live->ns != NULL : streq(json_str(service, "spec.runtime.kind", ""), "ServingRuntime");
  const char *name = runtime_of(service);

  if (is_of_runtime(service, pin->live, pin->revision))
    return;
  drift(pin, "RuntimeMismatch", "which is no revision of the service's runtime", "name one of its own");
  if (namespaced)
    (void)snprintf(why, cap,
                   "spec.runtime.revision \"%s\" does not match the expected naming convention for runtime \"%s\" "
                   "(ServingRuntime); expected the form r-%s-%s-<8 lowercase hex chars>",
                   pin->revision, name, service_ns(service), name);
  else
    (void)snprintf(why, cap,
                   "spec.runtime.revision \"%s\" does not match the expected naming convention for runtime \"%s\" "
                   "(ClusterServingRuntime); expected the form cr-%s-<8 lowercase hex chars>",
                   pin->revision, name, name);
}

static struct json_object *find_named(struct json_object *revisions, const char *name) {
  for (size_t i = 0; i < json_len(revisions); i++)
    if (streq(json_str(json_index(revisions, i), "metadata.name", ""), name))
      return json_index(revisions, i);
  return NULL;
}

/* The pinned revision is not what the runtime says now: it has to be there. */
static void find_revision(struct json_object *revisions, struct select_pin *pin, struct json_object **out, char *why,
                          size_t cap) {
  const char *todo = pin->mode == PIN_EXPLICIT ? "change spec.runtime.revision to advance"
                                               : "bump ome.io/runtime-sync annotation to advance";

  *out = find_named(revisions, pin->revision);
  if (!*out) {
    drift(pin, "RevisionMissing", "which is not there", todo);
    (void)snprintf(why, cap, "%s", pin->message);
  } else if (!pin->live)
    drift(pin, "SourceRuntimeMissing", "its runtime is gone", "apply the runtime again, or name another");
  else
    drift(pin, "RevisionMismatch", "live spec differs", todo);
}

int32_t revision_pin(struct json_object *service, const struct select_runtime *r, struct json_object *revisions,
                     struct select_pin *pin, struct json_object **out, char *why, size_t cap, struct ome_err *err) {
  *pin = (struct select_pin){.mode = PIN_NONE, .live = r};
  *out = NULL;
  *why = '\0';
  if (json_flag(service, "spec.runtime.autoSync", true)) {
    if (*json_str(service, "spec.runtime.revision", ""))
      (void)snprintf(why, cap, "spec.runtime.revision \"%s\" has no effect unless spec.runtime.autoSync is false",
                     json_str(service, "spec.runtime.revision", ""));
    return OME_OK;
  }
  int32_t rc = r ? revision_name(r, pin->live_revision, err) : OME_OK;
  if (rc != OME_OK)
    return rc;
  choose_revision(service, pin);
  if (pin->mode == PIN_EXPLICIT)
    check_convention(service, pin, why, cap);
  if (!*why && *pin->revision && !streq(pin->revision, pin->live_revision))
    find_revision(revisions, pin, out, why, cap);
  return OME_OK;
}
