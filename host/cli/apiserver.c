/* ome apiserver: only the embedded API server. */
#include "apiserver/apiserver.h"
#include "cli/cli.h"
#include "cli/serve.h"

#include <stdio.h>

static int apiserver_main(const struct cli_command *self, int argc, char **argv) {
  struct apiserver_config cfg = {.data_dir = ".ome"};
  const char *address = NULL;
  uint64_t port = 6443;
  const struct cli_option options[] = {
      {'d', "data", "DIR", "where the database, keys and kubeconfig live (default: .ome)", CLI_STRING, &cfg.data_dir},
      {0, "address", "IP", "address to listen on (default: 127.0.0.1)", CLI_STRING, &address},
      {0, "port", "N", "port, 0 for any free one (default: 6443)", CLI_UINT, &port},
      {0, "audit-log-path", "FILE", "append a line of JSON for each request (audit.k8s.io/v1, level Metadata)",
       CLI_STRING, &cfg.audit_log},
      {0, "faults", NULL, "for tests of clients: what is put to /faults makes requests go wrong", CLI_FLAG,
       &cfg.faults},
      {0},
  };
  struct apiserver *server = NULL;
  struct ome_err err = ERR_INIT;

  if (cli_parse(self, options, argc, argv) > 0)
    return cli_usage(self, "unexpected operand \"%s\"", argv[1]);
  if (port > UINT16_MAX)
    return cli_usage(self, "a port is at most %d", UINT16_MAX);
  cfg.address = address;
  cfg.port = (uint16_t)port;
  cfg.cluster_network = true; /* no local platform runs here that could listen for Services */
  cli_signals_block();
  if (apiserver_start(&cfg, &server, &err) != OME_OK)
    return cli_fail(&err);
  fprintf(stderr, "serving on port %u; kubectl --kubeconfig %s\n", apiserver_port(server),
          apiserver_kubeconfig(server));
  (void)cli_signal_wait();
  apiserver_stop(server);
  return 0;
}

const struct cli_command cli_apiserver = {
    .name = "apiserver",
    .args = "",
    .summary = "run only the embedded API server",
    .help =
        "Serves the Kubernetes API over HTTPS on one SQLite file. DIR/kubeconfig, with the token, is written when it\n"
        "answers.\n\n"
        "  ome apiserver --data /tmp/api --port 0\n"
        "  kubectl --kubeconfig /tmp/api/kubeconfig get namespaces",
    .run = apiserver_main,
};
