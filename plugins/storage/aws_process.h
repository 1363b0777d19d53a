/* Programs that print credentials. */
#ifndef PLUGINS_STORAGE_AWS_PROCESS_H
#define PLUGINS_STORAGE_AWS_PROCESS_H

#include <ome/abi.h>

#include <stddef.h>

/* Splits TEXT into words in place, as the AWS tools do: blanks part them, '...' and "..." hold them together, a
 * backslash takes what follows as it is, but in '...'.  OUT ends with NULL; their number, or -1: an open quote, or SIZE
 * is too small. */
int aws_words(char *text, char **out, size_t size);

/* Runs COMMAND, without a shell, and collects what it prints, at most 64 KiB; secret, the caller's to free.  It is
 * killed with what it started when CALL is over, or after a minute.  Its own messages go where ours do.  WHAT is for
 * messages, which never hold its arguments. */
int32_t aws_process_run(const struct ome_call *call, const char *what, const char *command, char **out,
                        struct ome_err *err);

#endif
