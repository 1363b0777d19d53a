/* The gateway between real sockets: a scripted backend behind it, raw clients before it. */
#include "../unit.h"

#include "base/clock.h"
#include "base/str.h"
#include "gateway/gateway.h"
#include "net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 20000
#define STREAMS 1000

/* ---- a backend on the project's own server ----------------------------------------------------------------------- */

struct backend_server {
  struct loop *loop;
  struct http_server *server;
  struct http_exchange *held[STREAMS + 8]; /* /hold waits for release() */
  atomic_size_t nheld;
  atomic_size_t received; /* body bytes of /sink */
  char address[64];
};

static void echo_head(struct http_exchange *x) {
  char text[8192];
  size_t n = 0;

  n += (size_t)snprintf(text, sizeof(text), "%s %s\n", http_method(x), http_target(x));
  for (size_t i = 0; i < http_header_count(x) && n < sizeof(text) - 512; i++)
    n +=
        (size_t)snprintf(text + n, sizeof(text) - n, "%s: %s\n", http_header_at(x, i).name, http_header_at(x, i).value);
  http_add_header(x, "X-Backend", "yes");
  http_add_header(x, "Keep-Alive", "timeout=5");
  http_respond(x, 200, "text/plain", text, n);
}

static void sink_data(void *arg, struct http_exchange *x, const void *data, size_t len) {
  struct backend_server *b = arg;
  char text[64];
  (void)data;

  atomic_fetch_add(&b->received, len);
  if (len)
    return;
  int n = snprintf(text, sizeof(text), "%zu", atomic_load(&b->received));
  http_respond(x, 200, "text/plain", text, (size_t)n);
}

static void flood_more(void *arg, struct http_exchange *x) {
  static char block[65536];
  size_t *left = http_user(x);
  (void)arg;

  while (*left && http_pending(x) < 262144) {
    http_respond_write(x, block, sizeof(block));
    *left -= sizeof(block);
  }
  if (!*left) {
    free(left);
    http_on_drain(x, NULL, NULL);
    http_respond_end(x);
  }
}

static void backend_handle(void *arg, struct http_exchange *x) {
  struct backend_server *b = arg;
  const char *path = http_path(x);

  if (streq(path, "/hold")) {
    http_respond_start(x, 200, "text/event-stream", -1);
    http_respond_write(x, "data: one\n\n", 11);
    b->held[atomic_load(&b->nheld)] = x;
    atomic_fetch_add(&b->nheld, 1);
  } else if (streq(path, "/sink")) {
    atomic_store(&b->received, 0);
    http_read_body(x, sink_data, b);
  } else if (streq(path, "/flood")) {
    size_t *left = malloc(sizeof(*left));
    *left = 64 * 65536;
    http_set_user(x, left);
    http_respond_start(x, 200, "application/octet-stream", 64 * 65536);
    http_on_drain(x, flood_more, NULL);
    flood_more(NULL, x);
  } else if (streq(path, "/cut")) {
    http_respond_start(x, 200, "text/plain", 100);
    http_respond_write(x, "half", 4);
    b->held[atomic_load(&b->nheld)] = x;
    atomic_fetch_add(&b->nheld, 1);
  } else
    echo_head(x);
}

static void do_release(void *arg) {
  struct backend_server *b = arg;

  for (size_t i = 0; i < atomic_load(&b->nheld); i++) {
    http_respond_write(b->held[i], "data: two\n\n", 11);
    http_respond_end(b->held[i]);
  }
  atomic_store(&b->nheld, 0);
}

static void do_abort(void *arg) {
  struct backend_server *b = arg;

  for (size_t i = 0; i < atomic_load(&b->nheld); i++)
    http_abort(b->held[i]);
  atomic_store(&b->nheld, 0);
}

static void backend_start(struct backend_server *b) {
  struct ome_err err = ERR_INIT;
  const struct http_server_config cfg = {
      .stream_requests = true, .handler = backend_handle, .arg = b, .max_connections = STREAMS + 100};

  assert_int_equal(loop_new("backend", &b->loop, &err), OME_OK);
  assert_int_equal(http_server_new(b->loop, &cfg, &b->server, &err), OME_OK);
  (void)snprintf(b->address, sizeof(b->address), "127.0.0.1:%u", http_server_port(b->server));
}

static void backend_stop(struct backend_server *b) {
  http_server_free(b->server);
  loop_free(b->loop);
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static int client(uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  struct timeval limit = {DEADLINE_MS / 1000, 0};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_true(fd >= 0);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
  return fd;
}

static void send_text(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until TEXT holds NEEDLE (NULL: the end of the connection). */
static void read_until(int fd, char *text, size_t size, const char *needle) {
  size_t n = strlen(text);

  while (!needle || !strstr(text, needle)) {
    ssize_t got = recv(fd, text + n, size - 1 - n, 0);
    if (got <= 0 && !needle)
      return;
    if (got <= 0)
      fail_msg("no \"%s\" in: %s", needle, text);
    n += (size_t)got;
    text[n] = '\0';
    assert_true(n < size - 1);
  }
}

/* One request on a connection of its own. */
static void ask(uint16_t port, const char *request, char *answer, size_t size) {
  int fd = client(port);

  answer[0] = '\0';
  send_text(fd, request);
  read_until(fd, answer, size, NULL);
  (void)close(fd);
}

struct fixture {
  struct backend_server backend;
  struct gateway *gateway;
  uint16_t port;
};

static void set_route(struct fixture *f, const char *backend, const char *why) {
  const struct gateway_route route = {"default", "m", backend, why, NULL};
  struct ome_err err = ERR_INIT;

  assert_int_equal(gateway_set_routes(f->gateway, &route, 1, &err), OME_OK);
}

static int setup(void **state) {
  struct fixture *f = calloc(1, sizeof(*f));
  struct ome_err err = ERR_INIT;

  backend_start(&f->backend);
  assert_int_equal(gateway_start(&(struct gateway_config){0}, &f->gateway, &err), OME_OK);
  f->port = gateway_port(f->gateway);
  set_route(f, f->backend.address, NULL);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;

  gateway_stop(f->gateway);
  backend_stop(&f->backend);
  free(f);
  return 0;
}

/* ---- what it does ------------------------------------------------------------------------------------------------ */

static void forwards_by_host_and_by_path(void **state) {
  struct fixture *f = *state;
  char a[8192];

  ask(f->port,
      "GET /v1/models?x=1 HTTP/1.1\r\nHost: m.default.localhost\r\nX-Mine: 1\r\nConnection: close, x-hop\r\n"
      "X-Hop: secret\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n",
      a, sizeof(a));
  assert_non_null(strstr(a, "HTTP/1.1 200 OK"));
  assert_non_null(strstr(a, "GET /v1/models?x=1\n"));
  assert_non_null(strstr(a, "X-Mine: 1"));
  assert_non_null(strstr(a, "X-Backend: yes"));
  assert_non_null(strstr(a, "X-Forwarded-For: 10.0.0.1, 127.0.0.1\n"));
  assert_non_null(strstr(a, "X-Forwarded-Host: m.default.localhost\n"));
  assert_null(strstr(a, "secret"));
  assert_null(strstr(a, "Keep-Alive:"));
  ask(f->port, "GET /default/m/v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", a, sizeof(a));
  assert_non_null(strstr(a, "GET /v1/models\n"));
  assert_non_null(strstr(a, "X-Forwarded-Prefix: /default/m\n"));
  ask(f->port, "GET /default/m HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", a, sizeof(a));
  assert_non_null(strstr(a, "GET /\n"));
  ask(f->port, "HEAD /default/m/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", a, sizeof(a));
  assert_non_null(strstr(a, "HTTP/1.1 200 OK"));
}

static void streams_as_it_comes(void **state) {
  struct fixture *f = *state;
  char a[4096] = "";
  int fd = client(f->port);

  send_text(fd, "GET /hold HTTP/1.1\r\nHost: m.default.localhost\r\nConnection: close\r\n\r\n");
  read_until(fd, a, sizeof(a), "data: one");
  assert_non_null(strstr(a, "text/event-stream"));
  assert_null(strstr(a, "data: two"));
  loop_call(f->backend.loop, do_release, &f->backend);
  read_until(fd, a, sizeof(a), "data: two");
  read_until(fd, a, sizeof(a), NULL);
  assert_non_null(strstr(a, "\r\n0\r\n\r\n"));
  (void)close(fd);
}

static void big_bodies_go_through(void **state) {
  struct fixture *f = *state;
  static char block[65536];
  char a[4096] = "";
  int fd = client(f->port);

  send_text(fd,
            "POST /sink HTTP/1.1\r\nHost: m.default.localhost\r\nContent-Length: 4194304\r\nConnection: close\r\n\r\n");
  for (int i = 0; i < 64; i++)
    for (size_t done = 0; done < sizeof(block);) {
      ssize_t n = send(fd, block + done, sizeof(block) - done, MSG_NOSIGNAL);
      assert_true(n > 0);
      done += (size_t)n;
    }
  read_until(fd, a, sizeof(a), "4194304");
  (void)close(fd);
  a[0] = '\0';
  ask(f->port,
      "POST /sink HTTP/1.1\r\nHost: m.default.localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
      "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
      a, sizeof(a));
  assert_non_null(strstr(a, "\r\n\r\n11"));
  fd = client(f->port);
  send_text(fd, "GET /flood HTTP/1.1\r\nHost: m.default.localhost\r\nConnection: close\r\n\r\n");
  size_t total = 0;
  for (ssize_t n; (n = recv(fd, block, sizeof(block), 0)) > 0;)
    total += (size_t)n;
  assert_true(total > 4194304 && total < 4194304 + 1000);
  (void)close(fd);
}

static void says_why_it_cannot(void **state) {
  struct fixture *f = *state;
  char a[4096];

  ask(f->port, "GET / HTTP/1.1\r\nHost: other.default.localhost\r\nConnection: close\r\n\r\n", a, sizeof(a));
  assert_non_null(strstr(a, "404 Not Found"));
  assert_non_null(strstr(a, "no service other in namespace default; known services: m.default"));
  set_route(f, NULL, "its model is being downloaded");
  ask(f->port, "POST /v1/x HTTP/1.1\r\nHost: m.default.localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
      a, sizeof(a));
  assert_non_null(strstr(a, "503 Service Unavailable"));
  assert_non_null(strstr(a, "Retry-After: 2"));
  assert_non_null(strstr(a, "\"code\":\"service_not_ready\""));
  assert_non_null(strstr(a, "not ready: its model is being downloaded"));
  set_route(f, "127.0.0.1:1", NULL);
  ask(f->port, "POST / HTTP/1.1\r\nHost: m.default.localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", a,
      sizeof(a));
  assert_non_null(strstr(a, "502 Bad Gateway"));
  assert_non_null(strstr(a, "Connection refused"));
}

static void a_dead_backend_is_stepped_over(void **state) {
  struct fixture *f = *state;
  char both[160], a[4096];

  (void)snprintf(both, sizeof(both), "127.0.0.1:1,%s", f->backend.address);
  set_route(f, both, NULL);
  for (int i = 0; i < 6; i++) {
    ask(f->port,
        "POST /sink HTTP/1.1\r\nHost: m.default.localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", a,
        sizeof(a));
    assert_non_null(strstr(a, "200 OK"));
    assert_non_null(strstr(a, "\r\n\r\n3"));
  }
}

static void a_cut_answer_stays_cut(void **state) {
  struct fixture *f = *state;
  char a[4096] = "";
  int fd = client(f->port);

  send_text(fd, "GET /cut HTTP/1.1\r\nHost: m.default.localhost\r\n\r\n");
  read_until(fd, a, sizeof(a), "half");
  loop_call(f->backend.loop, do_abort, &f->backend);
  read_until(fd, a, sizeof(a), NULL); /* the connection ends: 96 bytes short */
  assert_string_equal(strstr(a, "\r\n\r\n"), "\r\n\r\nhalf");
  (void)close(fd);
}

static void connections_are_kept_on_both_sides(void **state) {
  struct fixture *f = *state;
  int fd = client(f->port);

  for (int i = 0; i < 200; i++) {
    char a[4096] = "";
    send_text(fd, "GET /again HTTP/1.1\r\nHost: m.default.localhost\r\n\r\n");
    read_until(fd, a, sizeof(a), "X-Forwarded-Host: m.default.localhost\n");
  }
  (void)close(fd);
}

/* ---- upgrades: the backend is a plain socket here ---------------------------------------------------------------- */

static char not_asked[] = "no upgrade asked for";

static void *upgrade_backend(void *arg) {
  int listener = *(int *)arg, fd = accept(listener, NULL, NULL);
  char text[4096] = "", byte[256];

  read_until(fd, text, sizeof(text), "\r\n\r\n");
  if (!strstr(text, "Upgrade: websocket") || !strstr(text, "Connection: Upgrade"))
    return not_asked;
  send_text(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello");
  for (ssize_t n; (n = recv(fd, byte, sizeof(byte), 0)) > 0;) /* echo */
    (void)send(fd, byte, (size_t)n, MSG_NOSIGNAL);
  (void)close(fd);
  return NULL;
}

static void upgrades_pass_through(void **state) {
  struct fixture *f = *state;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof(at);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  char address[64], a[4096] = "";
  pthread_t thread;
  void *complaint;

  assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
  assert_int_equal(listen(listener, 1), 0);
  (void)getsockname(listener, (struct sockaddr *)&at, &len);
  (void)snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));
  set_route(f, address, NULL);
  assert_int_equal(pthread_create(&thread, NULL, upgrade_backend, &listener), 0);
  int fd = client(f->port);
  send_text(fd, "GET /ws HTTP/1.1\r\nHost: m.default.localhost\r\nConnection: keep-alive, Upgrade\r\n"
                "Upgrade: websocket\r\n\r\n");
  read_until(fd, a, sizeof(a), "hello");
  assert_non_null(strstr(a, "101 Switching Protocols"));
  send_text(fd, "ping ping");
  read_until(fd, a, sizeof(a), "ping ping");
  (void)shutdown(fd, SHUT_WR);
  read_until(fd, a, sizeof(a), NULL); /* the end goes there and comes back */
  assert_int_equal(pthread_join(thread, &complaint), 0);
  assert_null(complaint);
  (void)close(fd);
  (void)close(listener);
}

static void a_thousand_streams_at_once(void **state) {
  struct fixture *f = *state;
  static int fds[STREAMS];
  uint64_t began = mono_ms();

  for (int i = 0; i < STREAMS; i++) {
    fds[i] = client(f->port);
    send_text(fds[i], "GET /hold HTTP/1.1\r\nHost: m.default.localhost\r\nConnection: close\r\n\r\n");
  }
  for (int i = 0; i < STREAMS; i++) {
    char a[1024] = "";
    read_until(fds[i], a, sizeof(a), "data: one");
  }
  loop_call(f->backend.loop, do_release, &f->backend);
  for (int i = 0; i < STREAMS; i++) {
    char a[1024] = "";
    read_until(fds[i], a, sizeof(a), "data: two");
    (void)close(fds[i]);
  }
  print_message("%d streams in %u ms\n", STREAMS, (unsigned)(mono_ms() - began));
}

static void clients_may_leave(void **state) {
  struct fixture *f = *state;
  char a[4096] = "";

  for (int i = 0; i < 20; i++) {
    int fd = client(f->port);
    send_text(fd, "GET /hold HTTP/1.1\r\nHost: m.default.localhost\r\n\r\n");
    if (i % 2) {
      a[0] = '\0';
      read_until(fd, a, sizeof(a), "data: one");
    }
    (void)close(fd);
  }
  ask(f->port, "GET /ok HTTP/1.1\r\nHost: m.default.localhost\r\nConnection: close\r\n\r\n", a,
      (a[0] = '\0', sizeof(a)));
  assert_non_null(strstr(a, "200 OK"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(forwards_by_host_and_by_path, setup, teardown),
      cmocka_unit_test_setup_teardown(streams_as_it_comes, setup, teardown),
      cmocka_unit_test_setup_teardown(big_bodies_go_through, setup, teardown),
      cmocka_unit_test_setup_teardown(says_why_it_cannot, setup, teardown),
      cmocka_unit_test_setup_teardown(a_dead_backend_is_stepped_over, setup, teardown),
      cmocka_unit_test_setup_teardown(a_cut_answer_stays_cut, setup, teardown),
      cmocka_unit_test_setup_teardown(connections_are_kept_on_both_sides, setup, teardown),
      cmocka_unit_test_setup_teardown(upgrades_pass_through, setup, teardown),
      cmocka_unit_test_setup_teardown(a_thousand_streams_at_once, setup, teardown),
      cmocka_unit_test_setup_teardown(clients_may_leave, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
