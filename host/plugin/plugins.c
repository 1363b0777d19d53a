/* The registry: which plugins there are, and instances of their factories. */
#include "base/log.h"
#include "base/str.h"
#include "plugin/conf.h"
#include "plugin/internal.h"
#include "plugin/keys.h"
#include "plugin/loader.h"

#include <stdio.h>
#include <string.h>

/* ---- what plugins get from us ----------------------------------------------------------------------------------- */

static void host_log(const struct ome_host *host, int32_t level, const char *topic, const char *msg) {
  (void)host;
  if (level < OME_LOG_ERROR || level > OME_LOG_DEBUG)
    level = OME_LOG_INFO;
  log_write((enum log_level)level, topic ? topic : "plugin", "%s", msg ? msg : "");
}

static const void *host_service(const struct ome_host *host, const char *id) {
  const struct plugins *p = host->ctx;

  for (size_t i = 0; i < p->nservices; i++)
    if (streq(p->services[i].id, id))
      return p->services[i].table;
  return NULL;
}

/* ---- loading ---------------------------------------------------------------------------------------------------- */

static void instance_free(struct plugin_instance *i) {
  if (!i)
    return;
  if (atomic_load(&i->made) && i->factory->from->create)
    i->factory->from->destroy(i->self);
  (void)pthread_mutex_destroy(&i->lock);
  (void)pthread_mutex_destroy(&i->factory->lock);
  free(i->factory);
  free(i);
}

static void row_free(struct plugin_row *r) {
  free(r->file);
  json_unref(r->settings);
  free(r);
}

void plugins_free(struct plugins *p) {
  if (!p)
    return;
  for (size_t i = 0; i < p->instances.len; i++)
    instance_free(p->instances.items[i]);
  for (size_t i = 0; i < p->rows.len; i++)
    row_free(p->rows.items[i]);
  VEC_FREE(&p->instances);
  VEC_FREE(&p->rows);
  free(p->services);
  free(p);
}

static struct plugin_instance *instance_new(struct plugins *p, const struct ome_factory *f, const union ops *ops,
                                            struct json_object *settings) {
  struct plugin_instance *i = calloc(1, sizeof(*i));

  if (!i)
    return NULL;
  i->factory = calloc(1, sizeof(*i->factory));
  if (!i->factory) {
    free(i);
    return NULL;
  }
  i->factory->from = f;
  i->factory->ops = *ops;
  i->host = &p->host;
  i->settings = settings;
  (void)pthread_mutex_init(&i->lock, NULL);
  (void)pthread_mutex_init(&i->factory->lock, NULL);
  return i;
}

/* Settings are wrong when the plugin is loaded, not at its first use. */
static int32_t check_settings(const struct ome_factory *f, struct json_object *settings, struct ome_err *err) {
  struct keys keys;
  int32_t rc = keys_resolve(f, settings, &keys, err);

  if (rc == OME_OK)
    keys_fini(&keys);
  return rc;
}

static int32_t check_setting_names(const struct ome_plugin *plugin, struct json_object *settings, struct ome_err *err) {
  if (!settings)
    return OME_OK;
  json_object_object_foreach (settings, name, v) {
    const struct ome_factory *const *f = plugin->factories;
    (void)v;
    while (*f && !streq((*f)->name, name))
      f++;
    if (!*f)
      return fail(err, OME_E_INVALID, "settings name the factory \"%s\", which it does not have", name);
  }
  return OME_OK;
}

static int32_t add_factories(struct plugins *p, struct plugin_row *row, struct ome_err *err) {
  int32_t rc = check_setting_names(row->plugin, row->settings, err);

  for (const struct ome_factory *const *f = row->plugin->factories; rc == OME_OK && *f; f++) {
    union ops ops;
    struct json_object *settings = json_get(row->settings, (*f)->name);
    int32_t known = copy_ops(*f, &ops, err);
    if (known == OME_E_UNSUPPORTED) {
      log_info("plugin", "%s: %s", row->file, err->msg);
      continue;
    }
    rc = known == OME_OK ? check_settings(*f, settings, err) : known;
    if (rc == OME_OK && plugins_find(p, (*f)->kind, (*f)->name))
      rc = fail(err, OME_E_EXISTS, "there is a %s named %s already", (*f)->kind, (*f)->name);
    struct plugin_instance *i = rc == OME_OK ? instance_new(p, *f, &ops, settings) : NULL;
    if (rc == OME_OK && (!i || !VEC_PUSH(&p->instances, i))) {
      instance_free(i);
      rc = fail_memory(err);
    }
  }
  return rc;
}

/* Instances that a refused plugin got in before it failed go again. */
static void drop_since(struct plugins *p, size_t n) {
  while (p->instances.len > n)
    instance_free(p->instances.items[--p->instances.len]);
}

static int32_t load_one(struct plugins *p, const struct conf_plugin *c, struct ome_err *err) {
  struct plugin_row *row = calloc(1, sizeof(*row));
  size_t before = p->instances.len;

  if (!row || !VEC_PUSH(&p->rows, row)) {
    free(row);
    return fail_memory(err);
  }
  row->file = strdup(c->file);
  row->settings = json_copy(c->settings);
  int32_t rc = loader_open(c->file, c->sha256, &row->plugin, &row->err);
  if (rc == OME_OK) {
    rc = negotiate(row->plugin, &row->err);
    if (rc == OME_OK)
      rc = add_factories(p, row, &row->err);
    if (rc != OME_OK)
      (void)fail_prefix(&row->err, "%s", c->file);
  }
  if (rc == OME_OK)
    return OME_OK;
  drop_since(p, before);
  row->state = PLUGIN_REFUSED;
  row->plugin = NULL;
  if (c->required) {
    *err = row->err;
    return fail_prefix(err, "required plugin");
  }
  log_warning("plugin", "refused: %s", row->err.msg);
  return OME_OK;
}

int32_t plugins_load(const char *conf_path, const struct plugin_service *services, size_t nservices,
                     struct plugins **out, struct ome_err *err) {
  _cleanup_(conf_fini) struct conf conf = {{0}};
  _cleanup_(plugins_freep) struct plugins *p = calloc(1, sizeof(*p));
  int32_t rc = p ? conf_load(conf_path, &conf, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  p->services = calloc(nservices + 1, sizeof(*p->services));
  if (!p->services)
    return fail_memory(err);
  if (nservices)
    memcpy(p->services, services, nservices * sizeof(*services));
  p->nservices = nservices;
  p->host = (struct ome_host){
      .struct_size = sizeof(p->host), .abi_minor = OME_ABI_MINOR, .ctx = p, .log = host_log, .service = host_service};
  for (size_t i = 0; rc == OME_OK && i < conf.plugins.len; i++)
    rc = load_one(p, &conf.plugins.items[i], err);
  if (rc == OME_OK)
    *out = TAKE_PTR(p);
  return rc;
}

/* ---- looking up ------------------------------------------------------------------------------------------------- */

struct plugin_instance *plugins_find(struct plugins *p, const char *kind, const char *name) {
  for (size_t i = 0; p && i < p->instances.len; i++) {
    const struct ome_factory *f = p->instances.items[i]->factory->from;
    if (streq(f->kind, kind) && streq(f->name, name))
      return p->instances.items[i];
  }
  return NULL;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(plugin_instance_name(*(struct plugin_instance *const *)a),
                plugin_instance_name(*(struct plugin_instance *const *)b));
}

size_t plugins_of_kind(struct plugins *p, const char *kind, struct plugin_instance **out, size_t max) {
  size_t n = 0;

  for (size_t i = 0; p && i < p->instances.len; i++)
    if (streq(p->instances.items[i]->factory->from->kind, kind)) {
      if (n < max)
        out[n] = p->instances.items[i];
      n++;
    }
  if (n > 1)
    qsort(out, n < max ? n : max, sizeof(struct plugin_instance *), compare_names);
  return n;
}

const char *plugin_instance_name(const struct plugin_instance *i) {
  return i->factory->from->name;
}

/* ---- `ome plugin list` ------------------------------------------------------------------------------------------ */

static const char *thread_name(uint32_t threads) {
  static const char *const names[] = {"serial", "per-instance", "parallel"};

  return threads < ARRAY_LEN(names) ? names[threads] : "unknown";
}

static struct json_object *describe_keys(const struct ome_factory *f) {
  struct json_object *list = json_object_new_array();

  for (const struct ome_key *const *k = f->keys; k && *k; k++) {
    struct json_object *o = json_add_object(list);
    (void)json_set_str(o, "name", (*k)->name);
    (void)json_set_str(o, "type", key_type_name((*k)->type));
    (void)json_set_bool(o, "required", ((*k)->flags & OME_KEY_REQUIRED) != 0);
    if ((*k)->dflt)
      (void)json_set_str(o, "default", (*k)->dflt);
    (void)json_set_str(o, "doc", (*k)->doc);
  }
  return list;
}

static struct json_object *describe_factories(const struct ome_plugin *plugin) {
  struct json_object *list = json_object_new_array();

  for (const struct ome_factory *const *f = plugin->factories; *f; f++) {
    struct json_object *o = json_add_object(list);
    (void)json_set_str(o, "kind", (*f)->kind);
    (void)json_set_str(o, "name", (*f)->name);
    (void)json_set_str(o, "threads", thread_name((*f)->threads));
    (void)json_set(o, "keys", describe_keys(*f));
  }
  return list;
}

static struct json_object *describe(const struct plugin_row *row) {
  struct json_object *o = json_object_new_object();
  const struct ome_plugin *plugin = row->plugin;
  const char *base = strrchr(row->file, '/');

  (void)json_set_str(o, "name", plugin ? plugin->name : base ? base + 1 : row->file);
  if (plugin) {
    _cleanup_free_ char *abi = str_printf("%u.%u", plugin->abi_epoch, plugin->abi_minor);
    (void)json_set_str(o, "version", plugin->version);
    (void)json_set_str(o, "license", plugin->license);
    (void)json_set_str(o, "summary", plugin->summary);
    (void)json_set_str(o, "abi", abi);
  }
  (void)json_set_str(o, "file", row->file);
  (void)json_set(o, "factories", plugin ? describe_factories(plugin) : json_object_new_array());
  (void)json_set_str(o, "state", row->state == PLUGIN_LOADED ? "loaded" : "refused");
  (void)json_set_str(o, "error", row->state == PLUGIN_LOADED ? "" : row->err.msg);
  return o;
}

struct json_object *plugins_list(struct plugins *p) {
  struct json_object *list = json_object_new_array();

  for (size_t i = 0; p && i < p->rows.len; i++)
    (void)json_add(list, describe(p->rows.items[i]));
  return list;
}
