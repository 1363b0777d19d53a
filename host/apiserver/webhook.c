/* The table of webhooks and their rules: admissionregistration.k8s.io/v1, "Matching requests". */
#include "apiserver/webhook.h"

#include "api/builtin.h"
#include "api/selector.h"
#include "base/log.h"
#include "base/str.h"
#include "cel/cel.h"
#include "kube/meta.h"

#include <string.h>

#define GROUP_PREFIX "admissionregistration.k8s.io/"
#define MUTATING GROUP_PREFIX "mutatingwebhookconfigurations"
#define VALIDATING GROUP_PREFIX "validatingwebhookconfigurations"

struct webhook_list {
  VEC(struct json_object *) documents; /* own what the webhooks point into */
  VEC(struct webhook) hooks;
};

struct webhooks {
  struct webhook_list mutating, validating;
};

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void webhook_fini(struct webhook *w) {
  selector_free(w->namespaces);
  selector_free(w->objects);
  for (size_t i = 0; i < w->conditions.len; i++)
    cel_program_free(w->conditions.items[i]);
  VEC_FREE(&w->conditions);
}

static void list_fini(struct webhook_list *l) {
  for (size_t i = 0; i < l->hooks.len; i++)
    webhook_fini(&l->hooks.items[i]);
  VEC_FREE(&l->hooks);
  for (size_t i = 0; i < l->documents.len; i++)
    json_unref(l->documents.items[i]);
  VEC_FREE(&l->documents);
}

void webhooks_free(struct webhooks *w) {
  if (!w)
    return;
  list_fini(&w->mutating);
  list_fini(&w->validating);
  free(w);
}

static int32_t compile_selector(struct json_object *spec, const char *field, struct selector **out,
                                struct ome_err *err) {
  struct json_object *selector = json_get(spec, field);

  return selector ? selector_from_object(selector, out, err) : selector_parse(NULL, out, err);
}

static int32_t compile(const char *configuration, struct json_object *spec, struct webhook *w, struct ome_err *err) {
  struct json_object *conditions = json_get(spec, "matchConditions");

  *w = (struct webhook){
      .configuration = configuration,
      .name = json_str(spec, "name", ""),
      .spec = spec,
      .ignore = streq(json_str(spec, "failurePolicy", ""), "Ignore"),
      .reinvoke = streq(json_str(spec, "reinvocationPolicy", ""), "IfNeeded"),
      .exact = streq(json_str(spec, "matchPolicy", ""), "Exact"),
      .no_dry_run = !has_prefix(json_str(spec, "sideEffects", ""), "None"),
      .timeout_ms = (uint32_t)json_i64(spec, "timeoutSeconds", 10) * 1000,
  };
  int32_t rc = compile_selector(spec, "namespaceSelector", &w->namespaces, err);
  if (rc == OME_OK)
    rc = compile_selector(spec, "objectSelector", &w->objects, err);
  for (size_t i = 0; rc == OME_OK && i < json_len(conditions); i++) {
    struct cel_program *p = NULL;
    rc = api_compile_match_condition(json_str(json_index(conditions, i), "expression", ""), &p, err);
    if (rc == OME_OK && !VEC_PUSH(&w->conditions, p)) {
      cel_program_free(p);
      rc = fail_memory(err);
    }
  }
  return rc;
}

/* What was stored was checked before; a webhook that cannot be compiled all the same is named and left out. */
static bool add_configuration(void *arg, const char *ns, const char *name, const char *text, size_t len,
                              const char *labels) {
  struct webhook_list *list = arg;
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  (void)ns;
  (void)labels;
  if (json_parse(text, len, SIZE_MAX, &o, &err) != OME_OK || !VEC_PUSH(&list->documents, o)) {
    json_unref(o);
    return true;
  }
  struct json_object *hooks = json_get(o, "webhooks");
  for (size_t i = 0; i < json_len(hooks); i++) {
    struct webhook w;
    int32_t rc = compile(meta_name(o), json_index(hooks, i), &w, &err);
    if (rc == OME_OK && VEC_PUSH(&list->hooks, w))
      continue;
    webhook_fini(&w);
    log_error("apiserver", "webhook %s of %s is left out: %s", json_str(json_index(hooks, i), "name", "?"), name,
              rc == OME_OK ? "out of memory" : err.msg);
  }
  return true;
}

static struct webhooks *webhooks_of(struct apiserver *s) {
  static const struct store_part mutating = {.collection = MUTATING}, validating = {.collection = VALIDATING};
  struct ome_err err = ERR_INIT;

  if (s->webhooks || !(s->webhooks = calloc(1, sizeof(*s->webhooks))))
    return s->webhooks;
  if (store_list(s->store, &mutating, add_configuration, &s->webhooks->mutating, &err) != OME_OK ||
      store_list(s->store, &validating, add_configuration, &s->webhooks->validating, &err) != OME_OK)
    log_error("apiserver", "webhook configurations: %s", err.msg);
  return s->webhooks;
}

static const struct webhook *list_of(const struct webhook_list *l, size_t *n) {
  *n = l ? l->hooks.len : 0;
  return *n ? l->hooks.items : NULL;
}

const struct webhook *webhooks_mutating(struct apiserver *s, size_t *n) {
  const struct webhooks *w = webhooks_of(s);

  return list_of(w ? &w->mutating : NULL, n);
}

const struct webhook *webhooks_validating(struct apiserver *s, size_t *n) {
  const struct webhooks *w = webhooks_of(s);

  return list_of(w ? &w->validating : NULL, n);
}

void webhooks_changed(struct apiserver *s, const char *collection) {
  if (!has_prefix(collection, GROUP_PREFIX))
    return;
  webhooks_free(s->webhooks);
  s->webhooks = NULL;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static bool lists(struct json_object *list, const char *word) {
  for (size_t i = 0; i < json_len(list); i++) {
    const char *v = json_object_get_string(json_index(list, i));
    if (streq(v, "*") || streq(v, word))
      return true;
  }
  return false;
}

/* "pods", "pods/status", "pods/...*", "*", "..*..": of resources with a slash each side may be a star. */
static bool covers(const char *pattern, const char *plural, const char *sub) {
  size_t n = strcspn(pattern, "/");
  bool resource = (n == 1 && *pattern == '*') || (strlen(plural) == n && strncmp(pattern, plural, n) == 0);

  if (!pattern[n])
    return resource && !*sub;
  return resource && (streq(pattern + n + 1, "*") || streq(pattern + n + 1, sub));
}

static bool covers_any(struct json_object *list, const char *plural, const char *sub) {
  for (size_t i = 0; i < json_len(list); i++)
    if (covers(json_object_get_string(json_index(list, i)), plural, sub))
      return true;
  return false;
}

static bool in_scope(struct json_object *rule, const struct resource *r) {
  const char *scope = json_str(rule, "scope", "*");

  return streq(scope, "*") || streq(scope, r->namespaced ? "Namespaced" : "Cluster");
}

static bool rule_matches(struct json_object *rule, const struct attributes *a, const struct resource *r) {
  return lists(json_get(rule, "operations"), a->operation) && lists(json_get(rule, "apiGroups"), r->group) &&
         lists(json_get(rule, "apiVersions"), r->version) &&
         covers_any(json_get(rule, "resources"), r->plural, a->sub) && in_scope(rule, r);
}

static bool any_rule_matches(const struct webhook *w, const struct attributes *a, const struct resource *r) {
  struct json_object *rules = json_get(w->spec, "rules");

  for (size_t i = 0; i < json_len(rules); i++)
    if (rule_matches(json_index(rules, i), a, r))
      return true;
  return false;
}

/* The version of the objects that W's rules name; NULL: none. */
static const struct resource *matching_resource(struct apiserver *s, const struct webhook *w,
                                                const struct attributes *a) {
  if (any_rule_matches(w, a, a->resource))
    return a->resource;
  for (size_t i = 0; !w->exact && i < registry_count(s->registry); i++) {
    const struct resource *r = registry_at(s->registry, i);
    if (r != a->resource && streq(r->collection, a->resource->collection) && any_rule_matches(w, a, r))
      return r;
  }
  return NULL;
}

/* ---- selectors --------------------------------------------------------------------------------------------------- */

static bool is_namespace(const struct attributes *a) {
  return !*a->resource->group && streq(a->resource->kind, "Namespace");
}

/* Cluster-scoped objects have no namespace that could be left out; a Namespace is its own. */
static bool namespace_selected(struct apiserver *s, const struct webhook *w, const struct attributes *a) {
  struct ome_err err = ERR_INIT;

  if (is_namespace(a))
    return selector_match(w->namespaces, json_at(a->object ? a->object : a->old, "metadata.labels"));
  if (!a->resource->namespaced)
    return true;
  const struct store_key key = {"/namespaces", "", a->ns};
  _cleanup_free_ char *text = store_get(s->store, &key);
  _cleanup_json_ struct json_object *ns = NULL;
  if (!text || json_parse(text, strlen(text), SIZE_MAX, &ns, &err) != OME_OK)
    return false;
  return selector_match(w->namespaces, json_at(ns, "metadata.labels"));
}

static bool object_selected(const struct webhook *w, const struct attributes *a) {
  return (a->object && selector_match(w->objects, json_at(a->object, "metadata.labels"))) ||
         (a->old && selector_match(w->objects, json_at(a->old, "metadata.labels")));
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

static enum webhook_match conditions_hold(const struct webhook *w, const struct attributes *a,
                                          const struct resource *as, struct ome_err *err) {
  if (!w->conditions.len)
    return WEBHOOK_MATCHES;
  _cleanup_json_ struct json_object *scope = json_object_new_object();
  (void)json_put(scope, "object", json_object_get(a->object));
  (void)json_put(scope, "oldObject", json_object_get(a->old));
  (void)json_put(scope, "request", webhook_request(a, as));
  enum webhook_match found = WEBHOOK_MATCHES;
  for (size_t i = 0; i < w->conditions.len; i++) {
    bool truth = false;
    if (cel_eval_bool(w->conditions.items[i], scope, NULL, &truth, err) != OME_OK)
      found = WEBHOOK_FAILS; /* unless another one is false */
    else if (!truth)
      return WEBHOOK_PASSES;
  }
  return found;
}

enum webhook_match webhook_match(struct apiserver *s, const struct webhook *w, const struct attributes *a,
                                 const struct resource **as, struct ome_err *err) {
  if (has_prefix(a->resource->collection, GROUP_PREFIX)) /* or a bad one could never be mended */
    return WEBHOOK_PASSES;
  *as = matching_resource(s, w, a);
  if (!*as || !namespace_selected(s, w, a) || !object_selected(w, a))
    return WEBHOOK_PASSES;
  return conditions_hold(w, a, *as, err);
}
