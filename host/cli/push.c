/* ome push: files of this machine to wherever a storage plugin writes, verified by what the backend lists afterwards.
 */
#include "base/str.h"
#include "cli/cli.h"
#include "cli/delivery.h"
#include "cli/serve.h"
#include "transfer/upload.h"

static bool stopped(UNUSED void *arg) {
  return cli_stopping();
}

static int run(const struct cli_command *self, int argc, char **argv) {
  struct transfer_report report = {.terminal = isatty(STDERR_FILENO) == 1};
  const char *format = "table";
  struct wanted wanted = {0};
  struct parameters parameters = {0};
  struct delivery p = {
      .connections = 8, .wanted = &wanted, .parameters = &parameters, .report = &report, .cancelled = stopped};
  struct transfer_event end = {0};
  struct ome_err err = ERR_INIT;
  const struct cli_option options[] = {
      {'o', "output", "FORMAT", "json: one event a line on standard output", CLI_STRING, &format},
      {0, "revision", "NAME", "branch or tag (default: what the address says)", CLI_STRING, &p.revision},
      WANTED_OPTIONS(&wanted),
      PARAMETERS_OPTIONS(&parameters),
      {0, "connections", "N", "requests at a time (default: 8)", CLI_UINT, &p.connections},
      OPTION_PLUGINS(&p.plugins),
      {0},
  };

  if (cli_parse(self, options, argc, argv) != 2)
    return cli_usage(self, "a file or folder and an address are needed");
  if (p.connections == 0 || p.connections > UPLOAD_CONNECTIONS_MAX)
    return cli_usage(self, "--connections is 1 to %u", UPLOAD_CONNECTIONS_MAX);
  p.from = argv[1];
  p.uri = argv[2];
  if (!streq(format, "json") && !streq(format, "table"))
    return cli_usage(self, "--output is json, or left out");
  report.json = streq(format, "json");
  cli_signals_block();
  int32_t rc = parameters_read(&parameters, &err);
  if (rc == OME_OK)
    rc = deliver(&p, &end, &err);
  parameters_fini(&parameters);
  return transfer_report_end(&report, &end, rc, &err);
}

const struct cli_command cli_push = {
    .name = "push",
    .args = "FILE|DIR URI",
    .summary = "send a file or folder to a storage backend, verified",
    .help = "Sends FILE, or what is below DIR but hidden files, to below URI.  What is there already with the same\n"
            "digest is not sent again; afterwards the backend's list must name every file with its size and digest.\n"
            "Credentials come from the environment, a file (--parameter KEY=@FILE) or plugins.conf, never from the\n"
            "command line.\n\n"
            "  ome push ./smollm2 s3://models/smollm2\n"
            "  ome push ./weights oras://registry.example.com/models/weights:v1 --include '*.safetensors'",
    .run = run,
};
