/* ome controller: the control plane, in front of any API server. */
#include "controller/controller.h"
#include "admission/admission.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/serve.h"
#include "kube/lease.h"
#include "net/health.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

struct options {
  const char *kubeconfig;
  const char *context;
  const char *ome_namespace;
  const char *plugins;
  const char *health_address, *metrics_address;
  const char *webhook_address, *webhook_url, *webhook_service;
  uint64_t webhook_port;
  uint64_t health_port, metrics_port; /* 0: none */
  uint64_t qps, burst;
  uint64_t retention;
  const char *grace;
  int64_t grace_ms; /* GRACE */
  bool leader_elect;
  /* Of OME's manager. */
  const char *election_namespace, *log_level, *log_encoder;
  const char *probes, *metrics;           /* HOST:PORT */
  char probes_host[64], metrics_host[64]; /* of these */
  bool metrics_secure;
  struct cli_list without_effect;
  bool webhook, flag_without_effect;
};

/* Flags of OME's manager that say how it works inside, or do what needs no telling here: its manifests stay as they
 * are. */
#define OF_OME(option)                                                                                                 \
  { 0, option, "VALUE", NULL, CLI_LIST, &opt.without_effect }
#define FLAG_OF_OME(option)                                                                                            \
  { 0, option, NULL, NULL, CLI_FLAG, &opt.flag_without_effect }

#define OME_WEBHOOK_PORT 9443u

/* The name that OME's manager uses, so that the two never lead at once. */
#define LEASE_NAME "ome-controller-manager-leader-lock"

#define START_AGAIN_MIN_MS 250u
#define START_AGAIN_MAX_MS 15000u

/* ---- leadership -------------------------------------------------------------------------------------------------- */

static atomic_bool lost;

/* Somebody else may act already: ending the process is the one way to be sure that nothing of ours goes on. */
static void on_lost(UNUSED void *arg) {
  atomic_store(&lost, true);
  (void)kill(getpid(), SIGTERM);
}

/* Waits for MS, or for a signal to stop. */
static bool wait_or_stop(UNUSED void *arg, uint32_t ms) {
  return cli_signal_within(ms);
}

static int32_t lead(const struct options *opt, struct kube_client *client, const char *ns, struct kube_lease **out,
                    struct ome_err *err) {
  struct kube_lease_config cfg = {
      .client = client, .ns = ns, .name = LEASE_NAME, .on_lost = on_lost, .wait = wait_or_stop};

  return opt->leader_elect ? kube_lease_acquire(&cfg, out, err) : OME_OK;
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static const char *ome_namespace(const struct options *opt) {
  const char *pod_namespace = getenv("POD_NAMESPACE");

  return opt->ome_namespace ? opt->ome_namespace : pod_namespace && *pod_namespace ? pod_namespace : "ome";
}

/* What runs, in the order that it is started. */
struct parts {
  const struct options *opt;
  struct health *health;
  struct kube_client *client;
  struct plugins *plugins;
  struct admission_server *webhooks;
  struct kube_lease *lease;
  struct controller *controller;
};

static void parts_fini(struct parts *p) {
  controller_stop(p->controller);
  kube_lease_release(p->lease);
  admission_server_stop(p->webhooks);
  plugins_free(p->plugins);
  kube_client_free(p->client);
}

/* Every replica answers webhooks, leader or not. */
static int32_t start_webhooks(struct parts *p, struct ome_err *err) {
  const struct admission_config cfg = {.client = p->client,
                                       .plugins = p->plugins,
                                       .ome_namespace = ome_namespace(p->opt),
                                       .address = p->opt->webhook_address,
                                       .port = (uint16_t)p->opt->webhook_port,
                                       .service = p->opt->webhook_service,
                                       .url = p->opt->webhook_url};

  return admission_server_start(&cfg, &p->webhooks, err);
}

static int32_t start_controller(struct parts *p, struct ome_err *err) {
  const struct controller_config cfg = {
      .client = p->client,
      .plugins = p->plugins,
      .ome_namespace = ome_namespace(p->opt),
      .revision_retention = p->opt->retention,
      .revision_grace_ms = (uint64_t)p->opt->grace_ms,
  };

  return controller_start(&cfg, &p->controller, err);
}

/* A port that is taken stays taken; a server that asks for time says how much.  Certificates are renewed, and rights
 * are granted. */
static bool may_pass(int32_t rc, const struct ome_err *err) {
  return rc == OME_E_DENIED || (err_retryable(rc) && (rc != OME_E_BUSY || err->retry_after_ms));
}

/* Starts one part, again and again while the API server is what is in trouble: ending would not help it. */
static int32_t start_part(struct parts *p, const char *check, int32_t (*start)(struct parts *, struct ome_err *),
                          struct ome_err *err) {
  uint32_t wait_ms = START_AGAIN_MIN_MS;
  int32_t rc;

  while ((rc = start(p, err)) != OME_OK && may_pass(rc, err)) {
    uint32_t ms = err->retry_after_ms ? err->retry_after_ms : wait_ms;
    log_warning("controller", "%s; trying again in %u ms", err->msg, ms);
    health_report(p->health, HEALTH_READY, check, err->msg);
    if (cli_signal_within(ms))
      return fail(err, OME_E_CANCELLED, "told to stop");
    err_clear(err);
    wait_ms = wait_ms < START_AGAIN_MAX_MS / 2 ? wait_ms * 2 : START_AGAIN_MAX_MS;
  }
  if (rc == OME_OK)
    health_report(p->health, HEALTH_READY, check, NULL);
  return rc;
}

static int32_t serve(const struct options *opt, struct health *health, struct ome_err *err) {
  _cleanup_(parts_fini) struct parts p = {.opt = opt, .health = health};
  int32_t rc = cli_connect_role("controller", opt->kubeconfig, opt->context, &p.client, err);

  if (rc == OME_OK) {
    kube_client_until(p.client, cli_stopping);
    kube_client_limit(p.client, opt->qps, opt->burst);
    rc = plugins_load(opt->plugins, NULL, 0, &p.plugins, err);
  }
  if (rc == OME_OK && opt->webhook_port)
    rc = start_part(&p, "webhooks", start_webhooks, err);
  /* One that waits for its turn is as ready as it can be. */
  if (rc == OME_OK && opt->leader_elect)
    health_report(health, HEALTH_READY, "controller", NULL);
  if (rc == OME_OK)
    rc = lead(opt, p.client, opt->election_namespace ? opt->election_namespace : ome_namespace(opt), &p.lease, err);
  if (rc == OME_OK)
    rc = start_part(&p, "controller", start_controller, err);
  if (rc != OME_OK)
    return rc == OME_E_CANCELLED ? OME_OK : rc;
  log_info("controller", "reconciling against %s", kube_client_server(p.client));
  cli_serve();
  health_report(health, HEALTH_READY, "controller", "it has been told to stop");
  return atomic_load(&lost) ? fail(err, OME_E_CANCELLED, "controller: the lease was lost; start again to wait for it")
                            : OME_OK;
}

/* HOST:PORT, as Go's servers take their addresses: ":8081", "127.0.0.1:8081", "[::1]:8081"; "0" is for none.  *ADDRESS
 * is set, to what is then in HOST, where TEXT names one. */
static bool read_address(const char *text, char host[64], const char **address, uint64_t *port) {
  const char *colon = strrchr(text, ':');
  const char *begin = text + (*text == '[');

  if (streq(text, "0")) {
    *port = 0;
    return true;
  }
  if (!colon || !str_to_u64(colon + 1, port) || (begin != text && colon[-1] != ']'))
    return false;
  size_t len = (size_t)(colon - text) - (begin != text ? 2 : 0);
  if (len >= 64)
    return false;
  memcpy(host, begin, len);
  host[len] = '\0';
  if (len)
    *address = host;
  return true;
}

/* zap counts upward from "debug", and "panic" is above "error". */
static bool set_level(const char *name) {
  uint64_t verbosity = 0;

  if (str_to_u64(name, &verbosity))
    return verbosity && log_set_level_named("debug");
  return log_set_level_named(streq(name, "panic") ? "error" : name);
}

/* What flags of OME's manager mean here; 0, or the exit code of wrong usage. */
static int settle_omes(const struct cli_command *self, struct options *opt) {
  if (opt->probes && !read_address(opt->probes, opt->probes_host, &opt->health_address, &opt->health_port))
    return cli_usage(self, "--health-probe-addr %s is no address; write :8081, 127.0.0.1:8081, or 0 for none",
                     opt->probes);
  if (opt->metrics && !read_address(opt->metrics, opt->metrics_host, &opt->metrics_address, &opt->metrics_port))
    return cli_usage(self, "--metrics-bind-address %s is no address; write :8080, 127.0.0.1:8080, or 0 for none",
                     opt->metrics);
  if (opt->webhook && !opt->webhook_port)
    opt->webhook_port = OME_WEBHOOK_PORT;
  if (opt->log_level && !set_level(opt->log_level))
    return cli_usage(self, "--zap-log-level %s is no level; write debug, info, error or a number above 0",
                     opt->log_level);
  if (opt->log_encoder && !log_set_format_named(streq(opt->log_encoder, "console") ? "text" : opt->log_encoder))
    return cli_usage(self, "--zap-encoder is json or console");
  return 0;
}

static int settle(const struct cli_command *self, struct options *opt) {
  int code = settle_omes(self, opt);

  if (code)
    return code;
  if (opt->health_port > UINT16_MAX)
    return cli_usage(self, "--health-port %llu is no port", (unsigned long long)opt->health_port);
  if (opt->metrics_port > UINT16_MAX)
    return cli_usage(self, "--metrics-bind-address: %llu is no port", (unsigned long long)opt->metrics_port);
  if (opt->webhook_port > UINT16_MAX)
    return cli_usage(self, "--webhook-port %llu is no port", (unsigned long long)opt->webhook_port);
  if (opt->grace && !str_to_ms(opt->grace, &opt->grace_ms))
    return cli_usage(self, "--runtime-revision-grace-period %s is no time; write 24h, 30m or 10s", opt->grace);
  return 0;
}

/* Probes and metrics are answered at the same addresses; OME's manager has one for each, which may be the same. */
static int32_t listen_for_probes(const struct options *opt, struct health *health, struct ome_err *err) {
  bool apart = opt->metrics_port && (opt->metrics_port != opt->health_port || opt->metrics_secure);
  int32_t rc = OME_OK;

  if (opt->health_port)
    rc = health_listen(health, opt->health_address, (uint16_t)opt->health_port, false, err);
  if (rc == OME_OK && apart)
    rc = health_listen(health, opt->metrics_address, (uint16_t)opt->metrics_port, opt->metrics_secure, err);
  return rc;
}

static int start(const struct options *opt) {
  _cleanup_(health_freep) struct health *health = health_new();
  struct ome_err err = ERR_INIT;

  cli_share_heaps();
  cli_signals_block();
  if (opt->webhook_port)
    health_report(health, HEALTH_READY, "webhooks", "they are not served and registered yet");
  health_report(health, HEALTH_READY, "controller", "the watch caches are not filled yet");
  int32_t rc = health ? listen_for_probes(opt, health, &err) : fail_memory(&err);
  if (rc == OME_OK)
    rc = serve(opt, health, &err);
  return rc == OME_OK ? 0 : cli_fail(&err);
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct options opt = {
      .health_address = "0.0.0.0", .metrics_address = "0.0.0.0", .health_port = 8081, .qps = 2000, .burst = 4000};
  const struct cli_option options[] = {
      {0, "kubeconfig", "FILE", "the API server (default: $KUBECONFIG, then the pod's account)", CLI_STRING,
       &opt.kubeconfig},
      {0, "context", "NAME", "context of the kubeconfig", CLI_STRING, &opt.context},
      {0, "ome-namespace", "NAME", "where the configuration is (default: $POD_NAMESPACE, then ome)", CLI_STRING,
       &opt.ome_namespace},
      OPTION_PLUGINS(&opt.plugins),
      {0, "leader-elect", NULL, "wait for the lease before reconciling: for several replicas", CLI_FLAG,
       &opt.leader_elect},
      {0, "kube-api-qps", "N",
       "requests to the API server a second at most, deletions and leases aside, 0 for any (default: 2000)", CLI_UINT,
       &opt.qps},
      {0, "kube-api-burst", "N", "so many at once before that (default: 4000)", CLI_UINT, &opt.burst},
      {0, "runtime-revision-retention", "N", "revisions of a runtime that are kept for pinned services (default: 10)",
       CLI_UINT, &opt.retention},
      {0, "runtime-revision-grace-period", "TIME", "how long older ones stay when no service uses them (default: 24h)",
       CLI_STRING, &opt.grace},
      {0, "health-address", "IP", "where /metrics, /healthz and /readyz are answered (default: 0.0.0.0)", CLI_STRING,
       &opt.health_address},
      {0, "health-port", "PORT", "its port, 0 for none (default: 8081)", CLI_UINT, &opt.health_port},
      {0, "webhook-port", "PORT",
       "serve the admission webhooks on this port and register them; without it they are left alone", CLI_UINT,
       &opt.webhook_port},
      {0, "webhook-address", "IP", "where they are served (default: 0.0.0.0)", CLI_STRING, &opt.webhook_address},
      {0, "webhook-service", "NAME", "Service that leads to them (default: ome-webhook-server-service)", CLI_STRING,
       &opt.webhook_service},
      {0, "webhook-url", "URL", "how the API server reaches them where it cannot reach Services: https://HOST:PORT",
       CLI_STRING, &opt.webhook_url},
      {0, "leader-election-namespace", "NAME", NULL, CLI_STRING, &opt.election_namespace},
      {0, "health-probe-addr", "ADDRESS", NULL, CLI_STRING, &opt.probes},
      {0, "webhook", NULL, NULL, CLI_FLAG, &opt.webhook},
      {0, "zap-log-level", "LEVEL", NULL, CLI_STRING, &opt.log_level},
      {0, "zap-encoder", "NAME", NULL, CLI_STRING, &opt.log_encoder},
      {0, "metrics-bind-address", "ADDRESS", NULL, CLI_STRING, &opt.metrics},
      {0, "metrics-secure", NULL, NULL, CLI_FLAG, &opt.metrics_secure},
      OF_OME("zap-stacktrace-level"),
      OF_OME("zap-time-encoding"),
      FLAG_OF_OME("enable-http2"),
      FLAG_OF_OME("zap-devel"),
      {0},
  };

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected argument \"%s\"", argv[1]);
  int code = settle(self, &opt);
  return code ? code : start(&opt);
}

const struct cli_command cli_controller = {
    .name = "controller",
    .args = "",
    .summary = "run the control plane against an API server",
    .help =
        "Reconciles InferenceServices, models, runtimes, accelerator classes and benchmark jobs until it is told to\n"
        "stop (SIGTERM or SIGINT).\n\n"
        "  ome controller --kubeconfig ~/.kube/config",
    .run = run,
};
