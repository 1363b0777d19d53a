/* The command line: one table of commands, one way to read options, one place that reports an error.
 *
 * Exit codes: 0 ok, 1 failed, 2 usage. */
#ifndef HOST_CLI_CLI_H
#define HOST_CLI_CLI_H

#include "base/err.h"
#include "base/json.h"

#include <stdbool.h>
#include <stdint.h>

/* One option.  Exactly one of the targets is set by TYPE. */
struct cli_option {
  char letter;      /* 0: long form only */
  const char *name; /* "output" */
  const char *arg;  /* "FORMAT" in help; NULL: a flag */
  const char *help; /* one line; NULL: it is taken, and nobody is told of it */
  enum { CLI_FLAG, CLI_STRING, CLI_UINT, CLI_LIST } type;
  void *target; /* bool *, const char **, uint64_t *, struct cli_list * */
};

/* Options that mean the same wherever they are; P points to the const char * that they set. */
/* clang-format off */
#define OPTION_OUTPUT(p) \
  {'o', "output", "FORMAT", "table (default), json or yaml", CLI_STRING, p}
#define OPTION_NAMESPACE(p) \
  {'n', "namespace", "NAMESPACE", "where to look (default: the namespace of the kubeconfig)", CLI_STRING, p}
#define OPTION_KUBECONFIG(p) \
  {0, "kubeconfig", "FILE", \
   "the API server (default: $KUBECONFIG, .ome/kubeconfig, ~/.kube/config)", CLI_STRING, p}
#define OPTION_PLUGINS(p) \
  {0, "plugins", "FILE", "plugins.conf (default: the plugins installed beside ome)", CLI_STRING, p}
/* clang-format on */

struct cli_list { /* of a repeated option; up to 64 */
  const char *items[64];
  size_t len;
};

struct cli_command {
  const char *name;    /* "apiserver", "plugin list" is parsed by plugin's run */
  const char *args;    /* "URI DIR" in help */
  const char *summary; /* one line of `ome --help` */
  const char *help;    /* paragraphs of `ome NAME --help`: what it does, then examples */
  int (*run)(const struct cli_command *self, int argc, char **argv); /* argv[0] is the command's name */
};

/* Reads options (GNU style, mixed with operands, "--" ends them); leaves the operands in argv[1..return].  -h/--help
 * prints help and exits 0; a wrong option is reported and exits 2.  OPTIONS ends with name NULL. */
int cli_parse(const struct cli_command *cmd, const struct cli_option *options, int argc, char **argv);

/* "ome: <message>" on stderr; returns 1. */
int cli_fail(const struct ome_err *err);
/* The same for wrong usage, with a pointer to --help; returns 2. */
int cli_usage(const struct cli_command *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A positive number of bytes, or of bytes a second, as people write it: 500k, 20M, 1Gi. */
bool cli_bytes(const char *text, uint64_t *out);
/* "30s", "5m", "24h", "250ms", "30" (seconds), at most a million seconds, into nanoseconds. */
bool cli_duration(const char *text, uint64_t *out);

/* Prints O as FORMAT: "json", "yaml", or "table" through TABLE (NULL: yaml). Returns the exit code. */
int cli_print(struct json_object *o, const char *format, void (*table)(struct json_object *));

/* The files of repeated -f options: files, folders with what is below them (*.yaml, *.yml, *.json, sorted) and "-";
 * every document pushed in order into the new array *OUT. */
int32_t cli_load_manifests(const struct cli_list *paths, struct json_object **out, struct ome_err *err);

/* In the order of `ome --help`. */
/* clang-format off */
#define CLI_COMMANDS(X) \
  X(up) X(status) X(get) X(apply) X(delete) X(wait) X(render) X(explain) X(runtime) X(inspect) X(pull) X(push) X(store) X(hub) X(bench) \
  X(plugin) X(controller) X(agent) X(apiserver) X(crds) X(completion)
/* clang-format on */
#define CLI_DECLARE_(name) extern const struct cli_command cli_##name;
CLI_COMMANDS(CLI_DECLARE_)
#undef CLI_DECLARE_

/* All of them; ends with NULL.  Defined in main.c. */
extern const struct cli_command *const cli_commands[];

/* Hands CMD's table of options to FN, in a child process that shares standard output.  FN prints and returns. */
typedef void (*cli_describe_fn)(void *ctx, const struct cli_command *cmd, const struct cli_option *options);
void cli_describe(const struct cli_command *cmd, cli_describe_fn fn, void *ctx);

#endif
