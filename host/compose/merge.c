#include "compose/merge.h"

#include "apiserver/patch.h"
#include "base/str.h"

#include <pthread.h>
#include <string.h>

/* ---- schemas: PodSpec with runner, leader and worker beside its own fields --------------------------------------- */

struct shape {
  struct schema schema;
  struct schema_property properties[96];
};

static struct {
  const struct schema *pod;
  const struct schema *container;
  struct shape group;     /* leader, worker */
  struct shape component; /* engine, decoder, router */
} shapes;

static int by_name(const void *a, const void *b) {
  const struct schema_property *x = a;
  const struct schema_property *y = b;

  return strcmp(x->name, y->name);
}

static void extend_pod(struct shape *out, const struct schema_property *more, size_t nmore) {
  size_t n = 0;

  for (size_t i = 0; shapes.pod && i < shapes.pod->nproperties && n + nmore < ARRAY_LEN(out->properties); i++)
    out->properties[n++] = shapes.pod->properties[i];
  for (size_t i = 0; i < nmore; i++)
    out->properties[n++] = more[i];
  qsort(out->properties, n, sizeof(*out->properties), by_name);
  out->schema = (struct schema){.type = SCHEMA_OBJECT,
                                .properties = out->properties,
                                .nproperties = n,
                                .preserve_unknown = true,
                                .min_length = -1,
                                .max_length = -1};
}

static void make_shapes(void) {
  const struct schema *pod = schema_builtin("", "v1", "Pod");

  shapes.pod = pod ? schema_field(pod, "spec") : NULL;
  const struct schema *containers = shapes.pod ? schema_field(shapes.pod, "containers") : NULL;
  shapes.container = containers ? containers->items : NULL;
  const struct schema_property runner = {"runner", shapes.container};
  const size_t nrunner = shapes.container ? 1 : 0;
  extend_pod(&shapes.group, &runner, nrunner);
  const struct schema_property groups[] = {{"leader", &shapes.group.schema}, {"worker", &shapes.group.schema}, runner};
  extend_pod(&shapes.component, groups, 2 + nrunner);
}

static void need_shapes(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  (void)pthread_once(&once, make_shapes);
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

/* What a person left empty is not there: null would delete, and "" would erase a container's name. */
static struct json_object *without_nulls(struct json_object *o) {
  if (json_is(o, json_type_array)) {
    struct json_object *a = json_object_new_array();
    for (size_t i = 0; a && i < json_len(o); i++)
      if (json_index(o, i))
        (void)json_add(a, without_nulls(json_index(o, i)));
    return a;
  }
  if (!json_is(o, json_type_object))
    return json_object_get(o);
  struct json_object *out = json_object_new_object();
  json_object_object_foreach (o, key, value) {
    if (out && value)
      (void)json_put(out, key, without_nulls(value));
  }
  return out;
}

static void drop_empty_name(struct json_object *runner) {
  struct json_object *name = json_get(runner, "name");

  if (name && !*json_object_get_string(name))
    json_del(runner, "name");
}

int32_t merge_component(struct json_object *base, struct json_object *patch, struct json_object **out,
                        struct ome_err *err) {
  _cleanup_json_ struct json_object *from = base ? without_nulls(base) : json_object_new_object();
  _cleanup_json_ struct json_object *over = without_nulls(patch);

  need_shapes();
  if (!from || !over)
    return fail_memory(err);
  /* What accelerator the runtime's author had in mind is said by acceleratorRequirements. */
  json_del(from, "acceleratorOverride");
  drop_empty_name(json_get(over, "runner"));
  drop_empty_name(json_at(over, "leader.runner"));
  drop_empty_name(json_at(over, "worker.runner"));
  return patch_strategic(from, over, &shapes.component.schema, out, err);
}

int32_t merge_container(struct json_object *base, struct json_object *patch, struct json_object **out,
                        struct ome_err *err) {
  need_shapes();
  return patch_strategic(base, patch, shapes.container, out, err);
}
