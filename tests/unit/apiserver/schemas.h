/* A workload kind and a few others, by hand: as much schema as merging goes by. */
#ifndef TESTS_UNIT_APISERVER_SCHEMAS_H
#define TESTS_UNIT_APISERVER_SCHEMAS_H

#include "api/schema.h"
#include "base/str.h"

#define FREE_LENGTHS .min_length = -1, .max_length = -1
#define OBJECT(props)                                                                                                  \
  { .type = SCHEMA_OBJECT, .properties = (props), .nproperties = ARRAY_LEN(props), FREE_LENGTHS }

static const struct schema text_schema = {.type = SCHEMA_STRING, FREE_LENGTHS};
static const struct schema integer_schema = {.type = SCHEMA_INTEGER, FREE_LENGTHS};
static const struct schema int_or_string_schema = {.type = SCHEMA_INT_OR_STRING, FREE_LENGTHS};
static struct schema protocol_schema = {.type = SCHEMA_STRING, FREE_LENGTHS}; /* default TCP: schemas_setup() */
static const struct schema text_map_schema = {.type = SCHEMA_OBJECT, .additional = &text_schema, FREE_LENGTHS};
static const struct schema atomic_texts_schema = {.type = SCHEMA_ARRAY, .items = &text_schema, FREE_LENGTHS};
static const struct schema text_set_schema = {
    .type = SCHEMA_ARRAY, .items = &text_schema, .list_type = SCHEMA_LIST_SET, .patch_merge = true, FREE_LENGTHS};

static const char *const name_key[] = {"name", NULL};
static const char *const port_keys[] = {"containerPort", "protocol", NULL};
static const char *const mount_keys[] = {"mountPath", NULL};
static const char *const type_key[] = {"type", NULL};
#define KEYED(item, keys, merge_key)                                                                                   \
  {                                                                                                                    \
    .type = SCHEMA_ARRAY, .items = (item), .list_type = SCHEMA_LIST_MAP, .list_map_keys = (keys), .patch_merge = true, \
    .patch_merge_key = (merge_key), FREE_LENGTHS                                                                       \
  }

static const struct schema_property env_props[] = {{"name", &text_schema}, {"value", &text_schema}};
static const struct schema env_schema = OBJECT(env_props);
static const struct schema envs_schema = KEYED(&env_schema, name_key, "name");
static const struct schema_property port_props[] = {
    {"containerPort", &integer_schema}, {"name", &text_schema}, {"protocol", &protocol_schema}};
static const struct schema port_schema = OBJECT(port_props);
static const struct schema ports_schema = KEYED(&port_schema, port_keys, "containerPort");
static const struct schema_property mount_props[] = {{"mountPath", &text_schema}, {"name", &text_schema}};
static const struct schema mount_schema = OBJECT(mount_props);
static const struct schema mounts_schema = KEYED(&mount_schema, mount_keys, "mountPath");
static const struct schema quantity_map_schema = {
    .type = SCHEMA_OBJECT, .additional = &int_or_string_schema, FREE_LENGTHS};
static const struct schema_property resources_props[] = {{"limits", &quantity_map_schema}};
static const struct schema resources_schema = OBJECT(resources_props);
static const struct schema_property container_props[] = {
    {"args", &atomic_texts_schema},  {"env", &envs_schema},    {"image", &text_schema},
    {"name", &text_schema},          {"ports", &ports_schema}, {"resources", &resources_schema},
    {"volumeMounts", &mounts_schema}};
static const struct schema container_schema = OBJECT(container_props);
static const struct schema containers_schema = KEYED(&container_schema, name_key, "name");

static const struct schema any_schema = {.type = SCHEMA_ANY, FREE_LENGTHS};
static const struct schema_property volume_props[] = {
    {"configMap", &any_schema}, {"emptyDir", &any_schema}, {"name", &text_schema}};
static const struct schema volume_schema = OBJECT(volume_props);
static const struct schema volumes_schema = {.type = SCHEMA_ARRAY,
                                             .items = &volume_schema,
                                             .list_type = SCHEMA_LIST_MAP,
                                             .list_map_keys = name_key,
                                             .patch_merge = true,
                                             .patch_retain_keys = true,
                                             .patch_merge_key = "name",
                                             FREE_LENGTHS};
static const struct schema tolerations_schema = {.type = SCHEMA_ARRAY, .items = &any_schema, FREE_LENGTHS};
static const struct schema_property pod_props[] = {
    {"containers", &containers_schema}, {"tolerations", &tolerations_schema}, {"volumes", &volumes_schema}};
static const struct schema pod_schema = OBJECT(pod_props);
static const struct schema_property template_props[] = {{"spec", &pod_schema}};
static const struct schema template_schema = {.type = SCHEMA_OBJECT,
                                              .properties = template_props,
                                              .nproperties = ARRAY_LEN(template_props),
                                              .embedded_resource = true,
                                              FREE_LENGTHS};

static const struct schema_property selector_props[] = {{"matchLabels", &text_map_schema}};
static const struct schema selector_schema = {.type = SCHEMA_OBJECT,
                                              .properties = selector_props,
                                              .nproperties = ARRAY_LEN(selector_props),
                                              .map_atomic = true,
                                              FREE_LENGTHS};
static const struct schema_property rolling_props[] = {{"maxSurge", &int_or_string_schema}};
static const struct schema rolling_schema = OBJECT(rolling_props);
static const struct schema_property strategy_props[] = {{"rollingUpdate", &rolling_schema}, {"type", &text_schema}};
static const struct schema strategy_schema = OBJECT(strategy_props);
static const struct schema_property spec_props[] = {{"replicas", &integer_schema},
                                                    {"selector", &selector_schema},
                                                    {"strategy", &strategy_schema},
                                                    {"template", &template_schema}};
static const struct schema spec_schema = OBJECT(spec_props);
static const struct schema_property condition_props[] = {
    {"reason", &text_schema}, {"status", &text_schema}, {"type", &text_schema}};
static const struct schema condition_schema = OBJECT(condition_props);
static const struct schema conditions_schema = KEYED(&condition_schema, type_key, "type");
static const struct schema_property status_props[] = {{"conditions", &conditions_schema}, {"phase", &text_schema}};
static const struct schema status_schema = OBJECT(status_props);
static const struct schema_property workload_props[] = {{"spec", &spec_schema}, {"status", &status_schema}};
static const struct schema workload_schema = OBJECT(workload_props);

/* data, and every list type a custom resource may have */
static const struct schema loose_schema = {.type = SCHEMA_OBJECT, .preserve_unknown = true, FREE_LENGTHS};
static const struct schema_property thing_props[] = {
    {"args", &atomic_texts_schema}, {"data", &text_map_schema}, {"loose", &loose_schema},   {"pair", &env_schema},
    {"ports", &ports_schema},       {"tags", &text_set_schema}, {"whole", &selector_schema}};
static const struct schema thing_schema = OBJECT(thing_props);

static inline int schemas_setup(void **state) {
  (void)state;
  protocol_schema.dflt = json_object_new_string("TCP");
  return protocol_schema.dflt ? 0 : -1;
}

static inline int schemas_teardown(void **state) {
  (void)state;
  json_unref(protocol_schema.dflt);
  return 0;
}

#endif
