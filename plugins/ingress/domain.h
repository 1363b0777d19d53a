/* Host names of services from the configuration's templates. */
#ifndef PLUGINS_INGRESS_DOMAIN_H
#define PLUGINS_INGRESS_DOMAIN_H

#include "../common/doc.h"

/* The host of NAME: "{{ .Name }}", "{{ .Namespace }}", "{{ .IngressDomain }}", "{{ .Annotations.X }}" and
 * "{{ .Labels.X }}" of the domain template filled in.  OME_E_INVALID when the result is no host name. */
int32_t domain_host(const struct request_docs *d, const char *name, char *out, size_t cap, struct ome_err *err);

/* TEMPLATE filled in for NAME; KEY is for messages. */
int32_t domain_fill(const struct request_docs *d, const char *key, const char *template, const char *name, char *out,
                    size_t cap, struct ome_err *err);

/* RFC 1123 subdomain, and one label of it. */
int domain_is_host(const char *s);
int domain_is_label(const char *s);

/* A key of the ingress configuration, or the service's annotation that goes before it. */
const char *domain_setting(const struct request_docs *d, const char *key, const char *annotation, const char *dflt);

#endif
