/* Which file next, and what is told of it; one thread for each of the files that are sent at a time.  The requests of a
 * file are upload_send.c. */
#include "transfer/upload_internal.h"

#include "base/clock.h"
#include "base/str.h"
#include "os/file.h"
#include "transfer/digest.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_AT_A_TIME 32u /* more than connections: small files wait for the backend most of the time */
#define HASHERS 2u
#define PROGRESS_MS 500u

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void tell_locked(struct upload *u, enum transfer_event_type type, const char *file, const char *message) {
  uint64_t bytes = atomic_load(&u->bytes);
  struct transfer_event event = {.type = type,
                                 .file = file,
                                 .message = message,
                                 .bytes = bytes < u->total_bytes ? bytes : u->total_bytes,
                                 .total_bytes = u->total_bytes,
                                 .files = u->ndone,
                                 .total_files = (uint32_t)u->job->nfiles,
                                 .bytes_per_second = u->rate,
                                 .eta_ms = UINT64_MAX};

  if (u->rate >= 1)
    event.eta_ms = (uint64_t)((double)(event.total_bytes - event.bytes) * 1000 / u->rate);
  if (u->job->event)
    u->job->event(u->job->arg, &event);
}

void upload_retry_told(struct upload *u, const char *file, const char *message) {
  (void)pthread_mutex_lock(&u->lock);
  tell_locked(u, TRANSFER_RETRY, file, message);
  (void)pthread_mutex_unlock(&u->lock);
}

void upload_tick(struct upload *u) {
  uint64_t now = mono_ms();

  (void)pthread_mutex_lock(&u->lock);
  if (now - u->told_ms >= PROGRESS_MS) {
    uint64_t bytes = atomic_load(&u->bytes);
    double moved = bytes > u->told_bytes ? (double)(bytes - u->told_bytes) : 0;
    double rate = moved * 1000 / (double)(now - u->told_ms);
    u->rate = u->rate > 0 ? u->rate * 0.7 + rate * 0.3 : rate;
    u->told_ms = now;
    u->told_bytes = bytes;
    tell_locked(u, TRANSFER_PROGRESS, NULL, NULL);
  }
  (void)pthread_mutex_unlock(&u->lock);
}

bool upload_stopped(void *arg) {
  struct upload *u = arg;

  return atomic_load(&u->stop) || (u->job->cancelled && u->job->cancelled(u->job->arg));
}

/* ---- one file ---------------------------------------------------------------------------------------------------- */

static int32_t open_source(const char *from, int *out, uint64_t size, struct ome_err *err) {
  struct stat st;

  *out = open(from, O_RDONLY | O_CLOEXEC);
  if (*out < 0 || fstat(*out, &st) != 0)
    return fail_errno(err, "open", from);
  if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
    return fail(err, OME_E_CORRUPT, "upload: %s: it is being changed; try again when it is at rest", from);
  return OME_OK;
}

/* SHA-256 and MD5 in one pass over the file; a few at a time, which is what a disk and the other threads can bear. */
static int32_t hash(struct upload *u, struct upload_file *f, int fd, struct ome_err *err) {
  const struct manifest_file content = {.path = f->from, .size = f->size, .digest_type = OME_DIGEST_MD5};

  while (sem_wait(&u->hashing) != 0)
    continue;
  int32_t rc = digest_file(fd, &content, upload_stopped, u, f->sha256, f->md5, NULL, err);
  (void)sem_post(&u->hashing);
  return rc;
}

/* *SENT: it was not there. */
static int32_t send_file(struct upload *u, struct upload_file *f, bool *sent, struct ome_err *err) {
  _cleanup_close_ int fd = -1;
  const struct plugin_call call = {.cancelled = upload_stopped, .arg = u};
  const struct ome_upload_file view = {
      .struct_size = sizeof(view), .path = f->path, .size = f->size, .sha256 = f->sha256, .md5 = f->md5};
  struct upload_source source = {.upload = u, .file = f};
  int32_t rc = open_source(f->from, &fd, f->size, err);

  if (rc == OME_OK)
    rc = hash(u, f, fd, err);
  if (rc != OME_OK)
    return rc;
  *sent = !u->job->is_there || !u->job->is_there(u->job->arg, f);
  if (!*sent) {
    (void)atomic_fetch_add(&u->bytes, f->size);
    return OME_OK;
  }
  source.fd = fd;
  struct ome_uploader to = {.struct_size = sizeof(to), .ctx = &source, .send = upload_send, .read = upload_read};
  return plugin_storage_upload(u->job->plugin, &call, u->job->ref, &view, &to, err);
}

static struct upload_file *next_file(struct upload *u) {
  struct upload_file *f = NULL;

  (void)pthread_mutex_lock(&u->lock);
  if (!atomic_load(&u->stop) && u->nbegun < u->job->nfiles)
    f = &u->job->files[u->nbegun++];
  (void)pthread_mutex_unlock(&u->lock);
  return f;
}

static void *sender(void *arg) {
  struct upload *u = arg;
  struct upload_file *f;

  while ((f = next_file(u))) {
    struct ome_err err = ERR_INIT;
    bool sent = false;
    int32_t rc = send_file(u, f, &sent, &err);
    (void)pthread_mutex_lock(&u->lock);
    if (rc == OME_OK) {
      u->ndone++;
      if (sent)
        tell_locked(u, TRANSFER_FILE, f->path, NULL);
    } else if (!atomic_exchange(&u->stop, true)) { /* the first error is the cause, the others are its effects */
      u->rc = rc;
      u->err = err;
    }
    (void)pthread_mutex_unlock(&u->lock);
  }
  return NULL;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static int32_t run_threads(struct upload *u, struct ome_err *err) {
  pthread_t threads[FILES_AT_A_TIME];
  size_t n = 0;

  while (n < FILES_AT_A_TIME && n < u->job->nfiles && n < 4 * u->connections &&
         pthread_create(&threads[n], NULL, sender, u) == 0)
    n++;
  for (size_t i = 0; i < n; i++)
    (void)pthread_join(threads[i], NULL);
  if (n == 0 && u->job->nfiles)
    return fail(err, OME_E_NO_MEMORY, "upload: no thread could be started");
  if (u->rc != OME_OK)
    *err = u->err;
  else
    tell_locked(u, TRANSFER_PROGRESS, NULL, NULL);
  return u->rc;
}

int32_t upload_run(const struct upload_job *job, struct ome_err *err) {
  uint32_t connections = job->connections ? job->connections : 8;
  struct upload u = {.job = job,
                     .connections = connections < UPLOAD_CONNECTIONS_MAX ? connections : UPLOAD_CONNECTIONS_MAX,
                     .lock = PTHREAD_MUTEX_INITIALIZER,
                     .told_ms = mono_ms()};
  const struct http_client_config cfg = {.max_connections = u.connections};
  int32_t rc = http_client_new(&cfg, &u.client, err);

  if (rc != OME_OK)
    return rc;
  for (size_t i = 0; i < job->nfiles; i++)
    u.total_bytes += job->files[i].size;
  (void)sem_init(&u.hashing, 0, HASHERS);
  rc = run_threads(&u, err);
  (void)sem_destroy(&u.hashing);
  http_client_free(u.client);
  (void)pthread_mutex_destroy(&u.lock);
  return rc;
}
