#include "select/select.h"

#include "base/buf.h"
#include "base/str.h"
#include "select/score.h"

#include <stdio.h>
#include <string.h>

/* Of the rejected candidates, this many are named in the sentence that says why nothing suits. */
#define EXCLUDED_IN_REASON 5

static int32_t score_with_plugin(void *arg, const struct ome_score_req *req, struct ome_term_sink *out,
                                 struct ome_err *err) {
  struct plugin_call call = {0};

  return plugin_score(arg, &call, req, out, err);
}

size_t select_scorers_of(struct plugins *p, struct select_scorer *out, size_t max) {
  struct plugin_instance *instances[64];
  size_t n = plugins_of_kind(p, OME_KIND_SCORER, instances, ARRAY_LEN(instances));

  if (n > ARRAY_LEN(instances))
    n = ARRAY_LEN(instances);
  if (n > max)
    n = max;
  for (size_t i = 0; i < n; i++)
    out[i] = (struct select_scorer){plugin_instance_name(instances[i]), score_with_plugin, instances[i]};
  return n;
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

static int compare_scope_and_name(const struct select_candidate *a, const struct select_candidate *b) {
  if (!a->runtime->ns != !b->runtime->ns)
    return a->runtime->ns ? -1 : 1;
  return strcmp(a->runtime->facts.name, b->runtime->facts.name);
}

/* The total order of select.h; rejected candidates come last. */
static int compare(const void *x, const void *y) {
  const struct select_candidate *a = x;
  const struct select_candidate *b = y;

  if (!a->entry != !b->entry)
    return a->entry ? -1 : 1;
  if (!a->entry && a->misses != b->misses)
    return a->misses < b->misses ? -1 : 1;
  if (!a->entry || !a->runtime->ns != !b->runtime->ns)
    return compare_scope_and_name(a, b);
  if (a->score != b->score)
    return a->score > b->score ? -1 : 1;
  if (a->distance != b->distance)
    return a->distance < b->distance ? -1 : 1;
  return strcmp(a->runtime->facts.name, b->runtime->facts.name);
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

static bool is_candidate(struct json_object *runtime, const char *ns) {
  const char *kind = json_str(runtime, "kind", "");

  return streq(kind, "ClusterServingRuntime") ||
         (streq(kind, "ServingRuntime") && streq(json_str(runtime, "metadata.namespace", "default"), ns));
}

static int32_t read_runtimes(struct selection *s, const struct select_request *req, struct ome_err *err) {
  size_t n = json_len(req->runtimes);

  s->runtimes = calloc(n + 1, sizeof(*s->runtimes));
  s->candidates = calloc(n + 1, sizeof(*s->candidates));
  if (!s->runtimes || !s->candidates)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++) {
    struct json_object *doc = json_index(req->runtimes, i);
    if (!is_candidate(doc, req->ns))
      continue;
    int32_t rc = select_runtime_init(&s->runtimes[s->nruntimes], doc, err);
    if (rc != OME_OK)
      return rc;
    s->nruntimes++;
  }
  return OME_OK;
}

static int32_t score_all(struct selection *s, const struct score_context *ctx, struct ome_err *err) {
  for (size_t i = 0; i < s->nruntimes; i++) {
    int32_t rc = score_runtime(ctx, &s->runtimes[i], &s->candidates[s->ncandidates++], err);
    if (rc != OME_OK)
      return rc;
    s->naccepted += s->candidates[i].entry != NULL;
  }
  if (s->ncandidates)
    qsort(s->candidates, s->ncandidates, sizeof(*s->candidates), compare);
  return OME_OK;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static int32_t none(struct selection *s, int32_t code, const char *text) {
  s->code = code;
  (void)snprintf(s->reason, sizeof(s->reason), "%s", text);
  return OME_OK;
}

static int32_t none_suits(struct selection *s, const char *ns, struct ome_err *err) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  size_t namespaced = 0;

  for (size_t i = 0; i < s->nruntimes; i++)
    namespaced += s->runtimes[i].ns != NULL;
  buf_addf(&text, "no runtime found to support model %s with format %s in namespace %s", s->model.facts.name,
           s->model.facts.format, ns);
  if (s->nruntimes == 0)
    buf_adds(&text, "; there are no ServingRuntimes in the namespace and no ClusterServingRuntimes: apply one");
  else
    buf_addf(&text,
             ". Checked %zu runtimes (%zu namespace-scoped, %zu cluster-scoped). Excluded runtimes: ", s->nruntimes,
             namespaced, s->nruntimes - namespaced);
  for (size_t i = 0; i < s->ncandidates && i < EXCLUDED_IN_REASON; i++)
    buf_addf(&text, "%s%s (%s)", i ? "; " : "", s->candidates[i].runtime->facts.name, s->candidates[i].rejected);
  if (s->ncandidates > EXCLUDED_IN_REASON)
    buf_addf(&text, "; and %zu more: see ome explain", s->ncandidates - EXCLUDED_IN_REASON);
  if (!buf_ok(&text))
    return fail_memory(err);
  return none(s, OME_E_NOT_FOUND, buf_str(&text));
}

static int32_t choose(struct selection *s, const struct select_request *req, struct ome_err *err) {
  const char *assumed = s->model.assumed;

  if (s->naccepted == 0)
    return none_suits(s, req->ns, err);
  s->chosen = &s->candidates[0];
  const struct select_candidate *second = s->naccepted > 1 ? &s->candidates[1] : NULL;
  if (!second)
    (void)snprintf(s->reason, sizeof(s->reason), "the only one of %zu runtimes that supports the model%s%s",
                   s->nruntimes, assumed ? "; " : "", assumed ? assumed : "");
  else
    (void)snprintf(s->reason, sizeof(s->reason), "%s than %s, the next of %zu that support the model%s%s",
                   !s->chosen->runtime->ns != !second->runtime->ns ? "namespaced, so it goes before cluster scope and"
                                                                     " is nearer"
                   : s->chosen->score != second->score             ? "a higher score"
                   : s->chosen->distance != second->distance       ? "the same score and a closer size range"
                                                                   : "the same score and an earlier name",
                   second->runtime->facts.name, s->naccepted, assumed ? "; " : "", assumed ? assumed : "");
  return OME_OK;
}

/* ---- a named runtime --------------------------------------------------------------------------------------------- */

/* spec.runtime.kind is honoured: ServingRuntime looks in the namespace only, ClusterServingRuntime (the default) at
 * cluster scope first. */
static struct select_runtime *find_named(struct selection *s, struct json_object *service, const char *name) {
  bool namespaced_only = streq(json_str(service, "spec.runtime.kind", ""), "ServingRuntime");
  struct select_runtime *found = NULL;

  for (size_t i = 0; i < s->nruntimes; i++) {
    struct select_runtime *r = &s->runtimes[i];
    if (!streq(r->facts.name, name) || (namespaced_only && !r->ns))
      continue;
    if (!found || !r->ns)
      found = r;
  }
  return found;
}

static int32_t use_named(struct selection *s, const struct score_context *ctx, const char *name, struct ome_err *err) {
  struct select_runtime *r = find_named(s, ctx->req->service, name);
  struct select_candidate *c = &s->candidates[0];

  s->named = true;
  if (!r) {
    (void)snprintf(s->reason, sizeof(s->reason),
                   "runtime %s not found in namespace %s or at cluster scope; apply it, or leave spec.runtime out to "
                   "have one selected",
                   name, ctx->req->ns);
    s->code = OME_E_NOT_FOUND;
    return OME_OK;
  }
  int32_t rc = score_runtime(ctx, r, c, err);
  if (rc != OME_OK)
    return rc;
  s->ncandidates = 1;
  s->naccepted = c->entry != NULL;
  if (r->facts.flags & OME_RUNTIME_DISABLED) {
    (void)snprintf(s->reason, sizeof(s->reason), "%s runtime %s is disabled",
                   r->ns ? "namespace-scoped" : "cluster-scoped", name);
    s->code = OME_E_DENIED;
    return OME_OK;
  }
  s->chosen = c;
  (void)snprintf(s->reason, sizeof(s->reason), "the service names it");
  if (*s->model.problem)
    (void)snprintf(s->warning, sizeof(s->warning), "runtime %s was not checked against model %s: %s", name,
                   s->model.facts.name, s->model.problem);
  else if (!c->entry)
    (void)snprintf(s->warning, sizeof(s->warning),
                   "runtime \"%s\" does not declare support for model \"%s\" (%.400s); proceeding because the runtime "
                   "was named explicitly",
                   name, s->model.facts.name, c->rejected);
  return OME_OK;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

/* The class that the service names: its engine's, else its own.  Policies come with the accelerator plugins. */
static struct json_object *named_accelerator(const struct select_request *req) {
  const char *name = json_str(req->service, "spec.engine.acceleratorOverride.acceleratorClass", "");

  if (!*name)
    name = json_str(req->service, "spec.acceleratorSelector.acceleratorClass", "");
  for (size_t i = 0; *name && i < json_len(req->accelerators); i++) {
    struct json_object *a = json_index(req->accelerators, i);
    if (streq(json_str(a, "metadata.name", ""), name))
      return a;
  }
  return NULL;
}

static int32_t run(struct selection *s, const struct select_request *req, struct ome_err *err) {
  const char *named = json_str(req->service, "spec.runtime.name", "");
  struct ome_accelerator_facts accelerator;
  int32_t rc = select_model_init(&s->model, req->model, err);

  if (rc == OME_OK)
    rc = read_runtimes(s, req, err);
  if (rc != OME_OK)
    return rc;
  s->accelerator = named_accelerator(req);
  if (s->accelerator)
    select_accelerator_facts(s->accelerator, &accelerator);
  const char *text = req->service ? json_object_to_json_string_ext(req->service, JSON_C_TO_STRING_PLAIN) : "";
  struct score_context ctx = {
      .req = req,
      .model = &s->model,
      .accelerator = s->accelerator ? &accelerator : NULL,
      .service = {text, strlen(text)},
      .automatic = !*named,
  };
  if (*named)
    return use_named(s, &ctx, named, err);
  if (*s->model.problem)
    return none(s, OME_E_INVALID, s->model.problem);
  rc = score_all(s, &ctx, err);
  return rc == OME_OK ? choose(s, req, err) : rc;
}

int32_t select_runtime(const struct select_request *req, struct selection **out, struct ome_err *err) {
  struct selection *s = calloc(1, sizeof(*s));

  if (!s)
    return fail_memory(err);
  int32_t rc = run(s, req, err);
  if (rc != OME_OK) {
    selection_free(s);
    return rc;
  }
  *out = s;
  return OME_OK;
}

void selection_free(struct selection *s) {
  if (!s)
    return;
  for (size_t i = 0; s->runtimes && i < s->nruntimes; i++)
    select_runtime_fini(&s->runtimes[i]);
  for (size_t i = 0; s->candidates && i < s->ncandidates; i++)
    json_unref(s->candidates[i].terms);
  free(s->runtimes);
  free(s->candidates);
  select_model_fini(&s->model);
  free(s);
}
