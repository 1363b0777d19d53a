/* Shared by the rules of built-in kinds. */
#ifndef HOST_API_BUILTIN_INTERNAL_H
#define HOST_API_BUILTIN_INTERNAL_H

#include "api/builtin.h"

#define DNS_LABEL_RULE                                                                                                 \
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " \
  "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "                            \
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

/* Adds an error at PATH followed by FIELD ("" for PATH itself). */
void rule_error(struct field_errors *out, int type, const char *path, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* "[prefix/]name" with an optional DNS subdomain before up to 63 characters (apimachinery IsQualifiedName). */
bool is_qualified_name(const char *s);

/* A pod's spec at PATH ("spec", "spec.template.spec"). */
void pod_default(struct json_object *spec);
void pod_validate(struct json_object *spec, const char *path, struct field_errors *out);

/* Validating- and MutatingWebhookConfiguration. */
void webhooks_validate(struct json_object *o, struct field_errors *out);

#endif
