/* What a pinned service runs, and what is said of it. */
#include "../unit.h"

#include "../documents.h"
#include "base/str.h"
#include "select/select.h"

#include <stdio.h>

#define CLUSTER(spec) "{\"kind\":\"ClusterServingRuntime\",\"metadata\":{\"name\":\"r\"},\"spec\":{" spec "}}"
#define ONE "\"engineConfig\":{\"runner\":{\"image\":\"one\"}}"
#define TWO "\"engineConfig\":{\"runner\":{\"image\":\"two\"}}"

/* The name and the ControllerRevision of a runtime; both new. */
static struct json_object *revision_of(struct json_object *doc, char *name) {
  struct select_runtime r;
  struct ome_err err = ERR_INIT;

  assert_int_equal(select_runtime_init(&r, doc, NULL, &err), OME_OK);
  assert_int_equal(revision_name(&r, name, &err), OME_OK);
  struct json_object *o = revision_document(&r, name, "ome", 3);
  assert_non_null(o);
  select_runtime_fini(&r);
  return o;
}

/* Equal specs have equal names, whatever the order of their keys and whatever else the runtime says. */
static void names_are_of_what_is_said(void **state) {
  static const struct {
    const char *a, *b;
    bool same;
  } cases[] = {
      {CLUSTER(ONE), CLUSTER(ONE), true},
      {CLUSTER(ONE), CLUSTER(TWO), false},
      {CLUSTER(ONE ",\"disabled\":false"), CLUSTER("\"disabled\":false," ONE), true},
      {CLUSTER(ONE),
       "{\"kind\":\"ClusterServingRuntime\",\"metadata\":{\"name\":\"r\",\"labels\":{\"a\":\"b\"}},"
       "\"spec\":{" ONE "},\"status\":{\"x\":1}}",
       true},
      {CLUSTER(ONE),
       "{\"kind\":\"ServingRuntime\",\"metadata\":{\"name\":\"r\",\"namespace\":\"team\"},"
       "\"spec\":{" ONE "}}",
       false},
  };

  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *a = parse(cases[i].a), *b = parse(cases[i].b);
    char x[REVISION_NAME_MAX], y[REVISION_NAME_MAX];
    json_unref(revision_of(a, x));
    json_unref(revision_of(b, y));
    if (streq(x, y) != cases[i].same)
      fail_msg("%zu: %s and %s", i, x, y);
    json_unref(a);
    json_unref(b);
  }
}

static void a_revision_keeps_the_runtime(void **state) {
  struct json_object *doc = parse("{\"apiVersion\":\"ome.io/v1beta1\",\"kind\":\"ServingRuntime\",\"metadata\":"
                                  "{\"name\":\"r\",\"namespace\":\"team\"},\"spec\":{" ONE "}}");
  char name[REVISION_NAME_MAX];

  (void)state;
  struct json_object *revision = revision_of(doc, name);
  assert_true(has_prefix(name, "r-team-r-"));
  assert_int_equal(strlen(name), strlen("r-team-r-") + 8);
  assert_string_equal(json_str(revision, "metadata.name", ""), name);
  assert_int_equal(json_i64(revision, "revision", 0), 3);
  struct json_object *back = revision_runtime(revision);
  assert_true(json_equal(back, doc));
  json_unref(back);
  /* Somebody else's ControllerRevision keeps no runtime. */
  json_del(revision, "metadata.labels");
  assert_null(revision_runtime(revision));
  json_unref(revision);
  json_unref(doc);
}

/* ---- pins -------------------------------------------------------------------------------------------------------- */

/* In these, $1 is the name of what the runtime said at first, $2 that of what it says now. */
static struct json_object *filled(const char *text, const char *first, const char *second) {
  char out[2000] = "";
  size_t n = 0;

  for (; *text && n < sizeof(out) - 100; text++) {
    bool is_name = *text == '$';
    int len = snprintf(out + n, sizeof(out) - n, "%.*s", is_name ? 100 : 1,
                       !is_name         ? text
                       : text[1] == '1' ? first
                                        : second);
    n += (size_t)len;
    text += is_name;
  }
  return parse(out);
}

#define SERVICE(runtime, more)                                                                                         \
  "{\"metadata\":{\"namespace\":\"team\"" more "},\"spec\":{\"runtime\":{\"name\":\"r\"" runtime "}}"
#define SYNC(token) ",\"annotations\":{\"ome.io/runtime-sync\":\"" token "\"}"
#define STATUS(name, token) ",\"status\":{\"pinnedRevisionName\":\"" name "\",\"lastRuntimeSyncToken\":\"" token "\"}}"

static void pins(void **state) {
  static const struct {
    const char *service;
    bool live, there; /* the runtime, and the first revision */
    int mode;
    const char *revision, *drift, *says; /* says: "" it can be used, else part of why not */
    bool old;                            /* what is used is not what the runtime says now */
  } cases[] = {
      {SERVICE("", "") "}", true, true, PIN_NONE, "", NULL, "", false},
      {SERVICE(",\"autoSync\":true", "") STATUS("$1", ""), true, true, PIN_NONE, "", NULL, "", false},
      {SERVICE(",\"revision\":\"$1\"", "") "}", true, true, PIN_NONE, "", NULL, "unless spec.runtime.autoSync is false",
       false},
      /* the first time, later, and when the runtime has changed */
      {SERVICE(",\"autoSync\":false", "") "}", true, false, PIN_MANAGED, "$2", NULL, "", false},
      {SERVICE(",\"autoSync\":false", "") STATUS("$2", ""), true, false, PIN_MANAGED, "$2", NULL, "", false},
      {SERVICE(",\"autoSync\":false", "") STATUS("$1", ""), true, true, PIN_MANAGED, "$1", "RevisionMismatch", "",
       true},
      {SERVICE(",\"autoSync\":false", "") STATUS("$1", ""), true, false, PIN_MANAGED, "$1", "RevisionMissing",
       "bump ome.io/runtime-sync", false},
      {SERVICE(",\"autoSync\":false", "") STATUS("$1", ""), false, true, PIN_MANAGED, "$1", "SourceRuntimeMissing", "",
       true},
      /* pinned to another runtime before */
      {SERVICE(",\"autoSync\":false", "") STATUS("cr-other-00000000", ""), true, false, PIN_MANAGED, "$2", NULL, "",
       false},
      /* a token advances once */
      {SERVICE(",\"autoSync\":false", SYNC("b")) STATUS("$1", "a"), true, true, PIN_MANAGED, "$2", NULL, "", false},
      {SERVICE(",\"autoSync\":false", SYNC("a")) STATUS("$1", "a"), true, true, PIN_MANAGED, "$1", "RevisionMismatch",
       "", true},
      {SERVICE(",\"autoSync\":false", SYNC("b")) STATUS("$1", "a"), false, true, PIN_MANAGED, "$1",
       "SourceRuntimeMissing", "", true},
      /* by name, which no token moves */
      {SERVICE(",\"autoSync\":false,\"revision\":\"$1\"", SYNC("b")) STATUS("$2", "a"), true, true, PIN_EXPLICIT, "$1",
       "RevisionMismatch", "", true},
      {SERVICE(",\"autoSync\":false,\"revision\":\"$2\"", "") "}", true, false, PIN_EXPLICIT, "$2", NULL, "", false},
      {SERVICE(",\"autoSync\":false,\"revision\":\"v1\"", "") "}", true, true, PIN_EXPLICIT, "v1", "RuntimeMismatch",
       "expected the form cr-r-<8 lowercase hex chars>", false},
      {SERVICE(",\"autoSync\":false,\"revision\":\"cr-r-0000000G\"", "") "}", true, true, PIN_EXPLICIT, "cr-r-0000000G",
       "RuntimeMismatch", "expected the form", false},
      {SERVICE(",\"autoSync\":false,\"revision\":\"cr-r-00000000\"", "") "}", true, true, PIN_EXPLICIT, "cr-r-00000000",
       "RevisionMissing", "change spec.runtime.revision", false},
  };
  struct json_object *one = parse(CLUSTER(ONE)), *two = parse(CLUSTER(TWO));
  char first[REVISION_NAME_MAX], second[REVISION_NAME_MAX];
  struct json_object *kept = revision_of(one, first), *all = json_object_new_array();
  struct ome_err err = ERR_INIT;
  struct select_runtime now;

  (void)state;
  json_unref(revision_of(two, second));
  assert_int_equal(json_object_array_add(all, kept), 0);
  assert_int_equal(select_runtime_init(&now, two, NULL, &err), OME_OK);
  for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
    struct json_object *service = filled(cases[i].service, first, second), *used = NULL;
    const char *revision = streq(cases[i].revision, "$1")   ? first
                           : streq(cases[i].revision, "$2") ? second
                                                            : cases[i].revision;
    struct select_pin pin;
    char why[1000];
    assert_int_equal(revision_pin(service, cases[i].live ? &now : NULL, cases[i].there ? all : NULL, &pin, &used, why,
                                  sizeof(why), &err),
                     OME_OK);
    if ((int)pin.mode != cases[i].mode || !streq(pin.revision, revision) ||
        !streq(pin.drift ? pin.drift : "-", cases[i].drift ? cases[i].drift : "-") || !strstr(why, cases[i].says) ||
        !*why != !*cases[i].says || (used == kept) != cases[i].old)
      fail_msg("%zu: mode %d, %s, %s: %s (%s)", i, (int)pin.mode, pin.revision, pin.drift ? pin.drift : "no drift", why,
               pin.message);
    json_unref(service);
  }
  select_runtime_fini(&now);
  json_unref(all);
  json_unref(one);
  json_unref(two);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_of_what_is_said),
      cmocka_unit_test(a_revision_keeps_the_runtime),
      cmocka_unit_test(pins),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
