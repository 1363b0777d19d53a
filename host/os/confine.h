/* What this process will not need, given up for good: writing outside of its folders and starting programs (Landlock,
 * Linux 5.19 and later), system calls that are of use to intruders only (seccomp).  Where the kernel has less, less is
 * given up. */
#ifndef HOST_OS_CONFINE_H
#define HOST_OS_CONFINE_H

#include "base/err.h"

#define CONFINE_SAID 200

/* From now on this thread and those that it starts read what they may, write below the folders WRITABLE (NULL-ended,
 * which exist) and to /dev/null, and start no program.  SAID, for people, tells what the kernel took.  Before there is
 * a second thread.  A kernel without any of it is no error; a folder that cannot be opened is. */
int32_t confine_process(const char *const *writable, char said[CONFINE_SAID], struct ome_err *err);

#endif
