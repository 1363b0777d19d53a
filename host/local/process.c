/* Processes under ome-shim. */
#include "local/process.h"

#include "base/str.h"
#include "local/helper/shim.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES 16384
#define DESTROY_MS 5000
#define MAX_LAST_READS 256 /* a pipe holds less; only somebody else who got hold of it could go on writing */

struct process {
  pid_t shim;
  int control, output[2];
  struct event *control_event, *output_event[2];
  const struct process_ops *ops;
  void *arg;
  int status, start_errno;
};

static void close_event(struct event **e, int *fd) {
  if (*e)
    event_free(*e);
  *e = NULL;
  if (*fd >= 0)
    (void)close(*fd);
  *fd = -1;
}

static void process_free(struct process *p) {
  close_event(&p->control_event, &p->control);
  close_event(&p->output_event[0], &p->output[0]);
  close_event(&p->output_event[1], &p->output[1]);
  free(p);
}

/* Reads one piece of a stream; whether there may be more. */
static bool read_output(struct process *p, int stream) {
  char data[READ_BYTES];
  ssize_t n = read(p->output[stream - 1], data, sizeof(data));

  if (n > 0) {
    if (p->ops->on_output)
      p->ops->on_output(p->arg, stream, data, (size_t)n);
    return true;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return false;
  close_event(&p->output_event[stream - 1], &p->output[stream - 1]);
  return false;
}

static void on_stdout(evutil_socket_t fd UNUSED, short what UNUSED, void *arg) {
  (void)read_output(arg, 1);
}

static void on_stderr(evutil_socket_t fd UNUSED, short what UNUSED, void *arg) {
  (void)read_output(arg, 2);
}

/* The shim is ending: everything that it answered for is dead, so that what is in the pipes is all there will be. */
static void finish(struct process *p) {
  const struct process_ops *ops = p->ops;
  void *arg = p->arg;

  for (int stream = 1; stream <= 2; stream++)
    for (int i = 0; i < MAX_LAST_READS && p->output[stream - 1] >= 0 && read_output(p, stream); i++)
      continue;
  while (waitpid(p->shim, NULL, 0) < 0 && errno == EINTR)
    continue;
  int status = p->status, start_errno = p->start_errno;
  process_free(p);
  ops->on_exit(arg, status, start_errno);
}

static void on_control(evutil_socket_t fd, short what UNUSED, void *arg) {
  struct process *p = arg;
  struct shim_message m;
  ssize_t n = recv(fd, &m, sizeof(m), MSG_DONTWAIT);

  if (n < 0 && (errno == EAGAIN || errno == EINTR))
    return;
  if (n != (ssize_t)sizeof(m)) { /* closed */
    finish(p);
    return;
  }
  if (m.what == SHIM_STARTED && p->ops->on_started)
    p->ops->on_started(p->arg, m.value);
  else if (m.what == SHIM_FAILED)
    p->start_errno = m.value ? m.value : ENOEXEC;
  else if (m.what == SHIM_EXITED)
    p->status = m.value;
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

/* "ome-shim -c PROCS... -d DIR -- FILE ARGV..."; an array of borrowed strings, new. */
static char **shim_argv(const struct process_spec *s) {
  size_t n = 0, ncgroups = 0, nargs = 0;

  while (s->cgroups && s->cgroups[ncgroups])
    ncgroups++;
  while (s->argv[nargs])
    nargs++;
  const char **argv = calloc(2 * ncgroups + nargs + 6, sizeof(*argv));
  if (!argv)
    return NULL;
  argv[n++] = "ome-shim";
  for (size_t i = 0; i < ncgroups; i++) {
    argv[n++] = "-c";
    argv[n++] = s->cgroups[i];
  }
  argv[n++] = "-d";
  argv[n++] = s->dir ? s->dir : "/";
  argv[n++] = "--";
  argv[n++] = s->file;
  memcpy(&argv[n], s->argv, nargs * sizeof(*argv));
  return (char **)(void *)argv;
}

/* FDS: standard output, standard error, control: the ends that the shim gets. */
static int spawn(const struct process_spec *s, const int fds[3], pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  sigset_t none, all;
  _cleanup_free_ char **argv = shim_argv(s);

  if (!argv)
    return ENOMEM;
  sigemptyset(&none);
  sigfillset(&all);
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawnattr_init(&attr);
  (void)posix_spawn_file_actions_adddup2(&actions, fds[0], STDOUT_FILENO);
  (void)posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
  (void)posix_spawn_file_actions_adddup2(&actions, fds[2], SHIM_FD);
  (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  (void)posix_spawn_file_actions_addclosefrom_np(&actions, SHIM_FD + 1);
  (void)posix_spawnattr_setsigmask(&attr, &none);
  (void)posix_spawnattr_setsigdefault(&attr, &all);
  (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  int error = posix_spawn(pid, s->shim, &actions, &attr, argv, s->env);
  (void)posix_spawn_file_actions_destroy(&actions);
  (void)posix_spawnattr_destroy(&attr);
  return error;
}

/* A descriptor above those that the shim is given, so that no dup2 of spawn() lands on a source of a later one. */
static int lift(int fd) {
  int high = fcntl(fd, F_DUPFD_CLOEXEC, SHIM_FD + 1);

  (void)close(fd);
  return high;
}

/* OURS[i] and THEIRS[i]: standard output, standard error, control. */
static bool make_channels(int ours[3], int theirs[3]) {
  for (int i = 0; i < 3; i++) {
    int ends[2];
    int rc = i < 2 ? pipe2(ends, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    if (rc != 0)
      return false;
    ours[i] = lift(ends[0]);
    theirs[i] = lift(ends[1]);
    if (ours[i] < 0 || theirs[i] < 0 || fcntl(ours[i], F_SETFL, O_NONBLOCK) != 0)
      return false;
  }
  return true;
}

static bool watch(struct loop *l, struct process *p) {
  struct event_base *base = loop_base(l);

  p->control_event = event_new(base, p->control, EV_READ | EV_PERSIST, on_control, p);
  p->output_event[0] = event_new(base, p->output[0], EV_READ | EV_PERSIST, on_stdout, p);
  p->output_event[1] = event_new(base, p->output[1], EV_READ | EV_PERSIST, on_stderr, p);
  return p->control_event && p->output_event[0] && p->output_event[1] && event_add(p->control_event, NULL) == 0 &&
         event_add(p->output_event[0], NULL) == 0 && event_add(p->output_event[1], NULL) == 0;
}

int32_t process_start(struct loop *l, const struct process_spec *spec, const struct process_ops *ops, void *arg,
                      struct process **out, struct ome_err *err) {
  int ours[3] = {-1, -1, -1}, theirs[3] = {-1, -1, -1}, error = 0;
  struct process *p = calloc(1, sizeof(*p));
  bool made = p && make_channels(ours, theirs);

  if (!made)
    error = p ? errno : ENOMEM;
  else
    error = spawn(spec, theirs, &p->shim);
  for (int i = 0; i < 3; i++)
    if (theirs[i] >= 0)
      (void)close(theirs[i]);
  if (p) {
    p->output[0] = ours[0];
    p->output[1] = ours[1];
    p->control = ours[2];
    p->ops = ops;
    p->arg = arg;
    p->status = SIGKILL; /* unless the shim says otherwise, it was killed and took the command along */
  }
  if (!error && watch(l, p)) {
    *out = p;
    return OME_OK;
  }
  if (p && p->shim > 0)
    process_destroy(p);
  else if (p)
    process_free(p);
  errno = error ? error : ENOMEM;
  return fail_errno(err, "start", spec->shim);
}

void process_signal(struct process *p, int signal) {
  const struct shim_message m = {SHIM_SIGNAL, signal};

  (void)send(p->control, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void process_destroy(struct process *p) {
  pid_t shim = p->shim;

  process_free(p); /* closes the control channel: the shim ends everything */
  _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, shim, 0);
  struct pollfd gone = {.fd = fd, .events = POLLIN};
  if (fd >= 0 && poll(&gone, 1, DESTROY_MS) == 0)
    return; /* a process that not even SIGKILL moves, deep in a driver: not for us to wait for */
  while (waitpid(shim, NULL, 0) < 0 && errno == EINTR)
    continue;
}

/* ---- finding the executable -------------------------------------------------------------------------------------- */

static bool is_executable(const char *path) {
  struct stat st;

  return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static char *find_in_path(const char *command, const char *path_value) {
  _cleanup_free_ char **parts = str_split(path_value ? path_value : "", ':');

  for (size_t i = 0; parts && parts[i]; i++) {
    _cleanup_free_ char *path = str_printf("%s/%s", *parts[i] ? parts[i] : ".", command);
    if (path && is_executable(path))
      return TAKE_PTR(path);
  }
  return NULL;
}

char *process_find(const char *command, const char *path_value, const char *dir, struct ome_err *err) {
  if (!*command) {
    (void)fail(err, OME_E_INVALID, "the command is empty");
    return NULL;
  }
  if (!strchr(command, '/')) {
    char *found = find_in_path(command, path_value);
    if (!found)
      (void)fail(err, OME_E_NOT_FOUND,
                 "command \"%s\" is not installed: not found in PATH (%s); install it or give its full path", command,
                 path_value ? path_value : "");
    return found;
  }
  _cleanup_free_ char *path = command[0] == '/' ? strdup(command) : str_printf("%s/%s", dir ? dir : "", command);
  if (path && is_executable(path))
    return TAKE_PTR(path);
  (void)fail(err, OME_E_NOT_FOUND, "command \"%s\": %s", command,
             path && access(path, F_OK) == 0 ? "not an executable file" : "no such file");
  return NULL;
}
