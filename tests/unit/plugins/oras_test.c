/* Addresses, challenges, credentials and manifests of storage "oras".  The parsers are compiled in. */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "../../../plugins/common/json.h"
#include "../../../plugins/storage/oras_auth.h"
#include "../../../plugins/storage/oras_manifest.h"

#define HEX "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

static const struct {
  const char *uri, *revision;
  const char *registry, *repository, *reference; /* NULL: refused */
} uris[] = {
    {"oras://r.example.com/models/tiny:v1", NULL, "r.example.com", "models/tiny", "v1"},
    {"oras://localhost:5000/a", NULL, "localhost:5000", "a", "latest"},
    {"oras://[::1]:5000/a__b/c-d.e:X_1", NULL, "[::1]:5000", "a__b/c-d.e", "X_1"},
    {"oras://r/a@sha256:" HEX, NULL, "r", "a", "sha256:" HEX},
    {"oras://r/a:v1@sha256:" HEX, NULL, "r", "a", "sha256:" HEX},
    {"oras://r/a:v1", "v2", "r", "a", "v2"},
    {"oras://r/a:v1", "sha256:" HEX, "r", "a", "sha256:" HEX},
    {"oras://r", NULL, NULL, NULL, NULL},
    {"oras://r/", NULL, NULL, NULL, NULL},
    {"oras:///a", NULL, NULL, NULL, NULL},
    {"oras://r/A", NULL, NULL, NULL, NULL},
    {"oras://r/a//b", NULL, NULL, NULL, NULL},
    {"oras://r/../b", NULL, NULL, NULL, NULL},
    {"oras://r/a:", NULL, NULL, NULL, NULL},
    {"oras://r/a:-x", NULL, NULL, NULL, NULL},
    {"oras://r/a@v1", NULL, NULL, NULL, NULL},
    {"oras://r/a@sha256:12", NULL, NULL, NULL, NULL},
    {"oras://user@r/a", NULL, NULL, NULL, NULL},
    {"oras://r:99999999/a", NULL, NULL, NULL, NULL},
    {"oras://r/a", "no good", NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static void reads_addresses(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
    struct oras_uri u;
    int rc = oras_uri_parse(uris[i].uri, uris[i].revision, &u);
    if ((rc == 0) != (uris[i].registry != NULL))
      fail_msg("%s: %d", uris[i].uri ? uris[i].uri : "(none)", rc);
    if (rc != 0)
      continue;
    assert_string_equal(u.registry, uris[i].registry);
    assert_string_equal(u.repository, uris[i].repository);
    assert_string_equal(u.reference, uris[i].reference);
    assert_int_equal(u.is_digest, strncmp(u.reference, "sha256:", 7) == 0);
  }
}

static void reads_challenges(void **state) {
  struct oras_challenge c;

  (void)state;
  assert_int_equal(oras_challenge_parse("Bearer realm=\"https://a/t\",service=\"a, \\\"b\\\"\",scope=x", &c), 0);
  assert_true(c.is_bearer);
  assert_string_equal(c.realm, "https://a/t");
  assert_string_equal(c.service, "a, \"b\"");
  assert_int_equal(oras_challenge_parse("bearer  service=s , realm=https://a", &c), 0);
  assert_string_equal(c.realm, "https://a");
  assert_int_equal(oras_challenge_parse("Basic realm=\"x\"", &c), 0);
  assert_false(c.is_bearer);
  assert_int_equal(oras_challenge_parse("Bearer service=\"x\"", &c), -1);
  assert_int_equal(oras_challenge_parse("Negotiate", &c), -1);
  assert_int_equal(oras_challenge_parse(NULL, &c), -1);
}

static void finds_credentials(void **state) {
  static const char config[] = "{\"auths\":{\"other\":{\"auth\":\"!!\"},"
                               "\"https://index.docker.io/v1/\":{\"username\":\"u\",\"password\":\"p\"},"
                               "\"r.example.com\":{\"auth\":\"dXNlcjpwYTpzcw==\"},"
                               "\"refresh\":{\"identitytoken\":\"again\"}}}";
  struct oras_credentials *c = calloc(1, sizeof(*c));
  char basic[100];

  (void)state;
  assert_int_equal(oras_credentials_find(config, strlen(config), "r.example.com", c), 0);
  assert_string_equal(c->username, "user");
  assert_string_equal(c->password, "pa:ss");
  assert_int_equal(oras_basic(c, basic, sizeof(basic)), 0);
  assert_string_equal(basic, "Basic dXNlcjpwYTpzcw==");
  assert_int_equal(oras_basic(c, basic, 20), -1);
  assert_int_equal(oras_credentials_find(config, strlen(config), "docker.io", c), 0);
  assert_string_equal(c->password, "p");
  assert_int_equal(oras_credentials_find(config, strlen(config), "refresh", c), 0);
  assert_string_equal(c->identity, "again");
  assert_int_equal(oras_credentials_find(config, strlen(config), "r.example", c), 0);
  assert_string_equal(c->username, "");
  assert_int_equal(oras_credentials_find(config, strlen(config), "other", c), -1);
  assert_int_equal(oras_credentials_find("{", 1, "r", c), -1);
  free(c);
}

struct found {
  unsigned n;
  char paths[200];
};

static int32_t on_file(void *arg, const struct oras_layer *l) {
  struct found *f = arg;
  size_t used = strlen(f->paths);

  f->n++;
  (void)snprintf(f->paths + used, sizeof(f->paths) - used, "%s ", l->path);
  return OME_OK;
}

static void orders_what_is_put(void **state) {
  static const char *const paths[] = {"b", "a/x", "c", "b"};
  struct json_object *m = oras_manifest_new();
  struct found f = {0};
  struct ome_err err = {0};

  (void)state;
  for (size_t i = 0; i < 4; i++) {
    const struct oras_layer l = {paths[i], HEX, i};
    assert_int_equal(oras_manifest_put(m, &l), 0);
  }
  assert_int_equal(oras_manifest_files(m, "test", on_file, &f, &err), OME_OK);
  assert_string_equal(f.paths, "a/x b c ");
  json_object_put(m);
}

#define LAYER(type, annotation)                                                                                        \
  "{\"layers\":[{\"mediaType\":\"" type "\",\"digest\":\"sha256:" HEX "\",\"size\":2,\"annotations\":{" annotation     \
  "}}]}"

static void says_what_it_cannot_do(void **state) {
  static const struct {
    const char *text;
    int32_t rc;
  } cases[] = {
      {LAYER("application/vnd.cncf.model.weight.v1.raw", "\"org.cncf.model.filepath\":\"a\""), OME_OK},
      {LAYER("application/vnd.oci.image.layer.v1.tar", "\"org.opencontainers.image.title\":\"a\""), OME_OK},
      {LAYER("application/vnd.cncf.model.weight.v1.tar", "\"org.cncf.model.filepath\":\"a\""), OME_E_UNSUPPORTED},
      {LAYER("application/vnd.docker.image.rootfs.diff.tar.gzip", ""), OME_E_UNSUPPORTED},
      {LAYER("x/y", "\"org.opencontainers.image.title\":\"a\",\"io.deis.oras.content.unpack\":\"true\""),
       OME_E_UNSUPPORTED},
      {LAYER("x/y", ""), OME_E_UNSUPPORTED},
      {"{\"layers\":[{\"digest\":\"sha512:00\",\"annotations\":{\"org.opencontainers.image.title\":\"a\"}}]}",
       OME_E_UNSUPPORTED},
      {"{\"layers\":[{\"digest\":\"sha256:" HEX "\",\"annotations\":{\"org.opencontainers.image.title\":\"a\"}}]}",
       OME_E_INVALID},
      {"{\"layers\":[]}", OME_OK},
  };

  (void)state;
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct json_object *o = NULL;
    struct found f = {0};
    struct ome_err err = {0};
    assert_int_equal(oras_manifest_read(cases[i].text, strlen(cases[i].text), "test", &o, &err), OME_OK);
    assert_int_equal(oras_manifest_files(o, "test", on_file, &f, &err), cases[i].rc);
    json_object_put(o);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(reads_addresses), cmocka_unit_test(reads_challenges),
                                     cmocka_unit_test(finds_credentials), cmocka_unit_test(orders_what_is_put),
                                     cmocka_unit_test(says_what_it_cannot_do)};

  return cmocka_run_group_tests(tests, NULL, NULL);
}
