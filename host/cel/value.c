/* Values: from JSON, of each other, in order (cel-spec langdef, Equality and Ordering). */
#include "cel/internal.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <math.h>
#include <string.h>

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

static const struct {
  enum cel_kind kind;
  char letter; /* in signatures */
  const char *name;
} kinds[] = {
    {CEL_DYN, '*', "dyn"},
    {CEL_NULL, 'n', "null_type"},
    {CEL_BOOL, 'b', "bool"},
    {CEL_INT, 'i', "int"},
    {CEL_UINT, 'u', "uint"},
    {CEL_DOUBLE, 'd', "double"},
    {CEL_STRING, 's', "string"},
    {CEL_BYTES, 'y', "bytes"},
    {CEL_LIST, 'l', "list"},
    {CEL_MAP, 'm', "map"},
    {CEL_OBJECT, 'o', "object"},
    {CEL_DURATION, 'D', "google.protobuf.Duration"},
    {CEL_TIMESTAMP, 't', "google.protobuf.Timestamp"},
    {CEL_TYPE, 'T', "type"},
    {CEL_ERROR, 'E', "error"},
};

const char *kind_name(enum cel_kind k) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (kinds[i].kind == k)
      return kinds[i].name;
  return "dyn";
}

enum cel_kind kind_of_letter(char letter) {
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
    if (kinds[i].letter == letter)
      return kinds[i].kind;
  return CEL_DYN;
}

bool kind_fits(char letter, enum cel_kind kind) {
  enum cel_kind wanted = kind_of_letter(letter);

  return wanted == CEL_DYN || kind == CEL_DYN || wanted == kind || (wanted == CEL_MAP && kind == CEL_OBJECT);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static const char no_room[] = "the expression does too much work";

struct cel_value value_error(struct eval *e, const char *fmt, ...) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&b, fmt, ap);
  va_end(ap);
  const char *text = arena_copy(&e->arena, buf_str(&b), b.len);
  return text ? value_text(CEL_ERROR, text, b.len) : value_text(CEL_ERROR, no_room, sizeof(no_room) - 1);
}

static enum cel_kind kind_of_json(struct json_object *o) {
  switch (json_object_get_type(o)) {
  case json_type_null:
    return CEL_NULL;
  case json_type_boolean:
    return CEL_BOOL;
  case json_type_int:
    return CEL_INT;
  case json_type_double:
    return CEL_DOUBLE;
  case json_type_string:
    return CEL_STRING;
  case json_type_array:
    return CEL_LIST;
  case json_type_object:
    return CEL_MAP;
  }
  return CEL_NULL;
}

static struct cel_value string_of_json(struct eval *e, const char *text, size_t len, enum cel_kind wanted) {
  int64_t ms;
  size_t n;

  if (wanted == CEL_TIMESTAMP)
    return time_parse(text, &ms) ? (struct cel_value){.kind = CEL_TIMESTAMP, .i = ms * 1000000}
                                 : value_error(e, "\"%.40s\" is no timestamp", text);
  if (wanted == CEL_BYTES) {
    _cleanup_free_ char *plain = base64_decode(text, &n);
    const char *kept = plain ? arena_copy(&e->arena, plain, n) : NULL;
    return kept ? value_text(CEL_BYTES, kept, n) : value_error(e, "a value is no base64");
  }
  return value_text(CEL_STRING, text, len);
}

struct cel_value value_of_json(struct eval *e, struct json_object *o, const struct cel_type *type) {
  struct cel_value v = {.kind = kind_of_json(o)};

  switch (v.kind) {
  case CEL_BOOL:
    v.truth = json_object_get_boolean(o);
    break;
  case CEL_INT:
    if (type->kind == CEL_DOUBLE)
      v = (struct cel_value){.kind = CEL_DOUBLE, .d = json_object_get_double(o)};
    else
      v.i = json_object_get_int64(o);
    break;
  case CEL_DOUBLE:
    v.d = json_object_get_double(o);
    if (type->kind == CEL_INT && v.d == floor(v.d) && fabs(v.d) < 9e18)
      v = value_int((int64_t)v.d);
    break;
  case CEL_STRING:
    return string_of_json(e, json_object_get_string(o), (size_t)json_object_get_string_len(o), type->kind);
  case CEL_LIST:
    v.seq.json = o;
    v.seq.n = json_len(o);
    break;
  case CEL_MAP:
    v.seq.json = o;
    v.seq.n = json_count(o);
    break;
  default:
    break;
  }
  if (v.kind == CEL_LIST || v.kind == CEL_MAP)
    v.elem = *type;
  return v;
}

/* ---- lists and maps ---------------------------------------------------------------------------------------------- */

size_t value_size(const struct cel_value *v) {
  return v->seq.n;
}

/* The type of what a JSON sequence holds under NAME (NULL: items, values). */
static struct cel_type part_type(struct eval *e, const struct cel_value *v, const char *name) {
  struct cel_type t = {.kind = CEL_DYN};

  if (v->elem.kind == CEL_OBJECT && name && v->elem.schema)
    (void)e->ops->field(v->elem.schema, name, &t);
  else if (v->elem.elem)
    t = *v->elem.elem;
  else if (v->elem.schema && v->elem.kind != CEL_OBJECT)
    t = e->ops->elem(v->elem.schema);
  return t;
}

struct cel_value value_at(struct eval *e, const struct cel_value *list, size_t i) {
  if (i >= list->seq.n)
    return value_error(e, "index out of bounds: %zu", i);
  if (!list->seq.json)
    return list->seq.items[i];
  struct cel_type t = part_type(e, list, NULL);
  return value_of_json(e, json_index(list->seq.json, i), &t);
}

bool value_get(struct eval *e, const struct cel_value *map, const struct cel_value *key, struct cel_value *out) {
  struct json_object *found;

  if (map->seq.json) {
    if (key->kind != CEL_STRING || strlen(key->text.ptr) != key->text.len ||
        !json_object_object_get_ex(map->seq.json, key->text.ptr, &found))
      return false;
    struct cel_type t = part_type(e, map, key->text.ptr);
    *out = value_of_json(e, found, &t);
    return true;
  }
  for (size_t i = 0; i < map->seq.n; i++)
    if (value_equal(e, &map->seq.keys[i], key)) {
      *out = map->seq.items[i];
      return true;
    }
  return false;
}

const struct cel_value *value_keys(struct eval *e, const struct cel_value *map) {
  struct cel_value *keys;
  size_t i = 0;

  if (!map->seq.json)
    return map->seq.keys;
  keys = arena_new(&e->arena, (map->seq.n + 1) * sizeof(*keys));
  if (!keys)
    return NULL;
  json_object_object_foreach (map->seq.json, key, v) {
    (void)v;
    keys[i++] = value_text(CEL_STRING, key, strlen(key));
  }
  return keys;
}

/* ---- equality and order ------------------------------------------------------------------------------------------ */

static bool is_number(const struct cel_value *v) {
  return v->kind == CEL_INT || v->kind == CEL_UINT || v->kind == CEL_DOUBLE;
}

static long double as_number(const struct cel_value *v) {
  return v->kind == CEL_INT ? (long double)v->i : v->kind == CEL_UINT ? (long double)v->u : (long double)v->d;
}

static int order(long double a, long double b) {
  return a < b ? -1 : a > b;
}

static int compare_text(struct cel_text a, struct cel_text b) {
  size_t n = a.len < b.len ? a.len : b.len;
  int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

  return c ? c : a.len < b.len ? -1 : a.len > b.len;
}

int value_compare(const struct cel_value *a, const struct cel_value *b, bool *ok) {
  *ok = true;
  if (is_number(a) && is_number(b)) {
    *ok = !isnan(as_number(a)) && !isnan(as_number(b));
    return order(as_number(a), as_number(b));
  }
  if (a->kind != b->kind) {
    *ok = false;
    return 0;
  }
  switch (a->kind) {
  case CEL_BOOL:
    return (int)a->truth - (int)b->truth;
  case CEL_STRING:
  case CEL_BYTES:
    return compare_text(a->text, b->text);
  case CEL_DURATION:
  case CEL_TIMESTAMP:
    return a->i < b->i ? -1 : a->i > b->i;
  default:
    *ok = false;
    return 0;
  }
}

static bool equal_lists(struct eval *e, const struct cel_value *a, const struct cel_value *b) {
  if (value_size(a) != value_size(b))
    return false;
  for (size_t i = 0; i < value_size(a); i++) {
    struct cel_value x = value_at(e, a, i), y = value_at(e, b, i);
    if (!eval_step(e, 1) || !value_equal(e, &x, &y))
      return false;
  }
  return true;
}

static bool equal_maps(struct eval *e, const struct cel_value *a, const struct cel_value *b) {
  const struct cel_value *keys = value_size(a) == value_size(b) ? value_keys(e, a) : NULL;

  if (!keys)
    return false;
  for (size_t i = 0; i < value_size(a); i++) {
    struct cel_value x, y;
    if (!eval_step(e, 1) || !value_get(e, a, &keys[i], &x) || !value_get(e, b, &keys[i], &y) || !value_equal(e, &x, &y))
      return false;
  }
  return true;
}

bool value_equal(struct eval *e, const struct cel_value *a, const struct cel_value *b) {
  bool ok;

  if (a->kind == CEL_NULL && b->kind == CEL_NULL)
    return true;
  if (a->kind == CEL_TYPE && b->kind == CEL_TYPE)
    return compare_text(a->text, b->text) == 0;
  if (a->kind == CEL_LIST && b->kind == CEL_LIST)
    return equal_lists(e, a, b);
  if (a->kind == CEL_MAP && b->kind == CEL_MAP)
    return equal_maps(e, a, b);
  int c = value_compare(a, b, &ok);
  return ok && c == 0;
}
