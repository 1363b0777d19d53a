/* Pruning and defaulting by schema. */
#include "api/schema_internal.h"

#include "base/str.h"
#include "base/vec.h"

#include <string.h>

#define MAX_DEPTH JSON_MAX_DEPTH

/* ---- prune and remark -------------------------------------------------------------------------------------------- */

/* One walk for both: what is found has another use. */
struct pruner {
  bool remarks;             /* say what has no effect and leave it; otherwise say what is unknown and drop it */
  struct json_object *list; /* array of what is said; may be NULL */
  struct buf path;
};

static void note(const struct pruner *p, const char *text) {
  if (p->list && text && json_len(p->list) < 100)
    (void)json_add_str(p->list, text);
}

/* A status is the controllers' to write, and whoever sends an object back sends it along. */
static bool is_status(const char *path) {
  return streq(path, "status") || has_prefix(path, "status.");
}

static void remark(const struct pruner *p, const char *what) {
  if (!p->remarks || is_status(buf_str(&p->path)))
    return;
  _cleanup_free_ char *text = str_printf("%s: %s", buf_str(&p->path), what);

  note(p, text);
}

static bool is_remarkable(const char *description) {
  return description && (has_prefix(description, "Deprecated:") || has_prefix(description, "No effect yet:"));
}

/* Runs BODY with KEY appended to the path. */
static size_t enter_key(struct pruner *p, const char *key) {
  size_t before = p->path.len;

  buf_addf(&p->path, "%s%s", before ? "." : "", key);
  return before;
}

static size_t enter_index(struct pruner *p, size_t i) {
  size_t before = p->path.len;

  buf_addf(&p->path, "[%zu]", i);
  return before;
}

static void leave(struct pruner *p, size_t before) {
  p->path.len = before;
  if (p->path.data)
    p->path.data[before] = '\0';
}

static bool is_meta_field(const char *key) {
  return streq(key, "apiVersion") || streq(key, "kind") || streq(key, "metadata");
}

static const struct schema *object_meta(void) {
  return schema_field(schema_builtin("", "v1", "Pod"), "metadata");
}

static void prune(struct pruner *p, const struct schema *s, struct json_object *o, bool resource, int depth);

/* The field of S, or of what it is like, that KEY is likely to be a misspelling of; NULL: none is near. */
static const char *nearest_field(const struct schema *s, const char *key) {
  size_t least = strlen(key) < 6 ? 2 : 3; /* more differences than this make it another word */
  const char *nearest = NULL;

  for (; s; s = s->like)
    for (size_t i = 0; i < s->nproperties; i++) {
      size_t distance = str_distance(key, s->properties[i].name);
      if (distance < least && distance < strlen(key) / 2) {
        least = distance;
        nearest = s->properties[i].name;
      }
    }
  return nearest;
}

static void remark_unknown(const struct pruner *p, const struct schema *s, const char *key) {
  const char *nearest = p->remarks ? nearest_field(s, key) : NULL;
  _cleanup_free_ char *text = str_printf("not known here%s%s%s; it is stored and has no effect",
                                         nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");

  if (text)
    remark(p, text);
}

/* KEY, which is V, has no schema in S.  True: it goes. */
static bool prune_unknown(struct pruner *p, const struct schema *s, const char *key, struct json_object *v, int depth) {
  const struct schema *other = p->remarks && s->like ? schema_field(s->like, key) : NULL;

  if (other)
    prune(p, other, v, other->embedded_resource, depth + 1);
  else if (s->nproperties)
    remark_unknown(p, s, key);
  if (p->remarks || s->preserve_unknown)
    return false;
  note(p, buf_str(&p->path));
  return true;
}

static void prune_object(struct pruner *p, const struct schema *s, struct json_object *o, bool resource, int depth) {
  VEC(const char *) drop = {0};

  json_object_object_foreach (o, key, v) {
    const struct schema *field = schema_field(s, key);
    size_t before = enter_key(p, key);
    if (resource && streq(key, "metadata")) {
      prune(p, object_meta(), v, false, depth + 1);
    } else if (resource && is_meta_field(key)) {
      /* what the object is */
    } else if (field) {
      if (is_remarkable(field->description))
        remark(p, field->description);
      prune(p, field, v, field->embedded_resource, depth + 1);
    } else if (prune_unknown(p, s, key, v, depth)) {
      (void)VEC_PUSH(&drop, key);
    }
    leave(p, before);
  }
  for (size_t i = 0; i < drop.len; i++)
    json_object_object_del(o, drop.items[i]);
  VEC_FREE(&drop);
}

static void prune(struct pruner *p, const struct schema *s, struct json_object *o, bool resource, int depth) {
  if (depth > MAX_DEPTH || !s)
    return;
  if (json_is(o, json_type_object)) {
    bool opaque = s->preserve_unknown && !s->nproperties && !s->additional && !resource;
    /* An object that no schema describes at all stays only where it is said to. */
    if (!opaque && (s->type == SCHEMA_OBJECT || s->nproperties || s->additional || s->type == SCHEMA_ANY))
      prune_object(p, s, o, resource, depth);
  } else if (json_is(o, json_type_array) && s->items) {
    for (size_t i = 0; i < json_len(o); i++) {
      size_t before = enter_index(p, i);
      prune(p, s->items, json_index(o, i), s->items->embedded_resource, depth + 1);
      leave(p, before);
    }
  }
}

void schema_prune(const struct schema *s, struct json_object *o, struct json_object *unknown_paths) {
  struct pruner p = {false, unknown_paths, BUF_INIT};

  prune(&p, s, o, true, 0);
  buf_fini(&p.path);
}

void schema_remark(const struct schema *s, struct json_object *o, struct json_object *remarks) {
  struct pruner p = {true, remarks, BUF_INIT};

  prune(&p, s, o, true, 0);
  buf_fini(&p.path);
}

/* ---- default ---------------------------------------------------------------------------------------------------- */

static void apply_defaults(const struct schema *s, struct json_object *o, int depth);

/* Takes out what is null and may not be. */
static void drop_nulls(const struct schema *s, struct json_object *o) {
  VEC(const char *) drop = {0};

  json_object_object_foreach (o, key, v) {
    const struct schema *field = v ? NULL : schema_field(s, key);
    if (field && !field->nullable && field->type != SCHEMA_ANY)
      (void)VEC_PUSH(&drop, key);
  }
  for (size_t i = 0; i < drop.len; i++)
    json_object_object_del(o, drop.items[i]);
  VEC_FREE(&drop);
}

static void default_object(const struct schema *s, struct json_object *o, int depth) {
  drop_nulls(s, o);
  for (size_t i = 0; i < s->nproperties; i++) {
    const struct schema_property *p = &s->properties[i];
    if (p->schema->dflt && !json_has(o, p->name))
      (void)json_put(o, p->name, json_copy(p->schema->dflt));
  }
  json_object_object_foreach (o, key, v) {
    const struct schema *field = v ? schema_field(s, key) : NULL;
    if (field)
      apply_defaults(field, v, depth + 1);
  }
}

static void apply_defaults(const struct schema *s, struct json_object *o, int depth) {
  if (depth > MAX_DEPTH)
    return;
  if (json_is(o, json_type_object)) {
    default_object(s, o, depth);
  } else if (json_is(o, json_type_array) && s->items) {
    for (size_t i = 0; i < json_len(o); i++)
      if (json_index(o, i))
        apply_defaults(s->items, json_index(o, i), depth + 1);
  }
}

void schema_default(const struct schema *s, struct json_object *o) {
  apply_defaults(s, o, 0);
}
