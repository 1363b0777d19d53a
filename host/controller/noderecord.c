/* The record that an agent keeps of its node: it goes with the node, whether there are models or not. */
#include "controller/internal.h"
#include "kube/meta.h"

/* What the agent said goes with its node, and somebody can see that. */
static int32_t release(struct controller *c, struct json_object *record, struct ome_err *err) {
  int32_t rc = kube_delete(c->client, &KUBE_CONFIGMAPS, c->ome_namespace, meta_name(record), meta_uid(record),
                           KUBE_BACKGROUND, err);

  if (rc == OME_E_NOT_FOUND || rc == OME_E_CONFLICT) /* it went, or is another one, of which there is an event */
    return OME_OK;
  if (rc != OME_OK)
    return fail_prefix(err, "ConfigMap %s of a node that is gone", meta_name(record));
  kube_record(c->recorder, record, false, "NodeReleased",
              "node %.253s is gone: its record is removed, and no model waits for it", meta_name(record));
  return OME_OK;
}

int32_t reconcile_node_record(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct controller *c = arg;
  _cleanup_json_ struct json_object *record = kube_cache_get(c->watches[WATCH_NODE_MODELS], c->ome_namespace, name);
  _cleanup_json_ struct json_object *node = kube_cache_get(c->watches[WATCH_NODES], NULL, name);

  (void)ns;
  (void)requeue_ms;
  if (!record || node)
    return OME_OK;
  int32_t rc = kube_get(c->client, &KUBE_NODES, NULL, name, &node, err); /* one that just came is news to the cache */
  if (rc != OME_E_NOT_FOUND)
    return rc;
  err_clear(err);
  return release(c, record, err);
}
