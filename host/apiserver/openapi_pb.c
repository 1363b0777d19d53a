#include "apiserver/openapi_pb.h"

#include "base/str.h"

#include <string.h>

/* ---- the wire ------------------------------------------------------------------------------------------------- */

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

static void put_varint(struct buf *b, uint64_t v) {
  do {
    buf_addc(b, (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0)));
    v >>= 7;
  } while (v);
}

static void put_tag(struct buf *b, uint32_t number, enum wire wire) {
  put_varint(b, (uint64_t)number << 3 | wire);
}

static void put_bytes(struct buf *b, uint32_t number, const void *data, size_t len) {
  put_tag(b, number, WIRE_BYTES);
  put_varint(b, len);
  buf_add(b, data, len);
}

/* Ends the nested message IN as field NUMBER of OUT. */
static void put_nested(struct buf *out, uint32_t number, struct buf *in) {
  put_bytes(out, number, buf_str(in), in->len);
  out->failed |= in->failed;
  buf_fini(in);
}

/* ---- what a message is made of -------------------------------------------------------------------------------- */

struct pb_message;

/* How the value of a member becomes field NUMBER (or several of it); BELOW is the message there. */
typedef void pb_put(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below);

struct pb_field {
  const char *member;
  uint32_t number;
  pb_put *put;
  const struct pb_message *below;
};

struct pb_message {
  const struct pb_field *fields;
  size_t nfields;
  uint32_t extensions;           /* field for members "x-..."; 0: none */
  uint32_t rest;                 /* field for all other members, as {name, value}; 0: none */
  pb_put *put_rest;              /* their values */
  const struct pb_message *each; /* and the message there */
};

static pb_put put_string, put_strings, put_bool, put_int, put_double, put_message, put_messages, put_any, put_anys,
    put_boolean_or_schema, put_one_or_more, put_parameters, put_reference_or_response, put_schema_item;

static void put_string(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  (void)below;
  if (json_is(v, json_type_string))
    put_bytes(out, number, json_object_get_string(v), (size_t)json_object_get_string_len(v));
}

static void put_strings(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  for (size_t i = 0; i < json_len(v); i++)
    put_string(out, number, json_index(v, i), below);
}

static void put_bool(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  (void)below;
  put_tag(out, number, WIRE_VARINT);
  put_varint(out, json_object_get_boolean(v) ? 1 : 0);
}

static void put_int(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  (void)below;
  put_tag(out, number, WIRE_VARINT);
  put_varint(out, (uint64_t)json_object_get_int64(v));
}

static void put_double(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  double d = json_object_get_double(v);
  uint64_t bits;

  (void)below;
  memcpy(&bits, &d, sizeof(bits));
  put_tag(out, number, WIRE_FIXED64);
  for (int i = 0; i < 8; i++)
    buf_addc(out, (char)(bits >> (8 * i)));
}

/* Any: field 2 is the value as YAML, which JSON is. */
static void put_any(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  struct buf in = BUF_INIT;
  _cleanup_free_ char *text = json_text(v);

  (void)below;
  put_bytes(&in, 2, text ? text : "null", text ? strlen(text) : 4);
  put_nested(out, number, &in);
}

static void put_anys(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  for (size_t i = 0; i < json_len(v); i++)
    put_any(out, number, json_index(v, i), below);
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

static const struct pb_field *find_field(const struct pb_message *m, const char *member) {
  for (size_t i = 0; i < m->nfields; i++)
    if (streq(m->fields[i].member, member))
      return &m->fields[i];
  return NULL;
}

/* {name = 1, value = 2} */
static void put_named(struct buf *out, uint32_t number, const char *name, struct json_object *v, pb_put *put,
                      const struct pb_message *below) {
  struct buf in = BUF_INIT;

  put_bytes(&in, 1, name, strlen(name));
  put(&in, 2, v, below);
  put_nested(out, number, &in);
}

static void put_members(struct buf *out, struct json_object *o, const struct pb_message *m) {
  if (!json_is(o, json_type_object))
    return;
  /* Fields in the order of the message, then the members that have none of their own in theirs. */
  for (size_t i = 0; i < m->nfields; i++) {
    struct json_object *v = json_get(o, m->fields[i].member);
    if (v)
      m->fields[i].put(out, m->fields[i].number, v, m->fields[i].below);
  }
  json_object_object_foreach (o, key, v) {
    if (find_field(m, key))
      continue;
    if (m->extensions && has_prefix(key, "x-"))
      put_named(out, m->extensions, key, v, put_any, NULL);
    else if (m->rest)
      put_named(out, m->rest, key, v, m->put_rest, m->each);
  }
}

static void put_message(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  struct buf in = BUF_INIT;

  put_members(&in, v, below);
  put_nested(out, number, &in);
}

static void put_messages(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  for (size_t i = 0; i < json_len(v); i++)
    put_message(out, number, json_index(v, i), below);
}

/* One message or string, or a list of them, in field 1 of a message. */
static void put_one_or_more(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  struct buf in = BUF_INIT;

  if (below)
    (json_is(v, json_type_array) ? put_messages : put_message)(&in, 1, v, below);
  else
    (json_is(v, json_type_array) ? put_strings : put_string)(&in, 1, v, NULL);
  put_nested(out, number, &in);
}

static void put_boolean_or_schema(struct buf *out, uint32_t number, struct json_object *v,
                                  const struct pb_message *below) {
  struct buf in = BUF_INIT;

  if (json_is(v, json_type_boolean))
    put_bool(&in, 2, v, NULL);
  else
    put_message(&in, 1, v, below);
  put_nested(out, number, &in);
}

static void put_schema_item(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  struct buf in = BUF_INIT;

  put_message(&in, 1, v, below);
  put_nested(out, number, &in);
}

#define FIELDS(list) .fields = (list), .nfields = ARRAY_LEN(list)

static const struct pb_field reference_fields[] = {{"$ref", 1, put_string, NULL}, {"description", 2, put_string, NULL}};
static const struct pb_message reference = {FIELDS(reference_fields)};
static const struct pb_field docs_fields[] = {{"description", 1, put_string, NULL}, {"url", 2, put_string, NULL}};
static const struct pb_message docs = {FIELDS(docs_fields), .extensions = 3};

static const struct pb_message schema, schema_map;
static const struct pb_field schema_fields[] = {
    {"$ref", 1, put_string, NULL},
    {"format", 2, put_string, NULL},
    {"title", 3, put_string, NULL},
    {"description", 4, put_string, NULL},
    {"default", 5, put_any, NULL},
    {"multipleOf", 6, put_double, NULL},
    {"maximum", 7, put_double, NULL},
    {"exclusiveMaximum", 8, put_bool, NULL},
    {"minimum", 9, put_double, NULL},
    {"exclusiveMinimum", 10, put_bool, NULL},
    {"maxLength", 11, put_int, NULL},
    {"minLength", 12, put_int, NULL},
    {"pattern", 13, put_string, NULL},
    {"maxItems", 14, put_int, NULL},
    {"minItems", 15, put_int, NULL},
    {"uniqueItems", 16, put_bool, NULL},
    {"maxProperties", 17, put_int, NULL},
    {"minProperties", 18, put_int, NULL},
    {"required", 19, put_strings, NULL},
    {"enum", 20, put_anys, NULL},
    {"additionalProperties", 21, put_boolean_or_schema, &schema},
    {"type", 22, put_one_or_more, NULL},
    {"items", 23, put_one_or_more, &schema},
    {"allOf", 24, put_messages, &schema},
    {"properties", 25, put_message, &schema_map},
    {"discriminator", 26, put_string, NULL},
    {"readOnly", 27, put_bool, NULL},
    {"externalDocs", 29, put_message, &docs},
    {"example", 30, put_any, NULL},
};
static const struct pb_message schema = {FIELDS(schema_fields), .extensions = 31};
static const struct pb_message schema_map = {.rest = 1, .put_rest = put_message, .each = &schema};

/* ---- parameters: a message for each place they may be in ------------------------------------------------------ */

static const struct pb_field body_fields[] = {{"description", 1, put_string, NULL},
                                              {"name", 2, put_string, NULL},
                                              {"in", 3, put_string, NULL},
                                              {"required", 4, put_bool, NULL},
                                              {"schema", 5, put_message, &schema}};
static const struct pb_message body_parameter = {FIELDS(body_fields), .extensions = 6};

#define BEFORE_TYPE                                                                                                    \
  {"required", 1, put_bool, NULL}, {"in", 2, put_string, NULL}, {"description", 3, put_string, NULL}, {                \
    "name", 4, put_string, NULL                                                                                        \
  }
static const struct pb_field path_fields[] = {BEFORE_TYPE,
                                              {"type", 5, put_string, NULL},
                                              {"format", 6, put_string, NULL},
                                              {"pattern", 16, put_string, NULL},
                                              {"uniqueItems", 19, put_bool, NULL},
                                              {"enum", 20, put_anys, NULL}};
static const struct pb_message path_parameter = {FIELDS(path_fields), .extensions = 22}; /* and in headers */
static const struct pb_field query_fields[] = {BEFORE_TYPE,
                                               {"allowEmptyValue", 5, put_bool, NULL},
                                               {"type", 6, put_string, NULL},
                                               {"format", 7, put_string, NULL},
                                               {"pattern", 17, put_string, NULL},
                                               {"uniqueItems", 20, put_bool, NULL},
                                               {"enum", 21, put_anys, NULL}};
static const struct pb_message query_parameter = {FIELDS(query_fields), .extensions = 23}; /* and in forms */

static const struct {
  const char *in;
  uint32_t number; /* in NonBodyParameter */
  const struct pb_message *message;
} places[] = {{"header", 1, &path_parameter},
              {"formData", 2, &query_parameter},
              {"query", 3, &query_parameter},
              {"path", 4, &path_parameter}};

static void put_parameter(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  struct buf in = BUF_INIT, other = BUF_INIT;
  const char *place = json_str(v, "in", "body");

  (void)below;
  for (size_t i = 0; i < ARRAY_LEN(places); i++)
    if (streq(places[i].in, place)) {
      put_message(&other, places[i].number, v, places[i].message);
      put_nested(&in, 2, &other);
    }
  if (streq(place, "body"))
    put_message(&in, 1, v, &body_parameter);
  put_nested(out, number, &in);
}

static void put_parameters(struct buf *out, uint32_t number, struct json_object *v, const struct pb_message *below) {
  for (size_t i = 0; i < json_len(v); i++) {
    struct json_object *p = json_index(v, i);
    struct buf in = BUF_INIT;
    if (json_get(p, "$ref"))
      put_message(&in, 2, p, &reference);
    else
      put_parameter(&in, 1, p, below);
    put_nested(out, number, &in);
  }
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

static void put_reference_or_response(struct buf *out, uint32_t number, struct json_object *v,
                                      const struct pb_message *below) {
  struct buf in = BUF_INIT;

  if (json_get(v, "$ref"))
    put_message(&in, 2, v, &reference);
  else
    put_message(&in, 1, v, below);
  put_nested(out, number, &in);
}

static const struct pb_field response_fields[] = {{"description", 1, put_string, NULL},
                                                  {"schema", 2, put_schema_item, &schema}};
static const struct pb_message response = {FIELDS(response_fields), .extensions = 5};
static const struct pb_message responses = {
    .extensions = 2, .rest = 1, .put_rest = put_reference_or_response, .each = &response};
static const struct pb_field operation_fields[] = {
    {"tags", 1, put_strings, NULL},
    {"summary", 2, put_string, NULL},
    {"description", 3, put_string, NULL},
    {"externalDocs", 4, put_message, &docs},
    {"operationId", 5, put_string, NULL},
    {"produces", 6, put_strings, NULL},
    {"consumes", 7, put_strings, NULL},
    {"parameters", 8, put_parameters, NULL},
    {"responses", 9, put_message, &responses},
    {"schemes", 10, put_strings, NULL},
    {"deprecated", 11, put_bool, NULL},
};
static const struct pb_message operation = {FIELDS(operation_fields), .extensions = 13};
static const struct pb_field path_item_fields[] = {
    {"$ref", 1, put_string, NULL},           {"get", 2, put_message, &operation},
    {"put", 3, put_message, &operation},     {"post", 4, put_message, &operation},
    {"delete", 5, put_message, &operation},  {"options", 6, put_message, &operation},
    {"head", 7, put_message, &operation},    {"patch", 8, put_message, &operation},
    {"parameters", 9, put_parameters, NULL},
};
static const struct pb_message path_item = {FIELDS(path_item_fields), .extensions = 10};
static const struct pb_message paths = {.extensions = 1, .rest = 2, .put_rest = put_message, .each = &path_item};

/* ---- the document --------------------------------------------------------------------------------------------- */

static const struct pb_field info_fields[] = {
    {"title", 1, put_string, NULL}, {"version", 2, put_string, NULL}, {"description", 3, put_string, NULL}};
static const struct pb_message info = {FIELDS(info_fields), .extensions = 7};
static const struct pb_message parameter_map = {.rest = 1, .put_rest = put_parameter};
static const struct pb_message response_map = {.rest = 1, .put_rest = put_message, .each = &response};
static const struct pb_message string_lists = {.rest = 1, .put_rest = put_one_or_more};
static const struct pb_field document_fields[] = {
    {"swagger", 1, put_string, NULL},
    {"info", 2, put_message, &info},
    {"host", 3, put_string, NULL},
    {"basePath", 4, put_string, NULL},
    {"schemes", 5, put_strings, NULL},
    {"consumes", 6, put_strings, NULL},
    {"produces", 7, put_strings, NULL},
    {"paths", 8, put_message, &paths},
    {"definitions", 9, put_message, &schema_map},
    {"parameters", 10, put_message, &parameter_map},
    {"responses", 11, put_message, &response_map},
    {"security", 12, put_messages, &string_lists},
    {"externalDocs", 15, put_message, &docs},
};
static const struct pb_message document = {FIELDS(document_fields), .extensions = 16};

void openapi_pb_encode(struct json_object *doc, struct buf *out) {
  put_members(out, doc, &document);
}
