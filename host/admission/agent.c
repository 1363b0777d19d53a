/* Writes of the agents at the door.
 *
 * All agents have one ServiceAccount, so RBAC cannot tell node from node; their tokens can.  A token that the kubelet
 * mounts is bound to its pod, and since Kubernetes 1.30 names the node of the pod too. */
#include "admission/review.h"

#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

#define CLAIM(name) "authentication.kubernetes.io/" name

char *agent_username(const char *ome_namespace) {
  return str_printf("system:serviceaccount:%s:ome-model-agent", ome_namespace);
}

/* What the token says of itself; "": nothing. */
static const char *claim(const struct review *r, const char *key) {
  struct json_object *values = json_get(json_get(r->user, "extra"), key);
  struct json_object *first = json_len(values) ? json_index(values, 0) : NULL;

  return json_is(first, json_type_string) ? json_object_get_string(first) : "";
}

/* The node of the pod that the token is bound to, new; "": the pod is gone, or another has its name by now. */
static int32_t node_of_pod(const struct review *r, char **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *pod = NULL;
  int32_t rc =
      r->lookup->get(r->lookup->arg, &KUBE_PODS, r->lookup->ome_namespace, claim(r, CLAIM("pod-name")), &pod, err);

  if (rc != OME_OK && rc != OME_E_NOT_FOUND)
    return rc;
  err_clear(err);
  bool same = streq(json_str(pod, "metadata.uid", ""), claim(r, CLAIM("pod-uid")));
  *out = strdup(same ? json_str(pod, "spec.nodeName", "") : "");
  return *out ? OME_OK : fail_memory(err);
}

/* The node that the request comes from, new; "": the token is that of no pod. */
static int32_t node_of_request(const struct review *r, char **out, struct ome_err *err) {
  const char *node = claim(r, CLAIM("node-name"));

  if (!*node && *claim(r, CLAIM("pod-name")))
    return node_of_pod(r, out, err);
  *out = strdup(node);
  return *out ? OME_OK : fail_memory(err);
}

int32_t validate_agent(struct review *r, struct ome_err *err) {
  const char *ns = r->lookup->ome_namespace;
  const char *name = *r->name || !r->object ? r->name : meta_name(r->object); /* a new object's may be there only */
  _cleanup_free_ char *agent = agent_username(ns);
  _cleanup_free_ char *node = NULL;

  if (!agent)
    return fail_memory(err);
  if (!streq(json_str(r->user, "username", ""), agent))
    return OME_OK;
  int32_t rc = node_of_request(r, &node, err);
  if (rc != OME_OK)
    return rc;
  if (!*node)
    verdict_deny(
        r,
        "the token of %s is bound to no pod on a node, so it may write no Node and no record: run the agent as "
        "a pod with the token that the kubelet mounts",
        agent);
  else if (!streq(name, node) || (*r->ns && !streq(r->ns, ns)))
    verdict_deny(r,
                 "the agent on node %s may write Node %s and ConfigMap %s/%s, not %s %s%s%s: set its NODE_NAME (or "
                 "--node-name) to spec.nodeName of its pod",
                 node, node, ns, node, *r->ns ? "ConfigMap" : "Node", r->ns, *r->ns ? "/" : "", name);
  return OME_OK;
}
