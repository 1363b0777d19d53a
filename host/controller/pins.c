/* Revisions of runtimes that services are pinned to (select/revision.h): read where one is wanted, taken of what a
 * runtime says as soon as a service is pinned to it, and removed when nobody needs them any more. */
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define LOOK_AGAIN_MS 60000u /* for one that is not there: revisions are not watched */
#define MAX_KNOWN 256        /* texts a worker keeps: they never change */
#define ELIGIBLE_SINCE "ome.io/gc-eligible-since"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int32_t keep_text(struct service_worker *w, struct json_object *revision, struct ome_err *err) {
  if (w->revisions && strmap_len(w->revisions) >= MAX_KNOWN) {
    strmap_free(w->revisions);
    w->revisions = NULL;
  }
  if (!w->revisions)
    w->revisions = strmap_new(free);
  char *text = w->revisions ? json_text(revision) : NULL;
  if (!text || !strmap_put(w->revisions, meta_name(revision), text)) {
    free(text);
    return fail_memory(err);
  }
  return OME_OK;
}

/* *OUT is new; NULL: it is not there. */
static int32_t read_revision(struct service_worker *w, const char *name, struct json_object **out,
                             struct ome_err *err) {
  const char *text = w->revisions ? strmap_get(w->revisions, name) : NULL;

  if (text)
    return json_parse(text, strlen(text), 0, out, err);
  int32_t rc = kube_get(w->c->client, &KUBE_CONTROLLERREVISIONS, w->c->ome_namespace, name, out, err);
  if (rc == OME_OK)
    return keep_text(w, *out, err);
  if (rc != OME_E_NOT_FOUND)
    return fail_prefix(err, "ControllerRevision %s", name);
  err_clear(err);
  return OME_OK;
}

int32_t pins_load(struct service_worker *w, struct json_object *service, uint64_t *requeue_ms, struct ome_err *err) {
  const char *name = revision_wanted(service);
  struct json_object *revision = NULL;
  int32_t rc = *name ? read_revision(w, name, &revision, err) : OME_OK;

  json_unref(w->world.revisions);
  w->world.revisions = NULL;
  if (rc == OME_OK && *name && !revision)
    *requeue_ms = LOOK_AGAIN_MS;
  if (rc != OME_OK || !revision)
    return rc;
  w->world.revisions = json_object_new_array();
  return json_add(w->world.revisions, revision) ? OME_OK : fail_memory(err);
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b) {
  int64_t x = json_i64(*(struct json_object *const *)a, "revision", 0);
  int64_t y = json_i64(*(struct json_object *const *)b, "revision", 0);

  return (x < y) - (x > y);
}

static bool is_used(struct json_object *services, const char *name) {
  for (size_t i = 0; i < json_len(services); i++)
    if (revision_is_used(json_index(services, i), name))
      return true;
  return false;
}

static int32_t mark(struct controller *c, const char *name, const char *since, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = json_object_new_object();
  _cleanup_json_ struct json_object *annotations = json_object_new_object();

  if (!patch || !annotations || !json_put(annotations, ELIGIBLE_SINCE, since ? json_object_new_string(since) : NULL) ||
      !json_set(patch, "metadata.annotations", TAKE_PTR(annotations)))
    return fail_memory(err);
  return kube_patch(c->client, &KUBE_CONTROLLERREVISIONS, c->ome_namespace, name, NULL, KUBE_PATCH_MERGE, patch, NULL,
                    err);
}

/* One beyond the newest: it is marked when nobody uses it, and goes when it has been so for a while. */
static int32_t collect_one(struct controller *c, struct json_object *revision, bool used, struct ome_err *err) {
  const char *since = meta_annotation(revision, ELIGIBLE_SINCE);
  const char *name = meta_name(revision);
  int64_t since_ms = 0;
  char now[TIME_TEXT];

  if (used)
    return since ? mark(c, name, NULL, err) : OME_OK;
  if (since && time_parse(since, &since_ms) && wall_ms() - since_ms >= (int64_t)c->revision_grace_ms)
    return kube_delete(c->client, &KUBE_CONTROLLERREVISIONS, c->ome_namespace, name, meta_uid(revision),
                       KUBE_BACKGROUND, err);
  time_format(wall_ms() / 1000, now);
  return since_ms ? OME_OK : mark(c, name, now, err);
}

/* REVISIONS are those of one runtime.  What cannot be collected now is next time. */
static void collect(struct controller *c, struct json_object *revisions) {
  _cleanup_json_ struct json_object *services = NULL;
  struct ome_err err = ERR_INIT;

  if (json_len(revisions) <= c->revision_retention)
    return;
  json_object_array_sort(revisions, newest_first);
  services = kube_cache_list(c->watches[WATCH_SERVICES], NULL);
  for (size_t i = c->revision_retention; services && i < json_len(revisions); i++) {
    struct json_object *r = json_index(revisions, i);
    int32_t rc = collect_one(c, r, is_used(services, meta_name(r)), &err);
    if (rc != OME_OK && rc != OME_E_NOT_FOUND)
      log_warning("controller", "ControllerRevision %s: %s; tried again with the runtime's next revision", meta_name(r),
                  err.msg);
    err_clear(&err);
  }
}

/* ---- keeping ----------------------------------------------------------------------------------------------------- */

/* The revisions of R that there are; new. */
static int32_t list_revisions(struct controller *c, const struct select_runtime *r, struct json_object **out,
                              struct ome_err *err) {
  _cleanup_free_ char *labels =
      r->ns ? str_printf("ome.io/runtime-of=%s,ome.io/runtime-of-namespace=%s", r->facts.name, r->ns)
            : str_printf("ome.io/runtime-of=%s,!ome.io/runtime-of-namespace", r->facts.name);
  const struct kube_list_opts opts = {.labels = labels};
  _cleanup_json_ struct json_object *list = NULL;
  int32_t rc =
      labels ? kube_list(c->client, &KUBE_CONTROLLERREVISIONS, c->ome_namespace, &opts, &list, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  *out = json_get(list, "items") ? json_object_get(json_get(list, "items")) : json_object_new_array();
  return *out ? OME_OK : fail_memory(err);
}

static int64_t next_number(struct json_object *revisions) {
  int64_t last = 0;

  for (size_t i = 0; i < json_len(revisions); i++) {
    int64_t n = json_i64(json_index(revisions, i), "revision", 0);
    last = n > last ? n : last;
  }
  return last + 1;
}

static int32_t take_revision(struct service_worker *w, const struct select_pin *pin, struct ome_err *err) {
  struct controller *c = w->c;
  _cleanup_json_ struct json_object *revisions = NULL;
  int32_t rc = list_revisions(c, pin->live, &revisions, err);

  if (rc != OME_OK)
    return rc;
  _cleanup_json_ struct json_object *revision =
      revision_document(pin->live, pin->live_revision, c->ome_namespace, next_number(revisions));
  if (!revision)
    return fail_memory(err);
  rc = kube_create(c->client, &KUBE_CONTROLLERREVISIONS, revision, NULL, err);
  if (rc == OME_E_EXISTS) { /* equal names are of equal specs */
    err_clear(err);
    rc = OME_OK;
  } else if (rc == OME_OK && json_add(revisions, json_object_get(revision))) {
    collect(c, revisions);
  }
  return rc == OME_OK ? keep_text(w, revision, err) : rc;
}

int32_t pins_keep(struct service_worker *w, const struct plan *plan, struct ome_err *err) {
  const struct select_pin *pin = plan->selection ? &plan->selection->pin : NULL;

  if (!pin || pin->mode == PIN_NONE || !pin->live || (w->revisions && strmap_has(w->revisions, pin->live_revision)))
    return OME_OK;
  int32_t rc = take_revision(w, pin, err);
  return rc == OME_OK ? rc : fail_prefix(err, "revision %s of runtime %s", pin->live_revision, pin->live->facts.name);
}
