/* Serving container logs: `kubectl logs`. */
#include "local/local_int.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/logfile.h"
#include "net/http_server.h"
#include "os/file.h"

#include <dirent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define CHUNK 65536
#define PENDING_MAX ((size_t)256 << 10)

/* One answer under way; on the thread of the exchange's server. */
struct log_stream {
  struct http_exchange *x;
  char *path;       /* DIR/N.log */
  int fd;           /* of the file being read: the rotated one, or the present one */
  bool rotated;     /* fd is N.log.1, N.log comes after it */
  struct buf line;  /* an entry whose end has not been read yet */
  int64_t limit;    /* bytes left to send; -1: any */
  int64_t since_ms; /* older entries are left out; 0: none are */
  bool follow, timestamps;
  bool full; /* the limit is reached */
  int notify;
  struct event *event;
};

static void stream_free(struct log_stream *s) {
  if (s->event)
    event_free(s->event);
  if (s->notify >= 0)
    (void)close(s->notify);
  if (s->fd >= 0)
    (void)close(s->fd);
  buf_fini(&s->line);
  free(s->path);
  free(s);
}

static void on_gone(void *arg, struct http_exchange *x UNUSED) {
  stream_free(arg);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void emit(struct log_stream *s, const char *data, size_t len) {
  if (s->limit >= 0 && (int64_t)len >= s->limit) {
    len = (size_t)s->limit;
    s->full = true;
  }
  s->limit -= s->limit >= 0 ? (int64_t)len : 0;
  http_respond_write(s->x, data, len);
}

/* "TIME STREAM TAG TEXT\n" as what the client asked for. */
static void emit_entry(struct log_stream *s, const char *entry, size_t len) {
  const char *space = memchr(entry, ' ', len);
  size_t head = space ? (size_t)(space - entry) + sizeof(" stdout F") : 0;
  char time[64];
  int64_t at;

  if (!space || head > len || space - entry >= (ptrdiff_t)sizeof(time))
    return; /* not an entry: the machine went down while it was written */
  memcpy(time, entry, (size_t)(space - entry));
  time[space - entry] = '\0';
  if (s->since_ms && time_parse(time, &at) && at < s->since_ms)
    return;
  bool whole = entry[head - 2] == 'F';
  _cleanup_buf_ struct buf out = BUF_INIT;
  if (s->timestamps)
    buf_addf(&out, "%s ", time);
  buf_add(&out, entry + head, len - head - !whole); /* a part of a line ends without the newline */
  emit(s, buf_str(&out), out.len);
}

static void take(struct log_stream *s, const char *data, size_t len) {
  while (len && !s->full) {
    const char *newline = memchr(data, '\n', len);
    size_t n = newline ? (size_t)(newline - data) + 1 : len;
    if (s->line.len || !newline)
      buf_add(&s->line, data, n);
    if (newline && s->line.len) {
      emit_entry(s, buf_str(&s->line), s->line.len);
      buf_clear(&s->line);
    } else if (newline)
      emit_entry(s, data, n);
    data += n;
    len -= n;
  }
}

/* At the end of a file: goes on with the one that took its place.  False when there is none. */
static bool next_file(struct log_stream *s) {
  struct stat here, there;

  if (!s->rotated && (fstat(s->fd, &here) != 0 || stat(s->path, &there) != 0 || here.st_ino == there.st_ino))
    return false;
  int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return false;
  (void)close(s->fd);
  s->fd = fd;
  s->rotated = false;
  if (s->notify >= 0)
    (void)inotify_add_watch(s->notify, s->path, IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE_SELF | IN_DELETE_SELF);
  return true;
}

/* Whether somebody still writes to the file: its writer holds a lock. */
static bool is_live(const struct log_stream *s) {
  if (flock(s->fd, LOCK_SH | LOCK_NB) != 0)
    return true;
  (void)flock(s->fd, LOCK_UN);
  return false;
}

static void finish(struct log_stream *s) {
  struct http_exchange *x = s->x;

  stream_free(s);
  http_on_close(x, NULL, NULL);
  http_on_drain(x, NULL, NULL);
  http_respond_end(x);
}

/* Sends what there is, as fast as the client takes it. */
static void pump(struct log_stream *s) {
  char data[CHUNK];
  bool live = true;

  while (!s->full && http_pending(s->x) < PENDING_MAX) {
    ssize_t n = read(s->fd, data, sizeof(data));
    if (n > 0) {
      take(s, data, (size_t)n);
      continue;
    }
    if (next_file(s))
      continue;
    if (s->follow && live) {
      live = is_live(s);
      if (live)
        return; /* inotify calls again */
      continue; /* once more: what was written just before the end */
    }
    finish(s);
    return;
  }
  if (s->full)
    finish(s);
}

static void on_drain(void *arg, struct http_exchange *x UNUSED) {
  pump(arg);
}

static void on_notify(evutil_socket_t fd, short what UNUSED, void *arg) {
  char events[4096] __attribute__((aligned(8)));

  while (read(fd, events, sizeof(events)) > 0)
    continue;
  pump(arg);
}

/* ---- where to begin ---------------------------------------------------------------------------------------------- */

/* The offset of the last LINES lines of FD; *FOUND is how many it has. */
static off_t tail_offset(int fd, int64_t lines, int64_t *found) {
  char data[CHUNK];
  off_t end = lseek(fd, 0, SEEK_END);

  *found = 0;
  for (off_t at = end; at > 0;) {
    size_t n = at < CHUNK ? (size_t)at : CHUNK;
    at -= (off_t)n;
    ssize_t got = pread(fd, data, n, at);
    if (got != (ssize_t)n)
      return 0;
    for (size_t i = n; i-- > 0;) {
      if (data[i] != '\n' || at + (off_t)i == end - 1)
        continue;
      if (++*found == lines)
        return at + (off_t)i + 1;
    }
  }
  *found += end > 0;
  return 0;
}

/* Opens the rotated file and the present one as far as TAIL lines (-1: all) reach back. */
static bool open_files(struct log_stream *s, int64_t tail) {
  _cleanup_free_ char *old = str_printf("%s.1", s->path);
  int64_t found = 0;

  s->fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (s->fd < 0)
    return false;
  if (tail == 0) {
    (void)lseek(s->fd, 0, SEEK_END);
    return true;
  }
  if (tail > 0)
    (void)lseek(s->fd, tail_offset(s->fd, tail, &found), SEEK_SET);
  int rotated = old && (tail < 0 || found < tail) ? open(old, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
  if (rotated < 0)
    return true;
  if (tail > 0)
    (void)lseek(rotated, tail_offset(rotated, tail - found, &found), SEEK_SET);
  (void)close(s->fd);
  s->fd = rotated;
  s->rotated = true;
  return true;
}

static bool watch_file(struct log_stream *s) {
  s->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (s->notify < 0 ||
      inotify_add_watch(s->notify, s->path, IN_MODIFY | IN_CLOSE_WRITE | IN_MOVE_SELF | IN_DELETE_SELF) < 0)
    return false;
  s->event = event_new(loop_base(http_loop(s->x)), s->notify, EV_READ | EV_PERSIST, on_notify, s);
  return s->event && event_add(s->event, NULL) == 0;
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static void refuse(struct http_exchange *x, int status, const char *reason, const char *message) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "kind", "Status");
  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set(o, "metadata", json_object_new_object());
  (void)json_set_str(o, "status", "Failure");
  (void)json_set_str(o, "message", message);
  (void)json_set_str(o, "reason", reason);
  (void)json_set_i64(o, "code", status);
  _cleanup_free_ char *text = json_text(o);
  http_respond(x, status, "application/json", text ? text : "", text ? strlen(text) : 0);
}

/* The number of the latest start that DIR has a log of; -1: none. */
static int64_t latest_start(const char *dir) {
  DIR *d = opendir(dir);
  int64_t latest = -1, n;

  for (struct dirent *e; d && (e = readdir(d));) {
    _cleanup_free_ char *number = has_suffix(e->d_name, ".log") ? str_copy(e->d_name, strlen(e->d_name) - 4) : NULL;
    if (number && str_to_i64(number, &n) && n > latest)
      latest = n;
  }
  if (d)
    (void)closedir(d);
  return latest;
}

static struct json_object *find_container(struct json_object *pod, const char *name) {
  struct json_object *c = json_find(json_at(pod, "spec.containers"), "name", name);

  return c ? c : json_find(json_at(pod, "spec.initContainers"), "name", name);
}

/* The container asked for: the only one when none is named; NULL when that is not clear, and MESSAGE says so. */
static const char *choose_container(struct json_object *pod, const char *name, char message[512]) {
  struct json_object *containers = json_at(pod, "spec.containers");

  if (*name) {
    struct json_object *c = find_container(pod, name);
    if (!c)
      (void)snprintf(message, 512, "container %s is not valid for pod %s", name, meta_name(pod));
    return json_str(c, "name", NULL);
  }
  if (json_len(containers) == 1 && !json_len(json_at(pod, "spec.initContainers")))
    return json_str(json_index(containers, 0), "name", NULL);
  const char *dflt = meta_annotation(pod, "kubectl.kubernetes.io/default-container");
  if (dflt && find_container(pod, dflt))
    return dflt;
  _cleanup_buf_ struct buf names = BUF_INIT;
  for (size_t i = 0; i < json_len(containers); i++)
    buf_addf(&names, "%s%s", i ? " " : "", json_str(json_index(containers, i), "name", ""));
  (void)snprintf(message, 512, "a container name must be specified for pod %s, choose one of: [%s]", meta_name(pod),
                 buf_str(&names));
  return NULL;
}

static const char *waiting_reason(struct json_object *pod, const char *container) {
  struct json_object *s = json_find(json_at(pod, "status.containerStatuses"), "name", container);

  if (!s)
    s = json_find(json_at(pod, "status.initContainerStatuses"), "name", container);
  return json_str(s, "state.waiting.reason", "ContainerCreating");
}

static void start(const struct apiserver_log_request *req, char *path, struct http_exchange *x) {
  struct log_stream *s = calloc(1, sizeof(*s));

  if (!s) {
    free(path);
    refuse(x, 500, "InternalError", "out of memory");
    return;
  }
  *s = (struct log_stream){.x = x,
                           .path = path,
                           .fd = -1,
                           .notify = -1,
                           .limit = req->limit_bytes,
                           .follow = req->follow != 0,
                           .timestamps = req->timestamps != 0};
  buf_init(&s->line, 4 * LOG_LINE_MAX);
  if (req->since_seconds >= 0)
    s->since_ms = wall_ms() - req->since_seconds * 1000;
  if (!open_files(s, req->tail_lines) || (s->follow && !watch_file(s))) {
    stream_free(s);
    refuse(x, 500, "InternalError", "the container's log cannot be read");
    return;
  }
  http_respond_start(x, 200, "text/plain", -1);
  http_on_close(x, on_gone, s);
  http_on_drain(x, on_drain, s);
  pump(s);
}

void local_serve_logs(void *arg, const struct apiserver_log_request *req, struct http_exchange *x) {
  struct local *l = arg;
  _cleanup_json_ struct json_object *pod = kube_cache_get(l->caches[CACHE_PODS], req->ns, req->pod);
  char message[512] = "";

  if (!pod) {
    (void)snprintf(message, sizeof(message), "pods \"%s\" not found", req->pod);
    refuse(x, 404, "NotFound", message);
    return;
  }
  const char *container = choose_container(pod, req->container ? req->container : "", message);
  if (!container) {
    refuse(x, 400, "BadRequest", message);
    return;
  }
  _cleanup_free_ char *dir = logfile_dir(l->data_dir, req->ns, req->pod, meta_uid(pod), container);
  int64_t n = dir ? latest_start(dir) : -1;
  if (req->previous)
    n--;
  char *path = n >= 0 ? str_printf("%s/%lld.log", dir, (long long)n) : NULL;
  if (path && file_exists(path)) {
    start(req, path, x);
    return;
  }
  free(path);
  if (req->previous)
    (void)snprintf(message, sizeof(message), "previous terminated container \"%s\" in pod \"%s\" not found", container,
                   req->pod);
  else
    (void)snprintf(message, sizeof(message), "container \"%s\" in pod \"%s\" is waiting to start: %s", container,
                   req->pod, waiting_reason(pod, container));
  refuse(x, 400, "BadRequest", message);
}
