/* Tables and PartialObjectMetadata: what kubectl get shows. Columns of built-in kinds are those of a real server. */
#include "apiserver/table.h"
#include "apiserver/server.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

struct json_object *text(const char *s) {
  return json_object_new_string(s ? s : "");
}

struct json_object *text_or(const char *s, const char *dflt) {
  return json_object_new_string(s && *s ? s : dflt);
}

struct json_object *number(int64_t n) {
  return json_object_new_int64(n);
}

struct json_object *cell_name(struct json_object *o) {
  return text(meta_name(o));
}

/* "5m" since an RFC 3339 stamp. */
struct json_object *age_since(const char *stamp) {
  int64_t ms;
  char out[32];

  if (!time_parse(stamp, &ms))
    return text("<unknown>");
  format_age((wall_ms() - ms) / 1000, out);
  return text(out);
}

struct json_object *cell_age(struct json_object *o) {
  return age_since(json_str(o, "metadata.creationTimestamp", ""));
}

struct json_object *joined(struct json_object *list, const char *key) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(list); i++)
    buf_addf(&b, "%s%s", i ? "," : "", json_str(json_index(list, i), key, ""));
  return text(buf_str(&b));
}

struct json_object *labels_text(struct json_object *labels) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  if (json_is(labels, json_type_object)) {
    json_object_object_foreach (labels, key, v) {
      buf_addf(&b, "%s%s=%s", b.len ? "," : "", key, json_object_get_string(v));
    }
  }
  return text_or(buf_str(&b), "<none>");
}

struct json_object *cell_created_at(struct json_object *o) {
  return text(json_str(o, "metadata.creationTimestamp", ""));
}

static const struct builtin_column plain_columns[] = {
    COLUMN_NAME,
    {"Created At", "date", "", 0, cell_created_at},
};
static const struct builtin_column custom_plain_columns[] = {
    COLUMN_NAME,
    {"Age", "date", "", 0, cell_created_at},
};

static const struct builtin_column *columns_of(const struct resource *r, size_t *n) {
  static const struct kind_columns *const tables[] = {workload_tables, network_tables, other_tables};

  for (size_t i = 0; !r->crd && i < ARRAY_LEN(tables); i++)
    for (const struct kind_columns *t = tables[i]; t->kind; t++)
      if (streq(t->group, r->group) && streq(t->kind, r->kind)) {
        *n = t->n;
        return t->columns;
      }
  *n = ARRAY_LEN(plain_columns);
  return r->crd ? custom_plain_columns : plain_columns;
}

/* ---- columns of custom resources -------------------------------------------------------------------------------- */

/* ".key", in which a backslash takes the next character as it is. */
static struct json_object *step_key(struct json_object *o, const char **p) {
  char key[256];
  size_t n = 0;

  for ((*p)++; **p && !strchr(".[", **p) && n + 1 < sizeof(key); (*p)++) {
    if (**p == '\\' && (*p)[1])
      (*p)++;
    key[n++] = **p;
  }
  key[n] = '\0';
  return json_get(o, key);
}

/* "[?(@.key=="value")]": the first item of a list of which it is true. */
static struct json_object *step_filter(struct json_object *o, const char **p) {
  char key[256];
  const char *name = *p + 5;
  size_t n = strcspn(name, "=");
  const char *value = name + n + strspn(name + n, "= ");
  const char *end = *value ? strchr(value + 1, *value) : NULL;
  const char *close = end ? strchr(end, ']') : NULL;

  if (!close || n >= sizeof(key))
    return NULL;
  memcpy(key, name, n);
  for (key[n] = '\0'; n && key[n - 1] == ' '; key[--n] = '\0')
    continue;
  _cleanup_free_ char *want = str_copy(value + 1, (size_t)(end - value - 1));
  *p = close + 1;
  return json_find(o, key, want);
}

/* "['key']", "[0]", or "[*]", of which a cell shows the first. */
static struct json_object *step_index(struct json_object *o, const char **p) {
  char key[256];
  const char *inner = *p + 1;
  const char *end = strchr(inner, ']');

  if (!end)
    return NULL;
  *p = end + 1;
  if (*inner == '*')
    return json_index(o, 0);
  if (*inner != '\'' && *inner != '"')
    return json_index(o, (size_t)strtoul(inner, NULL, 10));
  if (end - inner < 2)
    return NULL;
  (void)snprintf(key, sizeof(key), "%.*s", (int)(end - inner - 2), inner + 1);
  return json_get(o, key);
}

/* The first value at a JSONPath of the simple sort that printer columns use: .a.b, .a['b'], .a[0], .a[?(@.t=="X")].c */
static struct json_object *at_json_path(struct json_object *o, const char *p) {
  while (o && *p) {
    if (*p == '.')
      o = step_key(o, &p);
    else if (has_prefix(p, "[?(@."))
      o = step_filter(o, &p);
    else if (*p == '[')
      o = step_index(o, &p);
    else
      return NULL;
  }
  return o;
}

static struct json_object *custom_cell(const struct column *c, struct json_object *o) {
  struct json_object *v = at_json_path(o, c->json_path);

  if (!v)
    return NULL;
  if (streq(c->type, "date") && json_is(v, json_type_string))
    return age_since(json_object_get_string(v));
  if (streq(c->type, "string") && !json_is(v, json_type_string)) {
    _cleanup_free_ char *t = json_text(v);
    return text(t);
  }
  return json_copy(v);
}

static bool is_custom(const struct resource *r) {
  return r->crd && r->ncolumns;
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static void add_definition(struct json_object *list, const char *name, const char *type, const char *format,
                           const char *description, int64_t priority) {
  struct json_object *c = json_add_object(list);

  (void)json_set_str(c, "name", name);
  (void)json_set_str(c, "type", type);
  (void)json_set_str(c, "format", format);
  (void)json_set_str(c, "description", description);
  (void)json_set_i64(c, "priority", priority);
}

struct json_object *table_columns(const struct resource *r) {
  struct json_object *list = json_object_new_array();
  size_t n;
  const struct builtin_column *columns = columns_of(r, &n);

  if (is_custom(r)) {
    add_definition(list, "Name", "string", "name", "Name of the object, unique among its kind in its namespace.", 0);
    for (size_t i = 0; i < r->ncolumns; i++)
      add_definition(list, r->columns[i].name, r->columns[i].type, r->columns[i].format,
                     *r->columns[i].description ? r->columns[i].description : "A value of the custom resource.",
                     r->columns[i].priority);
    return list;
  }
  for (size_t i = 0; i < n; i++)
    add_definition(list, columns[i].name, columns[i].type, columns[i].format, columns[i].name, columns[i].priority);
  return list;
}

static struct json_object *cells(const struct resource *r, struct json_object *o) {
  struct json_object *list = json_object_new_array();
  size_t n;
  const struct builtin_column *columns = columns_of(r, &n);

  if (is_custom(r)) {
    (void)json_add(list, cell_name(o));
    for (size_t i = 0; i < r->ncolumns; i++)
      (void)json_add(list, custom_cell(&r->columns[i], o));
    return list;
  }
  for (size_t i = 0; i < n; i++)
    (void)json_add(list, columns[i].cell(o));
  return list;
}

struct json_object *partial_of(struct json_object *o) {
  struct json_object *p = json_object_new_object();

  (void)json_set_str(p, "kind", "PartialObjectMetadata");
  (void)json_set_str(p, "apiVersion", "meta.k8s.io/v1");
  (void)json_set(p, "metadata", json_copy(json_at(o, "metadata")));
  return p;
}

static struct json_object *row_object(const struct request *req, struct json_object *o) {
  const char *include = http_query(req->x, "includeObject");

  if (include && streq(include, "None"))
    return NULL;
  return include && streq(include, "Object") ? json_copy(o) : partial_of(o);
}

struct json_object *table_row(const struct request *req, struct json_object *o) {
  struct json_object *row = json_object_new_object();
  struct json_object *object = row_object(req, o);

  (void)json_set(row, "cells", cells(req->resource, o));
  if (object)
    (void)json_set(row, "object", object);
  return row;
}

struct json_object *table_make(const struct request *req, struct json_object *o) {
  struct json_object *t = json_object_new_object();
  struct json_object *rows = json_object_new_array();
  struct json_object *items = json_at(o, "items");
  bool is_list = req->verb == VERB_LIST || req->verb == VERB_DELETE_COLLECTION;

  (void)json_set_str(t, "kind", "Table");
  (void)json_set_str(t, "apiVersion", "meta.k8s.io/v1");
  if (is_list)
    (void)json_set(t, "metadata", json_copy(json_at(o, "metadata")));
  else
    (void)json_set_str(t, "metadata.resourceVersion", json_str(o, "metadata.resourceVersion", ""));
  (void)json_set(t, "columnDefinitions", table_columns(req->resource));
  for (size_t i = 0; is_list && i < json_len(items); i++)
    (void)json_add(rows, table_row(req, json_index(items, i)));
  if (!is_list && *meta_name(o))
    (void)json_add(rows, table_row(req, o));
  (void)json_set(t, "rows", rows);
  return t;
}

struct json_object *partial_make(struct json_object *o, bool is_list) {
  if (!is_list)
    return partial_of(o);
  struct json_object *list = json_object_new_object();
  struct json_object *items = json_object_new_array();
  (void)json_set_str(list, "kind", "PartialObjectMetadataList");
  (void)json_set_str(list, "apiVersion", "meta.k8s.io/v1");
  (void)json_set(list, "metadata", json_copy(json_at(o, "metadata")));
  for (size_t i = 0; i < json_len(json_at(o, "items")); i++)
    (void)json_add(items, partial_of(json_index(json_at(o, "items"), i)));
  (void)json_set(list, "items", items);
  return list;
}
