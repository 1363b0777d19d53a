/* Runs the checks, each in a child of its own, and reports. */
#include "conform.h"

#include "internal.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TIMEOUT_MS 20000

enum scope { SCOPE_FILE, SCOPE_PLUGIN, SCOPE_FACTORY };

static const struct check {
  const char *name;
  enum scope scope;
  check_fn run;
} checks[] = {
    {"elf", SCOPE_FILE, check_elf},
    {"exports", SCOPE_FILE, check_exports},
    {"imports", SCOPE_FILE, check_imports},
    {"load", SCOPE_PLUGIN, check_load},
    {"side-effects", SCOPE_PLUGIN, check_side_effects},
    {"descriptor", SCOPE_PLUGIN, check_descriptor},
    {"keys", SCOPE_PLUGIN, check_keys},
    {"schemes", SCOPE_FACTORY, check_schemes},
    {"lifecycle", SCOPE_FACTORY, check_lifecycle},
    {"exact-structs", SCOPE_FACTORY, check_exact_structs},
    {"larger-structs", SCOPE_FACTORY, check_larger_structs},
    {"failing-sinks", SCOPE_FACTORY, check_failing_sinks},
    {"deadline", SCOPE_FACTORY, check_deadline},
    {"cancelled", SCOPE_FACTORY, check_cancelled},
    {"bad-input", SCOPE_FACTORY, check_bad_input},
    {"same-bytes", SCOPE_FACTORY, check_same_bytes},
    {"parallel", SCOPE_FACTORY, check_parallel},
};

/* The first complaint is the one that is kept. */
static void __attribute__((format(printf, 3, 0)))
verdict_set(struct verdict *v, enum conform_outcome outcome, const char *fmt, va_list ap) {
  if (v->outcome == CONFORM_FAIL || (v->outcome == outcome && outcome != CONFORM_PASS))
    return;
  v->outcome = outcome;
  (void)vsnprintf(v->detail, sizeof(v->detail), fmt, ap);
}

void verdict_fail(struct verdict *v, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  verdict_set(v, CONFORM_FAIL, fmt, ap);
  va_end(ap);
}

void verdict_skip(struct verdict *v, const char *fmt, ...) {
  va_list ap;

  va_start(ap, fmt);
  verdict_set(v, CONFORM_SKIP, fmt, ap);
  va_end(ap);
}

/* ---- the child -------------------------------------------------------------------------------------------------- */

static void run_check(const struct check *c, struct subject *s, struct verdict *v) {
  if (c->scope == SCOPE_FACTORY) {
    if (!subject_load(s, v))
      return;
    s->factory = s->plugin->factories[s->index];
    subject_name(s->factory, v->subject, sizeof(v->subject));
  }
  c->run(s, v);
}

static void __attribute__((noreturn))
child(const struct check *c, struct subject *s, const char *folder, int answer, int output) {
  const struct rlimit none = {0, 0};
  struct verdict v = {.outcome = CONFORM_PASS};

  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (chdir(folder) != 0)
    _exit(112);
  (void)setrlimit(RLIMIT_CORE, &none);
  (void)dup2(output, STDOUT_FILENO);
  (void)dup2(output, STDERR_FILENO);
  run_check(c, s, &v);
  (void)fflush(NULL); /* what a plugin left in stdio's buffers counts as printed */
  ssize_t n = write(answer, &v, sizeof(v));
  _exit(n == (ssize_t)sizeof(v) ? 0 : 112);
}

/* ---- the parent ------------------------------------------------------------------------------------------------- */

static long now_ms(void) {
  struct timespec t;

  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether FD has something to read, or its other end is closed, in time. */
static int wait_readable(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  long end = now_ms() + TIMEOUT_MS;

  for (;;) {
    long left = end - now_ms();
    int n = poll(&p, 1, left > 0 ? (int)left : 0);
    if (n >= 0 || errno != EINTR)
      return n;
  }
}

/* The first line of what the child printed; empty: nothing. */
static void first_line(int output, char *out, size_t size) {
  char text[1024];
  ssize_t n = pread(output, text, sizeof(text) - 1, 0);

  text[n > 0 ? n : 0] = '\0';
  const char *start = text + strspn(text, "\n="); /* sanitizers rule a line first */
  (void)snprintf(out, size, "%.*s", (int)strcspn(start, "\n"), start);
}

/* What became of the child PID, for a check that gave no verdict. */
static void judge_end(int status, const char *printed, struct verdict *v) {
  if (WIFSIGNALED(status))
    verdict_fail(v, "ended by signal %d (%s)%s%s", WTERMSIG(status), strsignal(WTERMSIG(status)), *printed ? ": " : "",
                 printed);
  else
    verdict_fail(v, "ended the process with status %d%s%s", WEXITSTATUS(status), *printed ? ": " : "", printed);
}

static void await(pid_t pid, int answer, int output, struct verdict *v) {
  char printed[256];
  struct verdict said;
  int status = 0;
  int ready = wait_readable(answer);
  ssize_t n = ready > 0 ? read(answer, &said, sizeof(said)) : -1;

  if (ready <= 0)
    (void)kill(pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    continue;
  first_line(output, printed, sizeof(printed));
  if (ready <= 0) {
    verdict_fail(v, "no answer within %d s", TIMEOUT_MS / 1000);
  } else if (n != (ssize_t)sizeof(said)) {
    judge_end(status, printed, v);
  } else {
    *v = said;
    if (*printed)
      verdict_fail(v, "printed to stdout or stderr: %s", printed);
  }
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at) {
  (void)st, (void)type, (void)at;
  return remove(path);
}

static void attack(const struct check *c, struct subject *s, struct verdict *v) {
  char folder[] = "/tmp/ome-conform-XXXXXX"; /* what it writes goes when it goes */
  int answer[2];
  int output = memfd_create("conform", MFD_CLOEXEC);

  *v = (struct verdict){.outcome = CONFORM_PASS};
  if (c->scope == SCOPE_FACTORY)
    (void)snprintf(v->subject, sizeof(v->subject), "factory %u", s->index + 1);
  if (output < 0 || !mkdtemp(folder) || pipe(answer) != 0) {
    verdict_fail(v, "the kit cannot make a pipe and a folder: %s", strerror(errno));
    return;
  }
  (void)fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    (void)close(answer[0]);
    child(c, s, folder, answer[1], output);
  }
  (void)close(answer[1]);
  if (pid < 0)
    verdict_fail(v, "the kit cannot fork: %s", strerror(errno));
  else
    await(pid, answer[0], output, v);
  (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
  (void)close(answer[0]);
  (void)close(output);
}

int conform_run(const char *path, const char *uri, conform_report_fn report, void *ctx) {
  char absolute[PATH_MAX]; /* the children are elsewhere */
  struct subject s = {.path = realpath(path, absolute) ? absolute : path, .uri = uri};
  uint32_t nfactories = 0;
  int failed = 0;

  for (size_t i = 0; i < COUNT(checks); i++) {
    uint32_t times = checks[i].scope == SCOPE_FACTORY ? nfactories : 1;
    bool ok = true;
    for (s.index = 0; s.index < times; s.index++) {
      struct verdict v;
      attack(&checks[i], &s, &v);
      v.detail[sizeof(v.detail) - 1] = v.subject[sizeof(v.subject) - 1] = '\0';
      ok = v.outcome != CONFORM_FAIL;
      failed += !ok;
      report(ctx, &(struct conform_result){checks[i].name, v.subject, v.outcome, v.detail});
      if (v.nfactories)
        nfactories = v.nfactories;
    }
    /* A file that is none is not loaded, and a descriptor that lies is not followed. */
    if (!ok && (checks[i].run == check_elf || checks[i].run == check_load || checks[i].run == check_descriptor))
      break;
  }
  return failed;
}
