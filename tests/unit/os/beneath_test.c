/* No path leads out of its folder: the same with openat2 and on a kernel without it. */
#include "children.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "os/beneath.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static char top[] = "/tmp/ome-beneath-XXXXXX";

static int write_text(int root, const char *path) {
  int fd = openat(root, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  return fd >= 0 && write(fd, "text", 4) == 4 && close(fd) == 0 ? 0 : -1;
}

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(top))
    return -1;
  int root = open(top, O_RDONLY | O_DIRECTORY);
  return root < 0 || mkdirat(root, "in", 0700) || mkdirat(root, "in/a", 0700) || mkdirat(root, "in/a/b", 0700) ||
                 mkdirat(root, "out", 0700) || write_text(root, "out/secret") || write_text(root, "in/a/b/file") ||
                 symlinkat("../out", root, "in/link") || symlinkat("../../out", root, "in/a/link") ||
                 symlinkat("b", root, "in/a/near") || symlinkat("file", root, "in/a/b/name") ||
                 symlinkat("/", root, "in/slash") || close(root)
             ? -1
             : 0;
}

static int tear_down(void **state) {
  char command[80];

  (void)state;
  (void)snprintf(command, sizeof(command), "rm -rf %s", top);
  return system(command);
}

static int32_t parent(int root, const char *path, bool make) {
  struct ome_err err = ERR_INIT;
  const char *name = NULL;
  int dir = -1;
  int32_t rc = beneath_parent(root, path, make, &dir, &name, &err);

  if (dir >= 0)
    (void)close(dir);
  return rc;
}

static int nothing_leads_out(const void *without_openat2) {
  static const char *const links[] = {"link/secret", "a/link/secret", "a/near/file", "slash/etc/passwd"};
  static const char *const files[] = {"a/b/file/x", "a/b/file/x/y"};
  char in[64];

  if (without_openat2)
    REQUIRE(take_away(SYS_openat2));
  (void)snprintf(in, sizeof(in), "%s/in", top);
  int root = open(in, O_RDONLY | O_DIRECTORY);
  REQUIRE(root >= 0);
  for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
    REQUIRE(parent(root, links[i], false) == OME_E_EXISTS);
    REQUIRE(parent(root, links[i], true) == OME_E_EXISTS);
    REQUIRE(beneath_open(root, links[i], O_RDONLY) == -1);
  }
  for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
    REQUIRE(parent(root, files[i], true) == OME_E_EXISTS);
  REQUIRE(beneath_open(root, "a/b/name", O_RDONLY) == -1);
  REQUIRE(parent(root, "../out/secret", false) == OME_E_INVALID);
  REQUIRE(parent(root, "/etc/passwd", false) == OME_E_INVALID);
  REQUIRE(parent(root, "a/../../out/secret", false) == OME_E_INVALID);
  return 0;
}

static int what_is_there_is_found(const void *without_openat2) {
  char in[64];

  if (without_openat2)
    REQUIRE(take_away(SYS_openat2));
  (void)snprintf(in, sizeof(in), "%s/in", top);
  int root = open(in, O_RDONLY | O_DIRECTORY);
  REQUIRE(root >= 0);
  int fd = beneath_open(root, "a/b/file", O_RDONLY);
  REQUIRE(fd >= 0);
  (void)close(fd);
  REQUIRE(beneath_open(root, "a/b", O_RDONLY) == -1); /* no regular file */
  REQUIRE(parent(root, "alone", false) == OME_OK);
  REQUIRE(parent(root, "c/d/e", false) == OME_E_NOT_FOUND);
  REQUIRE(parent(root, without_openat2 ? "c/d/e" : "f/g/h", true) == OME_OK);
  REQUIRE(faccessat(root, without_openat2 ? "c/d" : "f/g", F_OK, 0) == 0);
  return 0;
}

static void test_links(void **state) {
  (void)state;
  in_child(nothing_leads_out, NULL);
  in_child(nothing_leads_out, "without");
}

static void test_files(void **state) {
  (void)state;
  in_child(what_is_there_is_found, NULL);
  in_child(what_is_there_is_found, "without");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_links), cmocka_unit_test(test_files)};

  return cmocka_run_group_tests(tests, set_up, tear_down);
}
