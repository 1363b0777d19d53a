/* Texts in pods that users write: variables, paths below mounts, downward API paths, hosts and paths at the gateway. */
#include "gateway/table.h"
#include "local/podspec.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct gateway_route route = {"ns", "a", "127.0.0.1:1", NULL, NULL};
  char inside[] = "/a", deeper[] = "/a/b", real[] = "/r", other[] = "/o";
  struct mount_map maps[] = {{inside, real}, {deeper, other}};
  struct mount_maps all = {.list = {maps, 2, 2}};
  struct ome_err err = {0};
  struct strv env = {0};
  struct table table;
  struct match match;
  char *text = strndup((const char *)data, size);
  struct json_object *pod = json_object_new_object();

  (void)json_set_str(pod, "metadata.labels.a", "b");
  (void)strv_setenv(&env, "A", "value");
  free(expand_variables(text, &env));
  free(rewrite_paths(text, &all));
  free(field_value(pod, text));
  if (table_init(&table) && table_set(&table, &route, 1, &err) == 0) {
    table_match(&table, text, text, &match);
    if (match.route && match.prefix_len > strlen(text))
      abort();
  }
  table_fini(&table);
  strv_fini(&env);
  json_object_put(pod);
  free(text);
  return 0;
}
