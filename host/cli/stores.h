/* --store NAME=DIR[,capacity=BYTES][,high=PERCENT][,low=PERCENT] of commands that keep models. */
#ifndef HOST_CLI_STORES_H
#define HOST_CLI_STORES_H

#include "agent/agent.h"
#include "cli/cli.h"

#define STORES_MAX 8u
#define STORE_NAME_SIZE 64u
#define STORE_DIR_SIZE 4096u

/* The row of a table of options, into the struct cli_list at LIST. */
#define STORE_OPTION(list)                                                                                             \
  {                                                                                                                    \
    0, "store", "NAME=DIR[,...]",                                                                                      \
        "a further store, as network=/mnt/disk,capacity=8Ti,high=90,low=80: for models that name it, or that are "     \
        "larger than the stores before it",                                                                            \
        CLI_LIST, list                                                                                                 \
  }

/* What agent_config's further stores are made of. */
struct store_options {
  struct agent_store list[STORES_MAX];
  size_t len;
  char names[STORES_MAX][STORE_NAME_SIZE];
  char dirs[STORES_MAX][STORE_DIR_SIZE];
};

/* False: ERR says which of GIVEN is wrong.  FIRST is the folder of the store that is there anyway. */
bool store_options_read(struct store_options *out, const struct cli_list *given, const char *first,
                        struct ome_err *err);

#endif
