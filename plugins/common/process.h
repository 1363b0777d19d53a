/* Programs that print credentials. */
#ifndef PLUGINS_COMMON_PROCESS_H
#define PLUGINS_COMMON_PROCESS_H

#include <ome/abi.h>

#include <stddef.h>

/* Splits TEXT into words in place, as the cloud tools do: blanks part them, '...' and "..." hold them together, a
 * backslash takes what follows as it is, but in '...'.  OUT ends with NULL; their number, or -1: an open quote, or SIZE
 * is too small. */
int process_words(char *text, char **out, size_t size);

struct process {
  const char *what; /* for messages, which never hold its arguments: "aws: profile x: its credential_process" */
  const char *command;
  char *const *also; /* "NAME=VALUE", NULL-terminated, beside our environment; NULL: none */
  int longest_s;     /* then it is killed, with what it started */
};

/* Runs P, without a shell, and collects what it prints, at most 64 KiB; secret, the caller's to free.  It is killed
 * when CALL (may be NULL) is over, too.  Its own messages go where ours do. */
int32_t process_run(const struct ome_call *call, const struct process *p, char **out, struct ome_err *err);

#endif
