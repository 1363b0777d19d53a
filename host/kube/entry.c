#include "kube/entry.h"

#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

char *entry_key(const char *ns, const char *name) {
  return str_printf("%s/%s", ns ? ns : "", name);
}

/* Copies S, which may be NULL, to *AT and goes on behind it. */
static char *put_text(char **at, const char *s) {
  size_t n = s ? strlen(s) + 1 : 0;
  char *put = n ? memcpy(*at, s, n) : NULL;

  *at += n;
  return put;
}

struct entry *entry_new(struct json_object *o, kube_index_fn *index) {
  _cleanup_free_ char *key = entry_key(meta_namespace(o), meta_name(o));
  _cleanup_free_ char *text = json_text(o);
  struct json_object *owner = meta_owner(o);
  const char *texts[] = {key, text, json_str(o, "metadata.resourceVersion", ""),
                         owner ? json_str(owner, "uid", "") : NULL, index ? index(o) : NULL};
  size_t size = 0;

  for (size_t i = 0; i < ARRAY_LEN(texts); i++)
    size += texts[i] ? strlen(texts[i]) + 1 : 0;
  struct entry *e = key && text ? malloc(sizeof(*e) + size) : NULL;
  if (!e)
    return NULL;
  char *at = e->key;
  (void)put_text(&at, key);
  e->text = put_text(&at, text);
  e->version = put_text(&at, texts[2]);
  e->owner_uid = put_text(&at, texts[3]);
  e->value = put_text(&at, texts[4]);
  return e;
}

bool version_is_later(const char *a, const char *b) {
  uint64_t x;
  uint64_t y;

  return a && b && str_to_u64(a, &x) && str_to_u64(b, &y) && x > y;
}

bool entry_is_old(const struct entry *e, const char *version, bool echo) {
  return streq(e->version, version) || (echo && version_is_later(e->version, version));
}

void entry_bucket_free(void *p) {
  struct bucket *b = p;

  VEC_FREE(&b->entries);
  free(b);
}

bool entry_index(struct strmap *index, const char *value, struct entry *e) {
  struct bucket *b = value ? strmap_get(index, value) : NULL;

  if (!value)
    return true;
  if (!b) {
    b = calloc(1, sizeof(*b));
    if (!b || !strmap_put(index, value, b)) {
      free(b);
      return false;
    }
  }
  return VEC_PUSH(&b->entries, e);
}

void entry_unindex(struct strmap *index, const char *value, const struct entry *e) {
  struct bucket *b = value ? strmap_get(index, value) : NULL;

  for (size_t i = 0; b && i < b->entries.len; i++)
    if (b->entries.items[i] == e) {
      b->entries.items[i] = b->entries.items[--b->entries.len];
      break;
    }
  if (b && b->entries.len == 0)
    (void)strmap_del(index, value);
}
