/* From a pod's document to command lines, environments and probes. */
#include "local/podspec.h"

#include "base/quantity.h"
#include "base/str.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct build {
  const struct pod_inputs *in;
  struct json_object *pod; /* a copy with the addresses in its status */
  struct json_object *container;
  struct mount_maps maps;
  struct container_spec *out;
};

/* Notes the first reason why the container cannot start. */
static void __attribute__((format(printf, 3, 4))) refuse(struct build *b, const char *reason, const char *fmt, ...) {
  va_list ap;

  if (b->out->reason)
    return;
  b->out->reason = strdup(reason);
  va_start(ap, fmt);
  if (vasprintf(&b->out->message, fmt, ap) < 0)
    b->out->message = NULL;
  va_end(ap);
}

/* ---- mounts ------------------------------------------------------------------------------------------------------ */

/* Without slashes at its end; new. */
static char *trimmed(const char *path) {
  size_t n = strlen(path);

  while (n > 1 && path[n - 1] == '/')
    n--;
  return str_copy(path, n);
}

/* Notes where INSIDE is, unless it is where it says; takes REAL. */
static void add_map(struct build *b, const char *inside, char *real) {
  struct mount_map m = {trimmed(inside), real};

  /* Shared memory is one for the machine: engines reach it by shm_open() and not by a path of ours. */
  bool same = !m.inside || streq(m.inside, "/dev/shm") || streq(m.inside, m.real);
  if (same || m.inside[0] != '/' || !m.inside[1] || !VEC_PUSH(&b->maps.list, m)) {
    free(m.inside);
    free(m.real);
  }
}

static void add_mount(struct build *b, struct json_object *mount) {
  const char *name = json_str(mount, "name", ""), *expr = json_str(mount, "subPathExpr", "");
  _cleanup_free_ char *sub = *expr ? expand_variables(expr, &b->out->env) : strdup(json_str(mount, "subPath", ""));

  if (!sub || (*sub && !path_is_safe(sub))) {
    refuse(b, "CreateContainerConfigError", "volumeMount \"%s\": subPath must be a relative path without \"..\"", name);
    return;
  }
  char *real = b->in->volume(b->in->arg, name, sub);
  if (real)
    add_map(b, json_str(mount, "mountPath", ""), real);
  else
    refuse(b, "CreateContainerConfigError", "volumeMount \"%s\": the pod has no volume of that name", name);
}

static void add_mounts(struct build *b) {
  struct json_object *mounts = json_get(b->container, "volumeMounts");

  for (size_t i = 0; i < json_len(mounts); i++)
    add_mount(b, json_index(mounts, i));
}

/* ---- environment ------------------------------------------------------------------------------------------------- */

/* The value of KEY in a ConfigMap or Secret (decoded); NULL: no such key.  New. */
static char *data_value(struct json_object *source, const char *kind, const char *key) {
  struct json_object *plain = json_get(json_get(source, "data"), key);
  struct json_object *binary = json_get(json_get(source, "binaryData"), key);
  size_t len;

  if (streq(kind, "Secret"))
    return plain ? base64_decode(json_object_get_string(plain), &len) : NULL;
  if (plain)
    return strdup(json_object_get_string(plain));
  return binary ? base64_decode(json_object_get_string(binary), &len) : NULL;
}

/* A ConfigMap or Secret, or NULL; refuses when it is needed and absent. */
static struct json_object *source_get(struct build *b, const char *kind, struct json_object *ref) {
  const char *name = json_str(ref, "name", "");
  struct json_object *o = NULL;
  int found = b->in->lookup(b->in->arg, kind, name, &o);

  if (found == 0 && !json_flag(ref, "optional", false))
    refuse(b, "CreateContainerConfigError", "%s \"%s\" not found", streq(kind, "Secret") ? "secret" : "configmap",
           name);
  else if (found < 0)
    refuse(b, "CreateContainerConfigError", "%s \"%s\" could not be read; trying again", kind, name);
  return o;
}

static char *key_value(struct build *b, const char *kind, struct json_object *ref) {
  _cleanup_json_ struct json_object *source = source_get(b, kind, ref);
  const char *key = json_str(ref, "key", "");
  char *value = source ? data_value(source, kind, key) : NULL;

  if (source && !value && !json_flag(ref, "optional", false))
    refuse(b, "CreateContainerConfigError", "couldn't find key %s in %s %s/%s", key, kind,
           b->in->pod ? meta_namespace(b->pod) : "", json_str(ref, "name", ""));
  return value;
}

static void env_from(struct build *b, struct json_object *from) {
  static const struct { const char *field, *kind; } kinds[] = {{"configMapRef", "ConfigMap"}, {"secretRef", "Secret"}};
  const char *prefix = json_str(from, "prefix", "");

  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    struct json_object *ref = json_get(from, kinds[i].field);
    _cleanup_json_ struct json_object *source = ref ? source_get(b, kinds[i].kind, ref) : NULL;
    struct json_object *data = json_get(source, "data");
    if (!data)
      continue;
    json_object_object_foreach (data, key, unused) {
      (void)unused;
      _cleanup_free_ char *name = str_printf("%s%s", prefix, key);
      _cleanup_free_ char *value = data_value(source, kinds[i].kind, key);
      if (name && value)
        (void)strv_setenv(&b->out->env, name, value);
    }
  }
}

/* New; NULL: the variable is not set. */
static char *env_value(struct build *b, struct json_object *e) {
  struct json_object *from = json_get(e, "valueFrom"), *ref;
  const char *name = json_str(e, "name", "");
  char *value;

  if (!from)
    return expand_variables(json_str(e, "value", ""), &b->out->env);
  if ((ref = json_get(from, "configMapKeyRef")))
    return key_value(b, "ConfigMap", ref);
  if ((ref = json_get(from, "secretKeyRef")))
    return key_value(b, "Secret", ref);
  if ((ref = json_get(from, "fieldRef"))) {
    value = field_value(b->pod, json_str(ref, "fieldPath", ""));
    if (!value)
      refuse(b, "CreateContainerConfigError", "env %s: fieldPath \"%s\" is not supported", name,
             json_str(ref, "fieldPath", ""));
    return value;
  }
  ref = json_get(from, "resourceFieldRef");
  value = ref ? resource_value(b->pod, b->in->node, json_str(b->container, "name", ""), ref) : NULL;
  if (!value)
    refuse(b, "CreateContainerConfigError", "env %s: valueFrom names nothing that can be read", name);
  return value;
}

static void build_env(struct build *b) {
  struct json_object *from = json_get(b->container, "envFrom"), *env = json_get(b->container, "env");

  for (size_t i = 0; i < b->in->base_env->len; i++)
    (void)strv_add(&b->out->env, strdup(b->in->base_env->items[i]));
  (void)strv_setenv(&b->out->env, "HOSTNAME", meta_name(b->pod));
  if (json_flag(b->pod, "spec.enableServiceLinks", true))
    service_variables(b->in->services, &b->out->env);
  for (size_t i = 0; i < json_len(from); i++)
    env_from(b, json_index(from, i));
  for (size_t i = 0; i < json_len(env); i++) {
    struct json_object *e = json_index(env, i);
    _cleanup_free_ char *value = env_value(b, e);
    if (value)
      (void)strv_setenv(&b->out->env, json_str(e, "name", ""), value);
  }
}

static void rewrite_all(struct build *b, struct strv *v) {
  for (size_t i = 0; b->maps.list.len && i < v->len; i++) {
    char *new_text = rewrite_paths(v->items[i], &b->maps);
    if (new_text) {
      free(v->items[i]);
      v->items[i] = new_text;
    }
  }
}

/* ---- command line ------------------------------------------------------------------------------------------------ */

static void add_words(struct build *b, struct json_object *words, struct strv *out) {
  for (size_t i = 0; i < json_len(words); i++)
    (void)strv_add(out, expand_variables(json_object_get_string(json_index(words, i)), &b->out->env));
}

static void build_command(struct build *b) {
  struct json_object *command = json_get(b->container, "command"), *args = json_get(b->container, "args");
  const char *dir = json_str(b->container, "workingDir", NULL);

  if (!json_len(command) && !json_len(args)) {
    refuse(b, "ErrImageNeverPull",
           "image \"%s\" cannot be run: this machine runs commands, not images; give the container a command",
           b->out->image);
    return;
  }
  if (!json_len(command)) {
    refuse(b, "ErrImageNeverPull",
           "image \"%s\" has no entry point on this machine, which runs commands, not images; "
           "give the container a command before its args",
           b->out->image);
    return;
  }
  add_words(b, command, &b->out->argv);
  add_words(b, args, &b->out->argv);
  rewrite_all(b, &b->out->argv);
  if (dir && *dir)
    b->out->dir = rewrite_paths(dir, &b->maps);
}

/* ---- probes and hooks -------------------------------------------------------------------------------------------- */

/* A port number, or the container's port of that name; 0: none. */
static uint16_t port_of(struct build *b, struct json_object *v) {
  int64_t n = json_is(v, json_type_int) ? json_object_get_int64(v) : 0;

  if (json_is(v, json_type_string) && !str_to_i64(json_object_get_string(v), &n)) {
    struct json_object *port = json_find(json_get(b->container, "ports"), "name", json_object_get_string(v));
    n = json_i64(port, "containerPort", 0);
  }
  return n > 0 && n <= UINT16_MAX ? (uint16_t)n : 0;
}

static void build_http(struct build *b, struct json_object *get, struct action *out) {
  struct json_object *headers = json_get(get, "httpHeaders");
  const char *host = json_str(get, "host", NULL), *path = json_str(get, "path", "/");
  bool tls = streq(json_str(get, "scheme", "HTTP"), "HTTPS");
  uint16_t port = port_of(b, json_get(get, "port"));

  if (!port) {
    refuse(b, "CreateContainerConfigError", "httpGet.port names no port of container \"%s\"", b->out->name);
    return;
  }
  out->kind = ACTION_HTTP;
  out->url = str_printf("%s://%s:%u%s%s", tls ? "https" : "http", host && *host ? host : b->in->pod_ip, port,
                        path[0] == '/' ? "" : "/", path);
  for (size_t i = 0; i < json_len(headers); i++) {
    struct json_object *h = json_index(headers, i);
    (void)strv_add(&out->headers, str_printf("%s: %s", json_str(h, "name", ""), json_str(h, "value", "")));
  }
}

static void build_action(struct build *b, struct json_object *o, struct action *out) {
  struct json_object *part;

  if ((part = json_get(o, "exec"))) {
    out->kind = ACTION_EXEC;
    add_words(b, json_get(part, "command"), &out->argv);
    rewrite_all(b, &out->argv);
    if (!out->argv.len)
      out->kind = ACTION_NONE;
  } else if ((part = json_get(o, "httpGet"))) {
    build_http(b, part, out);
  } else if ((part = json_get(o, "tcpSocket")) || (part = json_get(o, "grpc"))) { /* grpc: that it listens */
    const char *host = json_str(part, "host", NULL);
    out->kind = ACTION_TCP;
    out->host = strdup(host && *host ? host : b->in->pod_ip);
    out->port = port_of(b, json_get(part, "port"));
    if (!out->port)
      refuse(b, "CreateContainerConfigError", "tcpSocket.port names no port of container \"%s\"", b->out->name);
  }
}

static uint32_t bounded(struct json_object *o, const char *key, int64_t dflt) {
  int64_t n = json_i64(o, key, dflt);

  return n < 0 ? 0 : n > INT32_MAX / 1000 ? INT32_MAX / 1000 : (uint32_t)n;
}

static uint32_t at_least_one(uint32_t n) {
  return n ? n : 1;
}

static void build_probe(struct build *b, const char *key, struct probe *out) {
  struct json_object *o = json_get(b->container, key);

  if (!o)
    return;
  build_action(b, o, &out->action);
  out->initial_delay_s = bounded(o, "initialDelaySeconds", 0);
  out->period_s = at_least_one(bounded(o, "periodSeconds", 10));
  out->timeout_s = at_least_one(bounded(o, "timeoutSeconds", 1));
  out->success = at_least_one(bounded(o, "successThreshold", 1));
  out->failure = at_least_one(bounded(o, "failureThreshold", 3));
}

/* ---- the whole
 * -----------------------------------------------------------------------------------------------------------------------
 */

static void build_limits(struct build *b) {
  struct json_object *limits = json_at(b->container, "resources.limits");

  (void)quantity_value(json_str(limits, "memory", ""), &b->out->memory_bytes);
  (void)quantity_milli(json_str(limits, "cpu", ""), &b->out->cpu_milli);
}

static void build_container(struct build *b) {
  struct json_object *c = b->container;

  b->out->name = strdup(json_str(c, "name", ""));
  b->out->image = strdup(json_str(c, "image", ""));
  b->out->log_fallback = streq(json_str(c, "terminationMessagePolicy", ""), "FallbackToLogsOnError");
  build_env(b);
  add_mounts(b);
  rewrite_all(b, &b->out->env);
  build_command(b);
  build_probe(b, "startupProbe", &b->out->startup);
  build_probe(b, "readinessProbe", &b->out->readiness);
  build_probe(b, "livenessProbe", &b->out->liveness);
  build_action(b, json_at(c, "lifecycle.preStop"), &b->out->pre_stop);
  build_action(b, json_at(c, "lifecycle.postStart"), &b->out->post_start);
  build_limits(b);
  if (b->out->reason)
    strv_fini(&b->out->argv);
}

static bool build_containers(const struct pod_inputs *in, struct json_object *pod, struct json_object *containers,
                             bool init, struct pod_spec *out) {
  for (size_t i = 0; i < json_len(containers); i++) {
    struct container_spec c = {0};
    struct build b = {.in = in, .pod = pod, .container = json_index(containers, i), .out = &c};
    bool sidecar = init && streq(json_str(b.container, "restartPolicy", ""), "Always");
    c.role = sidecar ? CONTAINER_SIDECAR : init ? CONTAINER_INIT : CONTAINER_MAIN;
    build_container(&b);
    mount_maps_fini(&b.maps);
    if (!c.name || !c.image || !VEC_PUSH(&out->containers, c)) {
      container_spec_fini(&c);
      return false;
    }
  }
  return true;
}

struct pod_spec *pod_spec_build(const struct pod_inputs *in) {
  _cleanup_json_ struct json_object *pod = json_copy(in->pod);
  _cleanup_(pod_spec_freep) struct pod_spec *p = calloc(1, sizeof(*p));
  const char *policy = json_str(pod, "spec.restartPolicy", "Always");

  if (!pod || !p || !json_set_str(pod, "status.podIP", in->pod_ip) ||
      !json_set_str(pod, "status.hostIP", in->node_ip) || !json_set_str(pod, "spec.nodeName", in->node_name))
    return NULL;
  p->ns = strdup(meta_namespace(pod));
  p->name = strdup(meta_name(pod));
  p->uid = strdup(meta_uid(pod));
  p->ip = strdup(in->pod_ip);
  p->restart = streq(policy, "Never")       ? RESTART_NEVER
               : streq(policy, "OnFailure") ? RESTART_ON_FAILURE
                                            : RESTART_ALWAYS;
  p->grace_s = json_i64(pod, "spec.terminationGracePeriodSeconds", 30);
  p->deadline_s = json_i64(pod, "spec.activeDeadlineSeconds", 0);
  if (!p->ns || !p->name || !p->uid || !p->ip ||
      !build_containers(in, pod, json_at(pod, "spec.initContainers"), true, p) ||
      !build_containers(in, pod, json_at(pod, "spec.containers"), false, p))
    return NULL;
  return TAKE_PTR(p);
}

static void action_fini(struct action *a) {
  strv_fini(&a->argv);
  strv_fini(&a->headers);
  free(a->url);
  free(a->host);
}

void container_spec_fini(struct container_spec *c) {
  free(c->name);
  free(c->image);
  strv_fini(&c->argv);
  strv_fini(&c->env);
  free(c->dir);
  action_fini(&c->startup.action);
  action_fini(&c->readiness.action);
  action_fini(&c->liveness.action);
  action_fini(&c->pre_stop);
  action_fini(&c->post_start);
  free(c->last_state);
  free(c->final);
  free(c->reason);
  free(c->message);
}

void pod_spec_free(struct pod_spec *p) {
  for (size_t i = 0; i < p->containers.len; i++)
    container_spec_fini(&p->containers.items[i]);
  VEC_FREE(&p->containers);
  free(p->ns);
  free(p->name);
  free(p->uid);
  free(p->ip);
  free(p);
}
