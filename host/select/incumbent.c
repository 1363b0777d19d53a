#include "select/incumbent.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

static bool is_pinned(struct json_object *service) {
  struct json_object *v = json_get(json_at(service, "metadata.annotations"), "ome.io/runtime-selection");

  return v && streq(json_object_get_string(v), "pinned");
}

/* The place of what runs among the candidates; ncandidates: it is not there. */
static size_t find(const struct selection *s, struct json_object *service) {
  struct json_object *selected = json_at(service, "status.selection.selected");
  const char *name = json_str(selected, "runtime", "");
  const char *scope = json_str(selected, "scope", "");

  for (size_t i = 0; *name && i < s->ncandidates; i++)
    if (streq(s->candidates[i].runtime->facts.name, name) && streq(select_scope(s->candidates[i].runtime), scope))
      return i;
  return s->ncandidates;
}

/* A closer size range or an earlier name is no reason to restart what runs. */
static bool is_equal(const struct select_candidate *a, const struct select_candidate *b) {
  return a->score.entry && b->score.entry && a->score.intent == b->score.intent && !a->runtime->ns == !b->runtime->ns &&
         a->score.points == b->score.points;
}

static void move_first(struct selection *s, size_t at) {
  struct select_candidate c = s->candidates[at];

  memmove(&s->candidates[1], &s->candidates[0], at * sizeof(c));
  s->candidates[0] = c;
}

bool incumbent_keep(struct selection *s, struct json_object *service) {
  size_t at = find(s, service);
  bool pinned = is_pinned(service);

  if (at == s->ncandidates) {
    const char *name = json_str(service, "status.selection.selected.runtime", "");
    if (pinned && *name)
      selection_warn(s, "runtime %.100s, which the service is pinned to, is not there any more; another is selected",
                     name);
    return false;
  }
  const struct select_candidate *first = &s->candidates[0];
  if (pinned ? at == 0 && first->score.entry : at == 0 || !is_equal(&s->candidates[at], first))
    return false;
  const char *rival = first->score.entry ? first->runtime->facts.name : NULL;
  if (pinned && rival)
    (void)snprintf(s->reason, sizeof(s->reason),
                   "pinned to what runs (ome.io/runtime-selection); without that it would be %s", rival);
  else if (pinned)
    (void)snprintf(s->reason, sizeof(s->reason), "pinned to what runs (ome.io/runtime-selection)");
  else
    (void)snprintf(s->reason, sizeof(s->reason), "it runs already, and %s is not better by score", rival);
  move_first(s, at);
  s->chosen = &s->candidates[0];
  if (!s->chosen->score.entry)
    selection_warn(s,
                   "runtime %s does not suit model %s any more (%.400s); it stays because the service is pinned to it",
                   s->chosen->runtime->facts.name, s->model.facts.name, s->chosen->rejected);
  return true;
}
