/* ome agent: the node agent, in front of any API server. */
#include "agent/agent.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/serve.h"
#include "cli/stores.h"
#include "net/health.h"
#include "os/confine.h"
#include "os/file.h"
#include "transfer/http_service.h"
#include "transfer/transfer.h"

#include <stdlib.h>

struct options {
  const char *kubeconfig, *context, *ome_namespace, *node_name, *store, *plugins;
  const char *peer_address, *peer_max_rate, *max_rate, *address, *capacity, *scrub_every, *level;
  uint64_t peer_port, port, high, low, store_bytes, qps, burst;
  uint64_t peer_bytes_per_second, bytes_per_second, scrub_every_s;
  struct cli_list without_effect, writable, further;
  struct store_options stores;
  bool confine, no_hub;
};

/* Flags of OME's agent that say how it works inside: its manifests stay as they are. */
#define OF_OME(option)                                                                                                 \
  { 0, option, "VALUE", NULL, CLI_LIST, &o.without_effect }

#define WRITABLE_MAX 32u

/* Models lie in the store and, where their spec names a path, there. */
static int32_t confine(const struct options *o, struct ome_err *err) {
  const char *folders[WRITABLE_MAX + STORES_MAX + 2] = {o->store};
  char said[CONFINE_SAID];
  size_t n = 1;

  if (o->writable.len > WRITABLE_MAX)
    return fail(err, OME_E_INVALID, "--writable: at most %u folders", WRITABLE_MAX);
  for (size_t i = 0; i < o->writable.len; i++)
    folders[n++] = o->writable.items[i];
  int32_t rc = dir_make(o->store, 0755, err);
  for (size_t i = 0; rc == OME_OK && i < o->stores.len; i++) {
    folders[n++] = o->stores.list[i].dir;
    rc = dir_make(o->stores.list[i].dir, 0755, err);
  }
  if (rc == OME_OK)
    rc = confine_process(folders, said, err);
  if (rc == OME_OK)
    log_info("agent", "confined by %s", said);
  return rc;
}

static int32_t serve(const struct options *o, struct ome_err *err) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_(http_service_freep) struct http_service *http = NULL;
  _cleanup_(plugins_freep) struct plugins *plugins = NULL;
  _cleanup_(health_freep) struct health *health = NULL;
  _cleanup_(agent_stopp) struct agent *agent = NULL;
  int32_t rc = o->confine ? confine(o, err) : OME_OK; /* before there is another thread */

  if (rc == OME_OK)
    rc = cli_connect_role("agent", o->kubeconfig, o->context, &client, err);
  if (rc == OME_OK) {
    kube_client_until(client, cli_stopping);
    kube_client_limit(client, o->qps, o->burst);
    rc = http_service_new(&http, err);
  }
  if (rc != OME_OK)
    return rc;
  const struct plugin_service services[] = {{OME_SERVICE_HTTP, http_service_table(http)}};
  rc = plugins_load(o->plugins, services, ARRAY_LEN(services), &plugins, err);
  if (rc == OME_OK && o->port)
    rc = health_serve(o->address, (uint16_t)o->port, &health, err);
  const struct agent_config cfg = {.client = client,
                                   .plugins = plugins,
                                   .health = health,
                                   .node_name = o->node_name,
                                   .ome_namespace = o->ome_namespace,
                                   .store_dir = o->store,
                                   .store_bytes = o->store_bytes,
                                   .store_high = (unsigned)o->high,
                                   .store_low = (unsigned)o->low,
                                   .further = o->stores.list,
                                   .nfurther = o->stores.len,
                                   .scrub_every_s = o->scrub_every_s,
                                   .peer_address = o->peer_address,
                                   .peer_port = (uint16_t)o->peer_port,
                                   .peer_max_bytes_per_second = o->peer_bytes_per_second,
                                   .no_hub = o->no_hub};
  transfer_set_max_rate(o->bytes_per_second);
  if (rc == OME_OK)
    rc = agent_start(&cfg, &agent, err);
  if (rc != OME_OK)
    return rc;
  log_info("agent", "keeping models in %s, as %s says", o->store, kube_client_server(client));
  cli_serve();
  return OME_OK;
}

/* What is wrong with numbers and names; NULL: nothing. */
static const char *find_wrong(const struct options *o) {
  const char *level = o->level ? o->level : getenv("LOG_LEVEL");

  if (level && !log_set_level_named(level))
    return "--log-level is error, warning, info or debug";
  if (o->port > UINT16_MAX || o->peer_port > UINT16_MAX)
    return "a port is at most 65535";
  if (o->low < 1 || o->low > o->high || o->high > 100)
    return "--store-high and --store-low are percents, and the low one is not above the high one";
  return NULL;
}

/* A second at least: reading is slow on purpose, and a damaged byte is no reason to do nothing else. */
static bool read_period(const char *text, uint64_t *out_s) {
  uint64_t ns = 0;

  if (!cli_duration(text, &ns) || ns < 1000000000)
    return false;
  *out_s = ns / 1000000000;
  return true;
}

/* What was asked for, as it is worked with; 0, or the exit code of wrong usage. */
static int settle(const struct cli_command *self, struct options *o) {
  const char *wrong = find_wrong(o);

  if (wrong)
    return cli_usage(self, "%s", wrong);
  if (o->capacity && !cli_bytes(o->capacity, &o->store_bytes))
    return cli_usage(self, "--store-capacity is a number of bytes, as 800Gi");
  struct ome_err err = ERR_INIT;
  if (!store_options_read(&o->stores, &o->further, o->store, &err))
    return cli_usage(self, "%s", err.msg);
  if (o->scrub_every && !read_period(o->scrub_every, &o->scrub_every_s))
    return cli_usage(self, "--scrub-every is a time of a second or more, as 24h or 30m");
  if ((o->max_rate && !cli_bytes(o->max_rate, &o->bytes_per_second)) ||
      (o->peer_max_rate && !cli_bytes(o->peer_max_rate, &o->peer_bytes_per_second)))
    return cli_usage(self, "a rate is a number of bytes a second, as 500k, 20M or 1Gi");
  if (!o->peer_address)
    o->peer_address = getenv("POD_IP");
  if (o->peer_address && !*o->peer_address)
    o->peer_address = NULL;
  return 0;
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct options o = {.store = "/mnt/models",
                      .address = "0.0.0.0",
                      .port = 8080,
                      .peer_port = 8473,
                      .high = 90,
                      .low = 80,
                      .qps = 20,
                      .burst = 50};
  struct ome_err err = ERR_INIT;
  const struct cli_option options[] = {
      {0, "kubeconfig", "FILE", "the API server (default: $KUBECONFIG, then the pod's account)", CLI_STRING,
       &o.kubeconfig},
      {0, "context", "NAME", "context of the kubeconfig", CLI_STRING, &o.context},
      {0, "kube-api-qps", "N", "requests to the API server a second at most, deletions aside, 0 for any (default: 20)",
       CLI_UINT, &o.qps},
      {0, "kube-api-burst", "N", "so many at once before that (default: 50)", CLI_UINT, &o.burst},
      {0, "ome-namespace", "NAME", "where the node's report goes (default: ome)", CLI_STRING, &o.ome_namespace},
      {0, "node-name", "NAME", "this node (default: $NODE_NAME, then the host name)", CLI_STRING, &o.node_name},
      {0, "models-root-dir", "DIR", "where models are kept (default: /mnt/models)", CLI_STRING, &o.store},
      {0, "store-capacity", "BYTES",
       "of models at most (default: what the disk has). The Node's annotation models.ome.io/store-capacity goes before",
       CLI_STRING, &o.capacity},
      {0, "store-high", "PERCENT", "of the capacity, above which models that nobody uses are evicted (default: 90)",
       CLI_UINT, &o.high},
      {0, "store-low", "PERCENT", "of the capacity, down to which they are (default: 80)", CLI_UINT, &o.low},
      STORE_OPTION(&o.further),
      {0, "scrub-every", "TIME", "until all bytes of the store are read again, as 6h (default: 24h)", CLI_STRING,
       &o.scrub_every},
      {0, "confine", NULL, "write only there, and start no program, as far as the kernel can see to it", CLI_FLAG,
       &o.confine},
      {0, "writable", "DIR", "with --confine, another folder that models are put into", CLI_LIST, &o.writable},
      OPTION_PLUGINS(&o.plugins),
      {0, "address", "IP", "where /metrics and the probes are answered (default: 0.0.0.0)", CLI_STRING, &o.address},
      {0, "port", "N", "its port, 0 for none (default: 8080)", CLI_UINT, &o.port},
      {0, "log-level", "LEVEL", "error, warning, info or debug (default: $LOG_LEVEL, $OME_LOG_LEVEL, then info)",
       CLI_STRING, &o.level},
      {0, "max-rate", "BYTES", "fetched a second at most: 500k, 20M, 1Gi", CLI_STRING, &o.max_rate},
      {0, "peer-address", "IP", "where others load from here (default: $POD_IP, or none)", CLI_STRING, &o.peer_address},
      {0, "peer-port", "N", "port of that, 0 for any (default: 8473)", CLI_UINT, &o.peer_port},
      {0, "peer-max-rate", "BYTES", "given to other nodes a second at most", CLI_STRING, &o.peer_max_rate},
      {0, "no-hub", NULL, "serve no models there but to other nodes", CLI_FLAG, &o.no_hub},
      {0, "namespace", "NAME", NULL, CLI_STRING, &o.ome_namespace}, /* OME's word for it */
      OF_OME("concurrency"),
      OF_OME("download-retry"),
      OF_OME("multipart-concurrency"),
      OF_OME("node-label-retry"),
      OF_OME("num-download-worker"),
      {0},
  };

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected argument \"%s\"", argv[1]);
  int code = settle(self, &o);
  if (code)
    return code;
  cli_share_heaps();
  cli_signals_block();
  return serve(&o, &err) == OME_OK ? 0 : cli_fail(&err);
}

const struct cli_command cli_agent = {
    .name = "agent",
    .args = "",
    .summary = "keep the models that belong on this node",
    .help = "Brings models to this node, verifies them, and tells the cluster, until it is told to stop.\n\n"
            "  ome agent --models-root-dir /mnt/models",
    .run = run,
};
