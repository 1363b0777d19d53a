/* The webhook configurations, from the table of webhooks. */
#include "admission/internal.h"

#include "admission/review.h"
#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

#define MANAGER "ome-controller"
#define TIMEOUT_S 10

static struct json_object *strings(const char *word) {
  struct json_object *a = json_object_new_array();

  (void)json_object_array_add(a, json_object_new_string(word));
  return a;
}

static struct json_object *rule_of(const struct webhook_entry *e) {
  struct json_object *rule = json_object_new_object();
  struct json_object *operations = strings("CREATE");

  if (e->on_update)
    (void)json_object_array_add(operations, json_object_new_string("UPDATE"));
  if (e->on_delete || e->of_agent)
    (void)json_object_array_add(operations, json_object_new_string("DELETE"));
  (void)json_set(rule, "operations", operations);
  (void)json_set(rule, "apiGroups", strings(e->group));
  (void)json_set(rule, "apiVersions", strings(streq(e->group, "ome.io") ? "v1beta1" : "v1"));
  (void)json_set(rule, "resources", strings(e->resource));
  (void)json_set_str(rule, "scope", "*");
  return rule;
}

static void set_client(struct json_object *hook, const struct webhook_entry *e, const struct admission_config *cfg,
                       const char *ca_bundle) {
  _cleanup_free_ char *encoded = base64_encode(ca_bundle, strlen(ca_bundle));
  _cleanup_free_ char *url = cfg->url ? str_printf("%s%s", cfg->url, e->path) : NULL;

  (void)json_set_str(hook, "clientConfig.caBundle", encoded ? encoded : "");
  if (url) {
    (void)json_set_str(hook, "clientConfig.url", url);
    return;
  }
  (void)json_set_str(hook, "clientConfig.service.namespace", cfg->ome_namespace);
  (void)json_set_str(hook, "clientConfig.service.name", cfg->service ? cfg->service : WEBHOOK_SERVICE);
  (void)json_set_str(hook, "clientConfig.service.path", e->path);
  (void)json_set_i64(hook, "clientConfig.service.port", 443);
}

/* Only objects with a label are asked about; and none that is being deleted, so that no outage of ours holds up a
 * deletion.  What is asked about agents holds up nobody else: the API server compares the name before it calls. */
static void set_scope(struct json_object *hook, const struct webhook_entry *e, const char *ome_namespace) {
  _cleanup_free_ char *agent = agent_username(ome_namespace);
  _cleanup_free_ char *is_agent = str_printf("request.userInfo.username == '%s'", agent ? agent : "");
  struct json_object *condition = json_object_new_object();
  struct json_object *conditions = json_object_new_array();

  (void)json_set_str(condition, "name", e->of_agent ? "by-an-agent" : "not-being-deleted");
  (void)json_set_str(condition, "expression",
                     e->on_delete   ? "object == null || !has(object.metadata.deletionTimestamp)"
                     : !e->of_agent ? "!has(object.metadata.deletionTimestamp)"
                     : is_agent     ? is_agent
                                    : "false");
  (void)json_object_array_add(conditions, condition);
  (void)json_set(hook, "matchConditions", conditions);
  if (!e->label)
    return;
  struct json_object *expression = json_object_new_object();
  struct json_object *expressions = json_object_new_array();
  (void)json_set_str(expression, "key", e->label);
  (void)json_set_str(expression, "operator", "Exists");
  (void)json_object_array_add(expressions, expression);
  (void)json_set(hook, "objectSelector.matchExpressions", expressions);
}

static struct json_object *hook_of(const struct webhook_entry *e, const struct admission_config *cfg,
                                   const char *ca_bundle) {
  struct json_object *hook = json_object_new_object();
  struct json_object *rules = json_object_new_array();

  (void)json_object_array_add(rules, rule_of(e));
  (void)json_set_str(hook, "name", e->name);
  (void)json_set(hook, "rules", rules);
  (void)json_set(hook, "admissionReviewVersions", strings("v1"));
  (void)json_set_str(hook, "sideEffects", "None");
  (void)json_set_str(hook, "failurePolicy", e->needed ? "Fail" : "Ignore");
  (void)json_set_i64(hook, "timeoutSeconds", TIMEOUT_S);
  if (e->mutating)
    (void)json_set_str(hook, "reinvocationPolicy", "IfNeeded");
  set_client(hook, e, cfg, ca_bundle);
  set_scope(hook, e, cfg->ome_namespace);
  return hook;
}

static struct json_object *configuration(const struct webhook_entry *first, const struct admission_config *cfg,
                                         const char *ca_bundle) {
  struct json_object *o = json_object_new_object();
  struct json_object *hooks = json_object_new_array();
  const struct webhook_entry *e;

  (void)json_set_str(o, "apiVersion", "admissionregistration.k8s.io/v1");
  (void)json_set_str(o, "kind", first->mutating ? "MutatingWebhookConfiguration" : "ValidatingWebhookConfiguration");
  (void)json_set_str(o, "metadata.name", first->configuration);
  for (size_t i = 0; (e = webhook_entry_at(i)); i++)
    if (e->mutating == first->mutating && streq(e->configuration, first->configuration))
      (void)json_object_array_add(hooks, hook_of(e, cfg, ca_bundle));
  (void)json_set(o, "webhooks", hooks);
  return o;
}

/* Whether ENTRY is the first of its configuration. */
static bool begins(const struct webhook_entry *entry) {
  const struct webhook_entry *e;

  for (size_t i = 0; (e = webhook_entry_at(i)) != entry; i++)
    if (e->mutating == entry->mutating && streq(e->configuration, entry->configuration))
      return false;
  return true;
}

/* OME has cert-manager write its bundle into these configurations, over ours, for as long as they say so.  NOW is what
 * the server has. */
static int32_t end_injection(const struct admission_config *cfg, const struct kube_resource *r, struct json_object *now,
                             struct ome_err *err) {
  static const char *const asking[] = {"cert-manager.io/inject-ca-from", "cert-manager.io/inject-ca-from-secret"};
  _cleanup_json_ struct json_object *patch = json_object_new_object();
  struct json_object *gone = json_object_new_object();

  if (!json_set(patch, "metadata.annotations", gone))
    return fail_memory(err);
  for (size_t i = 0; i < ARRAY_LEN(asking); i++)
    if (meta_annotation(now, asking[i]))
      (void)json_object_object_add(gone, asking[i], NULL);
  if (!json_object_object_length(gone))
    return OME_OK;
  return kube_patch(cfg->client, r, NULL, meta_name(now), NULL, KUBE_PATCH_MERGE, patch, NULL, err);
}

static int32_t register_one(const struct admission_config *cfg, const struct webhook_entry *first,
                            const char *ca_bundle, struct ome_err *err) {
  const struct kube_resource *r = first->mutating ? &KUBE_MUTATINGWEBHOOKS : &KUBE_VALIDATINGWEBHOOKS;
  _cleanup_json_ struct json_object *o = configuration(first, cfg, ca_bundle), *now = NULL;
  int32_t rc = kube_apply(cfg->client, r, o, NULL, MANAGER, true, &now, err);

  return rc == OME_OK ? end_injection(cfg, r, now, err) : rc;
}

int32_t register_webhooks(const struct admission_config *cfg, const char *ca_bundle, struct ome_err *err) {
  const struct webhook_entry *e;

  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && (e = webhook_entry_at(i)); i++)
    if (begins(e))
      rc = register_one(cfg, e, ca_bundle, err);
  return rc;
}
