/* The hub as its clients see it: listings, files in parts, and the ways to say no. */
#include "../unit.h"

#include "base/json.h"
#include "base/str.h"
#include "hub/hub.h"
#include "net/http_client.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>

#define REPO "/org/m"
#define CONFIG "{\"a\": 1}"
#define WEIGHTS "0123456789"

struct stand {
  char dir[64];
  struct hub *hub;
  struct http_client *http;
};

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static void put(const char *root, const char *dir, const char *name, const char *text) {
  _cleanup_free_ char *folder = path_join(root, dir);
  _cleanup_free_ char *path = path_join(folder, name);
  struct ome_err err = ERR_INIT;

  ok(dir_make(folder, 0755, &err), &err);
  ok(file_write(path, text, strlen(text), 0644, &err), &err);
}

static int setup(void **state) {
  struct stand *s = calloc(1, sizeof(*s));
  struct ome_err err = ERR_INIT;

  (void)snprintf(s->dir, sizeof(s->dir), "/tmp/ome-hub-XXXXXX");
  assert_non_null(mkdtemp(s->dir));
  put(s->dir, "models/org/m", "config.json", CONFIG);
  put(s->dir, "models/org/m/sub", "w.gguf", WEIGHTS);
  put(s->dir, "models/org/m/.git", "hidden", "x");
  put(s->dir, "outside", "secret", "x");
  ok(http_client_new(NULL, &s->http, &err), &err);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  struct stand *s = *state;
  struct ome_err err = ERR_INIT;

  http_client_free(s->http);
  hub_stop(s->hub);
  (void)tree_remove(s->dir, &err);
  free(s);
  return 0;
}

static void start(struct stand *s, struct hub_config cfg) {
  _cleanup_free_ char *dir = path_join(s->dir, "models");
  struct ome_err err = ERR_INIT;

  cfg.dir = dir;
  ok(hub_start(&cfg, &s->hub, &err), &err);
}

/* HEADER: one more header line, or NULL. */
static int32_t ask(struct stand *s, const char *method, const char *path, const char *header, struct http_response *out,
                   struct ome_err *err) {
  _cleanup_free_ char *url = str_printf("http://127.0.0.1:%u%s", hub_port(s->hub), path);
  const char *const headers[] = {header, NULL};
  const struct http_request request = {
      .method = method, .url = url, .headers = headers, .proxy = "", .timeout_ms = 10000};

  return http_do(s->http, &request, NULL, NULL, out, err);
}

static struct http_response get(struct stand *s, const char *path, const char *header, int status) {
  struct http_response r = {0};
  struct ome_err err = ERR_INIT;

  ok(ask(s, "GET", path, header, &r, &err), &err);
  if (r.status != status)
    fail_msg("%s: %d instead of %d: %s", path, r.status, status, buf_str(&r.body));
  return r;
}

static struct json_object *get_json(struct stand *s, const char *path) {
  struct http_response r = get(s, path, NULL, 200);
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(json_parse(buf_str(&r.body), r.body.len, 0, &o, &err), &err);
  http_response_fini(&r);
  return o;
}

static void expect_header(const struct http_response *r, const char *name, const char *want) {
  char value[256] = "";

  (void)http_response_header(r, name, value, sizeof(value));
  assert_string_equal(value, want);
}

static void describes_a_repository(void **state) {
  struct stand *s = *state;

  start(s, (struct hub_config){0});
  _cleanup_json_ struct json_object *info = get_json(s, "/api/models" REPO);
  assert_string_equal(json_str(info, "id", ""), "org/m");
  assert_int_equal(strlen(json_str(info, "sha", "")), 40);
  assert_int_equal(json_len(json_at(info, "siblings")), 2);
  _cleanup_free_ char *at_commit = str_printf("/api/models" REPO "/revision/%s", json_str(info, "sha", ""));
  _cleanup_json_ struct json_object *same = get_json(s, at_commit);
  assert_true(json_equal(info, same));
  _cleanup_json_ struct json_object *tree = get_json(s, "/api/models" REPO "/tree/main?recursive=true");
  assert_int_equal(json_len(tree), 3);
  assert_string_equal(json_str(json_find(tree, "path", "sub"), "type", ""), "directory");
  struct json_object *weights = json_find(tree, "path", "sub/w.gguf");
  assert_int_equal(json_i64(weights, "size", 0), 10);
  assert_string_equal(json_str(weights, "lfs.oid", ""),
                      "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882");
  /* printf 'version https://git-lfs.github.com/spec/v1\noid sha256:84d8...\nsize 10\n' | git hash-object --stdin */
  assert_string_equal(json_str(weights, "oid", ""), "936e1b4672d9b9eae2dbee72f68e5f344411832b");
  assert_string_equal(json_str(json_find(tree, "path", "config.json"), "lfs.oid", "none"), "none");
}

static void remove_file(struct stand *s, const char *name) {
  _cleanup_free_ char *path = str_printf("%s/models/org/m/%s", s->dir, name);

  assert_int_equal(unlink(path), 0);
}

static void pages_through_many_files(void **state) {
  struct stand *s = *state;
  size_t seen = 0;
  char next[512] = "";
  char name[32];

  for (int i = 0; i < 1500; i++) {
    (void)snprintf(name, sizeof(name), "f%04d", i);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/models/org/m/%s", s->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fclose(f);
  }
  start(s, (struct hub_config){0});
  _cleanup_free_ char *path = strdup("/api/models" REPO "/tree/main?recursive=true");
  for (int page = 0; path && page < 5; page++) {
    struct http_response r = get(s, path, NULL, 200);
    _cleanup_json_ struct json_object *list = NULL;
    struct ome_err err = ERR_INIT;
    ok(json_parse(buf_str(&r.body), r.body.len, 0, &list, &err), &err);
    seen += json_len(list);
    if (page == 0)
      remove_file(s, "f1400");
    free(path);
    path = NULL;
    if (http_response_header(&r, "link", next, sizeof(next))) {
      char *from = strstr(next, "/api/");
      char *end = from ? strchr(from, '>') : NULL;
      assert_non_null(end);
      assert_non_null(strstr(end, "rel=\"next\""));
      path = str_copy(from, (size_t)(end - from));
    }
    http_response_fini(&r);
  }
  assert_int_equal(seen, 1503); /* and a folder: a list goes on as it began */
  _cleanup_json_ struct json_object *again = get_json(s, "/api/models" REPO);
  assert_int_equal(json_len(json_at(again, "siblings")), 1501);
}

static void sends_parts_of_files(void **state) {
  static const struct {
    const char *range, *body, *content_range;
    int status;
  } cases[] = {
      {NULL, WEIGHTS, "", 200},
      {"Range: bytes=2-4", "234", "bytes 2-4/10", 206},
      {"Range: bytes=7-", "789", "bytes 7-9/10", 206},
      {"Range: bytes=-2", "89", "bytes 8-9/10", 206},
      {"Range: bytes=-99", WEIGHTS, "bytes 0-9/10", 206},
      {"Range: bytes=8-99", "89", "bytes 8-9/10", 206},
      {"Range: bytes=10-", "", "bytes */10", 416},
      {"Range: bytes=5-3", WEIGHTS, "", 200}, /* not a range: the whole */
      {"Range: bytes=x", WEIGHTS, "", 200},
      {"Range: bytes=0-1,4-5", WEIGHTS, "", 200},
  };
  struct stand *s = *state;

  start(s, (struct hub_config){0});
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct http_response r = get(s, REPO "/resolve/main/sub/w.gguf", cases[i].range, cases[i].status);
    assert_string_equal(buf_str(&r.body), cases[i].body);
    expect_header(&r, "content-range", cases[i].content_range);
    expect_header(&r, "x-linked-size", "10");
    http_response_fini(&r);
  }
  struct http_response r = {0};
  struct ome_err err = ERR_INIT;
  ok(ask(s, "HEAD", REPO "/resolve/main/sub/w.gguf", NULL, &r, &err), &err);
  assert_int_equal(r.status, 200);
  assert_int_equal(r.body.len, 0);
  expect_header(&r, "content-length", "10");
  expect_header(&r, "etag", "\"84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882\"");
  http_response_fini(&r);
}

static void says_what_is_not_there(void **state) {
  static const struct {
    const char *path, *code;
  } cases[] = {
      {"/api/models/org/none", "RepoNotFound"},
      {REPO "/resolve/main/none", "EntryNotFound"},
      {REPO "/resolve/main/.git/hidden", "EntryNotFound"},
      {"/api/models" REPO "/revision/0123456789012345678901234567890123456789", "RevisionNotFound"},
      {REPO "/resolve/main/..%2f..%2f..%2foutside%2fsecret", "EntryNotFound"},
      {"/api/models/..%2foutside/x", "RepoNotFound"},
      {"/nonsense", "NotFound"},
      {"/", "NotFound"},
  };
  struct stand *s = *state;

  start(s, (struct hub_config){0});
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct http_response r = get(s, cases[i].path, NULL, 404);
    expect_header(&r, "x-error-code", cases[i].code);
    http_response_fini(&r);
  }
}

static void asks_for_the_token(void **state) {
  struct stand *s = *state;
  struct http_response r;

  start(s, (struct hub_config){.token = "hf_good"});
  r = get(s, "/api/models" REPO, NULL, 401);
  http_response_fini(&r);
  r = get(s, "/api/models" REPO, "Authorization: Bearer hf_evil", 401);
  http_response_fini(&r);
  r = get(s, REPO "/resolve/main/config.json", "Authorization: Bearer hf_good", 200);
  assert_string_equal(buf_str(&r.body), CONFIG);
  http_response_fini(&r);
}

static void makes_faults(void **state) {
  struct stand *s = *state;
  struct http_response r;

  start(s, (struct hub_config){.fault_status = 429});
  r = get(s, "/api/models" REPO, NULL, 429);
  expect_header(&r, "retry-after", "1");
  http_response_fini(&r);
}

static void cuts_files_short(void **state) {
  struct stand *s = *state;
  struct http_response r = {0};
  struct ome_err err = ERR_INIT;

  start(s, (struct hub_config){.fault_cut = 4});
  assert_int_not_equal(ask(s, "GET", REPO "/resolve/main/sub/w.gguf", NULL, &r, &err), OME_OK);
  http_response_fini(&r);
  r = get(s, REPO "/resolve/main/sub/w.gguf", "Range: bytes=6-9", 206);
  assert_string_equal(buf_str(&r.body), "6789");
  http_response_fini(&r);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(describes_a_repository), TEST(pages_through_many_files), TEST(sends_parts_of_files),
      TEST(says_what_is_not_there), TEST(asks_for_the_token),       TEST(makes_faults),
      TEST(cuts_files_short),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
