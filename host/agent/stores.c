#include "agent/internal.h"

#include "base/log.h"
#include "base/quantity.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define STORE_HIGH 90u /* percent */
#define STORE_LOW 80u
#define FIRST_NAME "default"

/* ---- what rooms and keepers ask ---------------------------------------------------------------------------------- */

static unsigned stays(void *arg, const char *key) {
  const struct node_store *n = arg;

  return stays_by_key(n->agent, key);
}

static void look(void *arg, const char *key) {
  const struct node_store *n = arg;

  agent_look_at_key(n->agent, key);
}

/* What the node's annotation gives the store, bytes; 0: nothing. */
static uint64_t capacity_of_node(void *arg) {
  const struct node_store *n = arg;
  _cleanup_json_ struct json_object *node = kube_cache_get(n->agent->caches[WATCH_NODE], NULL, n->agent->node);
  bool first = n == n->agent->stores.list;
  _cleanup_free_ char *key = first ? strdup(CAPACITY_ANNOTATION) : str_printf(CAPACITY_ANNOTATION ".%s", n->name);
  const char *said = key ? meta_annotation(node, key) : NULL;
  int64_t bytes = 0;

  return said && quantity_value(said, &bytes) && bytes > 0 ? (uint64_t)bytes : 0;
}

static bool are_listed(void *arg) {
  const struct node_store *n = arg;

  return agent_has_listed_all(n->agent);
}

static bool is_model(void *arg, const char *ns, const char *name) {
  const struct node_store *n = arg;
  _cleanup_json_ struct json_object *o = agent_find(n->agent, ns, name);

  return o != NULL;
}

static void look_again(void *arg, const char *ns, const char *name) {
  const struct node_store *n = arg;

  kube_queue_add(n->agent->queue, ns, name);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t open_one(struct node_store *n, const struct agent_store *cfg, struct ome_err *err) {
  n->name = strdup(cfg->name);
  int32_t rc = n->name ? model_store_open(cfg->dir, &n->files, err) : fail_memory(err);
  const struct room_config room = {.store = n->files,
                                   .name = cfg->name,
                                   .capacity = cfg->capacity,
                                   .percent_high = cfg->high ? cfg->high : STORE_HIGH,
                                   .percent_low = cfg->low ? cfg->low : STORE_LOW,
                                   .stays = stays,
                                   .look = look,
                                   .capacity_now = capacity_of_node,
                                   .arg = n};

  if (rc != OME_OK)
    return rc;
  n->room = room_new(&room);
  return n->room ? OME_OK : fail_memory(err);
}

int32_t stores_open(struct agent *a, const struct agent_config *cfg, struct ome_err *err) {
  struct stores *s = &a->stores;
  const struct agent_store first = {.name = FIRST_NAME,
                                    .dir = cfg->store_dir,
                                    .capacity = cfg->store_bytes,
                                    .high = cfg->store_high,
                                    .low = cfg->store_low};
  int32_t rc = OME_OK;

  s->list = calloc(cfg->nfurther + 1, sizeof(*s->list));
  if (!s->list)
    return fail_memory(err);
  for (s->len = 0; rc == OME_OK && s->len <= cfg->nfurther; s->len++) {
    s->list[s->len].agent = a;
    rc = open_one(&s->list[s->len], s->len ? &cfg->further[s->len - 1] : &first, err);
  }
  return rc;
}

void stores_close(struct stores *s) {
  for (size_t i = 0; i < s->len; i++) {
    room_free(s->list[i].room);
    model_store_close(s->list[i].files);
    free(s->list[i].name);
  }
  free(s->list);
}

int32_t stores_keep(struct stores *s, uint64_t scrub_every_s, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < s->len; i++) {
    const struct keeper_config keeper = {.store = s->list[i].files,
                                         .synced = are_listed,
                                         .is_model = is_model,
                                         .look = look_again,
                                         .arg = &s->list[i],
                                         .every_s = scrub_every_s};
    rc = keeper_start(&keeper, &s->list[i].keeper, err);
  }
  return rc;
}

void stores_stop_keeping(struct stores *s) {
  for (size_t i = 0; i < s->len; i++) {
    keeper_stop(s->list[i].keeper);
    s->list[i].keeper = NULL;
  }
}

/* ---- where a model is, or goes ----------------------------------------------------------------------------------- */

char *stores_folder(const struct node_store *n, const char *key) {
  return str_printf("%s/models/%s", model_store_root(n->files), key);
}

static bool lies_in(const char *path, const char *root) {
  size_t len = strlen(root);

  return has_prefix(path, root) && (path[len] == '/' || path[len] == '\0' || (len && root[len - 1] == '/'));
}

/* The file system that PATH is on, or will be. */
static bool device_of(const char *path, dev_t *out) {
  _cleanup_free_ char *p = strdup(path);
  struct stat st;

  while (p && stat(p, &st) != 0) {
    char *slash = strrchr(p, '/');
    if (!slash)
      return false;
    slash[slash == p] = '\0';
    if (slash == p && stat(p, &st) != 0)
      return false;
  }
  *out = st.st_dev;
  return p != NULL;
}

/* The deepest that it lies in; else the first on the same file system, where folders are links to blobs and no copies.
 */
struct node_store *stores_of_path(const struct stores *s, const char *path) {
  struct node_store *best = NULL;
  size_t longest = 0;
  dev_t device, own;

  for (size_t i = 0; i < s->len; i++) {
    const char *root = model_store_root(s->list[i].files);
    if (!lies_in(path, root) || strlen(root) <= longest)
      continue;
    longest = strlen(root);
    best = &s->list[i];
  }
  for (size_t i = 0; !best && s->len > 1 && device_of(path, &device) && i < s->len; i++)
    if (device_of(model_store_root(s->list[i].files), &own) && own == device)
      best = &s->list[i];
  return best ? best : s->list;
}

static bool is_whole_in(const struct node_store *n, const char *key) {
  _cleanup_manifest_ struct manifest none = {0};
  _cleanup_json_ struct json_object *o = model_store_reference(n->files, key, &none);

  return json_flag(o, "complete", false);
}

struct node_store *stores_holding(const struct stores *s, const char *key) {
  struct node_store *some = NULL;

  for (size_t i = 0; i < s->len; i++) {
    if (!model_store_holds(s->list[i].files, key))
      continue;
    if (s->len == 1 || is_whole_in(&s->list[i], key))
      return &s->list[i];
    some = some ? some : &s->list[i];
  }
  return some;
}

static int32_t find_named(const struct stores *s, const char *name, struct node_store **out, struct ome_err *err) {
  _cleanup_buf_ struct buf names = BUF_INIT;

  for (size_t i = 0; i < s->len; i++) {
    if (streq(s->list[i].name, name)) {
      *out = &s->list[i];
      return OME_OK;
    }
    buf_addf(&names, "%s%s", i ? ", " : "", s->list[i].name);
  }
  return fail(err, OME_E_INVALID,
              STORE_ANNOTATION ": the node has no store \"%.100s\"; it has %.300s: give its agent --store, or keep the "
                               "model off this node",
              name, buf_str(&names));
}

/* The first that can hold BYTES; else the largest, which says that it cannot. */
static struct node_store *large_enough(const struct stores *s, uint64_t bytes) {
  struct node_store *largest = s->list;
  uint64_t most = 0;

  for (size_t i = 0; s->len > 1 && i < s->len; i++) {
    uint64_t capacity = room_capacity(s->list[i].room);
    if (capacity >= bytes)
      return &s->list[i];
    if (capacity > most) {
      most = capacity;
      largest = &s->list[i];
    }
  }
  return largest;
}

int32_t stores_choose(const struct stores *s, struct json_object *model, const char *key, uint64_t bytes,
                      struct node_store **out, char **path, struct ome_err *err) {
  const char *given = json_str(model, "spec.storage.path", "");
  const char *named = meta_annotation(model, STORE_ANNOTATION);
  int32_t rc = OME_OK;

  *out = NULL;
  if (*given)
    *out = stores_of_path(s, given);
  else if (named && *named)
    rc = find_named(s, named, out, err);
  else if (!(*out = stores_holding(s, key)))
    *out = large_enough(s, bytes);
  if (rc != OME_OK)
    return rc;
  *path = *given ? strdup(given) : stores_folder(*out, key);
  return *path ? OME_OK : fail_memory(err);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

void stores_changed(const struct stores *s) {
  for (size_t i = 0; i < s->len; i++)
    room_changed(s->list[i].room);
}

bool stores_have_grown(const struct stores *s) {
  bool any = false;

  for (size_t i = 0; i < s->len; i++)
    any |= room_has_grown(s->list[i].room);
  return any;
}

void stores_forget(const struct stores *s, const char *key) {
  for (size_t i = 0; i < s->len; i++) {
    room_forget(s->list[i].room, key);
    room_answered(s->list[i].room, key);
  }
}

void stores_give_back(const struct stores *s, const char *key) {
  for (size_t i = 0; i < s->len; i++)
    room_give_back(s->list[i].room, key);
}

void stores_collect_garbage(const struct stores *s) {
  for (size_t i = 0; i < s->len; i++) {
    struct store_gc_result freed;
    struct ome_err err = ERR_INIT;
    char bytes[32];
    if (model_store_gc(s->list[i].files, &freed, &err) != OME_OK)
      log_warning("agent", "%s", err.msg);
    else if (freed.bytes) {
      format_bytes(freed.bytes, bytes);
      log_info("agent", "store: %s freed", bytes);
    }
  }
}
