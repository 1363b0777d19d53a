#include "apiserver/apiserver.h"

#include "apiserver/admission.h"
#include "apiserver/faults.h"
#include "apiserver/flusher.h"
#include "apiserver/server.h"
#include "base/log.h"
#include "base/strmap.h"
#include "net/tls.h"
#include "os/file.h"

#include <string.h>

#define LONE_TURNS 8 /* with one answer each, one after another: somebody writes alone */

/* ---- the end of a turn ------------------------------------------------------------------------------------------- */

/* What was committed is durable, RC OME_OK, or its answers are failures; they leave, and then the watch events. */
static void settle(struct apiserver *s, struct request *answers, int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK) {
    log_error("apiserver", "%s", err->msg);
    strmap_free(s->service_use); /* it tells of what was not kept: read it again */
    s->service_use = NULL;
  }
  answer_flush(answers, rc == OME_OK ? NULL : err);
  if (rc == OME_OK)
    watch_pump(s);
}

static int32_t flush(void *arg, struct ome_err *err) {
  const struct apiserver *s = arg;

  return store_flush(s->store, err);
}

/* Waits for the disk, where it has something of ours to take. */
static void finish_flush(struct apiserver *s) {
  struct ome_err err = ERR_INIT;

  if (!flusher_busy(s->flusher))
    return;
  int32_t rc = flusher_end(s->flusher, &err);
  store_settle(s->store, rc == OME_OK);
  settle(s, TAKE_PTR(s->flushing), rc, &err);
  if (s->held || store_dirty(s->store)) /* their turn has ended already, or is the present one */
    touch_turn_end(s);
}

/* Ends the turn, and waits for the disk here or lets the flusher do so. */
static void commit(struct apiserver *s, bool wait) {
  struct ome_err err = ERR_INIT;
  bool writes = store_dirty(s->store);
  int32_t rc = store_commit(s->store, &err);

  if (rc == OME_OK && writes) {
    if (!wait) {
      s->flushing = TAKE_PTR(s->held);
      flusher_begin(s->flusher);
      return;
    }
    rc = store_flush(s->store, &err);
    store_settle(s->store, rc == OME_OK);
  }
  settle(s, TAKE_PTR(s->held), rc, &err);
}

/* What was written becomes durable, then its answers and watch events leave.  While the disk takes what one turn wrote,
 * the next requests are read and answered up to their own commit, which waits for its turn: the more come at once, the
 * more each flush carries.  Somebody who writes alone waits for nothing but the disk. */
static void end_turn(void *arg) {
  struct apiserver *s = arg;

  s->turn_end_wanted = false;
  if (flusher_busy(s->flusher))
    return;
  s->lone_turns = s->held && s->held->next_held ? 0 : s->lone_turns + 1;
  commit(s, s->lone_turns >= LONE_TURNS);
}

static void on_flushed(void *arg) {
  struct apiserver *s = arg;

  if (flusher_ready(s->flusher)) /* else somebody waited for it */
    finish_flush(s);
}

void commit_now(struct apiserver *s) {
  finish_flush(s);
  if (store_dirty(s->store))
    commit(s, true);
}

bool tells_too_early(const struct apiserver *s) {
  return store_dirty(s->store) || flusher_busy(s->flusher);
}

void touch_turn_end(struct apiserver *s) {
  if (s->turn_end_wanted)
    return;
  s->turn_end_wanted = true;
  loop_at_turn_end(s->loop, end_turn, s);
}

static int32_t open_store(struct apiserver *s, struct ome_err *err) {
  int32_t rc = store_open(s->data_dir, &s->store, err);

  if (rc != OME_OK)
    return rc;
  s->registry = registry_new();
  if (!s->registry)
    return fail_memory(err);
  rc = gc_new(s, &s->gc, err);
  if (rc == OME_OK)
    rc = crds_load(s, err);
  if (rc == OME_OK)
    rc = namespaces_init(s, err);
  if (rc == OME_OK)
    rc = store_commit(s->store, err);
  if (rc == OME_OK)
    rc = store_flush(s->store, err);
  if (rc != OME_OK)
    return rc;
  store_settle(s->store, true);
  return flusher_new(s->loop, flush, on_flushed, s, &s->flusher, err);
}

static int32_t listen_tls(struct apiserver *s, const struct apiserver_config *cfg, struct ome_err *err) {
  struct tls_pair ca = {NULL, NULL};
  struct tls_pair leaf = {NULL, NULL};
  int32_t rc = identity_load(s, cfg, &ca, &leaf, err);

  if (rc == OME_OK)
    rc = tls_server_context(&leaf, NULL, &s->tls, err);
  const struct http_server_config http = {.address = cfg->address,
                                          .port = cfg->port,
                                          .tls = s->tls,
                                          .max_body =
                                              2 * OBJECT_MAX, /* so that most clients hear that it is too large */
                                          .max_connections = 4096,
                                          .handler = rest_handle,
                                          .arg = s};
  if (rc == OME_OK)
    rc = http_server_new(s->loop, &http, &s->http, err);
  if (rc == OME_OK)
    rc = kubeconfig_write(s, cfg, ca.cert_pem, err);
  tls_pair_fini(&ca);
  tls_pair_fini(&leaf);
  return rc;
}

int32_t apiserver_start(const struct apiserver_config *cfg, struct apiserver **out, struct ome_err *err) {
  struct apiserver *s = calloc(1, sizeof(*s));
  int32_t rc;

  if (!s)
    return fail_memory(err);
  s->cluster_network = cfg->cluster_network;
  s->data_dir = strdup(cfg->data_dir);
  s->kubeconfig = path_join(cfg->data_dir, "kubeconfig");
  s->faults = cfg->faults ? faults_new() : NULL;
  rc = audit_open(s, cfg->audit_log, err);
  if (rc == OME_OK && cfg->faults && !s->faults)
    rc = fail_memory(err);
  if (rc == OME_OK)
    rc = s->data_dir && s->kubeconfig ? dir_make(cfg->data_dir, 0755, err) : fail_memory(err);
  if (rc == OME_OK)
    rc = loop_new("apiserver", &s->loop, err);
  if (rc == OME_OK)
    rc = open_store(s, err); /* nobody else is on the loop yet */
  if (rc == OME_OK)
    rc = listen_tls(s, cfg, err);
  if (rc != OME_OK) {
    apiserver_stop(s);
    return rc;
  }
  *out = s;
  return OME_OK;
}

static void begin_stop(void *arg) {
  struct apiserver *s = arg;

  s->stopping = true;
}

static void shut_down(void *arg) {
  struct apiserver *s = arg;

  finish_flush(s);
  if (s->flusher) /* else it never began to serve */
    commit(s, true);
  watch_end_all(s);
  loop_timer_free(s->trim);
  s->trim = NULL;
}

void apiserver_stop(struct apiserver *s) {
  if (!s)
    return;
  if (s->loop) {
    loop_call(s->loop, begin_stop, s);
    admission_stop(s);
    loop_call(s->loop, shut_down, s);
  }
  http_server_free(s->http);
  flusher_free(TAKE_PTR(s->flusher));
  loop_free(s->loop);
  gc_free(s->gc);
  registry_free(s->registry);
  strmap_free(s->service_use);
  webhooks_free(s->webhooks);
  audit_close(s);
  faults_free(s->faults);
  store_close(s->store);
  tls_context_free(s->tls);
  free(s->data_dir);
  free(s->kubeconfig);
  free(s->token);
  free(s);
}

uint16_t apiserver_port(const struct apiserver *s) {
  return http_server_port(s->http);
}

const char *apiserver_kubeconfig(const struct apiserver *s) {
  return s->kubeconfig;
}

struct log_setting {
  struct apiserver *server;
  apiserver_log_fn *fn;
  void *arg;
};

static void set_logs(void *arg) {
  const struct log_setting *l = arg;

  l->server->logs = l->fn;
  l->server->logs_arg = l->arg;
}

void apiserver_set_logs(struct apiserver *s, apiserver_log_fn *fn, void *arg) {
  struct log_setting l = {s, fn, arg};

  loop_call(s->loop, set_logs, &l);
}
