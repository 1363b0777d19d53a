/* What ome and ome-shim say to each other over descriptor SHIM_FD, a SOCK_SEQPACKET socket. */
#ifndef HOST_LOCAL_HELPER_SHIM_H
#define HOST_LOCAL_HELPER_SHIM_H

#include <stdint.h>

#define SHIM_FD 3

enum shim_what {
  /* from the shim */
  SHIM_STARTED = 1, /* value: process id of the command */
  SHIM_FAILED,      /* value: errno; the command could not be started */
  SHIM_EXITED,      /* value: wait status; nothing of it runs any more */
  /* to the shim */
  SHIM_SIGNAL, /* value: signal for the command's process group; SIGKILL goes to all of its descendants */
};

struct shim_message {
  int32_t what;
  int32_t value;
};

#endif
