/* What the site's configuration and a service's annotations say of where it is reached. */
#ifndef PLUGINS_INGRESS_SITE_H
#define PLUGINS_INGRESS_SITE_H

#include "domain.h"

#define SITE_HOST_MAX 300
#define SITE_PATH_MAX 300
#define SITE_NS_MAX 64

/* Annotation KEY of the service; NULL: absent. */
const char *site_annotation(const struct request_docs *d, const char *key);
/* KEY of the ingress configuration as text; DFLT when absent. */
const char *site_text(const struct request_docs *d, const char *key, const char *dflt);
int site_flag(const struct request_docs *d, const char *key, const char *annotation);

/* Whether the service is to be reached from inside the cluster only. */
int site_is_local(const struct request_docs *d);

/* Appends the hosts of NAME to LIST, each once: by the domain template, then one for each additional domain. */
int32_t site_hosts(const struct request_docs *d, const char *name, struct json_object *list, struct ome_err *err);

/* The path below the ingress domain that leads to the service as well, without "/" at its end; "" when there is no path
 * template. */
int32_t site_path(const struct request_docs *d, char out[SITE_PATH_MAX], struct ome_err *err);

/* The Secret with the certificate; "" for none. */
const char *site_tls_secret(const struct request_docs *d);
/* "https" with a certificate unless urlScheme says otherwise. */
const char *site_scheme(const struct request_docs *d);

/* Appends HOST to LIST unless it is there. */
void site_add_host(struct json_object *list, const char *host);

/* Whether TEXT is "NAMESPACE/NAME": *NS, of CAP bytes, and *NAME, which points into it. */
int site_split(const char *text, char *ns, size_t cap, const char **name);

/* "NAMESPACE/NAME" at KEY (or ANNOTATION), split as above.  OME_E_INVALID names the key. */
int32_t site_reference(const struct request_docs *d, const char *key, const char *annotation, char *ns, size_t cap,
                       const char **name, struct ome_err *err);

/* How many requests a second a client may send; 0: no limit. */
int32_t site_rate_limit(const struct request_docs *d, int64_t *out, struct ome_err *err);

/* Labels ome.io/inferenceservice and, unless NULL, component. */
struct json_object *site_labels(const struct request_docs *d, const char *component);
/* The service's annotations but for OME's own and kubectl's. */
struct json_object *site_annotations(const struct request_docs *d);
/* API_VERSION, KIND, NAME, the service's namespace, labels and annotations. */
struct json_object *site_object(const struct request_docs *d, const char *api_version, const char *kind,
                                const char *name);

/* What a service that is reached from inside only says of itself. */
void site_say_local(const struct request_docs *d, struct json_object *entry, struct ome_status *out);
/* SCHEME://HOST, or SCHEME://INGRESSDOMAIN/PATH with a path template, into OUT of CAP bytes. */
int32_t site_url(const struct request_docs *d, char *out, size_t cap, struct ome_err *err);

#endif
