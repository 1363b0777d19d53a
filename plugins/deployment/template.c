#include "template.h"

#include <string.h>

static void default_str(struct json_object *o, const char *key, const char *v) {
  if (!doc_get(o, key))
    doc_set_str(o, key, v);
}

static void default_container(struct json_object *c) {
  default_str(c, "terminationMessagePath", "/dev/termination-log");
  default_str(c, "terminationMessagePolicy", "File");
  default_str(c, "imagePullPolicy", "IfNotPresent");
  for (size_t i = 0; i < doc_len(doc_get(c, "ports")); i++)
    default_str(doc_item(doc_get(c, "ports"), i), "protocol", "TCP");
}

void template_default_pod(struct json_object *pod) {
  for (size_t i = 0; i < doc_len(doc_get(pod, "containers")); i++)
    default_container(doc_item(doc_get(pod, "containers"), i));
  for (size_t i = 0; i < doc_len(doc_get(pod, "initContainers")); i++)
    default_container(doc_item(doc_get(pod, "initContainers"), i));
  default_str(pod, "dnsPolicy", "ClusterFirst");
  default_str(pod, "restartPolicy", "Always");
  default_str(pod, "schedulerName", "default-scheduler");
  if (!doc_get(pod, "terminationGracePeriodSeconds"))
    doc_set_int(pod, "terminationGracePeriodSeconds", 30);
  if (!doc_get(pod, "securityContext"))
    doc_set(pod, "securityContext", json_object_new_object());
}

void template_default_readiness(struct json_object *pod, int64_t port) {
  for (size_t i = 0; i < doc_len(doc_get(pod, "containers")); i++) {
    struct json_object *c = doc_item(doc_get(pod, "containers"), i);
    if (strcmp(doc_str(c, "name", ""), "ome-container") != 0 || doc_get(c, "readinessProbe"))
      continue;
    doc_set_int(c, "readinessProbe.tcpSocket.port", port);
    doc_set_int(c, "readinessProbe.timeoutSeconds", 1);
    doc_set_int(c, "readinessProbe.periodSeconds", 10);
    doc_set_int(c, "readinessProbe.successThreshold", 1);
    doc_set_int(c, "readinessProbe.failureThreshold", 3);
  }
}

struct json_object *template_new(struct json_object *component, struct json_object *pod) {
  struct json_object *meta = doc_object("", "", "", component);
  struct json_object *t = json_object_new_object();

  doc_share(t, "metadata.labels", doc_at(meta, "metadata.labels"));
  doc_share(t, "metadata.annotations", doc_at(meta, "metadata.annotations"));
  doc_share(t, "spec", pod);
  (void)json_object_put(meta);
  return t;
}

struct json_object *template_selector(struct json_object *component) {
  struct json_object *o = json_object_new_object();

  doc_set_str(o, "app", doc_str(component, "app", ""));
  return o;
}

const char *template_name_tail(struct json_object *component) {
  const char *name = doc_str(component, "name", "");
  size_t len = strlen(name);

  return len > TEMPLATE_NAME_TAIL ? name + len - TEMPLATE_NAME_TAIL : name;
}
