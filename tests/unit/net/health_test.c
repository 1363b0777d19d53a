/* Probes and metrics over HTTP: states with causes, and who is affected by which. */
#include "../unit.h"

#include "base/metrics.h"
#include "base/str.h"
#include "net/health.h"
#include "net/http_client.h"

static struct http_client *client;
static struct health *health;

/* The body of PATH, new; it has to be answered with STATUS. */
static char *ask(const char *method, const char *path, int status) {
  _cleanup_http_response_ struct http_response r = {0};
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *url = str_printf("http://127.0.0.1:%u%s", health_port(health), path);
  const struct http_request req = {.method = method, .url = url};

  if (http_do(client, &req, NULL, NULL, &r, &err) != OME_OK)
    fail_msg("%s: %s", url, err.msg);
  assert_int_equal(r.status, status);
  return strdup(buf_str(&r.body));
}

static void expect(const char *path, int status, const char *text) {
  _cleanup_free_ char *body = ask("GET", path, status);

  assert_string_equal(body, text);
}

static void test_probes(void **state) {
  (void)state;
  expect("/healthz", 200, "ok\n");
  expect("/readyz", 200, "ok\n");
  health_report(health, HEALTH_READY, "caches", "pods: not listed yet");
  health_report(health, HEALTH_LIVE, "workers", NULL);
  expect("/readyz", 503, "[-]caches failed: pods: not listed yet\n[+]workers ok\nfailed\n");
  expect("/healthz", 200, "[+]workers ok\nok\n");
  health_report(health, HEALTH_READY, "caches", NULL);
  expect("/readyz", 200, "[+]caches ok\n[+]workers ok\nok\n");
  health_report(health, HEALTH_LIVE, "workers", "stuck");
  expect("/healthz", 503, "[-]workers failed: stuck\nfailed\n");
  expect("/readyz", 503, "[+]caches ok\n[-]workers failed: stuck\nfailed\n");
  health_report(NULL, HEALTH_LIVE, "workers", "nobody asks");
}

static void test_scopes(void **state) {
  (void)state;
  health_report(health, HEALTH_LIVE, "workers", NULL);
  health_report(health, HEALTH_SOUND, "disk", "it is read-only");
  expect("/readyz/disk", 503, "[-]disk failed: it is read-only\nfailed\n");
  expect("/healthz", 503, "[+]workers ok\n[-]disk failed: it is read-only\nfailed\n");
  expect("/healthz/workers", 200, "[+]workers ok\nok\n");
  expect("/livez", 200, "[+]workers ok\nok\n");
  expect("/livez/disk", 404, "there is no check \"disk\"\n");
  expect("/livez/", 200, "[+]workers ok\nok\n");
  free(ask("GET", "/livezz", 404));
}

static void test_metrics(void **state) {
  (void)state;
  _cleanup_free_ char *body = ask("GET", "/metrics", 200);
  const char *memory = strstr(body, "\nprocess_resident_memory_bytes ");
  const char *fds = strstr(body, "\nprocess_open_fds ");

  assert_true(memory && strtod(memory + strlen("\nprocess_resident_memory_bytes "), NULL) > 1e6);
  assert_true(fds && strtod(fds + strlen("\nprocess_open_fds "), NULL) > 3);
  assert_non_null(strstr(body, "# TYPE process_cpu_seconds_total counter\n"));
}

static void test_refused(void **state) {
  (void)state;
  free(ask("POST", "/metrics", 405));
  free(ask("GET", "/", 404));
}

static int start(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  return http_client_new(NULL, &client, &err) == OME_OK && health_serve(NULL, 0, &health, &err) == OME_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  health_free(health);
  http_client_free(client);
  return 0;
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_probes),
      cmocka_unit_test(test_scopes),
      cmocka_unit_test(test_metrics),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
