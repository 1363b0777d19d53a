#include "net/health.h"

#include "base/buf.h"
#include "base/metrics.h"
#include "base/str.h"
#include "net/tls.h"
#include "os/file.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

struct check {
  const char *name;
  enum health_scope scope;
  bool failed;
  char *why; /* of FAILED; NULL: memory had run out */
};

struct health {
  struct loop *loop; /* NULL: it listens nowhere yet */
  struct http_server *servers[HEALTH_SERVERS_MAX];
  struct {
    pthread_mutex_t lock;
    struct check checks[HEALTH_CHECKS_MAX];
    size_t count;
  } shared;
};

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static struct check *find_or_add_locked(struct health *h, const char *name) {
  size_t i = 0;

  while (i < h->shared.count && !streq(h->shared.checks[i].name, name))
    i++;
  if (i == HEALTH_CHECKS_MAX)
    return NULL;
  h->shared.count += i == h->shared.count;
  return &h->shared.checks[i];
}

void health_report(struct health *h, enum health_scope scope, const char *check, const char *why) {
  if (!h)
    return;
  (void)pthread_mutex_lock(&h->shared.lock);
  struct check *c = find_or_add_locked(h, check);
  if (c) {
    free(c->why);
    *c = (struct check){check, scope, why != NULL, why ? strdup(why) : NULL};
  }
  (void)pthread_mutex_unlock(&h->shared.lock);
}

/* Every check of SCOPE and above, or the one that is NAMED, as a line in OUT; whether all are fine. */
static bool describe(struct health *h, enum health_scope scope, const char *named, struct buf *out) {
  bool fine = true;

  (void)pthread_mutex_lock(&h->shared.lock);
  for (size_t i = 0; i < h->shared.count; i++) {
    const struct check *c = &h->shared.checks[i];
    if (c->scope < scope || (named && !streq(c->name, named)))
      continue;
    if (c->failed)
      buf_addf(out, "[-]%s failed: %s\n", c->name, c->why ? c->why : "out of memory");
    else
      buf_addf(out, "[+]%s ok\n", c->name);
    fine = fine && !c->failed;
  }
  (void)pthread_mutex_unlock(&h->shared.lock);
  return fine;
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

METRIC_GAUGE(process_memory, "process_resident_memory_bytes", "Resident memory size in bytes.");
METRIC_COUNTER(process_cpu, "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
METRIC_GAUGE(process_fds, "process_open_fds", "Number of open file descriptors.");

static double seconds_of(const struct timeval *t) {
  return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void measure_memory(void) {
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *text = NULL;
  size_t len;
  unsigned long pages;

  /* "size resident shared ..." in pages: proc(5) */
  if (file_read("/proc/self/statm", 4096, &text, &len, &err) == OME_OK && sscanf(text, "%*u %lu", &pages) == 1)
    metric_set(METRIC(&process_memory), (double)pages * (double)sysconf(_SC_PAGESIZE));
}

static void measure_fds(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = -3; /* ".", ".." and the one that reads */

  if (!d)
    return;
  while (readdir(d))
    n++;
  (void)closedir(d);
  metric_set(METRIC(&process_fds), n);
}

static void measure_process(void) {
  struct rusage used;

  if (getrusage(RUSAGE_SELF, &used) == 0)
    metric_set(METRIC(&process_cpu), seconds_of(&used.ru_utime) + seconds_of(&used.ru_stime));
  measure_memory();
  measure_fds();
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void answer_metrics(struct http_exchange *x) {
  _cleanup_buf_ struct buf text = BUF_INIT;

  measure_process();
  metrics_render(&text);
  if (buf_ok(&text))
    http_respond(x, 200, METRICS_CONTENT_TYPE, buf_str(&text), text.len);
  else
    http_respond(x, 500, "text/plain", "out of memory\n", strlen("out of memory\n"));
}

static void answer_probe(struct health *h, struct http_exchange *x, enum health_scope scope, const char *named) {
  _cleanup_buf_ struct buf text = BUF_INIT;
  bool fine = describe(h, scope, named, &text);

  if (named && !text.len) {
    buf_addf(&text, "there is no check \"%s\"\n", named);
    http_respond(x, 404, "text/plain", buf_str(&text), text.len);
    return;
  }
  buf_addf(&text, "%s\n", fine ? "ok" : "failed");
  http_respond(x, fine ? 200 : 503, "text/plain", buf_str(&text), text.len);
}

/* The probe that PATH names, and in *CHECK the rest of it, or NULL; false: none. */
static bool find_probe(const char *path, enum health_scope *scope, const char **check) {
  static const struct {
    const char *path;
    enum health_scope scope;
  } probes[] = {{"/readyz", HEALTH_READY}, {"/healthz", HEALTH_SOUND}, {"/livez", HEALTH_LIVE}};

  for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
    size_t n = strlen(probes[i].path);
    if (!has_prefix(path, probes[i].path) || (path[n] && path[n] != '/'))
      continue;
    *scope = probes[i].scope;
    *check = path[n] && path[n + 1] ? path + n + 1 : NULL;
    return true;
  }
  return false;
}

/* Answers X if its path is one of these; false: it is the caller's. */
static bool answer(struct health *h, struct http_exchange *x) {
  const char *path = http_path(x), *check = NULL;
  enum health_scope scope;
  bool probe = find_probe(path, &scope, &check);

  if (!probe && !streq(path, "/metrics"))
    return false;
  if (!streq(http_method(x), "GET") && !streq(http_method(x), "HEAD")) {
    http_add_header(x, "Allow", "GET, HEAD");
    http_respond(x, 405, "text/plain", "only GET and HEAD\n", strlen("only GET and HEAD\n"));
  } else if (probe) {
    answer_probe(h, x, scope, check);
  } else {
    answer_metrics(x);
  }
  return true;
}

/* ---- servers of its own ----------------------------------------------------------------------------------------- */

static void on_request(void *arg, struct http_exchange *x) {
  static const char unknown[] = "there are /metrics, /healthz, /livez and /readyz\n";

  if (!answer(arg, x))
    http_respond(x, 404, "text/plain", unknown, sizeof(unknown) - 1);
}

struct health *health_new(void) {
  struct health *h = calloc(1, sizeof(*h));

  if (h)
    (void)pthread_mutex_init(&h->shared.lock, NULL);
  return h;
}

/* Whoever asks for metrics over TLS and trusts nobody in particular, as Prometheus with insecure_skip_verify, is who
 * this is for. */
#define CERTIFICATE_DAYS 3650

static int32_t make_context(const char *address, struct ssl_ctx_st **out, struct ome_err *err) {
  const char *const names[] = {"localhost", address, NULL};
  _cleanup_(tls_pair_fini) struct tls_pair pair = {0};
  int32_t rc = tls_make_own("metrics", names, CERTIFICATE_DAYS, &pair, err);

  return rc == OME_OK ? tls_server_context(&pair, NULL, out, err) : rc;
}

int32_t health_listen(struct health *h, const char *address, uint16_t port, bool secure, struct ome_err *err) {
  struct http_server_config cfg = {.address = address, .port = port, .handler = on_request, .arg = h};
  size_t used = 0;
  int32_t rc = OME_OK;

  while (used < HEALTH_SERVERS_MAX && h->servers[used])
    used++;
  if (used == HEALTH_SERVERS_MAX)
    return fail(err, OME_E_INVALID, "probes are answered at %d addresses already", HEALTH_SERVERS_MAX);
  if (!h->loop)
    rc = loop_new("health", &h->loop, err);
  if (rc == OME_OK && secure)
    rc = make_context(address, &cfg.tls, err);
  if (rc == OME_OK)
    rc = http_server_new(h->loop, &cfg, &h->servers[used], err);
  tls_context_free(cfg.tls);
  return rc;
}

int32_t health_serve(const char *address, uint16_t port, struct health **out, struct ome_err *err) {
  _cleanup_(health_freep) struct health *h = health_new();

  if (!h)
    return fail_memory(err);
  int32_t rc = health_listen(h, address, port, false, err);
  if (rc == OME_OK)
    *out = TAKE_PTR(h);
  return rc;
}

void health_free(struct health *h) {
  if (!h)
    return;
  for (size_t i = 0; i < HEALTH_SERVERS_MAX; i++)
    http_server_free(h->servers[i]);
  loop_free(h->loop);
  for (size_t i = 0; i < h->shared.count; i++)
    free(h->shared.checks[i].why);
  (void)pthread_mutex_destroy(&h->shared.lock);
  free(h);
}

uint16_t health_port(const struct health *h) {
  return h->servers[0] ? http_server_port(h->servers[0]) : 0;
}
