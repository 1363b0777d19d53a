#include "fake.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void sync_init(pthread_mutex_t *lock, pthread_cond_t *changed) {
  pthread_condattr_t attr;

  (void)pthread_mutex_init(lock, NULL);
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  (void)pthread_cond_init(changed, &attr);
  (void)pthread_condattr_destroy(&attr);
}

bool sync_wait(pthread_mutex_t *lock, pthread_cond_t *changed, uint64_t due_ms) {
  struct timespec until = {(time_t)(due_ms / 1000), (long)(due_ms % 1000) * 1000000};

  (void)pthread_cond_timedwait(changed, lock, &until);
  return mono_ms() < due_ms;
}

/* ---- the server, on its loop ----------------------------------------------------------------------------------- */

static void on_close(void *arg, struct http_exchange *x) {
  struct fake *f = arg;

  if (f->stream == x)
    f->stream = NULL;
}

static void note(struct http_exchange *x, const char *name, char *out, size_t size) {
  const char *value = http_header(x, name);

  (void)snprintf(out, size, "%s", value ? value : "");
}

static void handle_watch(struct fake *f, struct http_exchange *x) {
  (void)pthread_mutex_lock(&f->lock);
  int status = f->watch_status ? f->watch_status : 200;
  f->watch_status = 0;
  note(x, "accept", f->accept, sizeof(f->accept));
  (void)snprintf(f->watch_line, sizeof(f->watch_line), "%s %s", http_method(x), http_target(x));
  f->watches++;
  (void)pthread_cond_broadcast(&f->changed);
  (void)pthread_mutex_unlock(&f->lock);
  if (status != 200) {
    http_respond(x, status, "application/json", "{}", 2);
    return;
  }
  f->stream = x;
  http_on_close(x, on_close, f);
  http_respond_start(x, 200, "application/json", -1);
}

static void handle(void *arg, struct http_exchange *x) {
  struct fake *f = arg;
  size_t len;

  if (streq(http_query(x, "watch"), "true")) {
    handle_watch(f, x);
    return;
  }
  const char *body = http_body(x, &len);
  (void)pthread_mutex_lock(&f->lock);
  struct fake_answer a = f->answers[f->answered];
  if (f->answered + 1 < f->nanswers)
    f->answered++;
  (void)snprintf(f->line, sizeof(f->line), "%s %s", http_method(x), http_target(x));
  note(x, "authorization", f->authorization, sizeof(f->authorization));
  note(x, "content-type", f->content_type, sizeof(f->content_type));
  note(x, "accept", f->accept, sizeof(f->accept));
  buf_clear(&f->body);
  buf_add(&f->body, body, len);
  f->requests++;
  (void)pthread_cond_broadcast(&f->changed);
  (void)pthread_mutex_unlock(&f->lock);
  if (a.retry_after)
    http_add_header(x, "Retry-After", a.retry_after);
  http_respond(x, a.status, "application/json", a.body, strlen(a.body));
}

struct push {
  struct fake *fake;
  const char *text;
};

static void push_on_loop(void *arg) {
  const struct push *p = arg;

  if (p->fake->stream)
    http_respond_write(p->fake->stream, p->text, strlen(p->text));
}

void fake_push(struct fake *f, const char *text) {
  struct push p = {f, text};

  loop_call(f->loop, push_on_loop, &p);
}

static void drop_on_loop(void *arg) {
  struct fake *f = arg;
  struct http_exchange *x = TAKE_PTR(f->stream);

  if (x) {
    http_on_close(x, NULL, NULL);
    http_abort(x);
  }
}

void fake_drop(struct fake *f) {
  loop_call(f->loop, drop_on_loop, f);
}

/* ---- the test's side ------------------------------------------------------------------------------------------- */

void fake_script(struct fake *f, const struct fake_answer *answers, size_t n) {
  (void)pthread_mutex_lock(&f->lock);
  assert_in_range(n, 1, ARRAY_LEN(f->answers));
  memcpy(f->answers, answers, n * sizeof(*answers));
  f->nanswers = n;
  f->answered = 0;
  (void)pthread_mutex_unlock(&f->lock);
}

void fake_file(struct fake *f, const char *name, const char *text) {
  _cleanup_free_ char *path = str_printf("%s/%s", f->folder, name);
  FILE *file = fopen(path, "w");

  assert_non_null(file);
  assert_true(fputs(text, file) >= 0);
  assert_int_equal(fclose(file), 0);
}

void fake_start(struct fake *f) {
  const struct http_server_config cfg = {.handler = handle, .arg = f};
  struct ome_err err = ERR_INIT;

  memset(f, 0, sizeof(*f));
  sync_init(&f->lock, &f->changed);
  fake_script(f, &(struct fake_answer){200, "{}", NULL}, 1);
  (void)snprintf(f->folder, sizeof(f->folder), "/tmp/kube-test-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  (void)snprintf(f->kubeconfig, sizeof(f->kubeconfig), "%s/config", f->folder);
  assert_int_equal(loop_new("fake", &f->loop, &err), OME_OK);
  assert_int_equal(http_server_new(f->loop, &cfg, &f->server, &err), OME_OK);
}

void fake_stop(struct fake *f) {
  _cleanup_free_ char *command = str_printf("rm -r '%s'", f->folder);

  http_server_free(f->server);
  loop_free(f->loop);
  buf_fini(&f->body);
  (void)pthread_mutex_destroy(&f->lock);
  (void)pthread_cond_destroy(&f->changed);
  assert_int_equal(system(command), 0);
}

int fake_setup(void **state) {
  static struct fake fake;

  fake_start(&fake);
  *state = &fake;
  return 0;
}

int fake_teardown(void **state) {
  fake_stop(*state);
  return 0;
}

struct kube_client *fake_client(struct fake *f, const char *user) {
  _cleanup_free_ char *text = str_printf("apiVersion: v1\nkind: Config\ncurrent-context: c\n"
                                         "clusters:\n- name: k\n  cluster: {server: 'http://127.0.0.1:%u'}\n"
                                         "contexts:\n- name: c\n  context: {cluster: k, user: u, namespace: space}\n"
                                         "users:\n- name: u\n  user: %s\n",
                                         http_server_port(f->server), user);
  struct kube_client *c = NULL;
  struct ome_err err = ERR_INIT;

  fake_file(f, "config", text);
  if (kube_client_new(f->kubeconfig, NULL, &c, &err) != OME_OK)
    fail_msg("%s", err.msg);
  return c;
}
