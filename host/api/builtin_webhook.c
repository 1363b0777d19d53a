/* Rules of webhook configurations (Kubernetes API, admissionregistration.k8s.io/v1). */
#include "api/builtin_internal.h"

#include "base/json.h"
#include "base/str.h"
#include "cel/cel.h"

#include <string.h>

/* ---- match conditions -------------------------------------------------------------------------------------------- */

static bool is_condition_name(const void *schema, const char *name, struct cel_type *out) {
  static const char *const names[] = {"object", "oldObject", "request"};

  (void)schema;
  *out = (struct cel_type){.kind = CEL_DYN};
  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (streq(names[i], name))
      return true;
  return false;
}

static struct cel_type anything(const void *schema) {
  (void)schema;
  return (struct cel_type){.kind = CEL_DYN};
}

int32_t api_compile_match_condition(const char *text, struct cel_program **out, struct ome_err *err) {
  static const struct cel_schema_ops ops = {.field = is_condition_name, .elem = anything};
  const struct cel_type scope = {.kind = CEL_OBJECT, .schema = &ops};

  return cel_compile_scope(text, scope, &ops, CEL_BOOL, out, err);
}

static void check_conditions(struct json_object *hook, const char *at, struct field_errors *out) {
  struct json_object *list = json_get(hook, "matchConditions");

  for (size_t i = 0; i < json_len(list); i++) {
    _cleanup_free_ char *path = str_printf("%s.matchConditions[%zu]", at, i);
    const char *text = json_str(json_index(list, i), "expression", "");
    struct cel_program *program = NULL;
    struct ome_err err = ERR_INIT;
    if (!is_qualified_name(json_str(json_index(list, i), "name", "")))
      rule_error(out, FIELD_REQUIRED, path, ".name", "Required value: a qualified name");
    if (!*text)
      rule_error(out, FIELD_REQUIRED, path, ".expression", "Required value");
    else if (api_compile_match_condition(text, &program, &err) != OME_OK)
      rule_error(out, FIELD_INVALID, path, ".expression", "Invalid value: \"%s\": compilation failed: %s", text,
                 err.msg);
    cel_program_free(program);
  }
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

/* A list that has to say something, and where "*" stands alone. */
static void check_words(struct json_object *rule, const char *at, const char *field, struct field_errors *out) {
  struct json_object *list = json_get(rule, field);
  _cleanup_free_ char *suffix = str_printf(".%s", field);
  size_t n = json_len(list);

  if (!n)
    rule_error(out, FIELD_REQUIRED, at, suffix, "Required value");
  for (size_t i = 0; n > 1 && i < n; i++)
    if (streq(json_object_get_string(json_index(list, i)), "*")) {
      rule_error(out, FIELD_INVALID, at, suffix, "Invalid value: if '*' is present, must not specify other %s", field);
      return;
    }
}

static void check_rules(struct json_object *hook, const char *at, struct field_errors *out) {
  static const char *const fields[] = {"operations", "apiGroups", "apiVersions"};
  struct json_object *rules = json_get(hook, "rules");

  for (size_t i = 0; i < json_len(rules); i++) {
    _cleanup_free_ char *path = str_printf("%s.rules[%zu]", at, i);
    struct json_object *rule = json_index(rules, i);
    for (size_t k = 0; k < ARRAY_LEN(fields); k++)
      check_words(rule, path, fields[k], out);
    if (!json_len(json_get(rule, "resources")))
      rule_error(out, FIELD_REQUIRED, path, ".resources", "Required value");
  }
}

/* ---- where it is ------------------------------------------------------------------------------------------------- */

static void check_url(const char *url, const char *at, struct field_errors *out) {
  static const char form[] = "desired format: https://host[/path]";
  size_t scheme = strcspn(url, ":");

  if (scheme != 5 || strncmp(url, "https", 5) != 0)
    rule_error(out, FIELD_INVALID, at, ".url", "Invalid value: \"%.*s\": 'https' is the only allowed URL scheme; %s",
               (int)scheme, url, form);
  else if (!has_prefix(url, "https://") || strchr("/?#", url[8]))
    rule_error(out, FIELD_INVALID, at, ".url", "Invalid value: \"\": host must be specified; %s", form);
  else if (strchr(url, '@'))
    rule_error(out, FIELD_INVALID, at, ".url", "Invalid value: user information is not permitted in the URL");
  else if (strpbrk(url, "?#"))
    rule_error(out, FIELD_INVALID, at, ".url",
               "Invalid value: \"%s\": query parameters and fragments are not permitted in the URL", url);
}

static void check_service(struct json_object *service, const char *at, struct field_errors *out) {
  int64_t port = json_i64(service, "port", 443);
  const char *path = json_str(service, "path", NULL);

  if (!*json_str(service, "name", ""))
    rule_error(out, FIELD_REQUIRED, at, ".service.name", "Required value: service name is required");
  if (!*json_str(service, "namespace", ""))
    rule_error(out, FIELD_REQUIRED, at, ".service.namespace", "Required value: service namespace is required");
  if (path && *path != '/')
    rule_error(out, FIELD_INVALID, at, ".service.path", "Invalid value: \"%s\": must start with a '/'", path);
  if (port < 1 || port > 65535)
    rule_error(out, FIELD_INVALID, at, ".service.port",
               "Invalid value: %lld: port is not valid: must be between 1 and 65535, inclusive", (long long)port);
}

static void check_client(struct json_object *hook, const char *hook_at, struct field_errors *out) {
  _cleanup_free_ char *at = str_printf("%s.clientConfig", hook_at);
  const char *url = json_str(hook, "clientConfig.url", NULL);
  struct json_object *service = json_at(hook, "clientConfig.service");

  if (!url == !service)
    rule_error(out, FIELD_REQUIRED, at, "", "Required value: exactly one of url or service is required");
  else if (url)
    check_url(url, at, out);
  else
    check_service(service, at, out);
}

/* ---- a webhook --------------------------------------------------------------------------------------------------- */

static bool has_three_segments(const char *name) {
  size_t dots = 0;

  for (const char *p = name; *p; p++)
    dots += *p == '.';
  return dots >= 2 && is_dns_subdomain(name);
}

static void check_webhook(struct json_object *hook, const char *at, struct field_errors *out) {
  const char *name = json_str(hook, "name", "");
  const char *effects = json_str(hook, "sideEffects", "");
  int64_t timeout = json_i64(hook, "timeoutSeconds", 10);
  struct json_object *versions = json_get(hook, "admissionReviewVersions");
  bool known = false;

  if (!has_three_segments(name))
    rule_error(out, FIELD_INVALID, at, ".name",
               "Invalid value: \"%s\": should be a domain with at least three segments separated by dots", name);
  if (streq(effects, "Some") || streq(effects, "Unknown"))
    rule_error(out, FIELD_UNSUPPORTED, at, ".sideEffects",
               "Unsupported value: \"%s\": supported values: \"None\", \"NoneOnDryRun\"", effects);
  if (timeout < 1 || timeout > 30)
    rule_error(out, FIELD_INVALID, at, ".timeoutSeconds",
               "Invalid value: %lld: the timeout value must be between 1 and 30 seconds", (long long)timeout);
  for (size_t i = 0; i < json_len(versions); i++)
    known = known || streq(json_object_get_string(json_index(versions, i)), "v1") ||
            streq(json_object_get_string(json_index(versions, i)), "v1beta1");
  if (!json_len(versions))
    rule_error(out, FIELD_REQUIRED, at, ".admissionReviewVersions", "Required value: must specify one of v1, v1beta1");
  else if (!known)
    rule_error(out, FIELD_INVALID, at, ".admissionReviewVersions",
               "Invalid value: must include at least one of v1, v1beta1");
  check_rules(hook, at, out);
  check_client(hook, at, out);
  check_conditions(hook, at, out);
}

void webhooks_validate(struct json_object *o, struct field_errors *out) {
  struct json_object *list = json_get(o, "webhooks");

  for (size_t i = 0; i < json_len(list); i++) {
    _cleanup_free_ char *at = str_printf("webhooks[%zu]", i);
    check_webhook(json_index(list, i), at, out);
  }
}
