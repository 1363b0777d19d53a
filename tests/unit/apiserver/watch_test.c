/* What watches with selectors are told of, by way of caches with the same selectors. */
#include "../unit.h"

#include "apiserver/apiserver.h"
#include "base/clock.h"
#include "kube/cache.h"
#include "os/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define DEADLINE_MS 20000u

static struct apiserver *server;
static struct kube_client *client;
static char dir[] = "/tmp/watch-test-XXXXXX";

/* "+a ~a -a " of one watch. */
struct told {
  struct kube_cache *cache;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  char log[256];
};

static void note(void *arg, const struct kube_event *e) {
  static const char signs[] = {[KUBE_ADDED] = '+', [KUBE_MODIFIED] = '~', [KUBE_DELETED] = '-'};
  struct told *t = arg;

  (void)pthread_mutex_lock(&t->lock);
  size_t n = strlen(t->log);
  (void)snprintf(t->log + n, sizeof(t->log) - n, "%c%s ", signs[e->type], json_str(e->object, "metadata.name", "?"));
  (void)pthread_cond_broadcast(&t->changed);
  (void)pthread_mutex_unlock(&t->lock);
}

static void watch(struct told *t, const struct kube_resource *r, const char *labels, const char *fields) {
  const struct kube_cache_opts opts = {.labels = labels, .fields = fields, .on_event = note, .arg = t};
  struct ome_err err = ERR_INIT;

  memset(t, 0, sizeof(*t));
  (void)pthread_mutex_init(&t->lock, NULL);
  (void)pthread_cond_init(&t->changed, NULL);
  assert_int_equal(kube_cache_new(client, r, &opts, &t->cache, &err), OME_OK);
  assert_true(kube_cache_wait(t->cache, DEADLINE_MS));
}

/* Waits until the log is as long as WANT, which it must be then. */
static void expect(struct told *t, const char *want) {
  struct timespec until;

  (void)clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += DEADLINE_MS / 1000;
  (void)pthread_mutex_lock(&t->lock);
  while (strlen(t->log) < strlen(want) && pthread_cond_timedwait(&t->changed, &t->lock, &until) == 0)
    continue;
  assert_string_equal(t->log, want);
  (void)pthread_mutex_unlock(&t->lock);
  kube_cache_free(t->cache);
  (void)pthread_mutex_destroy(&t->lock);
  (void)pthread_cond_destroy(&t->changed);
}

static void apply(const struct kube_resource *r, const char *name, const char *sub, const char *label,
                  const char *phase) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  char api_version[128];
  struct ome_err err = ERR_INIT;

  kube_api_version(r, api_version);
  (void)json_set_str(o, "apiVersion", api_version);
  (void)json_set_str(o, "kind", r->kind);
  (void)json_set_str(o, "metadata.name", name);
  (void)json_set_str(o, "metadata.namespace", "default");
  if (label)
    (void)json_set_str(o, "metadata.labels.app", label);
  if (phase)
    (void)json_set_str(o, "status.phase", phase);
  if (kube_apply(client, r, o, sub, "test", true, NULL, &err) != OME_OK)
    fail_msg("%s", err.msg);
}

static void delete (const struct kube_resource *r, const char *name) {
  struct ome_err err = ERR_INIT;

  if (kube_delete(client, r, "default", name, NULL, KUBE_BACKGROUND, &err) != OME_OK)
    fail_msg("%s", err.msg);
}

/* Objects enter a selection and leave it; who selects by name hears of no other. */
static void selects_by_label_and_name(void **state) {
  static struct told all, app, named, others, both;

  (void)state;
  watch(&all, &KUBE_CONFIGMAPS, NULL, NULL);
  watch(&app, &KUBE_CONFIGMAPS, "app=x", NULL);
  watch(&named, &KUBE_CONFIGMAPS, NULL, "metadata.name=b");
  watch(&others, &KUBE_CONFIGMAPS, NULL, "metadata.namespace=default,metadata.name!=b");
  watch(&both, &KUBE_CONFIGMAPS, "app=x", "metadata.name=b");
  apply(&KUBE_CONFIGMAPS, "a", NULL, "x", NULL);
  apply(&KUBE_CONFIGMAPS, "b", NULL, "y", NULL);
  apply(&KUBE_CONFIGMAPS, "b", NULL, "x", NULL);
  apply(&KUBE_CONFIGMAPS, "a", NULL, NULL, NULL);
  delete (&KUBE_CONFIGMAPS, "b");
  delete (&KUBE_CONFIGMAPS, "a");
  expect(&all, "+a +b ~b ~a -b -a ");
  expect(&app, "+a +b -a -b ");
  expect(&named, "+b ~b -b ");
  expect(&others, "+a ~a -a ");
  expect(&both, "+b -b ");
}

#define POD(name)                                                                                                      \
  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"" name "\",\"namespace\":\"default\"},\"spec\":"   \
  "{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}"

static void create(const char *text) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  assert_int_equal(json_parse(text, strlen(text), 0, &o, &err), OME_OK);
  if (kube_create(client, &KUBE_PODS, o, NULL, &err) != OME_OK)
    fail_msg("%s", err.msg);
}

/* Fields other than names are read from the object. */
static void selects_by_status(void **state) {
  static struct told running, rest;

  (void)state;
  watch(&running, &KUBE_PODS, NULL, "status.phase=Running");
  watch(&rest, &KUBE_PODS, NULL, "status.phase!=Running,metadata.name!=q");
  create(POD("p"));
  create(POD("q"));
  apply(&KUBE_PODS, "p", "status", NULL, "Running");
  apply(&KUBE_PODS, "q", "status", NULL, "Running");
  apply(&KUBE_PODS, "p", "status", NULL, "Failed");
  expect(&running, "+p +q -p ");
  expect(&rest, "+p -p +p ");
}

static int setup(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_non_null(mkdtemp(dir));
  const struct apiserver_config cfg = {.data_dir = dir};
  assert_int_equal(apiserver_start(&cfg, &server, &err), OME_OK);
  assert_int_equal(kube_client_new(apiserver_kubeconfig(server), NULL, &client, &err), OME_OK);
  return 0;
}

static int teardown(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  kube_client_free(client);
  apiserver_stop(server);
  return tree_remove(dir, &err) == OME_OK ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(selects_by_label_and_name),
      cmocka_unit_test(selects_by_status),
  };

  return cmocka_run_group_tests(tests, setup, teardown);
}
