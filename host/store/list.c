/* What is in the store, for people and for eviction. */
#include "store/internal.h"

#include "base/clock.h"

#include <sys/stat.h>

struct listed {
  struct json_object *o;
  struct timespec used;
  struct manifest m;
};

static int by_use(const void *a, const void *b) {
  const struct listed *x = a;
  const struct listed *y = b;

  if (x->used.tv_sec != y->used.tv_sec)
    return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
  return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static bool list_one(const struct model_store *s, const char *name, struct listed *out) {
  static const char *const copied[] = {"uri", "path", "revision"};
  _cleanup_free_ char *path = reference_path(s, name);
  _cleanup_json_ struct json_object *r = reference_read(s, name);
  char used[TIME_TEXT];
  struct stat st;

  if (!r || !path || stat(path, &st) != 0)
    return false;
  out->used = st.st_mtim;
  out->o = json_object_new_object();
  (void)manifest_read(s, json_str(r, "manifest", ""), &out->m);
  (void)json_set_str(out->o, "name", name);
  for (size_t i = 0; i < ARRAY_LEN(copied); i++)
    (void)json_set_str(out->o, copied[i], json_str(r, copied[i], ""));
  (void)json_set_bool(out->o, "owned", json_flag(r, "owned", false));
  (void)json_set_bool(out->o, "complete", json_flag(r, "complete", false));
  (void)json_set_i64(out->o, "files", (int64_t)out->m.files.len);
  (void)json_set_i64(out->o, "bytes", (int64_t)out->m.total_bytes);
  time_format((int64_t)st.st_mtim.tv_sec, used);
  return json_set_str(out->o, "usedAt", used);
}

/* The one reference that has each content, or MANY. */
static void count_owners(struct strmap *owners, struct listed *l, void *many) {
  for (size_t i = 0; i < l->m.files.len; i++) {
    const char *sha = l->m.files.items[i].sha256;
    void *owner = strmap_get(owners, sha);
    (void)strmap_put(owners, sha, owner && owner != l->o ? many : l->o);
  }
}

static void add_unique(struct strmap *owners, struct listed *l) {
  uint64_t bytes = 0;

  for (size_t i = 0; i < l->m.files.len; i++)
    if (strmap_get(owners, l->m.files.items[i].sha256) == l->o) {
      bytes += l->m.files.items[i].size;
      (void)strmap_del(owners, l->m.files.items[i].sha256); /* a content that is there twice counts once */
    }
  (void)json_set_i64(l->o, "uniqueBytes", (int64_t)bytes);
}

struct json_object *model_store_list(struct model_store *s, struct ome_err *err) {
  VEC(struct listed) all = {0};
  _cleanup_names_ struct names names = {{0}};
  _cleanup_strmap_ struct strmap *owners = strmap_new(NULL);
  char many;

  if (names_in(s, "references", ".json", &names, err) != OME_OK)
    return NULL;
  for (size_t i = 0; i < names.list.len; i++) {
    struct listed l = {.o = NULL};
    if (list_one(s, names.list.items[i], &l) && !VEC_PUSH(&all, l))
      json_unref(l.o);
  }
  if (all.len)
    qsort(all.items, all.len, sizeof(*all.items), by_use);
  struct json_object *out = json_object_new_array();
  for (size_t i = 0; owners && i < all.len; i++)
    count_owners(owners, &all.items[i], &many);
  for (size_t i = 0; i < all.len; i++) {
    if (owners)
      add_unique(owners, &all.items[i]);
    manifest_fini(&all.items[i].m);
    (void)json_add(out, all.items[i].o);
  }
  VEC_FREE(&all);
  return out;
}
