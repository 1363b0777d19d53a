/* For what a process cannot take back: it is done in a child. */
#ifndef TESTS_UNIT_OS_CHILDREN_H
#define TESTS_UNIT_OS_CHILDREN_H

#include "../unit.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUIRE(condition)                                                                                             \
  do {                                                                                                                 \
    if (!(condition))                                                                                                  \
      return __LINE__;                                                                                                 \
  } while (0)

/* Runs WHAT in a child: 0, or the line of what was not so. */
static inline void in_child(int (*what)(const void *arg), const void *arg) {
  int status = 0;
  pid_t pid = fork();

  assert_true(pid >= 0);
  if (pid == 0)
    _exit(what(arg) % 251);
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  if (WEXITSTATUS(status))
    fail_msg("line %d, or that and a multiple of 251", WEXITSTATUS(status));
}

/* From now on this process has a kernel without the system call NR. */
static inline bool take_away(unsigned nr) {
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog filter = {.len = 4, .filter = program};

  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0;
}

#endif
