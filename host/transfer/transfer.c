#include "transfer/transfer.h"

#include "base/clock.h"
#include "base/str.h"
#include "base/vec.h"
#include "os/file.h"
#include "transfer/ledger.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ATTEMPTS 6u
#define REPORT_MS 250u
#define STALL_MS 30000u

/* One range in flight. */
struct fetch {
  struct run *run;
  struct http_fetch *http; /* NULL: the slot is free */
  uint64_t range, at, end;  /* AT moves from the range's start to END */
  bool refused;             /* by us: wrong status, too many bytes, a full disk */
  struct ome_err err;       /* why */
  int status;
};

/* The present file. */
struct run {
  const struct transfer_job *job;
  const struct manifest_file *file;
  struct ledger *ledger;
  int fd;
  uint64_t next; /* the first range not looked at */
  uint64_t done_before; /* bytes of the files that are complete */
  size_t files_done;
  VEC(char *) headers; /* "Name: value" from the plugin; secret */
  struct fetch fetches[RANGES_AT_ONCE];
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned ended; /* bit set: that fetch is over and to be looked at */
    struct ome_err errs[RANGES_AT_ONCE];
    int32_t codes[RANGES_AT_ONCE];
    uint64_t in_flight; /* bytes of unfinished ranges */
  } shared;
  uint64_t reported_ms, rate_ms, rate_bytes;
  double rate;
};

/* ---- progress --------------------------------------------------------------------------------------------------- */

static void report(struct run *r, enum transfer_event event, const char *message) {
  uint64_t now = mono_ms();
  uint64_t in_flight;

  if (!r->job->on_progress || (event == TRANSFER_PROGRESS && now - r->reported_ms < REPORT_MS))
    return;
  (void)pthread_mutex_lock(&r->shared.lock);
  in_flight = r->shared.in_flight;
  (void)pthread_mutex_unlock(&r->shared.lock);
  uint64_t bytes = r->done_before + (r->ledger ? ledger_bytes(r->ledger) : 0) + in_flight;
  if (now - r->rate_ms >= 1000) {
    r->rate = bytes > r->rate_bytes ? (double)(bytes - r->rate_bytes) * 1000 / (double)(now - r->rate_ms) : 0;
    r->rate_ms = now;
    r->rate_bytes = bytes;
  }
  r->reported_ms = now;
  const struct transfer_progress p = {.event = event,
                                      .bytes = bytes,
                                      .total_bytes = r->job->manifest->bytes,
                                      .files = r->files_done,
                                      .total_files = r->job->manifest->n,
                                      .bytes_per_second = r->rate,
                                      .message = message};
  r->job->on_progress(r->job->arg, &p);
}

static bool is_cancelled(const struct run *r) {
  return r->job->cancelled && r->job->cancelled(r->job->arg);
}

/* ---- one range, on the client's thread -------------------------------------------------------------------------- */

static bool refuse(struct fetch *f) {
  f->refused = true;
  return false;
}

static bool on_head(void *arg, int status, const char *headers, const char *url) {
  struct fetch *f = arg;
  char range[128];
  unsigned long long first;

  (void)url;
  f->status = status;
  if (status == 206) {
    if (http_headers_get(headers, "content-range", range, sizeof(range)) &&
        sscanf(range, "bytes %llu-", &first) == 1 && first == f->at) /* NOLINT(cert-err34-c) */
      return true;
    (void)fail(&f->err, OME_E_CORRUPT, "%s: the server sent another range than was asked for", f->run->file->path);
    return refuse(f);
  }
  /* A server without ranges: fine when the whole file was wanted anyway. */
  if (status == 200 && f->at == 0 && f->end == f->run->file->size)
    return true;
  if (status == 200)
    (void)fail(&f->err, OME_E_UNSUPPORTED, "%s: the server does not serve ranges", f->run->file->path);
  else
    (void)fail_status(&f->err, status, headers, "download", f->run->file->path);
  return refuse(f);
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct fetch *f = arg;
  const char *p = data;

  if (len > f->end - f->at) {
    (void)fail(&f->err, OME_E_CORRUPT, "%s: the server sends more bytes than it said", f->run->file->path);
    return refuse(f);
  }
  while (len) {
    ssize_t n = TEMP_FAILURE_RETRY(pwrite(f->run->fd, p, len, (off_t)f->at));
    if (n < 0) {
      (void)fail_errno(&f->err, "write", f->run->file->path);
      return refuse(f);
    }
    p += n;
    len -= (size_t)n;
    f->at += (uint64_t)n;
    (void)pthread_mutex_lock(&f->run->shared.lock);
    f->run->shared.in_flight += (uint64_t)n;
    (void)pthread_mutex_unlock(&f->run->shared.lock);
  }
  return true;
}

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct fetch *f = arg;
  struct run *r = f->run;
  size_t i = (size_t)(f - r->fetches);

  (void)pthread_mutex_lock(&r->shared.lock);
  r->shared.errs[i] = f->refused ? f->err : *err;
  r->shared.codes[i] = f->refused ? f->err.code : rc;
  r->shared.ended |= 1u << i;
  (void)pthread_cond_signal(&r->shared.changed);
  (void)pthread_mutex_unlock(&r->shared.lock);
}

static const struct http_fetch_ops fetch_ops = {on_head, on_body, on_done};

/* ---- requests --------------------------------------------------------------------------------------------------- */

struct header_sink {
  struct ome_kv_sink base;
  struct run *run;
};

static int32_t on_header(struct ome_kv_sink *sink, const char *key, const char *value) {
  struct run *r = ((struct header_sink *)sink)->run;
  char *line = str_printf("%s: %s", key, value);

  if (line && VEC_PUSH(&r->headers, line))
    return OME_OK;
  free(line);
  return OME_E_NO_MEMORY;
}

static void drop_headers(struct run *r) {
  for (size_t i = 0; i < r->headers.len; i++) {
    explicit_bzero(r->headers.items[i], strlen(r->headers.items[i]));
    free(r->headers.items[i]);
  }
  r->headers.len = 0;
}

/* Fresh credentials for the present file. */
static int32_t get_headers(struct run *r, struct ome_err *err) {
  struct header_sink sink = {.base = {.struct_size = sizeof(sink.base), .kv = on_header}, .run = r};
  const struct ome_model_file file = {.struct_size = sizeof(file),
                                      .path = r->file->path,
                                      .size = r->file->size,
                                      .digest_type = r->file->digest_type,
                                      .digest = r->file->digest,
                                      .url = r->file->url,
                                      .etag = r->file->etag};
  const struct plugin_call call = {.timeout_ms = 60000, .cancelled = r->job->cancelled, .arg = r->job->arg};

  drop_headers(r);
  int32_t rc = plugin_storage_headers(r->job->storage, &call, r->job->ref, &file, &sink.base, err);
  return rc == OME_E_UNSUPPORTED ? OME_OK : rc;
}

static int32_t start_fetch(struct run *r, struct fetch *f, uint64_t range, struct ome_err *err) {
  char range_header[80];
  const char *headers[40] = {NULL};
  size_t n = 0;

  *f = (struct fetch){.run = r, .range = range, .at = range * RANGE_BYTES};
  f->end = f->at + ledger_range_length(r->ledger, range);
  (void)snprintf(range_header, sizeof(range_header), "Range: bytes=%llu-%llu", (unsigned long long)f->at,
                 (unsigned long long)f->end - 1);
  headers[n++] = range_header;
  headers[n++] = "Accept-Encoding: identity";
  for (size_t i = 0; i < r->headers.len && n + 1 < ARRAY_LEN(headers); i++)
    headers[n++] = r->headers.items[i];
  const struct http_request req = {
      .url = r->file->url, .headers = headers, .max_redirects = 5, .stall_timeout_ms = STALL_MS};
  f->http = http_fetch_start(r->job->http, &req, &fetch_ops, f);
  return f->http ? OME_OK : fail_memory(err);
}

/* Fills free slots with ranges that are not there. */
static int32_t start_more(struct run *r, size_t *running, struct ome_err *err) {
  for (size_t i = 0; i < RANGES_AT_ONCE; i++) {
    if (r->fetches[i].http)
      continue;
    while (r->next < ledger_ranges(r->ledger) && ledger_has(r->ledger, r->next))
      r->next++;
    if (r->next == ledger_ranges(r->ledger))
      return OME_OK;
    int32_t rc = start_fetch(r, &r->fetches[i], r->next++, err);
    if (rc != OME_OK)
      return rc;
    ++*running;
  }
  return OME_OK;
}

/* Waits for fetches to end, at most until the next report; which. */
static unsigned wait_for_some(struct run *r) {
  uint64_t due = mono_ms() + REPORT_MS;
  struct timespec until = {(time_t)(due / 1000), (long)(due % 1000) * 1000000};
  unsigned ended;

  (void)pthread_mutex_lock(&r->shared.lock);
  while (!r->shared.ended && mono_ms() < due)
    (void)pthread_cond_timedwait(&r->shared.changed, &r->shared.lock, &until);
  ended = r->shared.ended;
  r->shared.ended = 0;
  (void)pthread_mutex_unlock(&r->shared.lock);
  return ended;
}

/* Takes the end of slot I: into the ledger, or *ERR. */
static int32_t settle(struct run *r, size_t i, struct ome_err *err) {
  struct fetch *f = &r->fetches[i];
  uint64_t start = f->range * RANGE_BYTES;

  f->http = NULL;
  (void)pthread_mutex_lock(&r->shared.lock);
  int32_t rc = r->shared.codes[i];
  struct ome_err why = r->shared.errs[i];
  r->shared.in_flight -= f->at - start;
  (void)pthread_mutex_unlock(&r->shared.lock);
  if (rc == OME_OK && f->at != f->end)
    rc = fail(&why, OME_E_UNAVAILABLE, "%s: the connection ended early", r->file->path);
  if (rc == OME_OK)
    return ledger_add(r->ledger, f->range, err);
  *err = why;
  return rc;
}

static void cancel_all(struct run *r) {
  (void)pthread_mutex_lock(&r->shared.lock);
  for (size_t i = 0; i < RANGES_AT_ONCE; i++)
    if (r->fetches[i].http && !(r->shared.ended & 1u << i))
      http_fetch_cancel(r->fetches[i].http);
  (void)pthread_mutex_unlock(&r->shared.lock);
}

/* Fetches every missing range once; the first error ends the rest. */
static int32_t fetch_ranges(struct run *r, struct ome_err *err) {
  size_t running = 0;
  int32_t rc = OME_OK;

  r->next = 0;
  rc = start_more(r, &running, err);
  while (running) {
    unsigned ended = wait_for_some(r);
    for (size_t i = 0; i < RANGES_AT_ONCE; i++) {
      struct ome_err one = ERR_INIT;
      if (!(ended & 1u << i))
        continue;
      running--;
      int32_t got = settle(r, i, &one);
      if (got != OME_OK && rc == OME_OK) {
        rc = got;
        *err = one;
        cancel_all(r);
      }
    }
    if (rc == OME_OK && is_cancelled(r)) {
      rc = fail(err, OME_E_CANCELLED, "download: %s: cancelled", r->file->path);
      cancel_all(r);
    }
    if (rc == OME_OK)
      rc = start_more(r, &running, err);
    report(r, TRANSFER_PROGRESS, r->file->path);
  }
  return rc;
}

/* ---- backends without URLs -------------------------------------------------------------------------------------- */

struct byte_sink {
  struct ome_byte_sink base;
  struct run *run;
  uint64_t at, end;
};

static int32_t on_bytes(struct ome_byte_sink *sink, const void *data, uint64_t len) {
  struct byte_sink *s = (struct byte_sink *)sink;

  if (len > s->end - s->at || pwrite(s->run->fd, data, (size_t)len, (off_t)s->at) != (ssize_t)len)
    return errno == ENOSPC ? OME_E_NO_SPACE : OME_E_INTERNAL;
  s->at += len;
  return OME_OK;
}

static int32_t read_ranges(struct run *r, struct ome_err *err) {
  const struct ome_model_file file = {.struct_size = sizeof(file), .path = r->file->path, .size = r->file->size};
  const struct plugin_call call = {.cancelled = r->job->cancelled, .arg = r->job->arg};

  for (uint64_t i = 0; i < ledger_ranges(r->ledger); i++) {
    struct byte_sink sink = {.base = {.struct_size = sizeof(sink.base), .write = on_bytes}, .run = r,
                             .at = i * RANGE_BYTES};
    if (ledger_has(r->ledger, i))
      continue;
    if (is_cancelled(r))
      return fail(err, OME_E_CANCELLED, "copy: %s: cancelled", r->file->path);
    uint64_t len = ledger_range_length(r->ledger, i);
    sink.end = sink.at + len;
    int32_t rc = plugin_storage_read(r->job->storage, &call, r->job->ref, &file, sink.at, len, &sink.base, err);
    if (rc == OME_OK && sink.at != sink.end)
      rc = fail(err, OME_E_UNAVAILABLE, "copy: %s: the plugin gave too few bytes", r->file->path);
    if (rc == OME_OK)
      rc = ledger_add(r->ledger, i, err);
    if (rc != OME_OK)
      return rc;
    report(r, TRANSFER_PROGRESS, r->file->path);
  }
  return OME_OK;
}

/* ---- one file --------------------------------------------------------------------------------------------------- */

/* Waits MS, or until cancelled. */
static void rest(const struct run *r, uint64_t ms) {
  uint64_t due = mono_ms() + ms;

  while (mono_ms() < due && !is_cancelled(r)) {
    struct timespec slice = {0, 50 * 1000000};
    (void)nanosleep(&slice, NULL);
  }
}

static uint64_t backoff_ms(unsigned attempt, const struct ome_err *err) {
  uint8_t chance;

  if (err->retry_after_ms)
    return err->retry_after_ms < 60000 ? err->retry_after_ms : 60000;
  random_bytes(&chance, 1);
  return (200u << attempt) + chance;
}

/* Brings the present file's bytes in; credentials are renewed once, the rest retried. */
static int32_t fetch_file(struct run *r, struct ome_err *err) {
  bool renewed = false;

  for (unsigned attempt = 0;; attempt++) {
    int32_t rc = r->file->url ? fetch_ranges(r, err) : read_ranges(r, err);
    bool again = err_retryable(rc) && rc != OME_E_NO_SPACE && attempt + 1 < ATTEMPTS;
    if (rc == OME_E_DENIED && !renewed && r->file->url) {
      struct ome_err ignored = ERR_INIT;
      renewed = again = true;
      (void)get_headers(r, &ignored);
    }
    if (rc == OME_OK || !again || is_cancelled(r))
      return rc;
    report(r, TRANSFER_RETRY, err->msg);
    if (rc != OME_E_DENIED)
      rest(r, backoff_ms(attempt, err));
  }
}

static int32_t make_folder_of(const char *path, struct ome_err *err) {
  _cleanup_free_ char *folder = str_copy(path, (size_t)(strrchr(path, '/') - path));

  return folder ? dir_make(folder, 0755, err) : fail_memory(err);
}

/* Opens the staged file at its full size; a full disk shows here and not in the middle. */
static int32_t open_part(struct run *r, const char *part, struct ome_err *err) {
  r->fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (r->fd < 0)
    return fail_errno(err, "open", part);
  if (r->file->size) {
    errno = posix_fallocate(r->fd, 0, (off_t)r->file->size);
    if (errno && errno != EOPNOTSUPP && errno != EINVAL)
      return fail_errno(err, "make room for", part);
  }
  return ftruncate(r->fd, (off_t)r->file->size) == 0 ? OME_OK : fail_errno(err, "size", part);
}

static int32_t stage(struct run *r, const char *part, const char *ledger_path, struct ome_err *err) {
  _cleanup_free_ char *key = str_printf("%llu %s %s", (unsigned long long)r->file->size,
                                        r->file->digest ? r->file->digest : "-", r->file->etag ? r->file->etag : "-");
  int32_t rc = key ? ledger_open(ledger_path, key, r->file->size, RANGE_BYTES, &r->ledger, err) : fail_memory(err);

  /* A ledger without its file says nothing. */
  if (rc == OME_OK && ledger_bytes(r->ledger) && !file_exists(part))
    rc = ledger_reset(r->ledger, err);
  if (rc == OME_OK)
    rc = open_part(r, part, err);
  if (rc == OME_OK && r->file->url)
    rc = get_headers(r, err);
  for (int round = 0; rc == OME_OK; round++) {
    rc = fetch_file(r, err);
    if (rc == OME_OK)
      rc = transfer_verify(part, r->file, r->job->cancelled, r->job->arg, err);
    if (rc != OME_E_CORRUPT || round)
      break;
    /* Old bytes that the ledger vouched for, or new ones that were wrong: once more, from nothing. */
    report(r, TRANSFER_RETRY, err->msg);
    rc = ledger_reset(r->ledger, err);
  }
  return rc;
}

static int32_t finish(struct run *r, const char *part, const char *path, struct ome_err *err) {
  if (fsync(r->fd) != 0)
    return fail_errno(err, "sync", part);
  if (rename(part, path) != 0)
    return fail_errno(err, "rename", part);
  return OME_OK;
}

static int32_t bring(struct run *r, struct ome_err *err) {
  _cleanup_free_ char *path = path_join(r->job->dir, r->file->path);
  _cleanup_free_ char *part = path ? str_printf("%s.part", path) : NULL;
  _cleanup_free_ char *ledger = path ? str_printf("%s.ledger", path) : NULL;
  struct ome_err ignored = ERR_INIT;
  struct stat st;

  if (!part || !ledger)
    return fail_memory(err);
  /* Complete from an earlier run, which verified it before it got its name. */
  if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == r->file->size &&
      transfer_verify(path, r->file, r->job->cancelled, r->job->arg, &ignored) == OME_OK)
    return OME_OK;
  int32_t rc = make_folder_of(path, err);
  if (rc == OME_OK)
    rc = stage(r, part, ledger, err);
  if (rc == OME_OK)
    rc = finish(r, part, path, err);
  if (rc == OME_OK)
    ledger_remove(r->ledger);
  else
    ledger_close(r->ledger);
  r->ledger = NULL;
  if (r->fd >= 0)
    (void)close(r->fd);
  r->fd = -1;
  drop_headers(r);
  return rc;
}

int32_t transfer_run(const struct transfer_job *job, struct ome_err *err) {
  struct run r = {.job = job, .fd = -1};
  pthread_condattr_t attr;
  int32_t rc = dir_make(job->dir, 0755, err);

  (void)pthread_mutex_init(&r.shared.lock, NULL);
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&r.shared.changed, &attr);
  (void)pthread_condattr_destroy(&attr);
  r.rate_ms = mono_ms();
  for (size_t i = 0; rc == OME_OK && i < job->manifest->n; i++) {
    r.file = &job->manifest->files[i];
    rc = bring(&r, err);
    if (rc != OME_OK)
      break;
    r.done_before += r.file->size;
    r.files_done++;
    report(&r, TRANSFER_FILE, r.file->path);
  }
  if (rc == OME_OK)
    rc = dir_sync(job->dir, err);
  VEC_FREE(&r.headers);
  (void)pthread_mutex_destroy(&r.shared.lock);
  (void)pthread_cond_destroy(&r.shared.changed);
  return rc;
}
