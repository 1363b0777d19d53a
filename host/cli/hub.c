/* ome hub: local models over the Hugging Face Hub's HTTP API. */
#include "hub/hub.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/serve.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "status=429", "cut=1000" */
static bool read_fault(const char *text, struct hub_config *cfg) {
  uint64_t n;

  if (has_prefix(text, "status=") && str_to_u64(text + 7, &n) && n >= 400 && n < 600) {
    cfg->fault_status = (int)n;
    return true;
  }
  return has_prefix(text, "cut=") && str_to_u64(text + 4, &cfg->fault_cut);
}

/* Written when the port answers: whoever waits for the file may connect. */
static int32_t write_port(const char *path, uint16_t port, struct ome_err *err) {
  char text[16];
  int n = snprintf(text, sizeof(text), "%u\n", port);

  return path ? file_write(path, text, (size_t)n, 0644, err) : OME_OK;
}

/* $XDG_CACHE_HOME/ome/hub-digests, new.  NULL, which keeps nothing: there is no such place. */
static char *default_digests(void) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  struct ome_err unmade = ERR_INIT;
  _cleanup_free_ char *dir = cache && *cache == '/' ? str_printf("%s/ome", cache)
                             : home && *home == '/' ? str_printf("%s/.cache/ome", home)
                                                    : NULL;

  return dir && dir_make(dir, 0700, &unmade) == OME_OK ? path_join(dir, "hub-digests") : NULL;
}

static int hub_main(const struct cli_command *self, int argc, char **argv) {
  struct hub_config cfg = {0};
  const char *token_file = NULL;
  const char *port_file = NULL;
  const char *fault = NULL;
  const char *digests = NULL;
  uint64_t port = 8090;
  const struct cli_option options[] = {
      {0, "address", "IP", "address to listen on (default: 127.0.0.1)", CLI_STRING, &cfg.address},
      {0, "port", "N", "port, 0 for any free one (default: 8090)", CLI_UINT, &port},
      {0, "port-file", "FILE", "write the port there when it answers", CLI_STRING, &port_file},
      {0, "token-file", "FILE", "clients must present the token in FILE", CLI_STRING, &token_file},
      {0, "digests", "FILE", "keep digests of what was read in FILE (default: below ~/.cache/ome)", CLI_STRING,
       &digests},
      {0, "fault", "FAULT", "for tests: status=N answers N; cut=BYTES ends downloads early", CLI_STRING, &fault},
      {0},
  };
  _cleanup_free_ char *token = NULL;
  struct hub *hub = NULL;
  struct ome_err err = ERR_INIT;

  if (cli_parse(self, options, argc, argv) != 1)
    return cli_usage(self, "one folder is needed");
  if (port > UINT16_MAX || (fault && !read_fault(fault, &cfg)))
    return cli_usage(self, "a port is at most %d; a fault is status=N or cut=BYTES", UINT16_MAX);
  if (token_file && file_read(token_file, 4096, &token, NULL, &err) != OME_OK)
    return cli_fail(&err);
  if (token)
    token[strcspn(token, "\r\n")] = '\0';
  cfg.dir = argv[1];
  cfg.port = (uint16_t)port;
  cfg.token = token;
  _cleanup_free_ char *kept = digests ? NULL : default_digests();
  cfg.digests = digests ? digests : kept;
  cli_signals_block();
  if (hub_start(&cfg, &hub, &err) != OME_OK)
    return cli_fail(&err);
  fprintf(stderr, "serving %s on http://%s:%u; HF_ENDPOINT is that URL\n", argv[1],
          cfg.address ? cfg.address : "127.0.0.1", hub_port(hub));
  if (write_port(port_file, hub_port(hub), &err) != OME_OK) {
    hub_stop(hub);
    return cli_fail(&err);
  }
  (void)cli_signal_wait();
  hub_stop(hub);
  return 0;
}

const struct cli_command cli_hub = {
    .name = "hub",
    .args = "DIR",
    .summary = "serve local models over the Hugging Face Hub API",
    .help = "DIR/ORG/NAME/... is the repository ORG/NAME. For air-gapped sites, from node to node, and for tests.\n\n"
            "  ome hub models --port 8090\n"
            "  HF_ENDPOINT=http://127.0.0.1:8090 ome pull hf://org/name model",
    .run = hub_main,
};
