#include "apiserver/apiserver.h"

#include "apiserver/admission.h"
#include "apiserver/faults.h"
#include "apiserver/server.h"
#include "base/log.h"
#include "base/strmap.h"
#include "net/tls.h"
#include "os/file.h"

#include <string.h>

/* Ends a turn: what was written becomes durable, then its answers and watch events leave. */
static void end_turn(void *arg) {
  struct apiserver *s = arg;
  struct ome_err err = ERR_INIT;
  int32_t rc = store_commit(s->store, &err);

  s->turn_end_wanted = false;
  if (rc != OME_OK) {
    log_error("apiserver", "%s", err.msg);
    strmap_free(s->service_use); /* it tells of what was not kept: read it again */
    s->service_use = NULL;
  }
  answer_flush(s, rc == OME_OK ? NULL : &err);
  if (rc == OME_OK)
    watch_pump(s);
}

void commit_now(struct apiserver *s) {
  if (store_dirty(s->store))
    end_turn(s);
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
  return rc == OME_OK ? store_commit(s->store, err) : rc;
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
  struct ome_err err = ERR_INIT;

  if (s->store && store_commit(s->store, &err) != OME_OK)
    log_error("apiserver", "%s", err.msg);
  answer_flush(s, NULL);
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
