/* What render plugins share: documents in and out, as json-c objects inside the plugin. */
#ifndef PLUGINS_COMMON_DOC_H
#define PLUGINS_COMMON_DOC_H

#include <ome/render.h>

#include <json-c/json.h>

/* The documents of one request; absent ones are NULL. */
struct request_docs {
  struct json_object *service;
  struct json_object *component;
  struct json_object *components;
  struct json_object *cluster;
};

/* Bounded in depth; no text gives NULL.  *OUT is new. */
int32_t doc_parse(struct ome_bytes text, struct json_object **out, struct ome_err *err);

/* What a render plugin decides, on parsed documents: the objects it wants, and what became of them.  LIVE is the array
 * of those objects as the server has them now, null for what is not there. */
typedef int32_t docs_render_fn(const struct request_docs *d, struct ome_object_sink *out, struct ome_err *err);
typedef int32_t docs_observe_fn(const struct request_docs *d, struct json_object *live, struct ome_status *out,
                                struct ome_err *err);

/* The ABI's methods: parse, call FN, free. */
int32_t docs_render(const struct ome_render_req *req, docs_render_fn *fn, struct ome_object_sink *out,
                    struct ome_err *err);
int32_t docs_observe(const struct ome_render_req *req, struct ome_bytes observed, docs_observe_fn *fn,
                     struct ome_status *out, struct ome_err *err);

/* By dotted path; NULL: absent. */
struct json_object *doc_at(struct json_object *o, const char *path);
/* By one key, dots and all. */
struct json_object *doc_get(struct json_object *o, const char *key);
const char *doc_str(struct json_object *o, const char *path, const char *dflt);
int64_t doc_int(struct json_object *o, const char *path, int64_t dflt);
struct json_object *doc_item(struct json_object *array, size_t i);
size_t doc_len(struct json_object *array);

/* Condition TYPE in O's status; NULL: absent. */
struct json_object *doc_condition(struct json_object *o, const char *type);

/* Builders: take V; objects on the way are made.  Memory running out ends the process' use of the plugin: json-c then
 * yields NULL, which is left out and which the API server refuses. */
void doc_set(struct json_object *o, const char *path, struct json_object *v);
void doc_set_str(struct json_object *o, const char *path, const char *v);
void doc_set_int(struct json_object *o, const char *path, int64_t v);
/* Sets PATH to a reference to V when V is there. */
void doc_share(struct json_object *o, const char *path, struct json_object *v);

/* apiVersion, kind, metadata.{name, namespace}, labels and annotations of the component. */
struct json_object *doc_object(const char *api_version, const char *kind, const char *name,
                               struct json_object *component);

/* Pushes O into the sink and drops it. */
int32_t doc_push(struct ome_object_sink *out, struct json_object *o, struct ome_err *err);

/* A kind of the API that a plugin cannot do without; {0}: it needs none. */
struct api_kind {
  const char *group, *version, *kind;
};

/* The ABI's needs(): pushes NEEDED where there is one. */
int32_t doc_need(const struct api_kind *needed, struct ome_object_sink *out, struct ome_err *err);

/* Whether the cluster has KIND of API_VERSION. */
int doc_cluster_has(struct json_object *cluster, const char *api_version, const char *kind);

/* Fills ERR; returns CODE. */
int32_t doc_fail(struct ome_err *err, int32_t code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Text into a fixed member of struct ome_status, cut where it does not fit. */
void doc_text(char *to, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* One address more of a service at its ingress, called NAME ("": nothing), where the host asks for them. */
int32_t doc_say_address(struct ome_status *out, const char *name, const char *url, struct ome_err *err);

/* The first of the component's ports. */
int64_t doc_first_port(struct json_object *component);

/* http://<name>.<namespace>.svc.<domain>, with ":PORT" unless PORT is 0, into OUT. */
void doc_service_url(char *out, size_t cap, const char *name, const char *ns, struct json_object *cluster,
                     int64_t port);

#endif
