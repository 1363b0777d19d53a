/* Watch streams: each watcher stands at a version of the store's recent past and is moved on after every commit, as far
 * as its connection takes it.  A watcher that falls out of the past gets 410 Gone, so none can hold memory. */
#include "apiserver/faults.h"
#include "apiserver/server.h"

#include "api/selector.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define PENDING_MAX ((size_t)1 << 20) /* unsent bytes of one watcher before it has to wait */
#define BOOKMARK_MS 60000

struct watcher {
  struct watcher *next, *prev;
  struct request *req;
  struct selector *labels, *fields;
  int64_t version; /* the last event it has got, or has been passed over for */
  bool bookmarks;
  struct loop_timer *timeout, *bookmark;
};

static void watcher_free(struct watcher *w) {
  struct apiserver *s = w->req->server;

  if (w->next)
    w->next->prev = w->prev;
  if (w->prev)
    w->prev->next = w->next;
  else
    s->watchers = w->next;
  loop_timer_free(w->timeout);
  loop_timer_free(w->bookmark);
  selector_free(w->labels);
  selector_free(w->fields);
  request_free(w->req);
  free(w);
}

static void end_stream(struct watcher *w) {
  struct http_exchange *x = w->req->x;

  http_on_close(x, NULL, NULL);
  http_on_drain(x, NULL, NULL);
  watcher_free(w);
  http_respond_end(x);
}

static void on_gone(void *arg, struct http_exchange *x) {
  (void)x;
  watcher_free(arg);
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void send_text(struct watcher *w, const char *type, const char *object) {
  struct http_exchange *x = w->req->x;
  _cleanup_buf_ struct buf b = BUF_INIT;

  buf_addf(&b, "{\"type\":\"%s\",\"object\":", type);
  buf_adds(&b, object);
  buf_adds(&b, "}\n");
  http_respond_write(x, buf_str(&b), b.len);
}

/* A stored text, without parsing it. */
static void send_stored(struct watcher *w, const char *type, const char *text) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  buf_addf(&b, "{\"type\":\"%s\",\"object\":", type);
  splice_object(&b, w->req->resource, text, false);
  buf_adds(&b, "}\n");
  http_respond_write(w->req->x, buf_str(&b), b.len);
}

static void send_object(struct watcher *w, const char *type, struct json_object *o) {
  struct json_object *shown = NULL;

  if (w->req->form == FORM_TABLE)
    shown = table_make(w->req, o);
  else if (w->req->form != FORM_OBJECT)
    shown = partial_make(o, false);
  _cleanup_free_ char *text = json_text(shown ? shown : o);
  if (text)
    send_text(w, type, text);
  json_unref(shown);
}

static struct json_object *parse(const char *text) {
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  return text && json_parse(text, strlen(text), SIZE_MAX, &o, &err) == OME_OK ? o : NULL;
}

static bool selects(const struct watcher *w, struct json_object *o) {
  return o && selector_match(w->labels, json_at(o, "metadata.labels")) && field_selector_match(w->fields, o);
}

static bool labels_match(const struct watcher *w, const char *labels) {
  const struct selector_term *terms;
  _cleanup_json_ struct json_object *o = NULL;

  if (selector_terms(w->labels, &terms) == 0)
    return true;
  if (*labels)
    o = parse(labels);
  return selector_match(w->labels, o);
}

/* Whether the field selector leaves NAME and NS in; *MORE: it asks for other fields, too. */
static bool names_match(const struct watcher *w, const char *ns, const char *name, bool *more) {
  const struct selector_term *terms;
  size_t n = selector_terms(w->fields, &terms);

  *more = false;
  for (size_t i = 0; i < n; i++) {
    bool by_name = streq(terms[i].key, "metadata.name");
    if (!by_name && !streq(terms[i].key, "metadata.namespace"))
      *more = true;
    else if (streq(terms[i].values[0], by_name ? name : ns) != (terms[i].op == SELECTOR_EQ))
      return false;
  }
  return true;
}

/* Whether W has to read objects to know what it selects, and how it shows them. */
static bool must_read(const struct watcher *w, bool fields) {
  return fields || w->req->form != FORM_OBJECT;
}

static bool is_here(const struct request *req, const struct store_event *e) {
  return streq(e->collection, req->resource->collection) && (!*req->ns || streq(e->ns, req->ns)) &&
         (!*req->name || streq(e->name, req->name));
}

/* How W sees an event: whether what it selects has the object now, and had it before. */
struct view {
  struct json_object *object; /* as it is now, where it had to be read; owned */
  bool is, was;
};

static struct view view_of(const struct watcher *w, const struct store_event *e, bool fields) {
  struct view v = {.is = e->type != STORE_DELETED && labels_match(w, e->labels),
                   .was = e->before && labels_match(w, e->labels_before)};

  if ((v.is || v.was) && must_read(w, fields))
    v.object = parse(e->text);
  if (fields) {
    _cleanup_json_ struct json_object *before = v.was ? parse(e->before) : NULL;
    v.is = v.is && selects(w, v.object);
    v.was = v.was && selects(w, before);
  }
  return v;
}

/* An object that leaves a selection is deleted for it, one that enters is added.  Most events are none of a watcher's
 * business, and names and labels tell so. */
static void send_event(struct watcher *w, const struct store_event *e) {
  bool fields;

  if (!is_here(w->req, e) || !names_match(w, e->ns, e->name, &fields))
    return;
  struct view v = view_of(w, e, fields);
  _cleanup_json_ struct json_object *object = v.object;
  const char *type = !v.is ? "DELETED" : v.was ? "MODIFIED" : "ADDED";
  if (!v.is && !v.was)
    return;
  if (!must_read(w, fields)) {
    send_stored(w, type, e->text);
    return;
  }
  present(w->req->resource, object);
  send_object(w, type, object);
}

/* {"kind", "apiVersion", "metadata": {"resourceVersion"}} */
static void send_bookmark(struct watcher *w, bool initial_end) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  char api_version[256];
  char version[24];

  resource_api_version(w->req->resource, api_version);
  (void)snprintf(version, sizeof(version), "%lld", (long long)w->version);
  (void)json_set_str(o, "kind", w->req->resource->kind);
  (void)json_set_str(o, "apiVersion", api_version);
  (void)json_set_str(o, "metadata.resourceVersion", version);
  (void)json_set(o, "metadata.creationTimestamp", NULL);
  if (initial_end) {
    struct json_object *annotations = json_ensure(o, "metadata.annotations");
    (void)json_put_str(annotations, "k8s.io/initial-events-end", "true");
  }
  send_object(w, "BOOKMARK", o);
}

static void send_expired(struct watcher *w) {
  _cleanup_free_ char *message = str_printf("too old resource version: %lld (%lld)", (long long)w->version,
                                            (long long)store_compacted(w->req->server->store));
  _cleanup_json_ struct json_object *o = status_object(410, "Expired", message, NULL);
  _cleanup_free_ char *text = json_text(o);

  if (text)
    send_text(w, "ERROR", text);
}

/* Moves W on as far as its connection takes it. */
static void advance(struct watcher *w) {
  struct store *s = w->req->server->store;

  if (w->version < store_compacted(s)) {
    send_expired(w);
    end_stream(w);
    return;
  }
  while (http_pending(w->req->x) < PENDING_MAX) {
    const struct store_event *e = store_event_after(s, w->version);
    if (!e)
      return;
    send_event(w, e);
    w->version = e->version;
  }
}

static void on_drain(void *arg, struct http_exchange *x) {
  (void)x;
  advance(arg);
}

void watch_pump(struct apiserver *s) {
  for (struct watcher *w = s->watchers, *next; w; w = next) {
    next = w->next;
    advance(w);
  }
  for (struct watcher *w = s->watchers, *next; w; w = next) {
    next = w->next;
    if (w->req->resource->retired) /* its clients look what there is now and watch that */
      end_stream(w);
  }
  registry_free_retired(s->registry);
}

void watch_end_all(struct apiserver *s) {
  while (s->watchers)
    end_stream(s->watchers);
}

/* ---- beginning -------------------------------------------------------------------------------------------------- */

/* The time is up: a last bookmark, so that the next watch goes on from here. */
static void on_timeout(void *arg) {
  struct watcher *w = arg;

  if (w->bookmarks && http_pending(w->req->x) == 0)
    send_bookmark(w, false);
  end_stream(w);
}

static void on_bookmark(void *arg) {
  struct watcher *w = arg;

  if (http_pending(w->req->x) == 0)
    send_bookmark(w, false);
}

static bool send_initial(void *arg, const char *ns, const char *name, const char *text, size_t len,
                         const char *labels) {
  struct watcher *w = arg;
  bool fields;

  (void)len;
  if ((*w->req->name && !streq(w->req->name, name)) || !names_match(w, ns, name, &fields) || !labels_match(w, labels))
    return true;
  if (!must_read(w, fields)) {
    send_stored(w, "ADDED", text);
    return true;
  }
  _cleanup_json_ struct json_object *o = parse(text);
  if (!selects(w, o))
    return true;
  present(w->req->resource, o);
  send_object(w, "ADDED", o);
  return true;
}

static bool is_true(const char *v) {
  return v &&
         (streq(v, "true") || streq(v, "1") || streq(v, "True") || streq(v, "t") || streq(v, "T") || streq(v, "TRUE"));
}

/* Where the watch starts: *INITIAL asks for the present objects first.  False: answered. */
static bool read_start(struct request *req, int64_t *version, bool *initial) {
  struct store *s = req->server->store;
  const char *text = http_query(req->x, "resourceVersion");
  const char *send = http_query(req->x, "sendInitialEvents");

  *version = 0;
  if (text && *text && (!str_to_i64(text, version) || *version < 0)) {
    answer_failure(req, 400, "BadRequest",
                   "resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": "
                   "invalid syntax",
                   text, text);
    return false;
  }
  if (send && is_true(send) && !streq(http_query(req->x, "resourceVersionMatch"), "NotOlderThan")) {
    answer_failure(req, 422, "Invalid",
                   "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents "
                   "requires setting resourceVersionMatch to NotOlderThan");
    return false;
  }
  *initial = send ? is_true(send) : *version == 0;
  if (*version == 0 || *initial)
    *version = store_version(s);
  return true;
}

/* A watch of the past that is gone: a stream of one ERROR event, as the real server sends it. */
static bool is_too_old(const struct request *req, int64_t version) {
  return version < store_compacted(req->server->store);
}

/* A life that a fault cuts short. */
static void on_fault(void *arg) {
  struct watcher *w = arg;
  struct http_exchange *x = w->req->x;
  static const char half[] = "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Po";

  switch (faults_pick(w->req->server->faults, 3)) {
  case 0:
    http_respond_write(x, half, sizeof(half) - 1);
    end_stream(w);
    break;
  case 1:
    http_on_drain(x, NULL, NULL);
    watcher_free(w);
    http_abort(x);
    break;
  default:
    end_stream(w);
  }
}

static bool start_timers(struct watcher *w) {
  struct loop *l = w->req->server->loop;
  uint64_t life_ms = faults_watch_life_ms(w->req->server->faults, w->req->x);
  const char *text = http_query(w->req->x, "timeoutSeconds");
  uint64_t seconds = 0;
  uint32_t chance;

  if (!text || !str_to_u64(text, &seconds) || seconds == 0 || seconds > 86400) {
    random_bytes(&chance, sizeof(chance));
    seconds = 1800 + chance % 1800; /* not all clients at once */
  }
  w->timeout = life_ms ? loop_timer_new(l, life_ms, false, on_fault, w)
                       : loop_timer_new(l, seconds * 1000, false, on_timeout, w);
  if (w->bookmarks)
    w->bookmark = loop_timer_new(l, BOOKMARK_MS, true, on_bookmark, w);
  return w->timeout && (!w->bookmarks || w->bookmark);
}

static void link_watcher(struct watcher *w) {
  struct apiserver *s = w->req->server;

  w->next = s->watchers;
  if (w->next)
    w->next->prev = w;
  s->watchers = w;
}

void verb_watch(struct request *req) {
  struct watcher *w = calloc(1, sizeof(*w));
  struct ome_err err = ERR_INIT;
  bool initial = false;
  int64_t version = 0;

  if (!w) {
    answer_failure(req, 500, "InternalError", "out of memory");
    return;
  }
  if (!read_start(req, &version, &initial)) {
    free(w);
    return;
  }
  if (selector_parse(http_query(req->x, "labelSelector"), &w->labels, &err) != OME_OK) {
    free(w);
    answer_failure(req, 400, "BadRequest", "%s", err.msg);
    return;
  }
  if (!read_field_selector(req, &w->fields)) {
    selector_free(w->labels);
    free(w);
    return;
  }
  w->req = req;
  commit_now(req->server); /* what this turn wrote so far may be told from here on */
  w->version = version;
  w->bookmarks = is_true(http_query(req->x, "allowWatchBookmarks"));
  link_watcher(w);
  http_respond_start(req->x, 200, "application/json", -1);
  http_on_close(req->x, on_gone, w);
  http_on_drain(req->x, on_drain, w);
  if (!start_timers(w)) {
    end_stream(w);
    return;
  }
  if (!initial && (is_too_old(req, version) || faults_expire(req->server->faults, req->x))) {
    send_expired(w);
    end_stream(w);
    return;
  }
  if (initial) {
    /* What this turn wrote is listed now and must not come again as an event. */
    const struct store_part all = {.collection = req->resource->collection, .ns = *req->ns ? req->ns : NULL};
    (void)store_list(req->server->store, &all, send_initial, w, &err);
    if (w->bookmarks && http_query(req->x, "sendInitialEvents"))
      send_bookmark(w, true);
  }
  advance(w);
}
