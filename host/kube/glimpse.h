/* What a line of a watch says of which object, read without a tree: most lines tell of writes of ours, and are worth no
 * more than a look.  Pure. */
#ifndef HOST_KUBE_GLIMPSE_H
#define HOST_KUBE_GLIMPSE_H

#include <stdbool.h>
#include <stddef.h>

struct glimpse {
  char key[320];    /* "ns/name", as of entry_key() */
  char version[64]; /* metadata.resourceVersion */
};

/* Reads LINE, one event of LEN bytes, in one pass and with no memory of its own.  True: it is ADDED or MODIFIED, and a
 * parser would find in it what OUT says.  False: it is something else, is no JSON, or is written in a way that only a
 * parser can read (escapes in a name, a member that comes twice); it is to be parsed. */
bool glimpse_event(const char *line, size_t len, struct glimpse *out);

#endif
