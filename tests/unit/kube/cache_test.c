/* The watch cache against a scripted API server: what it asks for, what it keeps, what it tells. */
#include "fake.h"

#include "kube/cache.h"
#include "kube/meta.h"

#include <stdio.h>

#define OBJECT(name, version)                                                                                          \
  "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"namespace\":\"space\",\"name\":\"" name               \
  "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define LIST(version, items)                                                                                           \
  "{\"kind\":\"ConfigMapList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version                     \
  "\"},\"items\":[" items "]}"

struct fixture {
  struct fake fake;
  struct kube_client *client;
  struct kube_cache *cache;
  pthread_mutex_t lock; /* of what follows */
  pthread_cond_t changed;
  char log[1024]; /* "+a1 ~a2<a1 -a2 " */
  unsigned events;
};

static void note_event(void *arg, const struct kube_event *e) {
  static const char signs[] = {[KUBE_ADDED] = '+', [KUBE_MODIFIED] = '~', [KUBE_DELETED] = '-'};
  struct fixture *f = arg;

  (void)pthread_mutex_lock(&f->lock);
  size_t n = strlen(f->log);
  n +=
      (size_t)snprintf(f->log + n, sizeof(f->log) - n, "%c%s%s", signs[e->type],
                       json_str(e->object, "metadata.name", "?"), json_str(e->object, "metadata.resourceVersion", "?"));
  if (e->old)
    n += (size_t)snprintf(f->log + n, sizeof(f->log) - n, "<%s", json_str(e->old, "metadata.resourceVersion", "?"));
  (void)snprintf(f->log + n, sizeof(f->log) - n, " ");
  f->events++;
  (void)pthread_cond_broadcast(&f->changed);
  (void)pthread_mutex_unlock(&f->lock);
}

/* With a and b listed at version 10, and the first watch open. */
static const char *app_of(struct json_object *o) {
  return meta_label(o, "app");
}

static int setup(void **state) {
  static struct fixture fixture;
  struct fixture *f = &fixture;
  const struct kube_cache_opts opts = {
      .ns = "space", .labels = "k=v", .index = app_of, .on_event = note_event, .arg = f};
  struct ome_err err = ERR_INIT;

  memset(f, 0, sizeof(*f));
  sync_init(&f->lock, &f->changed);
  fake_start(&f->fake);
  fake_script(&f->fake, &(struct fake_answer){200, LIST("10", OBJECT("a", "3") "," OBJECT("b", "7")), NULL}, 1);
  f->client = fake_client(&f->fake, "{}");
  assert_int_equal(kube_cache_new(f->client, &KUBE_CONFIGMAPS, &opts, &f->cache, &err), OME_OK);
  assert_true(kube_cache_wait(f->cache, DEADLINE_MS));
  AWAIT(&f->fake, f->fake.watches == 1);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  struct fixture *f = *state;

  kube_cache_free(f->cache);
  kube_client_free(f->client);
  fake_stop(&f->fake);
  (void)pthread_mutex_destroy(&f->lock);
  (void)pthread_cond_destroy(&f->changed);
  return 0;
}

/* Waits until N events came and compares them all. */
static void expect_events(struct fixture *f, unsigned n, const char *log) {
  char got[sizeof(f->log)];

  AWAIT(f, f->events >= n);
  (void)pthread_mutex_lock(&f->lock);
  memcpy(got, f->log, sizeof(got));
  (void)pthread_mutex_unlock(&f->lock);
  assert_string_equal(got, log);
}

/* Waits for watch number N, which must begin at VERSION. */
static void expect_watch(struct fixture *f, unsigned n, const char *version) {
  char line[sizeof(f->fake.watch_line)];
  char wanted[64];

  AWAIT(&f->fake, f->fake.watches >= n);
  (void)pthread_mutex_lock(&f->fake.lock);
  memcpy(line, f->fake.watch_line, sizeof(line));
  assert_int_equal(f->fake.watches, n);
  (void)pthread_mutex_unlock(&f->fake.lock);
  (void)snprintf(wanted, sizeof(wanted), "resourceVersion=%s&", version);
  if (!strstr(line, wanted))
    fail_msg("%s lacks %s", line, wanted);
}

/* Handlers of other caches may still read it. */
static void is_read_after_its_end(void **state) {
  struct fixture *f = *state;

  kube_cache_stop(f->cache);
  kube_cache_stop(f->cache);
  _cleanup_json_ struct json_object *a = kube_cache_get(f->cache, "space", "a");
  assert_string_equal(meta_name(a), "a");
}

static unsigned lists(struct fixture *f) {
  (void)pthread_mutex_lock(&f->fake.lock);
  unsigned n = f->fake.requests;
  (void)pthread_mutex_unlock(&f->fake.lock);
  return n;
}

static void test_first_list(void **state) {
  struct fixture *f = *state;

  expect_events(f, 2, "+a3 +b7 ");
  expect_watch(f, 1, "10");
  assert_non_null(strstr(f->fake.watch_line, "GET /api/v1/namespaces/space/configmaps?watch=true"));
  assert_non_null(strstr(f->fake.watch_line, "labelSelector=k%3Dv"));
  assert_non_null(strstr(f->fake.line, "labelSelector=k%3Dv"));
  assert_int_equal(kube_cache_count(f->cache), 2);
  _cleanup_json_ struct json_object *a = kube_cache_get(f->cache, "space", "a");
  assert_string_equal(json_str(a, "metadata.resourceVersion", ""), "3");
  assert_null(kube_cache_get(f->cache, "other", "a"));
  _cleanup_json_ struct json_object *all = kube_cache_list(f->cache, NULL);
  assert_int_equal(json_len(all), 2);
  assert_string_equal(json_str(json_index(all, 1), "metadata.name", ""), "b");
  _cleanup_json_ struct json_object *none = kube_cache_list(f->cache, "spac");
  assert_int_equal(json_len(none), 0);
}

/* Of an object that is only counted or looked up by name no more than the metadata is asked for and kept. */
static void test_metadata_only(void **state) {
  static const char item[] = "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"
                             "{\"name\":\"a\",\"resourceVersion\":\"3\"}}";
  static const char whole[] = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"4\"}"
                              ",\"spec\":{\"x\":1},\"status\":{}}}\n";
  static char list[512];
  struct fixture *f = *state;
  const struct kube_cache_opts opts = {.metadata_only = true, .on_event = note_event, .arg = f};
  struct ome_err err = ERR_INIT;

  (void)snprintf(list, sizeof(list), LIST("3", "%s"), item);
  kube_cache_free(f->cache);
  fake_script(&f->fake, &(struct fake_answer){200, list, NULL}, 1);
  unsigned watches = f->fake.watches;
  f->events = 0;
  memset(f->log, 0, sizeof(f->log));
  assert_int_equal(kube_cache_new(f->client, &KUBE_CRDS, &opts, &f->cache, &err), OME_OK);
  AWAIT(&f->fake, f->fake.watches == watches + 1);
  assert_non_null(strstr(f->fake.accept, "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"));
  fake_push(&f->fake, whole); /* from a server that knows no such form */
  expect_events(f, 2, "+a3 +b4 ");
  _cleanup_json_ struct json_object *a = kube_cache_get(f->cache, NULL, "a");
  _cleanup_json_ struct json_object *b = kube_cache_get(f->cache, NULL, "b");
  assert_string_equal(json_str(a, "kind", ""), "CustomResourceDefinition");
  assert_string_equal(json_str(a, "apiVersion", ""), "apiextensions.k8s.io/v1");
  assert_null(json_get(b, "spec"));
  assert_null(json_get(b, "status"));
}

/* Who manages fields is kept of the one manager that is asked for. */
static void test_managers(void **state) {
  static const char item[] =
      "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"3\",\"managedFields\":[{\"manager\":\"kubectl\"},"
      "{\"manager\":\"us\",\"operation\":\"Apply\"},{\"manager\":\"them\"}]}},{\"metadata\":{\"name\":\"b\","
      "\"resourceVersion\":\"3\",\"managedFields\":[{\"manager\":\"them\"}]}}";
  static const char *const managers[] = {"us", NULL};
  static char list[512];
  struct fixture *f = *state;

  (void)snprintf(list, sizeof(list), LIST("3", "%s"), item);
  for (size_t i = 0; i < ARRAY_LEN(managers); i++) {
    const struct kube_cache_opts opts = {.manager = managers[i]};
    struct ome_err err = ERR_INIT;
    kube_cache_free(f->cache);
    fake_script(&f->fake, &(struct fake_answer){200, list, NULL}, 1);
    assert_int_equal(kube_cache_new(f->client, &KUBE_CRDS, &opts, &f->cache, &err), OME_OK);
    assert_true(kube_cache_wait(f->cache, DEADLINE_MS));
    _cleanup_json_ struct json_object *a = kube_cache_get(f->cache, NULL, "a");
    _cleanup_json_ struct json_object *b = kube_cache_get(f->cache, NULL, "b");
    struct json_object *kept = json_at(a, "metadata.managedFields");
    assert_int_equal(json_len(kept), managers[i] ? 1 : 0);
    assert_string_equal(json_str(json_index(kept, 0), "manager", ""), managers[i] ? "us" : "");
    assert_non_null(b);
    assert_null(json_at(b, "metadata.managedFields"));
  }
}

static void test_events(void **state) {
  struct fixture *f = *state;

  fake_push(&f->fake, EVENT("ADDED", "c", "11") EVENT("MODIFIED", "a", "12"));
  fake_push(&f->fake, "{\"type\":\"DELETED\",\"obj"); /* an event in two pieces */
  fake_push(&f->fake, "ect\":" OBJECT("b", "13") "}\n");
  expect_events(f, 5, "+a3 +b7 +c11 ~a12<3 -b13 ");
  assert_int_equal(kube_cache_count(f->cache), 2);
  assert_null(kube_cache_get(f->cache, "space", "b"));
}

static void test_duplicates_are_ignored(void **state) {
  struct fixture *f = *state;

  fake_push(&f->fake, EVENT("ADDED", "a", "3") EVENT("ADDED", "c", "11") EVENT("ADDED", "c", "11")
                          EVENT("MODIFIED", "c", "11") EVENT("DELETED", "gone", "12") EVENT("ADDED", "d", "13"));
  expect_events(f, 4, "+a3 +b7 +c11 +d13 ");
}

static void test_resumes_where_it_was(void **state) {
  struct fixture *f = *state;

  fake_push(&f->fake, EVENT("ADDED", "c", "11"));
  expect_events(f, 3, "+a3 +b7 +c11 ");
  fake_push(&f->fake, "{\"type\":\"MODI"); /* the rest never comes */
  fake_drop(&f->fake);
  expect_watch(f, 2, "11");
  assert_int_equal(lists(f), 1);
  fake_push(&f->fake, EVENT("MODIFIED", "c", "12"));
  expect_events(f, 4, "+a3 +b7 +c11 ~c12<11 ");
}

static void test_bookmark_moves_on(void **state) {
  struct fixture *f = *state;

  fake_push(
      &f->fake,
      "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"ConfigMap\",\"metadata\":{\"resourceVersion\":\"99\"}}}\n" EVENT(
          "ADDED", "sign", "100"));
  expect_events(f, 3, "+a3 +b7 +sign100 ");
  fake_push(&f->fake, "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"150\"}}}\n");
  fake_drop(&f->fake);
  AWAIT(&f->fake, f->fake.watches == 2);
  /* The abort may have overtaken the second bookmark, never the first. */
  assert_true(strstr(f->fake.watch_line, "resourceVersion=150&") || strstr(f->fake.watch_line, "resourceVersion=100&"));
  assert_int_equal(lists(f), 1);
  assert_int_equal(kube_cache_count(f->cache), 3);
}

/* What changed while the past was lost comes as events: b is gone, a has changed, c is new. */
static const struct fake_answer later = {200, LIST("40", OBJECT("a", "31") "," OBJECT("c", "32")), NULL};
#define DIFFERENCE "+a3 +b7 ~a31<3 +c32 -b7 "

static void expect_relist(struct fixture *f) {
  expect_events(f, 5, DIFFERENCE);
  expect_watch(f, 2, "40");
  assert_int_equal(lists(f), 2);
  assert_int_equal(kube_cache_count(f->cache), 2);
}

static void test_gone_lists_again(void **state) {
  struct fixture *f = *state;

  fake_script(&f->fake, &later, 1);
  fake_push(&f->fake, "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n");
  expect_relist(f);
}

static void test_garbage_lists_again(void **state) {
  struct fixture *f = *state;

  fake_script(&f->fake, &later, 1);
  fake_push(&f->fake, "{\"type\":\"ADDED\",\"object\":{]\n");
  expect_relist(f);
}

static void test_refused_watch_lists_again(void **state) {
  struct fixture *f = *state;

  expect_events(f, 2, "+a3 +b7 ");
  fake_script(&f->fake, &later, 1);
  (void)pthread_mutex_lock(&f->fake.lock);
  f->fake.watch_status = 410;
  (void)pthread_mutex_unlock(&f->fake.lock);
  fake_drop(&f->fake);
  expect_events(f, 5, DIFFERENCE);
  expect_watch(f, 3, "40"); /* the second one was refused */
}

/* A list that fails is tried again; nothing of the cache is lost meanwhile. */
static void test_failed_list_is_tried_again(void **state) {
  struct fixture *f = *state;
  const struct fake_answer answers[] = {{500, "{}", NULL}, {200, "not json", NULL}, later};

  fake_script(&f->fake, answers, 3);
  fake_push(&f->fake, "garbage\n");
  AWAIT(&f->fake, f->fake.requests >= 2);
  assert_int_not_equal(kube_cache_count(f->cache), 0);
  expect_events(f, 5, DIFFERENCE);
  assert_int_equal(lists(f), 4);
}

static void test_owned(void **state) {
  struct fixture *f = *state;

  fake_push(&f->fake, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"space\",\"name\":\"o\","
                      "\"resourceVersion\":\"20\",\"ownerReferences\":[{\"uid\":\"u1\",\"controller\":true}]}}}\n");
  AWAIT(f, f->events == 3);
  _cleanup_json_ struct json_object *owned = kube_cache_owned(f->cache, "u1");
  assert_int_equal(json_len(owned), 1);
  /* What the server leaves out of events is completed. */
  assert_string_equal(json_str(json_index(owned, 0), "kind", ""), "ConfigMap");
  assert_string_equal(json_str(json_index(owned, 0), "apiVersion", ""), "v1");
  _cleanup_json_ struct json_object *none = kube_cache_owned(f->cache, "u2");
  assert_int_equal(json_len(none), 0);
}

static void note_name(void *arg, const char *ns, const char *name) {
  assert_string_equal(ns, "space");
  assert_string_equal(name, "o");
  ++*(int *)arg;
}

static size_t labelled(struct fixture *f, const char *ns, const char *value) {
  _cleanup_json_ struct json_object *found = kube_cache_indexed(f->cache, ns, value);

  return json_len(found);
}

/* The indexes follow objects that come, change their label or owner, and go. */
static void test_indexes(void **state) {
  struct fixture *f = *state;

  fake_push(&f->fake, "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"namespace\":\"space\",\"name\":\"o\","
                      "\"resourceVersion\":\"20\",\"labels\":{\"app\":\"a\"},\"ownerReferences\":[{\"uid\":\"u1\","
                      "\"controller\":true}]}}}\n");
  AWAIT(f, f->events == 3);
  assert_int_equal(labelled(f, "space", "a"), 1);
  assert_int_equal(labelled(f, "spac", "a"), 0);
  int names = 0;
  kube_cache_names(f->cache, "space", "a", note_name, &names);
  kube_cache_names(f->cache, "space", "b", note_name, &names);
  assert_int_equal(names, 1);
  assert_int_equal(labelled(f, "space", "b"), 0);
  fake_push(&f->fake, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"namespace\":\"space\",\"name\":\"o\","
                      "\"resourceVersion\":\"21\",\"labels\":{\"app\":\"b\"},\"ownerReferences\":[{\"uid\":\"u2\","
                      "\"controller\":true}]}}}\n");
  AWAIT(f, f->events == 4);
  assert_int_equal(labelled(f, "space", "a"), 0);
  assert_int_equal(labelled(f, NULL, "b"), 1);
  _cleanup_json_ struct json_object *before = kube_cache_owned(f->cache, "u1");
  assert_int_equal(json_len(before), 0);
  fake_push(&f->fake, "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"namespace\":\"space\",\"name\":\"o\","
                      "\"resourceVersion\":\"22\"}}}\n");
  AWAIT(f, f->events == 5);
  assert_int_equal(labelled(f, "space", "b"), 0);
  _cleanup_json_ struct json_object *after = kube_cache_owned(f->cache, "u2");
  assert_int_equal(json_len(after), 0);
}

static struct json_object *written(const char *name, const char *version) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "metadata.namespace", "space");
  (void)json_set_str(o, "metadata.name", name);
  (void)json_set_str(o, "metadata.resourceVersion", version);
  (void)json_set_str(o, "metadata.labels.app", "ours");
  return o;
}

/* What we wrote is there at once, and its event is none, whichever of event and answer comes first. */
static void test_own_writes_are_no_news(void **state) {
  struct fixture *f = *state;
  _cleanup_json_ struct json_object *c11 = written("c", "11");
  _cleanup_json_ struct json_object *a13 = written("a", "13");

  kube_cache_writing(f->cache, "space", "c");
  kube_cache_wrote(f->cache, "space", "c", c11);
  assert_int_equal(kube_cache_count(f->cache), 3);
  assert_int_equal(labelled(f, "space", "ours"), 1);
  kube_cache_writing(f->cache, "space", "a");
  fake_push(&f->fake, EVENT("ADDED", "c", "11") EVENT("MODIFIED", "a", "12") EVENT("MODIFIED", "a", "13")
                          EVENT("ADDED", "sign", "14"));
  expect_events(f, 3, "+a3 +b7 +sign14 ");
  kube_cache_wrote(f->cache, "space", "a", a13);
  fake_push(&f->fake, EVENT("MODIFIED", "a", "15"));
  expect_events(f, 4, "+a3 +b7 +sign14 ~a15<13 ");
}

/* What others do meanwhile is told afterwards; so is all of it when the write failed. */
static void test_news_waits_for_our_write(void **state) {
  struct fixture *f = *state;
  _cleanup_json_ struct json_object *a12 = written("a", "12");

  kube_cache_writing(f->cache, "space", "a");
  kube_cache_writing(f->cache, "space", "b");
  fake_push(&f->fake, EVENT("MODIFIED", "a", "12") EVENT("MODIFIED", "a", "13") EVENT("MODIFIED", "b", "14")
                          EVENT("ADDED", "sign", "15"));
  expect_events(f, 3, "+a3 +b7 +sign15 ");
  kube_cache_wrote(f->cache, "space", "a", a12);
  expect_events(f, 4, "+a3 +b7 +sign15 ~a13<12 ");
  kube_cache_wrote(f->cache, "space", "b", NULL);
  expect_events(f, 5, "+a3 +b7 +sign15 ~a13<12 ~b14<7 ");
}

/* What waited is read at the end; what cannot be read then is listed. */
static void test_unreadable_news(void **state) {
  struct fixture *f = *state;

  fake_script(&f->fake, &(struct fake_answer){200, LIST("15", OBJECT("a", "12") "," OBJECT("b", "7")), NULL}, 1);
  kube_cache_writing(f->cache, "space", "a");
  fake_push(&f->fake, "{\"type\":\"MODIFIED\",\"object\":{\"metadata\":{\"namespace\":\"space\",\"name\":\"a\","
                      "\"resourceVersion\":\"12\"},\"spec\":[}}}\n" EVENT("ADDED", "sign", "14"));
  expect_events(f, 3, "+a3 +b7 +sign14 ");
  kube_cache_wrote(f->cache, "space", "a", NULL);
  expect_events(f, 5, "+a3 +b7 +sign14 ~a12<3 -sign14 ");
  expect_watch(f, 2, "15");
}

/* An answer that comes late brings nothing back: neither what is gone by now nor what it was before. */
static void test_late_answers(void **state) {
  struct fixture *f = *state;
  _cleanup_json_ struct json_object *c11 = written("c", "11");
  _cleanup_json_ struct json_object *a12 = written("a", "12");
  _cleanup_json_ struct json_object *d20 = written("d", "20");

  kube_cache_writing(f->cache, "space", "c");
  fake_push(&f->fake, EVENT("ADDED", "c", "11") EVENT("MODIFIED", "a", "13") EVENT("DELETED", "c", "14"));
  expect_events(f, 4, "+a3 +b7 ~a13<3 -c14 ");
  kube_cache_wrote(f->cache, "space", "c", c11);
  kube_cache_wrote(f->cache, "space", "a", a12);
  assert_null(kube_cache_get(f->cache, "space", "c"));
  _cleanup_json_ struct json_object *a = kube_cache_get(f->cache, "space", "a");
  assert_string_equal(json_str(a, "metadata.resourceVersion", ""), "13");
  /* What was written after a list was made is not in it, and stays. */
  kube_cache_wrote(f->cache, "space", "d", d20);
  fake_script(
      &f->fake,
      &(struct fake_answer){200, LIST("15", OBJECT("a", "13") "," OBJECT("b", "7") "," OBJECT("e", "15")), NULL}, 1);
  fake_push(&f->fake, "garbage\n");
  expect_events(f, 5, "+a3 +b7 ~a13<3 -c14 +e15 ");
  expect_watch(f, 2, "15");
  assert_int_equal(kube_cache_count(f->cache), 4);
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      CASE(is_read_after_its_end),
      CASE(test_first_list),
      CASE(test_metadata_only),
      CASE(test_managers),
      CASE(test_events),
      CASE(test_duplicates_are_ignored),
      CASE(test_resumes_where_it_was),
      CASE(test_bookmark_moves_on),
      CASE(test_gone_lists_again),
      CASE(test_garbage_lists_again),
      CASE(test_refused_watch_lists_again),
      CASE(test_failed_list_is_tried_again),
      CASE(test_owned),
      CASE(test_indexes),
      CASE(test_own_writes_are_no_news),
      CASE(test_news_waits_for_our_write),
      CASE(test_late_answers),
      CASE(test_unreadable_news),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
