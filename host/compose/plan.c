#include "compose/plan.h"

#include "base/str.h"
#include "compose/adapters.h"
#include "compose/claim.h"
#include "compose/cluster.h"
#include "compose/extras.h"
#include "compose/fold.h"
#include "compose/inert.h"
#include "compose/names.h"
#include "compose/overlays.h"
#include "kube/meta.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PLUGIN_MAX_OBJECTS 64 /* a component has no use for more */

/* ---- problems ---------------------------------------------------------------------------------------------------- */

void plan_refuse(struct plan *p, const char *condition, const char *reason, const char *fmt, ...) {
  va_list ap;

  if (p->nproblems == ARRAY_LEN(p->problems))
    return;
  struct plan_problem *x = &p->problems[p->nproblems++];
  x->condition = condition;
  (void)snprintf(x->reason, sizeof(x->reason), "%s", reason);
  va_start(ap, fmt);
  (void)vsnprintf(x->message, sizeof(x->message), fmt, ap);
  va_end(ap);
}

static const char *condition_of(const char *kind) {
  return streq(kind, "engine") ? "EngineReady" : streq(kind, "decoder") ? "DecoderReady" : "RouterReady";
}

static const char *service_name(const struct plan *p) {
  return json_str(p->service, "metadata.name", "");
}

static const char *service_ns(const struct plan *p) {
  return json_str(p->service, "metadata.namespace", "default");
}

/* ---- model and runtime ------------------------------------------------------------------------------------------- */

struct json_object *plan_find_model(struct json_object *models, const char *ns, const char *name) {
  struct json_object *cluster = NULL;

  for (size_t i = 0; i < json_len(models); i++) {
    struct json_object *m = json_index(models, i);
    if (!streq(json_str(m, "metadata.name", ""), name))
      continue;
    if (streq(json_str(m, "kind", ""), "ClusterBaseModel"))
      cluster = m;
    else if (streq(json_str(m, "metadata.namespace", "default"), ns))
      return m;
  }
  return cluster;
}

/* Where a claim holds the model, the service's pods have to be able to mount it. */
static void check_claim(const struct plan_world *world, struct plan *p) {
  _cleanup_(claim_fini) struct claim claim = {0};
  struct ome_err err = ERR_INIT;

  if (!claim_is(json_str(p->model, "spec.storage.storageUri", "")))
    return;
  if (claim_of_model(p->model, service_ns(p), &claim, &err) != OME_OK) {
    plan_refuse(p, "ModelReady", "PVCInvalid", "%s", err.msg);
    return;
  }
  int32_t rc = claim_check(&claim, service_ns(p), world->claims, &err);
  if (rc == OME_E_NOT_FOUND)
    plan_refuse(p, "ModelReady", "PVCNotFound", "model %s: %s", meta_name(p->model), err.msg);
  else if (rc == OME_E_UNAVAILABLE)
    (void)snprintf(p->claim_waits, sizeof(p->claim_waits), "model %s: %s", meta_name(p->model), err.msg);
}

static void find_model(const struct plan_world *world, struct plan *p) {
  const char *name = json_str(p->service, "spec.model.name", "");

  if (!*name) {
    if (!*json_str(p->service, "spec.runtime.name", ""))
      plan_refuse(
          p, "ModelReady", "ModelReconcileError",
          "spec.model.name: model reference is required, unless spec.runtime.name names a runtime that brings its "
          "own");
    return;
  }
  p->model = plan_find_model(world->models, service_ns(p), name);
  if (!p->model)
    plan_refuse(
        p, "ModelReady", "ModelNotFound",
        "spec.model.name: neither ClusterBaseModel nor BaseModel found with name %s; apply one, or a BaseModel into the "
        "service's own namespace, the service follows by itself",
        name);
  else if (json_flag(p->model, "spec.disabled", false))
    plan_refuse(p, "ModelReady", "ModelReconcileError", "specified base model %s is disabled", name);
  else if (streq(json_str(p->model, "spec.distribution", ""), "Sharded"))
    plan_refuse(
        p, "ModelReady", "ModelReconcileError",
        "spec.model.name: the distribution of model %s is Sharded, which no runtime serves; leave it out, or write "
        "PerNode",
        name);
  check_claim(world, p);
}

static int32_t find_weights(const struct plan_world *world, struct plan *p, struct ome_err *err) {
  const struct adapters_search search = {
      .all = world->weights,
      .service = p->service,
      .model = p->model,
      .cluster = world->cluster,
      .claims = world->claims,
  };
  const char *reason = "";
  int32_t rc = p->model ? adapters_find(&search, &p->weights, &reason, err) : OME_OK;

  if (rc != OME_E_INVALID)
    return rc;
  plan_refuse(p, "ModelReady", reason, "%s", err->msg);
  err_clear(err);
  return OME_OK;
}

static const char *selection_reason(const struct selection *s) {
  if (s->code == OME_E_UNAVAILABLE)
    return "ModelNotReady";
  if (s->code == OME_E_INVALID)
    return "InvalidModel";
  if (s->code == OME_E_DENIED)
    return "RuntimeDisabled";
  if (s->code == OME_E_CORRUPT)
    return "RuntimeInheritanceError";
  if (s->code == OME_E_CONFLICT)
    return "RuntimePinError";
  return s->named ? "RuntimeNotFound" : "NoSupportingRuntime";
}

/* A component whose class is named and not there would run on whatever comes. */
static void check_accelerators(struct plan *p) {
  const struct accelerator_choice *engine = &p->selection->engine;
  const struct accelerator_choice *decoder = &p->selection->decoder;

  if (engine->named && engine->code != OME_OK)
    plan_refuse(p, "EngineReady", "AcceleratorClassError", "%s", engine->reason);
  if (decoder->named && decoder->code != OME_OK)
    plan_refuse(p, "DecoderReady", "AcceleratorClassError", "%s", decoder->reason);
}

static int32_t select_for(const struct plan_world *world, struct plan *p, struct ome_err *err) {
  struct select_request req = {
      .service = p->service,
      .ns = service_ns(p),
      .model = p->model,
      .runtimes = world->runtimes,
      .field = world->field,
      .accelerators = world->accelerators,
      .revisions = world->revisions,
      .scorers = world->scorers,
      .nscorers = world->nscorers,
  };

  if (!p->model && p->nproblems)
    return OME_OK;
  int32_t rc = select_runtime(&req, &p->selection, err);
  if (rc == OME_E_NO_MEMORY)
    return rc;
  if (rc != OME_OK) {
    plan_refuse(p, "RuntimeReady", "RuntimeSelectionError", "%s", err->msg);
    return OME_OK;
  }
  if (!p->selection->chosen) {
    plan_refuse(p, "RuntimeReady", selection_reason(p->selection), "%s", p->selection->reason);
    return OME_OK;
  }
  check_accelerators(p);
  rc = fold_runtime(p->selection->chosen->runtime->doc, &p->runtime, err);
  if (rc != OME_E_INVALID)
    return rc;
  plan_refuse(p, "RuntimeReady", "InvalidSpec", "%s", err->msg);
  return OME_OK;
}

/* ---- rendering --------------------------------------------------------------------------------------------------- */

struct collect {
  struct ome_object_sink sink;
  struct json_object *objects;
  size_t count;
  struct ome_err err;
};

static int32_t on_object(struct ome_object_sink *s, struct ome_bytes text) {
  struct collect *c = s->ctx;
  struct json_object *o = NULL;

  if (c->count >= PLUGIN_MAX_OBJECTS)
    return fail(&c->err, OME_E_INVALID, "more than %d objects", PLUGIN_MAX_OBJECTS);
  int32_t rc = json_parse(text.ptr, text.len, 0, &o, &c->err);
  if (rc != OME_OK)
    return rc;
  if (!*json_str(o, "apiVersion", "") || !*json_str(o, "kind", "") || !*json_str(o, "metadata.name", "")) {
    json_unref(o);
    return fail(&c->err, OME_E_INVALID, "an object without apiVersion, kind or metadata.name");
  }
  if (json_object_array_add(c->objects, o) != 0) {
    json_unref(o);
    return fail_memory(&c->err);
  }
  c->count++;
  return OME_OK;
}

static struct ome_bytes bytes_of(const char *text) {
  return text ? (struct ome_bytes){text, strlen(text)} : (struct ome_bytes){"", 0};
}

/* What plugins are asked with, once for all of them. */
static int32_t write_texts(const struct plan_world *world, struct plan *p, struct ome_err *err) {
  struct plan_texts *t = &p->texts;

  *t = (struct plan_texts){json_text(p->service), json_text(p->components),
                           world->cluster ? json_text(world->cluster) : NULL};
  bool ok = t->service && t->components && (t->cluster || !world->cluster);
  for (size_t i = 0; i < p->nparts; i++)
    ok &= (p->parts[i].text = json_text(p->parts[i].doc)) != NULL;
  return ok ? OME_OK : fail_memory(err);
}

static struct ome_render_req render_request(const struct plan *p, const struct plan_component *component) {
  return (struct ome_render_req){
      .struct_size = sizeof(struct ome_render_req),
      .service = bytes_of(p->texts.service),
      .component = bytes_of(component ? component->text : NULL),
      .components = bytes_of(p->texts.components),
      .cluster = bytes_of(p->texts.cluster),
  };
}

/* ---- APIs -------------------------------------------------------------------------------------------------------- */

struct missing {
  struct ome_object_sink sink;
  struct json_object *cluster;
  char api[192]; /* the first that the cluster does not have; "": none */
};

static int32_t on_need(struct ome_object_sink *s, struct ome_bytes text) {
  struct missing *m = s->ctx;
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  char version[128];

  int32_t rc = json_parse(text.ptr, text.len, 0, &o, &err);
  if (rc != OME_OK)
    return rc;
  const char *group = json_str(o, "group", "");
  const char *kind = json_str(o, "kind", "");
  (void)snprintf(version, sizeof(version), "%s%s%s", group, *group ? "/" : "", json_str(o, "version", ""));
  if (!*m->api && !cluster_has(m->cluster, version, kind))
    (void)snprintf(m->api, sizeof(m->api), "%s (%s)", kind, version);
  return OME_OK;
}

/* Whether the cluster has what the plugin is going to render. */
static bool check_apis(const struct plan_world *world, struct plan *p, const char *condition,
                       struct plugin_instance *plugin, const struct ome_render_req *req) {
  struct missing m = {.cluster = world->cluster};
  struct ome_err err = ERR_INIT;

  m.sink = (struct ome_object_sink){.struct_size = sizeof(m.sink), .ctx = &m, .object = on_need};
  int32_t rc = plugin_needs(plugin, req, &m.sink, &err);
  if (rc != OME_OK && rc != OME_E_UNSUPPORTED) {
    plan_refuse(p, condition, "PluginError", "%s: %s", plugin_instance_name(plugin), err.msg);
    return false;
  }
  if (*m.api)
    plan_refuse(p, condition, PLAN_API_MISSING,
                "%s renders %s, which the cluster does not have; install its CRD, the service follows by itself",
                plugin_instance_name(plugin), m.api);
  return !*m.api;
}

static void render_part(const struct plan_world *world, struct plan *p, const char *kind, const char *name,
                        const char *condition, const struct plan_component *component, struct plan_part *out) {
  struct plugin_call call = {0};
  struct collect c = {.objects = p->objects, .err = ERR_INIT};
  struct ome_err err = ERR_INIT;

  c.sink = (struct ome_object_sink){.struct_size = sizeof(c.sink), .ctx = &c, .object = on_object};
  out->plugin = plugins_find(world->plugins, kind, name);
  if (!out->plugin) {
    plan_refuse(p, condition, "PluginMissing", "%s \"%s\" is not there; see ome plugin list", kind, name);
    return;
  }
  out->first = json_len(p->objects);
  struct ome_render_req req = render_request(p, component);
  /* What cannot be scaled can still run: the controller says what is missing when it comes to it. */
  if (!streq(kind, OME_KIND_AUTOSCALER) && !check_apis(world, p, condition, out->plugin, &req))
    return;
  int32_t rc = plugin_render(out->plugin, &call, &req, &c.sink, &err);
  out->count = c.count;
  if (c.err.code != OME_OK)
    plan_refuse(p, condition, "PluginError", "%s \"%s\": %s", kind, name, c.err.msg);
  else if (rc != OME_OK)
    plan_refuse(p, condition, rc == OME_E_INVALID ? "InvalidSpec" : "PluginError", "%s", err.msg);
}

/* ---- components -------------------------------------------------------------------------------------------------- */

/* What is computed for engines is in the record; what does not fit is a warning, as it may be known better. */
static int32_t compose_components(const struct plan_world *world, struct plan *p, struct ome_err *err) {
  struct tune tune = {
      .plugins = world->plugins,
      .model = &p->selection->model,
      .runtime = p->selection->chosen->runtime,
      .record = p->tuning,
  };

  for (size_t i = 0; i < COMPONENT_KINDS; i++) {
    const char *kind = component_kinds[i];
    if (!json_get(json_get(p->service, "spec"), kind))
      continue;
    struct component_request req = {
        .kind = kind,
        .service = p->service,
        .model = p->model,
        .weights = p->weights,
        .overlays = p->overlays,
        .runtime = p->runtime,
        .entry = p->selection->chosen->score.entry ? p->selection->chosen->score.entry->doc : NULL,
        .accelerator = selection_accelerator(p->selection, kind),
        .cluster = world->cluster,
        .peers = p->components,
        .tune = world->plugins && p->model ? &tune : NULL,
    };
    struct plan_component *c = &p->parts[p->nparts];
    int32_t rc = component_compose(&req, &c->doc, &c->mode, err);
    if (rc == OME_E_NO_MEMORY)
      return rc;
    if (rc != OME_OK) {
      plan_refuse(p, condition_of(kind), "InvalidSpec", "%s", err->msg);
      continue;
    }
    c->kind = kind;
    p->nparts++;
    if (json_object_array_add(p->components, json_object_get(c->doc)) != 0)
      return fail_memory(err);
  }
  if (*tune.unfit)
    selection_warn(p->selection, "%s", tune.unfit);
  return OME_OK;
}

static void check_components(struct plan *p) {
  struct json_object *spec = json_get(p->service, "spec");
  struct ome_err err = ERR_INIT;

  if (!json_get(spec, "engine"))
    plan_refuse(p, "EngineReady", "DeploymentModeError", "%s",
                json_get(spec, "decoder") ? "a decoder needs an engine beside it: add spec.engine"
                                          : "engine component is required: add spec.engine ({} takes the runtime's)");
  if (inert_check(p->service, &err) != OME_OK)
    plan_refuse(p, "EngineReady", "ScalingModeNotImplemented", "%s", err.msg);
}

static void render_all(const struct plan_world *world, struct plan *p) {
  for (size_t i = 0; i < p->nparts; i++) {
    struct plan_component *c = &p->parts[i];
    const char *scaler = json_str(c->doc, "autoscaler", "none");
    render_part(world, p, OME_KIND_DEPLOYMENT, c->mode->plugin, condition_of(c->kind), c, &c->deployment);
    /* "external" owns the count from outside: there is nothing to render. */
    if (!streq(scaler, "none") && !streq(scaler, "external"))
      render_part(world, p, OME_KIND_AUTOSCALER, scaler, "AutoscalerReady", c, &c->autoscaler);
  }
  /* The entry is the last of engine, decoder, router that there is. */
  if (p->nparts > 0)
    render_part(world, p, OME_KIND_INGRESS,
                cluster_ingress(world->cluster, p->service, p->parts[p->nparts - 1].mode->name), "IngressReady", NULL,
                &p->ingress);
}

/* ---- finishing --------------------------------------------------------------------------------------------------- */

/* Sorted keys make equal documents equal bytes, whatever order the input's maps came in. */
static struct json_object *finished(struct plan *p, struct json_object *o) {
  if (!*json_str(o, "metadata.namespace", "") && !json_set_str(o, "metadata.namespace", service_ns(p)))
    return NULL;
  if (!meta_label(o, LABEL_SERVICE)) {
    _cleanup_free_ char *value = name_label_value(service_name(p));
    if (!value)
      return NULL;
    meta_set_label(o, LABEL_SERVICE, value);
  }
  if (*meta_uid(p->service))
    meta_set_owner(o, p->service);
  return json_sorted(o);
}

static bool same_object(struct json_object *a, struct json_object *b) {
  return streq(json_str(a, "apiVersion", ""), json_str(b, "apiVersion", "")) &&
         streq(json_str(a, "kind", ""), json_str(b, "kind", "")) && streq(meta_name(a), meta_name(b));
}

/* Without memory for a warning there is none. */
__attribute__((format(printf, 2, 3))) static void warn(struct plan *p, const char *fmt, ...) {
  char text[2048];
  va_list ap;

  va_start(ap, fmt);
  (void)vsnprintf(text, sizeof(text), fmt, ap);
  va_end(ap);
  if (p->warnings)
    (void)json_object_array_add(p->warnings, json_object_new_string(text));
}

/* What scaling has to say of each component, of fields without effect and models that are not there. */
static int32_t gather_warnings(struct plan *p, struct ome_err *err) {
  p->warnings = inert_fields(p->service);
  for (size_t i = 0; p->warnings && i < p->nparts; i++) {
    struct json_object *doc = p->parts[i].doc;
    const char *warning = json_str(doc, "scaling.warning", "");
    if (*warning)
      warn(p, "%s: %s", json_str(doc, "scaling.field", ""), warning);
    if (json_get(json_get(json_get(p->service, "spec"), p->parts[i].kind), "deploymentStrategy") &&
        !streq(p->parts[i].mode->plugin, "raw"))
      warn(p, "spec.%s.deploymentStrategy has no effect in mode %s", p->parts[i].kind, p->parts[i].mode->name);
  }
  if (p->overlays_skipped)
    warn(p, "%s", p->overlays_skipped);
  return p->warnings ? OME_OK : fail_memory(err);
}

static int32_t finish(struct plan *p, struct ome_err *err) {
  for (size_t i = 0; i < json_len(p->objects); i++) {
    struct json_object *o = finished(p, json_index(p->objects, i));
    if (!o || json_object_array_put_idx(p->objects, i, o) != 0)
      return fail_memory(err);
    for (size_t j = 0; j < i; j++)
      if (same_object(o, json_index(p->objects, j)))
        plan_refuse(p, "EngineReady", "NameConflict", "%s %s is wanted twice; give the service another name",
                    json_str(o, "kind", ""), meta_name(o));
  }
  return OME_OK;
}

/* Every object of the service, in apply order. */
static int32_t render_whole(const struct plan_world *world, struct plan *p, struct ome_err *err) {
  struct plan_component *last = &p->parts[p->nparts - 1];
  int32_t rc = extras_render(p->service, p->model, p->weights, streq(last->kind, "router") ? last->doc : NULL,
                             world->cluster, p->objects, err);

  if (rc == OME_OK)
    rc = write_texts(world, p, err);
  if (rc != OME_OK)
    return rc;
  render_all(world, p);
  return finish(p, err);
}

/* Served elsewhere, as the service itself says: neither model nor runtime are looked at, and nothing is rendered. */
static bool is_virtual(const struct plan *p) {
  struct json_object *mode = json_get(json_at(p->service, "metadata.annotations"), "ome.io/deploymentMode");

  return mode && streq(json_object_get_string(mode), "VirtualDeployment");
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static int32_t run(const struct plan_world *world, struct json_object *service, struct plan *p, struct ome_err *err) {
  int32_t rc = fold_service(service, &p->service, err);

  if (rc == OME_E_INVALID) {
    p->service = json_object_get(service);
    plan_refuse(p, "EngineReady", "InvalidSpec", "%s", err->msg);
    return OME_OK;
  }
  if (rc != OME_OK)
    return rc;
  p->components = json_object_new_array();
  p->objects = json_object_new_array();
  p->tuning = json_object_new_array();
  if (!p->components || !p->objects || !p->tuning)
    return fail_memory(err);
  p->is_virtual = is_virtual(p);
  if (p->is_virtual)
    return OME_OK;
  find_model(world, p);
  rc = find_weights(world, p, err);
  if (rc == OME_OK)
    rc = overlays_find(world, p, err);
  if (rc == OME_OK)
    rc = select_for(world, p, err);
  if (rc == OME_OK)
    check_components(p);
  if (rc != OME_OK || !p->runtime)
    return rc;
  rc = compose_components(world, p, err);
  if (rc == OME_OK)
    rc = gather_warnings(p, err);
  return rc == OME_OK && p->nproblems == 0 ? render_whole(world, p, err) : rc;
}

int32_t plan_service(const struct plan_world *world, struct json_object *service, struct plan **out,
                     struct ome_err *err) {
  struct plan *p = calloc(1, sizeof(*p));

  if (!p)
    return fail_memory(err);
  int32_t rc = run(world, service, p, err);
  if (rc != OME_OK) {
    plan_free(p);
    return rc;
  }
  *out = p;
  return OME_OK;
}

void plan_free(struct plan *p) {
  if (!p)
    return;
  for (size_t i = 0; i < ARRAY_LEN(p->parts); i++) {
    json_unref(p->parts[i].doc);
    free(p->parts[i].text);
  }
  selection_free(p->selection);
  json_unref(p->service);
  json_unref(p->weights);
  json_unref(p->overlays);
  free(p->overlays_skipped);
  json_unref(p->runtime);
  json_unref(p->components);
  free(p->texts.service);
  free(p->texts.components);
  free(p->texts.cluster);
  json_unref(p->tuning);
  json_unref(p->objects);
  json_unref(p->warnings);
  free(p);
}

/* ---- observation ------------------------------------------------------------------------------------------------- */

#define MAX_ADDRESSES 32

static int32_t on_address(struct ome_object_sink *s, struct ome_bytes text) {
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  int32_t rc = json_parse(text.ptr, text.len, 0, &o, &err);

  if (rc == OME_OK && (!*json_str(o, "url", "") || json_len(s->ctx) >= MAX_ADDRESSES))
    rc = OME_E_INVALID;
  if (rc == OME_OK && json_object_array_add(s->ctx, o) == 0)
    return OME_OK;
  json_unref(o);
  return rc == OME_OK ? OME_E_NO_MEMORY : rc;
}

int32_t plan_observe(const struct plan *p, const struct plan_part *part, const struct plan_component *component,
                     struct json_object *observed, struct json_object *addresses, struct ome_status *out,
                     struct ome_err *err) {
  struct plugin_call call = {0};
  struct ome_object_sink sink = {.struct_size = sizeof(sink), .ctx = addresses, .object = on_address};
  struct ome_render_req req = render_request(p, component);
  const char *live = json_view(observed);

  *out = (struct ome_status){.struct_size = sizeof(*out), .addresses = addresses ? &sink : NULL};
  int32_t rc = plugin_observe(part->plugin, &call, &req, bytes_of(live), out, err);
  out->addresses = NULL; /* it lived for the call */
  return rc;
}
