/* Tables and PartialObjectMetadata: what kubectl get shows. Columns of built-in kinds are those of a real server. */
#include "apiserver/server.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

typedef struct json_object *cell_fn(struct json_object *o);

struct builtin_column {
  const char *name, *type, *format;
  int64_t priority;
  cell_fn *cell;
};

static struct json_object *text(const char *s) {
  return json_object_new_string(s ? s : "");
}

static struct json_object *text_or(const char *s, const char *dflt) {
  return json_object_new_string(s && *s ? s : dflt);
}

static struct json_object *number(int64_t n) {
  return json_object_new_int64(n);
}

static struct json_object *cell_name(struct json_object *o) {
  return text(meta_name(o));
}

/* "5m" since an RFC 3339 stamp. */
static struct json_object *age_since(const char *stamp) {
  int64_t ms;
  char out[32];

  if (!time_parse(stamp, &ms))
    return text("<unknown>");
  format_age((wall_ms() - ms) / 1000, out);
  return text(out);
}

static struct json_object *cell_age(struct json_object *o) {
  return age_since(json_str(o, "metadata.creationTimestamp", ""));
}

/* ---- pods ------------------------------------------------------------------------------------------------------- */

static struct json_object *cell_pod_ready(struct json_object *o) {
  struct json_object *statuses = json_at(o, "status.containerStatuses");
  size_t ready = 0;
  char out[48];

  for (size_t i = 0; i < json_len(statuses); i++)
    ready += json_flag(json_index(statuses, i), "ready", false);
  (void)snprintf(out, sizeof(out), "%zu/%zu", ready, json_len(json_at(o, "spec.containers")));
  return text(out);
}

/* The reason a container waits or ended, over the phase. */
static struct json_object *cell_pod_status(struct json_object *o) {
  struct json_object *statuses = json_at(o, "status.containerStatuses");
  const char *reason = json_str(o, "status.reason", json_str(o, "status.phase", ""));
  bool running = false;

  for (size_t i = json_len(statuses); i-- > 0;) {
    struct json_object *state = json_at(json_index(statuses, i), "state");
    const char *waiting = json_str(state, "waiting.reason", "");
    const char *ended = json_str(state, "terminated.reason", "");
    if (*waiting)
      reason = waiting;
    else if (*ended)
      reason = ended;
    else
      running = running || (json_flag(json_index(statuses, i), "ready", false) && json_at(state, "running"));
  }
  if (streq(reason, "Completed") && running)
    reason = streq(meta_condition(o, "Ready"), "True") ? "Running" : "NotReady";
  if (meta_deleting(o))
    reason = streq(json_str(o, "status.reason", ""), "NodeLost") ? "Unknown" : "Terminating";
  return text(reason);
}

static struct json_object *cell_pod_restarts(struct json_object *o) {
  struct json_object *statuses = json_at(o, "status.containerStatuses");
  int64_t n = 0;
  const char *last = NULL;

  for (size_t i = 0; i < json_len(statuses); i++) {
    const char *at = json_str(json_index(statuses, i), "lastState.terminated.finishedAt", NULL);
    n += json_i64(json_index(statuses, i), "restartCount", 0);
    if (at && (!last || strcmp(at, last) > 0))
      last = at;
  }
  if (!n || !last) {
    char out[24];
    (void)snprintf(out, sizeof(out), "%lld", (long long)n);
    return text(out);
  }
  _cleanup_json_ struct json_object *age = age_since(last);
  _cleanup_free_ char *out = str_printf("%lld (%s ago)", (long long)n, json_object_get_string(age));
  return text(out);
}

static struct json_object *cell_pod_ip(struct json_object *o) {
  return text_or(json_str(o, "status.podIP", ""), "<none>");
}

static struct json_object *cell_pod_node(struct json_object *o) {
  return text_or(json_str(o, "spec.nodeName", ""), "<none>");
}

static struct json_object *cell_pod_nominated(struct json_object *o) {
  return text_or(json_str(o, "status.nominatedNodeName", ""), "<none>");
}

static struct json_object *cell_pod_gates(struct json_object *o) {
  (void)o;
  return text("<none>");
}

/* ---- workloads -------------------------------------------------------------------------------------------------- */

static struct json_object *of(struct json_object *o, const char *ready, const char *wanted) {
  char out[48];

  (void)snprintf(out, sizeof(out), "%lld/%lld", (long long)json_i64(o, ready, 0), (long long)json_i64(o, wanted, 0));
  return text(out);
}

static struct json_object *cell_ready_of_replicas(struct json_object *o) {
  return of(o, "status.readyReplicas", "spec.replicas");
}

static struct json_object *cell_updated(struct json_object *o) {
  return number(json_i64(o, "status.updatedReplicas", 0));
}

static struct json_object *cell_available(struct json_object *o) {
  return number(json_i64(o, "status.availableReplicas", 0));
}

static struct json_object *cell_desired(struct json_object *o) {
  return number(json_i64(o, "spec.replicas", 0));
}

static struct json_object *cell_current(struct json_object *o) {
  return number(json_i64(o, "status.replicas", 0));
}

static struct json_object *cell_ready_replicas(struct json_object *o) {
  return number(json_i64(o, "status.readyReplicas", 0));
}

static struct json_object *joined(struct json_object *list, const char *key) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(list); i++)
    buf_addf(&b, "%s%s", i ? "," : "", json_str(json_index(list, i), key, ""));
  return text(buf_str(&b));
}

static struct json_object *cell_containers(struct json_object *o) {
  return joined(json_at(o, "spec.template.spec.containers"), "name");
}

static struct json_object *cell_images(struct json_object *o) {
  return joined(json_at(o, "spec.template.spec.containers"), "image");
}

static struct json_object *labels_text(struct json_object *labels) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  if (json_is(labels, json_type_object)) {
    json_object_object_foreach(labels, key, v) {
      buf_addf(&b, "%s%s=%s", b.len ? "," : "", key, json_object_get_string(v));
    }
  }
  return text_or(buf_str(&b), "<none>");
}

static struct json_object *cell_match_labels(struct json_object *o) {
  return labels_text(json_at(o, "spec.selector.matchLabels"));
}

static struct json_object *cell_job_completions(struct json_object *o) {
  return of(o, "status.succeeded", "spec.completions");
}

static struct json_object *cell_job_duration(struct json_object *o) {
  int64_t from;
  int64_t to = wall_ms();
  char out[32];

  if (!time_parse(json_str(o, "status.startTime", NULL), &from))
    return text("");
  (void)time_parse(json_str(o, "status.completionTime", NULL), &to);
  format_age((to - from) / 1000, out);
  return text(out);
}

/* ---- services, nodes, the rest ---------------------------------------------------------------------------------- */

static struct json_object *cell_service_type(struct json_object *o) {
  return text(json_str(o, "spec.type", ""));
}

static struct json_object *cell_cluster_ip(struct json_object *o) {
  return text_or(json_str(o, "spec.clusterIP", ""), "<none>");
}

static struct json_object *cell_external_ip(struct json_object *o) {
  const char *type = json_str(o, "spec.type", "");

  return text(streq(type, "LoadBalancer") ? "<pending>"
              : streq(type, "ExternalName") ? json_str(o, "spec.externalName", "") : "<none>");
}

static struct json_object *cell_service_ports(struct json_object *o) {
  struct json_object *ports = json_at(o, "spec.ports");
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *p = json_index(ports, i);
    int64_t node = json_i64(p, "nodePort", 0);
    buf_addf(&b, "%s%lld", i ? "," : "", (long long)json_i64(p, "port", 0));
    if (node)
      buf_addf(&b, ":%lld", (long long)node);
    buf_addf(&b, "/%s", json_str(p, "protocol", "TCP"));
  }
  return text_or(buf_str(&b), "<none>");
}

static struct json_object *cell_service_selector(struct json_object *o) {
  return labels_text(json_at(o, "spec.selector"));
}

static struct json_object *cell_node_status(struct json_object *o) {
  const char *ready = meta_condition(o, "Ready");

  if (json_flag(o, "spec.unschedulable", false))
    return text(streq(ready, "True") ? "Ready,SchedulingDisabled" : "NotReady,SchedulingDisabled");
  return text(!ready ? "Unknown" : streq(ready, "True") ? "Ready" : "NotReady");
}

static struct json_object *cell_node_roles(struct json_object *o) {
  struct json_object *labels = json_at(o, "metadata.labels");
  _cleanup_buf_ struct buf b = BUF_INIT;

  if (json_is(labels, json_type_object)) {
    json_object_object_foreach(labels, key, v) {
      (void)v;
      if (has_prefix(key, "node-role.kubernetes.io/"))
        buf_addf(&b, "%s%s", b.len ? "," : "", key + strlen("node-role.kubernetes.io/"));
    }
  }
  return text_or(buf_str(&b), "<none>");
}

static struct json_object *cell_node_version(struct json_object *o) {
  return text(json_str(o, "status.nodeInfo.kubeletVersion", ""));
}

static struct json_object *cell_data_count(struct json_object *o) {
  struct json_object *data = json_at(o, "data");
  struct json_object *binary = json_at(o, "binaryData");
  int64_t n = json_is(data, json_type_object) ? json_object_object_length(data) : 0;

  return number(n + (json_is(binary, json_type_object) ? json_object_object_length(binary) : 0));
}

static struct json_object *cell_type(struct json_object *o) {
  return text(json_str(o, "type", ""));
}

static struct json_object *cell_phase(struct json_object *o) {
  return text(json_str(o, "status.phase", ""));
}

static struct json_object *cell_secrets(struct json_object *o) {
  return number((int64_t)json_len(json_at(o, "secrets")));
}

static struct json_object *cell_event_seen(struct json_object *o) {
  return age_since(json_str(o, "lastTimestamp", json_str(o, "eventTime", json_str(o, "metadata.creationTimestamp", ""))));
}

static struct json_object *cell_event_reason(struct json_object *o) {
  return text(json_str(o, "reason", ""));
}

static struct json_object *cell_event_object(struct json_object *o) {
  _cleanup_free_ char *kind = strdup(json_str(o, "involvedObject.kind", ""));

  for (char *c = kind; c && *c; c++)
    *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
  _cleanup_free_ char *out = str_printf("%s/%s", kind, json_str(o, "involvedObject.name", ""));
  return text(out);
}

static struct json_object *cell_event_message(struct json_object *o) {
  return text(json_str(o, "message", json_str(o, "note", "")));
}

static struct json_object *cell_holder(struct json_object *o) {
  return text(json_str(o, "spec.holderIdentity", ""));
}

static struct json_object *cell_created_at(struct json_object *o) {
  return text(json_str(o, "metadata.creationTimestamp", ""));
}

static const struct builtin_column pod_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Ready", "string", "", 0, cell_pod_ready},
    {"Status", "string", "", 0, cell_pod_status},
    {"Restarts", "string", "", 0, cell_pod_restarts},
    {"Age", "string", "", 0, cell_age},
    {"IP", "string", "", 1, cell_pod_ip},
    {"Node", "string", "", 1, cell_pod_node},
    {"Nominated Node", "string", "", 1, cell_pod_nominated},
    {"Readiness Gates", "string", "", 1, cell_pod_gates},
};
static const struct builtin_column deployment_columns[] = {
    {"Name", "string", "name", 0, cell_name},        {"Ready", "string", "", 0, cell_ready_of_replicas},
    {"Up-to-date", "integer", "", 0, cell_updated},  {"Available", "integer", "", 0, cell_available},
    {"Age", "string", "", 0, cell_age},              {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},        {"Selector", "string", "", 1, cell_match_labels},
};
static const struct builtin_column replicaset_columns[] = {
    {"Name", "string", "name", 0, cell_name},       {"Desired", "integer", "", 0, cell_desired},
    {"Current", "integer", "", 0, cell_current},    {"Ready", "integer", "", 0, cell_ready_replicas},
    {"Age", "string", "", 0, cell_age},             {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},       {"Selector", "string", "", 1, cell_match_labels},
};
static const struct builtin_column statefulset_columns[] = {
    {"Name", "string", "name", 0, cell_name}, {"Ready", "string", "", 0, cell_ready_of_replicas},
    {"Age", "string", "", 0, cell_age},       {"Containers", "string", "", 1, cell_containers},
    {"Images", "string", "", 1, cell_images},
};
static const struct builtin_column job_columns[] = {
    {"Name", "string", "name", 0, cell_name},       {"Completions", "string", "", 0, cell_job_completions},
    {"Duration", "string", "", 0, cell_job_duration}, {"Age", "string", "", 0, cell_age},
    {"Containers", "string", "", 1, cell_containers}, {"Images", "string", "", 1, cell_images},
    {"Selector", "string", "", 1, cell_match_labels},
};
static const struct builtin_column service_columns[] = {
    {"Name", "string", "name", 0, cell_name},           {"Type", "string", "", 0, cell_service_type},
    {"Cluster-IP", "string", "", 0, cell_cluster_ip},   {"External-IP", "string", "", 0, cell_external_ip},
    {"Port(s)", "string", "", 0, cell_service_ports},   {"Age", "string", "", 0, cell_age},
    {"Selector", "string", "", 1, cell_service_selector},
};
static const struct builtin_column node_columns[] = {
    {"Name", "string", "name", 0, cell_name},     {"Status", "string", "", 0, cell_node_status},
    {"Roles", "string", "", 0, cell_node_roles},  {"Age", "string", "", 0, cell_age},
    {"Version", "string", "", 0, cell_node_version},
};
static const struct builtin_column configmap_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Data", "integer", "", 0, cell_data_count},
    {"Age", "string", "", 0, cell_age},
};
static const struct builtin_column secret_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Type", "string", "", 0, cell_type},
    {"Data", "integer", "", 0, cell_data_count},
    {"Age", "string", "", 0, cell_age},
};
static const struct builtin_column namespace_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Status", "string", "", 0, cell_phase},
    {"Age", "string", "", 0, cell_age},
};
static const struct builtin_column serviceaccount_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Secrets", "integer", "", 0, cell_secrets},
    {"Age", "string", "", 0, cell_age},
};
static const struct builtin_column event_columns[] = {
    {"Last Seen", "string", "", 0, cell_event_seen}, {"Type", "string", "", 0, cell_type},
    {"Reason", "string", "", 0, cell_event_reason},  {"Object", "string", "", 0, cell_event_object},
    {"Message", "string", "", 0, cell_event_message}, {"Name", "string", "name", 1, cell_name},
};
static const struct builtin_column lease_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Holder", "string", "", 0, cell_holder},
    {"Age", "string", "", 0, cell_age},
};
static const struct builtin_column crd_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Created At", "date", "", 0, cell_created_at},
};
static const struct builtin_column other_columns[] = {
    {"Name", "string", "name", 0, cell_name},
    {"Age", "string", "", 0, cell_age},
};

static const struct {
  const char *group, *kind;
  const struct builtin_column *columns;
  size_t n;
} tables[] = {
    {"", "Pod", pod_columns, ARRAY_LEN(pod_columns)},
    {"apps", "Deployment", deployment_columns, ARRAY_LEN(deployment_columns)},
    {"apps", "ReplicaSet", replicaset_columns, ARRAY_LEN(replicaset_columns)},
    {"apps", "StatefulSet", statefulset_columns, ARRAY_LEN(statefulset_columns)},
    {"batch", "Job", job_columns, ARRAY_LEN(job_columns)},
    {"", "Service", service_columns, ARRAY_LEN(service_columns)},
    {"", "Node", node_columns, ARRAY_LEN(node_columns)},
    {"", "ConfigMap", configmap_columns, ARRAY_LEN(configmap_columns)},
    {"", "Secret", secret_columns, ARRAY_LEN(secret_columns)},
    {"", "Namespace", namespace_columns, ARRAY_LEN(namespace_columns)},
    {"", "ServiceAccount", serviceaccount_columns, ARRAY_LEN(serviceaccount_columns)},
    {"", "Event", event_columns, ARRAY_LEN(event_columns)},
    {"coordination.k8s.io", "Lease", lease_columns, ARRAY_LEN(lease_columns)},
    {"apiextensions.k8s.io", "CustomResourceDefinition", crd_columns, ARRAY_LEN(crd_columns)},
};

static const struct builtin_column *columns_of(const struct resource *r, size_t *n) {
  for (size_t i = 0; i < ARRAY_LEN(tables); i++)
    if (streq(tables[i].group, r->group) && streq(tables[i].kind, r->kind)) {
      *n = tables[i].n;
      return tables[i].columns;
    }
  *n = ARRAY_LEN(other_columns);
  return other_columns;
}

/* ---- columns of custom resources -------------------------------------------------------------------------------- */

/* The first value at a JSONPath of the simple sort that printer columns use: .a.b, .a['b'], .a[0], .a[?(@.t=="X")].c */
static struct json_object *at_json_path(struct json_object *o, const char *p) {
  char key[256];

  while (o && *p) {
    if (*p == '.') {
      size_t n = 0;
      for (p++; *p && !strchr(".[", *p) && n + 1 < sizeof(key); p++) {
        if (*p == '\\' && p[1])
          p++;
        key[n++] = *p;
      }
      key[n] = '\0';
      o = json_get(o, key);
    } else if (*p == '[' && has_prefix(p, "[?(@.")) {
      size_t n = strcspn(p + 5, "=");
      const char *value = p + 5 + n + strspn(p + 5 + n, "= ");
      char quote = *value;
      const char *end = quote ? strchr(value + 1, quote) : NULL;
      const char *close = end ? strchr(end, ']') : NULL;
      if (!close || n >= sizeof(key))
        return NULL;
      memcpy(key, p + 5, n);
      for (key[n] = '\0'; n && key[n - 1] == ' '; key[--n] = '\0')
        continue;
      _cleanup_free_ char *want = str_copy(value + 1, (size_t)(end - value - 1));
      o = json_find(o, key, want);
      p = close + 1;
    } else if (*p == '[') {
      char quote = p[1];
      const char *end = strchr(p, ']');
      if (!end)
        return NULL;
      if (quote == '\'' || quote == '"') {
        (void)snprintf(key, sizeof(key), "%.*s", (int)(end - p - 3), p + 2);
        o = json_get(o, key);
      } else {
        o = quote == '*' ? json_index(o, 0) : json_index(o, (size_t)strtoul(p + 1, NULL, 10));
      }
      p = end + 1;
    } else {
      return NULL;
    }
  }
  return o;
}

static struct json_object *custom_cell(const struct column *c, struct json_object *o) {
  struct json_object *v = at_json_path(o, c->json_path);

  if (!v)
    return NULL;
  if (streq(c->type, "date") && json_is(v, json_type_string))
    return age_since(json_object_get_string(v));
  if (streq(c->type, "string") && !json_is(v, json_type_string)) {
    _cleanup_free_ char *t = json_text(v);
    return text(t);
  }
  return json_copy(v);
}

static bool is_custom(const struct resource *r) {
  return r->crd && r->ncolumns;
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static void add_definition(struct json_object *list, const char *name, const char *type, const char *format,
                           const char *description, int64_t priority) {
  struct json_object *c = json_object_new_object();

  (void)json_set_str(c, "name", name);
  (void)json_set_str(c, "type", type);
  (void)json_set_str(c, "format", format);
  (void)json_set_str(c, "description", description);
  (void)json_set_i64(c, "priority", priority);
  (void)json_object_array_add(list, c);
}

static struct json_object *definitions(const struct resource *r) {
  struct json_object *list = json_object_new_array();
  size_t n;
  const struct builtin_column *columns = columns_of(r, &n);

  if (is_custom(r)) {
    add_definition(list, "Name", "string", "name", "Name of the object, unique among its kind in its namespace.", 0);
    for (size_t i = 0; i < r->ncolumns; i++)
      add_definition(list, r->columns[i].name, r->columns[i].type, r->columns[i].format,
                     *r->columns[i].description ? r->columns[i].description : "A value of the custom resource.",
                     r->columns[i].priority);
    return list;
  }
  for (size_t i = 0; i < n; i++)
    add_definition(list, columns[i].name, columns[i].type, columns[i].format, columns[i].name, columns[i].priority);
  if (r->crd) { /* without columns of its own: the age as a date */
    (void)json_set_str(json_index(list, 1), "type", "date");
  }
  return list;
}

static struct json_object *cells(const struct resource *r, struct json_object *o) {
  struct json_object *list = json_object_new_array();
  size_t n;
  const struct builtin_column *columns = columns_of(r, &n);

  if (is_custom(r)) {
    (void)json_object_array_add(list, cell_name(o));
    for (size_t i = 0; i < r->ncolumns; i++)
      (void)json_object_array_add(list, custom_cell(&r->columns[i], o));
    return list;
  }
  for (size_t i = 0; i < n; i++)
    (void)json_object_array_add(list, r->crd && i == 1 ? cell_created_at(o) : columns[i].cell(o));
  return list;
}

static struct json_object *partial_of(struct json_object *o) {
  struct json_object *p = json_object_new_object();

  (void)json_set_str(p, "kind", "PartialObjectMetadata");
  (void)json_set_str(p, "apiVersion", "meta.k8s.io/v1");
  (void)json_set(p, "metadata", json_copy(json_at(o, "metadata")));
  return p;
}

static struct json_object *row_object(const struct request *req, struct json_object *o) {
  const char *include = http_query(req->x, "includeObject");

  if (include && streq(include, "None"))
    return NULL;
  return include && streq(include, "Object") ? json_copy(o) : partial_of(o);
}

static void add_row(const struct request *req, struct json_object *rows, struct json_object *o) {
  struct json_object *row = json_object_new_object();
  struct json_object *object = row_object(req, o);

  (void)json_set(row, "cells", cells(req->resource, o));
  if (object)
    (void)json_set(row, "object", object);
  (void)json_object_array_add(rows, row);
}

struct json_object *table_make(const struct request *req, struct json_object *o) {
  struct json_object *t = json_object_new_object();
  struct json_object *rows = json_object_new_array();
  struct json_object *items = json_at(o, "items");
  bool is_list = req->verb == VERB_LIST || req->verb == VERB_DELETE_COLLECTION;

  (void)json_set_str(t, "kind", "Table");
  (void)json_set_str(t, "apiVersion", "meta.k8s.io/v1");
  if (is_list)
    (void)json_set(t, "metadata", json_copy(json_at(o, "metadata")));
  else
    (void)json_set_str(t, "metadata.resourceVersion", json_str(o, "metadata.resourceVersion", ""));
  (void)json_set(t, "columnDefinitions", definitions(req->resource));
  for (size_t i = 0; is_list && i < json_len(items); i++)
    add_row(req, rows, json_index(items, i));
  if (!is_list && *meta_name(o))
    add_row(req, rows, o);
  (void)json_set(t, "rows", rows);
  return t;
}

struct json_object *partial_make(struct json_object *o, bool is_list) {
  if (!is_list)
    return partial_of(o);
  struct json_object *list = json_object_new_object();
  struct json_object *items = json_object_new_array();
  (void)json_set_str(list, "kind", "PartialObjectMetadataList");
  (void)json_set_str(list, "apiVersion", "meta.k8s.io/v1");
  (void)json_set(list, "metadata", json_copy(json_at(o, "metadata")));
  for (size_t i = 0; i < json_len(json_at(o, "items")); i++)
    (void)json_object_array_add(items, partial_of(json_index(json_at(o, "items"), i)));
  (void)json_set(list, "items", items);
  return list;
}
