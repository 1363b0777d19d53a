#include "compose/jobs.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define EVENT_MAX ((size_t)1 << 20)

/* ---- what it says of itself -------------------------------------------------------------------------------------- */

static struct json_object *event_of(const char *line, size_t len) {
  struct json_object *o = NULL;
  struct ome_err ignored = ERR_INIT;

  if (len < 2 || *line != '{' || json_parse(line, len, EVENT_MAX, &o, &ignored) != OME_OK)
    return NULL;
  if (*json_str(o, "event", ""))
    return o;
  json_unref(o);
  return NULL;
}

struct json_object *job_last_event(const char *log) {
  for (size_t end = strlen(log); end;) {
    size_t begin = end;
    while (begin && log[begin - 1] != '\n')
      begin--;
    struct json_object *o = event_of(log + begin, end - begin);
    if (o)
      return o;
    end = begin ? begin - 1 : 0;
  }
  return NULL;
}

/* ---- what is in its way ------------------------------------------------------------------------------------------ */

bool job_pod_trouble(struct json_object *pod, char out[JOB_TROUBLE_TEXT]) {
  static const char *const lists[] = {"status.initContainerStatuses", "status.containerStatuses"};
  struct json_object *scheduled = json_find(json_at(pod, "status.conditions"), "type", "PodScheduled");

  for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
    struct json_object *all = json_at(pod, lists[l]);
    for (size_t i = 0; i < json_len(all); i++) {
      struct json_object *c = json_index(all, i);
      struct json_object *ended = json_at(c, "state.terminated");
      const char *waiting = json_str(c, "state.waiting.reason", "");
      if (ended && json_i64(ended, "exitCode", 0) != 0) {
        (void)snprintf(out, JOB_TROUBLE_TEXT, "container %.60s ended with code %lld: %.560s", json_str(c, "name", ""),
                       (long long)json_i64(ended, "exitCode", 0),
                       json_str(ended, "message", json_str(ended, "reason", "it said nothing; see its log")));
        return true;
      }
      const char *why = json_str(c, "state.waiting.message", "");
      bool stage = streq(waiting, "ContainerCreating") || streq(waiting, "PodInitializing");
      if (*waiting && (!stage || *why)) {
        (void)snprintf(out, JOB_TROUBLE_TEXT, "container %.60s waits: %.60s: %.480s", json_str(c, "name", ""), waiting,
                       why);
        return true;
      }
    }
  }
  if (!streq(json_str(scheduled, "status", ""), "False"))
    return false;
  (void)snprintf(out, JOB_TROUBLE_TEXT, "the pod has no node: %.600s", json_str(scheduled, "message", ""));
  return true;
}
