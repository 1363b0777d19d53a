#include "compose/status_autoscaler.h"

#include "base/str.h"
#include "kube/meta.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CONDITION "AutoscalerReady"

/* What one component adds to the condition. */
struct report {
  int rank; /* 0: True, 1: Unknown, 2: False; -1: nothing to say */
  char reason[64];
  char message[640];
};

__attribute__((format(printf, 4, 5))) static void say(struct report *r, int rank, const char *reason, const char *fmt,
                                                      ...) {
  va_list ap;

  r->rank = rank;
  (void)snprintf(r->reason, sizeof(r->reason), "%s", reason);
  va_start(ap, fmt);
  (void)vsnprintf(r->message, sizeof(r->message), fmt, ap);
  va_end(ap);
}

static void report_rival(struct report *r, const struct plan_component *c, const char *rival) {
  const char *kind = json_str(c->doc, "scaling.target.kind", "");
  const char *name = json_str(c->doc, "scaling.target.name", "");

  if (streq(json_str(c->doc, "autoscaler", "none"), "external"))
    say(r, 0, "ScaledExternally", "%s: %s scales %s %s", c->kind, rival, kind, name);
  else
    say(r, 2, "ReplicasOwnedElsewhere",
        "%s: %s scales %s %s too, so ours is left out; delete it, or set autoscaler.class to External", c->kind, rival,
        kind, name);
}

static void report_observed(struct report *r, const struct plan_component *c, const struct ome_status *s) {
  const char *warning = json_str(c->doc, "scaling.warning", "");
  int rank = s->phase == OME_PHASE_READY ? 0 : s->phase == OME_PHASE_FAILED ? 2 : 1;

  if (*s->message && *warning)
    say(r, rank, s->reason, "%s: %s; %s", c->kind, s->message, warning);
  else if (*s->message || *warning)
    say(r, rank, s->reason, "%s: %s%s", c->kind, s->message, warning);
  else
    say(r, rank, s->reason, "%s", "");
}

static struct report report_on(const struct plan_component *c, const struct ome_status *s, const char *rival) {
  const char *warning = json_str(c->doc, "scaling.warning", "");
  struct report r = {.rank = -1};

  if (rival)
    report_rival(&r, c, rival);
  else if (c->autoscaler.plugin && s)
    report_observed(&r, c, s);
  else if (*warning)
    say(&r, 0, "AutoscalerAdvisory", "%s: %s", c->kind, warning);
  return r;
}

/* The class as the block names it. */
static const char *class_name(const char *class) {
  static const char *const names[][2] = {{"hpa", "HPA"}, {"keda", "KEDA"}, {"external", "External"}, {"none", "None"}};

  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (streq(names[i][0], class))
      return names[i][1];
  return class;
}

static const char *manager_of(const struct plan_component *c, const char *rival) {
  return rival || streq(json_str(c->doc, "autoscaler", ""), "external") ? "external"
         : c->autoscaler.plugin                                         ? "ome"
                                                                        : "none";
}

static bool put_entry(struct json_object *holder, const struct plan_component *c, const struct ome_status *s,
                      const char *rival) {
  struct json_object *components = json_ensure(holder, "status.components");
  struct json_object *entry = components ? json_ensure(components, c->kind) : NULL;
  struct json_object *o = json_object_new_object();
  const char *manager = manager_of(c, rival);

  if (!o || !entry || !json_set(entry, "autoscaler", o) ||
      !json_set_str(o, "class", class_name(json_str(c->doc, "autoscaler", "none"))) ||
      !json_set_str(o, "managedBy", manager) ||
      !json_set_str(o, "specSource", json_str(c->doc, "scaling.source", "default")))
    return false;
  if (!streq(manager, "ome") || !s || s->phase == OME_PHASE_PENDING)
    return true;
  return json_set_i64(o, "currentReplicas", s->ready) && json_set_i64(o, "desiredReplicas", s->desired);
}

static void drop(struct json_object *holder) {
  struct json_object *list = json_at(holder, "status.conditions");

  for (size_t i = json_len(list); i-- > 0;)
    if (streq(json_str(json_index(list, i), "type", ""), CONDITION))
      (void)json_object_array_del_idx(list, i, 1);
}

bool status_set_autoscalers(struct json_object *holder, const struct status_input *in) {
  static const char *const words[] = {"True", "Unknown", "False"};
  struct report worst = {.rank = -1};

  for (size_t i = 0; i < in->plan->nparts; i++) {
    const struct plan_component *c = &in->plan->parts[i];
    const struct ome_status *s = in->autoscalers ? &in->autoscalers[i] : NULL;
    const char *rival = in->rivals ? in->rivals[i] : NULL;
    struct report r = report_on(c, s, rival);
    /* The first that is worst; of equals the one that says something. */
    if (r.rank > worst.rank || (r.rank == worst.rank && r.rank >= 0 && !*worst.message))
      worst = r;
    if (!put_entry(holder, c, s, rival))
      return false;
  }
  if (in->autoscaler_failure)
    say(&worst, 2, "ApplyFailed", "%s", in->autoscaler_failure);
  if (worst.rank < 0)
    drop(holder);
  else
    (void)meta_set_condition(holder, CONDITION, words[worst.rank], worst.reason, worst.message, in->now_ms);
  return true;
}
