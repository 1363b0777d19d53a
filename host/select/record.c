#include "select/select.h"

#include "base/str.h"

static bool put_or_null(struct json_object *o, const char *key, const char *value) {
  return json_put(o, key, value && *value ? json_object_new_string(value) : NULL);
}

static struct json_object *candidate_record(const struct select_candidate *c) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  struct json_object *terms = c->terms ? json_object_get(c->terms) : json_object_new_array();

  if (!o || !json_set_str(o, "runtime", c->runtime->facts.name) ||
      !json_set_str(o, "scope", select_scope(c->runtime)) || !json_set_i64(o, "score", c->score.points) ||
      !json_set(o, "terms", terms) || !put_or_null(o, "rejected", c->rejected))
    return NULL;
  return TAKE_PTR(o);
}

static struct json_object *selected_record(const struct selection *s, const char *mode) {
  const struct select_candidate *c = s->chosen;
  _cleanup_json_ struct json_object *o = json_object_new_object();

  if (!o || !json_set_str(o, "runtime", c->runtime->facts.name) ||
      !json_set_str(o, "scope", select_scope(c->runtime)) ||
      !put_or_null(o, "accelerator", json_str(s->engine.class, "metadata.name", "")) || !put_or_null(o, "mode", mode) ||
      !json_set_i64(o, "score", c->score.points) ||
      (s->pin.mode != PIN_NONE && !json_set_str(o, "revision", s->pin.revision)))
    return NULL;
  return TAKE_PTR(o);
}

static struct json_object *candidates_record(const struct selection *s, size_t max) {
  _cleanup_json_ struct json_object *a = json_object_new_array();

  for (size_t i = 0; a && i < s->ncandidates && (max == 0 || i < max); i++) {
    struct json_object *c = candidate_record(&s->candidates[i]);
    if (!c || !json_add(a, c))
      return NULL;
  }
  return TAKE_PTR(a);
}

struct json_object *select_record(const struct selection *s, struct json_object *service, const char *ns,
                                  const char *mode, size_t max_candidates) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  _cleanup_json_ struct json_object *selected = s->chosen ? selected_record(s, mode) : NULL;
  _cleanup_json_ struct json_object *candidates = candidates_record(s, max_candidates);

  if (!o || (s->chosen && !selected) || !candidates || !json_set_str(o, "namespace", ns) ||
      !put_or_null(o, "name", json_str(service, "metadata.name", "")) ||
      !json_set_str(o, "model", s->model.facts.name) || !json_put(o, "selected", TAKE_PTR(selected)) ||
      !json_set_str(o, "reason", s->reason) || !json_set(o, "candidates", TAKE_PTR(candidates)) ||
      !put_or_null(o, "warning", s->warning))
    return NULL;
  return TAKE_PTR(o);
}
