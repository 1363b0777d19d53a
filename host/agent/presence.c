#include "agent/presence.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"
#include "base/strmap.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVERY_MS 2000u /* labels follow the disk within 5 s */

struct mark {
  char *path; /* below the folder */
  struct timespec mtime;
  off_t size;
  ino_t inode; /* 0: it was not there */
};

struct watched {
  char *folder;
  struct mark *marks;
  size_t nmarks;
};

struct presence {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t stopping;
  bool stop;
  struct strmap *models; /* key -> struct watched */
  struct presence_config cfg;
};

static void watched_free(void *p) {
  struct watched *w = p;

  for (size_t i = 0; w && i < w->nmarks; i++)
    free(w->marks[i].path);
  if (w)
    free(w->marks);
  if (w)
    free(w->folder);
  free(w);
}
DEFINE_CLEANUP(struct watched *, watched_free)

static void look(int folder, const char *path, struct mark *out) {
  struct stat st;

  *out = (struct mark){.path = out->path};
  if (folder < 0 || fstatat(folder, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
    return;
  out->mtime = st.st_mtim;
  out->size = st.st_size;
  out->inode = st.st_ino;
}

static bool same(const struct mark *a, const struct mark *b) {
  return a->inode && a->inode == b->inode && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
         a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static bool is_same(const struct watched *w) {
  _cleanup_close_ int folder = open(w->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  bool all = folder >= 0;

  for (size_t i = 0; all && i < w->nmarks; i++) {
    struct mark now = {.path = NULL};
    look(folder, w->marks[i].path, &now);
    all = same(&w->marks[i], &now);
  }
  return all;
}

/* One that differs, taken out; NULL: none.  Under the lock: a stat of a file that is in the cache takes a microsecond.
 */
static char *find_changed_locked(struct presence *p) {
  for (struct strmap_iter it = strmap_first(p->models); it.key; strmap_next(&it))
    if (!is_same(it.value)) {
      char *key = strdup(it.key);
      if (key)
        (void)strmap_del(p->models, key);
      return key;
    }
  return NULL;
}

static void sleep_locked(struct presence *p) {
  uint64_t due_ms = mono_ms() + EVERY_MS;

  while (!p->stop && cond_wait_until(&p->stopping, &p->lock, due_ms))
    continue;
}

static void *sweep(void *arg) {
  struct presence *p = arg;

  (void)pthread_setname_np(pthread_self(), "presence");
  (void)pthread_mutex_lock(&p->lock);
  while (!p->stop) {
    for (char *key; !p->stop && (key = find_changed_locked(p)) != NULL; free(key)) {
      (void)pthread_mutex_unlock(&p->lock);
      p->cfg.changed(p->cfg.arg, key);
      (void)pthread_mutex_lock(&p->lock);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (p->cfg.round)
      p->cfg.round(p->cfg.arg);
    (void)pthread_mutex_lock(&p->lock);
    sleep_locked(p);
  }
  (void)pthread_mutex_unlock(&p->lock);
  return NULL;
}

int32_t presence_watch(struct presence *p, const char *key, const char *path, const struct manifest *m,
                       struct ome_err *err) {
  _cleanup_(watched_freep) struct watched *w = calloc(1, sizeof(*w));
  _cleanup_close_ int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

  if (!w || !(w->folder = strdup(path)) || !(w->marks = calloc(m->files.len + 1, sizeof(*w->marks))))
    return fail_memory(err);
  for (; w->nmarks < m->files.len; w->nmarks++) {
    struct mark *mark = &w->marks[w->nmarks];
    mark->path = strdup(m->files.items[w->nmarks].path);
    if (!mark->path)
      return fail_memory(err);
    look(folder, mark->path, mark);
  }
  (void)pthread_mutex_lock(&p->lock);
  bool kept = strmap_put(p->models, key, w);
  if (kept)
    w = NULL;
  (void)pthread_mutex_unlock(&p->lock);
  return kept ? OME_OK : fail_memory(err);
}

void presence_forget(struct presence *p, const char *key) {
  (void)pthread_mutex_lock(&p->lock);
  (void)strmap_del(p->models, key);
  (void)pthread_mutex_unlock(&p->lock);
}

static void release(struct presence *p) {
  strmap_free(p->models);
  (void)pthread_cond_destroy(&p->stopping);
  (void)pthread_mutex_destroy(&p->lock);
  free(p);
}

int32_t presence_start(const struct presence_config *cfg, struct presence **out, struct ome_err *err) {
  struct presence *p = calloc(1, sizeof(*p));

  if (!p)
    return fail_memory(err);
  *p = (struct presence){.cfg = *cfg, .models = strmap_new(watched_free)};
  (void)pthread_mutex_init(&p->lock, NULL);
  cond_init(&p->stopping);
  if (!p->models || pthread_create(&p->thread, NULL, sweep, p) != 0) {
    release(p);
    return fail(err, OME_E_NO_MEMORY, "cannot start a thread");
  }
  *out = p;
  return OME_OK;
}

void presence_stop(struct presence *p) {
  if (!p)
    return;
  (void)pthread_mutex_lock(&p->lock);
  p->stop = true;
  (void)pthread_cond_signal(&p->stopping);
  (void)pthread_mutex_unlock(&p->lock);
  (void)pthread_join(p->thread, NULL);
  release(p);
}
