/* Finding and killing marked processes. */
#include "local/orphans.h"

#include "base/cleanup.h"
#include "base/str.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define MAX_ENVIRON ((size_t)4 << 20) /* an environment is at most a quarter of the stack limit */
#define GONE_MS 5000

static bool is_marked(const char *pid, const char *mark) {
  char path[64];
  size_t len = 0, cap = 65536, n = strlen(mark) + 1;
  _cleanup_free_ char *text = malloc(cap);

  (void)snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
  _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || !text)
    return false;
  for (ssize_t got; (got = read(fd, text + len, cap - len)) > 0;) {
    len += (size_t)got;
    if (len < cap)
      continue;
    char *grown = cap < MAX_ENVIRON ? realloc(text, cap * 2) : NULL;
    if (!grown)
      break;
    text = grown;
    cap *= 2;
  }
  for (size_t at = 0; at + n <= len; at += strnlen(text + at, len - at) + 1)
    if (memcmp(text + at, mark, n) == 0)
      return true;
  return false;
}

/* The descriptor is taken before the mark is looked at: what is killed is what was looked at, whatever happens to the
 * process id in between. */
static bool kill_if_marked(const char *name, const char *mark) {
  int64_t pid;

  if (!str_to_i64(name, &pid) || pid <= 1 || pid == getpid())
    return false;
  _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
  if (fd < 0 || !is_marked(name, mark) || syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) != 0)
    return false;
  struct pollfd p = {.fd = fd, .events = POLLIN};
  (void)poll(&p, 1, GONE_MS);
  return true;
}

size_t orphans_kill(const char *id) {
  _cleanup_free_ char *mark = str_printf(ORPHAN_MARK "=%s", id);
  size_t killed = 0, before;

  if (!mark)
    return 0;
  do { /* once more after each find: it may have forked meanwhile */
    DIR *proc = opendir("/proc");
    before = killed;
    for (struct dirent *e; proc && (e = readdir(proc));)
      killed += kill_if_marked(e->d_name, mark);
    if (proc)
      (void)closedir(proc);
  } while (killed > before && killed < 100000);
  return killed;
}
