/* One leader at a time, against the embedded API server. */
#include "../unit.h"

#include "apiserver/apiserver.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/yaml.h"
#include "kube/lease.h"
#include "os/file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEADLINE_MS 10000u

static char dir[64] = "/tmp/ome-lease-XXXXXX";
static struct apiserver *server;

static void ok(int32_t rc, const struct ome_err *err) {
  if (rc != OME_OK)
    fail_msg("%s", err->msg);
}

static int setup(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  assert_non_null(mkdtemp(dir));
  struct apiserver_config cfg = {.data_dir = dir};
  ok(apiserver_start(&cfg, &server, &err), &err);
  return 0;
}

static int teardown(void **state) {
  struct ome_err err = ERR_INIT;

  (void)state;
  apiserver_stop(server);
  (void)tree_remove(dir, &err);
  return 0;
}

struct candidate {
  const char *name;
  struct kube_client *client;
  struct kube_lease *lease;
  pthread_t thread;
  atomic_bool leads, lost, give_up;
};

static void on_lost(void *arg) {
  struct candidate *c = arg;

  atomic_store(&c->lost, true);
}

static bool wait_a_little(void *arg, uint32_t ms) {
  struct candidate *c = arg;
  struct timespec pause = {0, (long)ms * 1000000};

  (void)nanosleep(&pause, NULL);
  return atomic_load(&c->give_up);
}

static void *campaign(void *arg) {
  struct candidate *c = arg;
  struct ome_err err = ERR_INIT;
  struct kube_lease_config cfg = {.client = c->client,
                                  .ns = "default",
                                  .name = "leader",
                                  .identity = c->name,
                                  .duration_ms = 1000,
                                  .renew_deadline_ms = 600,
                                  .retry_ms = 50,
                                  .on_lost = on_lost,
                                  .wait = wait_a_little,
                                  .arg = c};

  atomic_store(&c->leads, kube_lease_acquire(&cfg, &c->lease, &err) == OME_OK);
  return NULL;
}

static void begin(struct candidate *c, const char *name) {
  struct ome_err err = ERR_INIT;

  memset(c, 0, sizeof(*c));
  c->name = name;
  ok(kube_client_new(apiserver_kubeconfig(server), NULL, &c->client, &err), &err);
  assert_int_equal(pthread_create(&c->thread, NULL, campaign, c), 0);
}

static void end(struct candidate *c) {
  atomic_store(&c->give_up, true);
  (void)pthread_join(c->thread, NULL);
  kube_lease_release(c->lease);
  kube_client_free(c->client);
}

static void await(atomic_bool *flag) {
  const struct timespec pause = {0, 5000000};

  for (uint64_t until = mono_ms() + DEADLINE_MS; !atomic_load(flag) && mono_ms() < until;)
    (void)nanosleep(&pause, NULL);
  assert_true(atomic_load(flag));
}

/* Who holds it, as the server has it. */
static struct json_object *stored(struct candidate *c) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  ok(kube_get(c->client, &KUBE_LEASES, "default", "leader", &o, &err), &err);
  return o;
}

static void hands_over(void **state) {
  struct candidate a;
  struct candidate b;

  (void)state;
  begin(&a, "a");
  await(&a.leads);
  begin(&b, "b");
  /* Well past the duration, renewals keep the lease with its holder. */
  const struct timespec past = {1, 300000000};
  (void)nanosleep(&past, NULL);
  assert_false(atomic_load(&b.leads));
  assert_false(atomic_load(&a.lost));
  end(&a);
  await(&b.leads);
  struct json_object *lease = stored(&b);
  assert_string_equal(json_str(lease, "spec.holderIdentity", ""), "b");
  assert_int_equal(json_i64(lease, "spec.leaseTransitions", 0), 1);
  json_unref(lease);
  end(&b);
}

static void notices_a_loss(void **state) {
  struct candidate a;
  struct json_object *patch = NULL;
  struct ome_err err = ERR_INIT;
  static const char text[] = "{spec: {holderIdentity: usurper, leaseDurationSeconds: 3600}}";

  (void)state;
  begin(&a, "a");
  await(&a.leads);
  ok(yaml_parse_one("patch", text, strlen(text), &patch, &err), &err);
  ok(kube_patch(a.client, &KUBE_LEASES, "default", "leader", NULL, KUBE_PATCH_MERGE, patch, NULL, &err), &err);
  await(&a.lost);
  json_unref(patch);
  end(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hands_over), cmocka_unit_test(notices_a_loss)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
