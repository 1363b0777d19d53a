/* The requests of an upload against a server that keeps what it gets and goes wrong in one way at a time. */
#include "../unit.h"

#include "base/clock.h"
#include "base/str.h"
#include "net/http_server.h"
#include "os/file.h"
#include "transfer/upload_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE ((size_t)3 << 20)
#define PARTS 6u

enum fault { NONE, STATUS, CUT, SILENT };

struct stand {
  char dir[64], path[80];
  struct loop *loop;
  struct http_server *server;
  char *content, *kept; /* sent, and what arrived */
  enum fault fault;     /* set while nothing runs */
  int status, times;    /* the answer when it goes wrong, and how often; -1: always */
  atomic_int requests, wrong, signed_requests;
  struct upload upload;
  struct upload_file file;
  struct upload_source source;
  struct ome_uploader to;
  struct upload_job job;
  int retries;
  bool stop;
};

/* ---- server ------------------------------------------------------------------------------------------------------ */

static bool goes_wrong(struct stand *s) {
  int n = atomic_load(&s->wrong);

  if (s->fault == NONE || (s->times >= 0 && n >= s->times))
    return false;
  atomic_store(&s->wrong, n + 1);
  return true;
}

static void on_request(void *arg, struct http_exchange *x) {
  struct stand *s = arg;
  const char *at = http_query(x, "at"), *authorization = http_header(x, "authorization");
  uint64_t offset = 0;
  size_t len = 0;
  const char *body = http_body(x, &len);

  (void)atomic_fetch_add(&s->requests, 1);
  if (authorization && has_prefix(authorization, "AWS4-HMAC-SHA256 Credential=AKEY/"))
    (void)atomic_fetch_add(&s->signed_requests, 1);
  if (goes_wrong(s)) {
    if (s->fault == CUT)
      http_abort(x);
    else if (s->fault == STATUS)
      http_respond(x, s->status, NULL, "as the test says", 16);
    return; /* SILENT: no answer */
  }
  if (at) {
    assert_true(str_to_u64(at, &offset) && offset <= SIZE && len <= SIZE - offset);
    memcpy(s->kept + offset, body, len);
  }
  http_add_header(x, "ETag", at ? at : "none");
  http_respond(x, 200, "text/plain", body, at ? 0 : len);
}

/* ---- stand ------------------------------------------------------------------------------------------------------- */

static void on_event(void *arg, const struct transfer_event *e) {
  struct stand *s = arg;

  s->retries += e->type == TRANSFER_RETRY;
}

static bool is_stopped(void *arg) {
  struct stand *s = arg;

  return s->stop || (s->fault == SILENT && atomic_load(&s->wrong) > 0);
}

static char upload_path[] = "a/file";

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)strcpy(s->dir, "/tmp/ome-upload-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  (void)snprintf(s->path, sizeof(s->path), "%s/file", s->dir);
  s->content = malloc(SIZE);
  s->kept = calloc(1, SIZE);
  for (size_t i = 0; i < SIZE; i++)
    s->content[i] = (char)(i * 2654435761u >> 13);
  assert_int_equal(file_write(s->path, s->content, SIZE, 0644, &err), OME_OK);
  assert_int_equal(loop_new("server", &s->loop, &err), OME_OK);
  const struct http_server_config cfg = {.handler = on_request, .arg = s};
  assert_int_equal(http_server_new(s->loop, &cfg, &s->server, &err), OME_OK);
  s->job = (struct upload_job){.nfiles = 1, .attempts = 3, .event = on_event, .cancelled = is_stopped, .arg = s};
  s->file = (struct upload_file){.path = upload_path, .from = s->path, .size = SIZE};
  s->upload.job = &s->job;
  s->upload.connections = 4;
  s->upload.total_bytes = SIZE;
  (void)pthread_mutex_init(&s->upload.lock, NULL);
  assert_int_equal(http_client_new(NULL, &s->upload.client, &err), OME_OK);
  s->source = (struct upload_source){&s->upload, &s->file, open(s->path, O_RDONLY | O_CLOEXEC)};
  s->to = (struct ome_uploader){.struct_size = sizeof(s->to), .ctx = &s->source};
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  http_client_free(s->upload.client);
  http_server_free(s->server);
  loop_free(s->loop);
  (void)close(s->source.fd);
  (void)pthread_mutex_destroy(&s->upload.lock);
  assert_int_equal(tree_remove(s->dir, &err), OME_OK);
  free(s->content);
  free(s->kept);
  free(s);
  return 0;
}

struct answers {
  uint32_t n;
  int32_t status[PARTS];
  char etag[PARTS][32], body[PARTS][64];
  int32_t rc;
};

static int32_t on_answer(void *arg, uint32_t index, const struct ome_upload_answer *a) {
  struct answers *all = arg;

  assert_int_equal(index, all->n);
  all->n++;
  all->status[index] = a->status;
  for (uint64_t i = 0; i < a->nheaders; i++)
    if (streq(a->headers[i].key, "etag"))
      (void)snprintf(all->etag[index], sizeof(all->etag[index]), "%s", a->headers[i].value);
  (void)snprintf(all->body[index], sizeof(all->body[index]), "%.*s", (int)a->body.len, (const char *)a->body.ptr);
  return all->rc;
}

/* The file in PARTS requests. */
static int32_t send_parts(struct stand *s, const struct ome_kv *headers, uint64_t nheaders, struct answers *all,
                          struct ome_err *err) {
  struct ome_upload_request requests[PARTS];
  char urls[PARTS][100];

  for (uint32_t i = 0; i < PARTS; i++) {
    uint64_t offset = i * (SIZE / PARTS);
    (void)snprintf(urls[i], sizeof(urls[i]), "http://127.0.0.1:%u/up?at=%" PRIu64, http_server_port(s->server), offset);
    requests[i] = (struct ome_upload_request){.struct_size = sizeof(requests[i]),
                                              .method = "PUT",
                                              .url = urls[i],
                                              .headers = headers,
                                              .nheaders = nheaders,
                                              .offset = offset,
                                              .len = SIZE / PARTS};
  }
  const struct ome_list list = {requests, PARTS, sizeof(requests[0])};
  return upload_send(&s->to, &list, on_answer, all, err);
}

static int32_t send_one(struct stand *s, struct ome_upload_request r, struct answers *all, struct ome_err *err) {
  char url[100];
  const struct ome_list list = {&r, 1, sizeof(r)};

  (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/one", http_server_port(s->server));
  r.struct_size = sizeof(r);
  r.url = r.url ? r.url : url;
  return upload_send(&s->to, &list, on_answer, all, err);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void succeed(struct stand *s, enum fault fault, int status, int times) {
  struct answers all = {0};
  struct ome_err err = ERR_INIT;
  char etag[32];

  s->fault = fault;
  s->status = status;
  s->times = times;
  if (send_parts(s, NULL, 0, &all, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_int_equal(all.n, PARTS);
  for (uint32_t i = 0; i < PARTS; i++) {
    (void)snprintf(etag, sizeof(etag), "%" PRIu64, (uint64_t)i * (SIZE / PARTS));
    assert_string_equal(all.etag[i], etag);
    assert_int_equal(all.status[i], 200);
  }
  assert_memory_equal(s->kept, s->content, SIZE);
  assert_int_equal(s->retries, times);
  assert_int_equal(atomic_load(&s->upload.bytes), SIZE);
}

static void test_sends_parts(void **state) {
  succeed(*state, NONE, 0, 0);
}

static void test_tries_again(void **state) {
  succeed(*state, STATUS, 503, 2);
}

static void test_survives_cut_connections(void **state) {
  succeed(*state, CUT, 0, 2);
}

static void test_hands_over_what_stays_wrong(void **state) {
  struct stand *s = *state;
  struct answers all = {0};
  struct ome_err err = ERR_INIT;

  s->fault = STATUS;
  s->times = -1;
  s->status = 429;
  assert_int_equal(send_one(s, (struct ome_upload_request){.method = "POST"}, &all, &err), OME_OK);
  assert_int_equal(all.status[0], 429);
  assert_string_equal(all.body[0], "as the test says");
  assert_int_equal(atomic_load(&s->requests), 3);
  s->status = 403; /* no use in trying again */
  all.n = 0;
  assert_int_equal(send_one(s, (struct ome_upload_request){.method = "POST"}, &all, &err), OME_OK);
  assert_int_equal(all.status[0], 403);
  assert_int_equal(atomic_load(&s->requests), 4);
}

static void test_sends_memory(void **state) {
  struct stand *s = *state;
  struct answers all = {0};
  struct ome_err err = ERR_INIT;
  const struct ome_upload_request r = {.method = "POST", .body = {"<xml/>", 6}};

  assert_int_equal(send_one(s, r, &all, &err), OME_OK);
  assert_string_equal(all.body[0], "<xml/>");
  assert_int_equal(atomic_load(&s->upload.bytes), 0);
}

static void test_signs(void **state) {
  struct stand *s = *state;
  struct answers all = {0};
  struct ome_err err = ERR_INIT;
  const struct ome_kv headers[] = {{OME_REQUEST_SIGV4, "aws:amz:eu-test-1:s3"},
                                   {OME_REQUEST_CREDENTIALS, "AKEY:hidden"},
                                   {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"}};

  assert_int_equal(send_parts(s, headers, ARRAY_LEN(headers), &all, &err), OME_OK);
  assert_int_equal(atomic_load(&s->signed_requests), PARTS);
  assert_memory_equal(s->kept, s->content, SIZE);
}

static void test_stops(void **state) {
  struct stand *s = *state;
  struct answers all = {0};
  struct ome_err err = ERR_INIT;

  s->fault = SILENT;
  s->times = -1;
  uint64_t began = mono_ms();
  assert_int_equal(send_parts(s, NULL, 0, &all, &err), OME_E_CANCELLED);
  assert_true(mono_ms() - began < 5000);
  assert_int_equal(all.n, 0);
}

static void test_returns_what_the_plugin_says(void **state) {
  struct stand *s = *state;
  struct answers all = {.rc = OME_E_CONFLICT};
  struct ome_err err = ERR_INIT;

  assert_int_equal(send_parts(s, NULL, 0, &all, &err), OME_E_CONFLICT);
  assert_int_equal(all.n, 1);
}

static void test_refuses_wrong_requests(void **state) {
  struct stand *s = *state;
  struct answers all = {0};
  const struct ome_kv split[] = {{"x", "a\r\nb"}}, unknown[] = {{":later", "1"}};
  const struct ome_upload_request wrong[] = {
      {.method = "PUT", .offset = SIZE, .len = 1},
      {.method = "PUT", .offset = 1, .len = UINT64_MAX},
      {.method = "P T", .len = 1},
      {.method = NULL},
      {.method = "PUT", .headers = split, .nheaders = 1},
      {.method = "PUT", .headers = unknown, .nheaders = 1},
      {.method = "PUT", .url = "file:///etc/passwd", .len = 1},
  };

  for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
    struct ome_err err = ERR_INIT;
    assert_int_equal(send_one(s, wrong[i], &all, &err), OME_E_INVALID);
    assert_true(err.msg[0] != '\0');
  }
  assert_int_equal(atomic_load(&s->requests), 0);
}

static void test_notices_a_file_that_shrinks(void **state) {
  struct stand *s = *state;
  struct answers all = {0};
  struct ome_err err = ERR_INIT;

  assert_int_equal(truncate(s->path, (off_t)SIZE / 2), 0);
  assert_int_equal(send_parts(s, NULL, 0, &all, &err), OME_E_CORRUPT);
  assert_non_null(strstr(err.msg, s->path));
}

static void test_reads(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;
  char piece[100];

  assert_int_equal(upload_read(&s->to, 1000, sizeof(piece), piece, &err), OME_OK);
  assert_memory_equal(piece, s->content + 1000, sizeof(piece));
  assert_int_equal(upload_read(&s->to, SIZE - 10, 11, piece, &err), OME_E_INVALID);
}

int main(void) {
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
  const struct CMUnitTest tests[] = {
      ONE(test_sends_parts),
      ONE(test_tries_again),
      ONE(test_survives_cut_connections),
      ONE(test_hands_over_what_stays_wrong),
      ONE(test_sends_memory),
      ONE(test_signs),
      ONE(test_stops),
      ONE(test_returns_what_the_plugin_says),
      ONE(test_refuses_wrong_requests),
      ONE(test_notices_a_file_that_shrinks),
      ONE(test_reads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
