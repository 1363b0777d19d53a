/* What every unit test includes: cmocka and the headers it wants before itself. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */
#include <signal.h>

/* fail() is base/err.h's here; a test that gives up says why with fail_msg(). */
#undef fail
#undef fail_msg
#define fail_msg(...)                                                                                                  \
  do {                                                                                                                 \
    print_error(__VA_ARGS__);                                                                                          \
    print_error("\n");                                                                                                 \
    _fail(__FILE__, __LINE__);                                                                                         \
  } while (0)

/* As every command has it (cli.c): a peer that hangs up fails a write instead of ending the process unsaid. */
__attribute__((constructor)) static void ignore_broken_pipes(void) {
  (void)signal(SIGPIPE, SIG_IGN);
}

#endif
