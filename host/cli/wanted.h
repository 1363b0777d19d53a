/* --include and --exclude of commands that move files. */
#ifndef HOST_CLI_WANTED_H
#define HOST_CLI_WANTED_H

#include "cli/cli.h"

struct wanted {
  struct cli_list include, exclude; /* shell patterns (fnmatch) of paths; '*' goes across '/' */
};

/* The rows of an option table. */
#define WANTED_OPTIONS(w)                                                                                              \
  {0, "include", "PATTERN", "only paths like this one, \"*.safetensors\"; repeat it", CLI_LIST, &(w)->include}, {      \
    0, "exclude", "PATTERN", "no path like this one; goes before --include", CLI_LIST, &(w)->exclude                   \
  }

/* Whether PATH is to be moved: no pattern of exclude, and one of include where there is any. */
bool is_wanted(const struct wanted *w, const char *path);

#endif
