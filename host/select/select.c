#include "select/select.h"

#include "base/buf.h"
#include "base/str.h"
#include "select/gates.h"
#include "select/incumbent.h"
#include "select/named.h"
#include "select/score.h"
#include "select/wish.h"

#include <stdarg.h>
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
  size_t k = 0;
  for (size_t i = 0; i < n && k < max; i++)
    if (plugin_scores(instances[i]))
      out[k++] = (struct select_scorer){.name = plugin_instance_name(instances[i]),
                                        .score = score_with_plugin,
                                        .arg = instances[i],
                                        .caps = plugin_scorer_caps(instances[i])};
  return k;
}

/* ---- order ------------------------------------------------------------------------------------------------------- */

/* The total order of select.h between two that suit. */
static int compare_accepted(const struct select_runtime *a, const struct score *as, const struct select_runtime *b,
                            const struct score *bs) {
  if (as->intent != bs->intent)
    return as->intent ? 1 : -1;
  if (!a->ns != !b->ns)
    return a->ns ? -1 : 1;
  int c = score_compare(as, bs);
  return c ? c : strcmp(a->facts.name, b->facts.name);
}

/* Rejected candidates come last, the nearest first. */
static int compare(const void *x, const void *y) {
  const struct select_candidate *a = x;
  const struct select_candidate *b = y;

  if (a->score.entry && b->score.entry)
    return compare_accepted(a->runtime, &a->score, b->runtime, &b->score);
  if (!a->score.entry != !b->score.entry)
    return a->score.entry ? -1 : 1;
  if (a->misses != b->misses)
    return a->misses < b->misses ? -1 : 1;
  if (!a->runtime->ns != !b->runtime->ns)
    return a->runtime->ns ? -1 : 1;
  return strcmp(a->runtime->facts.name, b->runtime->facts.name);
}

/* ---- candidates -------------------------------------------------------------------------------------------------- */

/* The namespace's candidates in the order of the documents, not yet scored. */
static int32_t enter_candidates(struct selection *s, const struct select_request *req, struct ome_err *err) {
  const struct select_field *f = req->field ? req->field : &s->own;
  int32_t rc = req->field ? OME_OK : select_field_init(&s->own, req->runtimes, err);

  if (rc != OME_OK)
    return rc;
  s->candidates = calloc(f->n + 1, sizeof(*s->candidates));
  if (!s->candidates)
    return fail_memory(err);
  for (size_t i = 0; i < f->n; i++)
    if (gate_namespace(&f->runtimes[i], req->ns))
      s->candidates[s->nruntimes++].runtime = &f->runtimes[i];
  return OME_OK;
}

/* ---- many models ------------------------------------------------------------------------------------------------- */

/* Candidates are in the order of the field's runtimes. */
static struct select_candidate *candidate_of(struct selection *s, const struct select_runtime *r) {
  size_t low = 0, high = s->nruntimes;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (s->candidates[middle].runtime < r)
      low = middle + 1;
    else
      high = middle;
  }
  return &s->candidates[low];
}

static void gather(void *arg, const struct select_runtime *r, const struct score *score) {
  struct select_candidate *c = candidate_of(arg, r);

  if (score_is_better(score, &c->score))
    c->score = *score;
}

/* The others are left out. */
static void keep_accepted(struct selection *s) {
  for (size_t i = 0; i < s->nruntimes; i++)
    if (s->candidates[i].score.entry)
      s->candidates[s->naccepted++] = s->candidates[i];
  s->ncandidates = s->naccepted;
  qsort(s->candidates, s->ncandidates, sizeof(*s->candidates), compare);
}

static int32_t score_all(struct selection *s, const struct score_context *ctx, struct ome_err *err) {
  if (ctx->req->brief) {
    int32_t rc = score_field(ctx, gather, s, err);
    if (rc != OME_OK)
      return rc;
    keep_accepted(s);
    if (s->naccepted)
      return OME_OK;
  }
  for (size_t i = 0; i < s->nruntimes; i++) {
    int32_t rc = score_runtime(ctx, s->candidates[i].runtime, &s->candidates[i], err);
    s->ncandidates++;
    if (rc != OME_OK)
      return rc;
    s->naccepted += s->candidates[i].score.entry != NULL;
  }
  if (s->ncandidates)
    qsort(s->candidates, s->ncandidates, sizeof(*s->candidates), compare);
  return OME_OK;
}

struct winner {
  const struct select_runtime *runtime; /* NULL: none so far */
  struct score score;
};

static void keep_best(void *arg, const struct select_runtime *r, const struct score *score) {
  struct winner *w = arg;

  if (!w->runtime || compare_accepted(r, score, w->runtime, &w->score) < 0)
    *w = (struct winner){r, *score};
}

int32_t select_winner(const struct select_request *req, const struct select_model *model,
                      const struct select_runtime **out, struct ome_err *err) {
  struct score_context ctx = {.req = req, .model = model, .service = {"", 0}, .automatic = true};
  struct winner best = {0};
  int32_t rc = *model->problem ? OME_OK : score_field(&ctx, keep_best, &best, err);

  *out = best.runtime;
  return rc;
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
    namespaced += s->candidates[i].runtime->ns != NULL;
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

/* Which rule of the order put A before B. */
static const char *deciding_rule(const struct select_candidate *a, const struct select_candidate *b) {
  if (a->score.intent != b->score.intent)
    return "states what the model states, rather";
  if (!a->runtime->ns != !b->runtime->ns)
    return "namespaced, so it goes before cluster scope and is nearer";
  if (a->score.points != b->score.points)
    return "a higher score";
  return a->score.distance != b->score.distance ? "the same score and a closer size range"
                                                : "the same score and an earlier name";
}

static int32_t choose(struct selection *s, const struct select_request *req, struct ome_err *err) {
  const char *assumed = s->model.assumed;

  if (incumbent_keep(s, req->service))
    return OME_OK;
  if (s->naccepted == 0)
    return none_suits(s, req->ns, err);
  s->chosen = &s->candidates[0];
  const struct select_candidate *second = s->naccepted > 1 ? &s->candidates[1] : NULL;
  if (!second)
    (void)snprintf(s->reason, sizeof(s->reason), "the only one of %zu runtimes that supports the model%s%s",
                   s->nruntimes, assumed ? "; " : "", assumed ? assumed : "");
  else
    (void)snprintf(s->reason, sizeof(s->reason), "%s than %s, the next of %zu that support the model%s%s",
                   deciding_rule(s->chosen, second), second->runtime->facts.name, s->naccepted, assumed ? "; " : "",
                   assumed ? assumed : "");
  return OME_OK;
}

void selection_warn(struct selection *s, const char *fmt, ...) {
  size_t used = strlen(s->warning);
  va_list ap;

  if (used && used + 3 < sizeof(s->warning)) {
    (void)strcpy(s->warning + used, "; ");
    used += 2;
  }
  va_start(ap, fmt);
  (void)vsnprintf(s->warning + used, sizeof(s->warning) - used, fmt, ap);
  va_end(ap);
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

struct json_object *selection_accelerator(const struct selection *s, const char *component) {
  return streq(component, "engine") ? s->engine.class : streq(component, "decoder") ? s->decoder.class : NULL;
}

/* A policy that finds nothing leaves the component to the runtime's own resources, and says so. */
static void choose_accelerators(struct selection *s, const struct select_request *req) {
  struct json_object *spec = json_get(req->service, "spec");
  struct json_object *runtime = s->chosen ? s->chosen->runtime->doc : NULL;

  accelerator_choose(req->service, "engine", runtime, req->accelerators, &s->engine);
  if (json_get(spec, "decoder"))
    accelerator_choose(req->service, "decoder", runtime, req->accelerators, &s->decoder);
  if (s->engine.code != OME_OK && !s->engine.named)
    selection_warn(s, "engine: %s", s->engine.reason);
  if (s->decoder.code != OME_OK && !s->decoder.named && !streq(s->decoder.reason, s->engine.reason))
    selection_warn(s, "decoder: %s", s->decoder.reason);
}

static int32_t run(struct selection *s, const struct select_request *req, struct ome_err *err) {
  const char *named = json_str(req->service, "spec.runtime.name", "");
  int32_t rc = select_model_init(&s->model, req->model, err);

  if (rc == OME_OK)
    rc = enter_candidates(s, req, err);
  if (rc != OME_OK)
    return rc;
  struct select_wish wish;
  select_wish_read(&wish, req->service);
  const char *text = req->service ? json_object_to_json_string_ext(req->service, JSON_C_TO_STRING_PLAIN) : "";
  struct score_context ctx = {
      .req = req,
      .model = &s->model,
      .service = {text, strlen(text)},
      .wish = req->service ? &wish.facts : NULL,
      .automatic = !*named,
  };
  if (*named)
    rc = named_use(s, &ctx, named, err);
  else if (*s->model.problem)
    return none(s, s->model.unread ? OME_E_UNAVAILABLE : OME_E_INVALID, s->model.problem);
  else if ((rc = score_all(s, &ctx, err)) == OME_OK)
    rc = choose(s, req, err);
  if (rc == OME_OK && req->service)
    choose_accelerators(s, req);
  return rc;
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
  for (size_t i = 0; i < s->ncandidates; i++)
    json_unref(s->candidates[i].terms);
  select_runtime_fini(&s->pinned);
  json_unref(s->pinned_doc);
  select_field_fini(&s->own);
  free(s->candidates);
  select_model_fini(&s->model);
  free(s);
}
