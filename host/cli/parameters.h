/* --parameter of commands that ask a storage plugin: what spec.storage.parameters and the Secret of a model hold. */
#ifndef HOST_CLI_PARAMETERS_H
#define HOST_CLI_PARAMETERS_H

#include "cli/cli.h"
#include "ome/abi.h"

#include "base/vec.h"

struct parameters {
  struct cli_list given;   /* "KEY=VALUE" or "KEY=@FILE" */
  const char *file;        /* NULL: none */
  const char *credentials; /* a folder; NULL: none */
  VEC(struct ome_kv) list; /* what comes first wins */
};

/* The rows of an option table. */
/* clang-format off */
#define PARAMETERS_OPTIONS(p)                                                                                          \
  {0, "parameter", "KEY=VALUE", "for the plugin, as in spec.storage.parameters; KEY=@FILE reads it there; repeat it",  \
   CLI_LIST, &(p)->given},                                                                                             \
  {0, "parameters-file", "FILE", "the same from a JSON or YAML object", CLI_STRING, &(p)->file},                       \
  {0, "credentials", "DIR", "the same from a folder, a file each: a Secret as pods have it", CLI_STRING,               \
   &(p)->credentials}
/* clang-format on */

/* Makes LIST of what was given: the value after "=", or what FILE holds without the newline at its end (a secret is in
 * no command line so; "-" is standard input).  A key that has a word like token, secret or password in it, in any
 * case, is taken from a file only.  Then come the files of CREDENTIALS, "token" first as the agent has it, and what
 * FILE holds.  INVALID names the key that cannot be used, never a value. */
int32_t parameters_read(struct parameters *p, struct ome_err *err);
/* Adds a pair of the command's own, behind what was given. */
int32_t parameters_add(struct parameters *p, const char *key, const char *value, struct ome_err *err);
void parameters_fini(struct parameters *p); /* clears values before they are freed */
#define _cleanup_parameters_ _cleanup_(parameters_fini)

#endif
