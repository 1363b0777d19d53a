/* The webhooks' HTTPS server, and the thread that looks after certificate and registrations. */
#include "admission/internal.h"

#include "admission/review.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "os/file.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LOOK_S 600u      /* between looks at certificate and registrations */
#define LOOK_AGAIN_S 10u /* after one that failed */
#define AT_ONCE 32       /* reviews; more are told to come again */
#define BODY_MAX ((size_t)8 << 20)

METRIC_HISTOGRAM(review_seconds, "ome_webhook_duration_seconds", "Time from an admission review to its answer.",
                 METRIC_SECONDS, "webhook");
METRIC_COUNTER(reviews, "ome_webhook_reviews_total",
               "Admission reviews by outcome: allowed, denied, failed, or busy (told to come again).", "webhook",
               "outcome");
METRIC_GAUGE(expiry, "ome_certificate_expiry_timestamp_seconds",
             "When a certificate of the webhooks expires, in seconds since 1970.", "certificate");

struct admission_server {
  struct admission_config cfg;
  char *ome_namespace, *service, *url, *address;
  const char *names[4]; /* of the certificate */
  char *name_texts[3];
  struct serving_certificate certificate; /* of the keeper thread, after the start */
  struct loop *loop;
  struct ssl_ctx_st *tls;
  struct http_server *http;
  pthread_t keeper;
  bool keeper_runs;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool stopping;
  unsigned reviewing; /* threads that run */
};

/* ---- one review -------------------------------------------------------------------------------------------------- */

struct job {
  struct admission_server *server;
  struct http_exchange *x; /* NULL: whoever asked is gone; loop thread only */
  const struct webhook_entry *entry;
  char *body;
  size_t len;
  char *answer;
  struct ome_err err;
  uint64_t began_ns;
  char trace[LOG_TRACE_DIGITS + 1];
};

static int32_t look_up(void *arg, const struct kube_resource *r, const char *ns, const char *name,
                       struct json_object **out, struct ome_err *err) {
  struct admission_server *s = arg;

  return kube_get(s->cfg.client, r, ns, name, out, err);
}

static int32_t look_through(void *arg, const struct kube_resource *r, const char *ns, struct json_object **out,
                            struct ome_err *err) {
  struct admission_server *s = arg;
  _cleanup_json_ struct json_object *list = NULL;
  int32_t rc = kube_list(s->cfg.client, r, ns, NULL, &list, err);

  if (rc != OME_OK)
    return rc;
  *out = json_object_get(json_get(list, "items"));
  if (!*out)
    *out = json_object_new_array();
  /* Items of a list do not say what they are. */
  char api_version[128];
  kube_api_version(r, api_version);
  for (size_t i = 0; i < json_len(*out); i++) {
    (void)json_set_str(json_index(*out, i), "kind", r->kind);
    (void)json_set_str(json_index(*out, i), "apiVersion", api_version);
  }
  return OME_OK;
}

static void job_free(struct job *j) {
  free(j->body);
  free(j->answer);
  free(j);
}

static void on_gone(void *arg, struct http_exchange *x) {
  struct job *j = arg;

  (void)x;
  j->x = NULL;
}

static void answer(void *arg) {
  struct job *j = arg;

  if (j->x) {
    http_on_close(j->x, NULL, NULL);
    if (j->answer)
      http_respond(j->x, 200, "application/json", j->answer, strlen(j->answer));
    else
      http_respond(j->x, j->err.code == OME_E_INVALID ? 400 : 500, "text/plain", j->err.msg, strlen(j->err.msg));
  }
  job_free(j);
}

static void *review_thread(void *arg) {
  struct job *j = arg;
  struct admission_server *s = j->server;
  const struct admission_lookup lookup = {
      .get = look_up, .list = look_through, .arg = s, .plugins = s->cfg.plugins, .ome_namespace = s->ome_namespace};

  bool allowed = false;

  log_set_trace(j->trace);
  if (review_answer(j->entry, &lookup, j->body, j->len, &allowed, &j->answer, &j->err) != OME_OK)
    log_warning("admission", "%s: %s", j->entry->name, j->err.msg);
  metric_observe(METRIC(&review_seconds, j->entry->name), (double)(mono_ns() - j->began_ns) / 1e9);
  metric_add(METRIC(&reviews, j->entry->name, !j->answer ? "failed" : allowed ? "allowed" : "denied"), 1);
  loop_post(s->loop, answer, j);
  (void)pthread_mutex_lock(&s->lock);
  s->reviewing--;
  (void)pthread_cond_broadcast(&s->changed);
  (void)pthread_mutex_unlock(&s->lock);
  return NULL;
}

static bool may_review(struct admission_server *s) {
  (void)pthread_mutex_lock(&s->lock);
  bool may = !s->stopping && s->reviewing < AT_ONCE;
  s->reviewing += may;
  (void)pthread_mutex_unlock(&s->lock);
  return may;
}

static void give_back(struct admission_server *s) {
  (void)pthread_mutex_lock(&s->lock);
  s->reviewing--;
  (void)pthread_mutex_unlock(&s->lock);
}

/* Who called may have begun a trace (W3C Trace Context: "00-TRACE-SPAN-FLAGS"); else it begins here. */
static void take_trace(struct job *j, const struct http_exchange *x) {
  const char *parent = http_header(x, "traceparent");
  uint8_t id[LOG_TRACE_DIGITS / 2];

  if (parent && has_prefix(parent, "00-") && strlen(parent) >= 3 + LOG_TRACE_DIGITS &&
      hex_decode(parent + 3, id, sizeof(id)))
    hex_encode(id, sizeof(id), j->trace);
  else
    random_hex(j->trace, LOG_TRACE_DIGITS);
}

static void start_review(struct admission_server *s, struct http_exchange *x, const struct webhook_entry *entry) {
  static const char busy[] = "too many reviews at once; try again\n";
  struct job *j = calloc(1, sizeof(*j));
  pthread_attr_t attr;
  pthread_t thread;
  const char *body = http_body(x, j ? &j->len : &(size_t){0});
  bool counted = j && (j->body = str_copy(body, j->len)) && may_review(s);
  bool started = false;

  if (counted) {
    j->server = s;
    j->x = x;
    j->entry = entry;
    j->began_ns = mono_ns();
    take_trace(j, x);
    j->err = (struct ome_err)ERR_INIT;
    http_on_close(x, on_gone, j);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    started = pthread_create(&thread, &attr, review_thread, j) == 0;
    (void)pthread_attr_destroy(&attr);
  }
  if (started)
    return;
  if (counted) {
    http_on_close(x, NULL, NULL);
    give_back(s);
  }
  if (j)
    job_free(j);
  metric_add(METRIC(&reviews, entry->name, "busy"), 1);
  http_respond(x, 503, "text/plain", busy, sizeof(busy) - 1);
}

static void on_request(void *arg, struct http_exchange *x) {
  static const char unknown[] = "no webhook has this path\n";
  struct admission_server *s = arg;
  const struct webhook_entry *e;

  for (size_t i = 0; (e = webhook_entry_at(i)); i++)
    if (streq(e->path, http_path(x)) && streq(http_method(x), "POST")) {
      start_review(s, x, e);
      return;
    }
  http_respond(x, 404, "text/plain", unknown, sizeof(unknown) - 1);
}

/* ---- certificate and registrations ------------------------------------------------------------------------------- */

struct swap {
  struct admission_server *server;
  int32_t rc;
  struct ome_err err;
};

static void swap_certificate(void *arg) {
  struct swap *w = arg;

  w->rc = tls_server_replace(w->server->tls, &w->server->certificate.pair, &w->err);
}

static void measure_expiry(const char *which, const char *cert_pem) {
  struct ome_err err = ERR_INIT;
  int64_t left;

  if (tls_expires_in(cert_pem, &left, &err) == OME_OK)
    metric_set(METRIC(&expiry, which), (double)(wall_ms() / 1000 + left));
}

static void measure_certificates(const struct serving_certificate *c) {
  measure_expiry("serving", c->pair.cert_pem);
  measure_expiry("ca", c->ca_bundle); /* the present one comes first */
}

/* One look: what the Secret holds now is served and registered. */
static int32_t look(struct admission_server *s, struct ome_err *err) {
  struct serving_certificate now = {{NULL, NULL}, NULL};
  int32_t rc = certificate_load(s->cfg.client, s->ome_namespace, s->names, &now, err);

  if (rc == OME_OK && !streq(now.pair.cert_pem, s->certificate.pair.cert_pem)) {
    certificate_fini(&s->certificate);
    s->certificate = now;
    struct swap w = {.server = s, .err = ERR_INIT};
    loop_call(s->loop, swap_certificate, &w);
    if (w.rc != OME_OK)
      *err = w.err;
    rc = w.rc;
  } else
    certificate_fini(&now);
  if (rc == OME_OK)
    measure_certificates(&s->certificate);
  return rc == OME_OK ? register_webhooks(&s->cfg, s->certificate.ca_bundle, err) : rc;
}

/* Waits SECONDS; true: the server ends. */
static bool wait_or_stop(struct admission_server *s, uint64_t seconds) {
  uint64_t due_ms = mono_ms() + seconds * 1000;

  (void)pthread_mutex_lock(&s->lock);
  while (!s->stopping && cond_wait_until(&s->changed, &s->lock, due_ms))
    continue;
  bool stopping = s->stopping;
  (void)pthread_mutex_unlock(&s->lock);
  return stopping;
}

static void *keep(void *arg) {
  struct admission_server *s = arg;
  uint64_t wait = LOOK_S;

  while (!wait_or_stop(s, wait)) {
    struct ome_err err = ERR_INIT;
    bool ok = look(s, &err) == OME_OK;
    if (!ok)
      log_warning("admission", "certificate and registrations: %s", err.msg);
    wait = ok ? LOOK_S : LOOK_AGAIN_S;
  }
  return NULL;
}

/* ---- start and stop ---------------------------------------------------------------------------------------------- */

/* Host of "https://host:port/path", new. */
static char *host_of(const char *url) {
  const char *p = has_prefix(url, "https://") ? url + 8 : url;
  bool bracket = *p == '[';
  size_t n = bracket ? strcspn(++p, "]") : strcspn(p, ":/");

  return str_copy(p, n);
}

static int32_t copy_config(struct admission_server *s, const struct admission_config *cfg, struct ome_err *err) {
  const char *service = cfg->service ? cfg->service : WEBHOOK_SERVICE;

  s->cfg = *cfg;
  s->ome_namespace = strdup(cfg->ome_namespace);
  s->service = strdup(service);
  s->address = strdup(cfg->address ? cfg->address : "0.0.0.0");
  s->url = cfg->url ? strdup(cfg->url) : NULL;
  s->name_texts[0] = str_printf("%s.%s.svc", service, cfg->ome_namespace);
  s->name_texts[1] = str_printf("%s.%s.svc.cluster.local", service, cfg->ome_namespace);
  s->name_texts[2] = cfg->url ? host_of(cfg->url) : NULL;
  if (!s->ome_namespace || !s->service || !s->address || (cfg->url && (!s->url || !s->name_texts[2])) ||
      !s->name_texts[0] || !s->name_texts[1])
    return fail_memory(err);
  for (size_t i = 0; i < ARRAY_LEN(s->name_texts); i++)
    s->names[i] = s->name_texts[i];
  s->cfg.ome_namespace = s->ome_namespace;
  s->cfg.service = s->service;
  s->cfg.address = s->address;
  s->cfg.url = s->url;
  return OME_OK;
}

static void init_sync(struct admission_server *s) {
  (void)pthread_mutex_init(&s->lock, NULL);
  cond_init(&s->changed);
}

static int32_t serve(struct admission_server *s, struct ome_err *err) {
  struct http_server_config http = {
      .address = s->address, .port = s->cfg.port, .max_body = BODY_MAX, .handler = on_request, .arg = s};
  int32_t rc = tls_server_context(&s->certificate.pair, NULL, &s->tls, err);

  if (rc == OME_OK)
    rc = loop_new("admission", &s->loop, err);
  http.tls = s->tls;
  if (rc == OME_OK)
    rc = http_server_new(s->loop, &http, &s->http, err);
  return rc;
}

int32_t admission_server_start(const struct admission_config *cfg, struct admission_server **out, struct ome_err *err) {
  _cleanup_(admission_server_stopp) struct admission_server *s = calloc(1, sizeof(*s));

  if (!s)
    return fail_memory(err);
  init_sync(s);
  int32_t rc = copy_config(s, cfg, err);
  if (rc == OME_OK)
    rc = certificate_load(cfg->client, s->ome_namespace, s->names, &s->certificate, err);
  if (rc == OME_OK)
    rc = serve(s, err);
  if (rc == OME_OK)
    measure_certificates(&s->certificate);
  if (rc == OME_OK)
    rc = register_webhooks(&s->cfg, s->certificate.ca_bundle, err);
  if (rc != OME_OK)
    return rc;
  if (pthread_create(&s->keeper, NULL, keep, s) != 0)
    return fail(err, OME_E_NO_MEMORY, "admission: no thread for the certificate: %s", strerror(errno));
  s->keeper_runs = true;
  *out = TAKE_PTR(s);
  return OME_OK;
}

void admission_server_stop(struct admission_server *s) {
  if (!s)
    return;
  (void)pthread_mutex_lock(&s->lock);
  s->stopping = true;
  (void)pthread_cond_broadcast(&s->changed);
  while (s->reviewing > 0)
    (void)pthread_cond_wait(&s->changed, &s->lock);
  (void)pthread_mutex_unlock(&s->lock);
  if (s->keeper_runs)
    (void)pthread_join(s->keeper, NULL);
  http_server_free(s->http);
  loop_free(s->loop);
  tls_context_free(s->tls);
  certificate_fini(&s->certificate);
  (void)pthread_cond_destroy(&s->changed);
  (void)pthread_mutex_destroy(&s->lock);
  for (size_t i = 0; i < ARRAY_LEN(s->name_texts); i++)
    free(s->name_texts[i]);
  free(s->ome_namespace);
  free(s->service);
  free(s->address);
  free(s->url);
  free(s);
}

uint16_t admission_server_port(const struct admission_server *s) {
  return http_server_port(s->http);
}
