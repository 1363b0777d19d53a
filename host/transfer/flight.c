/* One ranged GET (RFC 9110 §14): from the connection into its place in the file. */
#include "transfer/internal.h"

#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int32_t write_at(int fd, const char *name, const void *data, size_t len, uint64_t at, struct ome_err *err) {
  const char *p = data;

  while (len) {
    ssize_t n = pwrite(fd, p, len, (off_t)at);
    if (n < 0 && errno != EINTR)
      return fail_errno(err, "write", name);
    if (n > 0) {
      p += n;
      at += (uint64_t)n;
      len -= (size_t)n;
    }
  }
  return OME_OK;
}

/* ---- the answer; client's thread --------------------------------------------------------------------------------- */

static void set_restart(struct flight *f, const char *why) {
  atomic_store(&f->item->restart, true);
  f->rc = fail(&f->err, OME_E_UNAVAILABLE, "fetch: %.200s: %s", f->item->file->path, why);
}

/* "bytes 0-99/1234": whether it is what was asked for, of a file of the right size. */
static bool is_wanted_range(const struct flight *f, const char *text) {
  uint64_t first, last, total;

  return sscanf(text, "bytes %" SCNu64 "-%" SCNu64 "/%" SCNu64, &first, &last, &total) == 3 && first == f->at &&
         last + 1 == f->end && total == f->item->file->size;
}

/* Every answer for a file has to be about the same content. */
static bool same_etag(struct flight *f, const char *etag) {
  struct engine *e = f->engine;

  (void)pthread_mutex_lock(&e->lock);
  if (f->item->etag[0] == '\0')
    (void)snprintf(f->item->etag, sizeof(f->item->etag), "%s", etag);
  bool same = streq(f->item->etag, etag);
  (void)pthread_mutex_unlock(&e->lock);
  return same;
}

/* What a hub says beyond the status (Hugging Face: X-Error-Code, X-Error-Message). */
static void explain(struct flight *f, int status, const char *headers, const char *url) {
  char code[64] = "", text[200] = "";
  _cleanup_free_ char *where = str_copy(url, strcspn(url, "?")); /* signatures are secrets */

  f->rc = fail_status(&f->err, status, headers, "fetch", where ? where : f->item->file->path);
  if (status == 408)
    f->rc = f->err.code = OME_E_UNAVAILABLE;
  (void)http_headers_get(headers, "x-error-code", code, sizeof(code));
  (void)http_headers_get(headers, "x-error-message", text, sizeof(text));
  size_t used = strlen(f->err.msg);
  if (*code || *text)
    (void)snprintf(f->err.msg + used, sizeof(f->err.msg) - used, " (%s%s%s)", code, *code && *text ? ": " : "", text);
}

static bool on_head(void *arg, int status, const char *headers, const char *url) {
  struct flight *f = arg;
  char text[256] = "";

  f->status = status;
  if (status == 200) {
    if (f->at == 0 && f->end == f->item->file->size)
      return true;
    /* Either the content has changed (If-Range) or the server knows no ranges. */
    atomic_store(&f->item->whole, true);
    set_restart(f, "the server sends the whole file for a range; starting again");
    return false;
  }
  if (status == 206) {
    if (!http_headers_get(headers, "content-range", text, sizeof(text)) || !is_wanted_range(f, text)) {
      set_restart(f, "the file on the server has another size than listed");
      return false;
    }
    if (http_headers_get(headers, "etag", text, sizeof(text)) && !same_etag(f, text)) {
      set_restart(f, "the file has changed on the server; starting again");
      return false;
    }
    return true;
  }
  if (status == 416 || status == 412) {
    set_restart(f, "the server refuses the range; starting again");
    return false;
  }
  explain(f, status, headers, url);
  return false;
}

static bool on_body(void *arg, const void *data, size_t len) {
  struct flight *f = arg;
  struct engine *e = f->engine;

  if (atomic_load(&e->stop) || atomic_load(&f->item->restart))
    return false;
  if (len > f->end - f->at) {
    set_restart(f, "the server sends more than was asked for");
    return false;
  }
  f->rc = write_at(f->item->fd, f->item->file->path, data, len, f->at, &f->err);
  if (f->rc != OME_OK)
    return false;
  f->at += len;
  (void)atomic_fetch_add(&e->bytes, len);
  return true;
}

static void on_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct flight *f = arg;
  struct engine *e = f->engine;

  if (f->rc == OME_OK && rc != OME_OK) {
    f->rc = rc;
    f->err = *err;
  } else if (f->rc == OME_OK && f->at != f->end) {
    f->rc = fail(&f->err, OME_E_UNAVAILABLE, "fetch: %.200s: the connection ended early", f->item->file->path);
  }
  (void)pthread_mutex_lock(&e->lock);
  f->fetch = NULL;
  f->state = FLIGHT_LANDED;
  (void)pthread_cond_signal(&e->landed);
  (void)pthread_mutex_unlock(&e->lock);
}

static const struct http_fetch_ops fetch_ops = {.on_head = on_head, .on_body = on_body, .on_done = on_done};

/* ---- the request; driver's thread -------------------------------------------------------------------------------- */

void flight_start(struct flight *f) {
  struct engine *e = f->engine;
  struct item *it = f->item;
  const char *headers[REQUEST_HEADERS_MAX + 4];
  char range[80], if_range[300];
  size_t n = 0;

  for (size_t i = 0; i < it->parts.n; i++)
    headers[n++] = it->parts.lines[i];
  headers[n++] = "Accept-Encoding: identity"; /* offsets are those of the file itself */
  if (f->at > 0 || f->end < it->file->size) {
    (void)snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-%" PRIu64, f->at, f->end - 1);
    headers[n++] = range;
    if (it->file->etag && strlen(it->file->etag) < 256) {
      (void)snprintf(if_range, sizeof(if_range), "If-Range: %s", it->file->etag);
      headers[n++] = if_range;
    }
  }
  headers[n] = NULL;
  const struct http_request req = {.url = it->parts.url ? it->parts.url : it->file->url,
                                   .headers = headers,
                                   .sigv4 = it->parts.sigv4,
                                   .credentials = it->parts.credentials,
                                   .stall_timeout_ms = (uint32_t)e->stall_ms,
                                   .max_redirects = 10};

  f->began_at = f->at;
  f->status = 0;
  f->rc = OME_OK;
  err_clear(&f->err);
  (void)pthread_mutex_lock(&e->lock);
  f->state = FLIGHT_RUNNING;
  f->fetch = http_fetch_start(e->client, &req, &fetch_ops, f);
  if (!f->fetch) {
    f->rc = fail(&f->err, OME_E_INVALID, "fetch: %.200s: the address cannot be used", it->file->path);
    f->state = FLIGHT_LANDED;
  }
  (void)pthread_mutex_unlock(&e->lock);
}
