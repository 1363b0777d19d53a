/* The engine against a server that goes wrong in one way at a time. */
#include "../unit.h"

#include "base/clock.h"
#include "base/str.h"
#include "net/http_server.h"
#include "os/file.h"
#include "transfer/transfer.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE ((size_t)3 << 20)
#define PIECE ((uint64_t)256 << 10)

enum fault { NONE, CUT, STATUS, CORRUPT, NO_RANGES, OTHER_ETAG, WRONG_SIZE, STALL };

struct stand {
  char dir[64], staging[80];
  struct loop *loop;
  struct http_server *server;
  char *content;
  char sha256[65];
  /* how the server behaves: the loop's */
  enum fault fault;
  int status;
  int times; /* how often it goes wrong; -1: always */
  atomic_int requests, wrong;
  atomic_uint_fast64_t sent;
};

/* ---- server ------------------------------------------------------------------------------------------------------ */

static void drop(UNUSED void *arg, struct http_exchange *x) {
  http_abort(x);
}

static bool goes_wrong(struct stand *s) {
  int n = atomic_load(&s->wrong);

  if (s->fault == NONE || (s->times >= 0 && n >= s->times))
    return false;
  atomic_store(&s->wrong, n + 1);
  return true;
}

static void wait_for_the_end(UNUSED void *arg, UNUSED struct http_exchange *x) {
}

static void send_bytes(struct stand *s, struct http_exchange *x, int status, size_t first, size_t len, bool wrong) {
  size_t part = wrong && (s->fault == CUT || s->fault == STALL) ? len / 2 : len;
  _cleanup_free_ char *data = malloc(part + 1);

  memcpy(data, s->content + first, part);
  if (wrong && s->fault == CORRUPT)
    data[0] ^= 1;
  (void)atomic_fetch_add(&s->sent, part);
  http_respond_start(x, status, NULL, (int64_t)len);
  if (part < len)
    http_on_drain(x, s->fault == STALL ? wait_for_the_end : drop, NULL);
  http_respond_write(x, data, part);
  if (part == len)
    http_respond_end(x);
}

static void on_request(void *arg, struct http_exchange *x) {
  struct stand *s = arg;
  const char *range = http_header(x, "range");
  uint64_t first = 0, last = SIZE - 1;
  bool wrong = goes_wrong(s);
  char text[100];

  (void)atomic_fetch_add(&s->requests, 1);
  if (wrong && s->fault == STATUS) {
    http_add_header(x, "X-Error-Message", "as the test says");
    http_respond(x, s->status, NULL, "no", 2);
    return;
  }
  if (!range || (wrong && s->fault == NO_RANGES)) {
    send_bytes(s, x, 200, 0, SIZE, false);
    return;
  }
  assert_int_equal(sscanf(range, "bytes=%" SCNu64 "-%" SCNu64, &first, &last), 2);
  (void)snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%zu", first, last,
                 wrong && s->fault == WRONG_SIZE ? SIZE + 1 : SIZE);
  http_add_header(x, "Content-Range", text);
  http_add_header(x, "ETag", wrong && s->fault == OTHER_ETAG ? "\"other\"" : "\"one\"");
  send_bytes(s, x, 206, first, last - first + 1, wrong);
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)strcpy(s->dir, "/tmp/ome-transfer-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  (void)snprintf(s->staging, sizeof(s->staging), "%s/staging", s->dir);
  s->content = malloc(SIZE);
  for (size_t i = 0; i < SIZE; i++)
    s->content[i] = (char)(i * 2654435761u >> 13);
  sha256_hex(s->content, SIZE, s->sha256);
  assert_int_equal(loop_new("server", &s->loop, &err), OME_OK);
  const struct http_server_config cfg = {.handler = on_request, .arg = s};
  assert_int_equal(http_server_new(s->loop, &cfg, &s->server, &err), OME_OK);
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

struct behaviour {
  struct stand *s;
  enum fault fault;
  int status, times;
};

static void behave_on_loop(void *arg) {
  const struct behaviour *b = arg;

  b->s->fault = b->fault;
  b->s->status = b->status;
  b->s->times = b->times;
}

/* How the server behaves from now on. */
static void behave(struct stand *s, enum fault fault, int status, int times) {
  struct behaviour b = {s, fault, status, times};

  loop_call(s->loop, behave_on_loop, &b);
}

/* Sanitizers make everything slower. */
static uint64_t patience(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 4;
#else
  return 1;
#endif
}

/* ---- kit --------------------------------------------------------------------------------------------------------- */

struct watch {
  uint64_t stop_at; /* bytes; 0: never */
  atomic_uint_fast64_t bytes;
  int retries;
  uint32_t files;
  uint32_t stall_timeout_ms;
  uint64_t max_bytes_per_second;
  const char *max_rate; /* as the model's parameter says it */
  uint32_t estimates;   /* events that say how long it still takes */
};

static void on_event(void *arg, const struct transfer_event *e) {
  struct watch *w = arg;

  atomic_store(&w->bytes, e->bytes);
  w->retries += e->type == TRANSFER_RETRY;
  w->files = e->files;
  if (e->eta_ms == UINT64_MAX)
    return;
  w->estimates++;
  assert_true(e->bytes_per_second >= 1 && e->bytes <= e->total_bytes);
  assert_int_equal(e->eta_ms, (uint64_t)((double)(e->total_bytes - e->bytes) * 1000 / e->bytes_per_second));
}

static bool is_stopped(void *arg) {
  struct watch *w = arg;

  return w->stop_at && atomic_load(&w->bytes) >= w->stop_at;
}

static int32_t run_with(struct stand *s, const char *digest, struct watch *w, struct ome_err *err) {
  _cleanup_manifest_ struct manifest m = {0};
  char url[100];

  (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/file", http_server_port(s->server));
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .path = "folder/weights.bin",
                                   .size = SIZE,
                                   .url = url,
                                   .digest_type = digest ? OME_DIGEST_SHA256 : OME_DIGEST_NONE,
                                   .digest = digest};
  assert_int_equal(manifest_add(&m, &f, err), OME_OK);
  assert_int_equal(manifest_finish(&m, err), OME_OK);
  const struct ome_kv rate = {"maxRate", w->max_rate};
  const struct ome_model_ref ref = {.struct_size = sizeof(ref), .params = &rate, .nparams = w->max_rate ? 1 : 0};
  const struct transfer_job job = {.manifest = &m,
                                   .dir = s->staging,
                                   .ref = &ref,
                                   .connections = 4,
                                   .piece_bytes = PIECE,
                                   .attempts = 3,
                                   .stall_timeout_ms = w->stall_timeout_ms,
                                   .max_bytes_per_second = w->max_bytes_per_second,
                                   .event = on_event,
                                   .cancelled = is_stopped,
                                   .arg = w};
  int32_t rc = transfer_run(&job, err);
  if (rc == OME_OK)
    assert_string_equal(m.files.items[0].sha256, s->sha256);
  return rc;
}

static void assert_content(struct stand *s) {
  _cleanup_free_ char *path = path_join(s->staging, "folder/weights.bin");
  _cleanup_free_ char *data = NULL;
  struct ome_err err = ERR_INIT;
  size_t len = 0;

  assert_int_equal(file_read(path, SIZE + 1, &data, &len, &err), OME_OK);
  assert_int_equal(len, SIZE);
  assert_memory_equal(data, s->content, SIZE);
}

static void succeed(struct stand *s, enum fault fault, int times, bool expect_retries) {
  struct watch w = {0};
  struct ome_err err = ERR_INIT;

  behave(s, fault, 503, times);
  int32_t rc = run_with(s, s->sha256, &w, &err);
  if (rc != OME_OK)
    fail_msg("%s", err.msg);
  assert_content(s);
  assert_int_equal(w.files, 1);
  assert_int_equal(w.retries > 0, expect_retries);
}

static void refuse(struct stand *s, int status, int32_t code, const char *advice) {
  struct watch w = {0};
  struct ome_err err = ERR_INIT;

  behave(s, STATUS, status, -1);
  assert_int_equal(run_with(s, s->sha256, &w, &err), code);
  assert_non_null(strstr(err.msg, advice));
  assert_non_null(strstr(err.msg, "as the test says"));
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void test_fetches(void **state) {
  struct stand *s = *state;

  succeed(s, NONE, 0, false);
  assert_int_equal(s->requests, SIZE / PIECE);
}

static void test_survives_cut_connections(void **state) {
  succeed(*state, CUT, 5, true);
}

static void test_survives_server_errors(void **state) {
  succeed(*state, STATUS, 2, true);
}

static void test_fetches_again_what_is_corrupt(void **state) {
  succeed(*state, CORRUPT, 1, true);
}

static void test_does_without_ranges(void **state) {
  succeed(*state, NO_RANGES, -1, true);
}

static void test_starts_again_when_the_file_changes(void **state) {
  succeed(*state, OTHER_ETAG, 1, true);
}

static void test_never_accepts_corrupt_bytes(void **state) {
  struct stand *s = *state;
  struct watch w = {0};
  struct ome_err err = ERR_INIT;

  behave(s, CORRUPT, 0, -1);
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_E_CORRUPT);
  assert_int_equal(w.files, 0);
}

static void test_classifies_refusals(void **state) {
  refuse(*state, 401, OME_E_DENIED, "token or key");
  refuse(*state, 403, OME_E_DENIED, "ask for access");
  refuse(*state, 404, OME_E_NOT_FOUND, "revision");
  refuse(*state, 429, OME_E_BUSY, "rate");
  refuse(*state, 500, OME_E_UNAVAILABLE, "later");
}

static void test_gives_up_on_a_wrong_size(void **state) {
  struct stand *s = *state;
  struct watch w = {0};
  struct ome_err err = ERR_INIT;

  behave(s, WRONG_SIZE, 0, -1);
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_E_UNAVAILABLE);
}

static void test_goes_on_where_it_was(void **state) {
  struct stand *s = *state;
  struct watch w = {0};
  struct ome_err err = ERR_INIT;

  w.stop_at = 1; /* as soon as anything has arrived */
  int32_t rc = run_with(s, s->sha256, &w, &err);
  assert_true(rc == OME_E_CANCELLED || rc == OME_OK);
  w = (struct watch){0};
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_content(s);
  /* What was written whole the first time is not fetched again: at most the pieces in flight are. */
  assert_true(atomic_load(&s->sent) <= SIZE + 4 * PIECE);
  uint64_t before = atomic_load(&s->sent);
  w = (struct watch){0};
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_int_equal(atomic_load(&s->sent), before);
}

static void change_content_on_loop(void *arg) {
  struct stand *s = arg;

  s->content[SIZE / 2] ^= 1;
  sha256_hex(s->content, SIZE, s->sha256);
}

static void test_does_not_trust_staged_bytes_of_other_content(void **state) {
  struct stand *s = *state;
  struct watch w = {0};
  struct ome_err err = ERR_INIT;

  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  loop_call(s->loop, change_content_on_loop, s);
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_content(s);
}

/* What was published and is fetched again has no credit from before. */
/* Only the range that stands still is asked for again, from where it stopped. */
static void test_ends_a_stall(void **state) {
  struct stand *s = *state;
  struct watch w = {.stall_timeout_ms = 1000};
  struct ome_err err = ERR_INIT;

  behave(s, STALL, 0, 1);
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_content(s);
  assert_int_equal(atomic_load(&s->requests), SIZE / PIECE + 1);
}

static void test_keeps_to_the_cap(void **state) {
  struct stand *s = *state;
  struct watch w = {.max_bytes_per_second = SIZE};
  struct ome_err err = ERR_INIT;
  uint64_t began = mono_ms();

  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_in_range(mono_ms() - began, 800, 20000);
}

static void test_keeps_to_the_models_cap(void **state) {
  struct stand *s = *state;
  struct watch w = {.max_rate = "3Mi"}; /* SIZE */
  struct ome_err err = ERR_INIT;
  uint64_t began = mono_ms();

  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_in_range(mono_ms() - began, 800, 20000);
  w.max_rate = "0";
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_E_INVALID);
  assert_non_null(strstr(err.msg, "maxRate is \"0\"; give bytes a second"));
}

/* Of the process: whatever the job allows. */
static void test_keeps_to_the_cap_of_all(void **state) {
  struct stand *s = *state;
  struct watch w = {0};
  struct ome_err err = ERR_INIT;
  uint64_t began = mono_ms();

  transfer_set_max_rate(SIZE);
  int32_t rc = run_with(s, s->sha256, &w, &err);
  transfer_set_max_rate(0);
  assert_int_equal(rc, OME_OK);
  assert_in_range(mono_ms() - began, 800, 20000);
}

static void test_estimates_what_is_left(void **state) {
  struct stand *s = *state;
  struct watch w = {.max_bytes_per_second = SIZE};
  struct ome_err err = ERR_INIT;

  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_true(w.estimates > 0);
}

static bool after_a_while(void *arg) {
  return mono_ms() >= *(uint64_t *)arg;
}

static int32_t run_files(struct stand *s, struct manifest *m, bool (*cancelled)(void *), void *arg, uint64_t rate,
                         struct ome_err *err) {
  const struct transfer_job job = {.manifest = m,
                                   .dir = s->staging,
                                   .connections = 4,
                                   .cancelled = cancelled,
                                   .arg = arg,
                                   .max_bytes_per_second = rate};

  assert_int_equal(manifest_finish(m, err), OME_OK);
  return transfer_run(&job, err);
}

/* However slowly bytes come. */
static void test_stops_at_once(void **state) {
  _cleanup_manifest_ struct manifest m = {0};
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  uint64_t until = mono_ms() + 300;
  char url[100];

  (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/file", http_server_port(s->server));
  const struct ome_model_file f = {.struct_size = sizeof(f), .path = "f", .size = SIZE, .url = url};
  assert_int_equal(manifest_add(&m, &f, &err), OME_OK);
  assert_int_equal(run_files(s, &m, after_a_while, &until, 100000, &err), OME_E_CANCELLED);
  assert_in_range(mono_ms(), until, until + 100 * patience());
}

static void test_learns_the_size(void **state) {
  _cleanup_manifest_ struct manifest m = {0};
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  char url[100];

  (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/file", http_server_port(s->server));
  const struct ome_model_file f = {.struct_size = sizeof(f),
                                   .path = "folder/weights.bin",
                                   .size = OME_SIZE_UNKNOWN,
                                   .url = url,
                                   .digest_type = OME_DIGEST_SHA256,
                                   .digest = s->sha256};
  assert_int_equal(manifest_add(&m, &f, &err), OME_OK);
  behave(s, CUT, 0, 0);
  assert_int_equal(run_files(s, &m, NULL, NULL, 0, &err), OME_OK);
  assert_int_equal(m.files.items[0].size, SIZE);
  assert_int_equal(m.total_bytes, SIZE);
  assert_content(s);
}

static void test_takes_what_is_on_this_machine(void **state) {
  _cleanup_manifest_ struct manifest m = {0};
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  char source[100];

  (void)snprintf(source, sizeof(source), "%s/source", s->dir);
  assert_int_equal(file_write(source, s->content, SIZE, 0600, &err), OME_OK);
  struct ome_model_file f = {.struct_size = sizeof(f),
                             .path = "folder/weights.bin",
                             .size = SIZE,
                             .local_path = source,
                             .digest_type = OME_DIGEST_SHA256,
                             .digest = s->sha256};
  assert_int_equal(manifest_add(&m, &f, &err), OME_OK);
  assert_int_equal(run_files(s, &m, NULL, NULL, 0, &err), OME_OK);
  assert_content(s);
  assert_int_equal(atomic_load(&s->requests), 0);
  /* It is believed no more than a server. */
  _cleanup_manifest_ struct manifest again = {0};
  s->content[1] ^= 1;
  assert_int_equal(file_write(source, s->content, SIZE, 0600, &err), OME_OK);
  f.path = "other";
  assert_int_equal(manifest_add(&again, &f, &err), OME_OK);
  assert_int_equal(run_files(s, &again, NULL, NULL, 0, &err), OME_E_CORRUPT);
}

static void test_forgets_what_was_moved_away(void **state) {
  struct stand *s = *state;
  struct watch w = {0};
  struct ome_err err = ERR_INIT;

  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_int_equal(tree_remove(s->staging, &err), OME_OK);
  /* Leaves a file of the right size with nothing in it. */
  behave(s, STATUS, 404, -1);
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_E_NOT_FOUND);
  behave(s, NONE, 0, 0);
  w = (struct watch){0};
  err_clear(&err);
  assert_int_equal(run_with(s, s->sha256, &w, &err), OME_OK);
  assert_content(s);
}

static void test_refuses_paths_that_leave(UNUSED void **state) {
  static const char *const paths[] = {"../x", "/etc/x", "a/../../x", "", "a//b", "./a"};
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
    _cleanup_manifest_ struct manifest m = {0};
    const struct ome_model_file f = {.struct_size = sizeof(f), .path = paths[i], .size = 1, .url = "http://x/"};
    assert_int_equal(manifest_add(&m, &f, &err), OME_E_INVALID);
  }
}

static void test_refuses_lists_that_contradict_themselves(UNUSED void **state) {
  static const char *const pairs[][2] = {{"a", "a"}, {"a", "a/b"}, {"a/b/c", "a/b"}};
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
    _cleanup_manifest_ struct manifest m = {0};
    for (size_t k = 0; k < 2; k++) {
      const struct ome_model_file f = {.struct_size = sizeof(f), .path = pairs[i][k], .size = 1, .url = "http://x/"};
      assert_int_equal(manifest_add(&m, &f, &err), OME_OK);
    }
    assert_int_equal(manifest_finish(&m, &err), OME_E_INVALID);
  }
}

int main(void) {
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      ONE(test_fetches),
      ONE(test_survives_cut_connections),
      ONE(test_survives_server_errors),
      ONE(test_fetches_again_what_is_corrupt),
      ONE(test_does_without_ranges),
      ONE(test_starts_again_when_the_file_changes),
      ONE(test_never_accepts_corrupt_bytes),
      ONE(test_classifies_refusals),
      ONE(test_gives_up_on_a_wrong_size),
      ONE(test_goes_on_where_it_was),
      ONE(test_does_not_trust_staged_bytes_of_other_content),
      ONE(test_forgets_what_was_moved_away),
      ONE(test_ends_a_stall),
      ONE(test_keeps_to_the_cap),
      ONE(test_keeps_to_the_models_cap),
      ONE(test_keeps_to_the_cap_of_all),
      ONE(test_estimates_what_is_left),
      ONE(test_stops_at_once),
      ONE(test_learns_the_size),
      ONE(test_takes_what_is_on_this_machine),
      cmocka_unit_test(test_refuses_paths_that_leave),
      cmocka_unit_test(test_refuses_lists_that_contradict_themselves),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
