#include "aws_process.h"

#include "../common/secret.h"

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
#define LONGEST_S 60

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

int aws_words(char *text, char **out, size_t size) {
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

/* In a process group of its own, so that what it starts ends with it. */
static int start(char *const *argv, int out, pid_t *pid) {
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
  int rc = posix_spawnp(pid, argv[0], &actions, &how, argv, environ);
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
static int32_t collect(const struct ome_call *call, const char *what, int fd, char *text, struct ome_err *err) {
  int64_t end_s = now_s() + LONGEST_S;
  size_t len = 0;

  for (;;) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int ready = poll(&p, 1, LOOK_MS);
    ssize_t n = ready > 0 ? read(fd, text + len, MAX_OUTPUT + 1 - len) : -1;
    if (ready > 0 && n == 0)
      break;
    len += n > 0 ? (size_t)n : 0;
    int32_t rc = ome_check_cancelled(call, err);
    if (rc != OME_OK)
      return rc;
    if (len > MAX_OUTPUT)
      return ome_fail(err, OME_E_DENIED, "aws: %s: it prints more than credentials", what);
    if (now_s() >= end_s)
      return ome_fail(err, OME_E_DEADLINE, "aws: %s: it did not end within %d s", what, LONGEST_S);
  }
  text[len] = '\0';
  return OME_OK;
}

static int32_t run(const struct ome_call *call, const char *what, char *const *argv, char *text, struct ome_err *err) {
  int ends[2], status = 0;
  pid_t pid = 0;

  if (pipe2(ends, O_CLOEXEC) != 0)
    return ome_fail(err, OME_E_NO_MEMORY, "aws: %s: no pipe: %s", what, strerror(errno));
  int failed = start(argv, ends[1], &pid);
  (void)close(ends[1]);
  int32_t rc = failed
                   ? ome_fail(err, OME_E_DENIED, "aws: %s: %.200s cannot be run: %s", what, argv[0], strerror(failed))
                   : collect(call, what, ends[0], text, err);
  (void)close(ends[0]);
  if (failed)
    return rc;
  if (rc != OME_OK)
    (void)kill(-pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  if (rc == OME_OK && status != 0)
    rc = ome_fail(err, OME_E_DENIED, "aws: %s: %.200s ended with status %d", what, argv[0],
                  WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return rc;
}

int32_t aws_process_run(const struct ome_call *call, const char *what, const char *command, char **out,
                        struct ome_err *err) {
  char *words = strdup(command), *text = calloc(1, MAX_OUTPUT + 2), *argv[MAX_WORDS + 1];
  int32_t rc = OME_OK;

  *out = NULL;
  if (!words || !text)
    rc = ome_fail(err, OME_E_NO_MEMORY, "aws: out of memory");
  else if (aws_words(words, argv, MAX_WORDS + 1) < 1)
    rc = ome_fail(err, OME_E_INVALID, "aws: %s is no command: a quote is open, or it has more than %d words", what,
                  MAX_WORDS);
  else
    rc = run(call, what, argv, text, err);
  free(words);
  if (rc == OME_OK)
    *out = text;
  else
    secret_forget(text, text ? MAX_OUTPUT : 0);
  return rc;
}
