/* Events: what happens again raises the count of the one that is there; what is gone is told anew. */
#include "fake.h"

#include "base/str.h"
#include "kube/event.h"

#define OBJECT                                                                                                         \
  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"u\"}}"
#define EVENTS "/api/v1/namespaces/ns/events"

/* Until the last request is of LINE and says each of the texts, NULL-terminated. */
static void await(struct fake *f, const char *line, const char *const *texts) {
  uint64_t due_ms = mono_ms() + DEADLINE_MS;
  bool there = false;

  (void)pthread_mutex_lock(&f->lock);
  for (;;) {
    there = has_prefix(f->line, line);
    for (const char *const *t = texts; there && *t; t++)
      there = strstr(buf_str(&f->body), *t) != NULL;
    if (there || !sync_wait(&f->lock, &f->changed, due_ms))
      break;
  }
  if (!there)
    fail_msg("%s did not come, but %s: %s", line, f->line, buf_str(&f->body));
  (void)pthread_mutex_unlock(&f->lock);
}

#define EXPECT(f, line, ...) await(f, line, (const char *const[]){__VA_ARGS__, NULL})

struct stand {
  struct kube_client *client;
  struct kube_recorder *recorder;
  struct json_object *object;
};

static struct stand begin(struct fake *f) {
  struct stand s = {.client = fake_client(f, "{}"), .object = json_tokener_parse(OBJECT)};
  struct ome_err err = ERR_INIT;

  assert_int_equal(kube_recorder_new(s.client, "tests", &s.recorder, &err), OME_OK);
  return s;
}

static void end(struct stand *s) {
  kube_recorder_free(s->recorder);
  json_unref(s->object);
  kube_client_free(s->client);
}

static void test_repeats_are_counted(void **state) {
  struct fake *f = *state;
  struct stand s = begin(f);

  kube_record(s.recorder, s.object, true, "Broken", "it %s", "broke");
  EXPECT(f, "POST " EVENTS, "\"count\":1", "\"reason\":\"Broken\"", "\"message\":\"it broke\"", "\"type\":\"Warning\"",
         "\"uid\":\"u\"", "\"component\":\"tests\"");
  kube_record(s.recorder, s.object, true, "Broken", "it %s", "broke");
  EXPECT(f, "PATCH " EVENTS "/p.", "\"count\":2");
  for (int i = 0; i < 100; i++) /* some are on their way, others wait and are one */
    kube_record(s.recorder, s.object, true, "Broken", "it %s", "broke");
  EXPECT(f, "PATCH " EVENTS "/p.", "\"count\":102");
  kube_record(s.recorder, s.object, true, "Broken", "it %s", "broke otherwise");
  EXPECT(f, "POST " EVENTS, "\"count\":1", "otherwise");
  kube_record(s.recorder, s.object, false, "Broken", "it %s", "broke");
  EXPECT(f, "POST " EVENTS, "\"count\":1", "\"type\":\"Normal\"");
  end(&s);
}

static void test_one_that_expired_is_told_anew(void **state) {
  static const struct fake_answer answers[] = {{201, "{}", NULL}, {404, "{}", NULL}, {201, "{}", NULL}};
  struct fake *f = *state;
  struct stand s = begin(f);

  fake_script(f, answers, ARRAY_LEN(answers));
  kube_record(s.recorder, s.object, false, "Done", "it is done");
  EXPECT(f, "POST " EVENTS, "\"count\":1");
  kube_record(s.recorder, s.object, false, "Done", "it is done");
  EXPECT(f, "POST " EVENTS, "\"reason\":\"Done\"", "\"count\":1");
  AWAIT(f, f->requests >= 3);
  (void)pthread_mutex_lock(&f->lock);
  assert_int_equal(f->requests, 3);
  assert_true(has_prefix(f->line, "POST " EVENTS));
  (void)pthread_mutex_unlock(&f->lock);
  end(&s);
}

static void test_long_messages_are_cut(void **state) {
  struct fake *f = *state;
  struct stand s = begin(f);
  char text[3000];

  memset(text, 'x', sizeof(text) - 1);
  text[sizeof(text) - 1] = '\0';
  kube_record(s.recorder, s.object, false, "Long", "%s", text);
  EXPECT(f, "POST " EVENTS, "xxx...\"");
  assert_true(f->body.len < 2000);
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_repeats_are_counted, fake_setup, fake_teardown),
      cmocka_unit_test_setup_teardown(test_one_that_expired_is_told_anew, fake_setup, fake_teardown),
      cmocka_unit_test_setup_teardown(test_long_messages_are_cut, fake_setup, fake_teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
