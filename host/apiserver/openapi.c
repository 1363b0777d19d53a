/* /openapi/v2 and /openapi/v3: the resources and their schemas as clients read them (kubectl explain, apply and its
 * validation).  Documents are made when asked for; clients keep them by the hash in their URL. */
#include "apiserver/server.h"

#include "apiserver/apply_typed.h"
#include "apiserver/openapi_pb.h"
#include "base/buf.h"
#include "base/str.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define OBJECT_META "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
/* Asked for with an "@", which is no media type, and answered so. */
#define PROTOBUF "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

enum dialect { SWAGGER_2, OPENAPI_3 };

static const char *const reference_root[] = {[SWAGGER_2] = "#/definitions/", [OPENAPI_3] = "#/components/schemas/"};

struct document {
  enum dialect dialect;
  struct json_object *schemas, *paths; /* borrowed from the document being made */
};

static void add(struct json_object *o, const char *key, struct json_object *v) {
  (void)json_put(o, key, v);
}

static struct json_object *text(const char *s) {
  return json_object_new_string(s);
}

static struct json_object *reference(const struct document *d, const char *name) {
  _cleanup_free_ char *to = str_printf("%s%s", reference_root[d->dialect], name);
  struct json_object *o = json_object_new_object();

  add(o, "$ref", text(to ? to : ""));
  return o;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* "dev.example.v1.Widget" for group example.dev; new. */
static char *reversed_name(const struct resource *r) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  _cleanup_free_ char **parts = str_split(r->group, '.');
  size_t n = 0;

  while (parts && parts[n])
    n++;
  while (n > 0)
    buf_addf(&b, "%s.", parts[--n]);
  buf_addf(&b, "%s.%s", r->version, r->kind);
  return buf_take(&b);
}

/* What a kind's schema is called; new. */
static char *schema_name(const struct resource *r) {
  if (r->crd)
    return reversed_name(r);
  if (streq(r->group, "apiextensions.k8s.io"))
    return str_printf("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.%s.%s", r->version, r->kind);
  if (!*r->group)
    return str_printf("io.k8s.api.core.%s.%s", r->version, r->kind);
  return str_printf("io.k8s.api.%.*s.%s.%s", (int)strcspn(r->group, "."), r->group, r->version, r->kind);
}

static struct json_object *kind_extension(const struct resource *r) {
  struct json_object *o = json_object_new_object();

  add(o, "group", text(r->group));
  add(o, "kind", text(r->kind));
  add(o, "version", text(r->version));
  return o;
}

/* ---- schemas ---------------------------------------------------------------------------------------------------- */

/* kubectl's reader of Swagger 2.0 refuses what it does not expect: what may be null or hold anything is left open, and
 * every array says of what. */
static void simplify(struct json_object *o) {
  static const char *const closing[] = {"type", "items", "properties", "additionalProperties", "required", "nullable"};
  struct json_object *properties = json_get(o, "properties"), *items = json_get(o, "items");

  if (!json_is(o, json_type_object))
    return;
  if (json_flag(o, "nullable", false) || json_get(o, "x-kubernetes-preserve-unknown-fields")) {
    for (size_t i = 0; i < ARRAY_LEN(closing); i++)
      json_object_object_del(o, closing[i]);
    return;
  }
  if (json_is(properties, json_type_object)) {
    json_object_object_foreach (properties, key, v) {
      (void)key;
      simplify(v);
    }
  }
  if (streq(json_str(o, "type", ""), "array") && !items)
    add(o, "items", json_object_new_object());
  simplify(items);
  simplify(json_get(o, "additionalProperties"));
}

static struct json_object *described_string(const char *description) {
  struct json_object *o = json_object_new_object();

  add(o, "description", text(description));
  add(o, "type", text("string"));
  return o;
}

static void put_common_properties(const struct document *d, struct json_object *properties) {
  add(properties, "apiVersion", described_string("The versioned schema of this representation of an object."));
  add(properties, "kind", described_string("The REST resource this object represents, in CamelCase."));
  add(properties, "metadata", reference(d, OBJECT_META));
}

/* Gives the member KEY of a kind, where it is an object with members, a schema of its own: "DeploymentSpec". */
static void split_off(const struct document *d, const char *owner, struct json_object *properties, const char *key) {
  struct json_object *v = json_get(properties, key);
  _cleanup_free_ char *name = str_printf("%s%c%s", owner, key[0] - 'a' + 'A', key + 1);

  if (!name || !json_get(v, "properties"))
    return;
  struct json_object *ref = reference(d, name);
  if (json_get(v, "description"))
    add(ref, "description", json_object_get(json_get(v, "description")));
  add(d->schemas, name, json_object_get(v));
  add(properties, key, ref);
}

static void put_schema(const struct document *d, const struct resource *r) {
  _cleanup_free_ char *name = schema_name(r);
  struct json_object *o = r->schema ? schema_to_openapi(r->schema, false) : json_object_new_object();
  struct json_object *properties = json_get(o, "properties");
  struct json_object *kinds = json_object_new_array();

  add(o, "type", text("object"));
  if (!properties && !(d->dialect == SWAGGER_2 && json_get(o, "x-kubernetes-preserve-unknown-fields"))) {
    properties = json_object_new_object();
    add(o, "properties", properties);
  }
  if (d->dialect == SWAGGER_2 && !json_get(o, "x-kubernetes-preserve-unknown-fields"))
    simplify(o);
  if (properties) {
    put_common_properties(d, properties);
    if (!r->crd) {
      split_off(d, name, properties, "spec");
      split_off(d, name, properties, "status");
    }
  }
  (void)json_add(kinds, kind_extension(r));
  add(o, "x-kubernetes-group-version-kind", kinds);
  add(d->schemas, name, o);
}

static void put_object_meta(const struct document *d) {
  static const char *const times[] = {"creationTimestamp", "deletionTimestamp"};
  struct json_object *o = schema_to_openapi(&typed_object_meta, false);
  struct json_object *properties = json_get(o, "properties");

  for (size_t i = 0; i < ARRAY_LEN(times); i++) {
    struct json_object *time = described_string("RFC 3339, in UTC.");
    add(time, "format", text("date-time"));
    add(properties, times[i], time);
  }
  add(o, "description", text("What every object has besides its own fields."));
  if (d->dialect == SWAGGER_2)
    simplify(o);
  add(d->schemas, OBJECT_META, o);
}

/* ---- paths ------------------------------------------------------------------------------------------------------ */

static void put_parameter(const struct document *d, struct json_object *list, const char *name, const char *type) {
  struct json_object *o = json_add_object(list);

  add(o, "name", text(name));
  add(o, "in", text("query"));
  if (d->dialect == SWAGGER_2) {
    add(o, "type", text(type));
    add(o, "uniqueItems", json_object_new_boolean(1));
  } else {
    struct json_object *schema = json_object_new_object();
    add(schema, "type", text(type));
    add(schema, "uniqueItems", json_object_new_boolean(1));
    add(o, "schema", schema);
  }
}

static struct json_object *responses(const struct document *d, const char *name) {
  struct json_object *all = json_object_new_object(), *ok = json_object_new_object();
  struct json_object *content = json_object_new_object(), *json = json_object_new_object();

  add(ok, "description", text("OK"));
  if (d->dialect == SWAGGER_2) {
    add(ok, "schema", reference(d, name));
    json_unref(content);
    json_unref(json);
  } else {
    add(json, "schema", reference(d, name));
    add(content, "application/json", json);
    add(ok, "content", content);
  }
  add(all, "200", ok);
  return all;
}

static const struct {
  const char *method, *action;
  bool named, writes, patches;
} operations[] = {
    {"get", "list", false, false, false}, {"post", "post", false, true, false},
    {"get", "get", true, false, false},   {"put", "put", true, true, false},
    {"patch", "patch", true, true, true}, {"delete", "delete", true, false, false},
};

static struct json_object *operation(const struct document *d, const struct resource *r, size_t i, const char *name) {
  struct json_object *o = json_object_new_object(), *parameters = json_object_new_array();

  put_parameter(d, parameters, "pretty", "string");
  if (operations[i].writes) {
    put_parameter(d, parameters, "dryRun", "string");
    put_parameter(d, parameters, "fieldManager", "string");
    put_parameter(d, parameters, "fieldValidation", "string");
  }
  if (operations[i].patches)
    put_parameter(d, parameters, "force", "boolean");
  add(o, "parameters", parameters);
  add(o, "responses", responses(d, name));
  add(o, "x-kubernetes-action", text(operations[i].action));
  add(o, "x-kubernetes-group-version-kind", kind_extension(r));
  return o;
}

static void put_paths(const struct document *d, const struct resource *r) {
  _cleanup_free_ char *name = schema_name(r);
  char version[256];

  resource_api_version(r, version);
  for (int named = 0; named <= (r->flags & RES_VIRTUAL ? 0 : 1); named++) {
    _cleanup_free_ char *path =
        str_printf("/%s/%s/%s%s%s", *r->group ? "apis" : "api", version, r->namespaced ? "namespaces/{namespace}/" : "",
                   r->plural, named ? "/{name}" : "");
    struct json_object *item = json_object_new_object();
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
      if (operations[i].named == named && !(r->flags & RES_VIRTUAL && !operations[i].writes))
        add(item, operations[i].method, operation(d, r, i, name));
    add(d->paths, path, item);
  }
}

/* ---- documents -------------------------------------------------------------------------------------------------- */

static void put_info(struct json_object *doc) {
  struct json_object *o = json_object_new_object();

  add(o, "title", text("Kubernetes"));
  add(o, "version", text("v1.26.15"));
  add(doc, "info", o);
}

/* The resources of GROUP and VERSION, or all (NULL). */
static void fill(struct document *d, const struct registry *registry, const char *group, const char *version) {
  put_object_meta(d);
  for (size_t i = 0; i < registry_count(registry); i++) {
    const struct resource *r = registry_at(registry, i);
    if (group && !(streq(r->group, group) && streq(r->version, version)))
      continue;
    put_schema(d, r);
    put_paths(d, r);
  }
}

static struct json_object *make_v2(const struct registry *registry) {
  struct json_object *o = json_object_new_object();
  struct document d = {SWAGGER_2, json_object_new_object(), json_object_new_object()};

  add(o, "swagger", text("2.0"));
  put_info(o);
  add(o, "paths", d.paths);
  add(o, "definitions", d.schemas);
  fill(&d, registry, NULL, NULL);
  return o;
}

static struct json_object *make_v3(const struct registry *registry, const char *group, const char *version) {
  struct json_object *o = json_object_new_object(), *components = json_object_new_object();
  struct document d = {OPENAPI_3, json_object_new_object(), json_object_new_object()};

  add(o, "openapi", text("3.0.0"));
  put_info(o);
  add(o, "paths", d.paths);
  add(components, "schemas", d.schemas);
  add(o, "components", components);
  fill(&d, registry, group, version);
  return o;
}

/* What a document was made of: this process, and for groups that CRDs may change how often they have. */
static void hash_of(const struct registry *registry, const struct resource *r, char out[65]) {
  static char nonce[37];
  char version[256];

  if (!*nonce)
    random_uuid(nonce);
  resource_api_version(r, version);
  _cleanup_free_ char *seed =
      str_printf("%s %s %llu", nonce, version, r->crd ? (unsigned long long)registry_generation(registry) : 0ULL);
  sha256_hex(seed ? seed : "", seed ? strlen(seed) : 0, out);
}

static struct json_object *make_v3_index(const struct registry *registry) {
  struct json_object *o = json_object_new_object(), *paths = json_object_new_object();

  for (size_t i = 0; i < registry_count(registry); i++) {
    const struct resource *r = registry_at(registry, i);
    struct json_object *entry = json_object_new_object();
    char version[256], hash[65];
    resource_api_version(r, version);
    hash_of(registry, r, hash);
    _cleanup_free_ char *path = str_printf("%s/%s", *r->group ? "apis" : "api", version);
    _cleanup_free_ char *url = str_printf("/openapi/v3/%s?hash=%s", path, hash);
    add(entry, "serverRelativeURL", text(url ? url : ""));
    add(paths, path, entry);
  }
  add(o, "paths", paths);
  return o;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static void answer_json(struct http_exchange *x, struct json_object *owned) {
  _cleanup_json_ struct json_object *o = owned;
  _cleanup_free_ char *body = json_text(o);

  http_respond(x, body ? 200 : 500, "application/json", body, body ? strlen(body) : 0);
}

static void answer_v2(struct apiserver *s, struct http_exchange *x) {
  const char *accept = http_header(x, "accept");
  _cleanup_buf_ struct buf out = BUF_INIT;

  if (!accept || !strstr(accept, "protobuf")) {
    answer_json(x, make_v2(s->registry));
    return;
  }
  _cleanup_json_ struct json_object *doc = make_v2(s->registry);
  openapi_pb_encode(doc, &out);
  http_respond(x, buf_ok(&out) ? 200 : 500, PROTOBUF, out.data, out.len);
}

/* PATH is "api/VERSION" or "apis/GROUP/VERSION"; false: there is none. */
static bool answer_v3(struct apiserver *s, struct http_exchange *x, const char *path) {
  _cleanup_free_ char **parts = str_split(path, '/');
  size_t n = 0;

  while (parts && parts[n])
    n++;
  bool core = n == 2 && streq(parts[0], "api"), other = n == 3 && streq(parts[0], "apis");
  const char *group = other ? parts[1] : "", *version = core || other ? parts[n - 1] : "";
  if (!(core || other) || !registry_has_version(s->registry, group, version))
    return false;
  if (http_query(x, "hash"))
    http_add_header(x, "Cache-Control", "public, immutable");
  answer_json(x, make_v3(s->registry, group, version));
  return true;
}

bool openapi_handle(struct apiserver *s, struct http_exchange *x) {
  const char *path = http_path(x);

  if (!streq(http_method(x), "GET") || !has_prefix(path, "/openapi/"))
    return false;
  if (streq(path, "/openapi/v2"))
    answer_v2(s, x);
  else if (streq(path, "/openapi/v3") || streq(path, "/openapi/v3/"))
    answer_json(x, make_v3_index(s->registry));
  else
    return has_prefix(path, "/openapi/v3/") && answer_v3(s, x, path + strlen("/openapi/v3/"));
  return true;
}
