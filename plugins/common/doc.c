#include "doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 128

int32_t doc_fail(struct ome_err *err, int32_t code, const char *fmt, ...) {
  va_list ap;

  err->code = code;
  va_start(ap, fmt);
  (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
  va_end(ap);
  return code;
}

void doc_text(char *to, size_t cap, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  (void)vsnprintf(to, cap, fmt, ap);
  va_end(ap);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int32_t parse_with(struct json_tokener *tok, struct ome_bytes text, struct json_object **out,
                          struct ome_err *err) {
  *out = NULL;
  if (text.len == 0)
    return OME_OK;
  if (text.len > INT32_MAX)
    return doc_fail(err, OME_E_INVALID, "the document is larger than 2 GiB");
  if (!tok)
    return doc_fail(err, OME_E_NO_MEMORY, "out of memory");
  json_tokener_reset(tok);
  *out = json_tokener_parse_ex(tok, text.ptr, (int)text.len);
  enum json_tokener_error e = json_tokener_get_error(tok);
  return e == json_tokener_success ? OME_OK : doc_fail(err, OME_E_INVALID, "not JSON: %s", json_tokener_error_desc(e));
}

static void close_tokener(struct json_tokener *tok) {
  if (tok)
    json_tokener_free(tok);
}

int32_t doc_parse(struct ome_bytes text, struct json_object **out, struct ome_err *err) {
  struct json_tokener *tok = json_tokener_new_ex(MAX_DEPTH);
  int32_t rc = parse_with(tok, text, out, err);

  close_tokener(tok);
  return rc;
}

static void close_docs(struct request_docs *d, struct json_object *live) {
  (void)json_object_put(d->service);
  (void)json_object_put(d->component);
  (void)json_object_put(d->components);
  (void)json_object_put(d->cluster);
  (void)json_object_put(live);
}

/* One tokener for all of them: with its places for depth it takes longer to get than most of them to be parsed. */
static int32_t open_docs(const struct ome_render_req *req, struct ome_bytes observed, struct request_docs *d,
                         struct json_object **live, struct ome_err *err) {
  const struct {
    struct ome_bytes text;
    struct json_object **out;
  } docs[] = {{req->service, &d->service},
              {req->component, &d->component},
              {req->components, &d->components},
              {req->cluster, &d->cluster},
              {observed, live}};
  struct json_tokener *tok = json_tokener_new_ex(MAX_DEPTH);
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < sizeof(docs) / sizeof(docs[0]); i++)
    rc = parse_with(tok, docs[i].text, docs[i].out, err);
  close_tokener(tok);
  return rc;
}

int32_t docs_render(const struct ome_render_req *req, docs_render_fn *fn, struct ome_object_sink *out,
                    struct ome_err *err) {
  struct json_object *live = NULL;
  struct request_docs d = {0};
  int32_t rc = open_docs(req, (struct ome_bytes){0}, &d, &live, err);

  if (rc == OME_OK)
    rc = fn(&d, out, err);
  close_docs(&d, live);
  return rc;
}

int32_t docs_observe(const struct ome_render_req *req, struct ome_bytes observed, docs_observe_fn *fn,
                     struct ome_status *out, struct ome_err *err) {
  struct json_object *live = NULL;
  struct request_docs d = {0};
  int32_t rc = open_docs(req, observed, &d, &live, err);

  if (rc == OME_OK)
    rc = fn(&d, live, out, err);
  close_docs(&d, live);
  return rc;
}

struct json_object *doc_get(struct json_object *o, const char *key) {
  struct json_object *v = NULL;

  if (json_object_is_type(o, json_type_object))
    (void)json_object_object_get_ex(o, key, &v);
  return v;
}

struct json_object *doc_at(struct json_object *o, const char *path) {
  char key[128];

  while (o && *path) {
    size_t n = strcspn(path, ".");
    if (n >= sizeof(key))
      return NULL;
    memcpy(key, path, n);
    key[n] = '\0';
    o = doc_get(o, key);
    path += n + (path[n] == '.');
  }
  return o;
}

const char *doc_str(struct json_object *o, const char *path, const char *dflt) {
  struct json_object *v = doc_at(o, path);

  return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : dflt;
}

int64_t doc_int(struct json_object *o, const char *path, int64_t dflt) {
  struct json_object *v = doc_at(o, path);

  return json_object_is_type(v, json_type_int) ? json_object_get_int64(v) : dflt;
}

size_t doc_len(struct json_object *array) {
  return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

struct json_object *doc_item(struct json_object *array, size_t i) {
  return i < doc_len(array) ? json_object_array_get_idx(array, i) : NULL;
}

int doc_cluster_has(struct json_object *cluster, const char *api_version, const char *kind) {
  struct json_object *apis = doc_get(cluster, "apis");
  char wanted[192];

  (void)snprintf(wanted, sizeof(wanted), "%s/%s", api_version, kind);
  for (size_t i = 0; i < doc_len(apis); i++) {
    const char *have = json_object_get_string(doc_item(apis, i));
    if (have && strcmp(have, wanted) == 0)
      return 1;
  }
  return 0;
}

int64_t doc_first_port(struct json_object *component) {
  return doc_int(doc_item(doc_get(component, "ports"), 0), "port", 8080);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

void doc_set(struct json_object *o, const char *path, struct json_object *v) {
  char key[128];

  for (;;) {
    size_t n = strcspn(path, ".");
    if (n >= sizeof(key)) {
      (void)json_object_put(v);
      return;
    }
    memcpy(key, path, n);
    key[n] = '\0';
    if (!path[n])
      break;
    struct json_object *next = doc_get(o, key);
    if (!next && json_object_is_type(o, json_type_object)) {
      next = json_object_new_object();
      (void)json_object_object_add(o, key, next);
    }
    o = next;
    path += n + 1;
  }
  if (!json_object_is_type(o, json_type_object) || json_object_object_add(o, key, v) != 0)
    (void)json_object_put(v);
}

void doc_set_str(struct json_object *o, const char *path, const char *v) {
  doc_set(o, path, json_object_new_string(v));
}

void doc_set_int(struct json_object *o, const char *path, int64_t v) {
  doc_set(o, path, json_object_new_int64(v));
}

void doc_share(struct json_object *o, const char *path, struct json_object *v) {
  if (v)
    doc_set(o, path, json_object_get(v));
}

/* One level: labels and annotations are extended by their user. */
static struct json_object *copy_map(struct json_object *map) {
  struct json_object *out = json_object_new_object();

  if (json_object_is_type(map, json_type_object)) {
    json_object_object_foreach (map, key, value) {
      (void)json_object_object_add(out, key, json_object_get(value));
    }
  }
  return out;
}

struct json_object *doc_object(const char *api_version, const char *kind, const char *name,
                               struct json_object *component) {
  struct json_object *o = json_object_new_object();

  doc_set_str(o, "apiVersion", api_version);
  doc_set_str(o, "kind", kind);
  doc_set_str(o, "metadata.name", name);
  doc_share(o, "metadata.namespace", doc_get(component, "namespace"));
  doc_set(o, "metadata.labels", copy_map(doc_get(component, "labels")));
  doc_set(o, "metadata.annotations", copy_map(doc_get(component, "annotations")));
  return o;
}

struct json_object *doc_condition(struct json_object *o, const char *type) {
  struct json_object *list = doc_at(o, "status.conditions");

  for (size_t i = 0; i < doc_len(list); i++)
    if (strcmp(doc_str(doc_item(list, i), "type", ""), type) == 0)
      return doc_item(list, i);
  return NULL;
}

int32_t doc_push(struct ome_object_sink *out, struct json_object *o, struct ome_err *err) {
  size_t len = 0;
  const char *text =
      json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
  int32_t rc = text ? out->object(out, (struct ome_bytes){text, len}) : OME_E_NO_MEMORY;

  (void)json_object_put(o);
  return rc == OME_OK ? OME_OK : doc_fail(err, rc, "the host did not take an object");
}

int32_t doc_say_address(struct ome_status *out, const char *name, const char *url, struct ome_err *err) {
  if (!OME_HAS(ome_status, out, addresses))
    return OME_OK;
  struct json_object *address = json_object_new_object();
  doc_set_str(address, "url", url);
  if (*name)
    doc_set_str(address, "name", name);
  return doc_push(out->addresses, address, err);
}

int32_t doc_need(const struct api_kind *needed, struct ome_object_sink *out, struct ome_err *err) {
  char text[256];

  if (!needed->kind)
    return OME_OK;
  int n = snprintf(text, sizeof(text), "{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"}", needed->group,
                   needed->version, needed->kind);
  int32_t rc = out->object(out, (struct ome_bytes){text, (size_t)n});
  return rc == OME_OK ? OME_OK : doc_fail(err, rc, "the host did not take an API kind");
}

void doc_service_url(char *out, size_t cap, const char *name, const char *ns, struct json_object *cluster,
                     int64_t port) {
  char suffix[24] = "";

  if (port)
    (void)snprintf(suffix, sizeof(suffix), ":%lld", (long long)port);
  doc_text(out, cap, "http://%s.%s.svc.%s%s", name, ns, doc_str(cluster, "domain", "cluster.local"), suffix);
}
