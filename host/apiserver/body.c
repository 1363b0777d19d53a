/* From the bytes of a request's body to an object that is what the path says: formats, kind, place, known fields. */
#include "apiserver/server.h"

#include "apiserver/kube_pb.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/yaml.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define PROTOBUF "application/vnd.kubernetes.protobuf"

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

void media_type(const struct request *req, char out[128]) {
  const char *type = http_header(req->x, "content-type");

  (void)snprintf(out, 128, "%.*s", type ? (int)strcspn(type, "; ") : 0, type ? type : "");
}

/* What clients send as YAML, which an applied configuration always is, is JSON as a rule: read as that it takes a small
 * part of the time.  Keys that stand twice are for the parser of YAML, which refuses them. */
static int32_t parse_yaml(const char *text, size_t len, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL, *duplicates = NULL;
  struct ome_err ignored = ERR_INIT;
  bool json = len && *text == '{' && json_parse(text, len, OBJECT_MAX, &o, &ignored) == OME_OK;

  if (!json || (duplicates = json_duplicates(text, len, o)))
    return yaml_parse_one("body", text, len, out, err);
  *out = TAKE_PTR(o);
  return OME_OK;
}

bool read_document(struct request *req, struct json_object **out) {
  struct ome_err err = ERR_INIT;
  char type[128];
  size_t len;
  const char *text = http_body(req->x, &len);
  int32_t rc;

  media_type(req, type);
  if (streq(type, PROTOBUF))
    rc = kube_pb_decode(text, len, out, &err);
  else if (has_suffix(type, "yaml"))
    rc = parse_yaml(text, len, out, &err);
  else
    rc = json_parse(text, len, OBJECT_MAX, out, &err);
  if (rc == OME_OK && has_suffix(type, "json") && req->field_validation != FIELDS_IGNORE)
    req->duplicates = json_duplicates(text, len, *out);
  if (rc == OME_OK)
    return true;
  answer_failure(req, 400, "BadRequest", "%s", err.msg);
  return false;
}

static const char *json_type_word(struct json_object *o) {
  static const char *const words[] = {
      [json_type_boolean] = "bool",  [json_type_double] = "number", [json_type_int] = "number",
      [json_type_object] = "object", [json_type_array] = "array",   [json_type_string] = "string",
      [json_type_null] = "null"};

  return words[json_object_get_type(o)];
}

static void answer_metadata_type(struct request *req, const char *field, struct json_object *v, const char *type) {
  const struct resource *r = req->resource;

  answer_failure(req, 400, "BadRequest",
                 "%s in version \"%s\" cannot be handled as a %s: json: cannot unmarshal %s into Go struct field "
                 "ObjectMeta.metadata.%s of type %s",
                 r->kind, r->version, r->kind, json_type_word(v), field, type);
}

/* Metadata is of the same types in every kind; one that is not cannot even be told apart from the others. */
static bool check_metadata_types(struct request *req, struct json_object *o) {
  static const struct {
    const char *name;
    enum json_type type;
    const char *go;
  } fields[] = {
      {"name", json_type_string, "string"},
      {"generateName", json_type_string, "string"},
      {"namespace", json_type_string, "string"},
      {"uid", json_type_string, "types.UID"},
      {"resourceVersion", json_type_string, "string"},
      {"labels", json_type_object, "map[string]string"},
      {"annotations", json_type_object, "map[string]string"},
      {"finalizers", json_type_array, "[]string"},
      {"ownerReferences", json_type_array, "[]v1.OwnerReference"},
      {"managedFields", json_type_array, "[]v1.ManagedFieldsEntry"},
  };
  struct json_object *meta = json_get(o, "metadata");

  for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
    struct json_object *v = json_get(meta, fields[i].name);
    if (v && !json_is(v, fields[i].type)) {
      answer_metadata_type(req, fields[i].name, v, fields[i].go);
      return false;
    }
    if (fields[i].type != json_type_object || !v)
      continue;
    json_object_object_foreach (v, key, text) {
      (void)key;
      if (text && !json_is(text, json_type_string)) {
        answer_metadata_type(req, fields[i].name, text, "string");
        return false;
      }
    }
  }
  return true;
}

bool read_object(struct request *req, struct json_object **out) {
  char type[128];

  media_type(req, type);
  if (*type && !streq(type, "application/yaml") && !streq(type, "application/json") &&
      !(streq(type, PROTOBUF) && !req->resource->crd)) {
    answer_failure(req, 415, "UnsupportedMediaType",
                   "the body of the request was in an unknown format - accepted media types include: "
                   "application/json, application/yaml%s",
                   req->resource->crd ? "" : ", " PROTOBUF);
    return false;
  }
  if (!read_document(req, out))
    return false;
  if (json_is(*out, json_type_object))
    return check_metadata_types(req, *out);
  answer_failure(req, 400, "BadRequest", "the body is not an object");
  return false;
}

/* ---- what the body claims to be --------------------------------------------------------------------------------- */

bool check_kind(struct request *req, struct json_object *o) {
  const struct resource *r = req->resource;
  const char *kind = json_str(o, "kind", "");
  const char *version = json_str(o, "apiVersion", "");
  char expected[256];

  resource_api_version(r, expected);
  if (!*kind && !*version && !r->crd) {
    (void)json_set_str(o, "kind", r->kind);
    (void)json_set_str(o, "apiVersion", expected);
    return true;
  }
  if (streq(kind, r->kind) && streq(version, expected))
    return true;
  if (!*kind || !*version)
    answer_failure(req, 400, "BadRequest", "Object '%s' is missing in '%s'", *kind ? "apiVersion" : "Kind",
                   json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
  else if (r->crd && streq(version, expected)) {
    struct field_errors errors = {{0}};
    field_errors_add(&errors, FIELD_INVALID, "kind", "Invalid value: \"%s\": must be %s", kind, r->kind);
    answer_invalid(req, &errors);
    field_errors_fini(&errors);
  } else if (!streq(kind, r->kind))
    answer_failure(req, 400, "BadRequest",
                   "%s in version \"%s\" cannot be handled as a %s: no kind \"%s\" is registered for version \"%s\" in "
                   "scheme \"ome\"",
                   kind, version, r->kind, kind, version);
  else
    answer_failure(req, 400, "BadRequest",
                   "the API version in the data (%s) does not match the expected API version (%s)", version, expected);
  return false;
}

bool check_place(struct request *req, struct json_object *o) {
  const char *name = meta_name(o);
  const char *ns = meta_namespace(o);

  if (req->verb != VERB_CREATE && !*name)
    (void)json_set_str(o, "metadata.name", req->name);
  else if (*req->name && !streq(name, req->name)) {
    answer_failure(req, 400, "BadRequest", "the name of the object (%s) does not match the name on the URL (%s)", name,
                   req->name);
    return false;
  }
  if (!req->resource->namespaced) {
    json_del(o, "metadata.namespace");
    return true;
  }
  if (*ns && !streq(ns, req->ns)) {
    answer_failure(req, 400, "BadRequest",
                   "the namespace of the provided object does not match the namespace sent on the request");
    return false;
  }
  (void)json_set_str(o, "metadata.namespace", req->ns);
  return true;
}

/* ---- unknown fields --------------------------------------------------------------------------------------------- */

bool decode_builtin(struct request *req, struct json_object *o) {
  const struct resource *r = req->resource;
  struct ome_err err = ERR_INIT;

  if (r->crd || !r->schema || schema_decode(r->schema, o, &err) == OME_OK)
    return true;
  answer_failure(req, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: %s", r->kind, r->version,
                 r->kind, err.msg);
  return false;
}

/* "unknown field "spec.x"" and the like into LIST, and into headers where they are no more than warnings. */
static void note_fields(struct request *req, const char *what, struct json_object *paths, struct buf *list) {
  for (size_t i = 0; i < json_len(paths); i++) {
    const char *path = json_object_get_string(json_index(paths, i));
    buf_addf(list, "%s%s field \"%s\"", list->len ? ", " : "", what, path);
    if (req->field_validation == FIELDS_WARN)
      answer_warning(req, "%s field \"%s\"", what, path);
  }
}

/* What is empty in metadata is as if left out, but for managedFields, where an empty list is a wish. */
static void drop_empty_metadata(struct json_object *o) {
  struct json_object *meta = json_get(o, "metadata");

  if (!json_is(meta, json_type_object))
    return;
  json_object_object_foreach (meta, key, v) {
    if (json_empty(v) && !streq(key, "managedFields"))
      json_object_object_del(meta, key);
  }
}

/* The ome.io kinds take what any version of them knew or will know; a person should hear what has no effect here.  Our
 * own schema says it: their CRDs do not say what goes on to pods. */
static void warn_of_remarks(struct request *req, struct json_object *o) {
  const struct resource *r = req->resource;
  const struct schema *s = streq(r->group, "ome.io") ? schema_builtin(r->group, r->version, r->kind) : NULL;
  _cleanup_json_ struct json_object *remarks = s ? json_object_new_array() : NULL;

  if (!s || req->field_validation == FIELDS_IGNORE)
    return;
  schema_remark(s, o, remarks);
  for (size_t i = 0; i < json_len(remarks); i++)
    answer_warning(req, "%s", json_object_get_string(json_index(remarks, i)));
}

bool drop_unknown(struct request *req, struct json_object *o) {
  _cleanup_json_ struct json_object *unknown = json_object_new_array();
  _cleanup_buf_ struct buf list = BUF_INIT;
  const struct resource *r = req->resource;

  if (!decode_builtin(req, o))
    return false;
  drop_empty_metadata(o);
  if (r->schema && !r->preserve_unknown)
    schema_prune(r->schema, o, unknown);
  warn_of_remarks(req, o);
  note_fields(req, "duplicate", req->duplicates, &list);
  note_fields(req, "unknown", unknown, &list);
  if (!list.len || req->field_validation != FIELDS_STRICT)
    return true;
  answer_failure(req, 400, "BadRequest", "%s in version \"%s\" cannot be handled as a %s: strict decoding error: %s",
                 r->kind, r->version, r->kind, buf_str(&list));
  return false;
}
