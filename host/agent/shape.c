#include "agent/shape.h"

#include "base/str.h"

#include <string.h>

#define MAX_MAP ((size_t)64 << 10)

static const struct {
  const char *type, *name;
} shapes[] = {{"BM.GPU.A10.4", "A10"},      {"BM.GPU.A100-v2.8", "A100-80G"},
              {"BM.GPU4.8", "A100-40G"},    {"BM.GPU.B4.8", "A100-40G"},
              {"BM.GPU.H100.8", "H100"},    {"BM.GPU.H100-NC.8", "H100"},
              {"p5.48xlarge", "H100"},      {"Standard_ND96isr_H100_v5", "H100"},
              {"a3-highgpu-8g", "H100"},    {"gd-8xh100ib-i128", "H100"},
              {"gpu-h100-sxm", "H100"},     {"BM.GPU.H200.8", "H200"},
              {"BM.GPU.H200-NC.8", "H200"}, {"gd-8xh200ib-i128", "H200"},
              {"gpu-h200-sxm", "H200"},     {"BM.GPU.B200.8", "B200"},
              {"gpu-b200-sxm", "B200"},     {"gd-8xl40-i128", "L40"},
              {"gpu-l40s", "L40S"}};

/* Label names have dots. */
static const char *instance_type(struct json_object *node) {
  static const char *const labels[] = {"node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type"};

  for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
    struct json_object *v = json_get(json_at(node, "metadata.labels"), labels[i]);
    if (json_is(v, json_type_string) && *json_object_get_string(v))
      return json_object_get_string(v);
  }
  return NULL;
}

static int32_t look_up(const char *text, const char *type, char room[SHAPE_TEXT], const char **out,
                       struct ome_err *err) {
  _cleanup_json_ struct json_object *map = NULL;
  struct ome_err why = ERR_INIT;

  if (json_parse(text, strlen(text), MAX_MAP, &map, &why) != OME_OK || !json_is(map, json_type_object))
    return fail(err, OME_E_INVALID, "INSTANCE_TYPE_MAP: is no JSON object from instance types to short names");
  struct json_object *v = json_get(map, type);
  const char *name = json_is(v, json_type_string) ? json_object_get_string(v) : type;
  if (strlen(name) >= SHAPE_TEXT)
    return fail(err, OME_E_INVALID, "INSTANCE_TYPE_MAP: the short name of %.60s is too long", type);
  memcpy(room, name, strlen(name) + 1);
  *out = room;
  return OME_OK;
}

int32_t shape_of_model(struct json_object *model, struct json_object *node, const char *map, char room[SHAPE_TEXT],
                       const char **out, struct ome_err *err) {
  const char *type = instance_type(node);

  *out = NULL;
  if (!type || !streq(json_str(model, "spec.modelFormat.name", ""), "tensorrtllm"))
    return OME_OK;
  if (map && *map)
    return look_up(map, type, room, out, err);
  *out = type;
  for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
    if (streq(shapes[i].type, type))
      *out = shapes[i].name;
  return OME_OK;
}
