#include "process.h"

#include "secret.h"

#include <ome-sdk/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLANK " \t\r\n"
#define MAX_WORDS 64
#define MAX_OUTPUT ((size_t)64 << 10)
#define LOOK_MS 100 /* at whether the call is over */

extern char **environ;

/* One word from *FROM to *TO, both of which go on behind it; 0: a quote is open. */
static int take_word(char **from, char **to) {
  char quote = '\0', *p = *from, *out = *to;

  for (; *p && (quote || !strchr(BLANK, *p)); p++) {
    if (quote ? *p == quote : *p == '\'' || *p == '"')
      quote = quote ? '\0' : *p;
    else if (*p == '\\' && quote != '\'' && p[1])
      *out++ = *++p;
    else
      *out++ = *p;
  }
  *from = p + (*p != '\0');
  *out++ = '\0';
  *to = out;
  return quote == '\0';
}

int process_words(char *text, char **out, size_t size) {
  char *from = text + strspn(text, BLANK), *to = text;
  size_t n = 0;

  while (*from && n + 1 < size) {
    out[n++] = to;
    if (!take_word(&from, &to))
      return -1;
    from += strspn(from, BLANK);
  }
  out[n] = NULL;
  return *from ? -1 : (int)n;
}

/* ALSO, and of our environment what it does not name.  The texts are theirs; NULL: out of memory. */
static char **environment_with(char *const *also) {
  size_t ours = 0, more = 0, n = 0;

  while (environ && environ[ours])
    ours++;
  while (also && also[more])
    more++;
  char **out = calloc(ours + more + 1, sizeof(*out));
  for (size_t i = 0; out && i < more; i++)
    out[n++] = also[i];
  for (size_t i = 0; out && i < ours; i++) {
    size_t name = strcspn(environ[i], "=") + 1, k = 0;
    while (k < more && strncmp(also[k], environ[i], name) != 0)
      k++;
    if (k == more)
      out[n++] = environ[i];
  }
  return out;
}

/* In a process group of its own, so that what it starts ends with it. */
static int start(char *const *argv, char *const *env, int out, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t how;
  sigset_t none, pipes;

  (void)sigemptyset(&none);
  (void)sigemptyset(&pipes);
  (void)sigaddset(&pipes, SIGPIPE);
  (void)posix_spawn_file_actions_init(&actions);
  (void)posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  (void)posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  (void)posix_spawnattr_init(&how);
  (void)posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  (void)posix_spawnattr_setpgroup(&how, 0);
  (void)posix_spawnattr_setsigmask(&how, &none);
  (void)posix_spawnattr_setsigdefault(&how, &pipes);
  int rc = posix_spawnp(pid, argv[0], &actions, &how, argv, env);
  (void)posix_spawnattr_destroy(&how);
  (void)posix_spawn_file_actions_destroy(&actions);
  return rc;
}

static int64_t now_s(void) {
  struct timespec now;

  (void)clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec;
}

/* All that comes from FD into TEXT of MAX_OUTPUT + 1. */
static int32_t collect(const struct ome_call *call, const struct process *p, int fd, char *text, struct ome_err *err) {
  int64_t end_s = now_s() + p->longest_s;
  size_t len = 0;

  for (;;) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    int n_ready = poll(&ready, 1, LOOK_MS);
    ssize_t n = n_ready > 0 ? read(fd, text + len, MAX_OUTPUT + 1 - len) : -1;
    if (n_ready > 0 && n == 0)
      break;
    len += n > 0 ? (size_t)n : 0;
    int32_t rc = ome_check_cancelled(call, err);
    if (rc != OME_OK)
      return rc;
    if (len > MAX_OUTPUT)
      return ome_fail(err, OME_E_DENIED, "%s: it prints more than credentials", p->what);
    if (now_s() >= end_s)
      return ome_fail(err, OME_E_DEADLINE, "%s: it did not end within %d s", p->what, p->longest_s);
  }
  text[len] = '\0';
  return OME_OK;
}

static int32_t run(const struct ome_call *call, const struct process *p, char *const *argv, char *const *env,
                   char *text, struct ome_err *err) {
  int ends[2], status = 0;
  pid_t pid = 0;

  if (pipe2(ends, O_CLOEXEC) != 0)
    return ome_fail(err, OME_E_NO_MEMORY, "%s: no pipe: %s", p->what, strerror(errno));
  int failed = start(argv, env, ends[1], &pid);
  (void)close(ends[1]);
  int32_t rc = failed ? ome_fail(err, OME_E_DENIED, "%s: %.200s cannot be run: %s", p->what, argv[0], strerror(failed))
                      : collect(call, p, ends[0], text, err);
  (void)close(ends[0]);
  if (failed)
    return rc;
  if (rc != OME_OK)
    (void)kill(-pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  if (rc == OME_OK && status != 0)
    rc = ome_fail(err, OME_E_DENIED, "%s: %.200s ended with status %d", p->what, argv[0],
                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return rc;
}

int32_t process_run(const struct ome_call *call, const struct process *p, char **out, struct ome_err *err) {
  char *words = strdup(p->command), *text = calloc(1, MAX_OUTPUT + 2), **env = environment_with(p->also);
  char *argv[MAX_WORDS + 1];
  int32_t rc = OME_OK;

  *out = NULL;
  if (!words || !text || !env)
    rc = ome_fail(err, OME_E_NO_MEMORY, "%s: out of memory", p->what);
  else if (process_words(words, argv, MAX_WORDS + 1) < 1)
    rc = ome_fail(err, OME_E_INVALID, "%s is no command: a quote is open, or it has more than %d words", p->what,
                  MAX_WORDS);
  else
    rc = run(call, p, argv, env, text, err);
  free(words);
  free(env);
  if (rc == OME_OK)
    *out = text;
  else
    secret_forget(text, text ? MAX_OUTPUT : 0);
  return rc;
}
