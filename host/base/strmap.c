#include "base/strmap.h"

#include <stdint.h>
#include <string.h>

struct strmap {
  struct lh_table *table;
  void (*free_value)(void *);
};

struct strmap *strmap_new(void (*free_value)(void *)) {
  struct strmap *m = calloc(1, sizeof(*m));

  if (!m)
    return NULL;
  m->free_value = free_value;
  m->table = lh_kchar_table_new(16, NULL);
  if (!m->table) {
    free(m);
    return NULL;
  }
  return m;
}

static void drop(struct strmap *m, struct lh_entry *e, bool free_value) {
  char *key = (char *)(uintptr_t)lh_entry_k(e);
  void *value = (void *)(uintptr_t)lh_entry_v(e);

  (void)lh_table_delete_entry(m->table, e);
  free(key);
  if (free_value && m->free_value)
    m->free_value(value);
}

void strmap_free(struct strmap *m) {
  if (!m)
    return;
  while (m->table->head)
    drop(m, m->table->head, true);
  lh_table_free(m->table);
  free(m);
}

static struct lh_entry *find(const struct strmap *m, const char *key) {
  return m && key ? lh_table_lookup_entry(m->table, key) : NULL;
}

void *strmap_get(const struct strmap *m, const char *key) {
  struct lh_entry *e = find(m, key);

  return e ? (void *)(uintptr_t)lh_entry_v(e) : NULL;
}

bool strmap_has(const struct strmap *m, const char *key) {
  return find(m, key) != NULL;
}

bool strmap_put(struct strmap *m, const char *key, void *value) {
  struct lh_entry *e = find(m, key);
  char *copy;

  if (e) {
    void *old = (void *)(uintptr_t)lh_entry_v(e);
    lh_entry_set_val(e, value);
    if (m->free_value && old != value)
      m->free_value(old);
    return true;
  }
  copy = strdup(key);
  if (!copy || lh_table_insert(m->table, copy, value) != 0) {
    free(copy);
    return false;
  }
  return true;
}

bool strmap_del(struct strmap *m, const char *key) {
  struct lh_entry *e = find(m, key);

  if (e)
    drop(m, e, true);
  return e != NULL;
}

void *strmap_take(struct strmap *m, const char *key) {
  struct lh_entry *e = find(m, key);
  void *value = e ? (void *)(uintptr_t)lh_entry_v(e) : NULL;

  if (e)
    drop(m, e, false);
  return value;
}

size_t strmap_len(const struct strmap *m) {
  return m ? (size_t)lh_table_length(m->table) : 0;
}

static struct strmap_iter at(struct lh_entry *e) {
  struct strmap_iter it = {NULL, NULL, NULL};

  if (e) {
    it.key = lh_entry_k(e);
    it.value = (void *)(uintptr_t)lh_entry_v(e);
    it.next_ = e->next;
  }
  return it;
}

struct strmap_iter strmap_first(const struct strmap *m) {
  return at(m ? m->table->head : NULL);
}

void strmap_next(struct strmap_iter *it) {
  *it = at(it->next_);
}
