#include "select/gates.h"

#include "base/str.h"
#include "select/refuse.h"

#include <string.h>

/* A mode that somebody states and that exists; a misspelt one states nothing. */
static const char *known_mode(const char *mode) {
  static const char *const modes[] = {"RawDeployment", "OMENative",         "MultiNode",      "MultiNodeRayVLLM",
                                      "Serverless",    "VirtualDeployment", "PDDisaggregated"};

  for (size_t i = 0; i < ARRAY_LEN(modes); i++)
    if (streq(mode, modes[i]))
      return modes[i];
  return "";
}

static const char *annotated_mode(struct json_object *section) {
  struct json_object *mode = json_get(json_get(section, "annotations"), "ome.io/deploymentMode");

  return known_mode(json_as_str(mode, ""));
}

/* Where service and runtime both state a component's mode, it must be the same (OME 1.3). */
static bool gate_mode(struct json_object *runtime, struct json_object *service, char *why, size_t cap) {
  static const struct {
    const char *component;
    const char *config;
  } sides[] = {{"engine", "engineConfig"}, {"decoder", "decoderConfig"}};
  struct json_object *spec = json_get(service, "spec");

  for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
    struct json_object *component = json_get(spec, sides[i].component);
    const char *wanted = annotated_mode(component);
    const char *has = annotated_mode(json_get(json_get(runtime, "spec"), sides[i].config));
    if (!component)
      continue;
    if (!*wanted)
      wanted = known_mode(json_str(spec, "deploymentMode", ""));
    if (*wanted && *has && !streq(wanted, has))
      return select_refuse(why, cap, "runtime %s deployment mode %s does not match requested %s deployment mode %s",
                           sides[i].component, has, sides[i].component, wanted);
  }
  return true;
}

bool gate_namespace(const struct select_runtime *runtime, const char *ns) {
  return !runtime->ns || streq(runtime->ns, ns);
}

bool gate_runtime(const struct select_runtime *runtime, struct json_object *service, char *why, size_t cap) {
  if (runtime->facts.flags & OME_RUNTIME_DISABLED)
    return select_refuse(why, cap, "runtime is disabled");
  if (*runtime->problem)
    return select_refuse(why, cap, "%s", runtime->problem);
  return !service || gate_mode(runtime->doc, service, why, cap);
}

/* Whether NAME is an item of the comma-separated LIST. */
static bool is_item(const char *list, const char *name) {
  size_t len = strlen(name);

  for (const char *at = list; *at;) {
    const char *end = strchrnul(at, ',');
    if ((size_t)(end - at) == len && strncmp(at, name, len) == 0)
      return true;
    at = *end ? end + 1 : end;
  }
  return false;
}

bool gate_capabilities(const struct select_runtime *runtime, const struct select_model *model, char *why, size_t cap) {
  const char *const *has = model->facts.capabilities;

  if (!*runtime->capabilities || !has[0])
    return true;
  for (size_t i = 0; has[i]; i++)
    if (is_item(runtime->capabilities, has[i]))
      return true;
  return select_refuse(why, cap, "model has capability %.40s but runtime serves %.90s", has[0], runtime->capabilities);
}
