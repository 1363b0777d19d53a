/* Picks the role: `ome COMMAND ...`, or `kubectl-ome COMMAND ...`. */
#include "base/str.h"
#include "cli/cli.h"

#include <stdio.h>

const struct cli_command *const cli_commands[] = {
#ifdef HAVE_up
    &cli_up,
#endif
#ifdef HAVE_get
    &cli_get,
#endif
#ifdef HAVE_apply
    &cli_apply,
#endif
#ifdef HAVE_delete
    &cli_delete,
#endif
#ifdef HAVE_wait
    &cli_wait,
#endif
#ifdef HAVE_render
    &cli_render,
#endif
#ifdef HAVE_explain
    &cli_explain,
#endif
#ifdef HAVE_inspect
    &cli_inspect,
#endif
#ifdef HAVE_pull
    &cli_pull,
#endif
#ifdef HAVE_hub
    &cli_hub,
#endif
#ifdef HAVE_plugin
    &cli_plugin,
#endif
#ifdef HAVE_controller
    &cli_controller,
#endif
#ifdef HAVE_agent
    &cli_agent,
#endif
#ifdef HAVE_apiserver
    &cli_apiserver,
#endif
#ifdef HAVE_crds
    &cli_crds,
#endif
#ifdef HAVE_completion
    &cli_completion,
#endif
    NULL,
};

static void print_usage(FILE *out) {
  fprintf(out, "ome turns a model into a running, scaled, reachable endpoint.\n\nusage: ome COMMAND [OPTIONS] ...\n\n");
  for (size_t i = 0; cli_commands[i]; i++)
    fprintf(out, "  %-12s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
  fprintf(out, "\n`ome COMMAND --help` says more; `ome --version` the version.\n");
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
  for (size_t i = 0; cli_commands[i]; i++)
    if (streq(argv[1], cli_commands[i]->name))
      return cli_commands[i]->run(cli_commands[i], argc - 1, argv + 1);
  fprintf(stderr, "ome: \"%s\" is no command; see ome --help\n", argv[1]);
  return 2;
}
