/* Schemas from and to OpenAPI. */
#include "api/schema_internal.h"

#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 64

/* ---- memory ----------------------------------------------------------------------------------------------------- */

struct schema_doc *schema_doc_new(void) {
  struct schema_doc *d = calloc(1, sizeof(*d));

  if (d)
    d->root = schema_alloc(d, sizeof(struct schema));
  if (d && !d->root) {
    schema_doc_free(d);
    return NULL;
  }
  return d;
}

void *schema_alloc(struct schema_doc *d, size_t size) {
  void *p = calloc(1, size ? size : 1);

  if (p && !VEC_PUSH(&d->blocks, p)) {
    free(p);
    return NULL;
  }
  return p;
}

char *schema_strdup(struct schema_doc *d, const char *s) {
  size_t n = strlen(s) + 1;
  char *copy = schema_alloc(d, n);

  if (copy)
    memcpy(copy, s, n);
  return copy;
}

struct json_object *schema_keep(struct schema_doc *d, struct json_object *o) {
  if (o && !VEC_PUSH(&d->documents, o)) {
    json_unref(o);
    return NULL;
  }
  return o;
}

void schema_doc_free(struct schema_doc *d) {
  if (!d)
    return;
  for (size_t i = 0; i < d->blocks.len; i++)
    free(d->blocks.items[i]);
  for (size_t i = 0; i < d->documents.len; i++)
    json_unref(d->documents.items[i]);
  VEC_FREE(&d->blocks);
  for (size_t i = 0; i < d->programs.len; i++)
    cel_program_free(d->programs.items[i]);
  VEC_FREE(&d->documents);
  VEC_FREE(&d->programs);
  free(d);
}

const struct schema *schema_root(const struct schema_doc *d) {
  return d->root;
}

static int compare_properties(const void *a, const void *b) {
  return strcmp(((const struct schema_property *)a)->name, ((const struct schema_property *)b)->name);
}

void schema_sort(struct schema_property *properties, size_t n) {
  if (n)
    qsort(properties, n, sizeof(*properties), compare_properties);
}

const struct schema *schema_field(const struct schema *s, const char *name) {
  struct schema_property key = {name, NULL};
  const struct schema_property *found = NULL;

  if (!s)
    return NULL;
  if (s->nproperties)
    found = bsearch(&key, s->properties, s->nproperties, sizeof(key), compare_properties);
  return found ? found->schema : s->additional;
}

/* ---- from OpenAPI ----------------------------------------------------------------------------------------------- */

struct reader {
  struct schema_doc *doc;
  struct ome_err *err;
  bool structural; /* every field says its type, as a CRD must */
};

static const char *const type_names[] = {
    [SCHEMA_ANY] = "",
    [SCHEMA_OBJECT] = "object",
    [SCHEMA_ARRAY] = "array",
    [SCHEMA_STRING] = "string",
    [SCHEMA_INTEGER] = "integer",
    [SCHEMA_NUMBER] = "number",
    [SCHEMA_BOOLEAN] = "boolean",
    [SCHEMA_INT_OR_STRING] = "",
};

static bool read_type(const char *name, enum schema_type *out) {
  for (size_t i = 0; i < ARRAY_LEN(type_names); i++)
    if (streq(type_names[i], name)) {
      *out = (enum schema_type)i;
      return true;
    }
  return false;
}

static int32_t read_schema(struct reader *r, struct json_object *o, const char *path, int depth, struct schema *out);

static const struct schema *read_child(struct reader *r, struct json_object *o, const char *path, int depth) {
  struct schema *s = schema_alloc(r->doc, sizeof(*s));

  if (!s) {
    (void)fail_memory(r->err);
    return NULL;
  }
  return read_schema(r, o, path, depth + 1, s) == OME_OK ? s : NULL;
}

static const char *const *read_strings(struct reader *r, struct json_object *list) {
  size_t n = json_len(list);
  const char **out = n ? schema_alloc(r->doc, (n + 1) * sizeof(*out)) : NULL;

  for (size_t i = 0; out && i < n; i++)
    out[i] = schema_strdup(r->doc, json_object_get_string(json_index(list, i)));
  return (const char *const *)out;
}

static int32_t read_properties(struct reader *r, struct json_object *o, const char *path, int depth,
                               struct schema *out) {
  struct schema_property *list;
  size_t n = 0;

  if (!json_is(o, json_type_object))
    return OME_OK;
  list = schema_alloc(r->doc, (json_count(o) + 1) * sizeof(*list));
  if (!list)
    return fail_memory(r->err);
  json_object_object_foreach (o, key, v) {
    _cleanup_free_ char *below = str_printf("%s.properties[%s]", path, key);
    list[n].name = schema_strdup(r->doc, key);
    list[n].schema = read_child(r, v, below, depth);
    if (!list[n].name || !list[n].schema)
      return r->err->code;
    n++;
  }
  schema_sort(list, n);
  out->properties = list;
  out->nproperties = n;
  return OME_OK;
}

static void read_bounds(struct json_object *o, struct schema *out) {
  static const char *const lengths[][2] = {
      {"minLength", "maxLength"}, {"minItems", "maxItems"}, {"minProperties", "maxProperties"}};

  out->has_minimum = json_at(o, "minimum") != NULL;
  out->has_maximum = json_at(o, "maximum") != NULL;
  out->minimum = json_object_get_double(json_at(o, "minimum"));
  out->maximum = json_object_get_double(json_at(o, "maximum"));
  out->exclusive_minimum = json_flag(o, "exclusiveMinimum", false);
  out->exclusive_maximum = json_flag(o, "exclusiveMaximum", false);
  out->multiple_of = json_object_get_double(json_at(o, "multipleOf"));
  out->unique_items = json_flag(o, "uniqueItems", false);
  out->min_length = out->max_length = -1;
  for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
    if (json_at(o, lengths[i][0]))
      out->min_length = json_i64(o, lengths[i][0], -1);
    if (json_at(o, lengths[i][1]))
      out->max_length = json_i64(o, lengths[i][1], -1);
  }
}

/* anyOf and the rest as one document {"anyOf": [...]}; NULL: none. */
static struct json_object *read_junctors(struct reader *r, struct json_object *o) {
  static const char *const names[] = {"anyOf", "allOf", "oneOf", "not"};
  struct json_object *out = NULL;

  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    struct json_object *v = json_get(o, names[i]);
    if (!v)
      continue;
    if (!out)
      out = schema_keep(r->doc, json_object_new_object());
    (void)json_put(out, names[i], json_object_get(v));
  }
  return out;
}

static void read_extensions(struct reader *r, struct json_object *o, struct schema *out) {
  struct json_object *list_type = json_get(o, "x-kubernetes-list-type");
  struct json_object *map_type = json_get(o, "x-kubernetes-map-type");
  struct json_object *flag;

  const char *list = list_type ? json_object_get_string(list_type) : "atomic";
  out->list_type = streq(list, "map") ? SCHEMA_LIST_MAP : streq(list, "set") ? SCHEMA_LIST_SET : SCHEMA_LIST_ATOMIC;
  out->list_map_keys = read_strings(r, json_get(o, "x-kubernetes-list-map-keys"));
  out->map_atomic = map_type && streq(json_object_get_string(map_type), "atomic");
  flag = json_get(o, "x-kubernetes-preserve-unknown-fields");
  out->preserve_unknown = flag && json_object_get_boolean(flag);
  flag = json_get(o, "x-kubernetes-embedded-resource");
  out->embedded_resource = flag && json_object_get_boolean(flag);
  flag = json_get(o, "x-kubernetes-int-or-string");
  if (flag && json_object_get_boolean(flag))
    out->type = SCHEMA_INT_OR_STRING;
  if (json_get(o, "x-kubernetes-validations"))
    out->validations = schema_keep(r->doc, json_object_get(json_get(o, "x-kubernetes-validations")));
}

static bool is_required(const struct schema *s, const char *name) {
  for (const char *const *r = s->required; r && *r; r++)
    if (streq(*r, name))
      return true;
  return false;
}

/* An item without one of its keys could be no other's. */
static int32_t check_map_keys(struct reader *r, const struct schema *s, const char *path) {
  for (const char *const *k = s->list_map_keys; k && *k; k++) {
    const struct schema *field = s->items ? schema_field(s->items, *k) : NULL;
    if (!field)
      return fail(r->err, OME_E_INVALID,
                  "%s.x-kubernetes-list-map-keys: Invalid value: \"%s\": entries must all be names of item properties",
                  path, *k);
    if (!field->dflt && !is_required(s->items, *k))
      return fail(r->err, OME_E_INVALID,
                  "%s.items.properties[%s].default: Required value: this property is in x-kubernetes-list-map-keys, so "
                  "it must have a default or be a required property",
                  path, *k);
  }
  return OME_OK;
}

static int32_t check_structural(struct reader *r, const struct schema *s, const char *path, int depth) {
  struct field_errors errors = {{0}};
  int32_t rc = OME_OK;

  if (depth == 0 && s->type != SCHEMA_OBJECT)
    return fail(r->err, OME_E_INVALID, "%s.type: %s", path,
                s->type == SCHEMA_ANY ? "Required value: must not be empty at the root"
                                      : "Invalid value: must be object at the root");
  if (s->type == SCHEMA_ANY && !s->preserve_unknown)
    return fail(r->err, OME_E_INVALID, "%s.type: Required value: must not be empty for specified %s", path,
                has_suffix(path, ".items") ? "array items" : "object fields");
  if (s->dflt)
    schema_validate(s, s->dflt, NULL, &errors);
  if (errors.list.len)
    rc = fail(r->err, OME_E_INVALID, "%s.default: %s", path, errors.list.items[0].message);
  field_errors_fini(&errors);
  return rc == OME_OK ? check_map_keys(r, s, path) : rc;
}

static int32_t read_schema(struct reader *r, struct json_object *o, const char *path, int depth, struct schema *out) {
  if (!json_is(o, json_type_object))
    return fail(r->err, OME_E_INVALID, "%s: must be an object", path);
  if (depth > MAX_DEPTH)
    return fail(r->err, OME_E_INVALID, "%s: nested deeper than %d levels", path, MAX_DEPTH);
  if (json_get(o, "$ref"))
    return fail(r->err, OME_E_INVALID, "%s.$ref: Forbidden: $ref is not supported", path);
  if (!read_type(json_str(o, "type", ""), &out->type))
    return fail(r->err, OME_E_INVALID, "%s.type: Unsupported value: \"%s\"", path, json_str(o, "type", ""));
  read_bounds(o, out);
  read_extensions(r, o, out);
  out->format = json_at(o, "format") ? schema_strdup(r->doc, json_str(o, "format", "")) : NULL;
  out->pattern = json_at(o, "pattern") ? schema_strdup(r->doc, json_str(o, "pattern", "")) : NULL;
  out->description = json_at(o, "description") ? schema_strdup(r->doc, json_str(o, "description", "")) : NULL;
  out->nullable = json_flag(o, "nullable", false);
  out->required = read_strings(r, json_at(o, "required"));
  out->junctors = read_junctors(r, o);
  if (json_at(o, "default"))
    out->dflt = schema_keep(r->doc, json_object_get(json_at(o, "default")));
  if (json_at(o, "enum"))
    out->enumeration = schema_keep(r->doc, json_object_get(json_at(o, "enum")));
  int32_t rc = read_properties(r, json_get(o, "properties"), path, depth, out);
  if (rc == OME_OK && json_is(json_get(o, "additionalProperties"), json_type_object)) {
    _cleanup_free_ char *below = str_printf("%s.additionalProperties", path);
    out->additional = read_child(r, json_get(o, "additionalProperties"), below, depth);
    rc = out->additional ? OME_OK : r->err->code;
  }
  struct json_object *items = json_get(o, "items");
  if (rc == OME_OK && items) {
    _cleanup_free_ char *below = str_printf("%s.items", path);
    out->items = read_child(r, items, below, depth);
    rc = out->items ? OME_OK : r->err->code;
  }
  if (rc == OME_OK && r->structural && out->validations)
    rc = schema_compile_rules(r->doc, out, path, r->err);
  return rc == OME_OK && r->structural ? check_structural(r, out, path, depth) : rc;
}

static int32_t read_doc(struct json_object *openapi, bool structural, struct schema_doc **out, struct ome_err *err) {
  struct schema_doc *d = schema_doc_new();
  struct reader r = {d, err, structural};

  if (!d)
    return fail_memory(err);
  int32_t rc = read_schema(&r, openapi, "openAPIV3Schema", 0, d->root);
  if (rc != OME_OK) {
    schema_doc_free(d);
    return rc;
  }
  *out = d;
  return OME_OK;
}

int32_t schema_from_openapi(struct json_object *openapi, struct schema_doc **out, struct ome_err *err) {
  return read_doc(openapi, true, out, err);
}

int32_t schema_from_fragment(struct json_object *openapi, struct schema_doc **out, struct ome_err *err) {
  return read_doc(openapi, false, out, err);
}

/* ---- to OpenAPI ------------------------------------------------------------------------------------------------- */

static void set(struct json_object *o, const char *key, struct json_object *v) {
  (void)json_put(o, key, v);
}

static void write_number(struct json_object *o, const char *key, double v) {
  set(o, key, v == (double)(int64_t)v ? json_object_new_int64((int64_t)v) : json_object_new_double(v));
}

static void write_bounds(struct json_object *o, const struct schema *s) {
  static const char *const lengths[][2] = {
      [SCHEMA_STRING] = {"minLength", "maxLength"},
      [SCHEMA_ARRAY] = {"minItems", "maxItems"},
      [SCHEMA_OBJECT] = {"minProperties", "maxProperties"},
  };

  if (s->has_minimum)
    write_number(o, "minimum", s->minimum);
  if (s->has_maximum)
    write_number(o, "maximum", s->maximum);
  if (s->exclusive_minimum)
    set(o, "exclusiveMinimum", json_object_new_boolean(1));
  if (s->exclusive_maximum)
    set(o, "exclusiveMaximum", json_object_new_boolean(1));
  if (s->multiple_of > 0)
    write_number(o, "multipleOf", s->multiple_of);
  if (s->unique_items)
    set(o, "uniqueItems", json_object_new_boolean(1));
  if (s->type != SCHEMA_STRING && s->type != SCHEMA_ARRAY && s->type != SCHEMA_OBJECT)
    return;
  if (s->min_length >= 0)
    set(o, lengths[s->type][0], json_object_new_int64(s->min_length));
  if (s->max_length >= 0)
    set(o, lengths[s->type][1], json_object_new_int64(s->max_length));
}

#define QUANTITY_PATTERN                                                                                               \
  "^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|"            \
  "(\\.[0-9]+))))?$"

static void write_int_or_string(struct json_object *o, const struct schema *s, bool crd) {
  static const char *const types[] = {"integer", "string"};
  bool has_own = s->junctors && json_get(s->junctors, "anyOf");

  if (!crd) { /* as kubectl knows both of them */
    set(o, "type", json_object_new_string("string"));
    set(o, "format", json_object_new_string("int-or-string"));
    return;
  }
  for (size_t i = 0; !has_own && i < ARRAY_LEN(types); i++)
    (void)json_set_str(json_add_object(json_ensure_array(o, "anyOf")), "type", types[i]);
  if (streq(s->format, "quantity"))
    set(o, "pattern", json_object_new_string(QUANTITY_PATTERN));
  set(o, "x-kubernetes-int-or-string", json_object_new_boolean(1));
}

static void write_extensions(struct json_object *o, const struct schema *s, bool crd) {
  if (s->list_type == SCHEMA_LIST_MAP || s->list_type == SCHEMA_LIST_SET)
    set(o, "x-kubernetes-list-type", json_object_new_string(s->list_type == SCHEMA_LIST_MAP ? "map" : "set"));
  if (s->list_map_keys)
    set(o, "x-kubernetes-list-map-keys", json_strings(s->list_map_keys));
  if (s->map_atomic)
    set(o, "x-kubernetes-map-type", json_object_new_string("atomic"));
  if (s->preserve_unknown)
    set(o, "x-kubernetes-preserve-unknown-fields", json_object_new_boolean(1));
  if (s->embedded_resource)
    set(o, "x-kubernetes-embedded-resource", json_object_new_boolean(1));
  if (s->type == SCHEMA_INT_OR_STRING)
    write_int_or_string(o, s, crd);
  if (s->validations)
    set(o, "x-kubernetes-validations", json_object_get(s->validations));
  if (!crd && s->patch_merge_key)
    set(o, "x-kubernetes-patch-merge-key", json_object_new_string(s->patch_merge_key));
  if (!crd && (s->patch_merge || s->patch_retain_keys))
    set(o, "x-kubernetes-patch-strategy",
        json_object_new_string(!s->patch_merge        ? "retainKeys"
                               : s->patch_retain_keys ? "merge,retainKeys"
                                                      : "merge"));
}

struct json_object *schema_to_openapi(const struct schema *s, bool crd) {
  struct json_object *o = json_object_new_object();

  if (s->description)
    set(o, "description", json_object_new_string(s->description));
  if (*type_names[s->type])
    set(o, "type", json_object_new_string(type_names[s->type]));
  if (s->format && s->type != SCHEMA_INT_OR_STRING)
    set(o, "format", json_object_new_string(s->format));
  if (s->pattern)
    set(o, "pattern", json_object_new_string(s->pattern));
  if (s->nullable)
    set(o, "nullable", json_object_new_boolean(1));
  if (s->dflt)
    set(o, "default", json_copy(s->dflt));
  if (s->enumeration)
    set(o, "enum", json_copy(s->enumeration));
  write_bounds(o, s);
  write_extensions(o, s, crd);
  if (s->junctors) {
    json_object_object_foreach (s->junctors, key, v) {
      set(o, key, json_copy(v));
    }
  }
  if (s->required)
    set(o, "required", json_strings(s->required));
  if (s->nproperties) {
    struct json_object *properties = json_object_new_object();
    for (size_t i = 0; i < s->nproperties; i++)
      set(properties, s->properties[i].name, schema_to_openapi(s->properties[i].schema, crd));
    set(o, "properties", properties);
  }
  if (s->additional)
    set(o, "additionalProperties", schema_to_openapi(s->additional, crd));
  if (s->items)
    set(o, "items", schema_to_openapi(s->items, crd));
  return o;
}

/* ---- field errors ----------------------------------------------------------------------------------------------- */

void field_errors_add(struct field_errors *e, int type, const char *field, const char *fmt, ...) {
  struct field_error one = {.type = (enum field_error_type)type, .field = strdup(field)};
  _cleanup_buf_ struct buf b = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&b, fmt, ap);
  va_end(ap);
  one.message = buf_take(&b);
  if (e->list.len >= 1000 || !VEC_PUSH(&e->list, one)) {
    free(one.field);
    free(one.message);
  }
}

void field_errors_fini(struct field_errors *e) {
  for (size_t i = 0; i < e->list.len; i++) {
    free(e->list.items[i].field);
    free(e->list.items[i].message);
  }
  VEC_FREE(&e->list);
}
