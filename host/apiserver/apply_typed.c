#include "apiserver/apply_typed.h"

#include "base/str.h"
#include "base/strmap.h"

#include <stdio.h>
#include <string.h>

/* Nothing known: the value itself says what it is. */
static bool is_untyped(const struct schema *s) {
  return !s || ((s->type == SCHEMA_ANY || s->type == SCHEMA_OBJECT) && !s->nproperties && !s->additional);
}

static enum typed_atom atom_of_value(struct json_object *v) {
  return json_is(v, json_type_object) ? TYPED_MAP : json_is(v, json_type_array) ? TYPED_LIST : TYPED_SCALAR;
}

static enum typed_atom atom_of_schema(const struct schema *s) {
  if (s->type == SCHEMA_ARRAY)
    return TYPED_LIST;
  return s->type == SCHEMA_OBJECT || s->nproperties || s->additional ? TYPED_MAP : TYPED_SCALAR;
}

enum typed_atom typed_atom(const struct schema *s, struct json_object *v) {
  return v || is_untyped(s) ? atom_of_value(v) : atom_of_schema(s);
}

bool typed_is_atomic(const struct schema *s, enum typed_atom atom) {
  if (atom == TYPED_LIST)
    return !s || s->type != SCHEMA_ARRAY || s->list_type == SCHEMA_LIST_ATOMIC;
  return atom == TYPED_SCALAR || (s && s->map_atomic);
}

static int compare_property(const void *name, const void *property) {
  const struct schema_property *p = property;

  return strcmp(name, p->name);
}

static const struct schema *find_property(const struct schema *s, const char *name) {
  const struct schema_property *p =
      s && s->nproperties ? bsearch(name, s->properties, s->nproperties, sizeof(*p), compare_property) : NULL;

  return p ? p->schema : NULL;
}

const struct schema *typed_member(const struct schema *s, const char *name, bool *named) {
  const struct schema *field = find_property(s, name);
  bool is_meta = s && s->embedded_resource && streq(name, "metadata");

  if (named)
    *named = field || is_meta;
  if (is_meta)
    return &typed_object_meta;
  return field ? field : s ? s->additional : NULL;
}

/* ---- list items ----------------------------------------------------------------------------------------------- */

static int32_t add_key(const struct schema *item_schema, struct json_object *item, const char *key,
                       struct json_object *keys, struct ome_err *err) {
  const struct schema *field = find_property(item_schema, key);
  struct json_object *v;

  if (!json_object_object_get_ex(item, key, &v)) {
    v = field ? field->dflt : NULL;
    if (!v)
      return fail(err, OME_E_CORRUPT,
                  "associative list with keys has an element that omits key field \"%s\" (and doesn't have default "
                  "value)",
                  key);
  }
  return json_put(keys, key, json_copy(v)) ? OME_OK : fail_memory(err);
}

/* The keys of ITEM, or ITEM where it is its own key. */
static int32_t item_identity(const struct schema *s, struct json_object *item, struct json_object **out,
                             struct ome_err *err) {
  _cleanup_json_ struct json_object *keys = NULL;

  if (s->list_type == SCHEMA_LIST_SET) {
    if (!item || json_is(item, json_type_object) || json_is(item, json_type_array))
      return fail(err, OME_E_CORRUPT, "associative list without keys has an element that's %s",
                  !item                             ? "an explicit null"
                  : json_is(item, json_type_object) ? "a map type"
                                                    : "a list type");
    *out = json_object_get(item);
    return OME_OK;
  }
  if (!json_is(item, json_type_object))
    return fail(err, OME_E_CORRUPT, "associative list with keys may not have %s",
                item ? "non-map elements" : "a null element");
  keys = json_object_new_object();
  for (const char *const *k = s->list_map_keys; keys && k && *k; k++) {
    int32_t rc = add_key(s->items, item, *k, keys, err);
    if (rc != OME_OK)
      return rc;
  }
  *out = TAKE_PTR(keys);
  return *out ? OME_OK : fail_memory(err);
}

static int32_t item_element(struct fieldset_pool *pool, const struct schema *s, struct json_object *item,
                            const char **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *identity = NULL;
  _cleanup_free_ char *text = NULL, *element = NULL;
  int32_t rc = item_identity(s, item, &identity, err);

  if (rc != OME_OK)
    return rc;
  text = json_canonical(identity);
  element = text ? str_printf("%c:%s", s->list_type == SCHEMA_LIST_SET ? 'v' : 'k', text) : NULL;
  *out = element ? fieldset_string(pool, element, strlen(element)) : NULL;
  return *out ? OME_OK : fail_memory(err);
}

int32_t typed_list_elements(struct fieldset_pool *pool, const struct schema *s, struct json_object *list,
                            const char ***out, struct ome_err *err) {
  size_t n = json_len(list);
  _cleanup_free_ const char **elements = calloc(n + 1, sizeof(*elements));

  if (!elements)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++) {
    int32_t rc = item_element(pool, s, json_index(list, i), &elements[i], err);
    if (rc != OME_OK)
      return fail_prefix(err, "element %zu", i);
  }
  *out = TAKE_PTR(elements);
  return OME_OK;
}

/* ---- validation ----------------------------------------------------------------------------------------------- */

struct validation {
  struct fieldset_pool *pool;
  struct buf path;
  struct buf faults; /* one a line, indented */
  size_t nfaults;
  int depth;
  bool lists_only;
};

static void add_fault(struct validation *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_fault(struct validation *v, const char *fmt, ...) {
  va_list ap;

  v->nfaults++;
  buf_addf(&v->faults, "\n  %s%s", buf_str(&v->path), v->path.len ? ": " : "");
  va_start(ap, fmt);
  buf_vaddf(&v->faults, fmt, ap);
  va_end(ap);
}

static void validate(struct validation *v, const struct schema *s, struct json_object *o);

static void validate_below(struct validation *v, const struct schema *s, const char *element, struct json_object *o) {
  size_t len = v->path.len;

  fieldset_print_element(&v->path, element);
  validate(v, s, o);
  v->path.len = len;
  if (v->path.data)
    v->path.data[len] = '\0';
}

static void validate_map(struct validation *v, const struct schema *s, struct json_object *o) {
  if (!json_is(o, json_type_object)) {
    if (!v->lists_only)
      add_fault(v, "expected map, got &{%s}", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
    return;
  }
  json_object_object_foreach (o, key, member) {
    const char *element = fieldset_field_element(v->pool, key);
    bool named;
    const struct schema *below = typed_member(s, key, &named);
    if (!element)
      return;
    if (named || below || s->preserve_unknown || v->lists_only) {
      validate_below(v, below, element, member);
      continue;
    }
    size_t len = v->path.len;
    fieldset_print_element(&v->path, element);
    add_fault(v, "field not declared in schema");
    v->path.len = len;
  }
}

static void validate_list(struct validation *v, const struct schema *s, struct json_object *o) {
  _cleanup_strmap_ struct strmap *seen = strmap_new(NULL);
  bool keyed = !typed_is_atomic(s, TYPED_LIST);

  if (!json_is(o, json_type_array)) {
    if (!v->lists_only)
      add_fault(v, "expected list, got &{%s}", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
    return;
  }
  for (size_t i = 0; seen && i < json_len(o); i++) {
    struct ome_err err = ERR_INIT;
    const char *element = NULL;
    char place[32];
    if (!keyed) {
      (void)snprintf(place, sizeof(place), "i:%zu", i);
      validate_below(v, s->items, place, json_index(o, i));
      continue;
    }
    if (item_element(v->pool, s, json_index(o, i), &element, &err) != OME_OK) {
      add_fault(v, "element %zu: %s", i, err.msg);
      continue;
    }
    if (strmap_has(seen, element)) {
      _cleanup_buf_ struct buf text = BUF_INIT;
      fieldset_print_element(&text, element);
      add_fault(v, "duplicate entries for key %s", buf_str(&text));
    }
    (void)strmap_put(seen, element, NULL);
    validate_below(v, s->items, element, json_index(o, i));
  }
}

static void validate_scalar(struct validation *v, const struct schema *s, struct json_object *o) {
  static const char *const expected[] = {[SCHEMA_STRING] = "string",
                                         [SCHEMA_INTEGER] = "numeric (int or float)",
                                         [SCHEMA_NUMBER] = "numeric (int or float)",
                                         [SCHEMA_BOOLEAN] = "boolean"};
  enum json_type is = json_object_get_type(o);
  bool ok = true;

  if (s->type == SCHEMA_STRING && !s->format)
    ok = is == json_type_string;
  else if (s->type == SCHEMA_STRING) /* times and quantities are checked where they are read */
    ok = is != json_type_object && is != json_type_array;
  else if (s->type == SCHEMA_INTEGER || s->type == SCHEMA_NUMBER)
    ok = is == json_type_int || is == json_type_double;
  else if (s->type == SCHEMA_BOOLEAN)
    ok = is == json_type_boolean;
  if (!ok && !v->lists_only)
    add_fault(v, "expected %s, got &value.valueUnstructured{Value:%s}", expected[s->type], json_view(o));
}

static void validate(struct validation *v, const struct schema *s, struct json_object *o) {
  if (!o || is_untyped(s) || v->depth == JSON_MAX_DEPTH)
    return;
  v->depth++;
  switch (atom_of_schema(s)) {
  case TYPED_MAP:
    validate_map(v, s, o);
    break;
  case TYPED_LIST:
    validate_list(v, s, o);
    break;
  case TYPED_SCALAR:
    validate_scalar(v, s, o);
    break;
  }
  v->depth--;
}

int32_t typed_validate(struct fieldset_pool *pool, const struct schema *s, struct json_object *v, bool lists_only,
                       struct ome_err *err) {
  struct validation run = {.pool = pool, .path = BUF_INIT, .faults = BUF_INIT, .lists_only = lists_only};
  int32_t rc = OME_OK;

  validate(&run, s, v);
  if (run.nfaults == 1) /* past the line's indent */
    rc = fail(err, OME_E_CORRUPT, "%s", buf_str(&run.faults) + 3);
  else if (run.nfaults > 1)
    rc = fail(err, OME_E_CORRUPT, "errors:%s", buf_str(&run.faults));
  buf_fini(&run.path);
  buf_fini(&run.faults);
  return rc;
}
