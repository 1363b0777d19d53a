#include "cli/render_table.h"

#include "base/str.h"
#include "cli/table.h"
#include "kube/meta.h"

#include <string.h>

/* Who makes an object, and for which part of the service. */
struct maker {
  const char *part;               /* a component's kind, or "service" */
  const char *kind;               /* of the plugin */
  struct plugin_instance *plugin; /* NULL: what does not depend on plugins */
};

static bool makes(const struct plan_part *p, size_t object) {
  return p->plugin && object >= p->first && object - p->first < p->count;
}

static struct maker maker_of(const struct plan *p, size_t object) {
  for (size_t i = 0; i < p->nparts; i++) {
    const struct plan_component *c = &p->parts[i];
    if (makes(&c->deployment, object))
      return (struct maker){c->kind, OME_KIND_DEPLOYMENT, c->deployment.plugin};
    if (makes(&c->autoscaler, object))
      return (struct maker){c->kind, OME_KIND_AUTOSCALER, c->autoscaler.plugin};
  }
  if (makes(&p->ingress, object))
    return (struct maker){"service", OME_KIND_INGRESS, p->ingress.plugin};
  return (struct maker){.part = "service"};
}

static struct json_object *row_of(const struct plan *p, size_t object) {
  struct json_object *o = json_index(p->objects, object), *row = json_object_new_object();
  struct maker m = maker_of(p, object);
  _cleanup_free_ char *service =
      str_printf("%s/%s", json_str(p->service, "metadata.namespace", "default"), meta_name(p->service));
  _cleanup_free_ char *plugin = m.plugin ? str_printf("%s:%s", m.kind, plugin_instance_name(m.plugin)) : strdup("");

  if (row && service && plugin && json_set_str(row, "service", service) && json_set_str(row, "part", m.part) &&
      json_set_str(row, "plugin", plugin) && json_set_str(row, "apiVersion", json_str(o, "apiVersion", "")) &&
      json_set_str(row, "kind", json_str(o, "kind", "")) && json_set_str(row, "name", meta_name(o)))
    return row;
  json_unref(row);
  return NULL;
}

int32_t render_table_add(struct json_object *rows, const struct plan *p, struct ome_err *err) {
  for (size_t i = 0; i < json_len(p->objects); i++) {
    struct json_object *row = row_of(p, i);
    if (!row || !json_add(rows, row))
      return fail_memory(err);
  }
  return OME_OK;
}

void render_table_print(struct json_object *rows) {
  static const char *const header[] = {"SERVICE", "PART", "PLUGIN", "API", "KIND", "NAME"};
  static const char *const fields[] = {"service", "part", "plugin", "apiVersion", "kind", "name"};
  struct table t = {0};

  table_add(&t, header, ARRAY_LEN(header));
  for (size_t i = 0; i < json_len(rows); i++) {
    const char *cells[ARRAY_LEN(fields)];
    for (size_t k = 0; k < ARRAY_LEN(fields); k++)
      cells[k] = table_dash(json_str(json_index(rows, i), fields[k], ""));
    table_add(&t, cells, ARRAY_LEN(cells));
  }
  table_print(&t);
}
