#include "cli/wanted.h"

#include <fnmatch.h>

static bool is_like(const struct cli_list *patterns, const char *path) {
  for (size_t i = 0; i < patterns->len; i++)
    if (fnmatch(patterns->items[i], path, 0) == 0)
      return true;
  return false;
}

bool is_wanted(const struct wanted *w, const char *path) {
  return !is_like(&w->exclude, path) && (w->include.len == 0 || is_like(&w->include, path));
}
