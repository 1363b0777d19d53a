/* The HTTP server and client against each other, and the server against raw bytes. */
#include "../unit.h"

#include "base/clock.h"
#include "base/str.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/http_stream.h"
#include "net/tls.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#define LONG_BYTES ((size_t)8 << 20)

struct fixture {
  struct loop *loop;
  struct http_server *server;
  struct http_server *streaming;
  struct http_client *client;
  char url[64];
  char streaming_url[64];
  atomic_int closed;
  struct bufferevent *taken; /* loop thread */
};

static struct fixture fx;

static void on_gone(void *arg, struct http_exchange *x) {
  (void)arg;
  (void)x;
  atomic_fetch_add(&fx.closed, 1);
}

/* A thousand chunks, each written when the last is out. */
static void more_chunks(void *arg, struct http_exchange *x) {
  int *left = http_user(x);

  (void)arg;
  if (--*left == 0) {
    free(left);
    http_respond_end(x);
    return;
  }
  http_respond_write(x, "0123456789", 10);
}

static void serve(void *arg, struct http_exchange *x) {
  const char *path = http_path(x);
  size_t len;

  (void)arg;
  if (streq(path, "/echo")) {
    const char *body = http_body(x, &len);
    http_respond(x, 200, "text/plain", body, len);
  } else if (streq(path, "/query")) {
    const char *q = http_query(x, "q");
    http_respond(x, 200, "text/plain", q ? q : "none", q ? strlen(q) : 4);
  } else if (streq(path, "/header")) {
    const char *h = http_header(x, "X-Test");
    http_add_header(x, "X-Answer", "one\r\ntwo: three");
    http_respond(x, 200, "text/plain", h, h ? strlen(h) : 0);
  } else if (streq(path, "/chunks")) {
    int *left = malloc(sizeof(*left));
    *left = 1001;
    http_set_user(x, left);
    http_respond_start(x, 200, "text/plain", -1);
    http_on_drain(x, more_chunks, NULL);
    more_chunks(NULL, x);
  } else if (streq(path, "/long")) {
    static const char text[LONG_BYTES] = "long";
    http_respond(x, 200, "text/plain", text, sizeof(text));
  } else if (streq(path, "/hang")) {
    http_on_close(x, on_gone, NULL);
  } else if (streq(path, "/redirect")) {
    http_add_header(x, "Location", "/query?q=there");
    http_respond(x, 302, NULL, "moved", 5);
  } else {
    http_respond(x, 404, "text/plain", "no", 2);
  }
}

struct counter {
  size_t bytes;
};

static void count_data(void *arg, struct http_exchange *x, const void *data, size_t len) {
  struct counter *c = arg;
  char text[32];

  if (data) {
    c->bytes += len;
    return;
  }
  int n = snprintf(text, sizeof(text), "%zu", c->bytes);
  free(c);
  http_respond(x, 200, "text/plain", text, (size_t)n);
}

static void serve_streaming(void *arg, struct http_exchange *x) {
  (void)arg;
  if (streq(http_path(x), "/upgrade")) {
    struct bufferevent *bev = http_take_connection(x);
    (void)evbuffer_add_printf(bufferevent_get_output(bev), "HTTP/1.1 101 Switching Protocols\r\n\r\nraw");
    bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
    (void)bufferevent_flush(bev, EV_WRITE, BEV_FLUSH);
    fx.taken = bev;
    return;
  }
  if (streq(http_path(x), "/refuse")) {
    http_respond(x, 403, NULL, "no", 2);
    return;
  }
  http_read_body(x, count_data, calloc(1, sizeof(struct counter)));
}

static int set_up(void **state) {
  struct ome_err err = ERR_INIT;
  struct http_server_config cfg = {.handler = serve, .max_body = 1 << 20};
  struct http_server_config streaming = {.handler = serve_streaming, .stream_requests = true};

  (void)state;
  if (loop_new("test", &fx.loop, &err) || http_server_new(fx.loop, &cfg, &fx.server, &err) ||
      http_server_new(fx.loop, &streaming, &fx.streaming, &err) || http_client_new(NULL, &fx.client, &err)) {
    print_error("%s\n", err.msg);
    return -1;
  }
  (void)snprintf(fx.url, sizeof(fx.url), "http://127.0.0.1:%u", http_server_port(fx.server));
  (void)snprintf(fx.streaming_url, sizeof(fx.streaming_url), "http://127.0.0.1:%u", http_server_port(fx.streaming));
  return 0;
}

static void free_taken(void *arg) {
  (void)arg;
  if (fx.taken)
    bufferevent_free(fx.taken);
}

static int tear_down(void **state) {
  (void)state;
  http_client_free(fx.client);
  http_server_free(fx.server);
  http_server_free(fx.streaming);
  loop_call(fx.loop, free_taken, NULL);
  loop_free(fx.loop);
  return 0;
}

static void expect_answer(const char *base, const char *method, const char *path, const char *body, size_t len,
                          int status, const char *text) {
  struct ome_err err = ERR_INIT;
  _cleanup_http_response_ struct http_response r;
  _cleanup_free_ char *url = str_printf("%s%s", base, path);
  const char *headers[] = {"X-Test: hello", NULL};
  struct http_request req = {
      .method = method, .url = url, .headers = headers, .body = body, .body_len = len, .max_redirects = 3};

  if (http_do(fx.client, &req, NULL, NULL, &r, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_int_equal(r.status, status);
  if (text)
    assert_string_equal(buf_str(&r.body), text);
}

static void requests_are_answered(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++) {
    expect_answer(fx.url, "POST", "/echo", "some text", 9, 200, "some text");
    expect_answer(fx.url, "GET", "/query?a=1&q=b%20c+d&z", NULL, 0, 200, "b c d");
    expect_answer(fx.url, "GET", "/query?q", NULL, 0, 200, "");
    expect_answer(fx.url, "GET", "/query", NULL, 0, 200, "none");
    expect_answer(fx.url, "GET", "/header", NULL, 0, 200, "hello");
    expect_answer(fx.url, "HEAD", "/header", NULL, 0, 200, "");
    expect_answer(fx.url, "GET", "/redirect", NULL, 0, 200, "there");
    expect_answer(fx.url, "GET", "/missing", NULL, 0, 404, "no");
  }
}

static void large_bodies_go_through_or_are_refused(void **state) {
  size_t len = 1 << 20;
  _cleanup_free_ char *big = malloc(2 * len);
  char text[32];

  (void)state;
  memset(big, 'x', 2 * len);
  big[len - 1] = '\0';
  big[len - 1] = 'y';
  (void)snprintf(text, sizeof(text), "%zu", 2 * len);
  expect_answer(fx.url, "POST", "/echo", big, len, 200, NULL);
  expect_answer(fx.url, "POST", "/echo", big, 2 * len, 413, NULL);
  expect_answer(fx.streaming_url, "POST", "/count", big, 2 * len, 200, text);
  expect_answer(fx.streaming_url, "GET", "/count", NULL, 0, 200, "0");
}

static void pieces_arrive_as_they_are_written(void **state) {
  struct ome_err err = ERR_INIT;
  _cleanup_http_response_ struct http_response r;
  _cleanup_free_ char *url = str_printf("%s/chunks", fx.url);
  struct http_request req = {.url = url};

  (void)state;
  assert_int_equal(http_do(fx.client, &req, NULL, NULL, &r, &err), OME_OK);
  assert_int_equal(r.body.len, 10000);
}

static bool always(void *arg) {
  (void)arg;
  return true;
}

static void a_cancelled_request_ends_on_both_sides(void **state) {
  struct ome_err err = ERR_INIT;
  struct http_response r;
  _cleanup_free_ char *url = str_printf("%s/hang", fx.url);
  struct http_request req = {.url = url};

  (void)state;
  assert_int_equal(http_do(fx.client, &req, always, NULL, &r, &err), OME_E_CANCELLED);
  req.timeout_ms = 50;
  assert_int_equal(http_do(fx.client, &req, NULL, NULL, &r, &err), OME_E_DEADLINE);
  while (atomic_load(&fx.closed) < 2)
    (void)sched_yield();
}

/* A fetch that asks when its bytes came. */
struct dated {
  struct http_client *client;
  uint64_t came_ns, told_ns;
  atomic_bool over;
};

static bool note_arrival(void *arg, const void *data, size_t len) {
  struct dated *d = arg;

  (void)data, (void)len;
  d->came_ns = http_client_arrival_ns(d->client);
  d->told_ns = mono_ns();
  return true;
}

static void note_end(void *arg, int32_t rc, const struct ome_err *err) {
  struct dated *d = arg;

  (void)rc, (void)err;
  atomic_store(&d->over, true);
}

static const struct http_fetch_ops dated_ops = {.on_body = note_arrival, .on_done = note_end};

static void fetch_dated(struct dated *d) {
  _cleanup_free_ char *url = str_printf("%s/query?q=now", fx.url);
  struct http_request req = {.url = url};

  atomic_store(&d->over, false);
  assert_non_null(http_fetch_start(d->client, &req, &dated_ops, d));
  while (!atomic_load(&d->over))
    (void)sched_yield();
}

static void bytes_have_the_time_when_the_kernel_got_them(void **state) {
  struct ome_err err = ERR_INIT;
  const struct http_client_config asks = {.arrival_times = true};
  struct dated d = {.client = fx.client};
  uint64_t before = mono_ns();

  (void)state;
  fetch_dated(&d);
  assert_int_equal(d.came_ns, 0); /* nobody asked */
  assert_int_equal(http_client_new(&asks, &d.client, &err), OME_OK);
  while (d.came_ns == 0) /* the kernel begins to stamp packets soon after the first socket that wants it */
    fetch_dated(&d);
  http_client_free(d.client);
  assert_true(before < d.came_ns && d.came_ns < d.told_ns);
}

/* A caller that looks at what it gets before it takes more. */
struct slow {
  size_t heads, bytes, longest;
  size_t most; /* bytes that it takes; then it fails */
};

static int32_t slow_head(void *arg, int status, const char *headers, struct ome_err *err) {
  (void)headers;
  ((struct slow *)arg)->heads++;
  return status == 200 ? OME_OK : fail(err, OME_E_CONFLICT, "no such head");
}

static int32_t slow_body(void *arg, const void *data, size_t len, struct ome_err *err) {
  struct slow *s = arg;
  struct http_response r;
  struct ome_err ignored = ERR_INIT;
  char url[80];

  assert_non_null(data);
  s->bytes += len;
  s->longest = len > s->longest ? len : s->longest;
  (void)snprintf(url, sizeof(url), "%s/query", fx.url); /* the client's thread has a turn meanwhile */
  const struct http_request req = {.url = url};
  assert_int_equal(http_do(fx.client, &req, NULL, NULL, &r, &ignored), OME_OK);
  http_response_fini(&r);
  return s->bytes < s->most ? OME_OK : fail(err, OME_E_NO_SPACE, "full");
}

static int32_t stream_to(struct slow *s, const char *path, size_t max_body, struct ome_err *err) {
  static const struct http_stream_ops ops = {.head = slow_head, .body = slow_body};
  char url[80];

  (void)snprintf(url, sizeof(url), "%s%s", fx.url, path);
  const struct http_request req = {.url = url, .max_body = max_body};
  return http_stream(fx.client, &req, NULL, NULL, &ops, s, err);
}

static void an_answer_waits_for_who_takes_it(void **state) {
  struct slow s = {.most = SIZE_MAX};
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_int_equal(stream_to(&s, "/long", 0, &err), OME_OK);
  assert_int_equal(s.heads, 1);
  assert_int_equal(s.bytes, LONG_BYTES);
  assert_true(s.longest <= (size_t)512 << 10); /* what waits is bounded */
  s = (struct slow){.most = 1};
  assert_int_equal(stream_to(&s, "/long", 0, &err), OME_E_NO_SPACE);
  assert_string_equal(err.msg, "full");
  s = (struct slow){.most = SIZE_MAX};
  assert_int_equal(stream_to(&s, "/absent", 0, &err), OME_E_CONFLICT);
  assert_int_equal(s.bytes, 0);
  assert_int_equal(stream_to(&s, "/long?secret", 1000, &err), OME_E_INVALID);
  assert_non_null(strstr(err.msg, "1000 bytes"));
  assert_null(strstr(err.msg, "secret"));
}

static void a_dead_server_is_named(void **state) {
  struct ome_err err = ERR_INIT;
  struct http_response r;
  struct http_request req = {.url = "http://127.0.0.1:1/x"};

  (void)state;
  assert_int_equal(http_do(fx.client, &req, NULL, NULL, &r, &err), OME_E_UNAVAILABLE);
  assert_non_null(strstr(err.msg, "127.0.0.1"));
}

/* A server for one connection: reads a little, sends TEXT and hangs up. */
struct short_server {
  pthread_t thread;
  int fd;
  const char *text;
};

static void *serve_short(void *arg) {
  const struct short_server *s = arg;
  int fd = accept(s->fd, NULL, NULL);
  char request[4096];

  if (fd >= 0 && read(fd, request, sizeof(request)) > 0)
    (void)send(fd, s->text, strlen(s->text), MSG_NOSIGNAL);
  (void)close(fd);
  return NULL;
}

/* An answer whose head is cut says nothing, whatever its first line was; one without a length ends where it ends. */
static void a_cut_head_is_no_answer(void **state) {
  static const struct {
    const char *text;
    int32_t rc;
  } cases[] = {
      {"", OME_E_UNAVAILABLE},
      {"HTTP/1.1 2", OME_E_UNAVAILABLE},
      {"HTTP/1.1 200 OK\r\n", OME_E_UNAVAILABLE},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", OME_E_UNAVAILABLE},
      {"HTTP/1.1 200 OK\r\nContent-Le", OME_E_UNAVAILABLE},
      {"HTTP/1.1 100 Continue\r\n\r\n", OME_E_UNAVAILABLE},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n", OME_E_UNAVAILABLE},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", OME_E_UNAVAILABLE},
      {"HTTP/1.1 200 OK\r\n\r\nall of it", OME_OK},
      {"HTTP/1.1 200 OK\r\n\r\n", OME_OK},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(sa);
    struct short_server s = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .text = cases[i].text};
    assert_int_equal(bind(s.fd, (struct sockaddr *)&sa, len), 0);
    assert_int_equal(listen(s.fd, 1), 0);
    assert_int_equal(getsockname(s.fd, (struct sockaddr *)&sa, &len), 0);
    assert_int_equal(pthread_create(&s.thread, NULL, serve_short, &s), 0);
    _cleanup_free_ char *url = str_printf("http://127.0.0.1:%u/x", ntohs(sa.sin_port));
    _cleanup_http_response_ struct http_response r = {0};
    const struct http_request req = {.url = url};
    struct ome_err err = ERR_INIT;
    int32_t rc = http_do(fx.client, &req, NULL, NULL, &r, &err);
    (void)pthread_join(s.thread, NULL);
    (void)close(s.fd);
    if (rc != cases[i].rc)
      fail_msg("case %zu: %d, %s", i, rc, err.msg);
  }
}

/* Sends TEXT as it is to PORT and reads until the server closes. */
static char *talk(uint16_t port, const char *text, size_t len, bool close_write) {
  struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct buf answer = BUF_INIT;
  char chunk[4096];
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
  while (len) {
    ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
    if (n <= 0)
      break;
    text += n;
    len -= (size_t)n;
  }
  if (close_write)
    (void)shutdown(fd, SHUT_WR);
  for (ssize_t n; (n = read(fd, chunk, sizeof(chunk))) > 0;)
    buf_add(&answer, chunk, (size_t)n);
  (void)close(fd);
  return buf_take(&answer);
}

static void bad_requests_are_refused(void **state) {
  static const struct {
    const char *request;
    const char *answer;
  } cases[] = {
      {"nonsense\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "HTTP/1.1 400"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", "HTTP/1.1 400"},
      {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413"},
      {"GET /missing HTTP/1.0\r\n\r\n", "HTTP/1.1 404"},
      {"GET /missing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    _cleanup_free_ char *answer = talk(http_server_port(fx.server), cases[i].request, strlen(cases[i].request), false);
    if (!has_prefix(answer, cases[i].answer))
      fail_msg("case %zu: %s", i, answer);
  }
}

static void long_heads_are_refused(void **state) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  (void)state;
  buf_adds(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 100; i++)
    buf_addf(&b, "X-%d: %01000d\r\n", i, 0);
  buf_adds(&b, "\r\n");
  _cleanup_free_ char *answer = talk(http_server_port(fx.server), buf_str(&b), b.len, false);
  assert_true(has_prefix(answer, "HTTP/1.1 431"));
}

/* The server refuses on the head alone; whoever first sends all of the body reads the refusal all the same. */
static void a_refusal_reaches_who_sends_on(void **state) {
  static const char head[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20971520\r\n\r\n";
  size_t len = sizeof(head) - 1 + 20971520;
  _cleanup_free_ char *text = calloc(1, len);

  (void)state;
  assert_non_null(text);
  memcpy(text, head, sizeof(head) - 1);
  _cleanup_free_ char *answer = talk(http_server_port(fx.server), text, len, false);
  assert_true(has_prefix(answer, "HTTP/1.1 413"));
}

static void pipelined_requests_are_answered_in_order(void **state) {
  static const char two[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\none"
                            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
                            "GET /query?q=three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

  (void)state;
  _cleanup_free_ char *answer = talk(http_server_port(fx.server), two, sizeof(two) - 1, false);
  const char *one = strstr(answer, "one");
  const char *second = one ? strstr(one, "two") : NULL;
  assert_non_null(second);
  assert_non_null(strstr(second, "three"));
}

static void an_unread_body_closes_the_connection(void **state) {
  static const char text[] = "POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart";

  (void)state;
  _cleanup_free_ char *answer = talk(http_server_port(fx.streaming), text, sizeof(text) - 1, false);
  assert_true(has_prefix(answer, "HTTP/1.1 403"));
  assert_non_null(strstr(answer, "Connection: close"));
}

static void an_occupied_port_is_named(void **state) {
  struct ome_err err = ERR_INIT;
  struct http_server *s = NULL;
  struct http_server_config cfg = {.handler = serve, .port = http_server_port(fx.server)};
  char port[16];

  (void)state;
  (void)snprintf(port, sizeof(port), "%u", cfg.port);
  assert_int_equal(http_server_new(fx.loop, &cfg, &s, &err), OME_E_BUSY);
  assert_non_null(strstr(err.msg, port));
  assert_null(s);
}

static void tls_is_verified_both_ways(void **state) {
  struct ome_err err = ERR_INIT;
  struct tls_pair ca = {0};
  struct tls_pair other = {0};
  struct tls_pair leaf = {0};
  struct ssl_ctx_st *ctx = NULL;
  struct http_server *s = NULL;
  struct http_response r;
  int64_t seconds = 0;
  const char *names[] = {"127.0.0.1", "localhost", NULL};

  (void)state;
  assert_int_equal(tls_make_ca("test", 10, &ca, &err), OME_OK);
  assert_int_equal(tls_make_ca("other", 10, &other, &err), OME_OK);
  assert_int_equal(tls_make_leaf(&ca, "server", names, 5, &leaf, &err), OME_OK);
  assert_int_equal(tls_expires_in(leaf.cert_pem, &seconds, &err), OME_OK);
  assert_in_range(seconds, 4 * 86400, 5 * 86400);
  assert_int_equal(tls_server_context(&leaf, ca.cert_pem, &ctx, &err), OME_OK);
  struct http_server_config cfg = {.handler = serve, .tls = ctx};
  assert_int_equal(http_server_new(fx.loop, &cfg, &s, &err), OME_OK);
  _cleanup_free_ char *url = str_printf("https://127.0.0.1:%u/query?q=secret", http_server_port(s));
  struct http_tls good = {.ca_pem = ca.cert_pem, .cert_pem = leaf.cert_pem, .key_pem = leaf.key_pem};
  struct http_tls bad = {.ca_pem = other.cert_pem};
  struct http_request req = {.url = url, .tls = &good};
  if (http_do(fx.client, &req, NULL, NULL, &r, &err) != OME_OK)
    fail_msg("%s", err.msg);
  assert_string_equal(buf_str(&r.body), "secret");
  http_response_fini(&r);
  req.tls = &bad;
  assert_int_equal(http_do(fx.client, &req, NULL, NULL, &r, &err), OME_E_DENIED);
  http_server_free(s);
  tls_context_free(ctx);
  tls_pair_fini(&ca);
  tls_pair_fini(&other);
  tls_pair_fini(&leaf);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests_are_answered),
      cmocka_unit_test(large_bodies_go_through_or_are_refused),
      cmocka_unit_test(pieces_arrive_as_they_are_written),
      cmocka_unit_test(bytes_have_the_time_when_the_kernel_got_them),
      cmocka_unit_test(a_cancelled_request_ends_on_both_sides),
      cmocka_unit_test(an_answer_waits_for_who_takes_it),
      cmocka_unit_test(a_dead_server_is_named),
      cmocka_unit_test(a_cut_head_is_no_answer),
      cmocka_unit_test(bad_requests_are_refused),
      cmocka_unit_test(long_heads_are_refused),
      cmocka_unit_test(a_refusal_reaches_who_sends_on),
      cmocka_unit_test(pipelined_requests_are_answered_in_order),
      cmocka_unit_test(an_unread_body_closes_the_connection),
      cmocka_unit_test(an_occupied_port_is_named),
      cmocka_unit_test(tls_is_verified_both_ways),
  };

  return cmocka_run_group_tests(tests, set_up, tear_down);
}
