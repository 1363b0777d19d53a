/* Picks the role: `ome COMMAND ...`, or `kubectl-ome COMMAND ...`. */
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#define ADDRESS_(name) &cli_##name,
const struct cli_command *const cli_commands[] = {CLI_COMMANDS(ADDRESS_) NULL};
#undef ADDRESS_

static void print_usage(FILE *out) {
  fprintf(out, "ome turns a model into a running, scaled, reachable endpoint.\n\nusage: ome COMMAND [OPTIONS] ...\n\n");
  for (size_t i = 0; cli_commands[i]; i++)
    fprintf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
  fprintf(out, "\n`ome COMMAND --help` says more; `ome --version` the version.\n");
}

/* How to log is the surroundings' choice: a service manager's, a Deployment's; the same for every role. */
static bool read_log_settings(void) {
  const char *level = getenv("OME_LOG_LEVEL");
  const char *format = getenv("OME_LOG_FORMAT");

  if (level && *level && !log_set_level_named(level))
    fprintf(stderr, "ome: OME_LOG_LEVEL is \"%s\"; it can be error, warning, info or debug\n", level);
  else if (format && *format && !log_set_format_named(format))
    fprintf(stderr, "ome: OME_LOG_FORMAT is \"%s\"; it can be text, logfmt or json\n", format);
  else
    return true;
  return false;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    print_usage(stderr);
    return 2;
  }
  if (streq(argv[1], "--help") || streq(argv[1], "-h") || streq(argv[1], "help")) {
    print_usage(stdout);
    return 0;
  }
  if (streq(argv[1], "--version") || streq(argv[1], "version")) {
    printf("ome %s\n", OME_VERSION);
    return 0;
  }
  if (!read_log_settings())
    return 2;
  for (size_t i = 0; cli_commands[i]; i++)
    if (streq(argv[1], cli_commands[i]->name))
      return cli_commands[i]->run(cli_commands[i], argc - 1, argv + 1);
  fprintf(stderr, "ome: \"%s\" is no command; see ome --help\n", argv[1]);
  return 2;
}
