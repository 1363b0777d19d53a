/* Watch caches: a local copy of one resource, kept by list and watch (KEP-365 paging, bookmarks, 410 relists).
 *
 * Objects are kept as JSON text; a reader gets a tree of its own, so that any thread may read and no reader can harm
 * another.  Memory: the text plus about 200 bytes an object.  Who manages which fields is a good part of many an object
 * and is kept only of the manager that a reader asks for; an update without it changes no ownership. */
#ifndef HOST_KUBE_CACHE_H
#define HOST_KUBE_CACHE_H

#include "kube/client.h"

struct kube_cache;

enum kube_event_type { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED };

struct kube_event {
  enum kube_event_type type;
  struct json_object *object; /* borrowed; the last known state for KUBE_DELETED */
  struct json_object *old;    /* borrowed, as known before; NULL for KUBE_ADDED */
};

/* On the cache's thread, in order, what waited for a write of ours on the writer's; must not block: put a key into a
 * queue and return. */
typedef void kube_event_fn(void *arg, const struct kube_event *event);

/* What an object is found by, borrowed from it; NULL: it is not.  Pure. */
typedef const char *kube_index_fn(struct json_object *o);

/* Takes out of O, in place, what nobody reads; identity and resourceVersion must stay.  Pure.  Caches of objects that
 * are many or large (Pods, Nodes) stay small by it; events, too, show what is left. */
typedef void kube_trim_fn(struct json_object *o);

struct kube_cache_opts {
  const char *ns;     /* NULL: all */
  const char *labels; /* selector */
  const char *fields;
  bool metadata_only;      /* PartialObjectMetadata: kind, apiVersion and metadata of objects are all there is */
  kube_index_fn *index;    /* of kube_cache_indexed(); NULL: none */
  kube_trim_fn *trim;      /* NULL: whole objects */
  const char *manager;     /* whose metadata.managedFields are kept, borrowed for good; NULL: nobody's */
  kube_event_fn *on_event; /* may be NULL */
  void *arg;
};

/* Starts at once; never gives up, reconnects with back-off. */
int32_t kube_cache_new(struct kube_client *c, const struct kube_resource *r, const struct kube_cache_opts *opts,
                       struct kube_cache **out, struct ome_err *err);
/* No event comes after it returns; what was there can still be read.  Handlers that read other caches want all of them
 * stopped before one is freed. */
void kube_cache_stop(struct kube_cache *cache);
void kube_cache_free(struct kube_cache *cache); /* stops it, too */
DEFINE_CLEANUP(struct kube_cache *, kube_cache_free)

/* Waits until a list is in, of a kind that had gone a new one; false after TIMEOUT_MS. */
bool kube_cache_wait(struct kube_cache *cache, uint64_t timeout_ms);
/* Fills ERR with why nothing has come yet: what the server said last. */
int32_t kube_cache_why(struct kube_cache *cache, struct ome_err *err);

/* Around a write of ours to an object that the cache selects: between the two its events wait.  O is what the server
 * answered, and is trimmed as the cache trims; NULL: the write failed.  The cache has O from then on, and tells of
 * nothing that O has in it: who wrote knows.  One writer of an object at a time. [any-thread] */
void kube_cache_writing(struct kube_cache *cache, const char *ns, const char *name);
void kube_cache_wrote(struct kube_cache *cache, const char *ns, const char *name, struct json_object *o);

/* [any-thread] new object, or NULL when it is not there.  NS NULL for cluster-scoped. */
struct json_object *kube_cache_get(struct kube_cache *cache, const char *ns, const char *name);
/* new array of all objects, NS NULL: of every namespace; ordered by namespace and name. */
struct json_object *kube_cache_list(struct kube_cache *cache, const char *ns);
/* new array of the objects whose controller owner reference has UID. */
struct json_object *kube_cache_owned(struct kube_cache *cache, const char *uid);
/* The same without those of which SKIP says so, which are not read. */
typedef bool kube_skip_fn(void *arg, const char *name);
struct json_object *kube_cache_owned_but(struct kube_cache *cache, const char *uid, kube_skip_fn *skip, void *arg);
/* new array of the objects in NS whose index is VALUE.  Both without a look at the others. */
struct json_object *kube_cache_indexed(struct kube_cache *cache, const char *ns, const char *value);
/* Calls EACH for the names in NS (NULL: everywhere) whose index is VALUE (NULL: all), without reading the objects. */
typedef void kube_name_fn(void *arg, const char *ns, const char *name);
void kube_cache_names(struct kube_cache *cache, const char *ns, const char *value, kube_name_fn *each, void *arg);
size_t kube_cache_count(struct kube_cache *cache);

#endif
