#include "cli/serve.h"

#include "os/memory.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#define LOOK_MS 5000u /* between looks at how busy we are */
#define BUSY_MS 250   /* of a processor in that time */

static sigset_t stop_signals(void) {
  sigset_t set;

  (void)sigemptyset(&set);
  (void)sigaddset(&set, SIGINT);
  (void)sigaddset(&set, SIGTERM);
  return set;
}

void cli_signals_block(void) {
  sigset_t set = stop_signals();

  (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
  (void)signal(SIGPIPE, SIG_IGN);
}

static atomic_bool stopped;

int cli_signal_wait(void) {
  sigset_t set = stop_signals();
  int sig = 0;

  while (sigwait(&set, &sig) != 0)
    continue;
  atomic_store(&stopped, true);
  return sig;
}

bool cli_signal_within(uint32_t ms) {
  struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};
  sigset_t set = stop_signals();

  if (sigtimedwait(&set, NULL, &pause) <= 0)
    return false;
  atomic_store(&stopped, true);
  return true;
}

bool cli_stopping(void) {
  sigset_t pending;

  return atomic_load(&stopped) ||
         (sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1));
}

/* Other C libraries have no such setting and need none. */
void cli_share_heaps(void) {
#ifdef M_ARENA_MAX
  (void)mallopt(M_ARENA_MAX, 2);
#endif
}

void cli_serve(void) {
  bool busy = true; /* the start was */

  for (clock_t before = clock(); !cli_signal_within(LOOK_MS);) {
    clock_t now = clock();
    bool was_busy = busy;
    busy = now - before > CLOCKS_PER_SEC * BUSY_MS / 1000;
    if (was_busy && !busy)
      memory_trim();
    before = now;
  }
}
