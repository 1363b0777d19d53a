/* Whether bytes can be a shared object at all.  Pure. */
#ifndef HOST_PLUGIN_ELF_H
#define HOST_PLUGIN_ELF_H

#include "base/err.h"

#include <stddef.h>

/* An ELF shared object for this machine whose segments are all there: the dynamic linker maps what the program headers
 * say, and a file that was cut off ends the process with SIGBUS.  PATH is for the message.  DATA is aligned to 8. */
int32_t elf_check(const char *path, const void *data, size_t len, struct ome_err *err);

#endif
