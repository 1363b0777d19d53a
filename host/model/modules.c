/* Which modules of a model a list of names speaks of.
 *
 * Methods write such lists differently: names of modules ("lm_head", "model.layers.0.mlp.gate"), parts of names
 * ("visual", "mlp.gate."), shell patterns ("*router*"), regular expressions behind "re:" (compressed-tensors), which
 * are anchored at the start.  What stands before "layers." differs between the library that wrote a list and the one
 * that saved the model, so that names are compared from there on. */
#include "model/packing.h"

#include "base/regex.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_NAMES 8192u
#define MAX_REGEXES 32u
#define MAX_LENGTH 512u
#define MAX_STEPS 4000u                 /* of one match: names are short */
#define MAX_QUESTIONS ((size_t)1 << 22) /* comparisons; a model of 100 layers with a list of 1,000 names takes 2^20 */
#define MAX_MATCHES ((size_t)1 << 16)   /* of regular expressions */

struct module_names {
  VEC(const char *) texts; /* all, borrowed */
  VEC(const char *) plain; /* from "layers." on */
  VEC(struct regex *) regexes;
  size_t questions, matches;
};

int32_t module_names_new(struct module_names **out, struct ome_err *err) {
  *out = calloc(1, sizeof(**out));
  return *out ? OME_OK : fail_memory(err);
}

void module_names_free(struct module_names *n) {
  if (!n)
    return;
  for (size_t i = 0; i < n->regexes.len; i++)
    regex_free(n->regexes.items[i]);
  VEC_FREE(&n->regexes);
  VEC_FREE(&n->plain);
  VEC_FREE(&n->texts);
  free(n);
}

static bool add_regex(struct module_names *n, const char *pattern) {
  struct ome_err err = ERR_INIT;
  struct regex *re = NULL;

  if (n->regexes.len == MAX_REGEXES || regex_new(pattern, strlen(pattern), &re, &err) != OME_OK)
    return err.code != OME_E_NO_MEMORY; /* what is no expression matches nothing */
  regex_limit(re, MAX_STEPS);
  if (VEC_PUSH(&n->regexes, re))
    return true;
  regex_free(re);
  return false;
}

static bool add_one(struct module_names *n, const char *pattern) {
  if (*pattern == '\0' || strlen(pattern) > MAX_LENGTH || n->texts.len == MAX_NAMES)
    return true;
  if (!VEC_PUSH(&n->texts, pattern))
    return false;
  if (has_prefix(pattern, "re:") || has_prefix(pattern, "-:"))
    return add_regex(n, strchr(pattern, ':') + 1);
  const char *layers = strstr(pattern, "layers.");
  const char *from = layers && !strstr(pattern, "vis") && !strstr(pattern, "audio") ? layers : pattern;
  return VEC_PUSH(&n->plain, from);
}

bool module_names_add_dynamic(struct module_names *n, struct json_object *dynamic) {
  if (!json_is(dynamic, json_type_object))
    return true;
  json_object_object_foreach (dynamic, key, value) {
    (void)value;
    if (has_prefix(key, "-:") && !add_one(n, key))
      return false;
  }
  return true;
}

bool module_names_add(struct module_names *n, struct json_object *list) {
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *one = json_index(list, i);
    if (json_is(one, json_type_string) && !add_one(n, json_object_get_string(one)))
      return false;
  }
  return true;
}

/* PATTERN, in which '*' is any text, at the start of NAME and to the end of one of its words. */
static bool matches_here(const char *pattern, const char *name) {
  const char *star = NULL, *back = NULL;

  for (;;) {
    bool ends = *pattern == '\0' || (*pattern == '.' && pattern[1] == '\0');
    if (ends && (*name == '\0' || *name == '.'))
      return true;
    if (*pattern == '*') {
      star = ++pattern;
      back = name;
    } else if (*pattern == *name && *name) {
      pattern++;
      name++;
    } else if (star && *back) {
      pattern = star;
      name = ++back;
    } else {
      return false;
    }
  }
}

static bool matches_plain(const char *pattern, const char *name) {
  for (const char *at = name; at; at = strchr(at, '.')) {
    at += *at == '.';
    if (matches_here(pattern, at))
      return true;
  }
  return false;
}

static bool matches_regex(const struct regex *re, const char *name) {
  struct ome_err err = ERR_INIT;
  struct regex_match m;

  return regex_find(re, name, strlen(name), 0, &m, &err) == OME_OK && m.found && m.begin == 0;
}

bool module_names_have(struct module_names *n, int64_t layer, const char *module) {
  static const char *const before[] = {"model.", "model.language_model.", "language_model.model."};
  char name[256], whole[320];

  if (layer >= 0)
    (void)snprintf(name, sizeof(name), "layers.%" PRId64 ".%s", layer, module);
  else
    (void)snprintf(name, sizeof(name), "%s", module);
  for (size_t i = 0; i < n->plain.len && n->questions < MAX_QUESTIONS; i++, n->questions++)
    if (matches_plain(n->plain.items[i], name))
      return true;
  for (size_t i = 0; i < n->regexes.len && n->matches < MAX_MATCHES; i++)
    for (size_t k = 0; k < ARRAY_LEN(before); k++, n->matches++) {
      (void)snprintf(whole, sizeof(whole), "%s%s", layer >= 0 ? before[k] : "", name);
      if (matches_regex(n->regexes.items[i], whole))
        return true;
    }
  return false;
}

bool module_names_mention(const struct module_names *n, const char *word) {
  for (size_t i = 0; i < n->texts.len; i++)
    if (strstr(n->texts.items[i], word))
      return true;
  return false;
}
