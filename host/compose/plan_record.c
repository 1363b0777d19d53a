/* The decision record of a plan: what was chosen, why, and what it was decided by. */
#include "base/str.h"
#include "compose/plan.h"
#include "kube/meta.h"

/* The version of one document that was decided by; those of files have none. */
static bool add_input(struct json_object *inputs, struct json_object *doc) {
  const char *version = json_str(doc, "metadata.resourceVersion", "");
  int64_t generation = json_i64(doc, "metadata.generation", 0);
  _cleanup_json_ struct json_object *o = NULL;

  if (!*version && !generation)
    return true;
  o = json_object_new_object();
  if (!o || !json_set_str(o, "kind", json_str(doc, "kind", "")) || !json_set_str(o, "name", meta_name(doc)) ||
      !json_set_i64(o, "generation", generation) || !json_set_str(o, "resourceVersion", version) ||
      !json_add(inputs, TAKE_PTR(o)))
    return false;
  return true;
}

/* What the decision stands on, so that one can tell whether it is still true. */
static bool put_inputs(const struct plan *p, struct json_object *record) {
  _cleanup_json_ struct json_object *inputs = json_object_new_array();
  const struct selection *s = p->selection;
  int64_t generation = json_i64(p->service, "metadata.generation", 0);

  if (!inputs || (generation && !json_set_i64(record, "generation", generation)) || !add_input(inputs, p->model) ||
      (s->chosen && !add_input(inputs, s->chosen->runtime->doc)) || !add_input(inputs, s->engine.class) ||
      (s->decoder.class != s->engine.class && !add_input(inputs, s->decoder.class)))
    return false;
  return json_len(inputs) == 0 || json_set(record, "inputs", TAKE_PTR(inputs));
}

/* Of a service that was not selected for: why. */
static struct json_object *record_without_selection(const struct plan *p) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  if (!o || !json_set_str(o, "namespace", json_str(p->service, "metadata.namespace", "default")) ||
      !json_set_str(o, "name", json_str(p->service, "metadata.name", "")) ||
      !json_set_str(o, "model", json_str(p->service, "spec.model.name", "")) || !json_put(o, "selected", NULL) ||
      !json_set_str(o, "reason", p->nproblems ? p->problems[0].message : "") ||
      !json_set(o, "candidates", json_object_new_array()))
    return NULL;
  return TAKE_PTR(o);
}

/* Warnings that are not of the choice are for the FULL record: in a status they are said elsewhere. */
static bool put_warnings(const struct plan *p, struct json_object *record, bool full) {
  return !full || json_empty(p->warnings) || json_set(record, "warnings", json_object_get(p->warnings));
}

struct json_object *plan_record(const struct plan *p, size_t max_candidates) {
  _cleanup_json_ struct json_object *o = NULL;
  bool full = max_candidates == 0;

  if (!p->selection)
    return record_without_selection(p);
  o = select_record(p->selection, p->service, json_str(p->service, "metadata.namespace", "default"),
                    p->nparts ? p->parts[0].mode->name : NULL, max_candidates);
  if (!o || (json_len(p->tuning) && !json_set(o, "tuning", json_object_get(p->tuning))) || !put_inputs(p, o) ||
      !put_warnings(p, o, full))
    return NULL;
  return TAKE_PTR(o);
}

bool plan_keeps_record(struct json_object *service) {
  const char *how = meta_annotation(service, PLAN_RECORD_ANNOTATION);

  return how && streq(how, "full");
}

char *plan_record_name(struct json_object *service) {
  return str_printf("%s-selection", meta_name(service));
}
