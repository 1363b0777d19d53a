#include "agent/scout.h"

#include "api/selector.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdio.h>

static void refuse(struct scout_decision *d, const char *why) {
  d->wanted = false;
  (void)snprintf(d->why, sizeof(d->why), "%s", why);
}

/* Every label of SELECTOR is NODE's; the first that is not into OUT. */
static bool labels_match(struct json_object *selector, struct json_object *node, struct scout_decision *out) {
  if (!json_is(selector, json_type_object))
    return true;
  json_object_object_foreach (selector, key, v) {
    const char *want = v ? json_object_get_string(v) : "";
    if (streq(meta_label(node, key), want))
      continue;
    out->wanted = false;
    (void)snprintf(out->why, sizeof(out->why), "the node has no label %.100s=%.100s", key, want);
    return false;
  }
  return true;
}

void scout_decide(struct json_object *model, struct json_object *node, struct scout_decision *out) {
  struct json_object *required =
      json_at(model, "spec.storage.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution");

  *out = (struct scout_decision){.wanted = true};
  if (json_flag(model, "spec.disabled", false))
    refuse(out, "the model is disabled");
  else if (!*json_str(model, "spec.storage.storageUri", ""))
    refuse(out, "the model names no storageUri");
  else if (labels_match(json_at(model, "spec.storage.nodeSelector"), node, out) && required &&
           !node_selector_match(required, node))
    refuse(out, "the node does not match the required node affinity");
}
