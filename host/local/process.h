/* A supervised process: a command under its own ome-shim (helper/shim.c), driven from an event loop. */
#ifndef HOST_LOCAL_PROCESS_H
#define HOST_LOCAL_PROCESS_H

#include "base/cleanup.h"
#include "base/err.h"
#include "net/loop.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process;

struct process_spec {
  const char *shim;           /* path of ome-shim */
  const char *file;           /* executable, absolute */
  char *const *argv;          /* NULL-terminated, argv[0] included */
  char *const *env;           /* the whole environment */
  const char *dir;            /* working directory; NULL: "/" */
  const char *const *cgroups; /* cgroup.procs files to join, NULL-terminated; NULL: none */
};

/* On the loop's thread. */
struct process_ops {
  void (*on_started)(void *arg, pid_t pid); /* may be NULL */
  /* STREAM 1 or 2; may be NULL. */
  void (*on_output)(void *arg, int stream, const char *data, size_t len);
  /* The last call: nothing of the command runs any more, its output has been handed over, and the process object is
   * gone.  START_ERRNO != 0: it never ran; otherwise STATUS is as of wait(2). */
  void (*on_exit)(void *arg, int status, int start_errno);
};

/* Loop thread.  What does not start for reasons of its own (ENOENT, ...) is told to on_exit; an error here means that
 * the machine refuses (no processes, no descriptors). */
int32_t process_start(struct loop *l, const struct process_spec *spec, const struct process_ops *ops, void *arg,
                      struct process **out, struct ome_err *err);
/* To the command's process group; SIGKILL reaches all of its descendants. */
void process_signal(struct process *p, int signal);
/* Kills everything of it and waits until it is dead, five seconds at most; no callback any more. */
void process_destroy(struct process *p);

/* Absolute path of COMMAND, by the PATH in PATH_VALUE when it holds no '/', relative to DIR otherwise; new.  NULL with
 * ERR saying why ("not found in PATH", "not executable"). */
char *process_find(const char *command, const char *path_value, const char *dir, struct ome_err *err);

#endif
