/* The objects that a service is made of: applied where they differ, deleted where they are wanted no more. */
#include "base/log.h"
#include "base/str.h"
#include "compose/names.h"
#include "controller/diff.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

/* ---- applying ---------------------------------------------------------------------------------------------------- */

static char *memo_key(struct json_object *o) {
  return str_printf("%s/%s/%s/%s", json_str(o, "apiVersion", ""), json_str(o, "kind", ""), meta_namespace(o),
                    meta_name(o));
}

/* What WANT was when LIVE had this version. */
static char *memo_text(struct json_object *want, struct json_object *live) {
  _cleanup_free_ char *text = json_text(want);
  char digest[65];

  if (!text)
    return NULL;
  sha256_hex(text, strlen(text), digest);
  return str_printf("%s %s", json_str(live, "metadata.resourceVersion", ""), digest);
}

/* Whether our last apply of the same WANT led to just this LIVE: then another would change nothing, however differently
 * the server words what it stores. */
static bool is_settled(struct service_worker *w, const char *key, struct json_object *want, struct json_object *live) {
  const char *memo = strmap_get(w->applied, key);
  _cleanup_free_ char *now = memo ? memo_text(want, live) : NULL;

  return now && streq(memo, now);
}

/* Only what the server keeps in other words needs to be remembered. */
static void remember(struct service_worker *w, const char *key, struct json_object *want, struct json_object *live) {
  (void)strmap_del(w->applied, key);
  char *text = diff_apply_needed(want, live, CONTROLLER_MANAGER) ? memo_text(want, live) : NULL;

  if (text && !strmap_put(w->applied, key, text))
    free(text);
}

/* The object as it is on the server.  *OUT is new, or NULL: there is none. */
static int32_t ask_for(struct controller *c, struct child_kind *k, struct json_object *want, struct json_object **out,
                       struct ome_err *err) {
  int32_t rc = kube_get(c->client, k->resource, meta_namespace(want), meta_name(want), out, err);
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}

static int32_t check_owner(struct json_object *service, struct json_object *want, struct json_object *have,
                           struct ome_err *err) {
  struct json_object *owner = meta_owner(have);
  _cleanup_free_ char *whose =
      owner ? str_printf("%s %s", json_str(owner, "kind", ""), json_str(owner, "name", "")) : strdup("somebody else");

  if (!have || meta_is_owned_by(have, service))
    return OME_OK;
  return fail(err, OME_E_EXISTS, "metadata.name: %s %s/%s belongs to %s; delete it or give the service another name",
              json_str(want, "kind", ""), meta_namespace(want), meta_name(want), whose ? whose : "somebody else");
}

/* The server has WANT otherwise than we thought: what is ours is applied all the same. */
static int32_t apply_anew(struct controller *c, struct child_kind *k, struct json_object *service,
                          struct json_object *want, struct json_object **live, struct ome_err *err) {
  _cleanup_json_ struct json_object *have = NULL;
  struct ome_err refused = *err;
  int32_t rc = ask_for(c, k, want, &have, err);

  if (rc == OME_OK && !have) { /* gone by now: the next try makes it */
    *err = refused;
    return refused.code;
  }
  if (rc == OME_OK)
    rc = check_owner(service, want, have, err);
  return rc == OME_OK ? kube_apply_on(c->client, k->resource, want, meta_uid(have), CONTROLLER_MANAGER, live, err) : rc;
}

/* HAVE is what we know of, NULL: nothing.  The server takes WANT only where that is so, so that what somebody else has
 * under the name is never written to, whenever it came.  *MADE is whether it is new. */
static int32_t write_one(struct controller *c, struct child_kind *k, struct json_object *service,
                         struct json_object *want, struct json_object *have, struct json_object **live, bool *made,
                         struct ome_err *err) {
  const char *ns = meta_namespace(want);
  const char *name = meta_name(want);
  int32_t rc = scalers_hand_over(c, k, want, have, err);

  if (rc != OME_OK)
    return rc;
  kube_cache_writing(k->cache, ns, name);
  rc = kube_apply_on(c->client, k->resource, want, have ? meta_uid(have) : NULL, CONTROLLER_MANAGER, live, err);
  *made = !have && rc == OME_OK;
  if (rc == OME_E_CONFLICT)
    rc = apply_anew(c, k, service, want, live, err);
  kube_cache_wrote(k->cache, ns, name, rc == OME_OK ? *live : NULL);
  return rc;
}

/* *LIVE is the object as it is now; new. */
static int32_t apply_one(struct service_worker *w, struct json_object *service, struct json_object *want,
                         struct json_object *have, struct json_object **live, bool *made, struct ome_err *err) {
  struct controller *c = w->c;
  struct child_kind *k = child_kind_of(c, want);
  _cleanup_free_ char *key = memo_key(want);

  if (!key)
    return fail_memory(err);
  if (!k)
    return fail(err, OME_E_UNSUPPORTED, "the cluster does not have %s %s; install it", json_str(want, "apiVersion", ""),
                json_str(want, "kind", ""));
  int32_t rc = check_owner(service, want, have, err);
  if (rc != OME_OK)
    return rc;
  if (have && (!diff_apply_needed(want, have, CONTROLLER_MANAGER) || is_settled(w, key, want, have))) {
    *live = json_object_get(have);
    return OME_OK;
  }
  rc = write_one(c, k, service, want, have, live, made, err);
  if (rc == OME_OK)
    remember(w, key, want, *live);
  return rc == OME_OK || rc == OME_E_EXISTS
             ? rc
             : fail_prefix(err, "%s %s/%s", json_str(want, "kind", ""), meta_namespace(want), meta_name(want));
}

/* ---- pruning ----------------------------------------------------------------------------------------------------- */

struct wanted {
  const struct plan *plan;
  const struct child_kind *kind;
};

/* Whether the plan has an object NAME of the kind. */
static bool is_wanted(void *arg, const char *name) {
  const struct wanted *w = arg;

  for (size_t i = 0; i < json_len(w->plan->objects); i++) {
    struct json_object *o = json_index(w->plan->objects, i);
    if (streq(json_str(o, "kind", ""), w->kind->resource->kind) &&
        streq(json_str(o, "apiVersion", ""), w->kind->api_version) && streq(meta_name(o), name))
      return true;
  }
  return false;
}

struct json_object *children_unwanted(struct child_kind *k, struct json_object *service, const struct plan *plan) {
  struct kube_cache *cache = child_cache(k);
  struct wanted wanted = {plan, k};

  return cache ? kube_cache_owned_but(cache, meta_uid(service), is_wanted, &wanted) : NULL;
}

/* Whether O serves until what takes its place does. */
static bool holds_the_fort(const struct plan *plan, const struct child_kind *k, struct json_object *o,
                           const bool *ready) {
  const char *component = meta_label(o, LABEL_COMPONENT);

  for (size_t i = 0; k->workload && component && i < plan->nparts; i++)
    if (streq(plan->parts[i].kind, component))
      return !ready[i];
  return false;
}

/* Where that of a workload to go has the name, it goes with it, and its end is an event. */
int32_t children_take_over(struct service_worker *w, struct json_object *service, const struct plan *plan,
                           const bool *ready, const struct children_report *report, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < json_len(plan->objects); i++) {
    _cleanup_json_ struct json_object *live = NULL;
    bool made = false;
    size_t part;
    if (takeover_waits(plan, report->holders, i, &part) && !report->holders[part]->names && ready[part])
      rc = apply_one(w, service, json_index(plan->objects, i), json_index(report->live, i), &live, &made, err);
  }
  return rc;
}

int32_t children_prune(struct controller *c, struct json_object *service, const struct plan *plan, const bool *ready,
                       struct ome_err *err) {
  for (size_t i = 0; i < CHILD_KINDS; i++) {
    struct child_kind *k = &c->children[i];
    _cleanup_json_ struct json_object *unwanted = children_unwanted(k, service, plan);
    for (size_t j = 0; j < json_len(unwanted); j++) {
      struct json_object *o = json_index(unwanted, j);
      if (meta_deleting(o) || holds_the_fort(plan, k, o, ready) || (k->scaler && scalers_stays(c, plan, o)))
        continue;
      int32_t rc = kube_delete(c->client, k->resource, meta_namespace(o), meta_name(o), meta_uid(o),
                               k->names ? KUBE_FOREGROUND : KUBE_BACKGROUND, err);
      if (rc != OME_OK && rc != OME_E_NOT_FOUND)
        return fail_prefix(err, "delete %s %s/%s", k->resource->kind, meta_namespace(o), meta_name(o));
    }
  }
  return OME_OK;
}

/* Where the trouble with object number I of PLAN is to be read. */
static const char *condition_for(const struct plan *plan, size_t i) {
  static const char *const ready[COMPONENT_KINDS] = {"EngineReady", "DecoderReady", "RouterReady"};

  for (size_t k = 0; k < plan->nparts; k++) {
    const struct plan_component *c = &plan->parts[k];
    for (size_t n = 0; n < COMPONENT_KINDS; n++)
      if (i - c->deployment.first < c->deployment.count && streq(component_kinds[n], c->kind))
        return ready[n];
  }
  return i - plan->ingress.first < plan->ingress.count ? "IngressReady" : ready[0];
}

static bool is_scaler(const struct plan *plan, size_t i) {
  for (size_t k = 0; k < plan->nparts; k++)
    if (i - plan->parts[k].autoscaler.first < plan->parts[k].autoscaler.count)
      return true;
  return false;
}

/* Whether the service was found to want somebody else's names. */
static bool has_clashed(struct json_object *service) {
  return json_find(json_at(service, "status.conditions"), "reason", REASON_CLASH) != NULL;
}

/* *OUT is what there is of WANT, new or NULL.  The caches know what carries our label; a service that has wanted the
 * name of what does not asks before it makes anything. */
static int32_t look_up(struct controller *c, struct json_object *service, struct json_object *want,
                       struct json_object **out, struct ome_err *err) {
  struct child_kind *k = want ? child_kind_of(c, want) : NULL;

  *out = k ? kube_cache_get(k->cache, meta_namespace(want), meta_name(want)) : NULL;
  return k && !*out && has_clashed(service) ? ask_for(c, k, want, out, err) : OME_OK;
}

/* *OUT is a new array: of each object of PLAN what there is, or NULL. */
static int32_t look_at_all(struct service_worker *w, struct json_object *service, const struct plan *plan,
                           struct children_report *report, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *all = json_object_new_array();
  int32_t rc = all ? OME_OK : fail_memory(err);

  for (size_t i = 0; rc == OME_OK && i < json_len(plan->objects); i++) {
    struct json_object *want = json_index(plan->objects, i);
    struct json_object *have = NULL;
    rc = look_up(w->c, service, want, &have, err);
    size_t part;
    if (rc == OME_OK && takeover_waits(plan, report->holders, i, &part) && !meta_is_owned_by(have, service))
      json_unref(TAKE_PTR(have)); /* of the workload that is to go */
    if (rc != OME_OK)
      (void)fail_prefix(err, "%s %s/%s", json_str(want, "kind", ""), meta_namespace(want), meta_name(want));
    else if (!is_scaler(plan, i))
      rc = check_owner(service, want, have, err);
    if (rc != OME_OK)
      report->condition = condition_for(plan, i);
    if (json_object_array_add(all, have) != 0 && rc == OME_OK)
      rc = fail_memory(err);
  }
  if (rc == OME_OK)
    *out = TAKE_PTR(all);
  return rc;
}

/* Half a service serves nobody: where a name turned out to be somebody else's, what was made before goes again. */
static void unmake(struct controller *c, struct json_object *made) {
  for (size_t i = json_len(made); i-- > 0;) {
    struct json_object *o = json_index(made, i);
    struct child_kind *k = child_kind_of(c, o);
    struct ome_err err = ERR_INIT;
    if (k && kube_delete(c->client, k->resource, meta_namespace(o), meta_name(o), meta_uid(o), KUBE_BACKGROUND, &err) !=
                 OME_OK)
      log_warning("controller", "delete %s %s/%s: %s; it goes with its service", k->resource->kind, meta_namespace(o),
                  meta_name(o), err.msg);
  }
}

/* Object number I of PLAN, of which there is HAVE: what it is then is added to ALL, and to MADE where it is new.  An
 * autoscaler's failure is only reported: what cannot be scaled can still run and be reached. */
static int32_t sync_one(struct service_worker *w, struct json_object *service, const struct plan *plan, size_t i,
                        struct json_object *have, struct children_report *report, struct json_object *all,
                        struct json_object *made, struct ome_err *err) {
  struct json_object *want = json_index(plan->objects, i);
  struct json_object *one = NULL;
  struct ome_err failure = ERR_INIT;
  bool is_new = false;
  size_t part;

  if (takeover_waits(plan, report->holders, i, &part))
    return json_object_array_add(all, json_object_get(have)) == 0 ? OME_OK : fail_memory(err);
  int32_t rc = want ? apply_one(w, service, want, have, &one, &is_new, &failure) : OME_OK; /* NULL: withheld */

  if (rc != OME_OK && rc != OME_E_NO_MEMORY && is_scaler(plan, i)) {
    report->scaler = failure;
    rc = OME_OK;
  }
  if (rc != OME_OK) {
    report->condition = condition_for(plan, i);
    *err = failure;
    return rc;
  }
  if (is_new)
    (void)json_object_array_add(made, json_object_get(one));
  return json_object_array_add(all, one) == 0 ? OME_OK : fail_memory(err);
}

int32_t children_sync(struct service_worker *w, struct json_object *service, struct plan *plan,
                      struct children_report *report, struct ome_err *err) {
  _cleanup_json_ struct json_object *all = json_object_new_array();
  _cleanup_json_ struct json_object *made = json_object_new_array();
  _cleanup_json_ struct json_object *have = NULL;

  takeover_find(w->c, service, plan, report->holders);
  int32_t rc = all && made ? look_at_all(w, service, plan, report, &have, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = scalers_clear(w->c, service, plan, err);
  for (size_t i = 0; rc == OME_OK && i < json_len(plan->objects); i++)
    rc = sync_one(w, service, plan, i, json_index(have, i), report, all, made, err);
  if (rc == OME_E_EXISTS)
    unmake(w->c, made);
  if (rc == OME_OK)
    report->live = TAKE_PTR(all);
  return rc;
}
