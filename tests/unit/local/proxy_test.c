/* Services' listeners: connections reach ready targets in turn, and skip dead ones. */
#include "../unit.h"

#include "docs.h"
#include "local/proxy.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct server { /* says its name, echoes, and ends */
  int listener;
  char address[32];
  char name[8];
  pthread_t thread;
};

static void *serve(void *arg) {
  struct server *s = arg;
  char data[4096];

  for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) {
    (void)send(fd, s->name, strlen(s->name), MSG_NOSIGNAL);
    for (ssize_t n; (n = recv(fd, data, sizeof(data), 0)) > 0;)
      (void)send(fd, data, (size_t)n, MSG_NOSIGNAL);
  }
  return NULL;
}

static void server_start(struct server *s, const char *name) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof(at);

  (void)snprintf(s->name, sizeof(s->name), "%s", name);
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof(at)), 0);
  assert_int_equal(listen(s->listener, 16), 0);
  (void)getsockname(s->listener, (struct sockaddr *)&at, &len);
  (void)snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", ntohs(at.sin_port));
  assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s) {
  (void)shutdown(s->listener, SHUT_RDWR);
  (void)pthread_join(s->thread, NULL);
  (void)close(s->listener);
}

/* A port of ADDRESS that is free. */
static uint16_t free_port(const char *address) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof(at);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  (void)inet_pton(AF_INET, address, &at.sin_addr);
  assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
  (void)getsockname(fd, (struct sockaddr *)&at, &len);
  (void)close(fd);
  return ntohs(at.sin_port);
}

/* Connects, sends TEXT and the end, reads all; the answer's length, -1: refused or reset. */
static ssize_t talk(const char *address, uint16_t port, const char *text, char *answer, size_t size) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct timeval limit = {10, 0};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ssize_t total = -1, n = -1;

  (void)inet_pton(AF_INET, address, &to.sin_addr);
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    for (total = 0; (n = recv(fd, answer + total, size - 1 - (size_t)total, 0)) > 0; total += n)
      continue;
    answer[total] = '\0';
  }
  (void)close(fd);
  return n < 0 || total == 0 ? -1 : total; /* a reset that hit the send leaves an end of file for us */
}

static void connections_go_to_targets_in_turn(void **state) {
  static const char address[] = "127.129.3.7";
  struct server a, b;
  struct proxies *p;
  struct ome_err err = ERR_INIT;
  char answer[256];
  int from_a = 0, from_b = 0;
  uint16_t port = free_port(address);
  (void)state;

  server_start(&a, "A:");
  server_start(&b, "B:");
  assert_int_equal(proxies_new(&p, &err), OME_OK);
  _cleanup_free_ char *text = str_printf("['%s','127.0.0.1:1','%s']", a.address, b.address);
  _cleanup_json_ struct json_object *targets = doc(text), *none = doc("[]");
  struct proxy_port ports[] = {{port, targets}};
  assert_int_equal(proxies_set(p, "ns/s", address, ports, 1, &err), OME_OK);
  for (int i = 0; i < 9; i++) {
    assert_int_equal(talk(address, port, "hello", answer, sizeof(answer)), 7);
    assert_string_equal(answer + 2, "hello");
    from_a += answer[0] == 'A';
    from_b += answer[0] == 'B';
  }
  assert_true(from_a >= 3 && from_b >= 3 && from_a + from_b == 9);
  ports[0].targets = none;
  assert_int_equal(proxies_set(p, "ns/s", address, ports, 1, &err), OME_OK);
  assert_int_equal(talk(address, port, "hello", answer, sizeof(answer)), -1);
  assert_int_equal(proxies_set(p, "ns/other", address, ports, 1, &err), OME_E_BUSY);
  assert_non_null(strstr(err.msg, address));
  assert_int_equal(proxies_set(p, "ns/s", address, NULL, 0, &err), OME_OK);
  assert_int_equal(talk(address, port, "hello", answer, sizeof(answer)), -1);
  proxies_free(p);
  server_stop(&a);
  server_stop(&b);
}

static void much_goes_through_both_ways(void **state) {
  static char text[1 << 20], answer[(1 << 20) + 16];
  static const char address[] = "127.129.3.8";
  struct server a;
  struct proxies *p;
  struct ome_err err = ERR_INIT;
  uint16_t port = free_port(address);
  (void)state;

  memset(text, 'x', sizeof(text) - 1);
  server_start(&a, "A:");
  assert_int_equal(proxies_new(&p, &err), OME_OK);
  _cleanup_free_ char *list = str_printf("['%s']", a.address);
  _cleanup_json_ struct json_object *targets = doc(list);
  const struct proxy_port ports[] = {{port, targets}};
  assert_int_equal(proxies_set(p, "ns/s", address, ports, 1, &err), OME_OK);
  assert_int_equal(talk(address, port, text, answer, sizeof(answer)), (ssize_t)sizeof(text) + 1);
  proxies_free(p);
  server_stop(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(connections_go_to_targets_in_turn),
      cmocka_unit_test(much_goes_through_both_ways),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
