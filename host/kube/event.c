#include "kube/event.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/strmap.h"
#include "kube/meta.h"
#include "os/file.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#define WAITING_MAX 256u
#define REMEMBERED_MAX 1024u

/* What happened once or more: later repeats raise the count of the stored Event. */
struct note {
  struct note *next;
  char *key; /* object uid, type, reason and message */
  struct json_object *event;
  uint32_t count;
};

struct sent {
  char *ns, *name;
  int64_t count;
};

struct kube_recorder {
  struct kube_client *client;
  char *component;
  pthread_t thread;
  struct strmap *sent; /* key -> struct sent; recorder's thread only */
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct note *first, **last;
    uint32_t waiting;
    bool stop;
  } shared;
};

static void sent_free(void *p) {
  struct sent *s = p;

  free(s->ns);
  free(s->name);
  free(s);
}

static void note_free(struct note *n) {
  if (!n)
    return;
  json_unref(n->event);
  free(n->key);
  free(n);
}

static struct json_object *make_event(const struct kube_recorder *r, struct json_object *obj, bool warning,
                                      const char *reason, const char *message) {
  struct json_object *e = json_object_new_object();
  const char *ns = *meta_namespace(obj) ? meta_namespace(obj) : "default";
  char salt[17];
  char now[TIME_TEXT];

  random_hex(salt, 16);
  time_format(wall_ms() / 1000, now);
  _cleanup_free_ char *name = str_printf("%.230s.%s", meta_name(obj), salt);
  const struct {
    const char *path, *value;
  } fields[] = {
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata.name", name},
      {"metadata.namespace", ns},
      {"involvedObject.apiVersion", json_str(obj, "apiVersion", "")},
      {"involvedObject.kind", json_str(obj, "kind", "")},
      {"involvedObject.name", meta_name(obj)},
      {"involvedObject.namespace", meta_namespace(obj)},
      {"involvedObject.uid", meta_uid(obj)},
      {"involvedObject.resourceVersion", json_str(obj, "metadata.resourceVersion", "")},
      {"type", warning ? "Warning" : "Normal"},
      {"reason", reason},
      {"message", message},
      {"source.component", r->component},
      {"reportingComponent", r->component},
      {"firstTimestamp", now},
      {"lastTimestamp", now},
  };
  for (size_t i = 0; i < ARRAY_LEN(fields); i++)
    if (fields[i].value && *fields[i].value)
      (void)json_set_str(e, fields[i].path, fields[i].value);
  (void)json_set_i64(e, "count", 1);
  return e;
}

/* Appends N, or raises the count of an equal note that waits. */
static void enqueue_locked(struct kube_recorder *r, struct note *n) {
  for (struct note *w = r->shared.first; w; w = w->next)
    if (streq(w->key, n->key)) {
      w->count++;
      note_free(n);
      return;
    }
  if (r->shared.waiting == WAITING_MAX) {
    struct note *oldest = r->shared.first;
    r->shared.first = oldest->next;
    r->shared.waiting--;
    note_free(oldest);
  }
  if (!r->shared.first)
    r->shared.last = &r->shared.first;
  *r->shared.last = n;
  r->shared.last = &n->next;
  r->shared.waiting++;
  (void)pthread_cond_signal(&r->shared.changed);
}

void kube_record(struct kube_recorder *r, struct json_object *obj, bool warning, const char *reason, const char *fmt,
                 ...) {
  struct buf text;
  struct note *n = calloc(1, sizeof(*n));
  va_list ap;

  buf_init(&text, 1024 * 1024);
  va_start(ap, fmt);
  buf_vaddf(&text, fmt, ap);
  va_end(ap);
  if (text.len > 1024) /* the API's own bound */
    (void)strcpy(text.data + 1021, "...");
  if (n) {
    n->count = 1;
    n->event = make_event(r, obj, warning, reason, buf_str(&text));
    n->key = str_printf("%s|%s|%d|%s|%s", meta_uid(obj), meta_name(obj), warning, reason, buf_str(&text));
  }
  buf_fini(&text);
  if (!n || !n->key) {
    note_free(n);
    return;
  }
  (void)pthread_mutex_lock(&r->shared.lock);
  enqueue_locked(r, n);
  (void)pthread_mutex_unlock(&r->shared.lock);
}

/* Raises the count of an Event that was sent before; false when it is gone. */
static bool repeat(struct kube_recorder *r, struct sent *s, const struct note *n) {
  _cleanup_json_ struct json_object *patch = json_object_new_object();
  struct ome_err err = ERR_INIT;

  s->count += n->count;
  (void)json_set_i64(patch, "count", s->count);
  (void)json_set_str(patch, "lastTimestamp", json_str(n->event, "lastTimestamp", ""));
  return kube_patch(r->client, &KUBE_EVENTS, s->ns, s->name, NULL, KUBE_PATCH_MERGE, patch, NULL, &err) == OME_OK;
}

static void send(struct kube_recorder *r, struct note *n) {
  struct sent *s = strmap_get(r->sent, n->key);
  struct ome_err err = ERR_INIT;

  if (s && repeat(r, s, n))
    return;
  (void)json_set_i64(n->event, "count", n->count);
  if (kube_create(r->client, &KUBE_EVENTS, n->event, NULL, &err) != OME_OK) {
    log_debug("event", "%s: %s", meta_name(n->event), err.msg);
    return;
  }
  if (strmap_len(r->sent) >= REMEMBERED_MAX)
    (void)strmap_del(r->sent, strmap_first(r->sent).key);
  s = calloc(1, sizeof(*s));
  if (!s)
    return;
  s->ns = strdup(meta_namespace(n->event));
  s->name = strdup(meta_name(n->event));
  s->count = n->count;
  if (!s->ns || !s->name || !strmap_put(r->sent, n->key, s))
    sent_free(s);
}

static void *run(void *arg) {
  struct kube_recorder *r = arg;

  (void)pthread_setname_np(pthread_self(), "events");
  (void)pthread_mutex_lock(&r->shared.lock);
  while (!r->shared.stop) {
    struct note *n = r->shared.first;
    if (!n) {
      (void)pthread_cond_wait(&r->shared.changed, &r->shared.lock);
      continue;
    }
    r->shared.first = n->next;
    r->shared.waiting--;
    (void)pthread_mutex_unlock(&r->shared.lock);
    send(r, n);
    note_free(n);
    (void)pthread_mutex_lock(&r->shared.lock);
  }
  (void)pthread_mutex_unlock(&r->shared.lock);
  return NULL;
}

static void release(struct kube_recorder *r) {
  for (struct note *n = r->shared.first, *next; n; n = next) {
    next = n->next;
    note_free(n);
  }
  strmap_free(r->sent);
  (void)pthread_mutex_destroy(&r->shared.lock);
  (void)pthread_cond_destroy(&r->shared.changed);
  free(r->component);
  free(r);
}

int32_t kube_recorder_new(struct kube_client *c, const char *component, struct kube_recorder **out,
                          struct ome_err *err) {
  struct kube_recorder *r = calloc(1, sizeof(*r));

  if (!r)
    return fail_memory(err);
  r->client = c;
  r->component = strdup(component);
  r->sent = strmap_new(sent_free);
  (void)pthread_mutex_init(&r->shared.lock, NULL);
  (void)pthread_cond_init(&r->shared.changed, NULL);
  if (!r->component || !r->sent || pthread_create(&r->thread, NULL, run, r) != 0) {
    release(r);
    return fail_memory(err);
  }
  *out = r;
  return OME_OK;
}

void kube_recorder_free(struct kube_recorder *r) {
  if (!r)
    return;
  (void)pthread_mutex_lock(&r->shared.lock);
  r->shared.stop = true;
  (void)pthread_cond_signal(&r->shared.changed);
  (void)pthread_mutex_unlock(&r->shared.lock);
  (void)pthread_join(r->thread, NULL);
  release(r);
}
