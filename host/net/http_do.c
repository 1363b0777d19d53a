/* What stands on fetches: the blocking form, and what answers say. */
#include "net/http_client.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#define ASK_MS 100u

/* ---- the blocking form ---------------------------------------------------------------------------------------- */

struct waiting {
  struct http_response *out;
  struct ome_err *err;
  size_t max_body;
  int32_t rc;
  bool too_long, done;
  pthread_mutex_t lock;
  pthread_cond_t changed;
};

static bool wait_head(void *arg, int status, const char *headers, const char *url) {
  struct waiting *w = arg;

  w->out->status = status;
  buf_adds(&w->out->headers, headers);
  w->out->url = strdup(url);
  return w->out->url != NULL;
}

static bool wait_body(void *arg, const void *data, size_t len) {
  struct waiting *w = arg;

  buf_add(&w->out->body, data, len);
  w->too_long = !buf_ok(&w->out->body);
  return !w->too_long;
}

static void wait_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct waiting *w = arg;

  (void)pthread_mutex_lock(&w->lock);
  w->rc = rc;
  if (rc != OME_OK)
    *w->err = *err;
  w->done = true;
  (void)pthread_cond_signal(&w->changed);
  (void)pthread_mutex_unlock(&w->lock);
}

static const struct http_fetch_ops wait_ops = {.on_head = wait_head, .on_body = wait_body, .on_done = wait_done};

/* Until done; asks CANCELLED now and then where there is one. */
static void wait_until_done(struct waiting *w, struct http_fetch *f, bool (*cancelled)(void *), void *arg) {
  bool asked = false;

  (void)pthread_mutex_lock(&w->lock);
  while (!w->done) {
    if (!cancelled || asked) {
      (void)pthread_cond_wait(&w->changed, &w->lock);
      continue;
    }
    (void)cond_wait_until(&w->changed, &w->lock, mono_ms() + ASK_MS);
    if (!w->done && cancelled(arg)) {
      http_fetch_cancel(f);
      asked = true;
    }
  }
  (void)pthread_mutex_unlock(&w->lock);
}

int32_t http_do(struct http_client *c, const struct http_request *req, bool (*cancelled)(void *), void *arg,
                struct http_response *out, struct ome_err *err) {
  struct waiting w = {.out = out, .err = err, .lock = PTHREAD_MUTEX_INITIALIZER};

  cond_init(&w.changed);
  memset(out, 0, sizeof(*out));
  buf_init(&out->headers, 256 * 1024);
  buf_init(&out->body, req->max_body);
  struct http_fetch *f = http_fetch_start(c, req, &wait_ops, &w);
  if (f)
    wait_until_done(&w, f, cancelled, arg);
  (void)pthread_cond_destroy(&w.changed);
  if (!f)
    return fail_memory(err);
  int shown = (int)strcspn(req->url, "?"); /* signatures are secrets */
  if (w.too_long)
    w.rc = fail(err, OME_E_INVALID, "%s %.*s: the answer is longer than the %zu bytes allowed",
                req->method ? req->method : "GET", shown, req->url, req->max_body ? req->max_body : BUF_DEFAULT_MAX);
  if (w.rc != OME_OK)
    http_response_fini(out);
  return w.rc;
}

void http_response_fini(struct http_response *r) {
  buf_fini(&r->headers);
  buf_fini(&r->body);
  free(r->url);
  r->url = NULL;
}

bool http_headers_get(const char *headers, const char *name, char *out, size_t size) {
  size_t n = strlen(name);

  for (const char *line = headers; line && *line;) {
    const char *end = strchr(line, '\n');
    if (!end)
      return false;
    if ((size_t)(end - line) > n + 1 && strncasecmp(line, name, n) == 0 && line[n] == ':' && line[n + 1] == ' ') {
      size_t len = (size_t)(end - line) - n - 2;
      if (len >= size)
        return false;
      memcpy(out, line + n + 2, len);
      out[len] = '\0';
      return true;
    }
    line = end + 1;
  }
  return false;
}

bool http_response_header(const struct http_response *r, const char *name, char *out, size_t size) {
  return http_headers_get(buf_str(&r->headers), name, out, size);
}

static int32_t code_of_status(int status) {
  switch (status) {
  case 400:
  case 422:
    return OME_E_INVALID;
  case 401:
  case 403:
    return OME_E_DENIED;
  case 404:
  case 410:
    return OME_E_NOT_FOUND;
  case 409:
  case 412:
    return OME_E_CONFLICT;
  case 408:
  case 504:
    return OME_E_DEADLINE;
  case 429:
    return OME_E_BUSY;
  default:
    return status >= 500 ? OME_E_UNAVAILABLE : OME_E_INVALID;
  }
}

int32_t fail_status(struct ome_err *err, int status, const char *headers, const char *what, const char *url) {
  char text[64];
  uint64_t seconds;
  int64_t at_ms;

  (void)fail(err, code_of_status(status), "%s: %s: the server answered %d", what, url, status);
  if (headers && http_headers_get(headers, "retry-after", text, sizeof(text))) {
    time_t date = (time_t)-1;
    if (str_to_u64(text, &seconds) && seconds < 86400)
      err->retry_after_ms = (uint32_t)seconds * 1000;
    else if ((date = curl_getdate(text, NULL)) != (time_t)-1 && (at_ms = (int64_t)date * 1000 - wall_ms()) > 0)
      err->retry_after_ms = (uint32_t)(at_ms < 86400000 ? at_ms : 86400000);
  }
  return err->code;
}
