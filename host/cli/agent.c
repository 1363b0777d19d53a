/* ome agent: the node agent, in front of any API server. */
#include "agent/agent.h"
#include "base/log.h"
#include "cli/cli.h"
#include "transfer/http_service.h"

struct options {
  const char *kubeconfig, *context, *ome_namespace, *node_name, *store, *plugins;
};

static int32_t serve(const struct options *o, struct ome_err *err) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  _cleanup_(http_service_freep) struct http_service *http = NULL;
  _cleanup_(plugins_freep) struct plugins *plugins = NULL;
  _cleanup_(agent_stopp) struct agent *agent = NULL;
  int32_t rc = kube_client_new(o->kubeconfig, o->context, &client, err);

  if (rc == OME_OK) {
    kube_client_until(client, cli_stopping);
    rc = http_service_new(&http, err);
  }
  if (rc != OME_OK)
    return rc;
  const struct plugin_service services[] = {{OME_SERVICE_HTTP, http_service_table(http)}};
  rc = plugins_load(o->plugins, services, ARRAY_LEN(services), &plugins, err);
  const struct agent_config cfg = {.client = client,
                                   .plugins = plugins,
                                   .node_name = o->node_name,
                                   .ome_namespace = o->ome_namespace,
                                   .store_dir = o->store};
  if (rc == OME_OK)
    rc = agent_start(&cfg, &agent, err);
  if (rc != OME_OK)
    return rc;
  log_info("agent", "keeping models in %s, as %s says", o->store, kube_client_server(client));
  (void)cli_signal_wait();
  return OME_OK;
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct options o = {.store = "/mnt/models"};
  struct ome_err err = ERR_INIT;
  const struct cli_option options[] = {
      {0, "kubeconfig", "FILE", "how to reach the API server; without it $KUBECONFIG, then the pod's own account",
       CLI_STRING, &o.kubeconfig},
      {0, "context", "NAME", "context of the kubeconfig", CLI_STRING, &o.context},
      {0, "ome-namespace", "NAME", "where the node's report goes; ome", CLI_STRING, &o.ome_namespace},
      {0, "node-name", "NAME", "this node; without it $NODE_NAME, then the host name", CLI_STRING, &o.node_name},
      {0, "models-root-dir", "DIR", "where models are kept; /mnt/models", CLI_STRING, &o.store},
      {0, "plugins", "FILE", "plugins.conf to load", CLI_STRING, &o.plugins},
      {0, NULL, NULL, NULL, CLI_FLAG, NULL},
  };

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected argument \"%s\"", argv[1]);
  cli_signals_block();
  return serve(&o, &err) == OME_OK ? 0 : cli_fail(&err);
}

const struct cli_command cli_agent = {
    .name = "agent",
    .args = "",
    .summary = "keep the models that belong on this node",
    .help = "Brings models to this node, verifies them, and tells the cluster, until it is told to stop.\n\n"
            "  ome agent --models-root-dir /mnt/models\n",
    .run = run,
};
