/* Processes that an earlier run of ome left behind.
 *
 * They should not exist: ome-shim ends its command when ome goes.  When shim and ome are killed together, descendants
 * that made sessions of their own can remain; every process of a container carries a mark in its environment, by which
 * they are found. */
#ifndef HOST_LOCAL_ORPHANS_H
#define HOST_LOCAL_ORPHANS_H

#include <stddef.h>

#define ORPHAN_MARK "OME_RUN"

/* SIGKILLs every process whose environment holds OME_RUN=ID and waits until they are gone.  How many there were. */
size_t orphans_kill(const char *id);

#endif
