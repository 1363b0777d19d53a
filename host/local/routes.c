/* The gateway's routes, from the InferenceServices and the pods that are ready behind them. */
#include "local/local_int.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/vec.h"
#include "kube/meta.h"
#include "local/endpoints.h"

#include <string.h>

struct routing {
  struct local *l;
  struct json_object *services, *slices; /* of all namespaces */
  VEC(struct gateway_route) list;        /* strings are new */
};

static struct json_object *find(struct json_object *list, const char *ns, const char *name) {
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *o = json_index(list, i);
    if (streq(meta_name(o), name) && streq(meta_namespace(o), ns))
      return o;
  }
  return NULL;
}

/* "IP:PORT,IP:PORT" of the pods behind the first port of SERVICE; NULL: none is ready.  New. */
static char *backends(struct routing *r, struct json_object *service) {
  _cleanup_json_ struct json_object *mine = json_object_new_array();
  _cleanup_buf_ struct buf out = BUF_INIT;

  for (size_t i = 0; i < json_len(r->slices); i++) {
    struct json_object *slice = json_index(r->slices, i);
    if (streq(meta_namespace(slice), meta_namespace(service)) &&
        streq(meta_label(slice, "kubernetes.io/service-name"), meta_name(service)))
      (void)json_add(mine, json_object_get(slice));
  }
  _cleanup_json_ struct json_object *targets = endpoint_targets(mine, json_index(json_at(service, "spec.ports"), 0));
  for (size_t i = 0; i < json_len(targets); i++)
    buf_addf(&out, "%s%s", out.len ? "," : "", json_object_get_string(json_index(targets, i)));
  return out.len ? buf_take(&out) : NULL;
}

/* What the service itself says about not being ready; new. */
static char *reason(struct json_object *isvc) {
  static const char *const types[] = {"Ready", "RouterReady", "EngineReady", "DecoderReady", "IngressReady"};
  struct json_object *conditions = json_at(isvc, "status.conditions");
  const char *model = json_str(isvc, "status.modelStatus.lastFailureInfo.message", NULL);

  if (model && *model)
    return strdup(model);
  for (size_t i = 0; i < ARRAY_LEN(types); i++) {
    struct json_object *c = json_find(conditions, "type", types[i]);
    const char *message = json_str(c, "message", ""), *why = json_str(c, "reason", "");
    if (c && !streq(json_str(c, "status", ""), "True") && (*message || *why))
      return *message ? strdup(message) : strdup(why);
  }
  return strdup("none of its pods is ready yet");
}

static void route_fini(const struct gateway_route *route) {
  free((void *)(uintptr_t)route->ns);
  free((void *)(uintptr_t)route->name);
  free((void *)(uintptr_t)route->backend);
  free((void *)(uintptr_t)route->not_ready_why);
  free((void *)(uintptr_t)route->wakes);
}

/* WAKES: the Knative Service that requests wait for; NULL: they do not. */
static void add_route(struct routing *r, const char *ns, const char *name, struct json_object *service,
                      struct json_object *isvc, const char *wakes) {
  struct gateway_route route = {strdup(ns), strdup(name), service ? backends(r, service) : NULL, reason(isvc),
                                wakes ? strdup(wakes) : NULL};

  if (!route.ns || !route.name || !VEC_PUSH(&r->list, route))
    route_fini(&route);
}

/* Whether the Knative Service is there and has shown that it starts: before, an error is better than a long wait. */
static bool scales_from_zero(struct routing *r, const char *ns, const char *name) {
  _cleanup_json_ struct json_object *service = kube_cache_get(r->l->caches[CACHE_KNATIVE], ns, name);

  return service && streq(meta_condition(service, "Ready"), "True");
}

/* The service by its own name leads to its router, or else its engine; each component is there by its name, too. */
static void add_isvc(struct routing *r, struct json_object *isvc) {
  static const char *const components[] = {"router", "engine", "decoder", "predictor"};
  const char *ns = meta_namespace(isvc), *name = meta_name(isvc);
  struct json_object *entry = NULL, *own = find(r->services, ns, name);
  _cleanup_free_ char *wakes = NULL;

  for (size_t i = 0; i < ARRAY_LEN(components); i++) {
    _cleanup_free_ char *full = str_printf("%s-%s", name, components[i]);
    struct json_object *service = full ? find(r->services, ns, full) : NULL;
    if (!service && own && full && !entry && !wakes && scales_from_zero(r, ns, full)) {
      add_route(r, ns, full, own, isvc, full);
      wakes = TAKE_PTR(full);
    }
    if (!service)
      continue;
    if (!entry && !streq(components[i], "decoder"))
      entry = service;
    add_route(r, ns, full, service, isvc, NULL);
  }
  add_route(r, ns, name, entry ? entry : own, isvc, entry ? NULL : wakes);
}

int32_t routes_reconcile(void *arg, const char *ns UNUSED, const char *name UNUSED, uint64_t *requeue_ms UNUSED,
                         struct ome_err *err) {
  struct local *l = arg;
  _cleanup_json_ struct json_object *isvcs = kube_cache_list(l->caches[CACHE_ISVCS], NULL);
  struct routing r = {.l = l,
                      .services = kube_cache_list(l->caches[CACHE_SERVICES], NULL),
                      .slices = kube_cache_list(l->caches[CACHE_SLICES], NULL)};

  for (size_t i = 0; i < json_len(isvcs); i++)
    add_isvc(&r, json_index(isvcs, i));
  int32_t rc = gateway_set_routes(l->gateway, r.list.items, r.list.len, err);
  for (size_t i = 0; i < r.list.len; i++)
    route_fini(&r.list.items[i]);
  VEC_FREE(&r.list);
  json_unref(r.services);
  json_unref(r.slices);
  return rc;
}
