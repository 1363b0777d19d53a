#include "apiserver/store.h"

#include "base/str.h"
#include "base/strmap.h"
#include "base/vec.h"
#include "os/file.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct event {
  struct store_event e;
  char *collection, *ns, *name, *text, *before, *labels, *labels_before;
  size_t bytes;
};

enum statement {
  GET,
  GET_VERSION,
  LIST_ALL,
  LIST_NS,
  COUNT_ALL,
  COUNT_NS,
  COUNT_ALL_AFTER,
  COUNT_NS_AFTER,
  PUT,
  DELETE_ROW,
  DELETE_OWNERS,
  ADD_OWNER,
  OWNED,
  FIND_UID,
  IN_NAMESPACE,
  SET_VERSION,
  BEGIN,
  COMMIT,
  ROLLBACK,
  STATEMENTS
};

struct store {
  sqlite3 *db;
  char *path;
  sqlite3_stmt *statements[STATEMENTS];
  int wal; /* descriptor of the log, to flush it */
  int64_t version;
  int64_t committed;
  int64_t compacted;
  bool dirty;
  bool doubtful;  /* what was committed may not be on the disk, which failed */
  int32_t broken; /* why a write of the open transaction failed half-way: it cannot be committed; OME_OK: none did */
  struct event **ring; /* HISTORY_EVENTS places; the oldest at head */
  size_t head, count, bytes;
  VEC(struct event *) pending; /* of what was committed and is not settled yet, then of the open transaction */
  size_t npending_committed;
};

static const char *const sql[STATEMENTS] = {
    [GET] = "SELECT body, labels FROM objects WHERE collection=?1 AND ns=?2 AND name=?3",
    [GET_VERSION] = "SELECT version FROM objects WHERE collection=?1 AND ns=?2 AND name=?3",
    [LIST_ALL] = "SELECT ns, name, body, labels FROM objects WHERE collection=?1 AND (ns, name) > (?2, ?3) "
                 "ORDER BY ns, name",
    [LIST_NS] = "SELECT ns, name, body, labels FROM objects WHERE collection=?1 AND ns=?2 AND name > ?3 ORDER BY name",
    [COUNT_ALL] = "SELECT count(*) FROM objects WHERE collection=?1",
    [COUNT_NS] = "SELECT count(*) FROM objects WHERE collection=?1 AND ns=?2",
    [COUNT_ALL_AFTER] = "SELECT count(*) FROM objects WHERE collection=?1 AND (ns, name) > (?2, ?3)",
    [COUNT_NS_AFTER] = "SELECT count(*) FROM objects WHERE collection=?1 AND ns=?2 AND name > ?3",
    [PUT] =
        "INSERT INTO objects (collection, ns, name, uid, version, labels, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
        "ON CONFLICT (collection, ns, name) DO UPDATE SET uid=?4, version=?5, labels=?6, body=?7",
    [DELETE_ROW] = "DELETE FROM objects WHERE collection=?1 AND ns=?2 AND name=?3",
    [DELETE_OWNERS] = "DELETE FROM owners WHERE collection=?1 AND ns=?2 AND name=?3",
    [ADD_OWNER] = "INSERT OR IGNORE INTO owners (owner, collection, ns, name) VALUES (?4, ?1, ?2, ?3)",
    [OWNED] = "SELECT collection, ns, name FROM owners WHERE owner=?1",
    [FIND_UID] = "SELECT collection, ns, name FROM objects WHERE uid=?1",
    [IN_NAMESPACE] = "SELECT collection, ns, name FROM objects WHERE ns=?1",
    [SET_VERSION] = "UPDATE meta SET value=?1 WHERE key='version'",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS objects (collection TEXT NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL,"
    "  uid TEXT NOT NULL, version INTEGER NOT NULL, labels TEXT NOT NULL, body TEXT NOT NULL,"
    "  PRIMARY KEY (collection, ns, name));"
    "CREATE INDEX IF NOT EXISTS objects_uid ON objects (uid);"
    "CREATE INDEX IF NOT EXISTS objects_ns ON objects (ns);"
    "CREATE TABLE IF NOT EXISTS owners (owner TEXT NOT NULL, collection TEXT NOT NULL, ns TEXT NOT NULL,"
    "  name TEXT NOT NULL, PRIMARY KEY (owner, collection, ns, name)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS owners_object ON owners (collection, ns, name);"
    /* A new store starts above 1: a client that asks from 1 has missed something. */
    "INSERT OR IGNORE INTO meta VALUES ('version', 100), ('format', 1);";

static int32_t fail_sqlite(const struct store *s, const char *what, struct ome_err *err) {
  int rc = sqlite3_errcode(s->db);

  switch (rc & 0xff) {
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return fail(err, OME_E_CORRUPT,
                "%s: %s: the database is damaged (%s); it was left as it is: move it away or restore a copy", what,
                s->path, sqlite3_errmsg(s->db));
  case SQLITE_FULL:
    return fail(err, OME_E_NO_SPACE, "%s: %s: the disk is full", what, s->path);
  case SQLITE_NOMEM:
    return fail_memory(err);
  case SQLITE_BUSY:
    return fail(err, OME_E_BUSY, "%s: %s: another process uses it", what, s->path);
  default:
    return fail(err, OME_E_INTERNAL, "%s: %s: %s", what, s->path, sqlite3_errmsg(s->db));
  }
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static void event_free(struct event *e) {
  if (!e)
    return;
  free(e->collection);
  free(e->ns);
  free(e->name);
  free(e->text);
  free(e->before);
  free(e->labels);
  free(e->labels_before);
  free(e);
}

/* The text of O with apiVersion and kind in front, where store_text_rest() steps over them. */
static char *object_text(struct json_object *o) {
  static const char *const first[] = {"apiVersion", "kind"};
  _cleanup_json_ struct json_object *ordered = json_object_new_object();

  if (!ordered)
    return NULL;
  for (size_t i = 0; i < ARRAY_LEN(first); i++)
    if (!json_put_str(ordered, first[i], json_str(o, first[i], "")))
      return NULL;
  json_object_object_foreach (o, key, v) {
    if (!streq(key, first[0]) && !streq(key, first[1]) && !json_put(ordered, key, json_object_get(v)))
      return NULL;
  }
  return json_text(ordered);
}

const char *store_text_rest(const char *text) {
  static const char *const first[] = {"{\"apiVersion\":\"", ",\"kind\":\""};

  for (size_t i = 0; i < ARRAY_LEN(first); i++) {
    text += strlen(first[i]);
    text += strcspn(text, "\"") + 1;
  }
  return text;
}

static char *labels_text(struct json_object *o) {
  struct json_object *labels = json_at(o, "metadata.labels");

  return labels ? json_text(labels) : strdup("");
}

/* Takes BEFORE and LABELS_BEFORE. */
static struct event *event_new(enum store_event_type type, int64_t version, const struct store_key *key,
                               struct json_object *o, char *before, char *labels_before) {
  struct event *e = calloc(1, sizeof(*e));

  if (!e) {
    free(before);
    free(labels_before);
    return NULL;
  }
  e->collection = strdup(key->collection);
  e->ns = strdup(key->ns);
  e->name = strdup(key->name);
  e->text = object_text(o);
  e->labels = labels_text(o);
  e->before = before;
  e->labels_before = labels_before;
  if (!e->collection || !e->ns || !e->name || !e->text || !e->labels || (before && !labels_before)) {
    event_free(e);
    return NULL;
  }
  e->bytes = sizeof(*e) + strlen(e->text) + strlen(e->labels);
  e->bytes += before ? strlen(before) + strlen(labels_before) : 0;
  e->e = (struct store_event){
      version, type, e->collection, e->ns, e->name, e->text, e->before, e->labels, labels_before ? labels_before : ""};
  return e;
}

static struct event *event_at(const struct store *s, size_t i) {
  return s->ring[(s->head + i) % HISTORY_EVENTS];
}

static void forget_oldest(struct store *s) {
  struct event *e = event_at(s, 0);

  s->compacted = e->e.version;
  s->bytes -= e->bytes;
  s->head = (s->head + 1) % HISTORY_EVENTS;
  s->count--;
  event_free(e);
}

static void remember(struct store *s, struct event *e) {
  while (s->count == HISTORY_EVENTS || (s->count && s->bytes + e->bytes > HISTORY_BYTES))
    forget_oldest(s);
  s->ring[(s->head + s->count++) % HISTORY_EVENTS] = e;
  s->bytes += e->bytes;
}

/* Forgets the events of pending from number FROM on. */
static void drop_pending(struct store *s, size_t from) {
  for (size_t i = from; i < s->pending.len; i++)
    event_free(s->pending.items[i]);
  s->pending.len = from;
}

const struct store_event *store_event_after(const struct store *s, int64_t version) {
  size_t low = 0;
  size_t high = s->count;

  while (low < high) {
    size_t mid = (low + high) / 2;
    if (event_at(s, mid)->e.version <= version)
      low = mid + 1;
    else
      high = mid;
  }
  return low < s->count ? &event_at(s, low)->e : NULL;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static int32_t run_script(struct store *s, const char *text, const char *what, struct ome_err *err) {
  return sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK ? OME_OK : fail_sqlite(s, what, err);
}

static int32_t check_integrity(struct store *s, struct ome_err *err) {
  sqlite3_stmt *q = NULL;
  int32_t rc = OME_OK;

  if (sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &q, NULL) != SQLITE_OK || sqlite3_step(q) != SQLITE_ROW)
    rc = fail_sqlite(s, "open", err);
  else if (!streq((const char *)sqlite3_column_text(q, 0), "ok"))
    rc = fail(err, OME_E_CORRUPT,
              "open: %s: the database is damaged (%s); it was left as it is: move it away or restore a copy", s->path,
              sqlite3_column_text(q, 0));
  (void)sqlite3_finalize(q);
  return rc;
}

static int32_t read_version(struct store *s, struct ome_err *err) {
  sqlite3_stmt *q = NULL;
  int32_t rc = OME_OK;

  if (sqlite3_prepare_v2(s->db, "SELECT value FROM meta WHERE key='version'", -1, &q, NULL) != SQLITE_OK ||
      sqlite3_step(q) != SQLITE_ROW)
    rc = fail_sqlite(s, "open", err);
  else
    s->version = s->committed = s->compacted = sqlite3_column_int64(q, 0);
  (void)sqlite3_finalize(q);
  return rc;
}

static int32_t prepare_all(struct store *s, struct ome_err *err) {
  for (int i = 0; i < STATEMENTS; i++)
    if (sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statements[i], NULL) != SQLITE_OK)
      return fail_sqlite(s, "prepare", err);
  return OME_OK;
}

/* SQLite has made the log by now, and keeps the file until the database is closed. */
static int32_t open_log(struct store *s, struct ome_err *err) {
  _cleanup_free_ char *path = str_printf("%s-wal", s->path);

  if (!path)
    return fail_memory(err);
  s->wal = open(path, O_RDONLY | O_CLOEXEC);
  return s->wal >= 0 ? OME_OK : fail_errno(err, "open", path);
}

int32_t store_open(const char *dir, struct store **out, struct ome_err *err) {
  struct store *s = calloc(1, sizeof(*s));
  int32_t rc = OME_OK;

  if (!s)
    return fail_memory(err);
  s->wal = -1;
  s->path = path_join(dir, "store.db");
  s->ring = calloc(HISTORY_EVENTS, sizeof(struct event *));
  if (!s->path || !s->ring)
    rc = fail_memory(err);
  else if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
           SQLITE_OK)
    rc = fail_sqlite(s, "open", err);
  if (rc == OME_OK)
    rc = run_script(s,
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY;"
                    "PRAGMA cache_size=-4096; PRAGMA wal_autocheckpoint=1000;",
                    "open", err);
  if (rc == OME_OK)
    rc = check_integrity(s, err);
  if (rc == OME_OK)
    rc = run_script(s, schema, "open", err);
  if (rc == OME_OK)
    rc = prepare_all(s, err);
  if (rc == OME_OK)
    rc = read_version(s, err);
  if (rc == OME_OK)
    rc = open_log(s, err);
  if (rc != OME_OK) {
    store_close(s);
    return rc;
  }
  *out = s;
  return OME_OK;
}

void store_close(struct store *s) {
  if (!s)
    return;
  if (s->dirty)
    store_rollback(s);
  for (int i = 0; i < STATEMENTS; i++)
    (void)sqlite3_finalize(s->statements[i]);
  (void)sqlite3_close(s->db);
  if (s->wal >= 0)
    (void)close(s->wal);
  while (s->count)
    forget_oldest(s);
  drop_pending(s, 0);
  VEC_FREE(&s->pending);
  free(s->ring);
  free(s->path);
  free(s);
}

int64_t store_version(const struct store *s) {
  return s->version;
}

int64_t store_compacted(const struct store *s) {
  return s->compacted;
}

/* ---- statements ------------------------------------------------------------------------------------------------ */

/* Statement I with up to four text parameters bound; texts are borrowed until it is reset. */
static sqlite3_stmt *bind(struct store *s, enum statement i, const char *a, const char *b, const char *c,
                          const char *d) {
  const char *const texts[] = {a, b, c, d};
  sqlite3_stmt *q = s->statements[i];

  (void)sqlite3_reset(q);
  for (int n = 0; n < 4 && texts[n]; n++)
    (void)sqlite3_bind_text(q, n + 1, texts[n], -1, SQLITE_STATIC);
  return q;
}

static int32_t done(struct store *s, sqlite3_stmt *q, const char *what, struct ome_err *err) {
  int rc = sqlite3_step(q);

  (void)sqlite3_reset(q);
  return rc == SQLITE_DONE ? OME_OK : fail_sqlite(s, what, err);
}

/* *LABELS gets those of the object, new. */
static char *get_with_labels(struct store *s, const struct store_key *key, char **labels) {
  sqlite3_stmt *q = bind(s, GET, key->collection, key->ns, key->name, NULL);
  char *text = NULL;

  if (sqlite3_step(q) == SQLITE_ROW) {
    text = strdup((const char *)sqlite3_column_text(q, 0));
    *labels = strdup((const char *)sqlite3_column_text(q, 1));
  }
  (void)sqlite3_reset(q);
  return text;
}

char *store_get(struct store *s, const struct store_key *key) {
  _cleanup_free_ char *labels = NULL;

  return get_with_labels(s, key, &labels);
}

int64_t store_get_version(struct store *s, const struct store_key *key) {
  sqlite3_stmt *q = bind(s, GET_VERSION, key->collection, key->ns, key->name, NULL);
  int64_t version = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;

  (void)sqlite3_reset(q);
  return version;
}

int64_t store_count(struct store *s, const char *collection, const char *ns) {
  sqlite3_stmt *q = bind(s, ns ? COUNT_NS : COUNT_ALL, collection, ns, NULL, NULL);
  int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;

  (void)sqlite3_reset(q);
  return n;
}

int64_t store_count_after(struct store *s, const char *collection, const char *ns, const char *after_ns,
                          const char *after_name) {
  sqlite3_stmt *q = bind(s, ns ? COUNT_NS_AFTER : COUNT_ALL_AFTER, collection, ns ? ns : after_ns, after_name, NULL);
  int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;

  (void)sqlite3_reset(q);
  return n;
}

static int32_t list_present(struct store *s, const struct store_part *part, store_each_fn *each, void *arg,
                            struct ome_err *err) {
  const char *ns = part->ns, *after_ns = part->after_ns, *name = part->after_name ? part->after_name : "";
  sqlite3_stmt *q = ns ? bind(s, LIST_NS, part->collection, ns, after_ns && !streq(after_ns, ns) ? "" : name, NULL)
                       : bind(s, LIST_ALL, part->collection, after_ns ? after_ns : "", name, NULL);
  int rc;

  while ((rc = sqlite3_step(q)) == SQLITE_ROW)
    if (!each(arg, (const char *)sqlite3_column_text(q, 0), (const char *)sqlite3_column_text(q, 1),
              (const char *)sqlite3_column_text(q, 2), (size_t)sqlite3_column_bytes(q, 2),
              (const char *)sqlite3_column_text(q, 3))) {
      rc = SQLITE_DONE;
      break;
    }
  if (rc != SQLITE_DONE) {
    (void)fail_sqlite(s, "list", err);
    (void)sqlite3_reset(q);
    return err->code;
  }
  (void)sqlite3_reset(q);
  return OME_OK;
}

static int32_t each_ref(struct store *s, enum statement i, const char *what, store_ref_fn *each, void *arg,
                        struct ome_err *err) {
  sqlite3_stmt *q = bind(s, i, what, NULL, NULL, NULL);
  int rc;

  while ((rc = sqlite3_step(q)) == SQLITE_ROW)
    each(arg, (const char *)sqlite3_column_text(q, 0), (const char *)sqlite3_column_text(q, 1),
         (const char *)sqlite3_column_text(q, 2));
  int32_t result = rc == SQLITE_DONE ? OME_OK : fail_sqlite(s, "list", err);
  (void)sqlite3_reset(q);
  return result;
}

int32_t store_owned(struct store *s, const char *uid, store_ref_fn *each, void *arg, struct ome_err *err) {
  return each_ref(s, OWNED, uid, each, arg, err);
}

int32_t store_in_namespace(struct store *s, const char *ns, store_ref_fn *each, void *arg, struct ome_err *err) {
  return each_ref(s, IN_NAMESPACE, ns, each, arg, err);
}

bool store_find_uid(struct store *s, const char *uid, store_ref_fn *each, void *arg) {
  sqlite3_stmt *q = bind(s, FIND_UID, uid, NULL, NULL, NULL);
  _cleanup_free_ char *collection = NULL;
  _cleanup_free_ char *ns = NULL;
  _cleanup_free_ char *name = NULL;
  bool found = sqlite3_step(q) == SQLITE_ROW;

  if (found) {
    collection = strdup((const char *)sqlite3_column_text(q, 0));
    ns = strdup((const char *)sqlite3_column_text(q, 1));
    name = strdup((const char *)sqlite3_column_text(q, 2));
  }
  (void)sqlite3_reset(q); /* EACH may ask again */
  if (found && each && collection && ns && name)
    each(arg, collection, ns, name);
  return found;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* The events of what was committed may be told. */
static void tell_committed(struct store *s) {
  size_t n = s->npending_committed;

  for (size_t i = 0; i < n; i++)
    remember(s, s->pending.items[i]);
  for (size_t i = n; i < s->pending.len; i++)
    s->pending.items[i - n] = s->pending.items[i];
  s->pending.len -= n;
  s->npending_committed = 0;
}

/* After a flush that failed nobody knows which pages of the log the disk has, and what is appended behind a hole is
 * lost with it.  What is in the log goes to the database, of which SQLite makes sure, and the log starts anew. */
static int32_t recover(struct store *s, struct ome_err *err) {
  if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) != SQLITE_OK)
    return fail_sqlite(s, "after a failed flush", err);
  s->doubtful = false;
  tell_committed(s);
  return OME_OK;
}

static int32_t begin(struct store *s, struct ome_err *err) {
  if (s->dirty)
    return OME_OK;
  int32_t rc = s->doubtful ? recover(s, err) : OME_OK;
  if (rc != OME_OK)
    return rc;
  rc = done(s, bind(s, BEGIN, NULL, NULL, NULL, NULL), "begin", err);
  s->dirty = rc == OME_OK;
  return rc;
}

static int32_t write_owners(struct store *s, const struct store_key *key, struct json_object *o, struct ome_err *err) {
  struct json_object *refs = json_at(o, "metadata.ownerReferences");
  int32_t rc = done(s, bind(s, DELETE_OWNERS, key->collection, key->ns, key->name, NULL), "write", err);

  for (size_t i = 0; rc == OME_OK && i < json_len(refs); i++)
    rc = done(s, bind(s, ADD_OWNER, key->collection, key->ns, key->name, json_str(json_index(refs, i), "uid", "")),
              "write", err);
  return rc;
}

static void stamp(struct json_object *o, int64_t version) {
  char text[24];

  (void)snprintf(text, sizeof(text), "%lld", (long long)version);
  (void)json_set_str(o, "metadata.resourceVersion", text);
}

static int32_t write_row(struct store *s, const struct store_key *key, struct json_object *o, const struct event *e,
                         struct ome_err *err) {
  sqlite3_stmt *q = bind(s, PUT, key->collection, key->ns, key->name, json_str(o, "metadata.uid", ""));

  (void)sqlite3_bind_int64(q, 5, s->version);
  (void)sqlite3_bind_text(q, 6, e->labels, -1, SQLITE_STATIC);
  (void)sqlite3_bind_text(q, 7, e->text, -1, SQLITE_STATIC);
  return done(s, q, "write", err);
}

/* Notes that KEY becomes O at the next version, of which O then tells; *OUT is the event, borrowed. */
static int32_t note_event(struct store *s, bool deleted, const struct store_key *key, struct json_object *o,
                          const struct event **out, struct ome_err *err) {
  char *labels = NULL;
  char *before = get_with_labels(s, key, &labels);
  enum store_event_type type = deleted ? STORE_DELETED : before ? STORE_MODIFIED : STORE_ADDED;

  s->version++;
  stamp(o, s->version);
  struct event *e = event_new(type, s->version, key, o, before, labels);
  if (!e || !VEC_PUSH(&s->pending, e)) {
    event_free(e);
    return fail_memory(err);
  }
  *out = e;
  return OME_OK;
}

int32_t store_put(struct store *s, const struct store_key *key, struct json_object *o, struct ome_err *err) {
  const struct event *e = NULL;
  int32_t rc = begin(s, err);

  if (rc != OME_OK)
    return rc;
  rc = note_event(s, false, key, o, &e, err);
  if (rc == OME_OK)
    rc = write_row(s, key, o, e, err);
  if (rc == OME_OK)
    rc = write_owners(s, key, o, err);
  if (rc != OME_OK)
    s->broken = rc;
  return rc;
}

int32_t store_delete(struct store *s, const struct store_key *key, struct json_object *last, struct ome_err *err) {
  const struct event *e = NULL;
  int32_t rc = begin(s, err);

  if (rc != OME_OK)
    return rc;
  rc = note_event(s, true, key, last, &e, err);
  if (rc == OME_OK)
    rc = done(s, bind(s, DELETE_ROW, key->collection, key->ns, key->name, NULL), "delete", err);
  if (rc == OME_OK)
    rc = done(s, bind(s, DELETE_OWNERS, key->collection, key->ns, key->name, NULL), "delete", err);
  if (rc != OME_OK)
    s->broken = rc;
  return rc;
}

bool store_dirty(const struct store *s) {
  return s->dirty;
}

void store_rollback(struct store *s) {
  struct ome_err ignored = ERR_INIT;

  if (!s->dirty)
    return;
  (void)done(s, bind(s, ROLLBACK, NULL, NULL, NULL, NULL), "roll back", &ignored);
  s->dirty = false;
  s->broken = OME_OK;
  s->version = s->committed;
  drop_pending(s, s->npending_committed);
}

int32_t store_commit(struct store *s, struct ome_err *err) {
  if (!s->dirty)
    return OME_OK;
  if (s->broken) {
    int32_t why = s->broken;
    store_rollback(s);
    return fail(err, why, "commit: %s: a write failed, so nothing that was written together with it was kept", s->path);
  }
  sqlite3_stmt *q = bind(s, SET_VERSION, NULL, NULL, NULL, NULL);
  (void)sqlite3_bind_int64(q, 1, s->version);
  int32_t rc = done(s, q, "commit", err);
  if (rc == OME_OK)
    rc = done(s, bind(s, COMMIT, NULL, NULL, NULL, NULL), "commit", err);
  if (rc != OME_OK) {
    store_rollback(s);
    return rc;
  }
  s->dirty = false;
  s->committed = s->version;
  s->npending_committed = s->pending.len;
  return s->doubtful ? recover(s, err) : OME_OK; /* a flush failed while this transaction was open */
}

int32_t store_flush(const struct store *s, struct ome_err *err) {
  return fdatasync(s->wal) == 0 ? OME_OK : fail_errno(err, "flush", s->path);
}

void store_settle(struct store *s, bool flushed) {
  if (flushed)
    tell_committed(s);
  else
    s->doubtful = true;
}

/* ---- the past as a list ---------------------------------------------------------------------------------------- */

struct past_row {
  const char *ns, *name;
  const char *text; /* as of the version; NULL: was not there */
};

struct past {
  struct past_row *rows; /* objects of the collection changed since, by namespace and name */
  size_t len, next;
  store_each_fn *each;
  void *arg;
  bool ended;
};

static int compare_places(const char *ns_a, const char *name_a, const char *ns_b, const char *name_b) {
  int c = strcmp(ns_a, ns_b);

  return c ? c : strcmp(name_a, name_b);
}

static int compare_past(const void *a, const void *b) {
  const struct past_row *x = a;
  const struct past_row *y = b;

  return compare_places(x->ns, x->name, y->ns, y->name);
}

static const char *labels_of(const char *text, struct json_object **doc, char **labels) {
  struct ome_err err = ERR_INIT;

  if (json_parse(text, strlen(text), SIZE_MAX, doc, &err) == OME_OK && json_at(*doc, "metadata.labels"))
    *labels = json_text(json_at(*doc, "metadata.labels"));
  return *labels ? *labels : "";
}

static void give_past(struct past *p, const struct past_row *row) {
  _cleanup_json_ struct json_object *doc = NULL;
  _cleanup_free_ char *labels = NULL;

  if (row->text && !p->ended &&
      !p->each(p->arg, row->ns, row->name, row->text, strlen(row->text), labels_of(row->text, &doc, &labels)))
    p->ended = true;
}

/* A present row: first whatever of the past sorts before it, then itself or its own past. */
static bool give_present(void *arg, const char *ns, const char *name, const char *text, size_t len,
                         const char *labels) {
  struct past *p = arg;

  while (!p->ended && p->next < p->len) {
    struct past_row *row = &p->rows[p->next];
    int c = compare_places(row->ns, row->name, ns, name);
    if (c > 0)
      break;
    p->next++;
    give_past(p, row);
    if (c == 0)
      return !p->ended;
  }
  if (!p->ended && !p->each(p->arg, ns, name, text, len, labels))
    p->ended = true;
  return !p->ended;
}

/* The same as store_event_after(), of what is not settled or committed yet too. */
static const struct store_event *change_after(const struct store *s, int64_t version) {
  const struct store_event *e = store_event_after(s, version);

  for (size_t i = 0; !e && i < s->pending.len; i++)
    if (s->pending.items[i]->e.version > version)
      e = &s->pending.items[i]->e;
  return e;
}

/* The objects of PART that changed after its version, each as it was then. */
static int32_t gather_past(struct store *s, const struct store_part *part, struct past *p, struct ome_err *err) {
  _cleanup_strmap_ struct strmap *seen = strmap_new(NULL);

  p->rows = calloc(s->count + s->pending.len + 1, sizeof(*p->rows));
  if (!seen || !p->rows)
    return fail_memory(err);
  for (const struct store_event *e = change_after(s, part->version); e; e = change_after(s, e->version)) {
    if (!streq(e->collection, part->collection) || (part->ns && !streq(e->ns, part->ns)))
      continue;
    if (part->after_name && compare_places(e->ns, e->name, part->after_ns ? part->after_ns : "", part->after_name) <= 0)
      continue;
    _cleanup_free_ char *key = str_printf("%s/%s", e->ns, e->name);
    if (!key || strmap_has(seen, key))
      continue;
    if (!strmap_put(seen, key, NULL))
      return fail_memory(err);
    p->rows[p->len++] = (struct past_row){e->ns, e->name, e->before};
  }
  qsort(p->rows, p->len, sizeof(*p->rows), compare_past);
  return OME_OK;
}

static int32_t list_past(struct store *s, const struct store_part *part, store_each_fn *each, void *arg,
                         struct ome_err *err) {
  struct past p = {.each = each, .arg = arg};
  int32_t rc = gather_past(s, part, &p, err);

  if (rc == OME_OK)
    rc = list_present(s, part, give_present, &p, err);
  while (rc == OME_OK && !p.ended && p.next < p.len)
    give_past(&p, &p.rows[p.next++]);
  free(p.rows);
  return rc;
}

int32_t store_list(struct store *s, const struct store_part *part, store_each_fn *each, void *arg,
                   struct ome_err *err) {
  bool present = part->version == 0 || part->version == store_version(s);

  return present ? list_present(s, part, each, arg, err) : list_past(s, part, each, arg, err);
}
