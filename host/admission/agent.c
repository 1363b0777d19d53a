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

  return json_as_str(json_index(values, 0), "");
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

/* MAP, labels or annotations, without what agents write; new. */
static struct json_object *foreign_of(struct json_object *map) {
  struct json_object *out = json_object_new_object();

  if (!json_is(map, json_type_object))
    return out;
  json_object_object_foreach (map, key, value) {
    if (!has_prefix(key, "models.ome.io/"))
      (void)json_object_object_add(out, key, json_object_get(value));
  }
  return out;
}

/* Labels of a Node decide which models it is entitled to, taints and readiness what runs on it: not the agent's. */
static bool changes_foreign(struct review *r) {
  static const char *const parts[] = {"metadata.labels", "metadata.annotations"};
  static const char *const whole[] = {"spec", "metadata.finalizers", "metadata.ownerReferences"};
  bool same = true;

  for (size_t i = 0; same && i < ARRAY_LEN(parts); i++) {
    _cleanup_json_ struct json_object *now = foreign_of(json_at(r->object, parts[i]));
    _cleanup_json_ struct json_object *before = foreign_of(json_at(r->old, parts[i]));
    same = now && before && json_equal(now, before);
  }
  for (size_t i = 0; same && i < ARRAY_LEN(whole); i++)
    same = json_equal(json_at(r->object, whole[i]), json_at(r->old, whole[i]));
  return !same;
}

/* A write of the agent on NODE. */
static void judge(struct review *r, const char *node) {
  const char *ns = r->lookup->ome_namespace;
  const char *name = *r->name || !r->object ? r->name : meta_name(r->object); /* a new object's may be there only */

  if (!streq(name, node) || (*r->ns && !streq(r->ns, ns)))
    verdict_deny(r,
                 "the agent on node %s may write Node %s and ConfigMap %s/%s, not %s %s%s%s: set its NODE_NAME (or "
                 "--node-name) to spec.nodeName of its pod",
                 node, node, ns, node, *r->ns ? "ConfigMap" : "Node", r->ns, *r->ns ? "/" : "", name);
  else if (!*r->ns && (!r->object || !r->old || changes_foreign(r)))
    verdict_deny(r,
                 "the agent on node %s may write the labels and annotations models.ome.io/... of its Node, and nothing "
                 "else of it",
                 node);
}

int32_t validate_agent(struct review *r, struct ome_err *err) {
  _cleanup_free_ char *agent = agent_username(r->lookup->ome_namespace);
  _cleanup_free_ char *node = NULL;

  if (!agent)
    return fail_memory(err);
  if (!streq(json_str(r->user, "username", ""), agent))
    return OME_OK;
  int32_t rc = node_of_request(r, &node, err);
  if (rc != OME_OK)
    return rc;
  if (node && *node)
    judge(r, node);
  else
    verdict_deny(
        r,
        "the token of %s is bound to no pod on a node, so it may write no Node and no record: run the agent as "
        "a pod with the token that the kubelet mounts",
        agent);
  return OME_OK;
}
