#include "compose/offline.h"

#include "api/schema.h"
#include "base/str.h"
#include "compose/cluster.h"
#include "compose/names.h"

#include <string.h>

/* ---- checking ---------------------------------------------------------------------------------------------------- */

/* "KIND NAME: WHAT" into LIST. */
static bool say(struct json_object *list, struct json_object *doc, const char *what) {
  _cleanup_free_ char *text =
      what ? str_printf("%s %s: %s", json_str(doc, "kind", ""), json_str(doc, "metadata.name", ""), what) : NULL;

  return text && json_add_str(list, text);
}

static bool drop_unknown(struct offline *o, const struct schema *s, struct json_object *doc) {
  _cleanup_json_ struct json_object *unknown = json_object_new_array();
  _cleanup_json_ struct json_object *remarks = json_object_new_array();
  bool ok = unknown && remarks;

  if (ok) {
    schema_prune(s, doc, unknown);
    schema_remark(s, doc, remarks);
  }
  for (size_t i = 0; ok && i < json_len(unknown); i++) {
    _cleanup_free_ char *what = str_printf("unknown field \"%s\"", json_as_str(json_index(unknown, i), ""));
    ok = say(o->warnings, doc, what);
  }
  for (size_t i = 0; ok && i < json_len(remarks); i++)
    ok = say(o->warnings, doc, json_as_str(json_index(remarks, i), ""));
  return ok;
}

/* As the API server reads an object, in the same order. */
static bool check(struct offline *o, struct json_object *doc) {
  const struct schema *s = schema_builtin("ome.io", "v1beta1", json_str(doc, "kind", ""));
  struct field_errors errors = {0};

  if (!s)
    return true;
  bool ok = drop_unknown(o, s, doc);
  schema_default(s, doc);
  schema_validate(s, doc, NULL, &errors);
  for (size_t i = 0; ok && i < errors.list.len; i++) {
    _cleanup_free_ char *what = str_printf("%s: %s", errors.list.items[i].field, errors.list.items[i].message);
    ok = say(o->problems, doc, what);
  }
  field_errors_fini(&errors);
  return ok;
}

/* ---- sorting ----------------------------------------------------------------------------------------------------- */

static bool same_name(struct json_object *a, struct json_object *b) {
  return streq(json_str(a, "kind", ""), json_str(b, "kind", "")) &&
         streq(json_str(a, "metadata.namespace", "default"), json_str(b, "metadata.namespace", "default")) &&
         streq(json_str(a, "metadata.name", ""), json_str(b, "metadata.name", ""));
}

static bool put(struct json_object *array, struct json_object *doc) {
  for (size_t i = 0; i < json_len(array); i++)
    if (same_name(json_index(array, i), doc))
      return json_object_array_put_idx(array, i, json_object_get(doc)) == 0;
  return json_add(array, json_object_get(doc));
}

static struct json_object *array_for(struct offline *o, const char *kind) {
  const struct {
    const char *kind;
    struct json_object *array;
  } table[] = {{"InferenceService", o->services},          {"BaseModel", o->world.models},
               {"ClusterBaseModel", o->world.models},      {"FineTunedWeight", o->world.weights},
               {"ServingRuntime", o->world.runtimes},      {"ClusterServingRuntime", o->world.runtimes},
               {"AcceleratorClass", o->world.accelerators}};

  for (size_t i = 0; i < ARRAY_LEN(table); i++)
    if (streq(table[i].kind, kind))
      return table[i].array;
  return NULL;
}

static int by_name(const void *a, const void *b) {
  struct json_object *const *x = a;
  struct json_object *const *y = b;
  int c = strcmp(json_str(*x, "metadata.namespace", "default"), json_str(*y, "metadata.namespace", "default"));

  return c ? c : strcmp(json_str(*x, "metadata.name", ""), json_str(*y, "metadata.name", ""));
}

static int32_t sort_in(struct offline *o, struct json_object *docs, struct json_object **config, struct ome_err *err) {
  for (size_t i = 0; i < json_len(docs); i++) {
    struct json_object *doc = json_index(docs, i);
    const char *kind = json_str(doc, "kind", "");
    struct json_object *array = has_prefix(json_str(doc, "apiVersion", ""), "ome.io/") ? array_for(o, kind) : NULL;
    if (array && (!check(o, doc) || !put(array, doc)))
      return fail_memory(err);
    if (streq(kind, "ControllerRevision") && !put(o->world.revisions, doc))
      return fail_memory(err);
    if (streq(kind, "ConfigMap") && streq(json_str(doc, "metadata.name", ""), "inferenceservice-config"))
      *config = doc;
  }
  json_object_array_sort(o->services, by_name);
  return OME_OK;
}

int32_t offline_init(struct offline *o, struct json_object *docs, bool embedded, struct plugins *plugins,
                     struct ome_err *err) {
  struct json_object *config = NULL;

  memset(o, 0, sizeof(*o));
  o->services = json_object_new_array();
  o->problems = json_object_new_array();
  o->warnings = json_object_new_array();
  o->world.models = json_object_new_array();
  o->world.weights = json_object_new_array();
  o->world.runtimes = json_object_new_array();
  o->world.accelerators = json_object_new_array();
  o->world.revisions = json_object_new_array();
  o->world.plugins = plugins;
  o->world.field = &o->field;
  o->world.nscorers = select_scorers_of(plugins, o->world.scorers, PLAN_SCORERS);
  int32_t rc = OME_OK;
  if (!o->services || !o->problems || !o->warnings || !o->world.models || !o->world.weights || !o->world.runtimes ||
      !o->world.accelerators || !o->world.revisions)
    rc = fail_memory(err);
  if (rc == OME_OK)
    rc = sort_in(o, docs, &config, err);
  if (rc == OME_OK)
    rc = select_field_init(&o->field, o->world.runtimes, err);
  if (rc == OME_OK)
    rc = cluster_offline(embedded, config, &o->world.cluster, err);
  if (rc != OME_OK)
    offline_fini(o);
  return rc;
}

void offline_fini(struct offline *o) {
  select_field_fini(&o->field);
  json_unref(o->services);
  json_unref(o->problems);
  json_unref(o->warnings);
  json_unref(o->world.models);
  json_unref(o->world.weights);
  json_unref(o->world.runtimes);
  json_unref(o->world.accelerators);
  json_unref(o->world.revisions);
  json_unref(o->world.cluster);
  memset(o, 0, sizeof(*o));
}
