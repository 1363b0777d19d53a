#include "select/wish.h"

#include "base/str.h"

static const struct {
  const char *component;
  const char *config;
  uint32_t bit;
} sides[] = {
    {"engine", "engineConfig", OME_COMPONENT_ENGINE},
    {"decoder", "decoderConfig", OME_COMPONENT_DECODER},
    {"router", "routerConfig", OME_COMPONENT_ROUTER},
};

/* Whether a component, or a runtime's part for one, says what is to run. */
static bool has_container(struct json_object *o) {
  static const char *const places[] = {"runner", "leader", "containers"};

  for (size_t i = 0; i < ARRAY_LEN(places); i++)
    if (!json_empty(json_get(o, places[i])))
      return true;
  return false;
}

uint32_t select_components_of(struct json_object *runtime) {
  struct json_object *spec = json_get(runtime, "spec");
  uint32_t has = json_len(json_get(spec, "containers")) ? OME_COMPONENT_ENGINE : 0u; /* the form before engineConfig */

  for (size_t i = 0; i < ARRAY_LEN(sides); i++)
    has |= has_container(json_get(spec, sides[i].config)) ? sides[i].bit : 0u;
  return has;
}

/* Classes that are named for any component (OME's runtime matcher); an annotation without a value names "". */
static void read_accelerators(struct select_wish *w, struct json_object *service) {
  static const char *const paths[] = {
      "spec.acceleratorSelector.acceleratorClass",
      "spec.engine.acceleratorOverride.acceleratorClass",
      "spec.decoder.acceleratorOverride.acceleratorClass",
  };
  struct json_object *annotation = json_get(json_at(service, "metadata.annotations"), "ome.io/accelerator-class");
  size_t n = 0;

  if (annotation)
    w->accelerators[n++] = json_object_get_string(annotation);
  for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
    const char *name = json_str(service, paths[i], "");
    if (*name)
      w->accelerators[n++] = name;
  }
  w->facts.accelerators = w->accelerators;
}

/* Composition hands it to the engine's container in this variable. */
static const char *protocol_of(struct json_object *service) {
  struct json_object *env = json_at(service, "spec.engine.runner.env");

  return json_str(json_find(env, "name", "PROTOCOL_VERSION"), "value", "");
}

void select_wish_read(struct select_wish *w, struct json_object *service) {
  struct json_object *spec = json_get(service, "spec");

  *w = (struct select_wish){.facts = {.struct_size = sizeof(w->facts), .protocol = protocol_of(service)}};
  read_accelerators(w, service);
  for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
    struct json_object *component = json_get(spec, sides[i].component);
    w->facts.components |= component ? sides[i].bit : 0u;
    w->facts.own |= has_container(component) ? sides[i].bit : 0u;
  }
}
