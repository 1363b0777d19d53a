#include "select/named.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* ---- a named runtime --------------------------------------------------------------------------------------------- */

/* spec.runtime.kind is honoured: ServingRuntime looks in the namespace only, ClusterServingRuntime (the default) at
 * cluster scope first. */
static const struct select_runtime *find_named(const struct selection *s, struct json_object *service, const char *name,
                                               bool *clash) {
  bool namespaced_only = streq(json_str(service, "spec.runtime.kind", ""), "ServingRuntime");
  const struct select_runtime *found = NULL;

  *clash = false;
  for (size_t i = 0; i < s->nruntimes; i++) {
    const struct select_runtime *r = s->candidates[i].runtime;
    if (!streq(r->facts.name, name))
      continue;
    *clash |= found != NULL;
    if (namespaced_only && !r->ns)
      *clash = false;
    else if (!found || !r->ns)
      found = r;
  }
  return found;
}

/* What is known to live elsewhere is worth a hint. */
static int32_t named_is_missing(struct selection *s, const struct select_request *req, const char *name) {
  const struct select_field *f = req->field ? req->field : &s->own;
  const char *elsewhere = NULL;

  for (size_t i = 0; i < f->n && !elsewhere; i++)
    if (streq(f->runtimes[i].facts.name, name))
      elsewhere = f->runtimes[i].ns ? f->runtimes[i].ns : "";
  int n =
      snprintf(s->reason, sizeof(s->reason), "runtime %s not found in namespace %s%s", name, req->ns,
               streq(json_str(req->service, "spec.runtime.kind", ""), "ServingRuntime") ? "" : " or at cluster scope");
  if (elsewhere && *elsewhere)
    n += snprintf(s->reason + n, sizeof(s->reason) - (size_t)n, " (namespace %s has one of that name)", elsewhere);
  else if (elsewhere)
    n += snprintf(s->reason + n, sizeof(s->reason) - (size_t)n, " (a ClusterServingRuntime has that name)");
  (void)snprintf(s->reason + n, sizeof(s->reason) - (size_t)n,
                 "; apply it, or leave spec.runtime out to have one selected");
  s->code = OME_E_NOT_FOUND;
  return OME_OK;
}

/* What a person should know of C, which is used because it is named. */
static void advise(struct selection *s, const struct select_candidate *c, bool clash) {
  const char *name = c->runtime->facts.name;

  if (*s->model.problem)
    selection_warn(s, "runtime %s was not checked against model %s: %s", name, s->model.facts.name, s->model.problem);
  else if (s->model.doc && !c->score.entry)
    selection_warn(
        s,
        "runtime \"%s\" does not declare support for model \"%s\" (%.400s); proceeding because the runtime was named "
        "explicitly",
        name, s->model.facts.name, c->rejected);
  if (clash)
    selection_warn(
        s,
        "both a ServingRuntime of the namespace and a ClusterServingRuntime are named %s; the cluster's is used, set "
        "spec.runtime.kind to ServingRuntime for the other",
        name);
}

/* ---- pinned ------------------------------------------------------------------------------------------------------ */

static int32_t none(struct selection *s, int32_t code, const char *text) {
  s->code = code;
  (void)snprintf(s->reason, sizeof(s->reason), "%s", text);
  return OME_OK;
}

/* What REVISION keeps becomes the runtime. */
static int32_t use_revision(struct selection *s, struct json_object *revision, const struct select_runtime **r,
                            struct ome_err *err) {
  s->pinned_doc = revision_runtime(revision);
  if (!s->pinned_doc) {
    char text[sizeof(s->pin.revision) + 80];
    (void)snprintf(text, sizeof(text), "revision %s keeps no runtime; name another", s->pin.revision);
    return none(s, OME_E_CONFLICT, text);
  }
  *r = &s->pinned;
  return select_runtime_init(&s->pinned, s->pinned_doc, NULL, err);
}

/* *R is the runtime as it is now, and becomes the one that the service is pinned to.  S has a code where that is not
 * there. */
static int32_t use_pin(struct selection *s, const struct select_request *req, const struct select_runtime **r,
                       struct ome_err *err) {
  struct json_object *revision = NULL;
  char why[sizeof(s->pin.message) + 160];
  int32_t rc = revision_pin(req->service, *r, req->revisions, &s->pin, &revision, why, sizeof(why), err);

  if (rc != OME_OK)
    return rc;
  if (*why && s->pin.mode == PIN_NONE)
    selection_warn(s, "%s", why);
  else if (*why)
    return none(s, OME_E_CONFLICT, why);
  return revision ? use_revision(s, revision, r, err) : OME_OK;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

/* Why R cannot be used, whoever names it; false: it can. */
static bool is_unusable(struct selection *s, const struct select_runtime *r, const char *name) {
  if (r->facts.flags & OME_RUNTIME_DISABLED) {
    (void)snprintf(s->reason, sizeof(s->reason), "%s runtime %s is disabled",
                   r->ns ? "namespace-scoped" : "cluster-scoped", name);
    s->code = OME_E_DENIED;
  } else if (*r->problem) {
    (void)none(s, OME_E_CORRUPT, r->problem);
  }
  return s->code != OME_OK;
}

static void say_why(struct selection *s) {
  if (s->pin.mode == PIN_NONE)
    (void)snprintf(s->reason, sizeof(s->reason), "the service names it%s", s->model.doc ? "" : ", and no model");
  else
    (void)snprintf(s->reason, sizeof(s->reason), "the service names it, pinned to revision %s%s", s->pin.revision,
                   s->model.doc ? "" : ", and no model");
}

/* Without a model there is nothing that the runtime could not suit.  Who pins a runtime knows what it is (OME does not
 * advise then, either). */
int32_t named_use(struct selection *s, const struct score_context *ctx, const char *name, struct ome_err *err) {
  bool clash = false;
  const struct select_runtime *r = find_named(s, ctx->req->service, name, &clash);
  struct select_candidate *c = s->candidates; /* there is room for one, whatever was found */

  s->named = true;
  int32_t rc = use_pin(s, ctx->req, &r, err);
  if (rc != OME_OK || s->code != OME_OK)
    return rc;
  if (!r)
    return named_is_missing(s, ctx->req, name);
  *c = (struct select_candidate){.runtime = r};
  rc = s->model.doc ? score_runtime(ctx, r, c, err) : OME_OK;
  s->ncandidates = 1;
  if (rc != OME_OK)
    return rc;
  s->naccepted = c->score.entry != NULL;
  if (is_unusable(s, r, name))
    return OME_OK;
  s->chosen = c;
  say_why(s);
  if (s->pin.mode == PIN_NONE)
    advise(s, c, clash);
  return OME_OK;
}
