#include "base/json.h"

#include "base/buf.h"
#include "base/str.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define TEXT_FLAGS (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define TOKENER_TEXT ((size_t)64 << 10)

/* Each thread has one for texts up to TOKENER_TEXT, which is what it keeps room for: with a place for every level of
 * depth it is 10 KiB, which would take longer to get than most texts to be parsed. */
static pthread_key_t tokener_key;
static pthread_once_t tokener_once = PTHREAD_ONCE_INIT;

static void free_tokener(void *tok) {
  json_tokener_free(tok);
}

static void make_tokener_key(void) {
  (void)pthread_key_create(&tokener_key, free_tokener);
}

struct tokener {
  struct json_tokener *tok;
  bool kept;
};

/* Memory running out leaves TOK NULL. */
static struct tokener take_tokener(size_t len) {
  (void)pthread_once(&tokener_once, make_tokener_key);
  struct tokener t = {len <= TOKENER_TEXT ? pthread_getspecific(tokener_key) : NULL, true};

  if (t.tok)
    return t;
  t.tok = json_tokener_new_ex(JSON_MAX_DEPTH);
  t.kept = t.tok && len <= TOKENER_TEXT && pthread_setspecific(tokener_key, t.tok) == 0;
  return t;
}

static void give_tokener(struct tokener *t) {
  if (t->kept)
    json_tokener_reset(t->tok); /* what it had of a text with a mistake goes */
  else if (t->tok)
    json_tokener_free(t->tok);
}

/* json-c takes NaN and Infinity even when strict.  Where one stands outside strings; LEN when nowhere. */
static size_t find_nonfinite(const char *text, size_t len) {
  bool in_string = false;

  for (size_t i = 0; i < len; i++) {
    if (in_string && text[i] == '\\')
      i++;
    else if (text[i] == '"')
      in_string = !in_string;
    else if (!in_string && (text[i] == 'N' || text[i] == 'I'))
      return i;
  }
  return len;
}

int32_t json_parse(const char *text, size_t len, size_t max, struct json_object **out, struct ome_err *err) {
  _cleanup_(give_tokener) struct tokener t = take_tokener(len);
  struct json_tokener *tok = t.tok;

  if (!tok)
    return fail_memory(err);
  if (max == 0)
    max = JSON_MAX_BYTES;
  if (len > max)
    return fail(err, OME_E_INVALID, "JSON: %zu bytes are more than the %zu allowed", len, max);
  size_t nonfinite = find_nonfinite(text, len);
  if (nonfinite < len)
    return fail(err, OME_E_INVALID, "JSON: unexpected character at offset %zu", nonfinite);
  json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);

  struct json_object *o = json_tokener_parse_ex(tok, text, (int)len);
  enum json_tokener_error e = json_tokener_get_error(tok);
  size_t at = json_tokener_get_parse_end(tok);
  if (e == json_tokener_continue) {
    /* A bare number ends only at a byte that is not part of it: the NUL of "". */
    o = json_tokener_parse_ex(tok, "", 1);
    e = json_tokener_get_error(tok);
    if (e != json_tokener_success)
      return fail(err, OME_E_INVALID, "JSON: ends too early, after %zu bytes", len);
  }
  if (e == json_tokener_error_depth)
    return fail(err, OME_E_INVALID, "JSON: nested deeper than %d levels at offset %zu", JSON_MAX_DEPTH, at);
  if (e != json_tokener_success)
    return fail(err, OME_E_INVALID, "JSON: %s at offset %zu", json_tokener_error_desc(e), at);
  for (; at < len; at++)
    if (!strchr(" \t\r\n", text[at]) || !text[at]) {
      json_unref(o);
      return fail(err, OME_E_INVALID, "JSON: something follows the document at offset %zu", at);
    }
  *out = o;
  return OME_OK;
}

struct json_object *json_get(struct json_object *o, const char *key) {
  struct json_object *v = NULL;

  if (json_object_is_type(o, json_type_object))
    (void)json_object_object_get_ex(o, key, &v);
  return v;
}

struct json_object *json_at(struct json_object *o, const char *path) {
  char key[256];

  while (o && *path) {
    size_t n = strcspn(path, ".");
    if (n >= sizeof(key))
      return NULL;
    memcpy(key, path, n);
    key[n] = '\0';
    o = json_get(o, key);
    path += n + (path[n] == '.');
  }
  return o;
}

struct json_object *json_index(struct json_object *array, size_t i) {
  return json_object_is_type(array, json_type_array) && i < json_object_array_length(array)
             ? json_object_array_get_idx(array, i)
             : NULL;
}

const char *json_as_str(struct json_object *v, const char *dflt) {
  return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : dflt;
}

const char *json_str(struct json_object *o, const char *path, const char *dflt) {
  return json_as_str(json_at(o, path), dflt);
}

int64_t json_i64(struct json_object *o, const char *path, int64_t dflt) {
  struct json_object *v = json_at(o, path);

  if (json_object_is_type(v, json_type_int))
    return json_object_get_int64(v);
  if (json_object_is_type(v, json_type_double)) {
    double d = json_object_get_double(v);
    if (d == floor(d) && fabs(d) < 9e18)
      return (int64_t)d;
  }
  return dflt;
}

bool json_flag(struct json_object *o, const char *path, bool dflt) {
  struct json_object *v = json_at(o, path);

  return json_object_is_type(v, json_type_boolean) ? json_object_get_boolean(v) : dflt;
}

size_t json_len(struct json_object *array) {
  return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

size_t json_count(struct json_object *o) {
  return json_object_is_type(o, json_type_object) ? (size_t)json_object_object_length(o) : 0;
}

bool json_has(struct json_object *o, const char *key) {
  return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, NULL);
}

bool json_is(struct json_object *o, enum json_type type) {
  return json_object_is_type(o, type);
}

bool json_empty(struct json_object *o) {
  if (!o)
    return true;
  return json_is(o, json_type_object) ? json_count(o) == 0 : json_is(o, json_type_array) && json_len(o) == 0;
}

/* The object that holds the last key of PATH, made when MAKE; *LAST points at that key within PATH. */
static struct json_object *parent_of(struct json_object *o, const char *path, const char **last, bool make) {
  char key[256];

  for (;;) {
    size_t n = strcspn(path, ".");
    if (!json_is(o, json_type_object) || n >= sizeof(key))
      return NULL;
    if (!path[n]) {
      *last = path;
      return o;
    }
    memcpy(key, path, n);
    key[n] = '\0';
    struct json_object *next = json_get(o, key);
    if (!next && make) {
      next = json_object_new_object();
      if (!next || !json_put(o, key, next))
        return NULL;
    }
    o = next;
    path += n + 1;
  }
}

bool json_set(struct json_object *o, const char *path, struct json_object *v) {
  const char *last = NULL;
  struct json_object *parent = parent_of(o, path, &last, true);

  return json_put(parent, last, v);
}

bool json_set_str(struct json_object *o, const char *path, const char *v) {
  struct json_object *s = json_object_new_string(v ? v : "");

  return s && json_set(o, path, s);
}

bool json_set_i64(struct json_object *o, const char *path, int64_t v) {
  struct json_object *n = json_object_new_int64(v);

  return n && json_set(o, path, n);
}

bool json_set_bool(struct json_object *o, const char *path, bool v) {
  struct json_object *b = json_object_new_boolean(v);

  return b && json_set(o, path, b);
}

void json_del(struct json_object *o, const char *path) {
  const char *last;
  struct json_object *parent = parent_of(o, path, &last, false);

  if (parent)
    json_object_object_del(parent, last);
}

bool json_put(struct json_object *o, const char *key, struct json_object *v) {
  if (json_is(o, json_type_object) && json_object_object_add(o, key, v) == 0)
    return true;
  json_unref(v);
  return false;
}

bool json_put_str(struct json_object *o, const char *key, const char *v) {
  struct json_object *s = json_object_new_string(v ? v : "");

  return s && json_put(o, key, s);
}

bool json_add(struct json_object *array, struct json_object *v) {
  if (json_is(array, json_type_array) && json_object_array_add(array, v) == 0)
    return true;
  json_unref(v);
  return false;
}

bool json_add_str(struct json_object *array, const char *v) {
  struct json_object *s = json_object_new_string(v ? v : "");

  return s && json_add(array, s);
}

bool json_add_all(struct json_object *array, struct json_object *more) {
  bool ok = true;

  for (size_t i = 0; ok && i < json_len(more); i++)
    ok = json_add(array, json_object_get(json_index(more, i)));
  return ok;
}

struct json_object *json_add_object(struct json_object *array) {
  struct json_object *o = json_object_new_object();

  return o && json_add(array, o) ? o : NULL;
}

struct json_object *json_strings(const char *const *list) {
  _cleanup_json_ struct json_object *array = json_object_new_array();

  for (; *list; list++)
    if (!json_add_str(array, *list))
      return NULL;
  return TAKE_PTR(array);
}

static struct json_object *ensure(struct json_object *o, const char *path, enum json_type type) {
  struct json_object *at = json_at(o, path);

  if (!at) {
    at = type == json_type_array ? json_object_new_array() : json_object_new_object();
    if (!at || !json_set(o, path, at))
      return NULL;
  }
  return json_is(at, type) ? at : NULL;
}

struct json_object *json_ensure(struct json_object *o, const char *path) {
  return ensure(o, path, json_type_object);
}

struct json_object *json_ensure_array(struct json_object *o, const char *path) {
  return ensure(o, path, json_type_array);
}

struct json_object *json_copy(struct json_object *o) {
  struct json_object *copy = NULL;

  if (o)
    (void)json_object_deep_copy(o, &copy, NULL);
  return copy;
}

static bool is_number(struct json_object *o) {
  return json_is(o, json_type_int) || json_is(o, json_type_double);
}

static bool objects_equal(struct json_object *a, struct json_object *b) {
  if (json_count(a) != json_count(b))
    return false;
  json_object_object_foreach (a, key, va) {
    struct json_object *vb;
    if (!json_object_object_get_ex(b, key, &vb) || !json_equal(va, vb))
      return false;
  }
  return true;
}

bool json_equal(struct json_object *a, struct json_object *b) {
  if (a == b)
    return true;
  if (!a || !b)
    return false;
  if (json_is(a, json_type_object) && json_is(b, json_type_object))
    return objects_equal(a, b);
  if (json_is(a, json_type_array) && json_is(b, json_type_array)) {
    size_t n = json_object_array_length(a);
    if (n != json_object_array_length(b))
      return false;
    for (size_t i = 0; i < n; i++)
      if (!json_equal(json_object_array_get_idx(a, i), json_object_array_get_idx(b, i)))
        return false;
    return true;
  }
  if (is_number(a) && is_number(b) && !json_is(a, json_object_get_type(b)))
    return !(json_object_get_double(a) < json_object_get_double(b)) &&
           !(json_object_get_double(a) > json_object_get_double(b));
  return json_object_equal(a, b) != 0;
}

const char *json_view(struct json_object *o) {
  const char *s = o ? json_object_to_json_string_ext(o, TEXT_FLAGS) : NULL;

  return s ? s : "null";
}

char *json_text(struct json_object *o) {
  const char *s = o ? json_object_to_json_string_ext(o, TEXT_FLAGS) : "null";

  return s ? strdup(s) : NULL;
}

char *json_pretty(struct json_object *o) {
  const char *s =
      o ? json_object_to_json_string_ext(o, TEXT_FLAGS | JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED) : "null";

  return s ? strdup(s) : NULL;
}

static int compare_keys(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct json_object *json_sorted(struct json_object *o) {
  if (json_is(o, json_type_array)) {
    struct json_object *out = json_object_new_array();
    for (size_t i = 0; out && i < json_len(o); i++)
      (void)json_add(out, json_sorted(json_index(o, i)));
    return out;
  }
  if (!json_is(o, json_type_object))
    return json_object_get(o);

  size_t n = 0;
  _cleanup_free_ const char **keys = calloc(json_count(o) + 1, sizeof(*keys));
  struct json_object *out = json_object_new_object();
  if (!keys || !out)
    return out;
  json_object_object_foreach (o, key, v) {
    (void)v;
    keys[n++] = key;
  }
  qsort(keys, n, sizeof(*keys), compare_keys);
  for (size_t i = 0; i < n; i++)
    (void)json_put(out, keys[i], json_sorted(json_get(o, keys[i])));
  return out;
}

char *json_canonical(struct json_object *o) {
  _cleanup_json_ struct json_object *copy = json_sorted(o);

  return json_text(copy);
}

struct json_object *json_merge_patch(struct json_object *target, struct json_object *patch) {
  if (!json_is(patch, json_type_object)) {
    json_unref(target);
    return json_copy(patch);
  }
  if (!json_is(target, json_type_object)) {
    json_unref(target);
    target = json_object_new_object();
  }
  json_object_object_foreach (patch, key, v) {
    if (!v) {
      json_object_object_del(target, key);
      continue;
    }
    struct json_object *old = json_object_get(json_get(target, key));
    (void)json_put(target, key, json_merge_patch(old, v));
  }
  return target;
}

struct json_object *json_find(struct json_object *array, const char *key, const char *value) {
  for (size_t i = 0; i < json_len(array); i++) {
    struct json_object *item = json_index(array, i);
    const char *have = json_as_str(json_get(item, key), NULL);
    if (have && streq(have, value))
      return item;
  }
  return NULL;
}

void json_keep(struct json_object *o, const char *const *names) {
  if (!json_is(o, json_type_object))
    return;
  json_object_object_foreach (o, name, unused) {
    size_t i = 0;
    (void)unused;
    while (names[i] && !streq(names[i], name))
      i++;
    if (!names[i])
      json_object_object_del(o, name);
  }
}
