#include "controller/modelfacts.h"

/* Fields taken over as they are; the parts of a format or framework one by one, so that a version completes a name. */
static const char *const fields[] = {
    "modelType",         "modelArchitecture", "modelParameterSize", "quantization",      "maxTokens",
    "modelCapabilities", "apiCapabilities",   "modelFormat.name",   "diffusionPipeline",
};

static bool is_set(struct json_object *o) {
  if (json_is(o, json_type_int))
    return json_object_get_int64(o) != 0;
  return o && !json_empty(o) && !(json_is(o, json_type_string) && json_object_get_string_len(o) == 0);
}

static bool fill(struct json_object *spec, struct json_object *config, const char *path, bool *changed) {
  struct json_object *v = json_at(config, path);

  if (!is_set(v) || is_set(json_at(spec, path)))
    return true;
  *changed = true;
  return json_set(spec, path, json_copy(v));
}

/* A version belongs to the name that it was found with. */
static bool fill_version(struct json_object *spec, struct json_object *config, bool *changed) {
  return !json_equal(json_at(spec, "modelFormat.name"), json_at(config, "modelFormat.name")) ||
         fill(spec, config, "modelFormat.version", changed);
}

bool model_fill_spec(struct json_object *model, struct json_object *config, bool *changed) {
  struct json_object *spec = json_ensure(model, "spec");

  *changed = false;
  if (!spec)
    return false;
  for (size_t i = 0; i < ARRAY_LEN(fields); i++)
    if (!fill(spec, config, fields[i], changed))
      return false;
  if (is_set(json_at(config, "modelFramework.name")) && !fill(spec, config, "modelFramework", changed))
    return false;
  return fill_version(spec, config, changed);
}
