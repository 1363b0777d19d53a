/* What a confined process can do no more, and a kernel that cannot see to it. */
#include "children.h"

#include <stdlib.h>

#include "base/str.h"
#include "os/confine.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static char top[] = "/tmp/ome-confine-XXXXXX";
static char store[64], outside[64];

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(top))
    return -1;
  (void)snprintf(store, sizeof(store), "%s/store", top);
  (void)snprintf(outside, sizeof(outside), "%s/outside", top);
  return mkdir(store, 0700) || mkdir(outside, 0700);
}

static int tear_down(void **state) {
  char command[80];

  (void)state;
  (void)snprintf(command, sizeof(command), "rm -rf %s", top);
  return system(command);
}

static bool confine(char said[CONFINE_SAID]) {
  const char *const writable[] = {store, NULL};
  struct ome_err err = ERR_INIT;

  return confine_process(writable, said, &err) == OME_OK;
}

static bool make(const char *folder, const char *name) {
  _cleanup_free_ char *path = str_printf("%s/%s", folder, name);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  return fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0;
}

/* What a store does: folders, hard links and renames between them, removal. */
static int the_store_goes_on(const void *arg) {
  char said[CONFINE_SAID];

  (void)arg;
  REQUIRE(confine(said));
  REQUIRE(chdir(store) == 0 && mkdir("a", 0700) == 0 && mkdir("b", 0700) == 0);
  REQUIRE(make(store, "a/one"));
  REQUIRE(link("a/one", "b/two") == 0 && rename("b/two", "a/two") == 0 && truncate("a/two", 0) == 0);
  REQUIRE(unlink("a/one") == 0 && unlink("a/two") == 0 && rmdir("a") == 0 && rmdir("b") == 0);
  int null = open("/dev/null", O_WRONLY);
  REQUIRE(null >= 0 && write(null, "x", 1) == 1);
  REQUIRE(access("/etc/passwd", R_OK) == 0 && open("/etc/passwd", O_RDONLY) >= 0);
  return 0;
}

static int nothing_else_is_written(const void *arg) {
  char said[CONFINE_SAID];

  (void)arg;
  REQUIRE(make(outside, "before") && make(store, "mine"));
  REQUIRE(confine(said));
  if (!strstr(said, "Landlock (ABI"))
    return 0;
  REQUIRE(!make(outside, "after") && errno == EACCES);
  REQUIRE(!make(outside, "before") && errno == EACCES);
  REQUIRE(chdir(outside) == 0 && unlink("before") == -1 && mkdir("folder", 0700) == -1);
  _cleanup_free_ char *mine = str_printf("%s/mine", store);
  REQUIRE(link(mine, "mine") == -1 && rename(mine, "mine") == -1 && symlink("/", "slash") == -1);
  return 0;
}

static int no_program_is_started(const void *arg) {
  char said[CONFINE_SAID];

  (void)arg;
  REQUIRE(confine(said));
  (void)execl("/bin/true", "true", NULL);
  REQUIRE(errno == EPERM || errno == EACCES);
  if (!strstr(said, ", seccomp"))
    return 0;
  REQUIRE(syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0) == -1 && errno == EPERM);
  REQUIRE(syscall(SYS_unshare, 0) == -1 && errno == EPERM);
  REQUIRE(syscall(SYS_keyctl, 0, 0, 0, 0, 0) == -1 && errno == EPERM);
  return 0;
}

static int without_landlock(const void *arg) {
  char said[CONFINE_SAID];

  (void)arg;
  REQUIRE(take_away(SYS_landlock_create_ruleset));
  REQUIRE(confine(said));
  REQUIRE(strstr(said, "no Landlock (the kernel has none)") && strstr(said, ", seccomp"));
  REQUIRE(make(outside, "without"));
  return 0;
}

static int without_seccomp(const void *arg) {
  char said[CONFINE_SAID];

  (void)arg;
  REQUIRE(take_away(SYS_seccomp));
  REQUIRE(confine(said));
  REQUIRE(strstr(said, "no seccomp"));
  return 0;
}

static int with_a_folder_that_is_not_there(const void *arg) {
  const char *const writable[] = {"/nonexistent/store", NULL};
  struct ome_err err = ERR_INIT;
  char said[CONFINE_SAID];

  (void)arg;
  int32_t rc = confine_process(writable, said, &err);
  REQUIRE((rc == OME_E_NOT_FOUND && strstr(err.msg, "/nonexistent/store")) || strstr(said, "no Landlock"));
  return 0;
}

static void run(int (*what)(const void *)) {
  in_child(what, NULL);
}

static void test_store(void **state) {
  (void)state;
  run(the_store_goes_on);
}

static void test_outside(void **state) {
  (void)state;
  run(nothing_else_is_written);
}

static void test_programs(void **state) {
  (void)state;
  run(no_program_is_started);
}

static void test_old_kernels(void **state) {
  (void)state;
  run(without_landlock);
  run(without_seccomp);
}

static void test_missing_folder(void **state) {
  (void)state;
  run(with_a_folder_that_is_not_there);
}

/* Which of these a run has looked at: a kernel without Landlock shows nothing of it. */
static int say(const void *arg) {
  char said[CONFINE_SAID];

  (void)arg;
  REQUIRE(confine(said));
  print_message("this kernel: %s\n", said);
  return 0;
}

static void test_say(void **state) {
  (void)state;
  run(say);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_say),      cmocka_unit_test(test_store),       cmocka_unit_test(test_outside),
      cmocka_unit_test(test_programs), cmocka_unit_test(test_old_kernels), cmocka_unit_test(test_missing_folder),
  };

  return cmocka_run_group_tests(tests, set_up, tear_down);
}
