#include "select/score.h"

#include "select/gates.h"

#include <stdio.h>
#include <string.h>

/* What the scorers say of one entry. */
struct verdict {
  const char *scorer; /* whose call is running */
  int64_t points;
  bool reasons;              /* asked for; otherwise only points count, and the first rejection ends it */
  struct json_object *terms; /* owned; NULL: none yet.  A rejected entry's are not told, nor gathered */
  bool rejected;
  unsigned misses; /* how far from suiting: the sum over its rejections */
  char why[320];   /* reasons joined by ", " */
  bool failed;     /* memory ran out */
};

static void add_reason(char *to, size_t cap, const char *separator, const char *reason) {
  size_t used = strlen(to);

  if (used && used < cap)
    (void)snprintf(to + used, cap - used, "%s", separator);
  used = strlen(to);
  (void)snprintf(to + used, cap - used, "%s", reason);
}

/* What serves when it is named is nearer than what does not at all. */
enum { FAR = 2, NEAR = 1 };

static void add_rejection(struct verdict *v, unsigned misses, const char *reason) {
  v->rejected = true;
  v->misses += misses;
  if (v->reasons)
    add_reason(v->why, sizeof(v->why), ", ", reason);
}

static bool add_term(struct verdict *v, int64_t points, const char *reason) {
  if (!v->terms)
    v->terms = json_object_new_array();
  struct json_object *term = json_add_object(v->terms);
  return json_set_str(term, "scorer", v->scorer) && json_set_i64(term, "points", points) &&
         json_set_str(term, "reason", reason);
}

static int32_t on_points(struct ome_term_sink *s, int64_t points, const char *reason) {
  struct verdict *v = s->ctx;

  if (__builtin_add_overflow(v->points, points, &v->points))
    v->points = points > 0 ? INT64_MAX : INT64_MIN;
  v->failed |= v->reasons && !v->rejected && !add_term(v, points, reason ? reason : "");
  return v->failed ? OME_E_NO_MEMORY : OME_OK;
}

static int32_t on_reject(struct ome_term_sink *s, const char *reason) {
  struct verdict *v = s->ctx;

  add_rejection(v, FAR, reason && *reason ? reason : "rejected without a reason");
  return v->reasons ? OME_OK : OME_E_CANCELLED;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* What is asked about one runtime. */
struct inquiry {
  const struct score_context *ctx;
  struct ome_runtime_facts runtime;
  struct ome_accelerator_facts accelerator;
  struct ome_score_req req; /* points to the others */
};

/* The accelerator that the engine would have, and how many of it. */
static void ask_on_accelerator(struct inquiry *q, const struct select_runtime *runtime) {
  const struct select_request *req = q->ctx->req;
  struct accelerator_choice choice;

  accelerator_choose(req->service, "engine", runtime->doc, req->accelerators, &choice);
  if (!choice.class)
    return;
  select_accelerator_facts(choice.class, &q->accelerator);
  q->req.accelerator = &q->accelerator;
  q->runtime.devices = (uint32_t)accelerator_devices(req->service, "engine", runtime->doc);
}

static void prepare(struct inquiry *q, const struct score_context *ctx, const struct select_runtime *runtime,
                    bool reasons) {
  q->ctx = ctx;
  q->runtime = runtime->facts;
  q->req = (struct ome_score_req){
      .struct_size = sizeof(q->req),
      .flags = reasons ? 0u : OME_SCORE_NO_REASONS,
      .model = &ctx->model->facts,
      .runtime = &q->runtime,
      .service = ctx->service,
      .wish = ctx->wish,
  };
  if (ctx->req->service && ctx->req->accelerators)
    ask_on_accelerator(q, runtime);
}

/* Scorers by what they look at. */
enum scope { OF_RUNTIME = 1, OF_KIND = 2, OF_PAIR = 4 };

static enum scope scope_of(const struct select_scorer *s) {
  return s->caps & OME_SCORER_BY_RUNTIME ? OF_RUNTIME : s->caps & OME_SCORER_BY_ENTRY ? OF_KIND : OF_PAIR;
}

/* Those of SCOPES, about ENTRY; NULL: about the runtime alone. */
static int32_t ask_scorers(struct inquiry *q, const struct select_entry *entry, unsigned scopes, struct verdict *v,
                           struct ome_err *err) {
  const struct select_request *req = q->ctx->req;
  struct ome_term_sink sink = {.struct_size = sizeof(sink), .ctx = v, .points = on_points, .reject = on_reject};

  q->runtime.formats = (struct ome_list){entry ? &entry->facts : NULL, entry != NULL, sizeof(entry->facts)};
  q->runtime.size_min = entry ? entry->size_min : 0;
  q->runtime.size_max = entry ? entry->size_max : 0;
  for (size_t i = 0; i < req->nscorers; i++) {
    const struct select_scorer *s = &req->scorers[i];
    if (!(scope_of(s) & scopes))
      continue;
    v->scorer = s->name;
    int32_t rc = s->score(s->arg, &q->req, &sink, err);
    if (v->failed)
      return fail_memory(err);
    if (v->rejected && !v->reasons)
      return OME_OK;
    if (rc != OME_OK)
      return fail_prefix(err, "scorer %s: runtime %s", s->name, q->runtime.name);
  }
  return OME_OK;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

/* It suits the model; may it be picked without being named? */
static void check_automatic(const struct select_runtime *runtime, const struct select_entry *entry, struct verdict *v) {
  if (!runtime->any_auto)
    add_rejection(v, NEAR,
                  "supports the model but has no supportedModelFormats[].autoSelect=true entry, so automatic "
                  "selection skips it (name it in spec.runtime.name instead)");
  else if (entry->auto_select == ENTRY_AUTO_FALSE)
    add_rejection(v, NEAR, "the format entry that matches the model has autoSelect=false");
  else if (v->points <= 0)
    add_rejection(v, NEAR, "its score is not above 0");
}

static int32_t judge_entry(struct inquiry *q, const struct select_runtime *runtime, const struct select_entry *entry,
                           unsigned scopes, struct verdict *v, struct ome_err *err) {
  if (*entry->problem) {
    add_rejection(v, FAR, entry->problem);
    return OME_OK;
  }
  int32_t rc = ask_scorers(q, entry, scopes, v, err);
  if (rc == OME_OK && !v->rejected && q->ctx->automatic)
    check_automatic(runtime, entry, v);
  return rc;
}

/* How closely the entry's range fits: the bounded by width, then the half open by distance, then the open. */
static uint64_t range_distance(const struct select_entry *e, uint64_t size) {
  const uint64_t half_open = UINT64_MAX / 2;

  if (size == 0)
    return 0;
  if (e->size_min && e->size_max)
    return e->size_max - e->size_min;
  if (e->size_min)
    return half_open + (size - e->size_min) / 2;
  if (e->size_max)
    return half_open + (e->size_max - size) / 2;
  return UINT64_MAX;
}

static struct score score_of(const struct score_context *ctx, const struct select_entry *entry,
                             const struct verdict *v) {
  return (struct score){
      .entry = entry,
      .points = v->points,
      .distance = range_distance(entry, ctx->model->facts.parameters),
      .intent = select_by_intent(entry, ctx->model),
  };
}

/* Rules 3 and 4 of the order in select.h. */
int score_compare(const struct score *a, const struct score *b) {
  if (a->points != b->points)
    return a->points > b->points ? -1 : 1;
  if (a->distance != b->distance)
    return a->distance < b->distance ? -1 : 1;
  return 0;
}

/* Of equal entries the first; it makes no difference. */
bool score_is_better(const struct score *a, const struct score *best) {
  if (!best->entry || a->intent != best->intent)
    return !best->entry || !a->intent;
  return score_compare(a, best) < 0;
}

/* ---- many models ------------------------------------------------------------------------------------------------- */

static void begin(struct verdict *v, int64_t points) {
  v->points = points;
  v->reasons = v->rejected = v->failed = false;
  v->misses = 0;
}

/* One place of a kind that is not rejected, which is worth POINTS. */
static int32_t score_place(const struct score_context *ctx, struct select_place at, int64_t points, score_fn *fn,
                           void *arg, struct ome_err *err) {
  const struct select_runtime *runtime = &ctx->req->field->runtimes[at.runtime];
  const struct select_entry *entry = &runtime->entries[at.entry];
  struct inquiry q;
  struct verdict v;
  char why[160];

  if (!gate_namespace(runtime, ctx->req->ns) || !gate_capabilities(runtime, ctx->model, why, sizeof(why)))
    return OME_OK;
  begin(&v, points);
  prepare(&q, ctx, runtime, false);
  int32_t rc = ask_scorers(&q, NULL, OF_RUNTIME, &v, err);
  if (rc == OME_OK && !v.rejected)
    rc = judge_entry(&q, runtime, entry, OF_PAIR, &v, err);
  if (rc != OME_OK || v.rejected)
    return rc;
  struct score s = score_of(ctx, entry, &v);
  fn(arg, runtime, &s);
  return OME_OK;
}

/* Asked about the first of a kind: what is said holds for all. */
static int32_t ask_about_kind(const struct score_context *ctx, struct select_place first, struct verdict *v,
                              struct ome_err *err) {
  const struct select_runtime *runtime = &ctx->req->field->runtimes[first.runtime];
  struct inquiry q;

  begin(v, 0);
  prepare(&q, ctx, runtime, false);
  return ask_scorers(&q, &runtime->entries[first.entry], OF_KIND, v, err);
}

int32_t score_field(const struct score_context *ctx, score_fn *fn, void *arg, struct ome_err *err) {
  const struct select_field *f = ctx->req->field;
  uint32_t at = 0;

  for (size_t k = 0; k < f->nkinds; k++) {
    struct verdict v;
    int32_t rc = ask_about_kind(ctx, f->places[at], &v, err);
    for (; rc == OME_OK && !v.rejected && at < f->ends[k]; at++)
      rc = score_place(ctx, f->places[at], v.points, fn, arg, err);
    if (rc != OME_OK)
      return rc;
    at = f->ends[k];
  }
  return OME_OK;
}

/* ---- one runtime, with all reasons ------------------------------------------------------------------------------- */

/* Rejections of the entries that come nearest, joined, each once. */
struct rejections {
  char text[512];
};

/* One entry with all its reasons, on top of what was said OF_RUNTIME. */
static int32_t score_entry(struct inquiry *q, const struct select_runtime *runtime, const struct select_entry *entry,
                           const struct verdict *of_runtime, struct select_candidate *out, struct rejections *rejected,
                           struct ome_err *err) {
  struct verdict v = {.reasons = true, .points = of_runtime->points};
  int32_t rc = judge_entry(q, runtime, entry, OF_KIND | OF_PAIR, &v, err);

  if (rc == OME_OK && v.rejected) {
    if (v.misses < out->misses)
      *rejected->text = '\0';
    out->misses = v.misses < out->misses ? v.misses : out->misses;
    if (v.misses == out->misses && !strstr(rejected->text, v.why))
      add_reason(rejected->text, sizeof(rejected->text), "; ", v.why);
  } else if (rc == OME_OK) {
    struct score s = score_of(q->ctx, entry, &v);
    if (score_is_better(&s, &out->score)) {
      json_unref(out->terms);
      out->terms = TAKE_PTR(v.terms);
      out->score = s;
    }
  }
  json_unref(v.terms);
  return rc;
}

/* The terms of the runtime behind those of the entry; takes MORE. */
static int32_t append_terms(struct select_candidate *c, struct json_object *more, struct ome_err *err) {
  bool ok = true;

  if (!c->terms)
    c->terms = more;
  else {
    ok = json_add_all(c->terms, more);
    json_unref(more);
  }
  return ok ? OME_OK : fail_memory(err);
}

static int32_t score_entries(struct inquiry *q, const struct select_runtime *runtime, const struct verdict *of_runtime,
                             struct select_candidate *out, struct ome_err *err) {
  struct rejections rejected = {""};

  for (size_t i = 0; i < runtime->nentries; i++) {
    int32_t rc = score_entry(q, runtime, &runtime->entries[i], of_runtime, out, &rejected, err);
    if (rc != OME_OK)
      return rc;
  }
  if (!out->score.entry)
    (void)snprintf(out->rejected, sizeof(out->rejected), "%s",
                   runtime->nentries ? rejected.text : "runtime has no supportedModelFormats");
  return OME_OK;
}

int32_t score_runtime(const struct score_context *ctx, const struct select_runtime *runtime,
                      struct select_candidate *out, struct ome_err *err) {
  struct verdict v = {.reasons = true};
  struct inquiry q;

  out->runtime = runtime;
  out->misses = UINT32_MAX;
  if (!gate_runtime(runtime, ctx->req->service, out->rejected, sizeof(out->rejected)) ||
      !gate_capabilities(runtime, ctx->model, out->rejected, sizeof(out->rejected)))
    return OME_OK;
  prepare(&q, ctx, runtime, true);
  int32_t rc = ask_scorers(&q, NULL, OF_RUNTIME, &v, err);
  if (rc == OME_OK && v.rejected)
    (void)snprintf(out->rejected, sizeof(out->rejected), "%s", v.why);
  else if (rc == OME_OK)
    rc = score_entries(&q, runtime, &v, out, err);
  if (rc == OME_OK && out->score.entry && v.terms)
    return append_terms(out, v.terms, err);
  json_unref(v.terms);
  return rc;
}
