#include "kube/cache.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "base/strmap.h"
#include "base/vec.h"
#include "kube/client_internal.h"
#include "kube/entry.h"
#include "kube/glimpse.h"
#include "kube/meta.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX ((size_t)16 << 20) /* of one watch event */
#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 5000u
#define OTHERS_LIST_MS 500u
#define WATCH_SECONDS 290u /* below the five minutes that proxies like to cut at */

METRIC_COUNTER(
    restarts, "ome_watch_restarts_total",
    "Watches begun again: the server ended one (ended), could not go on from our version (expired), sent half "
    "an event (broken), or refused (refused).",
    "resource", "reason");
METRIC_COUNTER(lists, "ome_watch_lists_total", "Full lists that filled a watch cache.", "resource");
METRIC_GAUGE(cached, "ome_watch_objects", "Objects in the watch caches.", "resource");

struct kube_cache {
  struct kube_client *client;
  const struct kube_resource *resource;
  char *ns, *labels, *fields;
  bool metadata_only;
  kube_index_fn *index;
  kube_trim_fn *trim;
  const char *manager;
  kube_event_fn *on_event;
  void *arg;
  pthread_t thread;
  bool stopped; /* the thread has ended */
  char api_version[128];
  struct buf line;        /* watch bytes not yet ended by a newline; the fetch's thread */
  bool relist;            /* the server cannot go on from our version; the fetch's thread, read after it ended */
  const char *ended;      /* why the watch does; as relist */
  bool answered;          /* the watch was; as relist */
  struct ome_err failure; /* how the watch's connection ended; as relist */
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct strmap *entries;  /* "ns/name" -> struct entry */
    struct strmap *by_owner; /* uid -> struct bucket */
    struct strmap *by_value; /* value -> struct bucket */
    struct strmap *writing;  /* "ns/name" that is being written by us -> the event that waits, unread, or NULL */
    char *version;           /* to watch from */
    struct http_fetch *watch;
    bool synced, stop, watch_ended;
    bool doubt;             /* an event that waited could not be read: list again */
    struct ome_err trouble; /* of the last list or watch; code OME_OK: none */
  } shared;
};

/* ---- indexes ----------------------------------------------------------------------------------------------------- */

static void forget_locked(struct kube_cache *c, const struct entry *e) {
  entry_unindex(c->shared.by_owner, e->owner_uid, e);
  entry_unindex(c->shared.by_value, e->value, e);
}

/* Puts E, new, in the place of BEFORE (NULL: none), which is freed; false when memory ran out: nothing changed. */
static bool put_locked(struct kube_cache *c, struct entry *before, struct entry *e) {
  if (entry_index(c->shared.by_owner, e->owner_uid, e) && entry_index(c->shared.by_value, e->value, e)) {
    if (before)
      forget_locked(c, before);
    if (strmap_put(c->shared.entries, e->key, e))
      return true;
  }
  forget_locked(c, e);
  return false;
}

/* ---- objects ----------------------------------------------------------------------------------------------------- */

static struct json_object *parse_text(const char *text) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  return json_parse(text, strlen(text), LINE_MAX, &o, &err) == OME_OK ? o : NULL;
}

static void tell(struct kube_cache *c, enum kube_event_type type, struct json_object *o, struct json_object *old) {
  struct kube_event event = {type, o, old};

  if (c->on_event)
    c->on_event(c->arg, &event);
}

static void set_version_locked(struct kube_cache *c, const char *version) {
  char *copy = version && *version ? strdup(version) : NULL;

  if (!copy)
    return;
  free(c->shared.version);
  c->shared.version = copy;
}

/* Puts O in; events for what really changed.  What tells of a time before what is known (ECHO: it may, where a write of
 * ours came first) changes nothing. */
static void store(struct kube_cache *c, struct json_object *o, bool echo) {
  struct entry *e = entry_new(o, c->index);
  _cleanup_json_ struct json_object *old = NULL;

  if (!e)
    return;
  (void)pthread_mutex_lock(&c->shared.lock);
  struct entry *before = strmap_get(c->shared.entries, e->key);
  bool known = before != NULL;
  bool same = before && entry_is_old(before, e->version, echo);
  if (before && !same && c->on_event)
    old = parse_text(before->text);
  if (same || !put_locked(c, before, e))
    free(e);
  (void)pthread_mutex_unlock(&c->shared.lock);
  if (!known)
    metric_add(METRIC(&cached, c->resource->resource), 1);
  if (!same)
    tell(c, known ? KUBE_MODIFIED : KUBE_ADDED, o, old);
}

/* Takes KEY out; LAST is its final state, NULL: as last seen. */
static void drop(struct kube_cache *c, const char *key, struct json_object *last) {
  _cleanup_json_ struct json_object *seen = NULL;

  (void)pthread_mutex_lock(&c->shared.lock);
  if (last)
    set_version_locked(c, json_str(last, "metadata.resourceVersion", ""));
  struct entry *e = strmap_take(c->shared.entries, key);
  bool writing = strmap_has(c->shared.writing, key); /* then its writer is told, whatever it will be answered */
  if (writing)
    (void)strmap_put(c->shared.writing, key, NULL);
  if (e)
    forget_locked(c, e);
  (void)pthread_mutex_unlock(&c->shared.lock);
  if (e)
    metric_add(METRIC(&cached, c->resource->resource), -1);
  if (!last && e)
    last = seen = parse_text(e->text);
  if (last && (e || writing))
    tell(c, KUBE_DELETED, last, NULL);
  free(e);
}

static void set_version(struct kube_cache *c, const char *version) {
  (void)pthread_mutex_lock(&c->shared.lock);
  set_version_locked(c, version);
  (void)pthread_mutex_unlock(&c->shared.lock);
}

/* ---- list ------------------------------------------------------------------------------------------------------ */

/* Keys that are in the cache and not in SEEN: deleted while we did not watch, but for what was written since. */
static void drop_unseen(struct kube_cache *c, struct strmap *seen) {
  _cleanup_strmap_ struct strmap *gone = strmap_new(NULL);

  (void)pthread_mutex_lock(&c->shared.lock);
  for (struct strmap_iter it = strmap_first(c->shared.entries); it.key; strmap_next(&it))
    if (!strmap_has(seen, it.key) && !version_is_later(((struct entry *)it.value)->version, c->shared.version))
      (void)strmap_put(gone, it.key, NULL);
  (void)pthread_mutex_unlock(&c->shared.lock);
  for (struct strmap_iter it = strmap_first(gone); it.key; strmap_next(&it))
    drop(c, it.key, NULL);
}

/* Leaves in O only what MANAGER manages. */
static void trim_managers(struct json_object *o, const char *manager) {
  struct json_object *list = json_at(o, "metadata.managedFields");

  for (size_t i = json_len(list); manager && i-- > 0;)
    if (!streq(json_str(json_index(list, i), "manager", ""), manager))
      (void)json_object_array_del_idx(list, i, 1);
  if (!manager || json_len(list) == 0)
    json_del(o, "metadata.managedFields");
}

/* Items of a list do not say what they are, metadata alone say so of themselves, a server may send more of an object
 * than was asked for, and objects say more than is read. */
static void complete(const struct kube_cache *c, struct json_object *o) {
  if (c->metadata_only) {
    json_del(o, "spec");
    json_del(o, "status");
  }
  if (c->metadata_only || !json_at(o, "kind"))
    (void)json_set_str(o, "kind", c->resource->kind);
  if (c->metadata_only || !json_at(o, "apiVersion"))
    (void)json_set_str(o, "apiVersion", c->api_version);
  trim_managers(o, c->manager);
  if (c->trim)
    c->trim(o);
}

struct listing {
  struct kube_cache *cache;
  struct strmap *seen; /* keys */
};

/* What is kept of a page lies where the page was read, so that pages are read one at a time: a whole list of thousands,
 * dotted with what stays, could not be given back. */
static int32_t store_page(void *arg, struct json_object *page, struct ome_err *err) {
  struct listing *l = arg;
  struct json_object *items = json_at(page, "items");

  for (size_t i = 0; i < json_len(items); i++) {
    struct json_object *o = json_index(items, i);
    _cleanup_free_ char *key = entry_key(meta_namespace(o), meta_name(o));
    if (!key || !strmap_put(l->seen, key, NULL))
      return fail_memory(err);
    complete(l->cache, o);
    store(l->cache, o, false);
  }
  set_version(l->cache, json_str(page, "metadata.resourceVersion", ""));
  return OME_OK;
}

static bool is_stopping(struct kube_cache *c) {
  (void)pthread_mutex_lock(&c->shared.lock);
  bool stop = c->shared.stop;
  (void)pthread_mutex_unlock(&c->shared.lock);
  return stop;
}

static int32_t list(struct kube_cache *c, struct ome_err *err) {
  const struct kube_list_opts opts = {.labels = c->labels, .fields = c->fields, .metadata_only = c->metadata_only};
  _cleanup_strmap_ struct strmap *seen = strmap_new(NULL);
  struct listing l = {c, seen};
  int32_t rc = seen ? OME_OK : fail_memory(err);

  lists_enter(&c->client->lists);
  if (is_stopping(c))
    rc = OME_E_CANCELLED;
  else if (rc == OME_OK)
    rc = kube_list_pages(c->client, c->resource, c->ns, &opts, store_page, &l, err);
  lists_leave(&c->client->lists);
  if (rc != OME_OK)
    return rc;
  drop_unseen(c, seen);
  metric_add(METRIC(&lists, c->resource->resource), 1);
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.synced = true;
  (void)pthread_cond_broadcast(&c->shared.changed);
  (void)pthread_mutex_unlock(&c->shared.lock);
  return OME_OK;
}

/* ---- watch ----------------------------------------------------------------------------------------------------- */

static void start_over(struct kube_cache *c, const char *why) {
  c->relist = true;
  c->ended = why;
}

/* Whether there is nothing to do now for what G tells of, the LINE of LEN bytes: it tells nothing new, as most do,
 * which tell of writes of ours, or it waits for the end of a write of ours, which may be what it tells of. */
static bool is_settled(struct kube_cache *c, const struct glimpse *g, const char *line, size_t len) {
  (void)pthread_mutex_lock(&c->shared.lock);
  const struct entry *before = strmap_get(c->shared.entries, g->key);
  bool settled = before && entry_is_old(before, g->version, true);
  if (!settled && strmap_has(c->shared.writing, g->key)) {
    char *held = str_copy(line, len);
    settled = held && strmap_put(c->shared.writing, g->key, held);
    if (!settled)
      free(held);
  }
  if (settled) /* at once: kube_cache_wrote() goes by it */
    set_version_locked(c, g->version);
  (void)pthread_mutex_unlock(&c->shared.lock);
  return settled;
}

static void on_line(struct kube_cache *c, const char *text, size_t len) {
  struct ome_err err = ERR_INIT;
  _cleanup_json_ struct json_object *event = NULL;

  struct glimpse g;

  if (len == 0 || (glimpse_event(text, len, &g) && is_settled(c, &g, text, len)))
    return;
  if (json_parse(text, len, LINE_MAX, &event, &err) != OME_OK) {
    start_over(c, "broken"); /* half an event */
    return;
  }
  const char *type = json_str(event, "type", "");
  struct json_object *o = json_at(event, "object");
  if (streq(type, "ERROR")) {
    start_over(c, "expired");
    return;
  }
  if (streq(type, "BOOKMARK")) {
    set_version(c, json_str(o, "metadata.resourceVersion", ""));
    return;
  }
  complete(c, o);
  if (streq(type, "DELETED")) {
    _cleanup_free_ char *key = entry_key(meta_namespace(o), meta_name(o));
    if (key)
      drop(c, key, o);
  } else {
    set_version(c, json_str(o, "metadata.resourceVersion", ""));
    store(c, o, true);
  }
}

static bool watch_head(void *arg, int status, const char *headers, const char *url) {
  struct kube_cache *c = arg;

  (void)headers;
  (void)url;
  if (status != 200)
    start_over(c, status == 410 ? "expired" : "refused");
  kube_count_request("WATCH", OME_OK, status);
  c->answered = true;
  return status == 200;
}

static bool watch_body(void *arg, const void *data, size_t len) {
  struct kube_cache *c = arg;
  const char *p = data;
  const char *end = p + len;

  while (p < end && !c->relist) {
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    size_t n = (size_t)((newline ? newline : end) - p);
    if (newline && c->line.len == 0) {
      on_line(c, p, n);
    } else {
      buf_add(&c->line, p, n);
      if (!buf_ok(&c->line))
        start_over(c, "broken");
      else if (newline) {
        on_line(c, buf_str(&c->line), c->line.len);
        buf_clear(&c->line);
      }
    }
    p += n + (newline != NULL);
  }
  return !c->relist;
}

static void watch_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct kube_cache *c = arg;

  (void)rc;
  c->failure = *err;
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.watch = NULL;
  c->shared.watch_ended = true;
  (void)pthread_cond_broadcast(&c->shared.changed);
  (void)pthread_mutex_unlock(&c->shared.lock);
}

static const struct http_fetch_ops watch_ops = {.on_head = watch_head, .on_body = watch_body, .on_done = watch_done};

static char *watch_query(struct kube_cache *c) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  _cleanup_free_ char *labels = c->labels ? url_encode(c->labels, false) : NULL;
  _cleanup_free_ char *fields = c->fields ? url_encode(c->fields, false) : NULL;

  buf_addf(&b, "watch=true&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=%s", WATCH_SECONDS,
           c->shared.version ? c->shared.version : "");
  if (labels)
    buf_addf(&b, "&labelSelector=%s", labels);
  if (fields)
    buf_addf(&b, "&fieldSelector=%s", fields);
  return buf_take(&b);
}

/* Watches until the connection ends. */
static int32_t watch(struct kube_cache *c, struct ome_err *err) {
  _cleanup_free_ char *query = watch_query(c);
  _cleanup_free_ char *path = query ? kube_path(c->resource, c->ns, NULL, NULL, query) : NULL;
  struct kube_request req;
  const char *accept = c->metadata_only ? KUBE_METADATA : NULL;
  int32_t rc = path ? kube_request_init(c->client, "GET", path, accept, NULL, &req, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  buf_clear(&c->line);
  c->relist = false;
  c->ended = "ended";
  c->answered = false;
  err_clear(&c->failure);
  req.http.timeout_ms = 0;
  req.http.stall_timeout_ms = UINT32_MAX;
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.watch_ended = false;
  if (!c->shared.stop) {
    c->shared.watch = http_fetch_start(c->client->http, &req.http, &watch_ops, c);
    if (!c->shared.watch)
      rc = fail_memory(err);
    while (rc == OME_OK && !c->shared.watch_ended)
      (void)pthread_cond_wait(&c->shared.changed, &c->shared.lock);
  }
  (void)pthread_mutex_unlock(&c->shared.lock);
  kube_request_fini(&req);
  /* Connections end every day; one that never came about is trouble. */
  if (rc != OME_OK || c->answered || c->failure.code == OME_OK || c->failure.code == OME_E_CANCELLED)
    return rc;
  *err = c->failure;
  return err->code;
}

/* ---- the loop -------------------------------------------------------------------------------------------------- */

/* Waits MS, or until the end; whether to go on. */
static bool rest(struct kube_cache *c, uint64_t ms) {
  uint64_t due = mono_ms() + ms;
  bool go_on;

  (void)pthread_mutex_lock(&c->shared.lock);
  while (!c->shared.stop && cond_wait_until(&c->shared.changed, &c->shared.lock, due))
    continue;
  go_on = !c->shared.stop;
  (void)pthread_mutex_unlock(&c->shared.lock);
  return go_on;
}

static uint64_t jittered(uint64_t ms) {
  uint32_t chance;

  random_bytes(&chance, sizeof(chance));
  return ms / 2 + chance % (ms + 1);
}

/* What is the matter is said once, not at each try.  What was listed of a kind that is gone counts no more. */
static void note(struct kube_cache *c, const struct ome_err *err) {
  (void)pthread_mutex_lock(&c->shared.lock);
  bool news = err->code != OME_OK && !streq(err->msg, c->shared.trouble.msg);
  c->shared.trouble = *err;
  if (err->code == OME_E_NOT_FOUND)
    c->shared.synced = false;
  (void)pthread_mutex_unlock(&c->shared.lock);
  if (news && err_retryable(err->code))
    log_info("watch", "%s: %s", c->resource->resource, err->msg);
  else if (news)
    log_warning("watch", "%s: %s; trying again", c->resource->resource, err->msg);
}

static bool take_doubt(struct kube_cache *c) {
  (void)pthread_mutex_lock(&c->shared.lock);
  bool doubt = c->shared.doubt;
  c->shared.doubt = false;
  (void)pthread_mutex_unlock(&c->shared.lock);
  return doubt;
}

static void *run(void *arg) {
  struct kube_cache *c = arg;
  uint64_t backoff = BACKOFF_MIN_MS;
  bool need_list = true;

  (void)pthread_setname_np(pthread_self(), "watch");
  for (bool go_on = true; go_on;) {
    struct ome_err err = ERR_INIT;
    uint64_t began = mono_ms();
    int32_t rc = need_list ? list(c, &err) : OME_OK;
    if (rc == OME_OK) {
      lists_await_end(&c->client->lists, OTHERS_LIST_MS);
      rc = watch(c, &err);
      need_list = c->relist || take_doubt(c);
      metric_add(METRIC(&restarts, c->resource->resource, c->ended), 1);
    }
    note(c, &err);
    /* A watch that lasted is no failure. */
    backoff = rc == OME_OK && mono_ms() - began > BACKOFF_MAX_MS ? BACKOFF_MIN_MS : backoff;
    go_on = rest(c, jittered(backoff));
    backoff = backoff * 2 < BACKOFF_MAX_MS ? backoff * 2 : BACKOFF_MAX_MS;
    if (rc == OME_OK && !need_list)
      backoff = BACKOFF_MIN_MS;
  }
  return NULL;
}

static bool keep(char **slot, const char *s) {
  *slot = s ? strdup(s) : NULL;
  return !s || *slot;
}

static void release(struct kube_cache *c) {
  strmap_free(c->shared.entries);
  strmap_free(c->shared.by_owner);
  strmap_free(c->shared.by_value);
  strmap_free(c->shared.writing);
  (void)pthread_mutex_destroy(&c->shared.lock);
  (void)pthread_cond_destroy(&c->shared.changed);
  buf_fini(&c->line);
  free(c->shared.version);
  free(c->ns);
  free(c->labels);
  free(c->fields);
  free(c);
}

int32_t kube_cache_new(struct kube_client *client, const struct kube_resource *r, const struct kube_cache_opts *opts,
                       struct kube_cache **out, struct ome_err *err) {
  static const struct kube_cache_opts none;
  struct kube_cache *c = calloc(1, sizeof(*c));

  if (!c)
    return fail_memory(err);
  if (!opts)
    opts = &none;
  c->client = client;
  c->resource = r;
  c->on_event = opts->on_event;
  c->index = opts->index;
  c->trim = opts->trim;
  c->manager = opts->manager;
  c->metadata_only = opts->metadata_only;
  c->arg = opts->arg;
  kube_api_version(r, c->api_version);
  buf_init(&c->line, LINE_MAX);
  (void)pthread_mutex_init(&c->shared.lock, NULL);
  cond_init(&c->shared.changed);
  c->shared.entries = strmap_new(free);
  c->shared.by_owner = strmap_new(entry_bucket_free);
  c->shared.by_value = strmap_new(entry_bucket_free);
  c->shared.writing = strmap_new(free);
  if (!c->shared.writing || !c->shared.entries || !c->shared.by_owner || !c->shared.by_value ||
      !keep(&c->ns, opts->ns) || !keep(&c->labels, opts->labels) || !keep(&c->fields, opts->fields) ||
      pthread_create(&c->thread, NULL, run, c) != 0) {
    release(c);
    return fail(err, OME_E_NO_MEMORY, "watch %s: out of memory or threads", r->resource);
  }
  *out = c;
  return OME_OK;
}

void kube_cache_stop(struct kube_cache *c) {
  if (!c || c->stopped)
    return;
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.stop = true;
  if (c->shared.watch)
    http_fetch_cancel(c->shared.watch);
  (void)pthread_cond_broadcast(&c->shared.changed);
  (void)pthread_mutex_unlock(&c->shared.lock);
  (void)pthread_join(c->thread, NULL);
  c->stopped = true;
}

void kube_cache_free(struct kube_cache *c) {
  if (!c)
    return;
  kube_cache_stop(c);
  release(c);
}

bool kube_cache_wait(struct kube_cache *c, uint64_t timeout_ms) {
  uint64_t due = mono_ms() + timeout_ms;
  bool synced;

  (void)pthread_mutex_lock(&c->shared.lock);
  while (!c->shared.synced && cond_wait_until(&c->shared.changed, &c->shared.lock, due))
    continue;
  synced = c->shared.synced;
  (void)pthread_mutex_unlock(&c->shared.lock);
  return synced;
}

int32_t kube_cache_why(struct kube_cache *c, struct ome_err *err) {
  (void)pthread_mutex_lock(&c->shared.lock);
  struct ome_err trouble = c->shared.trouble;
  (void)pthread_mutex_unlock(&c->shared.lock);
  const char *server = kube_client_server(c->client);

  if (trouble.code == OME_OK)
    return fail(err, OME_E_DEADLINE, "watch %s: nothing came in time from %s", c->resource->resource, server);
  if (trouble.code == OME_E_NOT_FOUND)
    return fail(err, OME_E_DEADLINE, "watch %s: %s does not have them; install the CRDs", c->resource->resource,
                server);
  *err = trouble;
  return fail_prefix(err, "watch %s", c->resource->resource);
}

/* ---- writes of ours ------------------------------------------------------------------------------------------- */

void kube_cache_writing(struct kube_cache *c, const char *ns, const char *name) {
  _cleanup_free_ char *key = entry_key(ns, name);

  (void)pthread_mutex_lock(&c->shared.lock);
  if (key)
    (void)strmap_put(c->shared.writing, key, NULL);
  (void)pthread_mutex_unlock(&c->shared.lock);
}

/* An event that waited and is later than what was written, or than what was not. */
static void read_held(struct kube_cache *c, const char *line) {
  _cleanup_json_ struct json_object *event = parse_text(line);
  struct json_object *o = json_at(event, "object");

  if (o) {
    complete(c, o);
    store(c, o, true);
    return;
  }
  (void)pthread_mutex_lock(&c->shared.lock);
  c->shared.doubt = true;
  if (c->shared.watch)
    http_fetch_cancel(c->shared.watch);
  (void)pthread_mutex_unlock(&c->shared.lock);
}

/* Whether what LINE tells of is not in the VERSION that we wrote; VERSION NULL: we wrote none. */
static bool is_past(const char *line, const char *version) {
  struct glimpse g;

  if (!line || !glimpse_event(line, strlen(line), &g))
    return false;
  return !version || (!streq(g.version, version) && !version_is_later(version, g.version));
}

/* Puts E, written by us, in where it is more than is known.  HELD: an event of its object waited, so that it is there
 * still; else, where the watch is past it, it may have changed or gone since.  Whether its object is new. */
static bool put_written_locked(struct kube_cache *c, struct entry *e, bool held) {
  struct entry *before = strmap_get(c->shared.entries, e->key);
  bool news =
      (held || version_is_later(e->version, c->shared.version)) && (!before || !entry_is_old(before, e->version, true));

  if (news && put_locked(c, before, e))
    return before == NULL;
  free(e);
  return false;
}

void kube_cache_wrote(struct kube_cache *c, const char *ns, const char *name, struct json_object *o) {
  _cleanup_free_ char *key = entry_key(ns, name);

  if (o)
    complete(c, o);
  struct entry *e = key && o ? entry_new(o, c->index) : NULL;
  (void)pthread_mutex_lock(&c->shared.lock);
  _cleanup_free_ char *held = key ? strmap_take(c->shared.writing, key) : NULL;
  bool past = is_past(held, o ? json_str(o, "metadata.resourceVersion", "") : NULL);
  bool added = e && put_written_locked(c, e, held != NULL);
  (void)pthread_mutex_unlock(&c->shared.lock);
  if (added)
    metric_add(METRIC(&cached, c->resource->resource), 1);
  if (past)
    read_held(c, held);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

struct json_object *kube_cache_get(struct kube_cache *c, const char *ns, const char *name) {
  _cleanup_free_ char *key = entry_key(ns, name);
  _cleanup_free_ char *text = NULL;

  if (!key)
    return NULL;
  (void)pthread_mutex_lock(&c->shared.lock);
  struct entry *e = strmap_get(c->shared.entries, key);
  text = e ? strdup(e->text) : NULL;
  (void)pthread_mutex_unlock(&c->shared.lock);
  return text ? parse_text(text) : NULL;
}

struct row {
  char *key, *text;
};

static int compare_rows(const void *a, const void *b) {
  return strcmp(((const struct row *)a)->key, ((const struct row *)b)->key);
}

static bool is_in(const struct entry *e, const char *ns) {
  size_t n = ns ? strlen(ns) : 0;

  return !ns || (strncmp(e->key, ns, n) == 0 && e->key[n] == '/');
}

typedef VEC(struct row) row_list;

static void add_row(row_list *rows, const struct entry *e) {
  const struct row row = {strdup(e->key), strdup(e->text)};

  if (row.key && row.text && VEC_PUSH(rows, row))
    return;
  free(row.key);
  free(row.text);
}

/* The objects of ROWS, in order; outside the lock. */
static struct json_object *parse_rows(row_list *rows) {
  struct json_object *out = json_object_new_array();

  if (rows->len)
    qsort(rows->items, rows->len, sizeof(*rows->items), compare_rows);
  for (size_t i = 0; i < rows->len; i++) {
    struct json_object *o = parse_text(rows->items[i].text);
    if (o)
      (void)json_add(out, o);
    free(rows->items[i].key);
    free(rows->items[i].text);
  }
  VEC_FREE(rows);
  return out;
}

struct json_object *kube_cache_list(struct kube_cache *c, const char *ns) {
  row_list rows = {0};

  (void)pthread_mutex_lock(&c->shared.lock);
  for (struct strmap_iter it = strmap_first(c->shared.entries); it.key; strmap_next(&it))
    if (is_in(it.value, ns))
      add_row(&rows, it.value);
  (void)pthread_mutex_unlock(&c->shared.lock);
  return parse_rows(&rows);
}

/* What of an index is asked for. */
struct lookup {
  const char *value;
  const char *ns; /* NULL: everywhere */
  kube_skip_fn *skip;
  void *arg;
};

static bool is_asked_for(const struct lookup *l, const struct entry *e) {
  return is_in(e, l->ns) && !(l->skip && l->skip(l->arg, strchr(e->key, '/') + 1));
}

static struct json_object *look_up(struct kube_cache *c, struct strmap *index, const struct lookup *l) {
  row_list rows = {0};

  (void)pthread_mutex_lock(&c->shared.lock);
  const struct bucket *b = strmap_get(index, l->value);
  for (size_t i = 0; b && i < b->entries.len; i++)
    if (is_asked_for(l, b->entries.items[i]))
      add_row(&rows, b->entries.items[i]);
  (void)pthread_mutex_unlock(&c->shared.lock);
  return parse_rows(&rows);
}

struct json_object *kube_cache_owned(struct kube_cache *c, const char *uid) {
  return kube_cache_owned_but(c, uid, NULL, NULL);
}

struct json_object *kube_cache_owned_but(struct kube_cache *c, const char *uid, kube_skip_fn *skip, void *arg) {
  const struct lookup l = {.value = uid, .skip = skip, .arg = arg};

  return look_up(c, c->shared.by_owner, &l);
}

struct json_object *kube_cache_indexed(struct kube_cache *c, const char *ns, const char *value) {
  const struct lookup l = {.value = value, .ns = ns};

  return look_up(c, c->shared.by_value, &l);
}

void kube_cache_names(struct kube_cache *c, const char *ns, const char *value, kube_name_fn *each, void *arg) {
  VEC(char *) keys = {0};

  (void)pthread_mutex_lock(&c->shared.lock);
  for (struct strmap_iter it = strmap_first(c->shared.entries); it.key; strmap_next(&it)) {
    const struct entry *e = it.value;
    char *key = is_in(e, ns) && (!value || streq(e->value, value)) ? strdup(e->key) : NULL;
    if (key && !VEC_PUSH(&keys, key))
      free(key);
  }
  (void)pthread_mutex_unlock(&c->shared.lock);
  for (size_t i = 0; i < keys.len; i++) {
    char *slash = strchr(keys.items[i], '/');
    *slash = '\0';
    each(arg, keys.items[i], slash + 1);
    free(keys.items[i]);
  }
  VEC_FREE(&keys);
}

size_t kube_cache_count(struct kube_cache *c) {
  size_t n;

  (void)pthread_mutex_lock(&c->shared.lock);
  n = strmap_len(c->shared.entries);
  (void)pthread_mutex_unlock(&c->shared.lock);
  return n;
}
