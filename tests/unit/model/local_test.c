/* Models in folders: no link leads out. */
#include "files.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char config[] = "{\"model_type\":\"llama\"}";

struct place {
  char root[64];
};

static void write_file(const struct place *p, const char *name, const char *text) {
  char path[256];

  (void)snprintf(path, sizeof(path), "%s/%s", p->root, name);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void make_dir(const struct place *p, const char *name) {
  char path[256];

  (void)snprintf(path, sizeof(path), "%s/%s", p->root, name);
  assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const struct place *p, const char *name, const char *to) {
  char path[256];

  (void)snprintf(path, sizeof(path), "%s/%s", p->root, name);
  assert_int_equal(symlink(to, path), 0);
}

static int32_t inspect(const struct place *p, const char *name, struct model_facts *f, struct ome_err *err) {
  char path[256];

  (void)snprintf(path, sizeof(path), "%s/%s", p->root, name);
  return model_facts_of_path(path, f, err);
}

static void clear(const struct place *p) {
  char command[128];

  (void)snprintf(command, sizeof(command), "rm -rf '%s'", p->root);
  assert_int_equal(system(command), 0); /* NOLINT: a folder of ours */
}

static void begin(struct place *p) {
  (void)snprintf(p->root, sizeof(p->root), "/tmp/ome-local-XXXXXX");
  assert_non_null(mkdtemp(p->root));
}

static void test_links(void **state) {
  _cleanup_model_facts_ struct model_facts f = {0};
  _cleanup_model_facts_ struct model_facts g = {0};
  struct model_facts none = {0};
  struct ome_err err = ERR_INIT;
  struct place p;

  (void)state;
  begin(&p);
  make_dir(&p, "out");
  write_file(&p, "secret", config);
  make_link(&p, "out/config.json", "../secret");
  assert_int_equal(inspect(&p, "out", &none, &err), OME_E_DENIED);
  assert_non_null(strstr(err.msg, "config.json is a link that leads out"));

  make_dir(&p, "in");
  write_file(&p, "in/real.json", config);
  make_link(&p, "in/config.json", "real.json");
  make_link(&p, "in/model.safetensors", "/etc/shadow");
  make_link(&p, "in/loop", ".");
  assert_int_equal(inspect(&p, "in", &f, &err), OME_OK);
  assert_string_equal(f.type, "llama");
  bool told = false;
  for (size_t i = 0; i < f.warnings.len; i++)
    told = told || strstr(f.warnings.items[i], "model.safetensors is a link that leads out");
  assert_true(told);

  make_dir(&p, "models--a--b");
  make_dir(&p, "models--a--b/blobs");
  make_dir(&p, "models--a--b/snapshots");
  make_dir(&p, "models--a--b/snapshots/1234");
  write_file(&p, "models--a--b/blobs/5678", config);
  make_link(&p, "models--a--b/snapshots/1234/config.json", "../../blobs/5678");
  assert_int_equal(inspect(&p, "models--a--b/snapshots/1234", &g, &err), OME_OK);
  assert_string_equal(g.type, "llama");
  clear(&p);
}

static void test_a_very_large_configuration(void **state) {
  struct model_facts none = {0};
  struct ome_err err = ERR_INIT;
  struct place p;
  char path[256];

  (void)state;
  begin(&p);
  write_file(&p, "config.json", config);
  (void)snprintf(path, sizeof(path), "%s/config.json", p.root);
  assert_int_equal(truncate(path, (off_t)1 << 30), 0);
  assert_int_equal(inspect(&p, "", &none, &err), OME_E_CORRUPT);
  assert_non_null(strstr(err.msg, "config.json: 1073741824 bytes are too many"));
  clear(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_links),
      cmocka_unit_test(test_a_very_large_configuration),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
