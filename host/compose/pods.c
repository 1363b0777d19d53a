#include "compose/pods.h"

#include "api/selector.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

enum { TEXT = 512 }; /* a container's trouble in words: the longest of Kubernetes' own, with room */

/* Reasons of a waiting container that are a stage, not a trouble. */
static bool is_stage(const char *reason) {
  return !*reason || streq(reason, "ContainerCreating") || streq(reason, "PodInitializing");
}

static void note(struct pods_summary *out, const char *pod, const char *reason, const char *message, bool failed) {
  (void)snprintf(out->reason, sizeof(out->reason), "%s", reason);
  (void)snprintf(out->message, sizeof(out->message), "pod %.80s: %s%s%.480s", pod, reason, *message ? ": " : "",
                 message);
  out->failed = failed;
}

static bool container_trouble(const char *pod, struct json_object *status, struct pods_summary *out) {
  struct json_object *waiting = json_at(status, "state.waiting");
  struct json_object *ended = json_at(status, "state.terminated");
  const char *reason = json_str(waiting, "reason", "");

  if (!ended)
    ended = json_at(status, "lastState.terminated");
  int64_t code = json_i64(ended, "exitCode", 0);
  if (is_stage(reason) && code == 0)
    return false;
  if (ended)
    out->exit_code = code;
  if (!is_stage(reason)) {
    char text[TEXT];
    (void)snprintf(text, sizeof(text), "container %.60s: %.400s", json_str(status, "name", ""),
                   json_str(ended, "message", json_str(waiting, "message", "")));
    note(out, pod, reason, text, true);
    return true;
  }
  if (json_flag(status, "ready", false))
    return false;
  char text[TEXT];
  (void)snprintf(text, sizeof(text), "container %.60s ended with code %lld %.400s", json_str(status, "name", ""),
                 (long long)code, json_str(ended, "message", ""));
  note(out, pod, json_str(ended, "reason", "Error"), text, json_at(status, "state.terminated") != NULL);
  return true;
}

static struct json_object *find_condition(struct json_object *pod, const char *type) {
  return json_find(json_at(pod, "status.conditions"), "type", type);
}

static void pod_trouble(struct json_object *pod, struct pods_summary *out) {
  static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
  struct json_object *scheduled = find_condition(pod, "PodScheduled");
  const char *name = meta_name(pod);

  for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
    struct json_object *statuses = json_at(pod, lists[l]);
    for (size_t i = 0; i < json_len(statuses); i++)
      if (container_trouble(name, json_index(statuses, i), out))
        return;
  }
  if (streq(json_str(scheduled, "status", ""), "False"))
    note(out, name, json_str(scheduled, "reason", "Unschedulable"), json_str(scheduled, "message", ""), false);
  else if (streq(json_str(pod, "status.phase", ""), "Failed"))
    note(out, name, json_str(pod, "status.reason", "Failed"), json_str(pod, "status.message", ""), true);
}

static bool is_ready(struct json_object *pod) {
  return streq(json_str(find_condition(pod, "Ready"), "status", ""), "True");
}

size_t pods_serving(struct json_object *pods, struct json_object *labels) {
  _cleanup_(selector_freep) struct selector *selector = NULL;
  struct ome_err err = ERR_INIT;
  size_t n = 0;

  if (selector_from_map(labels, &selector, &err) != OME_OK)
    return 0;
  for (size_t i = 0; i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    n += is_ready(pod) && !meta_deleting(pod) && selector_match(selector, json_at(pod, "metadata.labels"));
  }
  return n;
}

void pods_summarize(struct json_object *pods, const char *kind, struct pods_summary *out) {
  const char *newest = "";

  *out = (struct pods_summary){.exit_code = -1};
  for (size_t i = 0; i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    const char *component = meta_label(pod, LABEL_COMPONENT);
    const char *created = json_str(pod, "metadata.creationTimestamp", "");
    if (!component || !streq(component, kind) || meta_deleting(pod))
      continue;
    out->total++;
    bool ready = is_ready(pod);
    out->ready += ready;
    if (ready || strcmp(created, newest) < 0)
      continue;
    struct pods_summary one = {.exit_code = -1};
    pod_trouble(pod, &one);
    if (!*one.reason)
      continue;
    newest = created;
    memcpy(out->reason, one.reason, sizeof(one.reason));
    memcpy(out->message, one.message, sizeof(one.message));
    out->exit_code = one.exit_code;
    out->failed = one.failed;
  }
}

static void keep_each(struct json_object *list, const char *const *names) {
  for (size_t i = 0; i < json_len(list); i++)
    json_keep(json_index(list, i), names);
}

/* A condition says over and over when it was last looked at. */
void pods_trim(struct json_object *pod) {
  static const char *const top[] = {"apiVersion", "kind", "metadata", "status", NULL};
  static const char *const meta[] = {"name",
                                     "namespace",
                                     "uid",
                                     "labels",
                                     "ownerReferences",
                                     "resourceVersion",
                                     "creationTimestamp",
                                     "deletionTimestamp",
                                     NULL};
  static const char *const status[] = {
      "phase", "reason", "message", "initContainerStatuses", "conditions", "containerStatuses", NULL};
  static const char *const condition[] = {"type", "status", "reason", "message", NULL};
  static const char *const container[] = {"name", "ready", "state", "lastState", NULL};
  struct json_object *seen = json_get(pod, "status");

  json_keep(pod, top);
  json_keep(json_get(pod, "metadata"), meta);
  json_keep(seen, status);
  keep_each(json_get(seen, "conditions"), condition);
  keep_each(json_get(seen, "containerStatuses"), container);
  keep_each(json_get(seen, "initContainerStatuses"), container);
}
