/* The engine and peers that are not what they seem: one gives half a piece, the next gives the whole of it otherwise.
 */
#include "../unit.h"

#include "base/str.h"
#include "net/http_server.h"
#include "os/file.h"
#include "transfer/transfer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LARGE ((size_t)4 << 20) /* one piece, which hashers follow as it comes */
#define SMALL ((size_t)3000)    /* which, from its own source alone, would be hashed by whoever writes it */

enum { ORIGIN, HALF, WHOLE };

struct stand {
  char dir[64], staging[80], url[3][64];
  struct loop *loop;
  struct http_server *server;
  char *content;
  size_t size;
  bool wrong; /* the whole that a peer gives begins with another byte */
  /* of the swarm */
  uint32_t turn; /* who is asked next: a peer, then the other, then the origin */
  uint32_t picked, corrupt, verified;
};

/* ---- server ------------------------------------------------------------------------------------------------------ */

static void drop(UNUSED void *arg, struct http_exchange *x) {
  http_abort(x);
}

static void on_request(void *arg, struct http_exchange *x) {
  struct stand *s = arg;
  bool half = has_suffix(http_path(x), "/half");
  size_t len = half ? s->size / 2 : s->size;
  _cleanup_free_ char *data = malloc(s->size);

  memcpy(data, s->content, s->size);
  if (s->wrong && has_suffix(http_path(x), "/whole"))
    data[0] ^= 1;
  http_respond_start(x, 200, NULL, (int64_t)s->size);
  if (half)
    http_on_drain(x, drop, NULL);
  http_respond_write(x, data, len);
  if (!half)
    http_respond_end(x);
}

/* ---- swarm ------------------------------------------------------------------------------------------------------- */

static bool opened(UNUSED void *arg, UNUSED const struct manifest_file *f, UNUSED int fd, UNUSED uint64_t piece,
                   UNUSED const uint8_t *done) {
  return true;
}

static int64_t pick(void *arg, UNUSED const struct manifest_file *f, const uint8_t *state, uint64_t npieces,
                    struct transfer_source *out) {
  static const uint32_t turns[] = {HALF, WHOLE, ORIGIN};
  struct stand *s = arg;

  assert_int_equal(npieces, 1);
  if (state[0] != 0)
    return -1;
  out->peer = turns[s->turn];
  s->turn += s->turn + 1 < ARRAY_LEN(turns);
  (void)snprintf(out->url, sizeof(out->url), "%s", s->url[out->peer]);
  s->picked++;
  return 0;
}

static void landed(void *arg, UNUSED const struct manifest_file *f, const struct transfer_landed *piece) {
  const struct stand *s = arg;

  assert_int_equal(piece->code == OME_OK, piece->peer != HALF);
  assert_int_equal(piece->bytes, piece->peer == HALF ? s->size / 2 : s->size);
}

static void corrupt(void *arg, UNUSED const struct manifest_file *f, UNUSED int fd) {
  ((struct stand *)arg)->corrupt++;
}

static void verified(void *arg, UNUSED const struct manifest_file *f, UNUSED int fd) {
  ((struct stand *)arg)->verified++;
}

/* ---- stand ------------------------------------------------------------------------------------------------------- */

static int setup(void **state) {
  static const char *const names[] = {"origin", "half", "whole"};
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)strcpy(s->dir, "/tmp/ome-peers-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  (void)snprintf(s->staging, sizeof(s->staging), "%s/staging", s->dir);
  s->content = malloc(LARGE);
  for (size_t i = 0; i < LARGE; i++)
    s->content[i] = (char)(i * 2654435761u >> 13);
  assert_int_equal(loop_new("server", &s->loop, &err), OME_OK);
  const struct http_server_config cfg = {.handler = on_request, .arg = s};
  assert_int_equal(http_server_new(s->loop, &cfg, &s->server, &err), OME_OK);
  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    (void)snprintf(s->url[i], sizeof(s->url[i]), "http://127.0.0.1:%u/%s", http_server_port(s->server), names[i]);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  http_server_free(s->server);
  loop_free(s->loop);
  assert_int_equal(tree_remove(s->dir, &err), OME_OK);
  free(s->content);
  free(s);
  return 0;
}

static void fetch(struct stand *s, size_t size, bool wrong) {
  const struct transfer_swarm swarm = {
      .arg = s, .opened = opened, .pick = pick, .landed = landed, .corrupt = corrupt, .verified = verified};
  const struct ome_model_ref ref = {.struct_size = sizeof(ref)};
  _cleanup_manifest_ struct manifest m = {0};
  _cleanup_free_ char *path = path_join(s->staging, "weights.bin");
  _cleanup_free_ char *data = NULL;
  struct ome_err err = ERR_INIT;
  char sha256[65];
  size_t len = 0;

  s->size = size;
  s->wrong = wrong;
  sha256_hex(s->content, size, sha256);
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .path = "weights.bin",
                                   .size = size,
                                   .url = s->url[ORIGIN],
                                   .digest_type = OME_DIGEST_SHA256,
                                   .digest = sha256};
  assert_int_equal(manifest_add(&m, &f, &err), OME_OK);
  assert_int_equal(manifest_finish(&m, &err), OME_OK);
  const struct transfer_job job = {.manifest = &m, .dir = s->staging, .ref = &ref, .swarm = &swarm};
  if (transfer_run(&job, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_int_equal(s->verified, 1);
  assert_int_equal(file_read(path, size + 1, &data, &len, &err), OME_OK);
  assert_int_equal(len, size);
  assert_memory_equal(data, s->content, size);
}

/* What counts is what is in the file at the end, not what was in its place before: half of it was right, once. */
static void a_half_that_was_right_proves_nothing_for_another_whole(void **state) {
  struct stand *s = *state;

  fetch(s, LARGE, true);
  assert_int_equal(s->corrupt, 1);
  assert_int_equal(s->picked, 3);
}

static void a_half_is_not_counted_twice(void **state) {
  struct stand *s = *state;

  fetch(s, LARGE, false);
  assert_int_equal(s->corrupt, 0);
  assert_int_equal(s->picked, 2);
}

static void a_small_half_proves_nothing_for_another_whole(void **state) {
  struct stand *s = *state;

  fetch(s, SMALL, true);
  assert_int_equal(s->corrupt, 1);
  assert_int_equal(s->picked, 3);
}

static void a_small_half_is_not_counted_twice(void **state) {
  struct stand *s = *state;

  fetch(s, SMALL, false);
  assert_int_equal(s->corrupt, 0);
  assert_int_equal(s->picked, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_half_that_was_right_proves_nothing_for_another_whole, setup, teardown),
      cmocka_unit_test_setup_teardown(a_half_is_not_counted_twice, setup, teardown),
      cmocka_unit_test_setup_teardown(a_small_half_proves_nothing_for_another_whole, setup, teardown),
      cmocka_unit_test_setup_teardown(a_small_half_is_not_counted_twice, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
