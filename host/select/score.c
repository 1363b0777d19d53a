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
  unsigned misses; /* how often */
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

static void add_rejection(struct verdict *v, const char *reason) {
  v->rejected = true;
  v->misses++;
  if (v->reasons)
    add_reason(v->why, sizeof(v->why), ", ", reason);
}

static bool add_term(struct verdict *v, int64_t points, const char *reason) {
  struct json_object *term = json_object_new_object();

  if (!v->terms)
    v->terms = json_object_new_array();
  return v->terms && term && json_set_str(term, "scorer", v->scorer) && json_set_i64(term, "points", points) &&
         json_set_str(term, "reason", reason) && json_object_array_add(v->terms, term) == 0;
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

  add_rejection(v, reason && *reason ? reason : "rejected without a reason");
  return v->reasons ? OME_OK : OME_E_CANCELLED;
}

/* Which scorers: all, those that look at nothing but model and entry (whose answer is the kind's), or the others. */
enum asked { ASK_ALL, ASK_OF_KIND, ASK_OF_PAIR };

static int32_t ask_scorers(const struct score_context *ctx, const struct select_runtime *runtime,
                           const struct select_entry *entry, enum asked which, struct verdict *v, struct ome_err *err) {
  struct ome_runtime_facts facts = runtime->facts;
  struct ome_term_sink sink = {.struct_size = sizeof(sink), .ctx = v, .points = on_points, .reject = on_reject};
  struct ome_accelerator_facts accelerator;
  struct ome_score_req req = {
      .struct_size = sizeof(req),
      .flags = v->reasons ? 0u : OME_SCORE_NO_REASONS,
      .model = &ctx->model->facts,
      .runtime = &facts,
      .service = ctx->service,
  };

  facts.formats = (struct ome_list){&entry->facts, 1, sizeof(entry->facts)};
  facts.size_min = entry->size_min;
  facts.size_max = entry->size_max;
  if (ctx->req->service && ctx->req->accelerators) {
    struct accelerator_choice choice;
    accelerator_choose(ctx->req->service, "engine", runtime->doc, ctx->req->accelerators, &choice);
    if (choice.class) {
      select_accelerator_facts(choice.class, &accelerator);
      req.accelerator = &accelerator;
    }
  }
  for (size_t i = 0; i < ctx->req->nscorers; i++) {
    const struct select_scorer *s = &ctx->req->scorers[i];
    if (which != ASK_ALL && s->by_entry != (which == ASK_OF_KIND))
      continue;
    v->scorer = s->name;
    int32_t rc = s->score(s->arg, &req, &sink, err);
    if (v->failed)
      return fail_memory(err);
    if (v->rejected && !v->reasons)
      return OME_OK;
    if (rc != OME_OK)
      return fail_prefix(err, "scorer %s: runtime %s", s->name, facts.name);
  }
  return OME_OK;
}

/* It suits the model; may it be picked without being named? */
static void check_automatic(const struct select_runtime *runtime, const struct select_entry *entry, struct verdict *v) {
  if (!runtime->any_auto)
    add_rejection(v, "supports the model but has no supportedModelFormats[].autoSelect=true entry, so automatic "
                     "selection skips it (name it in spec.runtime.name instead)");
  else if (entry->auto_select == ENTRY_AUTO_FALSE)
    add_rejection(v, "the format entry that matches the model has autoSelect=false");
  else if (v->points <= 0)
    add_rejection(v, "its score is not above 0");
}

static int32_t judge_entry(const struct score_context *ctx, const struct select_runtime *runtime,
                           const struct select_entry *entry, enum asked which, struct verdict *v, struct ome_err *err) {
  char why[160];

  if (*entry->problem) {
    add_rejection(v, entry->problem);
    return OME_OK;
  }
  if (entry->pipeline && !gate_pipeline(entry, ctx->model, why, sizeof(why)))
    add_rejection(v, why);
  if (v->rejected && !v->reasons)
    return OME_OK;
  int32_t rc = ask_scorers(ctx, runtime, entry, which, v, err);
  if (rc == OME_OK && !v->rejected && ctx->automatic)
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

/* One place of a kind that is not rejected, which is worth POINTS. */
static int32_t score_place(const struct score_context *ctx, struct select_place at, int64_t points, score_fn *fn,
                           void *arg, struct ome_err *err) {
  const struct select_runtime *runtime = &ctx->req->field->runtimes[at.runtime];
  const struct select_entry *entry = &runtime->entries[at.entry];
  struct verdict v;
  char why[160];

  if (!gate_namespace(runtime, ctx->req->ns) || !gate_capabilities(runtime, ctx->model, why, sizeof(why)))
    return OME_OK;
  v.points = points;
  v.reasons = false;
  v.rejected = v.failed = false;
  v.misses = 0;
  int32_t rc = judge_entry(ctx, runtime, entry, ASK_OF_PAIR, &v, err);
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

  v->points = 0;
  v->reasons = false;
  v->rejected = v->failed = false;
  v->misses = 0;
  return ask_scorers(ctx, runtime, &runtime->entries[first.entry], ASK_OF_KIND, v, err);
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

/* One entry with all its reasons; a rejected one adds its own to REJECTED. */
static int32_t score_entry(const struct score_context *ctx, const struct select_runtime *runtime,
                           const struct select_entry *entry, struct select_candidate *out, char *rejected, size_t cap,
                           struct ome_err *err) {
  struct verdict v = {.reasons = true};
  int32_t rc = judge_entry(ctx, runtime, entry, ASK_ALL, &v, err);

  if (rc == OME_OK && v.rejected) {
    out->misses = v.misses < out->misses ? v.misses : out->misses;
    if (!strstr(rejected, v.why))
      add_reason(rejected, cap, "; ", v.why);
  } else if (rc == OME_OK) {
    struct score s = score_of(ctx, entry, &v);
    if (score_is_better(&s, &out->score)) {
      json_unref(out->terms);
      out->terms = TAKE_PTR(v.terms);
      out->score = s;
    }
  }
  json_unref(v.terms);
  return rc;
}

int32_t score_runtime(const struct score_context *ctx, const struct select_runtime *runtime,
                      struct select_candidate *out, struct ome_err *err) {
  char rejected[sizeof(out->rejected)] = "";

  out->runtime = runtime;
  out->misses = UINT32_MAX;
  if (!gate_runtime(runtime, ctx->req->service, out->rejected, sizeof(out->rejected)) ||
      !gate_capabilities(runtime, ctx->model, out->rejected, sizeof(out->rejected)))
    return OME_OK;
  for (size_t i = 0; i < runtime->nentries; i++) {
    int32_t rc = score_entry(ctx, runtime, &runtime->entries[i], out, rejected, sizeof(rejected), err);
    if (rc != OME_OK)
      return rc;
  }
  if (!out->score.entry)
    (void)snprintf(out->rejected, sizeof(out->rejected), "%s",
                   runtime->nentries ? rejected : "runtime has no supportedModelFormats");
  return OME_OK;
}
