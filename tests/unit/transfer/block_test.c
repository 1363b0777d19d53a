/* Blocks: what reaches the file, and what goes on to the hashers without being read again. */
#include "../unit.h"

#include "base/str.h"
#include "os/file.h"
#include "transfer/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE ((uint64_t)32 * BLOCK_BYTES)

struct stand {
  char path[64];
  struct manifest_file file;
  struct item item;
  struct engine *engine;
  uint8_t *content;
};

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));

  (void)strcpy(s->path, "/tmp/ome-block-XXXXXX");
  s->item.fd = mkstemp(s->path);
  assert_true(s->item.fd >= 0);
  s->content = malloc(SIZE);
  for (size_t i = 0; i < SIZE; i++)
    s->content[i] = (uint8_t)(i * 2654435761u >> 11);
  s->file.path = s->path;
  s->file.size = SIZE;
  s->item.file = &s->file;
  assert_true(hash_begin(&s->item));
  s->engine = calloc(1, sizeof(*s->engine));
  s->engine->nflights = 2;
  (void)pthread_mutex_init(&s->engine->lock, NULL);
  (void)pthread_cond_init(&s->engine->work, NULL);
  for (int i = 0; i < 2; i++)
    s->engine->flights[i] = (struct flight){.engine = s->engine, .item = &s->item, .end = SIZE};
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;

  blocks_drop_locked(s->engine, &s->item);
  blocks_free(s->engine);
  s->file.path = NULL;
  digests_free(s->item.digests);
  (void)pthread_mutex_destroy(&s->engine->lock);
  (void)pthread_cond_destroy(&s->engine->work);
  (void)unlink(s->path);
  free(s->engine);
  free(s->content);
  free(s);
  return 0;
}

/* LEN bytes that come for AT, by little, as from a connection. */
static void come(struct stand *s, struct flight *f, uint64_t at, uint64_t len) {
  for (uint64_t n; len; at += n, len -= n) {
    n = len < 10007 ? len : 10007;
    assert_true(block_add(f, s->content + at, (size_t)n, at));
  }
}

static void assert_written(struct stand *s, uint64_t from, uint64_t len) {
  _cleanup_free_ uint8_t *data = malloc((size_t)len);

  assert_int_equal(pread(s->item.fd, data, (size_t)len, (off_t)from), (ssize_t)len);
  assert_memory_equal(data, s->content + from, (size_t)len);
}

static void test_blocks_that_follow_each_other_go_to_the_hashers(void **state) {
  struct stand *s = *state;
  struct flight *f = &s->engine->flights[0];

  come(s, f, 0, 2 * BLOCK_BYTES + 5000);
  assert_int_equal(atomic_load(&f->written), 2 * BLOCK_BYTES); /* the rest is gathered */
  assert_int_equal(s->item.claimed, 2 * BLOCK_BYTES);
  assert_true(block_flush(f)); /* as when the connection ends early */
  assert_int_equal(atomic_load(&f->written), 2 * BLOCK_BYTES + 5000);
  come(s, f, 2 * BLOCK_BYTES + 5000, BLOCK_BYTES);
  assert_int_equal(atomic_load(&f->written), 3 * BLOCK_BYTES); /* blocks end where they would have ended */
  assert_written(s, 0, 3 * BLOCK_BYTES);
  for (uint64_t at = 0; at < s->item.claimed;) {
    struct block *b = block_next_locked(s->engine, &s->item);
    assert_int_equal(b->at, at);
    assert_memory_equal(b->data, s->content + at, b->len);
    at += b->len;
    block_give_locked(s->engine, b);
  }
  assert_null(s->item.blocks);
}

static void test_blocks_from_further_on_are_left_to_be_read(void **state) {
  struct stand *s = *state;
  struct flight *f = &s->engine->flights[1];

  come(s, f, 8 * BLOCK_BYTES, 2 * BLOCK_BYTES);
  assert_written(s, 8 * BLOCK_BYTES, 2 * BLOCK_BYTES);
  assert_null(s->item.blocks);
  assert_int_equal(s->item.claimed, 0);
}

static void test_no_more_wait_than_memory_is_for(void **state) {
  struct stand *s = *state;
  struct flight *f = &s->engine->flights[0];

  come(s, f, 0, (MAX_BLOCKS + 3) * BLOCK_BYTES);
  assert_int_equal(s->engine->nblocks, MAX_BLOCKS);
  assert_int_equal(s->item.claimed, MAX_BLOCKS * BLOCK_BYTES);
  assert_written(s, 0, (MAX_BLOCKS + 3) * BLOCK_BYTES);
  blocks_drop_locked(s->engine, &s->item); /* and are used again */
  uint32_t n = 0;
  for (const struct block *b = s->engine->spare; b; b = b->next)
    n++;
  assert_int_equal(n, MAX_BLOCKS);
}

static void test_the_end_is_written_at_once(void **state) {
  struct stand *s = *state;
  struct flight *f = &s->engine->flights[0];

  f->end = 3000;
  come(s, f, 0, 3000);
  assert_int_equal(atomic_load(&f->written), 3000);
  assert_written(s, 0, 3000);
}

static void test_a_disk_that_takes_nothing_fails_the_flight(void **state) {
  struct stand *s = *state;
  struct flight *f = &s->engine->flights[0];
  int fd = s->item.fd;

  s->item.fd = open("/dev/full", O_WRONLY | O_CLOEXEC); /* ENOSPC for all */
  assert_true(s->item.fd >= 0);
  assert_false(block_add(f, s->content, 2 * BLOCK_BYTES, 0));
  assert_int_equal(f->rc, OME_E_NO_SPACE);
  assert_true(f->disk);
  assert_int_equal(atomic_load(&f->written), 0);
  assert_true(block_flush(f)); /* nothing is left to be tried again */
  (void)close(s->item.fd);
  s->item.fd = fd;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_blocks_that_follow_each_other_go_to_the_hashers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_blocks_from_further_on_are_left_to_be_read, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_more_wait_than_memory_is_for, setup, teardown),
      cmocka_unit_test_setup_teardown(test_the_end_is_written_at_once, setup, teardown),
      cmocka_unit_test_setup_teardown(test_a_disk_that_takes_nothing_fails_the_flight, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
