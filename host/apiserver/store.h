/* Objects on SQLite, and the recent past in memory.
 *
 * Everything but store_flush() runs on the API server's loop thread.  Writes join one open transaction.  store_commit()
 * ends it, once a turn of the loop, store_flush() makes it durable, and store_settle() says so: before that nobody is
 * told of them.  From commit to settling the next transaction may begin, but not end.
 *
 * The past is a ring of events, each with the object's text after and before: watches go on from it, and a paged list
 * sees its first page's moment in it.  Memory: HISTORY_EVENTS events and HISTORY_BYTES of text at most. */
#ifndef HOST_APISERVER_STORE_H
#define HOST_APISERVER_STORE_H

#include "base/json.h"

#define HISTORY_EVENTS 4096u
#define HISTORY_BYTES ((size_t)6 << 20)

struct store;

/* Opens or makes DIR/store.db.  A file that is damaged is left alone and named. */
int32_t store_open(const char *dir, struct store **out, struct ome_err *err);
void store_close(struct store *s); /* rolls back what was not committed */

/* resourceVersion of the newest write, and of the newest that history no longer holds. */
int64_t store_version(const struct store *s);
int64_t store_compacted(const struct store *s);

/* Which collection: "apps/deployments", "/pods". */
struct store_key {
  const char *collection;
  const char *ns; /* "" for cluster scope */
  const char *name;
};

/* The object's text, new; NULL: absent. */
char *store_get(struct store *s, const struct store_key *key);
/* Only resourceVersion; 0: absent. */
int64_t store_get_version(struct store *s, const struct store_key *key);

/* What of a collection is listed. */
struct store_part {
  const char *collection;
  const char *ns;                    /* NULL: all namespaces */
  const char *after_ns, *after_name; /* NULL: from the start */
  int64_t version;                   /* as it was then, at or above store_compacted(); 0: as it is now */
};

/* Walks the objects of PART in order of namespace and name.  LABELS is the object's label map as JSON text.  EACH
 * returning false ends it. */
typedef bool store_each_fn(void *arg, const char *ns, const char *name, const char *text, size_t len,
                           const char *labels);
int32_t store_list(struct store *s, const struct store_part *part, store_each_fn *each, void *arg, struct ome_err *err);
int64_t store_count(struct store *s, const char *collection, const char *ns);
/* Those behind (AFTER_NS, AFTER_NAME) only. */
int64_t store_count_after(struct store *s, const char *collection, const char *ns, const char *after_ns,
                          const char *after_name);
/* A stored text begins with apiVersion and kind; what follows them: ",...}" or "}".  Lists and watches give another
 * version, or leave both out, without parsing. */
const char *store_text_rest(const char *text);

/* Writes O (whose metadata.resourceVersion it sets); creates when absent.  A no-op never comes here. */
int32_t store_put(struct store *s, const struct store_key *key, struct json_object *o, struct ome_err *err);
int32_t store_delete(struct store *s, const struct store_key *key, struct json_object *last, struct ome_err *err);

/* Objects that name UID as an owner: EACH gets collection, ns and name. */
typedef void store_ref_fn(void *arg, const char *collection, const char *ns, const char *name);
int32_t store_owned(struct store *s, const char *uid, store_ref_fn *each, void *arg, struct ome_err *err);
/* Whether an object of UID is there; EACH (may be NULL) is told where. */
bool store_find_uid(struct store *s, const char *uid, store_ref_fn *each, void *arg);
/* Every namespaced object of NS. */
int32_t store_in_namespace(struct store *s, const char *ns, store_ref_fn *each, void *arg, struct ome_err *err);

bool store_dirty(const struct store *s); /* a transaction is open */
/* Ends it in SQLite's log, which the disk need not have; nothing to do without one.  Where a flush has failed before,
 * all of the log is durable afterwards, or this fails. */
int32_t store_commit(struct store *s, struct ome_err *err);
/* Has the disk take what was committed (fdatasync of the log); as slow as the disk is.  [any-thread] */
int32_t store_flush(const struct store *s, struct ome_err *err);
/* What was committed is durable, and its events are those of the past; not FLUSHED: the disk failed, and the next
 * write or commit writes all of it anew before anything else. */
void store_settle(struct store *s, bool flushed);
void store_rollback(struct store *s);

/* ---- the recent past ------------------------------------------------------------------------------------------ */

enum store_event_type { STORE_ADDED, STORE_MODIFIED, STORE_DELETED };

struct store_event {
  int64_t version;
  enum store_event_type type;
  const char *collection, *ns, *name;
  const char *text;                   /* after; of a deletion: the last state, with the deletion's version */
  const char *before;                 /* NULL: created */
  const char *labels, *labels_before; /* their label maps as JSON text, "": none */
};

/* The first settled event after VERSION; NULL: none yet.  Valid until the next settling. */
const struct store_event *store_event_after(const struct store *s, int64_t version);

#endif
