#include "controller/modelfacts.h"

#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* What the model's configuration says is no wish: it always is what the files say. */
static bool put_configuration(struct json_object *spec, struct json_object *config, bool *changed) {
  struct json_object *said = json_get(config, "decodedModelConfiguration");

  if (!said || json_equal(json_get(spec, "modelConfiguration"), said))
    return true;
  *changed = true;
  return json_set(spec, "modelConfiguration", json_copy(said));
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
  return fill_version(spec, config, changed) && put_configuration(spec, config, changed);
}

/* ---- what people wrote and the files do not bear out ------------------------------------------------------------- */

/* Older names of capabilities, and what they are called now. */
static const char *current_name(const char *capability) {
  static const char *const names[][2] = {
      {"TEXT_GENERATION", "TEXT_TO_TEXT"}, {"CHAT", "TEXT_TO_TEXT"},  {"TEXT_SUMMARIZATION", "TEXT_TO_TEXT"},
      {"TEXT_EMBEDDINGS", "EMBEDDING"},    {"TEXT_RERANK", "RERANK"}, {"VISION", "IMAGE_TEXT_TO_TEXT"},
  };

  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (streq(capability, names[i][0]))
      return names[i][1];
  return capability;
}

/* People may add what the files do not tell; what they tell must be among it. */
static bool same_capabilities(struct json_object *given, struct json_object *found) {
  for (size_t i = 0; i < json_len(found); i++) {
    const char *wanted = json_object_get_string(json_index(found, i));
    bool there = false;
    for (size_t k = 0; k < json_len(given); k++)
      there = there || streq(current_name(json_object_get_string(json_index(given, k))), wanted);
    if (!there)
      return false;
  }
  return true;
}

/* Which interfaces a model is offered under is a choice; none of those that suit it is a mistake. */
static bool have_one_in_common(struct json_object *given, struct json_object *found) {
  for (size_t i = 0; i < json_len(found); i++)
    for (size_t k = 0; k < json_len(given); k++)
      if (json_equal(json_index(given, k), json_index(found, i)))
        return true;
  return false;
}

/* "7.62B" and how many digits it has behind the point; false: no such text. */
static bool read_size(const char *text, double *value, double *step) {
  static const char units[] = "KMBT";
  char *end = NULL;
  const char *unit, *point = strchr(text, '.');

  *value = strtod(text, &end);
  if (end == text || *value <= 0)
    return false;
  double scale = 1;
  if (*end && (unit = strchr(units, *end)))
    for (const char *u = units; u <= unit; u++)
      scale *= 1000;
  else if (*end)
    return false;
  *step = scale;
  for (; point && ++point < end;)
    *step /= 10;
  *value *= scale;
  return true;
}

/* 7B and 8B are both said of 7.62B: cut and rounded to the digits that are given. */
static bool same_size(const char *given, const char *found) {
  double a = 0, b = 0, step = 0, other = 0;

  if (streq(given, found) || !read_size(found, &b, &other) || !read_size(given, &a, &step))
    return streq(given, found);
  return a > b ? a - b <= step / 2 : b - a < step;
}

static bool agrees(const char *path, struct json_object *given, struct json_object *found) {
  if (streq(path, "modelCapabilities"))
    return same_capabilities(given, found);
  if (streq(path, "apiCapabilities"))
    return have_one_in_common(given, found);
  if (streq(path, "modelParameterSize"))
    return same_size(json_object_get_string(given), json_object_get_string(found));
  return json_equal(given, found);
}

bool model_disagreement(struct json_object *model, struct json_object *config, struct buf *out) {
  static const char *const paths[] = {
      "modelType",         "modelArchitecture", "modelParameterSize", "quantization",        "maxTokens",
      "modelCapabilities", "apiCapabilities",   "modelFormat.name",   "modelFramework.name", "modelFramework.version",
  };
  struct json_object *spec = json_get(model, "spec");
  size_t before = out->len;

  for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
    struct json_object *given = json_at(spec, paths[i]), *found = json_at(config, paths[i]);
    if (is_set(given) && is_set(found) && !agrees(paths[i], given, found))
      buf_addf(out, "%sspec.%s is %.80s, the files say %.80s", out->len > before ? "; " : "", paths[i],
               json_object_get_string(given), json_object_get_string(found));
  }
  return out->len > before;
}

/* ---- fine-tuned weights ------------------------------------------------------------------------------------------ */

static bool fill_strategy(struct json_object *spec, struct json_object *adapter, bool *changed) {
  const char *type = json_str(adapter, "peft_type", "");
  char strategy[32];
  size_t n = 0;

  if (*type == '\0' || is_set(json_at(spec, "hyperParameters.strategy")))
    return true;
  for (; type[n] && n < sizeof(strategy) - 1; n++)
    strategy[n] = (char)tolower((unsigned char)type[n]);
  strategy[n] = '\0';
  *changed = true;
  return json_set_str(spec, "hyperParameters.strategy", strategy);
}

bool weights_fill_spec(struct json_object *weights, struct json_object *config, bool *changed) {
  struct json_object *spec = json_ensure(weights, "spec"), *adapter = json_get(config, "adapter");

  *changed = false;
  if (!json_is(adapter, json_type_object))
    return spec != NULL;
  struct json_object *into = spec ? json_ensure(spec, "configuration") : NULL;
  if (!into)
    return false;
  json_object_object_foreach (adapter, key, value) {
    if (!is_set(value) || is_set(json_get(into, key)))
      continue;
    *changed = true;
    if (json_object_object_add(into, key, json_copy(value)) != 0)
      return false;
  }
  return fill_strategy(spec, adapter, changed);
}

/* "org/name" as a hub knows it, of a storageUri with or without a revision; NULL: it is elsewhere. */
static char *hub_name(const char *uri) {
  if (!has_prefix(uri, "hf://"))
    return NULL;
  return str_copy(uri + 5, strcspn(uri + 5, "@"));
}

/* A path, or a name without an organization, says nothing that could be compared. */
static bool same_base(const char *trained_on, struct json_object *base) {
  _cleanup_free_ char *name = hub_name(json_str(base, "spec.storage.storageUri", ""));
  const char *slash = strchr(trained_on, '/');

  if (!name || !slash || slash == trained_on || strchr(slash + 1, '/'))
    return true;
  return strcasecmp(name, trained_on) == 0;
}

static void say(struct buf *out, size_t before, const char *field, const char *given, const char *found) {
  buf_addf(out, "%sspec.%s is %.80s, the files say %.80s", out->len > before ? "; " : "", field, given, found);
}

bool weights_disagreement(struct json_object *weights, struct json_object *base, struct json_object *config,
                          struct buf *out) {
  struct json_object *spec = json_get(weights, "spec"), *adapter = json_get(config, "adapter");
  struct json_object *given = json_get(spec, "configuration");
  const char *strategy = json_str(spec, "hyperParameters.strategy", ""), *type = json_str(adapter, "peft_type", "");
  const char *trained_on = json_str(adapter, "base_model_name_or_path", "");
  size_t before = out->len;

  if (!json_is(adapter, json_type_object))
    return false;
  if (*strategy && *type && strcasecmp(strategy, type) != 0)
    say(out, before, "hyperParameters.strategy", strategy, type);
  json_object_object_foreach (adapter, key, value) {
    struct json_object *own = json_get(given, key);
    char field[128];
    (void)snprintf(field, sizeof(field), "configuration.%s", key);
    if (is_set(own) && is_set(value) && !json_equal(own, value))
      say(out, before, field, json_object_get_string(own), json_object_get_string(value));
  }
  if (base && !same_base(trained_on, base))
    buf_addf(out, "%sspec.baseModelRef is %.80s, from %.120s; the files are for %.120s", out->len > before ? "; " : "",
             json_str(spec, "baseModelRef.name", ""), json_str(base, "spec.storage.storageUri", ""), trained_on);
  return out->len > before;
}
