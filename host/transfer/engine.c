/* The driver: opens files, decides what becomes of failures, reports, and knows when it is over. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"
#include "os/file.h"
#include "transfer/internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#define TICK_MS 50u
#define PROGRESS_MS 500u
#define FIRST_CONNECTIONS 4u
#define DEFAULT_CONNECTIONS 16u
#define MAX_RESTARTS 4u
#define MAX_PARTS 8u
#define LONGEST_WAIT_MS 120000u /* a server that wants more is for the caller to come back to */
#define BUSY_PATIENCE 4u

bool engine_stopped(void *arg) {
  struct engine *e = arg;

  return atomic_load(&e->stop);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

/* Files that are worth a line of their own, as far as they are. */
static uint32_t list_parts(struct engine *e, struct transfer_part parts[MAX_PARTS]) {
  uint32_t n = 0;

  (void)pthread_mutex_lock(&e->lock);
  for (size_t i = 0; i < e->nopen && n < MAX_PARTS; i++) {
    const struct item *it = e->open[i];
    uint64_t bytes = it->ndone * it->piece;
    if (it->small || it->file->size == OME_SIZE_UNKNOWN)
      continue;
    for (uint32_t k = 0; k < e->nflights; k++)
      if (e->flights[k].state == FLIGHT_RUNNING && e->flights[k].item == it)
        bytes += atomic_load(&e->flights[k].at) - e->flights[k].index * it->piece;
    parts[n++] =
        (struct transfer_part){it->file->path, bytes < it->file->size ? bytes : it->file->size, it->file->size};
  }
  (void)pthread_mutex_unlock(&e->lock);
  return n;
}

/* What EVENT says beside its cause. */
static void complete_and_tell(struct engine *e, struct transfer_event *event) {
  uint64_t bytes = atomic_load(&e->bytes), total = e->job->manifest->total_bytes + atomic_load(&e->learnt);
  struct transfer_part parts[MAX_PARTS];

  if (!e->job->event)
    return;
  event->bytes = bytes < total ? bytes : total;
  event->total_bytes = total;
  event->fetched = atomic_load(&e->fetched);
  event->files = atomic_load(&e->nverified);
  event->total_files = (uint32_t)e->nfiles;
  event->bytes_per_second = e->rate;
  event->eta_ms = e->rate >= 1 && bytes <= total ? (uint64_t)((double)(total - bytes) * 1000 / e->rate) : UINT64_MAX;
  event->parts = parts;
  event->nparts = event->type == TRANSFER_PROGRESS ? list_parts(e, parts) : 0;
  e->job->event(e->job->arg, event);
}

void tell(struct engine *e, enum transfer_event_type type, const char *file) {
  struct transfer_event event = {.type = type, .file = file};

  complete_and_tell(e, &event);
}

static void tell_retry(struct engine *e, const char *file, int32_t code, const char *message, uint64_t wait_ms) {
  struct transfer_event event = {
      .type = TRANSFER_RETRY, .file = file, .message = message, .code = code, .wait_ms = wait_ms};

  complete_and_tell(e, &event);
}

/* The rate follows what happens now, smoothed over a few seconds. */
static void tick(struct engine *e) {
  uint64_t now = mono_ms(), bytes = atomic_load(&e->bytes);

  if (now - e->told_ms < PROGRESS_MS)
    return;
  double moved = bytes > e->told_bytes ? (double)(bytes - e->told_bytes) : 0;
  double rate = moved * 1000 / (double)(now - e->told_ms);
  e->rate = e->rate > 0 ? e->rate * 0.7 + rate * 0.3 : rate;
  atomic_store(&e->shown_rate, (uint64_t)e->rate);
  e->told_ms = now;
  e->told_bytes = bytes;
  tell(e, TRANSFER_PROGRESS, NULL);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static int32_t check_space(const struct engine *e, struct ome_err *err) {
  uint64_t have = atomic_load(&e->bytes), total = e->job->manifest->total_bytes;
  uint64_t need = (total > have ? total - have : 0) + e->job->reserve_bytes;
  char wanted[32], there[32];
  struct statvfs vfs;

  if (statvfs(e->job->dir, &vfs) != 0)
    return fail_errno(err, "look at", e->job->dir);
  uint64_t room = (uint64_t)vfs.f_bavail * vfs.f_frsize;
  /* Space that an earlier attempt took for itself is not free and not needed again: the files say so themselves. */
  for (size_t i = 0; need > room && i < e->nfiles; i++) {
    _cleanup_free_ char *full = e->known[i] ? NULL : path_join(e->job->dir, e->job->manifest->files.items[i].path);
    struct stat st;
    if (full && lstat(full, &st) == 0)
      room += (uint64_t)st.st_blocks * 512;
  }
  if (need <= room)
    return OME_OK;
  format_bytes(need, wanted);
  format_bytes(room, there);
  return fail(err, OME_E_NO_SPACE, "fetch: %s: needs %s and has %s; free some space", e->job->dir, wanted, there);
}

/* ---- opening and launching --------------------------------------------------------------------------------------- */

/* As many files as keep all flights busy are open, no more: the rest waits as names.  The opener is a thread of its own
 * so that nobody who is told of a file, or a slow disk, keeps the lanes waiting. */
static bool wants_more_locked(const struct engine *e) {
  return e->next_file < e->nfiles && e->nopen < MAX_OPEN && e->nabsent < LOOKAHEAD;
}

static int32_t open_next_locked(struct engine *e, struct ome_err *err) {
  size_t i = e->next_file++;

  if (e->known[i])
    return OME_OK;
  (void)pthread_mutex_unlock(&e->lock);
  struct item *it = item_open(e, &e->job->manifest->files.items[i], err);
  (void)pthread_mutex_lock(&e->lock);
  if (!it)
    return err->code;
  if (item_is_stale(e, it) && !item_is_whole(it) && !it->local && item_refresh_locked(e, it, err) != OME_OK) {
    item_free(it);
    return err->code;
  }
  e->open[e->nopen++] = it;
  e->nabsent += it->npieces - it->ndone;
  if (it->local || it->ndone)
    (void)pthread_cond_signal(&e->work);
  return OME_OK;
}

/* Tries are counted by file: all its flights see the same change. */
static int32_t restart_locked(struct engine *e, struct item *it, struct ome_err *err) {
  struct ome_err why = it->err;

  if (++it->corrupt > MAX_RESTARTS) {
    *err = why;
    return err_advise(err, "run it again when nobody changes the file, or look at the server and what is before it");
  }
  (void)err_advise(&why, "starting again");
  int32_t rc = item_reset_locked(e, it, err);
  (void)pthread_mutex_unlock(&e->lock);
  tell_retry(e, it->file->path, why.code, why.msg, 0);
  (void)pthread_mutex_lock(&e->lock);
  return rc;
}

/* What open files wait for and only the driver does. */
static int32_t tend_locked(struct engine *e, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (size_t i = 0; rc == OME_OK && i < e->nopen; i++) {
    struct item *it = e->open[i];
    if (atomic_load(&it->restart) && it->flying == 0 && !it->busy)
      rc = restart_locked(e, it, err);
    else if (!it->checked && !it->local && !item_is_whole(it) && item_is_stale(e, it))
      rc = item_refresh_locked(e, it, err);
  }
  return rc;
}

static void launch_locked(struct engine *e) {
  uint64_t now = mono_ms();

  for (uint32_t i = 0; !atomic_load(&e->stop) && i < e->nflights; i++) {
    struct flight *f = &e->flights[i];
    if (f->state == FLIGHT_WAITING && atomic_load(&f->item->restart))
      flight_pass_on_locked(f);
    else if (f->state == FLIGHT_WAITING && f->not_before_ms <= now && !item_is_stale(e, f->item) &&
             now >= f->item->host->held_until_ms)
      flight_start_locked(f);
    else if (f->state == FLIGHT_FREE)
      flight_launch_locked(f);
  }
}

static void *opener(void *arg) {
  struct engine *e = arg;
  struct ome_err err = ERR_INIT;
  int32_t rc = OME_OK;

  (void)pthread_setname_np(pthread_self(), "opener");
  (void)pthread_mutex_lock(&e->lock);
  while (rc == OME_OK && !atomic_load(&e->stop) && e->next_file < e->nfiles) {
    if (!wants_more_locked(e)) {
      (void)pthread_cond_wait(&e->opens, &e->lock);
      continue;
    }
    rc = open_next_locked(e, &err);
    if (rc == OME_OK && e->nabsent)
      launch_locked(e);
  }
  if (rc != OME_OK) {
    e->failure = err;
    e->failure.code = rc;
  }
  (void)pthread_cond_signal(&e->news);
  (void)pthread_mutex_unlock(&e->lock);
  return NULL;
}

static int32_t work_locked(struct engine *e, struct ome_err *err) {
  int32_t rc = tend_locked(e, err);

  launch_locked(e);
  if (wants_more_locked(e))
    (void)pthread_cond_signal(&e->opens);
  if (rc == OME_OK && e->failure.code != OME_OK) {
    *err = e->failure;
    rc = err->code;
  }
  return rc;
}

/* ---- landing ----------------------------------------------------------------------------------------------------- */

static const char *advice_on_denial(int status) {
  switch (status) {
  case 0: /* no certificate that is trusted; what to do is said */
    return "";
  case 401:
    return "; give credentials that may read it (a token or key), or check those given";
  default:
    return "; the credentials may not read it: ask for access";
  }
}

static const char *advice(const struct flight *f) {
  if (f->disk) /* errno said what to do */
    return "";
  switch (f->rc) {
  case OME_E_DENIED:
    return advice_on_denial(f->status);
  case OME_E_GATED:
    return "; accept its terms where it is from, and give a token of that account";
  case OME_E_NOT_FOUND:
    return "; check the name, the revision and whether the file was removed";
  case OME_E_BUSY:
    return "; the server limits the rate, try later or with a token";
  case OME_E_INVALID:
    return "; check the address";
  case OME_E_UNAVAILABLE:
  case OME_E_DEADLINE:
    return "; the server or the way to it is in trouble, try again later";
  default:
    return "";
  }
}

static int32_t give_up(const struct flight *f, struct ome_err *err) {
  *err = f->err;
  size_t used = strlen(err->msg);
  (void)snprintf(err->msg + used, sizeof(err->msg) - used, "%s", advice(f));
  return err->code;
}

/* Exponential with full jitter, 0.2 s to 30 s, or what the server asks for. */
uint64_t back_off_ms(uint32_t attempt, uint32_t retry_after_ms) {
  uint64_t cap = attempt < 8 ? (uint64_t)200 << attempt : 30000;
  uint32_t chance;

  if (retry_after_ms)
    return retry_after_ms;
  random_bytes(&chance, sizeof(chance));
  cap = cap < 30000 ? cap : 30000;
  return cap / 2 + chance % (cap / 2 + 1);
}

/* Failed, but not for good: waits in its place.  What it has written stays. */
static void wait_again_locked(struct engine *e, struct flight *f) {
  char message[sizeof(f->err.msg)];
  int32_t code = f->err.code;
  uint64_t ms = back_off_ms(f->attempts, f->err.retry_after_ms);

  (void)snprintf(message, sizeof(message), "%.400s; again in %.1f s", f->err.msg, (double)ms / 1000);
  f->not_before_ms = mono_ms() + ms;
  if (f->status == 429 || f->status == 503)
    pace_too_many(f->item->host, f->not_before_ms);
  f->state = FLIGHT_WAITING;
  (void)pthread_mutex_unlock(&e->lock);
  tell_retry(e, f->item->file->path, code, message, ms);
  (void)pthread_mutex_lock(&e->lock);
}

/* Credentials run out: all flights of the file find that out at once, and one asks for others. */
static bool may_refresh(const struct engine *e, const struct flight *f) {
  struct item *it = f->item;

  if (!f->status || !e->job->plugin || !it->file->url)
    return false;
  if (f->refreshed != it->refreshed) /* sent with the old ones */
    return true;
  if (it->denied)
    return false;
  it->denied = true;
  it->refreshed++;
  item_drop_parts(it);
  return true;
}

static int32_t land_locked(struct engine *e, struct flight *f, struct ome_err *err) {
  struct item *it = f->item;
  /* A server that names the time to come back is busy, not broken: it is asked more often. */
  uint32_t allowed = (e->job->attempts ? e->job->attempts : 6) * (f->err.retry_after_ms ? BUSY_PATIENCE : 1);

  if (atomic_load(&it->restart)) {
    if (f->rc != OME_OK && f->rc != OME_E_CANCELLED)
      it->err = f->err;
    flight_pass_on_locked(f);
    return OME_OK;
  }
  if (f->peer && !f->disk) {
    flight_pass_on_locked(f);
    return OME_OK;
  }
  if (f->rc == OME_E_DENIED && may_refresh(e, f)) {
    wait_again_locked(e, f);
    return OME_OK;
  }
  f->attempts = atomic_load(&f->at) > f->began_at ? 1 : f->attempts + 1;
  if (f->disk || !err_retryable(f->rc) || f->attempts >= allowed || f->err.retry_after_ms > LONGEST_WAIT_MS)
    return give_up(f, err);
  wait_again_locked(e, f);
  return OME_OK;
}

/* Who it was is found out when the file is whole: see struct transfer_swarm. */
static void suspect(struct engine *e, const struct item *it) {
  (void)pthread_mutex_unlock(&e->lock);
  e->job->swarm->corrupt(e->job->swarm->arg, it->file, it->fd);
  (void)pthread_mutex_lock(&e->lock);
}

static void acquit(struct engine *e, struct item *it) {
  if (!it->shared)
    return;
  (void)pthread_mutex_unlock(&e->lock);
  e->job->swarm->verified(e->job->swarm->arg, it->file, it->fd);
  (void)pthread_mutex_lock(&e->lock);
}

static int32_t land_check_locked(struct engine *e, struct item *it, struct ome_err *err) {
  if (it->verdict == OME_OK) {
    acquit(e, it);
    if (!item_verified_locked(e, it))
      return OME_OK;
    int32_t rc = ledger_verified(e->ledger, it->file->path, it->file->sha256, err);
    if (rc == OME_OK)
      rc = ledger_flush(e->ledger, err);
    (void)pthread_mutex_unlock(&e->lock);
    tell(e, TRANSFER_FILE, it->file->path);
    (void)pthread_mutex_lock(&e->lock);
    return rc;
  }
  it->file->sha256[0] = '\0';
  if (it->verdict == OME_E_CORRUPT && it->shared)
    suspect(e, it);
  if (it->verdict != OME_E_CORRUPT || it->local || it->corrupt >= MAX_CORRUPT) {
    *err = it->err;
    return it->verdict;
  }
  return restart_locked(e, it, err);
}

/* Whatever has come in since the last look. */
static int32_t collect_locked(struct engine *e, struct ome_err *err) {
  int32_t rc = OME_OK;

  for (uint32_t i = 0; rc == OME_OK && i < e->nflights; i++)
    if (e->flights[i].state == FLIGHT_LANDED)
      rc = land_locked(e, &e->flights[i], err);
  for (size_t i = e->nopen; rc == OME_OK && i-- > 0;) /* it may leave the list */
    if (e->open[i]->checked && e->open[i]->flying == 0 && !e->open[i]->busy)
      rc = land_check_locked(e, e->open[i], err);
  return rc;
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static void wait_for_news_locked(struct engine *e) {
  (void)cond_wait_until(&e->news, &e->lock, mono_ms() + TICK_MS);
}

static bool has_news_locked(const struct engine *e) {
  for (uint32_t i = 0; i < e->nflights; i++)
    if (e->flights[i].state == FLIGHT_LANDED)
      return true;
  for (size_t i = 0; i < e->nopen; i++)
    if (e->open[i]->checked)
      return true;
  return e->failure.code != OME_OK;
}

/* What comes and what is hashed, as the one may be ahead of the other for a while; small files count by the request. */
static void measure_locked(struct engine *e) {
  const struct pace_sample now = {.now_ms = mono_ms(),
                                  .work = atomic_load(&e->bytes) + atomic_load(&e->hashed) +
                                          65536 * atomic_load(&e->requests),
                                  .cpu_ms = cpu_ns() / 1000000};

  if (!e->job->swarm) /* peers have their own measure: many requests wait there for what is on its way */
    pace_measure(&e->growth, &now);
}

static int32_t step(struct engine *e, struct ome_err *err) {
  if (e->job->cancelled && e->job->cancelled(e->job->arg))
    return fail(err, OME_E_CANCELLED, "fetch: stopped; what is there is kept for the next time");
  (void)pthread_mutex_lock(&e->lock);
  int32_t rc = collect_locked(e, err);
  if (rc == OME_OK)
    rc = work_locked(e, err);
  measure_locked(e);
  if (rc == OME_OK && atomic_load(&e->nverified) < e->nfiles && !has_news_locked(e))
    wait_for_news_locked(e);
  (void)pthread_mutex_unlock(&e->lock);
  tick(e);
  return rc == OME_OK ? items_sync(e, err) : rc;
}

static int32_t drive(struct engine *e, struct ome_err *err) {
  int32_t rc = OME_OK;

  tell(e, TRANSFER_PROGRESS, NULL);
  while (rc == OME_OK && atomic_load(&e->nverified) < e->nfiles)
    rc = step(e, err);
  if (rc == OME_OK)
    rc = items_sync(e, err);
  if (rc == OME_OK)
    tell(e, TRANSFER_PROGRESS, NULL);
  return rc;
}

/* Ends what is under way and waits for it. */
static void settle(struct engine *e) {
  atomic_store(&e->stop, true);
  (void)pthread_mutex_lock(&e->lock);
  (void)pthread_cond_broadcast(&e->work);
  (void)pthread_cond_broadcast(&e->reads);
  (void)pthread_cond_broadcast(&e->opens);
  for (uint32_t i = 0; i < e->nflights; i++)
    if (e->flights[i].fetch)
      http_fetch_cancel(e->flights[i].fetch);
  for (uint32_t i = 0; i < e->nflights; i++)
    while (e->flights[i].state == FLIGHT_RUNNING)
      (void)pthread_cond_wait(&e->news, &e->lock);
  (void)pthread_mutex_unlock(&e->lock);
}

static bool needs_reader(const struct engine *e) {
  for (size_t i = 0; i < e->nfiles; i++)
    if (!e->known[i] && !e->job->manifest->files.items[i].url)
      return true;
  return false;
}

static uint32_t processors(void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);

  return n < 1 ? 1 : (uint32_t)n;
}

/* One for each processor, but two, as one may be waiting for the disk, and no more than there are files. */
static size_t hashers_for(const struct engine *e) {
  uint32_t cpus = processors();
  size_t n = cpus < 2 ? 2 : cpus > MAX_HASHERS ? MAX_HASHERS : cpus;

  return n > e->nfiles && e->nfiles ? e->nfiles : n;
}

static int32_t run_threads(struct engine *e, struct ome_err *err) {
  pthread_t threads[1 + MAX_HASHERS + MAX_READERS];
  size_t n = 0, nhashers = hashers_for(e), nreaders = needs_reader(e) ? MAX_READERS : 0;
  bool ok = true;

  while (ok && n < 1 + nhashers + nreaders) {
    ok = pthread_create(&threads[n], NULL, n == 0 ? opener : n <= nhashers ? hasher : flight_reader, e) == 0;
    n += ok;
  }
  int32_t rc = ok ? drive(e, err) : fail(err, OME_E_NO_MEMORY, "fetch: no thread could be started");
  settle(e);
  for (size_t i = 0; i < n; i++)
    (void)pthread_join(threads[i], NULL);
  return rc;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t make_lanes(struct engine *e, struct ome_err *err) {
  const struct http_client_config cfg = {.max_connections = e->nflights};
  uint32_t cpus = processors();
  uint32_t wanted = cpus < 2 ? 1 : cpus < 8 ? 2 : MAX_LANES;
  int32_t rc = OME_OK;

  for (; rc == OME_OK && e->nlanes < wanted; e->nlanes += rc == OME_OK)
    rc = http_client_new(&cfg, &e->lanes[e->nlanes], err);
  for (uint32_t i = 0; rc == OME_OK && i < e->nflights; i++) {
    e->flights[i].engine = e;
    e->flights[i].client = e->lanes[i % e->nlanes];
  }
  return rc;
}

/* The job's own bound, else the one that the model's parameter says. */
static int32_t set_rate(struct engine *e, struct ome_err *err) {
  uint64_t rate = e->job->max_bytes_per_second;
  int32_t rc = e->job->ref && !rate ? manifest_max_rate(e->job->ref, &rate, err) : OME_OK;

  atomic_store(&e->bucket.rate, rate);
  return rc;
}

static int32_t prepare(struct engine *e, struct ome_err *err) {
  struct manifest *m = e->job->manifest;
  int32_t rc = set_rate(e, err);
  struct statfs fs;

  if (rc == OME_OK)
    rc = dir_make(e->job->dir, 0755, err);
  if (rc == OME_OK)
    e->dir = open(e->job->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (rc == OME_OK && e->dir < 0)
    rc = fail_errno(err, "open", e->job->dir);
  if (rc == OME_OK)
    rc = ledger_open(e->job->dir, &e->ledger, err);
  if (rc == OME_OK)
    rc = make_lanes(e, err);
  if (rc != OME_OK)
    return rc;
  e->in_memory = fstatfs(e->dir, &fs) == 0 && fs.f_type == TMPFS_MAGIC;
  e->known = calloc(m->files.len + 1, sizeof(*e->known));
  e->hosts = strmap_new(free);
  if (!e->known || !e->hosts)
    return fail_memory(err);
  for (; e->nfiles < m->files.len; e->nfiles++)
    e->known[e->nfiles] = file_is_known(e, &m->files.items[e->nfiles]);
  e->told_bytes = atomic_load(&e->bytes);
  e->told_ms = e->synced_ms = mono_ms();
  return check_space(e, err);
}

static void engine_free(struct engine *e) {
  for (uint32_t i = 0; i < e->nlanes; i++)
    http_client_free(e->lanes[i]);
  for (size_t i = 0; i < e->nopen; i++) {
    blocks_drop_locked(e, e->open[i]);
    item_free(e->open[i]);
  }
  items_free_over(e);
  blocks_free(e);
  closep(&e->dir);
  free(e->known);
  VEC_FREE(&e->unsynced);
  if (e->hosts)
    strmap_free(e->hosts);
  if (e->ledger)
    ledger_free(e->ledger);
  (void)pthread_cond_destroy(&e->news);
  (void)pthread_cond_destroy(&e->work);
  (void)pthread_cond_destroy(&e->reads);
  (void)pthread_cond_destroy(&e->opens);
  (void)pthread_mutex_destroy(&e->lock);
  (void)pthread_mutex_destroy(&e->bucket.lock);
  free(e);
}

static struct engine *engine_new(const struct transfer_job *job) {
  struct engine *e = calloc(1, sizeof(*e));
  uint32_t connections = job->connections ? job->connections : DEFAULT_CONNECTIONS;

  if (!e)
    return NULL;
  e->job = job;
  e->dir = -1;
  e->nflights = connections < MAX_FLIGHTS ? connections : MAX_FLIGHTS;
  e->growth.max = e->nflights;
  e->growth.processors = processors();
  e->growth.want = e->nflights < FIRST_CONNECTIONS || job->swarm ? e->nflights : FIRST_CONNECTIONS;
  e->stall_ms = job->stall_timeout_ms ? job->stall_timeout_ms : 30000;
  (void)pthread_mutex_init(&e->bucket.lock, NULL);
  (void)pthread_mutex_init(&e->lock, NULL);
  cond_init(&e->news);
  (void)pthread_cond_init(&e->work, NULL);
  (void)pthread_cond_init(&e->reads, NULL);
  (void)pthread_cond_init(&e->opens, NULL);
  return e;
}

void transfer_set_max_rate(uint64_t bytes_per_second) {
  atomic_store(&pace_process()->rate, bytes_per_second);
}

int32_t transfer_run(const struct transfer_job *job, struct ome_err *err) {
  struct engine *e = engine_new(job);

  if (!e)
    return fail_memory(err);
  int32_t rc = prepare(e, err);
  if (rc == OME_OK)
    rc = run_threads(e, err);
  job->manifest->total_bytes += atomic_load(&e->learnt);
  engine_free(e);
  return rc;
}
