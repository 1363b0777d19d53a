/* Reading a built-in kind as the server's typed decoder does: wrong types end it, quantities get their one form. */
#include "api/schema_internal.h"

#include "base/clock.h"
#include "base/quantity.h"
#include "base/str.h"

struct decoder {
  struct buf path;
  struct ome_err *err;
};

static int32_t decode(struct decoder *d, const struct schema *s, struct json_object **o, int depth);

/* As the JSON package of Go names it. */
static const char *type_name(struct json_object *o) {
  switch (json_object_get_type(o)) {
  case json_type_boolean:
    return "bool";
  case json_type_int:
  case json_type_double:
    return "number";
  case json_type_object:
    return "object";
  case json_type_array:
    return "array";
  case json_type_string:
    return "string";
  case json_type_null:
    break;
  }
  return "null";
}

static int32_t mismatch(struct decoder *d, const struct schema *s, struct json_object *o) {
  static const char *const names[] = {[SCHEMA_ANY] = "any",       [SCHEMA_OBJECT] = "struct",
                                      [SCHEMA_ARRAY] = "slice",   [SCHEMA_STRING] = "string",
                                      [SCHEMA_INTEGER] = "int64", [SCHEMA_NUMBER] = "float64",
                                      [SCHEMA_BOOLEAN] = "bool",  [SCHEMA_INT_OR_STRING] = "intstr.IntOrString"};
  const char *want = s->format && s->type == SCHEMA_INTEGER ? s->format : names[s->type];

  return fail(d->err, OME_E_INVALID, "json: cannot unmarshal %s into Go struct field %s of type %s", type_name(o),
              buf_str(&d->path), want);
}

static bool has_json_type(const struct schema *s, struct json_object *o) {
  switch (s->type) {
  case SCHEMA_ANY:
    return true;
  case SCHEMA_OBJECT:
    return json_is(o, json_type_object);
  case SCHEMA_ARRAY:
    return json_is(o, json_type_array);
  case SCHEMA_STRING:
    return json_is(o, json_type_string);
  case SCHEMA_INTEGER:
    return json_is(o, json_type_int) ||
           (json_is(o, json_type_double) && json_object_get_double(o) == (double)json_object_get_int64(o));
  case SCHEMA_NUMBER:
    return json_is(o, json_type_int) || json_is(o, json_type_double);
  case SCHEMA_BOOLEAN:
    return json_is(o, json_type_boolean);
  case SCHEMA_INT_OR_STRING:
    return json_is(o, json_type_string) || json_is(o, json_type_int) ||
           (json_is(o, json_type_double) && streq(s->format, "quantity"));
  }
  return false;
}

static int32_t decode_scalar(struct decoder *d, const struct schema *s, struct json_object **o) {
  const char *text = json_object_get_string(*o);
  char canonical[QUANTITY_TEXT];
  int64_t ms;
  size_t len;

  if (streq(s->format, "quantity")) {
    if (!quantity_canonical(text, canonical))
      return fail(d->err, OME_E_INVALID,
                  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    *o = json_object_new_string(canonical);
    return *o ? OME_OK : fail_memory(d->err);
  }
  if (streq(s->format, "date-time") && !time_parse(text, &ms))
    return fail(d->err, OME_E_INVALID,
                "parsing time \"%s\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"%s\" as \"2006\"", text, text);
  if (streq(s->format, "byte")) {
    _cleanup_free_ char *bytes = base64_decode(text, &len);
    if (!bytes)
      return fail(d->err, OME_E_INVALID, "illegal base64 data in %s", buf_str(&d->path));
  }
  int64_t n = json_object_get_int64(*o);
  if (s->type == SCHEMA_INTEGER && streq(s->format, "int32") && (n < INT32_MIN || n > INT32_MAX))
    return fail(d->err, OME_E_INVALID, "json: cannot unmarshal number %lld into Go struct field %s of type int32",
                (long long)n, buf_str(&d->path));
  return OME_OK;
}

static int32_t decode_below(struct decoder *d, const struct schema *s, struct json_object *o, int depth) {
  int32_t rc = OME_OK;

  if (json_is(o, json_type_object)) {
    json_object_object_foreach (o, key, v) {
      const struct schema *field = schema_field(s, key);
      struct json_object *now = v;
      size_t before = d->path.len;
      if (!field || !v)
        continue;
      buf_addf(&d->path, "%s%s", before ? "." : "", key);
      rc = decode(d, field, &now, depth + 1);
      if (rc == OME_OK && now != v)
        (void)json_put(o, key, now); /* the key is there: the entry is replaced in place */
      if (rc != OME_OK)
        return rc;
      d->path.len = before;
    }
  }
  for (size_t i = 0; s->items && i < json_len(o); i++) {
    struct json_object *v = json_index(o, i);
    struct json_object *now = v;
    if (!v)
      continue;
    rc = decode(d, s->items, &now, depth + 1);
    if (rc != OME_OK)
      return rc;
    if (now != v)
      (void)json_object_array_put_idx(o, i, now);
  }
  return OME_OK;
}

static int32_t decode(struct decoder *d, const struct schema *s, struct json_object **o, int depth) {
  if (depth > JSON_MAX_DEPTH)
    return OME_OK;
  if (!has_json_type(s, *o))
    return mismatch(d, s, *o);
  if (json_is(*o, json_type_object) || json_is(*o, json_type_array))
    return decode_below(d, s, *o, depth);
  return decode_scalar(d, s, o);
}

int32_t schema_decode(const struct schema *s, struct json_object *o, struct ome_err *err) {
  struct decoder d = {BUF_INIT, err};
  struct json_object *root = o;

  int32_t rc = decode(&d, s, &root, 0);
  buf_fini(&d.path);
  return rc;
}
