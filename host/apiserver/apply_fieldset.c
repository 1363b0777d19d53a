#include "apiserver/apply_fieldset.h"

#include "base/str.h"

#include <string.h>

#define CHUNK_SIZE ((size_t)8 << 10)

/* ---- the pool ------------------------------------------------------------------------------------------------- */

struct fieldset_chunk {
  struct fieldset_chunk *next;
  size_t used, size;
  max_align_t data[];
};

void fieldset_pool_fini(struct fieldset_pool *pool) {
  while (pool->chunks) {
    struct fieldset_chunk *next = pool->chunks->next;
    free(pool->chunks);
    pool->chunks = next;
  }
}

static void *pool_alloc(struct fieldset_pool *pool, size_t size) {
  struct fieldset_chunk *c = pool->chunks;

  size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
  if (!c || c->size - c->used < size) {
    size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    c = malloc(sizeof(*c) + room);
    if (!c) {
      pool->failed = true;
      return NULL;
    }
    c->next = pool->chunks;
    c->used = 0;
    c->size = room;
    pool->chunks = c;
  }
  void *p = (char *)c->data + c->used;
  c->used += size;
  return p;
}

const char *fieldset_string(struct fieldset_pool *pool, const char *s, size_t len) {
  char *copy = pool_alloc(pool, len + 1);

  if (copy) {
    memcpy(copy, s, len);
    copy[len] = '\0';
  }
  return copy;
}

const char *fieldset_field_element(struct fieldset_pool *pool, const char *name) {
  size_t len = strlen(name);
  char *s = pool_alloc(pool, len + 3);

  if (s) {
    memcpy(s, "f:", 2);
    memcpy(s + 2, name, len + 1);
  }
  return s;
}

/* ---- nodes ---------------------------------------------------------------------------------------------------- */

static struct fieldset *node_new(struct fieldset_pool *pool, const char *element, bool member) {
  struct fieldset *n = element ? pool_alloc(pool, sizeof(*n)) : NULL;

  if (n)
    *n = (struct fieldset){.element = element, .member = member};
  return n;
}

struct fieldset *fieldset_new(struct fieldset_pool *pool) {
  return node_new(pool, "", false);
}

/* Where ELEMENT is among the children, or would be; *FOUND says which. */
static uint32_t child_place(const struct fieldset *set, const char *element, bool *found) {
  uint32_t lo = 0, hi = set->nchildren;

  *found = false;
  while (lo < hi && !*found) {
    uint32_t mid = lo + (hi - lo) / 2;
    int c = strcmp(set->children[mid]->element, element);
    *found = c == 0;
    if (c < 0)
      lo = mid + 1;
    else
      hi = mid;
  }
  return *found ? hi : lo;
}

static bool add_child(struct fieldset_pool *pool, struct fieldset *set, uint32_t at, struct fieldset *child) {
  if (!child)
    return false;
  if (set->nchildren == set->cap) {
    uint32_t cap = set->cap ? set->cap * 2 : 4;
    struct fieldset **grown = pool_alloc(pool, cap * sizeof(struct fieldset *));
    if (!grown)
      return false;
    if (set->nchildren)
      memcpy(grown, set->children, set->nchildren * sizeof(struct fieldset *));
    set->children = grown;
    set->cap = cap;
  }
  memmove(&set->children[at + 1], &set->children[at], (set->nchildren - at) * sizeof(struct fieldset *));
  set->children[at] = child;
  set->nchildren++;
  return true;
}

void fieldset_insert(struct fieldset_pool *pool, struct fieldset *set, const struct field_path *path) {
  for (size_t i = 0; set && i < path->len; i++) {
    bool found;
    if (!path->elements[i])
      return; /* memory had run out already */
    uint32_t at = child_place(set, path->elements[i], &found);
    if (!found && !add_child(pool, set, at, node_new(pool, path->elements[i], false)))
      return;
    set = set->children[at];
  }
  if (set && path->len > 0)
    set->member = true;
}

const struct fieldset *fieldset_child(const struct fieldset *set, const char *element) {
  bool found = false;
  uint32_t at = set && element ? child_place(set, element, &found) : 0;

  return found ? set->children[at] : NULL;
}

bool fieldset_empty(const struct fieldset *set) {
  if (!set)
    return true;
  if (set->member)
    return false;
  for (uint32_t i = 0; i < set->nchildren; i++)
    if (!fieldset_empty(set->children[i]))
      return false;
  return true;
}

/* Every member of A is one of B. */
static bool is_subset(const struct fieldset *a, const struct fieldset *b) {
  if (a->member && !(b && b->member))
    return false;
  for (uint32_t i = 0; i < a->nchildren; i++)
    if (!is_subset(a->children[i], fieldset_child(b, a->children[i]->element)))
      return false;
  return true;
}

bool fieldset_equal(const struct fieldset *a, const struct fieldset *b) {
  return (!a || is_subset(a, b)) && (!b || is_subset(b, a));
}

/* ---- algebra -------------------------------------------------------------------------------------------------- */

/* Results hold nodes of their operands, which nobody changes any more. */
static struct fieldset *shared(const struct fieldset *n) {
  return (struct fieldset *)(uintptr_t)n;
}

const struct fieldset *fieldset_union(struct fieldset_pool *pool, const struct fieldset *a, const struct fieldset *b) {
  if (!a || !b)
    return a ? a : b;
  struct fieldset *out = node_new(pool, a->element, a->member || b->member);
  for (uint32_t i = 0, j = 0; out && (i < a->nchildren || j < b->nchildren);) {
    const struct fieldset *l = i < a->nchildren ? a->children[i] : NULL;
    const struct fieldset *r = j < b->nchildren ? b->children[j] : NULL;
    int c = !l ? 1 : !r ? -1 : strcmp(l->element, r->element);
    const struct fieldset *child = fieldset_union(pool, c <= 0 ? l : NULL, c >= 0 ? r : NULL);
    i += c <= 0;
    j += c >= 0;
    if (!add_child(pool, out, out->nchildren, shared(child)))
      break;
  }
  return out;
}

enum set_op { SET_INTERSECT, SET_SUBTRACT, SET_SUBTRACT_TREES };

/* The parts of A that OP with B keeps; NULL when that is nothing. */
static const struct fieldset *filter(struct fieldset_pool *pool, const struct fieldset *a, const struct fieldset *b,
                                     enum set_op op) {
  bool in_b = b && b->member;

  if (!a || (op == SET_SUBTRACT_TREES && in_b))
    return NULL;
  if (!b)
    return op == SET_INTERSECT ? NULL : a;
  struct fieldset *out = node_new(pool, a->element, a->member && in_b == (op == SET_INTERSECT));
  for (uint32_t i = 0; out && i < a->nchildren; i++) {
    const struct fieldset *other = fieldset_child(b, a->children[i]->element);
    const struct fieldset *child = filter(pool, a->children[i], other, op);
    if (child && !add_child(pool, out, out->nchildren, shared(child)))
      break;
  }
  return out && (out->member || out->nchildren) ? out : NULL;
}

const struct fieldset *fieldset_intersect(struct fieldset_pool *pool, const struct fieldset *a,
                                          const struct fieldset *b) {
  return filter(pool, a, b, SET_INTERSECT);
}

const struct fieldset *fieldset_subtract(struct fieldset_pool *pool, const struct fieldset *a,
                                         const struct fieldset *b) {
  return filter(pool, a, b, SET_SUBTRACT);
}

const struct fieldset *fieldset_subtract_trees(struct fieldset_pool *pool, const struct fieldset *a,
                                               const struct fieldset *b) {
  return filter(pool, a, b, SET_SUBTRACT_TREES);
}

/* ---- fieldsV1 ------------------------------------------------------------------------------------------------- */

/* KEY in its one spelling; fails when it is no path element. */
static int32_t parse_element(struct fieldset_pool *pool, const char *key, const char **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *value = NULL;
  _cleanup_free_ char *text = NULL, *element = NULL;
  int64_t index;
  size_t len = strlen(key);

  if (has_prefix(key, "f:") || (has_prefix(key, "i:") && str_to_i64(key + 2, &index))) {
    *out = fieldset_string(pool, key, len);
    return *out ? OME_OK : fail_memory(err);
  }
  if (!has_prefix(key, "k:") && !has_prefix(key, "v:"))
    return fail(err, OME_E_INVALID, "fieldsV1: %.100s: no path element", key);
  if (json_parse(key + 2, len - 2, 0, &value, err) != OME_OK)
    return fail_prefix(err, "fieldsV1: %.100s", key);
  if (key[0] == 'k' && !json_is(value, json_type_object))
    return fail(err, OME_E_INVALID, "fieldsV1: %.100s: the keys are no object", key);
  text = json_canonical(value);
  element = text ? str_printf("%c:%s", key[0], text) : NULL;
  *out = element ? fieldset_string(pool, element, strlen(element)) : NULL;
  return *out ? OME_OK : fail_memory(err);
}

static int32_t parse_node(struct fieldset_pool *pool, struct json_object *fields, struct fieldset *node, int depth,
                          struct ome_err *err) {
  if (!json_is(fields, json_type_object))
    return fail(err, OME_E_INVALID, "fieldsV1: %.100s: not an object", *node->element ? node->element : "root");
  if (depth == JSON_MAX_DEPTH)
    return fail(err, OME_E_INVALID, "fieldsV1: more than %d levels", JSON_MAX_DEPTH);
  json_object_object_foreach (fields, key, below) {
    const char *element;
    bool found;
    if (streq(key, ".")) {
      node->member = depth > 0;
      continue;
    }
    int32_t rc = parse_element(pool, key, &element, err);
    if (rc != OME_OK)
      return rc;
    uint32_t at = child_place(node, element, &found);
    if (!found && !add_child(pool, node, at, node_new(pool, element, false)))
      return fail_memory(err);
    struct fieldset *child = node->children[at];
    if (json_is(below, json_type_object) && json_object_object_length(below) == 0)
      child->member = true;
    else if ((rc = parse_node(pool, below, child, depth + 1, err)) != OME_OK)
      return rc;
  }
  return OME_OK;
}

int32_t fieldset_parse(struct fieldset_pool *pool, struct json_object *fields, const struct fieldset **out,
                       struct ome_err *err) {
  struct fieldset *root = fieldset_new(pool);

  if (!root)
    return fail_memory(err);
  int32_t rc = parse_node(pool, fields, root, 0, err);
  if (rc == OME_OK)
    *out = root;
  return rc;
}

struct json_object *fieldset_to_json(const struct fieldset *set) {
  struct json_object *o = json_object_new_object();

  if (!o || !set)
    return o;
  if (set->member && set->nchildren)
    (void)json_put(o, ".", json_object_new_object());
  for (uint32_t i = 0; i < set->nchildren; i++)
    if (!fieldset_empty(set->children[i]))
      (void)json_put(o, set->children[i]->element, fieldset_to_json(set->children[i]));
  return o;
}

/* ---- for people ----------------------------------------------------------------------------------------------- */

static void print_value(struct buf *b, struct json_object *v) {
  _cleanup_free_ char *text = json_text(v);

  buf_adds(b, text);
}

void fieldset_print_element(struct buf *b, const char *element) {
  _cleanup_json_ struct json_object *value = NULL;
  struct ome_err err = ERR_INIT;
  const char *sep = "";

  if (element[0] == 'f') {
    buf_addc(b, '.');
    buf_adds(b, element + 2);
    return;
  }
  if (element[0] == 'i') {
    buf_addf(b, "[%s]", element + 2);
    return;
  }
  (void)json_parse(element + 2, strlen(element + 2), 0, &value, &err);
  if (element[0] == 'v') {
    buf_adds(b, "[=");
    print_value(b, value);
  } else if (value) {
    buf_addc(b, '[');
    json_object_object_foreach (value, key, v) {
      buf_addf(b, "%s%s=", sep, key);
      print_value(b, v);
      sep = ",";
    }
  }
  buf_addc(b, ']');
}

static void each(const struct fieldset *set, struct buf *at, void (*fn)(void *arg, const char *path), void *arg) {
  size_t len = at->len;

  for (int below = 0; below <= 1; below++)
    for (uint32_t i = 0; i < set->nchildren; i++) {
      const struct fieldset *child = set->children[i];
      if (below ? !child->nchildren : !child->member)
        continue;
      fieldset_print_element(at, child->element);
      if (below)
        each(child, at, fn, arg);
      else
        fn(arg, buf_str(at));
      at->len = len;
      if (at->data)
        at->data[len] = '\0';
    }
}

void fieldset_each(const struct fieldset *set, void (*fn)(void *arg, const char *path), void *arg) {
  _cleanup_buf_ struct buf at = BUF_INIT;

  if (set)
    each(set, &at, fn, arg);
}
