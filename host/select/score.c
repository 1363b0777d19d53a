#include "select/score.h"

#include "select/gates.h"

#include <stdio.h>
#include <string.h>

/* What the scorers say of one entry. */
struct verdict {
  const char *scorer; /* whose call is running */
  int64_t points;
  struct json_object *terms; /* NULL: only points count, and the first rejection ends it */
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
  if (v->terms)
    add_reason(v->why, sizeof(v->why), ", ", reason);
}

static bool add_term(struct verdict *v, int64_t points, const char *reason) {
  struct json_object *term = json_object_new_object();

  return term && json_set_str(term, "scorer", v->scorer) && json_set_i64(term, "points", points) &&
         json_set_str(term, "reason", reason) && json_object_array_add(v->terms, term) == 0;
}

static int32_t on_points(struct ome_term_sink *s, int64_t points, const char *reason) {
  struct verdict *v = s->ctx;

  if (__builtin_add_overflow(v->points, points, &v->points))
    v->points = points > 0 ? INT64_MAX : INT64_MIN;
  v->failed |= v->terms && !add_term(v, points, reason ? reason : "");
  return v->failed ? OME_E_NO_MEMORY : OME_OK;
}

static int32_t on_reject(struct ome_term_sink *s, const char *reason) {
  struct verdict *v = s->ctx;

  add_rejection(v, reason && *reason ? reason : "rejected without a reason");
  return v->terms ? OME_OK : OME_E_CANCELLED;
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
      .flags = v->terms ? 0u : OME_SCORE_NO_REASONS,
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
    if (v->rejected && !v->terms)
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
  if (v->rejected && !v->terms)
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
static bool better(const struct score *a, const struct score *best) {
  if (!best->entry || a->intent != best->intent)
    return !best->entry || !a->intent;
  return score_compare(a, best) < 0;
}

static int32_t ask_about_kind(const struct score_context *ctx, const struct select_runtime *runtime,
                              const struct select_entry *entry, struct kind_verdict *out, struct ome_err *err) {
  struct verdict v = {.terms = NULL};
  int32_t rc = ask_scorers(ctx, runtime, entry, ASK_OF_KIND, &v, err);

  out->state = v.rejected ? KIND_REJECTED : KIND_POSSIBLE;
  out->points = v.points;
  return rc;
}

/* What is known of the kind of the I-th entry, asked about once for a model; NULL: kinds are not told apart. */
static const struct kind_verdict *verdict_of(const struct score_context *ctx, const struct select_runtime *runtime,
                                             size_t i, int32_t *rc, struct ome_err *err) {
  struct kind_verdict *k = ctx->verdicts && runtime->kinds ? &ctx->verdicts[runtime->kinds[i]] : NULL;

  if (k && k->state == KIND_UNKNOWN)
    *rc = ask_about_kind(ctx, runtime, &runtime->entries[i], k, err);
  return k;
}

int32_t score_quickly(const struct score_context *ctx, const struct select_runtime *runtime, struct score *out,
                      struct ome_err *err) {
  struct verdict v;
  char why[160];

  out->entry = NULL;
  if (!gate_runtime(runtime, ctx->req->service, why, sizeof(why)) ||
      !gate_capabilities(runtime, ctx->model, why, sizeof(why)))
    return OME_OK;
  v.terms = NULL;
  for (size_t i = 0; i < runtime->nentries; i++) {
    int32_t rc = OME_OK;
    const struct kind_verdict *k = verdict_of(ctx, runtime, i, &rc, err);
    if (rc == OME_OK && k && k->state == KIND_REJECTED)
      continue;
    v.points = k ? k->points : 0;
    v.rejected = v.failed = false;
    v.misses = 0;
    if (rc == OME_OK)
      rc = judge_entry(ctx, runtime, &runtime->entries[i], k ? ASK_OF_PAIR : ASK_ALL, &v, err);
    if (rc != OME_OK)
      return rc;
    if (v.rejected)
      continue;
    struct score s = score_of(ctx, &runtime->entries[i], &v);
    if (better(&s, out))
      *out = s;
  }
  return OME_OK;
}

/* One entry with all its reasons; a rejected one adds its own to REJECTED. */
static int32_t score_entry(const struct score_context *ctx, const struct select_runtime *runtime,
                           const struct select_entry *entry, struct select_candidate *out, char *rejected, size_t cap,
                           struct ome_err *err) {
  struct verdict v = {.terms = json_object_new_array()};
  int32_t rc = v.terms ? judge_entry(ctx, runtime, entry, ASK_ALL, &v, err) : fail_memory(err);

  if (rc == OME_OK && v.rejected) {
    out->misses = v.misses < out->misses ? v.misses : out->misses;
    if (!strstr(rejected, v.why))
      add_reason(rejected, cap, "; ", v.why);
  } else if (rc == OME_OK) {
    struct score s = score_of(ctx, entry, &v);
    if (better(&s, &out->score)) {
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
