/* ome-shim: starts one command and answers for everything that grows from it.
 *
 *   ome-shim [-c CGROUP.PROCS]... [-d DIR] -- FILE ARGV0 [ARG...]
 *
 * It is the parent of the command and the sub-reaper of its descendants, so that a process that daemonizes still ends
 * here.  It ends them all when the command ends, when told to, and when the other end of SHIM_FD closes: that is how
 * containers never outlive ome, not even one that was killed with SIGKILL.  Should the shim itself be killed, the
 * command gets SIGKILL from the kernel.  Static and without libraries: the container's environment is its own. */
#include "shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CGROUPS 8

struct command {
  const char *cgroups[MAX_CGROUPS];
  int ncgroups;
  const char *dir;
  const char *file;
  char **argv;
};

static void say(int what, int value) {
  const struct shim_message m = {what, value};

  (void)send(SHIM_FD, &m, sizeof(m), MSG_NOSIGNAL | MSG_EOR);
}

static bool parse(int argc, char **argv, struct command *c) {
  int opt;

  while ((opt = getopt(argc, argv, "+c:d:")) != -1) {
    if (opt == 'c' && c->ncgroups < MAX_CGROUPS)
      c->cgroups[c->ncgroups++] = optarg;
    else if (opt == 'd')
      c->dir = optarg;
    else
      return false;
  }
  if (argc - optind < 2)
    return false;
  c->file = argv[optind];
  c->argv = argv + optind + 1;
  return true;
}

/* Writes to a control file; one that cannot be written does not stop the command. */
static void put(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);

  if (fd < 0)
    return;
  ssize_t n = write(fd, text, strlen(text));
  (void)n;
  close(fd);
}

/* In the child: never returns. */
static void become(const struct command *c, const sigset_t *mask, pid_t parent, int report) {
  (void)setsid();
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent)
    _exit(127);
  for (int i = 0; i < c->ncgroups; i++)
    put(c->cgroups[i], "0");
  put("/proc/self/oom_score_adj", "500"); /* when memory runs out, the engine goes and not its keeper */
  (void)signal(SIGPIPE, SIG_DFL);
  (void)sigprocmask(SIG_SETMASK, mask, NULL);
  if (!c->dir || chdir(c->dir) == 0)
    (void)execv(c->file, c->argv);
  int error = errno;
  ssize_t n = write(report, &error, sizeof(error));
  (void)n;
  _exit(127);
}

/* Starts the command; its process id, or -1 with errno. */
static pid_t start(const struct command *c) {
  sigset_t all, before;
  int ends[2], error = 0;
  pid_t self = getpid();

  if (pipe2(ends, O_CLOEXEC) != 0)
    return -1;
  sigemptyset(&before);
  sigfillset(&all);
  (void)sigprocmask(SIG_SETMASK, &all, NULL);
  pid_t pid = fork();
  if (pid == 0)
    become(c, &before, self, ends[1]);
  int saved = errno;
  close(ends[1]);
  ssize_t n = pid < 0 ? 0 : read(ends[0], &error, sizeof(error)); /* end of file: the exec happened */
  close(ends[0]);
  if (pid < 0 || n == (ssize_t)sizeof(error)) {
    errno = pid < 0 ? saved : error;
    return -1;
  }
  return pid;
}

static pid_t parent_of(const char *pid) {
  char path[64], text[512];

  (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return 0;
  ssize_t n = read(fd, text, sizeof(text) - 1);
  close(fd);
  text[n > 0 ? n : 0] = '\0';
  const char *end = strrchr(text, ')');                                 /* the name before it may hold anything */
  return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0; /* ") S PPID" */
}

/* SIGKILL to each child.  Grandchildren become children when their parents end, so that this, again and again until
 * there is no child, reaches everything. */
static void kill_children(void) {
  DIR *proc = opendir("/proc");
  pid_t self = getpid();

  if (!proc)
    return;
  for (struct dirent *e; (e = readdir(proc));)
    if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && parent_of(e->d_name) == self)
      (void)kill((pid_t)strtol(e->d_name, NULL, 10), SIGKILL);
  closedir(proc);
}

static void end_all(pid_t group) {
  for (;;) {
    if (group > 0)
      (void)kill(-group, SIGKILL);
    kill_children();
    if (waitpid(-1, NULL, 0) < 0 && errno == ECHILD)
      return;
    while (waitpid(-1, NULL, WNOHANG) > 0)
      continue;
  }
}

/* Reaps what ended; whether the command is among it. */
static bool reap(pid_t main_pid, int *status) {
  bool ended = false;
  int s;

  for (pid_t pid; (pid = waitpid(-1, &s, WNOHANG)) > 0;)
    if (pid == main_pid) {
      *status = s;
      ended = true;
    }
  return ended;
}

static int supervise(pid_t pid, int signals) {
  struct pollfd fds[2] = {{.fd = SHIM_FD, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
  struct signalfd_siginfo info;
  struct shim_message m;
  int status = 0;

  for (;;) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR)
      break;
    if (fds[1].revents) {
      ssize_t n = read(signals, &info, sizeof(info));
      (void)n;
      if (reap(pid, &status))
        break;
    }
    if (!fds[0].revents)
      continue;
    ssize_t n = recv(SHIM_FD, &m, sizeof(m), 0);
    if (n <= 0)
      break; /* ome is gone */
    if (n == (ssize_t)sizeof(m) && m.what == SHIM_SIGNAL) {
      (void)kill(-pid, m.value);
      if (m.value == SIGKILL) /* the command's own end, which comes next, ends the rest */
        (void)kill(pid, SIGKILL);
    }
  }
  /* The command may have ended while we broke off for another reason: its own status is the one that counts. */
  if (!reap(pid, &status) && waitpid(pid, &status, WNOHANG) == 0) {
    (void)kill(-pid, SIGKILL);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, &status, 0);
  }
  return status;
}

int main(int argc, char **argv) {
  struct command c = {0};
  sigset_t mask;

  if (!parse(argc, argv, &c)) {
    say(SHIM_FAILED, EINVAL);
    return 2;
  }
  (void)fcntl(SHIM_FD, F_SETFD, FD_CLOEXEC);
  (void)setsid();
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  (void)signal(SIGPIPE, SIG_IGN);
  pid_t pid = start(&c);
  if (pid < 0) {
    say(SHIM_FAILED, errno);
    return 1;
  }
  /* The output is the command's: a shim that held it open would keep the log from ending. */
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3 && null >= 0; fd++)
    (void)dup2(null, fd);
  say(SHIM_STARTED, pid);
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD); /* blocked, like all others, since start() */
  int status = supervise(pid, signalfd(-1, &mask, SFD_CLOEXEC));
  end_all(pid);
  say(SHIM_EXITED, status);
  return 0;
}
