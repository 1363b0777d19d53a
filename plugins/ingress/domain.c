#include "domain.h"

#include <stdio.h>
#include <string.h>

const char *domain_setting(const struct request_docs *d, const char *key, const char *annotation, const char *dflt) {
  struct json_object *a = doc_get(doc_at(d->service, "metadata.annotations"), annotation);
  const char *own = a ? json_object_get_string(a) : "";

  return *own ? own : doc_str(doc_at(d->cluster, "config.ingress"), key, dflt);
}

/* The value of one reference; NULL: unknown. */
static const char *lookup(const struct request_docs *d, const char *key, const char *name) {
  if (strcmp(key, ".Name") == 0)
    return name;
  if (strcmp(key, ".Namespace") == 0)
    return doc_str(d->service, "metadata.namespace", "default");
  if (strcmp(key, ".IngressDomain") == 0)
    return domain_setting(d, "ingressDomain", "ome.io/ingress-domain", "example.com");
  if (strncmp(key, ".Annotations.", 13) == 0)
    return json_object_get_string(doc_get(doc_at(d->service, "metadata.annotations"), key + 13));
  if (strncmp(key, ".Labels.", 8) == 0)
    return json_object_get_string(doc_get(doc_at(d->service, "metadata.labels"), key + 8));
  return NULL;
}

int domain_is_host(const char *s) {
  size_t label = 0;

  for (const char *p = s;; p++) {
    if (*p == '.' || !*p) {
      if (label == 0 || label > 63 || p[-1] == '-')
        return 0;
      if (!*p)
        return p - s <= 253;
      label = 0;
      continue;
    }
    int alnum = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
    if (!alnum && (*p != '-' || label == 0))
      return 0;
    label++;
  }
}

int domain_is_label(const char *s) {
  return domain_is_host(s) && !strchr(s, '.');
}

int32_t domain_fill(const struct request_docs *d, const char *setting, const char *template, const char *name,
                    char *out, size_t cap, struct ome_err *err) {
  const char *t = template;
  size_t used = 0;

  while (*t && used + 1 < cap) {
    const char *end = strncmp(t, "{{", 2) == 0 ? strstr(t, "}}") : NULL;
    if (!end) {
      if (strncmp(t, "{{", 2) == 0)
        return doc_fail(err, OME_E_INVALID, "ingress: %s: \"%.80s\": \"{{\" without \"}}\"", setting, template);
      out[used++] = *t++;
      continue;
    }
    char key[256];
    const char *from = t + 2 + strspn(t + 2, " ");
    (void)snprintf(key, sizeof(key), "%.*s", (int)(end - from < 255 ? (end > from ? end - from : 0) : 255), from);
    key[strcspn(key, " ")] = '\0';
    const char *value = lookup(d, key, name);
    if (!value)
      return doc_fail(err, OME_E_INVALID, "ingress: %s: \"{{%.80s}}\" is not known", setting, key);
    int n = snprintf(out + used, cap - used, "%s", value);
    used += (size_t)n;
    t = end + 2;
  }
  if (used >= cap || *t)
    return doc_fail(err, OME_E_INVALID, "ingress: %s: longer than %zu bytes", setting, cap - 1);
  out[used] = '\0';
  return OME_OK;
}

int32_t domain_host(const struct request_docs *d, const char *name, char *out, size_t cap, struct ome_err *err) {
  const char *template = domain_setting(d, "domainTemplate", "ome.io/ingress-domain-template",
                                        "{{ .Name }}.{{ .Namespace }}.{{ .IngressDomain }}");
  int32_t rc = domain_fill(d, "domainTemplate", template, name, out, cap, err);

  if (rc != OME_OK || domain_is_host(out))
    return rc;
  return doc_fail(err, OME_E_INVALID, "ingress: domainTemplate: invalid domain name \"%.253s\"", out);
}
