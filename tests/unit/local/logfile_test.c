/* Container logs on disk. */
#include "../unit.h"

#include "base/str.h"
#include "local/logfile.h"
#include "os/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

static int setup(void **state) {
  static char dir[64];

  (void)snprintf(dir, sizeof(dir), "/tmp/ome-logfile-XXXXXX");
  *state = mkdtemp(dir);
  return *state ? 0 : -1;
}

static int teardown(void **state) {
  struct ome_err err = ERR_INIT;

  return tree_remove(*state, &err) == OME_OK ? 0 : -1;
}

static char *content(const char *dir, const char *name) {
  _cleanup_free_ char *path = path_join(dir, name);
  struct ome_err err = ERR_INIT;
  char *text = NULL;

  if (file_read(path, 64 << 20, &text, NULL, &err) != OME_OK)
    return NULL;
  return text;
}

/* TEXT without its time stamps: "stdout F a|stderr P b|". */
static char *entries(const char *text) {
  char *out = calloc(1, strlen(text) + 1);

  for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
    const char *space = strchr(line, ' ');
    (void)strncat(out, space + 1, (size_t)(strchr(line, '\n') - space - 1));
    (void)strcat(out, "|");
  }
  return out;
}

static void lines_become_entries(void **state) {
  static const char *const pieces[] = {"one\ntw", "o\n", "\nthree"};
  struct logfile *l;
  struct ome_err err = ERR_INIT;
  char tail[14];

  assert_int_equal(logfile_open(*state, 0, &l, &err), OME_OK);
  for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
    logfile_write(l, 1, pieces[i], strlen(pieces[i]));
  logfile_write(l, 2, "error\n", 6);
  logfile_tail(l, tail, sizeof(tail));
  assert_string_equal(tail, "\n\nthreeerror\n");
  logfile_close(l);
  _cleanup_free_ char *text = content(*state, "0.log");
  _cleanup_free_ char *got = entries(text);
  assert_string_equal(got, "stdout F one|stdout F two|stdout F |stderr F error|stdout P three|");
}

static void long_lines_are_cut_and_joined(void **state) {
  static char line[40000];
  struct logfile *l;
  struct ome_err err = ERR_INIT;
  size_t total = 0, parts = 0;

  memset(line, 'x', sizeof(line));
  line[sizeof(line) - 1] = '\n';
  assert_int_equal(logfile_open(*state, 0, &l, &err), OME_OK);
  logfile_write(l, 1, line, sizeof(line));
  logfile_close(l);
  _cleanup_free_ char *text = content(*state, "0.log");
  _cleanup_free_ char *got = entries(text);
  for (char *p = got, *end; *p; p = end + 1) {
    end = strchr(p, '|');
    assert_int_equal(p[7], end[1] ? 'P' : 'F');
    total += (size_t)(end - p) - 9;
    parts++;
  }
  assert_int_equal(parts, 3);
  assert_int_equal(total, sizeof(line) - 1);
}

static void big_logs_rotate(void **state) {
  static char line[10000];
  struct logfile *l;
  struct ome_err err = ERR_INIT;

  memset(line, 'y', sizeof(line));
  line[sizeof(line) - 1] = '\n';
  assert_int_equal(logfile_open(*state, 3, &l, &err), OME_OK);
  for (int i = 0; i < 2500; i++)
    logfile_write(l, 1, line, sizeof(line));
  logfile_close(l);
  _cleanup_free_ char *now = content(*state, "3.log");
  _cleanup_free_ char *before = content(*state, "3.log.1");
  assert_non_null(now);
  assert_non_null(before);
  assert_true(strlen(before) >= LOG_MAX_BYTES && strlen(before) < LOG_MAX_BYTES + 20000);
  assert_true(strlen(now) < LOG_MAX_BYTES);
}

static void readers_see_whether_it_is_live(void **state) {
  _cleanup_free_ char *path = path_join(*state, "0.log");
  struct logfile *l;
  struct ome_err err = ERR_INIT;

  assert_int_equal(logfile_open(*state, 0, &l, &err), OME_OK);
  _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
  assert_int_not_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
  logfile_close(l);
  assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
}

static void only_the_last_starts_are_kept(void **state) {
  struct ome_err err = ERR_INIT;

  for (int i = 0; i < 4; i++) {
    struct logfile *l;
    assert_int_equal(logfile_open(*state, i, &l, &err), OME_OK);
    logfile_close(l);
  }
  static const char *const names[] = {"0.log", "1.log", "2.log", "3.log"};
  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    _cleanup_free_ char *path = path_join(*state, names[i]);
    assert_int_equal(file_exists(path), i >= 2);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(lines_become_entries, setup, teardown),
      cmocka_unit_test_setup_teardown(long_lines_are_cut_and_joined, setup, teardown),
      cmocka_unit_test_setup_teardown(big_logs_rotate, setup, teardown),
      cmocka_unit_test_setup_teardown(readers_see_whether_it_is_live, setup, teardown),
      cmocka_unit_test_setup_teardown(only_the_last_starts_are_kept, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
