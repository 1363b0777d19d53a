/* Pipelines of the diffusers library: model_index.json names components, each in a folder of its own. */
#include "model/internal.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define MAX_CONFIG ((size_t)1 << 20)
#define MAX_COMPONENTS 32u

static void copy_text(char *out, size_t size, struct json_object *text) {
  (void)snprintf(out, size, "%s", json_as_str(text, ""));
}

static struct json_object *first_of(struct json_object *o, const char *const *keys) {
  struct json_object *v = NULL;

  for (; !v && *keys; keys++)
    v = json_get(o, *keys);
  return v;
}

/* [library, class], [class], or an object; false: there is none. */
static bool read_component(const char *name, struct json_object *v, struct model_component *out) {
  static const char *const classes[] = {"_class_name", "class_name", "className", "type", NULL};
  static const char *const libraries[] = {"_library", "library", NULL};

  *out = (struct model_component){.parameters = 0};
  (void)snprintf(out->name, sizeof(out->name), "%s", name);
  if (json_is(v, json_type_array)) {
    copy_text(out->type, sizeof(out->type), json_index(v, json_len(v) == 1 ? 0 : 1));
    copy_text(out->library, sizeof(out->library), json_len(v) == 1 ? NULL : json_index(v, 0));
  } else if (json_is(v, json_type_object)) {
    copy_text(out->type, sizeof(out->type), first_of(v, classes));
    copy_text(out->library, sizeof(out->library), first_of(v, libraries));
  }
  return out->type[0] != '\0' && !strchr(name, '/');
}

/* The weights of one component, in whichever format, added up. */
static int32_t weigh(const struct model_source *src, const char *folder, struct model_component *c,
                     struct model_facts *f, struct ome_err *err) {
  _cleanup_model_facts_ struct model_facts own = {.parameter_source = "unknown"};
  char path[1400];

  (void)snprintf(path, sizeof(path), "%s%s/", folder, c->name);
  int32_t rc = safetensors_read(src, path, 0, &own, err);
  if (rc == OME_OK && own.format[0] == '\0')
    rc = pytorch_read(src, path, &own, err);
  if (rc != OME_OK)
    return rc;
  c->parameters = own.parameters;
  c->bytes = own.weight_bytes;
  f->weight_bytes += c->bytes;
  if (__builtin_add_overflow(f->parameters, c->parameters, &f->parameters))
    return fail(err, OME_E_CORRUPT, "model: %s: more parameters than can be counted", path);
  if (own.parameters) {
    f->parameter_source = own.parameter_source;
    if (f->dtype[0] == '\0' || !strstr(c->name, "text_encoder"))
      (void)snprintf(f->dtype, sizeof(f->dtype), "%s", own.dtype);
  }
  for (size_t i = 0; i < own.warnings.len; i++)
    facts_warn(f, "%s: %s", c->name, own.warnings.items[i]);
  return OME_OK;
}

static int32_t read_context(const struct model_source *src, const char *folder, struct model_facts *f,
                            struct ome_err *err) {
  _cleanup_json_ struct json_object *config = NULL;
  char path[1400];

  (void)snprintf(path, sizeof(path), "%stext_encoder/config.json", folder);
  int32_t rc = source_json(src, path, MAX_CONFIG, &config, err);
  int64_t n = json_i64(config, "max_position_embeddings", 0);
  f->context_length = n > 0 ? (uint64_t)n : 0;
  return rc;
}

int32_t diffusers_read(const struct model_source *src, const char *path, struct model_facts *f, struct ome_err *err) {
  static const char *const versions[] = {"_diffusers_version", "diffusers_version", NULL};
  static const char *const classes[] = {"_class_name", "class_name", "className", NULL};
  _cleanup_json_ struct json_object *index = NULL;
  char folder[1024];
  int32_t rc = source_json(src, path, MAX_CONFIG, &index, err);

  if (rc != OME_OK)
    return rc;
  (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strlen(path) - strlen("model_index.json")), path);
  copy_text(f->architecture, sizeof(f->architecture), first_of(index, classes));
  if (!json_is(index, json_type_object) || f->architecture[0] == '\0')
    return fail(err, OME_E_CORRUPT, "model: %s: names no pipeline; _class_name is missing", path);
  (void)snprintf(f->type, sizeof(f->type), "diffusers");
  (void)snprintf(f->format, sizeof(f->format), "diffusers");
  (void)snprintf(f->framework, sizeof(f->framework), "diffusers");
  copy_text(f->framework_version, sizeof(f->framework_version), first_of(index, versions));
  (void)snprintf(f->format_version, sizeof(f->format_version), "%.15s", f->framework_version);
  f->vision = true;
  json_object_object_foreach (index, name, value) {
    struct model_component c;
    if (*name == '_' || !read_component(name, value, &c))
      continue;
    if (f->components.len == MAX_COMPONENTS)
      return fail(err, OME_E_CORRUPT, "model: %s: more than %u components", path, MAX_COMPONENTS);
    rc = weigh(src, folder, &c, f, err);
    if (rc != OME_OK)
      return rc;
    if (!VEC_PUSH(&f->components, c))
      return fail_memory(err);
  }
  if (f->parameters)
    f->weight_bits = (double)f->weight_bytes * 8 / (double)f->parameters;
  return read_context(src, folder, f, err);
}
