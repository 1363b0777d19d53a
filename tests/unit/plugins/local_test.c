/* Where the addresses of storage "local" lead.  The parser is compiled in. */
#include "../unit.h"

#include "../../../plugins/storage/local_place.h"

static const struct {
  const char *uri;
  const char *base, *path; /* NULL: refused */
} cases[] = {
    {"local:///mnt/data/m", "/", "mnt/data/m"},
    {"local:///mnt/data/m/", "/", "mnt/data/m"},
    {"local://models/m", ".", "models/m"},
    {"local:///", "/", "."},
    {"file:///mnt/a b", "/", "mnt/a b"},
    {"pvc://llama-pvc/weights", "/claims/llama-pvc", "weights"},
    {"pvc://models:llama.pvc/weights/v1", "/claims/models/llama.pvc", "weights/v1"},
    {"local://", NULL, NULL},
    {"local:///a/../../etc", NULL, NULL},
    {"local://..", NULL, NULL},
    {"pvc://pvc", NULL, NULL},
    {"pvc://pvc/", NULL, NULL},
    {"pvc:///x", NULL, NULL},
    {"pvc://a:b:c/x", NULL, NULL},
    {"pvc://:b/x", NULL, NULL},
    {"pvc://a:/x", NULL, NULL},
    {"pvc://../x", NULL, NULL},
    {"pvc://a.b:c/x", NULL, NULL},
    {"pvc://-a:c/x", NULL, NULL},
    {"pvc://c//x", NULL, NULL},
    {"pvc://c/x/../..", NULL, NULL},
    {"http://x", NULL, NULL},
    {"", NULL, NULL},
    {NULL, NULL, NULL},
};

static void leads_down(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct local_place p;
    struct ome_err err = {0};
    int32_t rc = local_place_of("/claims", cases[i].uri, &p, &err);
    if (!cases[i].base) {
      if (rc != OME_E_INVALID || !err.msg[0])
        fail_msg("%s: %d", cases[i].uri ? cases[i].uri : "(none)", (int)rc);
      continue;
    }
    assert_int_equal(rc, OME_OK);
    assert_string_equal(p.base, cases[i].base);
    assert_string_equal(p.path, cases[i].path);
    assert_int_equal(p.confined, strncmp(cases[i].uri, "pvc:", 4) == 0);
  }
}

static void claims_need_a_root(void **state) {
  struct local_place p;
  struct ome_err err = {0};

  (void)state;
  assert_int_equal(local_place_of(NULL, "pvc://a/b", &p, &err), OME_E_UNSUPPORTED);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(leads_down), cmocka_unit_test(claims_need_a_root)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
