#include "select/score.h"

#include "select/gates.h"

#include <stdio.h>
#include <string.h>

/* What the scorers say of one entry. */
struct verdict {
  const char *scorer; /* whose call is running */
  int64_t points;
  struct json_object *terms;
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

static bool add_term(struct verdict *v, int64_t points, const char *reason) {
  struct json_object *term = json_object_new_object();

  return term && json_set_str(term, "scorer", v->scorer) && json_set_i64(term, "points", points) &&
         json_set_str(term, "reason", reason) && json_object_array_add(v->terms, term) == 0;
}

static int32_t on_points(struct ome_term_sink *s, int64_t points, const char *reason) {
  struct verdict *v = s->ctx;

  if (__builtin_add_overflow(v->points, points, &v->points))
    v->points = points > 0 ? INT64_MAX : INT64_MIN;
  v->failed |= !add_term(v, points, reason ? reason : "");
  return v->failed ? OME_E_NO_MEMORY : OME_OK;
}

static int32_t on_reject(struct ome_term_sink *s, const char *reason) {
  struct verdict *v = s->ctx;

  v->rejected = true;
  v->misses++;
  add_reason(v->why, sizeof(v->why), ", ", reason && *reason ? reason : "rejected without a reason");
  return OME_OK;
}

static int32_t ask_scorers(const struct score_context *ctx, const struct select_runtime *runtime,
                           const struct select_entry *entry, struct verdict *v, struct ome_err *err) {
  struct ome_runtime_facts facts = runtime->facts;
  struct ome_term_sink sink = {.struct_size = sizeof(sink), .ctx = v, .points = on_points, .reject = on_reject};
  struct ome_score_req req = {
      .struct_size = sizeof(req),
      .model = &ctx->model->facts,
      .runtime = &facts,
      .accelerator = ctx->accelerator,
      .service = ctx->service,
  };

  facts.formats = (struct ome_list){&entry->facts, 1, sizeof(entry->facts)};
  facts.size_min = entry->size_min;
  facts.size_max = entry->size_max;
  for (size_t i = 0; i < ctx->req->nscorers; i++) {
    const struct select_scorer *s = &ctx->req->scorers[i];
    v->scorer = s->name;
    int32_t rc = s->score(s->arg, &req, &sink, err);
    if (v->failed)
      return fail_memory(err);
    if (rc != OME_OK)
      return fail_prefix(err, "scorer %s: runtime %s", s->name, facts.name);
  }
  return OME_OK;
}

static int32_t judge_entry(const struct score_context *ctx, const struct select_runtime *runtime,
                           const struct select_entry *entry, struct verdict *v, struct ome_err *err) {
  char why[160];

  v->terms = json_object_new_array();
  if (!v->terms)
    return fail_memory(err);
  if (*entry->problem) {
    v->rejected = true;
    add_reason(v->why, sizeof(v->why), ", ", entry->problem);
    return OME_OK;
  }
  if (!gate_pipeline(entry, ctx->model, why, sizeof(why))) {
    v->rejected = true;
    add_reason(v->why, sizeof(v->why), ", ", why);
  }
  int32_t rc = ask_scorers(ctx, runtime, entry, v, err);
  if (rc != OME_OK || v->rejected || !ctx->automatic)
    return rc;
  /* It suits the model; may it be picked without being named? */
  const char *unpicked = NULL;
  if (!runtime->any_auto)
    unpicked = "supports the model but has no supportedModelFormats[].autoSelect=true entry, so automatic selection "
               "skips it (name it in spec.runtime.name instead)";
  else if (entry->auto_select == ENTRY_AUTO_FALSE)
    unpicked = "the format entry that matches the model has autoSelect=false";
  else if (v->points <= 0)
    unpicked = "its score is not above 0";
  if (unpicked) {
    v->rejected = true;
    add_reason(v->why, sizeof(v->why), ", ", unpicked);
  }
  return OME_OK;
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

/* The same entry written twice is one entry; otherwise the better score, then the closer range, then the first. */
static bool better(const struct select_candidate *best, const struct verdict *v, uint64_t distance) {
  if (!best->entry)
    return true;
  return v->points != best->score ? v->points > best->score : distance < best->distance;
}

int32_t score_runtime(const struct score_context *ctx, const struct select_runtime *runtime,
                      struct select_candidate *out, struct ome_err *err) {
  char rejected[sizeof(out->rejected)] = "";

  out->runtime = runtime;
  out->misses = UINT32_MAX;
  if (!gate_runtime(runtime, ctx->req->service, out->rejected, sizeof(out->rejected)))
    return OME_OK;
  for (size_t i = 0; i < runtime->nentries; i++) {
    struct verdict v = {0};
    int32_t rc = judge_entry(ctx, runtime, &runtime->entries[i], &v, err);
    if (rc != OME_OK) {
      json_unref(v.terms);
      return rc;
    }
    uint64_t distance = range_distance(&runtime->entries[i], ctx->model->facts.parameters);
    if (v.rejected) {
      out->misses = v.misses < out->misses ? v.misses : out->misses;
      if (!strstr(rejected, v.why))
        add_reason(rejected, sizeof(rejected), "; ", v.why);
    } else if (better(out, &v, distance)) {
      json_unref(out->terms);
      out->terms = TAKE_PTR(v.terms);
      out->entry = &runtime->entries[i];
      out->score = v.points;
      out->distance = distance;
    }
    json_unref(v.terms);
  }
  if (!out->entry)
    (void)snprintf(out->rejected, sizeof(out->rejected), "%s",
                   runtime->nentries ? rejected : "runtime has no supportedModelFormats");
  return OME_OK;
}
