/* Walks over one or two documents and their schema: what is owned, what differs, merging, removing. */
#include "apiserver/apply_typed.h"

#include "base/strmap.h"

#include <string.h>

/* ---- ownership ------------------------------------------------------------------------------------------------ */

struct fields_walk {
  struct fieldset_pool *pool;
  struct fieldset *out;
  struct field_path path;
};

static void walk_fields(struct fields_walk *w, const struct schema *s, struct json_object *v);

static bool push(struct field_path *path, const char *element) {
  if (!element || path->len == ARRAY_LEN(path->elements))
    return false;
  path->elements[path->len++] = element;
  return true;
}

static void walk_map_fields(struct fields_walk *w, const struct schema *s, struct json_object *v) {
  json_object_object_foreach (v, key, member) {
    bool named;
    const struct schema *below = typed_member(s, key, &named);
    if (!push(&w->path, fieldset_field_element(w->pool, key)))
      return;
    walk_fields(w, below, member);
    if (!named || !member || (json_is(member, json_type_object) && json_empty(member)))
      fieldset_insert(w->pool, w->out, &w->path);
    w->path.len--;
  }
}

static void walk_list_fields(struct fields_walk *w, const struct schema *s, struct json_object *v) {
  _cleanup_free_ const char **elements = NULL;
  struct ome_err err = ERR_INIT;

  if (typed_list_elements(w->pool, s, v, &elements, &err) != OME_OK) {
    fieldset_insert(w->pool, w->out, &w->path);
    return;
  }
  for (size_t i = 0; i < json_len(v); i++) {
    if (!push(&w->path, elements[i]))
      return;
    walk_fields(w, s->items, json_index(v, i));
    fieldset_insert(w->pool, w->out, &w->path);
    w->path.len--;
  }
}

static void walk_fields(struct fields_walk *w, const struct schema *s, struct json_object *v) {
  enum typed_atom atom = typed_atom(s, v);

  if (typed_is_atomic(s, atom))
    fieldset_insert(w->pool, w->out, &w->path);
  else if (v && atom == TYPED_MAP)
    walk_map_fields(w, s, v);
  else if (v)
    walk_list_fields(w, s, v);
}

const struct fieldset *typed_fields(struct fieldset_pool *pool, const struct schema *s, struct json_object *v) {
  struct fields_walk w = {.pool = pool, .out = fieldset_new(pool)};

  walk_fields(&w, s, v);
  return w.out;
}

/* ---- two documents -------------------------------------------------------------------------------------------- */

/* One side's value; a null is there, an absent one is not. */
struct side {
  struct json_object *v;
  bool there;
};

static struct side member_of(struct json_object *o, const char *key) {
  struct side s = {NULL, false};

  if (json_is(o, json_type_object))
    s.there = json_object_object_get_ex(o, key, &s.v);
  return s;
}

/* Items of a list by element. */
struct items {
  struct json_object *list;
  const char **elements;
  struct strmap *places; /* element: pointer into ELEMENTS */
  size_t n;
};

static void items_fini(struct items *it) {
  free(it->elements);
  if (it->places)
    strmap_free(it->places);
}

/* False when LIST is no list of distinct items. */
static bool items_init(struct items *it, struct fieldset_pool *pool, const struct schema *s, struct json_object *list) {
  struct ome_err err = ERR_INIT;

  it->list = list;
  it->places = strmap_new(NULL);
  if (!it->places || typed_list_elements(pool, s, list, &it->elements, &err) != OME_OK)
    return false;
  it->n = json_len(list);
  for (size_t i = 0; i < it->n; i++)
    if (strmap_has(it->places, it->elements[i]) || !strmap_put(it->places, it->elements[i], &it->elements[i]))
      return false;
  return true;
}

static struct side item_of(const struct items *it, const char *element) {
  const char **place = strmap_get(it->places, element);

  if (!place)
    return (struct side){NULL, false};
  return (struct side){json_index(it->list, (size_t)(place - it->elements)), true};
}

/* Two values of one kind are walked into; two empty ones, or atomic ones, are compared whole. */
static bool is_leaf(const struct schema *s, struct side l, struct side r) {
  struct json_object *sample = r.v ? r.v : l.v;
  enum typed_atom atom = typed_atom(s, sample);

  return typed_is_atomic(s, atom) || (json_empty(l.v) && json_empty(r.v)) ||
         (l.v && r.v && typed_atom(s, l.v) != typed_atom(s, r.v));
}

/* ---- comparing ------------------------------------------------------------------------------------------------ */

struct compare_walk {
  struct fieldset_pool *pool;
  struct typed_diff *out;
  struct field_path path;
};

static void walk_compare(struct compare_walk *w, const struct schema *s, struct side l, struct side r);

static void compare_leaf(struct compare_walk *w, struct side l, struct side r) {
  struct fieldset *set = !l.there ? w->out->added : !r.there ? w->out->removed : w->out->modified;

  if (!l.there || !r.there || !json_equal(l.v, r.v))
    fieldset_insert(w->pool, set, &w->path);
}

static void compare_member(struct compare_walk *w, const struct schema *s, const char *key, struct side l,
                           struct side r) {
  if (l.there && r.there && l.v == r.v)
    return;
  if (push(&w->path, fieldset_field_element(w->pool, key))) {
    walk_compare(w, typed_member(s, key, NULL), l, r);
    w->path.len--;
  }
}

static void compare_maps(struct compare_walk *w, const struct schema *s, struct json_object *l, struct json_object *r) {
  if (l) {
    json_object_object_foreach (l, key, v) {
      compare_member(w, s, key, (struct side){v, true}, member_of(r, key));
    }
  }
  if (r) {
    json_object_object_foreach (r, name, value) {
      struct side old = member_of(l, name);
      if (!old.there)
        compare_member(w, s, name, old, (struct side){value, true});
    }
  }
}

static void compare_item(struct compare_walk *w, const struct schema *s, const char *element, struct side l,
                         struct side r) {
  if (push(&w->path, element)) {
    walk_compare(w, s->items, l, r);
    w->path.len--;
  }
}

static void compare_lists(struct compare_walk *w, const struct schema *s, struct side l, struct side r) {
  _cleanup_(items_fini) struct items left = {0}, right = {0};

  if (l.there && r.there && json_equal(l.v, r.v)) /* mostly so, and naming every item is dear */
    return;
  if (!items_init(&left, w->pool, s, l.v) || !items_init(&right, w->pool, s, r.v)) {
    compare_leaf(w, l, r);
    return;
  }
  for (size_t i = 0; i < left.n; i++)
    compare_item(w, s, left.elements[i], (struct side){json_index(l.v, i), true}, item_of(&right, left.elements[i]));
  for (size_t i = 0; i < right.n; i++) {
    struct side old = item_of(&left, right.elements[i]);
    if (!old.there)
      compare_item(w, s, right.elements[i], old, (struct side){json_index(r.v, i), true});
  }
}

static void walk_compare(struct compare_walk *w, const struct schema *s, struct side l, struct side r) {
  if (is_leaf(s, l, r)) {
    compare_leaf(w, l, r);
    return;
  }
  if (typed_atom(s, r.v ? r.v : l.v) == TYPED_MAP)
    compare_maps(w, s, l.v, r.v);
  else
    compare_lists(w, s, l, r);
  if (!l.there || !r.there)
    fieldset_insert(w->pool, l.there ? w->out->removed : w->out->added, &w->path);
}

bool typed_compare(struct fieldset_pool *pool, const struct schema *s, struct json_object *lhs, struct json_object *rhs,
                   struct typed_diff *out) {
  struct compare_walk w = {.pool = pool, .out = out};

  out->added = fieldset_new(pool);
  out->removed = fieldset_new(pool);
  out->modified = fieldset_new(pool);
  walk_compare(&w, s, (struct side){lhs, true}, (struct side){rhs, true});
  return !pool->failed;
}

/* ---- merging -------------------------------------------------------------------------------------------------- */

static struct json_object *merge_sides(struct fieldset_pool *pool, const struct schema *s, struct side l,
                                       struct side r);

static struct json_object *merge_maps(struct fieldset_pool *pool, const struct schema *s, struct json_object *l,
                                      struct json_object *r) {
  struct json_object *out = json_object_new_object();

  if (!out)
    return NULL;
  if (l) {
    json_object_object_foreach (l, key, v) {
      (void)json_put(out, key,
                     merge_sides(pool, typed_member(s, key, NULL), (struct side){v, true}, member_of(r, key)));
    }
  }
  if (r) {
    json_object_object_foreach (r, name, value) {
      struct side old = member_of(l, name);
      if (!old.there)
        (void)json_put(out, name, json_copy(value));
    }
  }
  return out;
}

/* What is there keeps its order; new items follow in theirs. */
static struct json_object *merge_lists(struct fieldset_pool *pool, const struct schema *s, struct side l,
                                       struct side r) {
  _cleanup_(items_fini) struct items left = {0}, right = {0};
  struct json_object *out;

  if (!items_init(&left, pool, s, l.v) || !items_init(&right, pool, s, r.v))
    return json_copy(r.there ? r.v : l.v);
  out = json_object_new_array();
  for (size_t i = 0; out && i < left.n; i++)
    (void)json_add(
        out, merge_sides(pool, s->items, (struct side){json_index(l.v, i), true}, item_of(&right, left.elements[i])));
  for (size_t i = 0; out && i < right.n; i++) {
    struct side old = item_of(&left, right.elements[i]);
    if (!old.there)
      (void)json_add(out, merge_sides(pool, s->items, old, (struct side){json_index(r.v, i), true}));
  }
  return out;
}

static struct json_object *merge_sides(struct fieldset_pool *pool, const struct schema *s, struct side l,
                                       struct side r) {
  if (!r.there || !l.there || is_leaf(s, l, r))
    return json_copy(r.there ? r.v : l.v);
  if (typed_atom(s, r.v ? r.v : l.v) == TYPED_MAP)
    return merge_maps(pool, s, l.v, r.v);
  return merge_lists(pool, s, l, r);
}

struct json_object *typed_merge(struct fieldset_pool *pool, const struct schema *s, struct json_object *lhs,
                                struct json_object *rhs) {
  return merge_sides(pool, s, (struct side){lhs, true}, (struct side){rhs, true});
}

/* ---- removing ------------------------------------------------------------------------------------------------- */

/* *OUT is what is left of V (new); false: nothing. */
static bool remove_from(struct fieldset_pool *pool, const struct schema *s, struct json_object *v,
                        const struct fieldset *set, struct json_object **out);

static struct json_object *remove_from_map(struct fieldset_pool *pool, const struct schema *s, struct json_object *v,
                                           const struct fieldset *set) {
  struct json_object *out = json_object_new_object();

  json_object_object_foreach (v, key, member) {
    const struct fieldset *below = fieldset_child(set, fieldset_field_element(pool, key));
    struct json_object *left;
    if (!(below && below->member) && remove_from(pool, typed_member(s, key, NULL), member, below, &left))
      (void)json_put(out, key, left);
  }
  return out;
}

static struct json_object *remove_from_list(struct fieldset_pool *pool, const struct schema *s, struct json_object *v,
                                            const struct fieldset *set) {
  _cleanup_free_ const char **elements = NULL;
  struct ome_err err = ERR_INIT;
  struct json_object *out;

  if (typed_list_elements(pool, s, v, &elements, &err) != OME_OK)
    return json_copy(v);
  out = json_object_new_array();
  for (size_t i = 0; i < json_len(v); i++) {
    const struct fieldset *below = fieldset_child(set, elements[i]);
    struct json_object *left;
    if (!(below && below->member) && remove_from(pool, s->items, json_index(v, i), below, &left))
      (void)json_add(out, left);
  }
  return out;
}

static bool remove_from(struct fieldset_pool *pool, const struct schema *s, struct json_object *v,
                        const struct fieldset *set, struct json_object **out) {
  enum typed_atom atom = typed_atom(s, v);

  if (fieldset_empty(set) || !v || atom == TYPED_SCALAR) {
    *out = json_copy(v);
    return true;
  }
  if (typed_is_atomic(s, atom))
    return false;
  *out = atom == TYPED_MAP ? remove_from_map(pool, s, v, set) : remove_from_list(pool, s, v, set);
  if (*out && !json_empty(*out))
    return true;
  json_unref(*out);
  return false;
}

struct json_object *typed_remove(struct fieldset_pool *pool, const struct schema *s, struct json_object *v,
                                 const struct fieldset *set) {
  struct json_object *out;

  return remove_from(pool, s, v, set, &out) ? out : NULL;
}

/* ---- sets and schemas ----------------------------------------------------------------------------------------- */

static const struct schema *element_schema(const struct schema *s, const char *element, bool *named) {
  *named = false;
  if (element[0] == 'f')
    return typed_member(s, element + 2, named);
  return s ? s->items : NULL;
}

static void add_parents(struct fieldset_pool *pool, const struct schema *s, const struct fieldset *from,
                        struct field_path *path, struct fieldset *out) {
  for (uint32_t i = 0; i < from->nchildren; i++) {
    const struct fieldset *child = from->children[i];
    bool named;
    const struct schema *below = element_schema(s, child->element, &named);
    if (!push(path, child->element))
      return;
    if (child->member || (named && child->nchildren))
      fieldset_insert(pool, out, path);
    add_parents(pool, below, child, path, out);
    path->len--;
  }
}

const struct fieldset *typed_with_parents(struct fieldset_pool *pool, const struct schema *s,
                                          const struct fieldset *set) {
  struct fieldset *out = fieldset_new(pool);
  struct field_path path = {.len = 0};

  if (set && out)
    add_parents(pool, s, set, &path, out);
  return out;
}

static bool is_one_value(const struct schema *s, const struct fieldset *set) {
  if (!s || !set->nchildren)
    return false;
  return s->type == SCHEMA_ARRAY ? typed_is_atomic(s, TYPED_LIST) : s->map_atomic;
}

static void reconcile(struct fieldset_pool *pool, const struct schema *s, const struct fieldset *from,
                      struct field_path *path, struct fieldset *out) {
  for (uint32_t i = 0; i < from->nchildren; i++) {
    const struct fieldset *child = from->children[i];
    bool named;
    const struct schema *below = element_schema(s, child->element, &named);
    bool whole = is_one_value(below, child);
    if (!push(path, child->element))
      return;
    if (child->member || whole)
      fieldset_insert(pool, out, path);
    if (!whole)
      reconcile(pool, below, child, path, out);
    path->len--;
  }
}

const struct fieldset *typed_reconcile(struct fieldset_pool *pool, const struct schema *s, const struct fieldset *set) {
  struct fieldset *out = fieldset_new(pool);
  struct field_path path = {.len = 0};

  if (set && out)
    reconcile(pool, s, set, &path, out);
  return out;
}
