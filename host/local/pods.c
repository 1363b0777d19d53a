/* The pod controller: binding pods to the node, having them run, and saying how they are. */
#include "local/local_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/podstatus.h"
#include "local/schedule.h"
#include "local/volumes.h"
#include "os/file.h"

#include <dirent.h>
#include <string.h>

#define RETRY_MS 5000 /* until something that a pod needs may have come */

/* ---- leaving nothing behind -------------------------------------------------------------------------------------- */

static void clean_up(struct local *l, const char *ns, const char *name, const char *uid) {
  _cleanup_free_ char *logs = str_printf("%s/logs/%s_%s_%s", l->data_dir, ns, name, uid);
  struct ome_err err = ERR_INIT;

  volumes_remove(l->data_dir, uid);
  if (logs && *uid)
    (void)tree_remove(logs, &err);
  addresses_release(l->pod_ips, uid);
  gpus_release(l->gpus, uid);
}

/* Pods of that name which are no more: they are stopped in their own time, then dropped. */
static void drop_others(struct local *l, const char *ns, const char *name, const char *uid) {
  _cleanup_json_ struct json_object *dropped = runner_stop_others(l->runner, ns, name, uid);

  for (size_t i = 0; i < json_len(dropped); i++)
    clean_up(l, ns, name, json_object_get_string(json_index(dropped, i)));
  if (json_len(dropped))
    pods_retry_unscheduled(l);
}

/* The uid at the end of "NS_POD_UID", or the whole of "UID". */
static const char *uid_in(const char *folder) {
  const char *last = strrchr(folder, '_');

  return last ? last + 1 : folder;
}

static void sweep_folder(struct local *l, const char *sub, struct json_object *pods) {
  _cleanup_free_ char *root = path_join(l->data_dir, sub);
  DIR *d = root ? opendir(root) : NULL;

  for (struct dirent *e; d && (e = readdir(d));) {
    bool known = e->d_name[0] == '.';
    for (size_t i = 0; i < json_len(pods) && !known; i++)
      known = streq(meta_uid(json_index(pods, i)), uid_in(e->d_name));
    _cleanup_free_ char *path = known ? NULL : path_join(root, e->d_name);
    struct ome_err err = ERR_INIT;
    if (path && tree_remove(path, &err) != OME_OK)
      log_warning("pods", "%s", err.msg);
  }
  if (d)
    (void)closedir(d);
}

void pods_sweep(struct local *l) {
  _cleanup_json_ struct json_object *pods = kube_cache_list(l->caches[CACHE_PODS], NULL);

  sweep_folder(l, "volumes", pods);
  sweep_folder(l, "logs", pods);
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static char *pod_key(struct json_object *pod) {
  return str_printf("%s/%s", meta_namespace(pod), meta_name(pod));
}

static void note_unscheduled(struct local *l, struct json_object *pod, bool waits) {
  _cleanup_free_ char *key = pod_key(pod);

  if (!key)
    return;
  (void)pthread_mutex_lock(&l->lock);
  if (waits)
    (void)strmap_put(l->unscheduled, key, l);
  else
    (void)strmap_del(l->unscheduled, key);
  (void)pthread_mutex_unlock(&l->lock);
}

void pods_retry_unscheduled(struct local *l) {
  (void)pthread_mutex_lock(&l->lock);
  for (struct strmap_iter it = strmap_first(l->unscheduled); it.key; strmap_next(&it)) {
    const char *slash = strchr(it.key, '/');
    _cleanup_free_ char *ns = str_copy(it.key, (size_t)(slash - it.key));
    if (ns)
      local_enqueue(l, QUEUE_PODS, ns, slash + 1);
  }
  (void)pthread_mutex_unlock(&l->lock);
}

static int32_t write_status(struct local *l, struct json_object *pod, struct json_object *status, struct ome_err *err) {
  struct json_object *diff = merge_diff(json_get(pod, "status"), status);
  _cleanup_json_ struct json_object *patch = json_object_new_object();

  if (!diff)
    return OME_OK;
  (void)json_set(patch, "status", diff);
  (void)json_set_str(patch, "metadata.uid", meta_uid(pod)); /* another pod of that name is none of ours */
  int32_t rc = kube_patch(l->client, &KUBE_PODS, meta_namespace(pod), meta_name(pod), "status", KUBE_PATCH_MERGE, patch,
                          NULL, err);
  return rc == OME_E_NOT_FOUND || rc == OME_E_CONFLICT ? OME_OK : rc;
}

static int32_t bind(struct local *l, struct json_object *pod, struct ome_err *err) {
  const char *ns = meta_namespace(pod), *name = meta_name(pod);
  _cleanup_json_ struct json_object *binding = json_object_new_object();
  _cleanup_free_ char *path = str_printf("/api/v1/namespaces/%s/pods/%s/binding", ns, name);

  if (!path || !json_set_str(binding, "apiVersion", "v1") || !json_set_str(binding, "kind", "Binding") ||
      !json_set_str(binding, "metadata.name", name) || !json_set_str(binding, "metadata.namespace", ns) ||
      !json_set_str(binding, "target.apiVersion", "v1") || !json_set_str(binding, "target.kind", "Node") ||
      !json_set_str(binding, "target.name", l->node_name))
    return fail_memory(err);
  int32_t rc = kube_raw(l->client, "POST", path, binding, NULL, err);
  if (rc == OME_OK)
    kube_record(l->recorder, pod, false, "Scheduled", "Successfully assigned %s/%s to %s", ns, name, l->node_name);
  return rc == OME_E_CONFLICT || rc == OME_E_NOT_FOUND ? OME_OK : rc; /* bound or gone; the cache will say so */
}

static int32_t schedule(struct local *l, struct json_object *pod, struct ome_err *err) {
  _cleanup_json_ struct json_object *node = kube_cache_get(l->caches[CACHE_NODES], NULL, l->node_name);
  _cleanup_json_ struct json_object *pods = kube_cache_list(l->caches[CACHE_PODS], NULL);
  _cleanup_free_ char *why = schedule_refusal(pod, node, pods);

  note_unscheduled(l, pod, why != NULL);
  if (!why)
    return bind(l, pod, err); /* the pod's change brings us back */
  _cleanup_json_ struct json_object *status = pod_status_unscheduled(pod, "Unschedulable", why, wall_ms());
  struct json_object *before = json_find(json_at(pod, "status.conditions"), "type", "PodScheduled");
  if (!streq(json_str(before, "message", ""), why))
    kube_record(l->recorder, pod, true, "FailedScheduling", "%s", why);
  return write_status(l, pod, status, err);
}

/* ---- ending
 * ----------------------------------------------------------------------------------------------------------------------
 */

static bool is_finished(struct json_object *pod) {
  const char *phase = json_str(pod, "status.phase", "");

  return streq(phase, "Succeeded") || streq(phase, "Failed");
}

/* The pod's processes are gone: its object may go, too. */
static int32_t finalize(struct local *l, struct json_object *pod, struct ome_err *err) {
  const char *ns = meta_namespace(pod), *name = meta_name(pod);
  _cleanup_free_ char *path = str_printf("/api/v1/namespaces/%s/pods/%s", ns, name);
  _cleanup_json_ struct json_object *options = json_object_new_object();

  runner_remove(l->runner, meta_uid(pod));
  clean_up(l, ns, name, meta_uid(pod));
  note_unscheduled(l, pod, false);
  if (!path || !json_set_str(options, "apiVersion", "v1") || !json_set_str(options, "kind", "DeleteOptions") ||
      !json_set_i64(options, "gracePeriodSeconds", 0) || !json_set_str(options, "preconditions.uid", meta_uid(pod)))
    return fail_memory(err);
  int32_t rc = kube_raw(l->client, "DELETE", path, options, NULL, err);
  pods_retry_unscheduled(l);
  return rc == OME_E_NOT_FOUND || rc == OME_E_CONFLICT ? OME_OK : rc;
}

/* ---- running
 * ----------------------------------------------------------------------------------------------------------------------
 */

static int32_t report_status(struct local *l, struct json_object *pod, const char *report_text, const char *pending,
                             const char *message, const char *ip, struct ome_err *err) {
  _cleanup_json_ struct json_object *report = NULL;

  if (report_text && json_parse(report_text, strlen(report_text), 0, &report, err) != OME_OK)
    return OME_E_INTERNAL;
  _cleanup_json_ struct json_object *status = pod_status(pod, report, pending, message, ip, l->node_ip, wall_ms());
  return write_status(l, pod, status, err);
}

static int32_t start(struct local *l, struct json_object *pod, const char *ip, uint64_t *requeue_ms,
                     struct ome_err *err) {
  _cleanup_free_ char *pending = NULL, *message = NULL;
  bool config = false;
  int32_t rc = pod_start(l, pod, ip, &pending, &message, err);

  if (rc == OME_OK || !pending)
    return rc;
  config = streq(pending, "ContainerCreating");
  struct json_object *first = json_index(json_at(pod, "status.containerStatuses"), 0);
  if (!streq(json_str(first, "state.waiting.message", ""), message))
    kube_record(l->recorder, pod, true, config ? "FailedMount" : "Failed", "%s%s", config ? "" : "Error: ", err->msg);
  *requeue_ms = RETRY_MS;
  return report_status(l, pod, NULL, pending, message, ip, err);
}

static int32_t run(struct local *l, struct json_object *pod, uint64_t *requeue_ms, struct ome_err *err) {
  const char *uid = meta_uid(pod);
  char ip[ADDRESS_TEXT];
  bool stopped = false;

  if (!addresses_get(l->pod_ips, uid, json_str(pod, "status.podIP", NULL), ip))
    return fail(err, OME_E_UNAVAILABLE, "pod %s/%s: no loopback address is free", meta_namespace(pod), meta_name(pod));
  _cleanup_free_ char *report = runner_report(l->runner, uid, &stopped);
  if (!report) {
    int32_t rc = start(l, pod, ip, requeue_ms, err);
    if (rc != OME_OK || *requeue_ms)
      return rc;
    report = runner_report(l->runner, uid, &stopped);
  }
  return report_status(l, pod, report, NULL, NULL, ip, err);
}

static int32_t end(struct local *l, struct json_object *pod, struct ome_err *err) {
  const char *uid = meta_uid(pod);
  bool stopped = true;
  _cleanup_free_ char *report = runner_report(l->runner, uid, &stopped);

  if (!report || stopped)
    return finalize(l, pod, err);
  runner_stop_pod(
      l->runner, uid,
      json_i64(pod, "metadata.deletionGracePeriodSeconds", json_i64(pod, "spec.terminationGracePeriodSeconds", 30)));
  free(report);
  report = runner_report(l->runner, uid, &stopped);
  return report_status(l, pod, report, NULL, NULL, json_str(pod, "status.podIP", NULL), err);
}

int32_t pods_reconcile(void *arg, const char *ns, const char *name, uint64_t *requeue_ms, struct ome_err *err) {
  struct local *l = arg;

  if (!local_synced(l))
    return fail(err, OME_E_UNAVAILABLE, "the API server's lists are not in yet");
  _cleanup_json_ struct json_object *pod = kube_cache_get(l->caches[CACHE_PODS], ns, name);
  drop_others(l, ns, name, pod ? meta_uid(pod) : NULL);
  if (!pod)
    return OME_OK;
  const char *node = json_str(pod, "spec.nodeName", "");
  if (*node && !streq(node, l->node_name))
    return OME_OK;
  if (meta_deleting(pod))
    return end(l, pod, err);
  if (is_finished(pod)) { /* its logs stay as long as it does */
    runner_remove(l->runner, meta_uid(pod));
    addresses_release(l->pod_ips, meta_uid(pod));
    gpus_release(l->gpus, meta_uid(pod));
    return OME_OK;
  }
  return *node ? run(l, pod, requeue_ms, err) : schedule(l, pod, err);
}
