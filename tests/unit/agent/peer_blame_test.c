/* Who is called a liar when a file turns out wrong: who vouched for its piece, and nobody who has only passed it on. */
#include "../unit.h"

#include "agent/peer_state.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE TRANSFER_SWARM_PIECE(1)
#define URI "hf://org/m"

enum { ORIGIN, LIAR, RELAY }; /* peers of the engine; nodes are one less */

struct stand {
  struct peers peers;
  struct peer_job job;
  struct manifest_file file;
  int fd;
  char reports[1024];
};

static void on_report(void *arg, const char *key, const char *message) {
  struct stand *s = arg;
  size_t used = strlen(s->reports);

  assert_string_equal(key, "model");
  (void)snprintf(s->reports + used, sizeof(s->reports) - used, "%s\n", message);
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  char path[] = "/tmp/ome-blame-XXXXXX";
  uint32_t index;

  assert_non_null(s);
  s->fd = mkstemp(path);
  assert_true(s->fd >= 0 && unlink(path) == 0 && ftruncate(s->fd, 3 * PIECE) == 0);
  s->file = (struct manifest_file){.path = strdup("f"), .size = 3 * PIECE};
  s->peers.cfg.report = on_report;
  s->peers.cfg.arg = s;
  (void)pthread_mutex_init(&s->peers.lock, NULL);
  s->peers.groups = strmap_new(peer_group_free);
  assert_non_null(peer_node_find(&s->peers, "liar", &index));
  assert_non_null(peer_node_find(&s->peers, "relay", &index));
  s->job = (struct peer_job){
      .peers = &s->peers, .group = peer_group_use(&s->peers, "model"), .uri = strdup(URI), .revision = strdup("r")};
  assert_non_null(s->job.group);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;

  strmap_free(s->peers.groups);
  for (size_t i = 0; i < s->peers.nodes.len; i++)
    peer_node_free(s->peers.nodes.items[i]);
  VEC_FREE(&s->peers.nodes);
  (void)pthread_mutex_destroy(&s->peers.lock);
  (void)close(s->fd);
  free(s->file.path);
  free(s->job.uri);
  free(s->job.revision);
  free(s);
  return 0;
}

static const struct peer_content *content(const struct stand *s) {
  const struct peer_content *c = strmap_first(s->job.group->contents).value;

  assert_non_null(c);
  return c;
}

static void opens(struct stand *s, const uint8_t done[3]) {
  assert_true(peer_swarm.opened(&s->job, &s->file, s->fd, PIECE, done));
}

static void comes(struct stand *s, uint64_t index, uint32_t peer, bool passed_on) {
  const struct transfer_landed piece = {
      .index = index, .peer = peer, .passed_on = passed_on, .bytes = PIECE, .code = OME_OK, .why = ""};

  peer_swarm.landed(&s->job, &s->file, &piece);
}

static bool is_hearsay(const struct stand *s, uint64_t index) {
  return peer_content_is_hearsay(content(s), index * PIECE, (index + 1) * PIECE);
}

/* The whole was wrong; all comes again from the origin, and of PIECES, a bit each, something else than before. */
static void turns_out_wrong(struct stand *s, unsigned pieces) {
  peer_swarm.corrupt(&s->job, &s->file, s->fd);
  for (unsigned i = 0; i < 3; i++) {
    if (pieces >> i & 1)
      assert_int_equal(pwrite(s->fd, "right", 5, (off_t)(i * PIECE)), 5);
    comes(s, i, ORIGIN, false);
    assert_false(is_hearsay(s, i));
  }
  peer_swarm.verified(&s->job, &s->file, s->fd);
}

/* The next file is begun. */
static void forgets(struct stand *s) {
  (void)strmap_del(s->job.group->contents, content(s)->id);
  assert_int_equal(ftruncate(s->fd, 0), 0);
  assert_int_equal(ftruncate(s->fd, 3 * PIECE), 0);
}

static void who_vouched_is_named(void **state) {
  struct stand *s = *state;

  opens(s, (const uint8_t[3]){0});
  comes(s, 0, LIAR, false);
  comes(s, 1, RELAY, true);
  comes(s, 2, ORIGIN, false);
  assert_true(is_hearsay(s, 0) && is_hearsay(s, 1) && !is_hearsay(s, 2));
  turns_out_wrong(s, 1 | 2 | 4);
  assert_true(s->peers.nodes.items[LIAR - 1]->liar);
  assert_non_null(strstr(s->reports, "node liar gave wrong bytes of f (piece 0)"));
  assert_null(strstr(s->reports, "relay"));
  assert_false(s->peers.nodes.items[RELAY - 1]->liar);
  assert_int_not_equal(s->peers.nodes.items[RELAY - 1]->set_aside_until_ms, 0); /* its other pieces may be as wrong */
}

static void whose_pieces_were_right_is_not(void **state) {
  struct stand *s = *state;

  opens(s, (const uint8_t[3]){0});
  comes(s, 0, LIAR, false);
  comes(s, 1, RELAY, true);
  comes(s, 2, ORIGIN, false);
  turns_out_wrong(s, 4);
  for (size_t i = 0; i < s->peers.nodes.len; i++)
    assert_true(!s->peers.nodes.items[i]->liar && !s->peers.nodes.items[i]->set_aside_until_ms);
  assert_string_equal(s->reports, "");
}

/* Of what was here when the agent started nobody knows who gave it: it is vouched for by nobody, and blamed on nobody.
 */
static void what_was_here_is_hearsay(void **state) {
  struct stand *s = *state;

  opens(s, (const uint8_t[3]){1, 0, 0});
  comes(s, 1, ORIGIN, false);
  comes(s, 2, ORIGIN, false);
  opens(s, (const uint8_t[3]){1, 1, 0}); /* the engine has begun anew with what it had */
  assert_true(is_hearsay(s, 0) && !is_hearsay(s, 1));
  turns_out_wrong(s, 1);
  assert_string_equal(s->reports, "");
}

/* Who says of everything that others gave it is not believed without end; several pieces of a file count once. */
static void who_passes_on_too_often_is_dropped(void **state) {
  struct stand *s = *state;

  for (unsigned i = 1; i <= PEER_PASSED_ON_MOST; i++) {
    opens(s, (const uint8_t[3]){0});
    for (unsigned piece = 0; piece < 3; piece++)
      comes(s, piece, RELAY, true);
    turns_out_wrong(s, 1 | 4);
    assert_int_equal(s->peers.nodes.items[RELAY - 1]->passed_on, i);
    assert_int_equal(s->peers.nodes.items[RELAY - 1]->liar, i == PEER_PASSED_ON_MOST);
    forgets(s);
  }
  assert_non_null(strstr(s->reports, "node relay gave wrong bytes of f (as of other files before"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(who_vouched_is_named, setup, teardown),
      cmocka_unit_test_setup_teardown(whose_pieces_were_right_is_not, setup, teardown),
      cmocka_unit_test_setup_teardown(what_was_here_is_hearsay, setup, teardown),
      cmocka_unit_test_setup_teardown(who_passes_on_too_often_is_dropped, setup, teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
