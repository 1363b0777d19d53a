#include "compose/topology.h"

#include "base/str.h"
#include "compose/container.h"

#define LWS "leaderworkerset.sigs.k8s.io/"

bool topology_spread(struct json_object *merged, const char *app, struct json_object *pod) {
  const char *how = json_str(merged, "topologySpread", "");
  const char *key = json_str(merged, "topologySpreadKey", json_str(merged, "topologyKey", ""));

  if (!*how || !*key || json_find(json_get(pod, "topologySpreadConstraints"), "topologyKey", key))
    return true;
  struct json_object *constraints = list_in(pod, "topologySpreadConstraints");
  struct json_object *c = json_object_new_object();
  return constraints && c && json_add(constraints, c) && json_set_i64(c, "maxSkew", 1) &&
         json_set_str(c, "topologyKey", key) &&
         json_set_str(c, "whenUnsatisfiable", streq(how, "Required") ? "DoNotSchedule" : "ScheduleAnyway") &&
         json_set_str(c, "labelSelector.matchLabels.app", app);
}

/* The group's leader, by the labels that LeaderWorkerSet gives to pods; the group is the pod's own, whichever that is.
 */
static struct json_object *own_leader(const char *key) {
  struct json_object *term = json_object_new_object();
  struct json_object *own = json_object_new_array();
  struct json_object *labels = term ? json_ensure(term, "labelSelector.matchLabels") : NULL;

  if (labels && own && json_add_str(own, LWS "group-key") && json_put_str(labels, LWS "worker-index", "0") &&
      json_set(term, "matchLabelKeys", own) && json_set_str(term, "topologyKey", key))
    return term;
  json_unref(term);
  return NULL;
}

bool topology_gather(struct json_object *merged, struct json_object *worker) {
  const char *key = json_str(merged, "topologyKey", "");
  struct json_object *affinity = *key ? json_ensure(worker, "affinity.podAffinity") : NULL;

  if (!*key)
    return true;
  struct json_object *terms = affinity ? list_in(affinity, "requiredDuringSchedulingIgnoredDuringExecution") : NULL;
  if (terms && json_find(terms, "topologyKey", key))
    return true;
  struct json_object *term = terms ? own_leader(key) : NULL;
  return term && json_add(terms, term);
}
