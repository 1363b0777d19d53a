/* One name that is being brought: a folder of staging and a journal that is locked for as long as somebody is at it.
 *
 *   P <pid>   U <uri>   N <bytes>       who, what, how much is to come
 *   C <id>                              a content that nobody else need fetch
 *   K <sha256>                          a blob that is relied on
 *   L <bytes> <sha256> <id>             a content that has become a blob; id "-" when it has none
 *
 * The lock is the kernel's: a journal without one is of a session that is over, however it ended. */
#include "store/internal.h"

#include "base/buf.h"
#include "base/str.h"
#include "os/file.h"

#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define JOURNAL_MAX ((size_t)64 << 20)
#define PAUSE_NS 100000000

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct journal {
  char holder[300];
  uint64_t need, landed_bytes;
  struct strmap *claims, *kept, *landed; /* may be NULL: not wanted */
};

static void put_text(struct strmap *m, const char *key, const char *value) {
  char *copy = m ? strdup(value) : NULL;

  if (copy && !strmap_put(m, key, copy))
    free(copy);
}

static void read_landed(struct journal *j, const char *line) {
  uint64_t bytes;
  char sha256[65];
  char id[65];

  if (sscanf(line, "%" SCNu64 " %64s %64s", &bytes, sha256, id) != 3 || !is_sha256(sha256))
    return;
  j->landed_bytes += bytes;
  put_text(j->kept, sha256, "");
  if (!streq(id, "-"))
    put_text(j->landed, id, sha256);
}

static void read_line(struct journal *j, const char *line) {
  const char *rest = line[0] && line[1] == ' ' ? line + 2 : "";

  if (line[0] == 'P')
    (void)snprintf(j->holder, sizeof(j->holder), "process %.20s", rest);
  else if (line[0] == 'U')
    (void)snprintf(j->holder + strlen(j->holder), sizeof(j->holder) - strlen(j->holder), " (%.200s)", rest);
  else if (line[0] == 'N')
    (void)str_to_u64(rest, &j->need);
  else if (line[0] == 'C')
    put_text(j->claims, rest, j->holder);
  else if (line[0] == 'K')
    put_text(j->kept, rest, "");
  else if (line[0] == 'L')
    read_landed(j, rest);
}

static void read_journal(const char *path, struct journal *j) {
  _cleanup_free_ char *text = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  if (file_read(path, JOURNAL_MAX, &text, &len, &err) != OME_OK)
    return;
  char *line = text;
  for (char *end; (end = strchr(line, '\n')); line = end + 1) { /* a torn last line is none */
    *end = '\0';
    read_line(j, line);
  }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

bool session_stopped(const struct session *x) {
  return x->job->cancelled && x->job->cancelled(x->job->arg);
}

void session_pause(void) {
  const struct timespec pause = {0, PAUSE_NS};

  (void)nanosleep(&pause, NULL);
}

void session_say(const struct session *x, const char *file, const char *message) {
  const struct transfer_event e = {.type = TRANSFER_RETRY,
                                   .file = file,
                                   .message = message,
                                   .total_bytes = x->job->manifest->total_bytes,
                                   .total_files = (uint32_t)x->job->manifest->files.len,
                                   .eta_ms = UINT64_MAX};

  if (x->job->event)
    x->job->event(x->job->arg, &e);
}

/* Opens and locks the journal; HOLDER says who has it when nobody else can. */
static int32_t try_open_locked(struct session *x, char holder[300], struct ome_err *err) {
  _cleanup_free_ char *folder = staging_path(x->store, x->job->name, NULL);
  _cleanup_free_ char *path = staging_path(x->store, x->job->name, "session");
  struct journal j = {.landed = x->landed};

  if (!folder || !path)
    return fail_memory(err);
  if (mkdir(folder, 0700) != 0 && errno != EEXIST)
    return fail_errno(err, "make folder", folder);
  _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return fail_errno(err, "open", path);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    read_journal(path, &j);
    x->fd = TAKE_FD(fd);
    return OME_OK;
  }
  if (errno != EWOULDBLOCK)
    return fail_errno(err, "lock", path);
  read_journal(path, &j);
  (void)snprintf(holder, 300, "%s", *j.holder ? j.holder : "another process");
  return OME_OK;
}

int32_t session_open(const struct model_store *s, const struct store_job *job, struct session *out,
                     struct ome_err *err) {
  struct session x = {.store = s, .job = job, .fd = -1, .blobs = -1, .files = staging_path(s, job->name, "files")};
  char holder[300] = "";
  char message[600];
  int32_t rc = is_name(job->name) ? OME_OK : fail(err, OME_E_INVALID, "store: %.100s: is no name", job->name);
  bool told = false;

  x.landed = strmap_new(free);
  if (rc == OME_OK && (!x.files || !x.landed))
    rc = fail_memory(err);
  while (rc == OME_OK && x.fd < 0) {
    _cleanup_close_ int lock = -1;
    rc = model_store_lock(s, &lock, err);
    if (rc == OME_OK)
      rc = try_open_locked(&x, holder, err);
    closep(&lock);
    lock = -1;
    if (rc != OME_OK || x.fd >= 0)
      break;
    (void)snprintf(message, sizeof(message), "%.200s is being brought by %.290s; waiting for it", job->path, holder);
    if (!told)
      session_say(&x, NULL, message);
    told = true;
    session_pause();
    if (session_stopped(&x))
      rc = fail(err, OME_E_CANCELLED, "fetch: stopped while waiting for %.290s", holder);
  }
  if (rc == OME_OK)
    rc = blobs_open(s, &x.blobs, err);
  *out = x;
  if (rc != OME_OK)
    session_close(out, false);
  return rc;
}

void session_close(struct session *x, bool done) {
  _cleanup_free_ char *folder = staging_path(x->store, x->job->name, NULL);
  struct ome_err err = ERR_INIT;
  _cleanup_close_ int lock = -1;

  if (x->fd >= 0 && done && folder && model_store_lock(x->store, &lock, &err) == OME_OK)
    (void)tree_remove(folder, &err);
  closep(&x->blobs);
  closep(&x->fd);
  strmap_free(x->landed);
  free(x->files);
  *x = (struct session){.fd = -1, .blobs = -1};
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static int32_t append(const struct session *x, const struct buf *text, struct ome_err *err) {
  if (!buf_ok(text))
    return fail_memory(err);
  ssize_t n = write(x->fd, buf_str(text), text->len);
  if (n < 0)
    return fail_errno(err, "write the journal of", x->job->name);
  return (size_t)n == text->len ? OME_OK
                                : fail(err, OME_E_NO_SPACE, "store: %s: no space for the journal of %s; free some",
                                       x->store->root, x->job->name);
}

int32_t session_write_locked(struct session *x, const struct strmap *claims, uint64_t need, struct ome_err *err) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  const struct manifest *m = x->job->manifest;

  buf_addf(&text, "P %d\nU %.*s\nN %" PRIu64 "\n", (int)getpid(), (int)strcspn(x->job->uri, "?\r\n"), x->job->uri,
           need);
  for (struct strmap_iter it = strmap_first(claims); it.key; strmap_next(&it))
    buf_addf(&text, "C %s\n", it.key);
  for (size_t i = 0; i < m->files.len; i++)
    if (*m->files.items[i].sha256)
      buf_addf(&text, "K %s\n", m->files.items[i].sha256);
  for (struct strmap_iter it = strmap_first(x->landed); it.key; strmap_next(&it))
    buf_addf(&text, "L 0 %s %s\n", (const char *)it.value, it.key);
  if (ftruncate(x->fd, 0) != 0)
    return fail_errno(err, "write the journal of", x->job->name);
  return append(x, &text, err);
}

int32_t session_announce(struct session *x, const struct manifest_file *files, size_t n, struct ome_err *err) {
  _cleanup_buf_ struct buf lines = BUF_INIT;
  _cleanup_close_ int lock = -1;
  char id[65];

  for (size_t i = 0; i < n; i++) {
    content_id(x->job->uri, x->job->manifest->revision, &files[i], id);
    buf_addf(&lines, "L %" PRIu64 " %s %s\n", files[i].size, files[i].sha256, *id ? id : "-");
  }
  int32_t rc = model_store_lock(x->store, &lock, err);
  return rc == OME_OK ? append(x, &lines, err) : rc;
}

int32_t session_land(struct session *x, int dir, const char *name, const struct manifest_file *f, struct ome_err *err) {
  int32_t rc = blob_seal(x->store, dir, name, f->size, f->sha256, &f->sums, err);
  char id[65];

  if (rc == OME_OK)
    rc = blob_import(x->blobs, dir, name, f->sha256, err);
  content_id(x->job->uri, x->job->manifest->revision, f, id);
  if (rc == OME_OK && *id)
    put_text(x->landed, id, f->sha256);
  return rc;
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

void others_fini(struct others *o) {
  strmap_free(o->claims);
  strmap_free(o->kept);
  strmap_free(o->landed);
  names_fini(&o->live);
}

static bool is_live(const char *path) {
  _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

  return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/* Space that the files below FOLDER take up. */
static uint64_t allocated_below(const char *folder) {
  char *const roots[] = {(char *)(uintptr_t)folder, NULL};
  FTS *walk = file_exists(folder) ? fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
  uint64_t bytes = 0;

  for (FTSENT *e; walk && (e = fts_read(walk)) != NULL;)
    if (e->fts_info == FTS_F)
      bytes += (uint64_t)e->fts_statp->st_blocks * 512;
  if (walk)
    (void)fts_close(walk);
  return bytes;
}

static int32_t read_other(const struct model_store *s, const char *name, struct others *o, struct ome_err *err) {
  _cleanup_free_ char *path = staging_path(s, name, "session");
  _cleanup_free_ char *files = staging_path(s, name, "files");
  struct journal j = {.landed = o->landed};

  if (!path || !files)
    return fail_memory(err);
  bool live = is_live(path);
  if (live) {
    char *copy = strdup(name);
    j.claims = o->claims;
    j.kept = o->kept;
    if (!copy || !VEC_PUSH(&o->live.list, copy)) {
      free(copy);
      return fail_memory(err);
    }
  }
  read_journal(path, &j);
  uint64_t there = j.landed_bytes + (live ? allocated_below(files) : 0);
  if (live && j.need > there)
    o->reserved += j.need - there;
  return OME_OK;
}

int32_t others_read_locked(const struct model_store *s, const char *name, struct others *out, struct ome_err *err) {
  _cleanup_names_ struct names names = {{0}};
  int32_t rc = names_in(s, "staging", "", &names, err);

  out->claims = strmap_new(free);
  out->kept = strmap_new(free);
  out->landed = strmap_new(free);
  if (rc == OME_OK && (!out->claims || !out->kept || !out->landed))
    rc = fail_memory(err);
  for (size_t i = 0; rc == OME_OK && i < names.list.len; i++)
    if (!streq(names.list.items[i], name))
      rc = read_other(s, names.list.items[i], out, err);
  return rc;
}
