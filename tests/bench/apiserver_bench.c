/* How fast an API server takes objects in, tells watchers and lists.
 *
 *   cmake --preset release && cmake --build build --target ome apiserver_bench
 *   build/ome apiserver --data /tmp/api --port 0 &
 *   build/bench/apiserver_bench /tmp/api/kubeconfig [CREATES=5000] [CLIENTS=16] [WATCHERS=20]
 *
 * WATCHERS watch streams are open on one new namespace while CLIENTS threads create CREATES small ConfigMaps in it as
 * fast as they are answered.  Each watcher must see each object exactly once as ADDED; the exit status is 1 when one
 * did not.  Then the namespace is filled up to 10,000 objects and read whole five times.  Every watcher and client has
 * a connection and a thread of its own; watch lines are searched, not parsed, so that on one machine the server gets
 * the processors.  The namespace is deleted at the end. */
#include "base/clock.h"
#include "base/str.h"
#include "kube/client_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTED 10000u
#define LIST_READS 5
#define WATCH_DEADLINE_MS 60000
#define LINE_MAX ((size_t)1 << 20)

struct bench {
  const char *kubeconfig;
  char ns[64];
  char version[32]; /* watch from here */
  uint32_t creates, clients, watchers;
  atomic_uint next;     /* index of the next object to create */
  uint32_t end;         /* where creating stops */
  uint64_t *acked_ns;   /* by index; 0: not yet; written by the client that created it */
  atomic_uint failed;   /* creates */
  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t changed;
  uint32_t connected, finished;
};

struct watcher {
  struct bench *bench;
  struct kube_client *client;
  struct http_fetch *fetch;
  struct buf line;
  uint64_t *seen_ns; /* by index: first sight */
  uint64_t *sent_ns; /* as the object says */
  uint8_t *times;
  uint32_t seen;
  uint32_t others; /* lines that are no ADDED of ours: MODIFIED, ERROR, unreadable */
  bool ended;      /* under the bench's lock */
};

static _Noreturn void die(const char *what, const struct ome_err *err) {
  fprintf(stderr, "apiserver_bench: %s: %s\n", what, err ? err->msg : "failed");
  exit(1);
}

static void *need(void *p) {
  if (!p)
    die("out of memory", NULL);
  return p;
}

static void count(struct bench *b, uint32_t *what) {
  (void)pthread_mutex_lock(&b->lock);
  (*what)++;
  (void)pthread_cond_broadcast(&b->changed);
  (void)pthread_mutex_unlock(&b->lock);
}

/* Waits until *WHAT is N; false after TIMEOUT_MS. */
static bool await(struct bench *b, const uint32_t *what, uint32_t n, uint64_t timeout_ms) {
  uint64_t due = mono_ms() + timeout_ms;
  struct timespec until = {(time_t)(due / 1000), (long)(due % 1000) * 1000000};

  (void)pthread_mutex_lock(&b->lock);
  while (*what < n && mono_ms() < due)
    (void)pthread_cond_timedwait(&b->changed, &b->lock, &until);
  bool reached = *what >= n;
  (void)pthread_mutex_unlock(&b->lock);
  return reached;
}

static struct kube_client *connect_client(const struct bench *b) {
  struct ome_err err = ERR_INIT;
  struct kube_client *c;

  if (kube_client_new(b->kubeconfig, NULL, &c, &err) != OME_OK)
    die("kubeconfig", &err);
  return c;
}

/* ---- watchers; callbacks on the thread of the watcher's client ------------------------------------------------- */

/* The number behind KEY in a compact JSON line that we wrote ourselves; UINT64_MAX: absent. */
static uint64_t number_after(const char *line, const char *key) {
  const char *at = strstr(line, key);

  return at ? strtoull(at + strlen(key), NULL, 10) : UINT64_MAX;
}

static void on_line(struct watcher *w, const char *line) {
  struct bench *b = w->bench;
  uint64_t now = mono_ns();
  uint64_t index = number_after(line, "\"benchIndex\":\"");

  if (!*line || strstr(line, "\"type\":\"BOOKMARK\""))
    return;
  if (!strstr(line, "\"type\":\"ADDED\"") || index >= b->creates) {
    w->others++;
    return;
  }
  if (w->times[index] < UINT8_MAX && ++w->times[index] > 1)
    return;
  w->seen_ns[index] = now;
  w->sent_ns[index] = number_after(line, "\"benchSent\":\"");
  if (++w->seen == b->creates)
    count(b, &b->finished);
}

static bool on_watch_head(void *arg, int status, const char *headers, const char *url) {
  struct watcher *w = arg;
  (void)headers;
  (void)url;

  if (status == 200)
    count(w->bench, &w->bench->connected);
  return status == 200;
}

static bool on_watch_body(void *arg, const void *data, size_t len) {
  struct watcher *w = arg;
  const char *p = data;

  for (const char *newline; (newline = memchr(p, '\n', len));) {
    size_t n = (size_t)(newline - p);
    buf_add(&w->line, p, n);
    if (buf_ok(&w->line))
      on_line(w, buf_str(&w->line));
    else
      w->others++;
    buf_clear(&w->line);
    p += n + 1;
    len -= n + 1;
  }
  buf_add(&w->line, p, len);
  return true;
}

static void on_watch_done(void *arg, int32_t rc, const struct ome_err *err) {
  struct watcher *w = arg;
  struct bench *b = w->bench;

  if (rc != OME_E_CANCELLED)
    fprintf(stderr, "apiserver_bench: a watch ended: %s\n", err && *err->msg ? err->msg : "by the server");
  (void)pthread_mutex_lock(&b->lock);
  w->ended = true;
  (void)pthread_mutex_unlock(&b->lock);
}

static const struct http_fetch_ops watch_ops = {
    .on_head = on_watch_head, .on_body = on_watch_body, .on_done = on_watch_done};

static void watcher_start(struct watcher *w, struct bench *b) {
  _cleanup_free_ char *query = str_printf("watch=true&resourceVersion=%s", b->version);
  _cleanup_free_ char *path = need(kube_path(&KUBE_CONFIGMAPS, b->ns, NULL, NULL, need(query)));
  struct ome_err err = ERR_INIT;
  struct kube_request req;

  w->bench = b;
  w->client = connect_client(b);
  w->seen_ns = need(calloc(b->creates, sizeof(*w->seen_ns)));
  w->sent_ns = need(calloc(b->creates, sizeof(*w->sent_ns)));
  w->times = need(calloc(b->creates, sizeof(*w->times)));
  buf_init(&w->line, LINE_MAX);
  if (kube_request_init(w->client, "GET", path, NULL, NULL, &req, &err) != OME_OK)
    die("watch", &err);
  req.http.timeout_ms = 0;
  req.http.stall_timeout_ms = UINT32_MAX;
  (void)pthread_mutex_lock(&b->lock);
  w->fetch = need(http_fetch_start(kube_client_http(w->client), &req.http, &watch_ops, w));
  (void)pthread_mutex_unlock(&b->lock);
  kube_request_fini(&req);
}

/* Ends the stream; what it saw may be read afterwards. */
static void watcher_stop(struct watcher *w) {
  struct bench *b = w->bench;

  (void)pthread_mutex_lock(&b->lock);
  if (!w->ended)
    http_fetch_cancel(w->fetch);
  (void)pthread_mutex_unlock(&b->lock);
  kube_client_free(TAKE_PTR(w->client)); /* joins the thread of the callbacks */
}

static void watcher_fini(struct watcher *w) {
  free(w->seen_ns);
  free(w->sent_ns);
  free(w->times);
  buf_fini(&w->line);
}

/* ---- creating -------------------------------------------------------------------------------------------------- */

static struct json_object *new_object(const struct bench *b, uint32_t index) {
  struct json_object *o = need(json_object_new_object());
  char text[64];

  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set_str(o, "kind", "ConfigMap");
  (void)snprintf(text, sizeof(text), "bench-%u", index);
  (void)json_set_str(o, "metadata.name", text);
  (void)json_set_str(o, "metadata.namespace", b->ns);
  (void)snprintf(text, sizeof(text), "%u", index);
  (void)json_set_str(o, "data.benchIndex", text);
  (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)mono_ns());
  (void)json_set_str(o, "data.benchSent", text);
  return o;
}

static void *create_some(void *arg) {
  struct bench *b = arg;
  struct kube_client *c = connect_client(b);

  for (uint32_t i; (i = atomic_fetch_add(&b->next, 1)) < b->end;) {
    _cleanup_json_ struct json_object *o = new_object(b, i);
    struct ome_err err = ERR_INIT;
    if (kube_create(c, &KUBE_CONFIGMAPS, o, NULL, &err) == OME_OK)
      b->acked_ns[i] = mono_ns();
    else if (atomic_fetch_add(&b->failed, 1) == 0)
      fprintf(stderr, "apiserver_bench: create: %s\n", err.msg);
  }
  kube_client_free(c);
  return NULL;
}

/* Creates the objects [BEGIN, END) with all clients; seconds. */
static double create_all(struct bench *b, uint32_t begin, uint32_t end) {
  _cleanup_free_ pthread_t *threads = need(calloc(b->clients, sizeof(*threads)));
  uint64_t began = mono_ns();

  atomic_store(&b->next, begin);
  b->end = end;
  for (uint32_t i = 0; i < b->clients; i++)
    if (pthread_create(&threads[i], NULL, create_some, b) != 0)
      die("cannot start a thread", NULL);
  for (uint32_t i = 0; i < b->clients; i++)
    (void)pthread_join(threads[i], NULL);
  return (double)(mono_ns() - began) / 1e9;
}

/* ---- figures --------------------------------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b) {
  const double *x = a;
  const double *y = b;

  return (*x > *y) - (*x < *y);
}

/* P of 100 in the sorted VALUES. */
static double percentile(const double *values, size_t n, double p) {
  return n ? values[(size_t)(p / 100 * (double)(n - 1) + 0.5)] : 0;
}

static void print_latency(const char *what, double *ms, size_t n) {
  qsort(ms, n, sizeof(*ms), compare_doubles);
  printf("%-34s p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", what, percentile(ms, n, 50), percentile(ms, n, 99),
         percentile(ms, n, 100));
}

/* A watcher may be told before the client has its answer: that counts as 0. */
static double milliseconds(uint64_t from_ns, uint64_t to_ns) {
  return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e6 : 0;
}

/* Whether every watcher saw everything once. */
static bool report_watches(const struct bench *b, const struct watcher *watchers) {
  double *acked = need(calloc((size_t)b->creates * b->watchers + 1, sizeof(*acked)));
  double *sent = need(calloc((size_t)b->creates * b->watchers + 1, sizeof(*sent)));
  size_t n = 0;
  size_t missing = 0;
  size_t repeated = 0;
  size_t others = 0;

  for (uint32_t w = 0; w < b->watchers; w++) {
    others += watchers[w].others;
    for (uint32_t i = 0; i < b->creates; i++) {
      repeated += watchers[w].times[i] > 1;
      missing += watchers[w].times[i] == 0;
      if (watchers[w].times[i] == 0 || b->acked_ns[i] == 0)
        continue;
      acked[n] = milliseconds(b->acked_ns[i], watchers[w].seen_ns[i]);
      sent[n++] = milliseconds(watchers[w].sent_ns[i], watchers[w].seen_ns[i]);
    }
  }
  print_latency("watch, after the create's answer:", acked, n);
  print_latency("watch, after the create was sent:", sent, n);
  printf("%-34s %zu missing, %zu repeated, %zu unexpected\n", "events:", missing, repeated, others);
  free(acked);
  free(sent);
  return missing + repeated + others == 0;
}

/* Whole list in one answer; seconds.  *OBJECTS, when not NULL, is how many came. */
static double read_list(struct bench *b, struct kube_client *c, size_t *objects) {
  _cleanup_free_ char *path = need(kube_path(&KUBE_CONFIGMAPS, b->ns, NULL, NULL, NULL));
  _cleanup_http_response_ struct http_response answer = {0};
  struct ome_err err = ERR_INIT;
  struct kube_request req;

  if (kube_request_init(c, "GET", path, NULL, NULL, &req, &err) != OME_OK)
    die("list", &err);
  uint64_t began = mono_ns();
  if (http_do(kube_client_http(c), &req.http, NULL, NULL, &answer, &err) != OME_OK)
    die("list", &err);
  double seconds = (double)(mono_ns() - began) / 1e9;
  kube_request_fini(&req);
  if (objects) {
    _cleanup_json_ struct json_object *list = NULL;
    if (json_parse(buf_str(&answer.body), answer.body.len, (size_t)256 << 20, &list, &err) != OME_OK)
      die("list", &err);
    *objects = json_len(json_at(list, "items"));
  }
  return seconds;
}

static bool measure_lists(struct bench *b, struct kube_client *c, uint32_t objects) {
  double seconds[LIST_READS];
  size_t got = 0;

  (void)read_list(b, c, &got);
  for (size_t i = 0; i < LIST_READS; i++)
    seconds[i] = read_list(b, c, NULL);
  qsort(seconds, LIST_READS, sizeof(*seconds), compare_doubles);
  double median = seconds[LIST_READS / 2];
  printf("%-34s %.0f objects/s (%zu objects in %.1f ms, median of %d)\n", "list:", (double)got / median, got,
         median * 1e3, LIST_READS);
  return got >= objects; /* a cluster may put a ConfigMap of its own into every namespace */
}

/* ---- the run --------------------------------------------------------------------------------------------------- */

static void make_namespace(struct bench *b, struct kube_client *c) {
  _cleanup_json_ struct json_object *o = need(json_object_new_object());
  _cleanup_json_ struct json_object *list = NULL;
  struct ome_err err = ERR_INIT;

  (void)snprintf(b->ns, sizeof(b->ns), "bench-%d-%llu", (int)getpid(), (unsigned long long)wall_ms());
  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set_str(o, "kind", "Namespace");
  (void)json_set_str(o, "metadata.name", b->ns);
  if (kube_create(c, &KUBE_NAMESPACES, o, NULL, &err) != OME_OK ||
      kube_list(c, &KUBE_CONFIGMAPS, b->ns, NULL, &list, &err) != OME_OK)
    die("namespace", &err);
  (void)snprintf(b->version, sizeof(b->version), "%s", json_str(list, "metadata.resourceVersion", ""));
}

static bool measure_creates(struct bench *b) {
  _cleanup_free_ struct watcher *watchers = need(calloc(b->watchers + 1, sizeof(*watchers)));

  for (uint32_t i = 0; i < b->watchers; i++)
    watcher_start(&watchers[i], b);
  if (!await(b, &b->connected, b->watchers, WATCH_DEADLINE_MS))
    die("watch: not every watcher was answered", NULL);
  uint64_t began = mono_ns();
  double seconds = create_all(b, 0, b->creates);
  (void)await(b, &b->finished, b->watchers, WATCH_DEADLINE_MS);
  double delivered = (double)(mono_ns() - began) / 1e9;
  for (uint32_t i = 0; i < b->watchers; i++)
    watcher_stop(&watchers[i]);
  printf("%-34s %.0f creates/s (%u by %u clients, %u watchers, %u failed); %.0f events/s delivered\n",
         "create:", b->creates / seconds, b->creates, b->clients, b->watchers, atomic_load(&b->failed),
         (double)b->creates * b->watchers / delivered);
  bool whole = report_watches(b, watchers);
  for (uint32_t i = 0; i < b->watchers; i++)
    watcher_fini(&watchers[i]);
  return whole;
}

static void init_sync(struct bench *b) {
  pthread_condattr_t attr;

  (void)pthread_mutex_init(&b->lock, NULL);
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(&b->changed, &attr);
  (void)pthread_condattr_destroy(&attr);
}

static uint32_t operand(int argc, char **argv, int i, uint32_t dflt, uint32_t min) {
  uint64_t n;

  if (argc <= i)
    return dflt;
  if (!str_to_u64(argv[i], &n) || n < min || n > 1000000) {
    fprintf(stderr, "apiserver_bench: \"%s\" is no number from %u to 1000000\n", argv[i], min);
    exit(2);
  }
  return (uint32_t)n;
}

int main(int argc, char **argv) {
  struct bench b = {0};
  struct ome_err err = ERR_INIT;

  if (argc < 2 || argc > 5) {
    fprintf(stderr, "usage: apiserver_bench KUBECONFIG [CREATES=5000] [CLIENTS=16] [WATCHERS=20]\n");
    return 2;
  }
  b.kubeconfig = argv[1];
  b.creates = operand(argc, argv, 2, 5000, 1);
  b.clients = operand(argc, argv, 3, 16, 1);
  b.watchers = operand(argc, argv, 4, 20, 0);
  uint32_t objects = b.creates > LISTED ? b.creates : LISTED;
  b.acked_ns = need(calloc(objects, sizeof(*b.acked_ns)));
  init_sync(&b);
  struct kube_client *c = connect_client(&b);
  make_namespace(&b, c);
  bool good = measure_creates(&b);
  if (objects > b.creates)
    (void)create_all(&b, b.creates, objects);
  good = measure_lists(&b, c, objects) && good && atomic_load(&b.failed) == 0;
  (void)kube_delete(c, &KUBE_NAMESPACES, NULL, b.ns, NULL, KUBE_BACKGROUND, &err);
  kube_client_free(c);
  free(b.acked_ns);
  return good ? 0 : 1;
}
