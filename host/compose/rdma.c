#include "compose/rdma.h"

#include "base/buf.h"
#include "base/str.h"
#include "compose/container.h"

#include <string.h>

/* RoCE on Oracle's bare-metal GPU shapes: ConnectX ports in order, without those of the front end. */
static const char oci_roce[] =
    "{\"devices\": [\"/dev/infiniband\"], \"capabilities\": [\"IPC_LOCK\"], \"env\": {"
    "\"GLOO_SOCKET_IFNAME\": \"eth0\", \"HCOLL_ENABLE_MCAST_ALL\": \"0\", \"IB_RX_QUEUE_LEN\": \"8192\","
    "\"NCCL_CROSS_NIC\": \"2\", \"NCCL_CUMEM_ENABLE\": \"0\", \"NCCL_DEBUG\": \"INFO\", \"NCCL_IB_GID_INDEX\": \"3\","
    "\"NCCL_IB_HCA\": \"=mlx5_0,mlx5_1,mlx5_3,mlx5_4,mlx5_5,mlx5_6,mlx5_7,mlx5_8,mlx5_9,mlx5_10,mlx5_12,mlx5_13,"
    "mlx5_14,mlx5_15,mlx5_16,mlx5_17\","
    "\"NCCL_IB_QPS_PER_CONNECTION\": \"16\", \"NCCL_IB_SL\": \"0\", \"NCCL_IB_SPLIT_DATA_ON_QPS\": \"0\","
    "\"NCCL_IB_TC\": \"41\", \"NCCL_IB_TIMEOUT\": \"22\", \"NCCL_IGNORE_CPU_AFFINITY\": \"1\","
    "\"NCCL_NET_PLUGIN\": \"none\", \"NCCL_SOCKET_IFNAME\": \"eth0\", \"NCCL_SOCKET_NTHREADS\": \"16\","
    "\"RX_QUEUE_LEN\": \"8192\", \"UCX_NET_DEVICES\": \"eth0\", \"UCX_TLS\": \"tcp\", \"coll_hcoll_enable\": \"0\"}}";

/* Profiles are read with their keys in order, so that equal ones give equal pods. */
static int32_t find_profile(const char *name, struct json_object *profiles, struct json_object **out,
                            struct ome_err *err) {
  struct json_object *own = json_get(profiles, name);

  if (json_is(own, json_type_object)) {
    _cleanup_free_ char *text = json_canonical(own);
    return text ? json_parse(text, strlen(text), SIZE_MAX, out, err) : fail_memory(err);
  }
  if (streq(name, RDMA_DEFAULT_PROFILE))
    return json_parse(oci_roce, sizeof(oci_roce) - 1, sizeof(oci_roce), out, err);
  _cleanup_buf_ struct buf known = BUF_INIT;
  buf_adds(&known, RDMA_DEFAULT_PROFILE);
  if (json_is(profiles, json_type_object)) {
    json_object_object_foreach (profiles, key, v) {
      (void)v;
      buf_addf(&known, ", %s", key);
    }
  }
  return fail(err, OME_E_INVALID, "unknown RDMA profile: %s; there are: %s", name, buf_str(&known));
}

/* The entry NAME of LIST, new at its end when absent; *MADE says which. */
static struct json_object *entry_of(struct json_object *list, const char *name, bool *made) {
  struct json_object *e = json_find(list, "name", name);

  *made = !e;
  if (e)
    return e;
  e = json_object_new_object();
  (void)json_set_str(e, "name", name);
  (void)json_object_array_add(list, e);
  return e;
}

static void add_volume(struct json_object *spec, struct json_object *container, const char *name, const char *path,
                       bool memory) {
  bool made;
  struct json_object *volume = entry_of(list_in(spec, "volumes"), name, &made);

  if (made && memory)
    (void)json_set_str(volume, "emptyDir.medium", "Memory");
  else if (made)
    (void)json_set_str(volume, "hostPath.path", path);
  struct json_object *mount = entry_of(list_in(container, "volumeMounts"), name, &made);
  if (made)
    (void)json_set_str(mount, "mountPath", path);
}

/* "devinf" is what OME calls the first; the others are numbered. */
static void add_volumes(struct json_object *spec, struct json_object *container, struct json_object *devices) {
  add_volume(spec, container, "dshm", "/dev/shm", true);
  for (size_t i = 0; i < json_len(devices); i++) {
    _cleanup_free_ char *name = i ? str_printf("devinf-%zu", i) : strdup("devinf");
    if (name)
      add_volume(spec, container, name, json_object_get_string(json_index(devices, i)), false);
  }
}

static void add_env(struct json_object *container, struct json_object *env) {
  struct json_object *list = list_in(container, "env");
  bool made;

  if (!json_is(env, json_type_object))
    return;
  json_object_object_foreach (env, key, v) {
    struct json_object *e = entry_of(list, key, &made);
    if (made)
      (void)json_set_str(e, "value", json_object_get_string(v));
  }
}

static bool has_word(struct json_object *list, const char *word) {
  for (size_t i = 0; i < json_len(list); i++)
    if (streq(json_object_get_string(json_index(list, i)), word))
      return true;
  return false;
}

static void add_rights(struct json_object *container, struct json_object *profile) {
  struct json_object *wanted = json_get(profile, "capabilities");

  if (json_len(wanted)) {
    struct json_object *capabilities = json_ensure(container, "securityContext.capabilities");
    struct json_object *list = list_in(capabilities, "add");
    for (size_t i = 0; i < json_len(wanted); i++)
      if (!has_word(list, json_object_get_string(json_index(wanted, i))))
        (void)json_object_array_add(list, json_object_get(json_index(wanted, i)));
  }
  if (json_flag(profile, "privileged", false) && !json_at(container, "securityContext.privileged"))
    (void)json_set_bool(container, "securityContext.privileged", true);
}

int32_t rdma_inject(struct json_object *pod_spec, const char *name, const char *container, struct json_object *profiles,
                    struct ome_err *err) {
  _cleanup_json_ struct json_object *profile = NULL;
  struct json_object *target = json_find(json_get(pod_spec, "containers"), "name", container);
  int32_t rc = find_profile(name, profiles, &profile, err);

  if (rc != OME_OK || !target)
    return rc;
  add_volumes(pod_spec, target, json_get(profile, "devices"));
  add_env(target, json_get(profile, "env"));
  add_rights(target, profile);
  if (json_flag(profile, "hostNetwork", false) && !json_at(pod_spec, "hostNetwork"))
    (void)json_set_bool(pod_spec, "hostNetwork", true);
  return OME_OK;
}
