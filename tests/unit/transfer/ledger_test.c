/* What the ledger believes after the process ended at any byte. */
#include "../unit.h"

#include "base/str.h"
#include "os/file.h"
#include "transfer/ledger.h"

#include <stdio.h>
#include <stdlib.h>

static struct manifest_file file_of(char *path, char *digest) {
  return (struct manifest_file){
      .path = path, .size = 1000, .digest_type = digest ? OME_DIGEST_SHA256 : OME_DIGEST_NONE, .digest = digest};
}

/* Pieces of F that a ledger in DIR calls there, as a bit set. */
static unsigned ask(const char *dir, const struct manifest_file *f, bool *verified) {
  _cleanup_(ledger_freep) struct ledger *l = NULL;
  struct ome_err err = ERR_INIT;
  const uint8_t *done = NULL;
  const char *sha256 = NULL;
  uint64_t piece = 100;
  unsigned bits = 0;

  assert_int_equal(ledger_open(dir, &l, &err), OME_OK);
  assert_int_equal(ledger_file(l, f, &piece, &done, &sha256, &err), OME_OK);
  for (unsigned i = 0; i < piece_count(f->size, piece); i++)
    bits |= (unsigned)done[i] << i;
  *verified = *sha256 != '\0';
  return bits;
}

static void test_every_cut(void **state) {
  char dir[] = "/tmp/ome-ledger-XXXXXX";
  char path[] = "a file", digest[65];
  _cleanup_free_ char *text = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;
  bool verified;

  (void)state;
  assert_non_null(mkdtemp(dir));
  _cleanup_free_ char *staging = path_join(dir, "staging");
  _cleanup_free_ char *ledger = str_printf("%s.ledger", staging);
  sha256_hex("", 0, digest);
  const struct manifest_file f = file_of(path, digest);
  assert_int_equal(ask(staging, &f, &verified), 0);
  {
    _cleanup_(ledger_freep) struct ledger *l = NULL;
    assert_int_equal(ledger_open(staging, &l, &err), OME_OK);
    assert_int_equal(ledger_piece(l, path, 3, &err), OME_OK);
    assert_int_equal(ledger_piece(l, path, 9, &err), OME_OK);
    assert_int_equal(ledger_verified(l, path, digest, &err), OME_OK);
  }
  assert_int_equal(ask(staging, &f, &verified), 1u << 3 | 1u << 9);
  assert_true(verified);
  assert_int_equal(file_read(ledger, 1 << 20, &text, &len, &err), OME_OK);
  for (size_t cut = 0; cut < len; cut++) {
    assert_int_equal(file_write(ledger, text, cut, 0600, &err), OME_OK);
    unsigned bits = ask(staging, &f, &verified);
    assert_int_equal(bits & ~(1u << 3 | 1u << 9), 0);
    assert_false(verified);
  }
  assert_int_equal(tree_remove(dir, &err), OME_OK);
}

static void test_other_content_begins_anew(void **state) {
  char dir[] = "/tmp/ome-ledger-XXXXXX";
  char path[] = "f", one[65], two[65];
  struct ome_err err = ERR_INIT;
  bool verified;

  (void)state;
  assert_non_null(mkdtemp(dir));
  sha256_hex("1", 1, one);
  sha256_hex("2", 1, two);
  const struct manifest_file f = file_of(path, one), g = file_of(path, two);
  _cleanup_free_ char *staging = path_join(dir, "s");
  (void)ask(staging, &f, &verified);
  {
    _cleanup_(ledger_freep) struct ledger *l = NULL;
    assert_int_equal(ledger_open(staging, &l, &err), OME_OK);
    assert_int_equal(ledger_piece(l, path, 0, &err), OME_OK);
  }
  assert_int_equal(ask(staging, &f, &verified), 1);
  assert_int_equal(ask(staging, &g, &verified), 0);
  assert_int_equal(ask(staging, &f, &verified), 0);
  assert_int_equal(tree_remove(dir, &err), OME_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_cut),
                                     cmocka_unit_test(test_other_content_begins_anew)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
