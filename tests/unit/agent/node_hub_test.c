/* Which models a node shows to everybody, and by which names. */
#include "../unit.h"

#include "../documents.h"

#include "agent/node_hub.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "compose/names.h"

static const struct {
  const char *storage;
  bool has_token, open;
} sights[] = {
    {"storageUri: 'hf://a/b'", false, true},
    {"storageUri: 'hf://a/b', key: ''", false, true},
    {"storageUri: 'hf://a/b'", true, false},
    {"storageUri: 'hf://a/b', key: secret", false, false},
    {"storageUri: 'hf://a/b', parameters: {revision: x, include: '*.json', maxRate: 20M}", false, true},
    {"storageUri: 'hf://a/b', parameters: {token: x}", false, false},
    {"storageUri: 'hf://a/b', parameters: {secretKey: x}", false, false},
    {"storageUri: 'hf://a/b', parameters: {of_tomorrow: x}", false, false},
    {"storageUri: 'https://host/model.gguf'", true, true},
    {"storageUri: 'https://host/model.gguf', key: secret", false, false},
    {"storageUri: 'https://user:password@host/model.gguf'", false, false},
    {"storageUri: 'https://host/model.gguf?signature=x'", false, false},
    {"storageUri: 's3://bucket/model'", false, false},
    {"storageUri: 'oci://n/ns/b/bucket/o/model'", false, false},
    {"storageUri: 'local:///models/x'", false, false},
    {"path: /x", false, false},
};

static void shows_what_needs_no_credential(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(sights); i++) {
    _cleanup_free_ char *text = str_printf("{spec: {storage: {%s}}}", sights[i].storage);
    _cleanup_json_ struct json_object *model = yaml(text);
    if (node_hub_is_open(model, sights[i].has_token) != sights[i].open)
      fail_msg("%s: it should be %s", text, sights[i].open ? "open" : "closed");
  }
}

static const struct {
  const char *ns, *uri, *name;
} names[] = {
    {NULL, "hf://org/name", "org/name"},
    {"team", "hf://org/name@v1", "org/name"},
    {NS_WEIGHTS, "hf://org/name@refs/pr/1", "org/name"},
    {NULL, "hf://gpt2", "gpt2"},
    {NULL, "hf://org/name/part", "x"}, /* its files are not where the repository has them */
    {NULL, "https://host/m.gguf", "x"},
    {"team", "https://host/m.gguf", "team/x"},
    {NS_WEIGHTS, "https://host/m.gguf", "x"},
};

static void calls_models_by_their_repositories(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(names); i++) {
    _cleanup_free_ char *text = str_printf("{metadata: {name: x}, spec: {storage: {storageUri: '%s'}}}", names[i].uri);
    _cleanup_json_ struct json_object *model = yaml(text);
    _cleanup_free_ char *name = node_hub_name(names[i].ns, model);
    assert_string_equal(name, names[i].name);
  }
}

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define ANOTHER "f123456789abcdef0123456789abcdef01234567"

static const struct {
  const char *storage, *commit, *revision;
  enum node_hub_fit fit;
} revisions[] = {
    {"storageUri: 'hf://a/b'", COMMIT, "main", NODE_HUB_MEANT},
    {"storageUri: 'hf://a/b'", COMMIT, COMMIT, NODE_HUB_MEANT},
    {"storageUri: 'hf://a/b'", COMMIT, ANOTHER, NODE_HUB_OTHER},
    {"storageUri: 'hf://a/b'", COMMIT, "v1", NODE_HUB_OTHER},
    {"storageUri: 'hf://a/b'", "", ANOTHER, NODE_HUB_OTHER},
    {"storageUri: 'hf://a/b@v1'", COMMIT, "v1", NODE_HUB_MEANT},
    {"storageUri: 'hf://a/b@v1'", COMMIT, COMMIT, NODE_HUB_MEANT},
    {"storageUri: 'hf://a/b@v1'", COMMIT, "main", NODE_HUB_INSTEAD},
    {"storageUri: 'hf://a/b@refs/pr/1'", COMMIT, "refs/pr/1", NODE_HUB_MEANT},
    {"storageUri: 'hf://a/b@" COMMIT "'", COMMIT, "main", NODE_HUB_INSTEAD},
    {"storageUri: 'hf://a/b@main', parameters: {revision: v2}", COMMIT, "v2", NODE_HUB_MEANT},
    {"storageUri: 'hf://a/b@v1', parameters: {revision: v2}", COMMIT, "v1", NODE_HUB_OTHER},
    {"storageUri: 'https://host/m.gguf'", "", "v1", NODE_HUB_MEANT}, /* it has no revisions */
};

static void tells_revisions_apart(void **state) {
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(revisions); i++) {
    _cleanup_free_ char *text = str_printf("{spec: {storage: {%s}}}", revisions[i].storage);
    _cleanup_json_ struct json_object *model = yaml(text);
    if (node_hub_fits(model, revisions[i].commit, revisions[i].revision) != revisions[i].fit)
      fail_msg("%s at %s does not fit %s so", text, revisions[i].commit, revisions[i].revision);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shows_what_needs_no_credential),
      cmocka_unit_test(calls_models_by_their_repositories),
      cmocka_unit_test(tells_revisions_apart),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
