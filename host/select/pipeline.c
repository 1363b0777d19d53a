/* A diffusion pipeline as pairs, which scorers compare without reading documents. */
#include "base/str.h"
#include "select/facts.h"

#include <string.h>

static const char *const components[] = {"scheduler", "textEncoder", "tokenizer", "transformer", "vae"};
static const char *const keys[] = {"library", "type"};

struct writer {
  struct ome_kv *part;
  char *name;
};

/* "vae", "vae.library", "vae.type" */
static void write_component(struct writer *w, const char *name, struct json_object *doc) {
  *w->part++ = (struct ome_kv){name, ""};
  for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
    const char *value = json_str(doc, keys[i], "");
    if (!*value)
      continue;
    char *key = w->name;
    w->name = stpcpy(stpcpy(stpcpy(w->name, name), "."), keys[i]) + 1;
    *w->part++ = (struct ome_kv){key, value};
  }
}

/* Room for what write_component() needs at most. */
static void measure(const char *name, size_t *parts, size_t *bytes) {
  *parts += 1 + ARRAY_LEN(keys);
  *bytes += ARRAY_LEN(keys) * (strlen(name) + sizeof(".library"));
}

int32_t select_pipeline_init(struct select_pipeline *p, struct json_object *doc, struct ome_err *err) {
  struct json_object *more = json_get(doc, "additionalComponents");
  size_t parts = 2, bytes = 1; /* className and the end */

  *p = (struct select_pipeline){0};
  if (!doc)
    return OME_OK;
  for (size_t i = 0; i < ARRAY_LEN(components); i++)
    measure(components[i], &parts, &bytes);
  if (json_is(more, json_type_object)) {
    json_object_object_foreach (more, name, unused) {
      (void)unused;
      measure(name, &parts, &bytes);
    }
  }
  p->parts = calloc(parts, sizeof(*p->parts));
  p->names = malloc(bytes);
  if (!p->parts || !p->names) {
    select_pipeline_fini(p);
    return fail_memory(err);
  }
  struct writer w = {p->parts, p->names};
  const char *class = json_str(doc, "className", "");
  if (*class)
    *w.part++ = (struct ome_kv){"className", class};
  for (size_t i = 0; i < ARRAY_LEN(components); i++)
    if (json_get(doc, components[i]))
      write_component(&w, components[i], json_get(doc, components[i]));
  if (json_is(more, json_type_object)) {
    json_object_object_foreach (more, name, component) {
      write_component(&w, name, component);
    }
  }
  return OME_OK;
}

void select_pipeline_fini(struct select_pipeline *p) {
  free(p->parts);
  free(p->names);
  *p = (struct select_pipeline){0};
}
