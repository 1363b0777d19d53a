#include "compose/rdma.h"

#include "base/buf.h"
#include "base/str.h"
#include "compose/container.h"

#include <string.h>

#define NETWORKS "k8s.v1.cni.cncf.io/networks" /* what Multus attaches a pod to */

/* ---- profiles ---------------------------------------------------------------------------------------------------- */

#define INFINIBAND "{\"devices\": [\"/dev/infiniband\"], \"capabilities\": [\"IPC_LOCK\"], \"env\": {"
#define PORT(hca, port) "\"cw-multus/ibs" #hca "p" #port "-macvlan\""
#define PORTS(hca) PORT(hca, 0) "," PORT(hca, 1) "," PORT(hca, 2) "," PORT(hca, 3)

/* Those of OME.  RoCE on Oracle's bare-metal GPU shapes, with ConnectX ports in order, without those of the front end;
 * SGLang with prefill and decode apart on CoreWeave's GB200 and GB300; and the networks of these alone, 4 ports of each
 * of 4 adapters, for runtimes that bring their own environment. */
static const struct {
  const char *name, *text;
} built_in[] = {
    {"cks-gb-rdma", "{\"networks\": [" PORTS(0) "," PORTS(1) "," PORTS(2) "," PORTS(3) "]}"},
    {"cks-gb-sglang", INFINIBAND
     "\"MC_TE_METRIC\": \"true\", \"NCCL_CUMEM_ENABLE\": \"1\", \"NCCL_IB_ADDR_FAMILY\": \"AF_INET6\","
     "\"NCCL_MNNVL_ENABLE\": \"1\", \"NCCL_SOCKET_FAMILY\": \"AF_INET6\", \"NCCL_SOCKET_IFNAME\": \"eth0\"}}"},
    {RDMA_DEFAULT_PROFILE, INFINIBAND
     "\"GLOO_SOCKET_IFNAME\": \"eth0\", \"HCOLL_ENABLE_MCAST_ALL\": \"0\", \"IB_RX_QUEUE_LEN\": \"8192\","
     "\"NCCL_CROSS_NIC\": \"2\", \"NCCL_CUMEM_ENABLE\": \"0\", \"NCCL_DEBUG\": \"INFO\", \"NCCL_IB_GID_INDEX\": \"3\","
     "\"NCCL_IB_HCA\": \"=mlx5_0,mlx5_1,mlx5_3,mlx5_4,mlx5_5,mlx5_6,mlx5_7,mlx5_8,mlx5_9,mlx5_10,mlx5_12,mlx5_13,"
     "mlx5_14,mlx5_15,mlx5_16,mlx5_17\","
     "\"NCCL_IB_QPS_PER_CONNECTION\": \"16\", \"NCCL_IB_SL\": \"0\", \"NCCL_IB_SPLIT_DATA_ON_QPS\": \"0\","
     "\"NCCL_IB_TC\": \"41\", \"NCCL_IB_TIMEOUT\": \"22\", \"NCCL_IGNORE_CPU_AFFINITY\": \"1\","
     "\"NCCL_NET_PLUGIN\": \"none\", \"NCCL_SOCKET_IFNAME\": \"eth0\", \"NCCL_SOCKET_NTHREADS\": \"16\","
     "\"RX_QUEUE_LEN\": \"8192\", \"UCX_NET_DEVICES\": \"eth0\", \"UCX_TLS\": \"tcp\", \"coll_hcoll_enable\": \"0\"}}"},
};

static int32_t fail_unknown(const char *name, struct json_object *profiles, struct ome_err *err) {
  _cleanup_buf_ struct buf known = BUF_INIT;

  for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
    buf_addf(&known, "%s%s", i ? ", " : "", built_in[i].name);
  if (json_is(profiles, json_type_object)) {
    json_object_object_foreach (profiles, key, v) {
      (void)v;
      buf_addf(&known, ", %s", key);
    }
  }
  return fail(err, OME_E_INVALID, "unknown RDMA profile: %s; there are: %s", name, buf_str(&known));
}

static bool is_path(struct json_object *v) {
  return json_is(v, json_type_string) && *json_object_get_string(v) == '/';
}

static bool is_text(struct json_object *v) {
  return json_is(v, json_type_string);
}

static bool is_scalar(struct json_object *v) {
  return v && !json_is(v, json_type_object) && !json_is(v, json_type_array);
}

/* What a profile of a site may hold; what is in its lists and maps is used as the text that it is. */
static const struct {
  const char *key;
  enum json_type type;
  bool (*item)(struct json_object *v); /* of each in it; NULL: it holds none */
  const char *wanted;
} keys[] = {
    {"devices", json_type_array, is_path, "a list of absolute paths"},
    {"capabilities", json_type_array, is_text, "a list of names"},
    {"networks", json_type_array, is_text, "a list of [NAMESPACE/]NAME"},
    {"env", json_type_object, is_scalar, "a map of variables"},
    {"resources", json_type_object, is_scalar, "a map of quantities"},
    {"privileged", json_type_boolean, NULL, "true or false"},
    {"hostNetwork", json_type_boolean, NULL, "true or false"},
};

static bool holds_only(struct json_object *v, bool (*item)(struct json_object *v)) {
  bool ok = true;

  for (size_t i = 0; item && i < json_len(v); i++)
    ok = ok && item(json_index(v, i));
  if (item && json_is(v, json_type_object)) {
    json_object_object_foreach (v, key, e) {
      (void)key;
      ok = ok && item(e);
    }
  }
  return ok;
}

static int32_t check(const char *name, struct json_object *profile, struct ome_err *err) {
  if (!json_is(profile, json_type_object))
    return fail(err, OME_E_INVALID, "rdmaProfiles.%s of ConfigMap inferenceservice-config: must be an object", name);
  json_object_object_foreach (profile, key, v) {
    size_t i = 0;
    while (i < ARRAY_LEN(keys) && !streq(keys[i].key, key))
      i++;
    if (i == ARRAY_LEN(keys))
      return fail(err, OME_E_INVALID,
                  "rdmaProfiles.%s.%s of ConfigMap inferenceservice-config: there is no such key; see "
                  "docs/admission.md",
                  name, key);
    if (!json_is(v, keys[i].type) || !holds_only(v, keys[i].item))
      return fail(err, OME_E_INVALID, "rdmaProfiles.%s.%s of ConfigMap inferenceservice-config: must be %s", name, key,
                  keys[i].wanted);
  }
  return OME_OK;
}

/* *OUT is new. */
static int32_t find_profile(const char *name, struct json_object *all, struct json_object **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *profiles = json_sorted(all); /* equal ones give equal pods */
  struct json_object *own = json_get(profiles, name);
  if (own) {
    *out = json_object_get(own);
    return check(name, own, err);
  }
  for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
    if (streq(built_in[i].name, name))
      return json_parse(built_in[i].text, strlen(built_in[i].text), 0, out, err);
  return fail_unknown(name, profiles, err);
}

/* ---- into a pod -------------------------------------------------------------------------------------------------- */

/* The entry NAME of LIST, new at its end when absent; *MADE says which. */
static struct json_object *entry_of(struct json_object *list, const char *name, bool *made) {
  struct json_object *e = json_find(list, "name", name);

  *made = !e;
  if (e)
    return e;
  e = json_object_new_object();
  (void)json_set_str(e, "name", name);
  (void)json_add(list, e);
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
  struct json_object *list = json_empty(env) ? NULL : list_in(container, "env");
  bool made;

  if (!list)
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
        (void)json_add(list, json_object_get(json_index(wanted, i)));
  }
  if (json_flag(profile, "privileged", false) && !json_at(container, "securityContext.privileged"))
    (void)json_set_bool(container, "securityContext.privileged", true);
}

/* Extended resources are given as limits, which their requests follow. */
static void add_resources(struct json_object *container, struct json_object *wanted) {
  struct json_object *limits = json_empty(wanted) ? NULL : json_ensure(container, "resources.limits");

  if (!limits)
    return;
  json_object_object_foreach (wanted, key, v) {
    if (!json_get(limits, key))
      (void)json_put(limits, key, json_object_get(v));
  }
}

/* ---- networks ---------------------------------------------------------------------------------------------------- */

/* "NAMESPACE/NAME" as Multus' annotation has it. */
static struct json_object *attachment(const char *network) {
  struct json_object *a = json_object_new_object();
  const char *slash = strchr(network, '/');
  _cleanup_free_ char *ns = slash ? str_copy(network, (size_t)(slash - network)) : NULL;

  (void)json_set_str(a, "name", slash ? slash + 1 : network);
  if (ns)
    (void)json_set_str(a, "namespace", ns);
  return a;
}

static bool is_attached(struct json_object *list, struct json_object *a) {
  for (size_t i = 0; i < json_len(list); i++) {
    struct json_object *have = json_index(list, i);
    if (streq(json_str(have, "name", ""), json_str(a, "name", "")) &&
        streq(json_str(have, "namespace", ""), json_str(a, "namespace", "")))
      return true;
  }
  return false;
}

/* Multus takes a JSON list, or names with commas between them: those of the pod stay, as a list. */
static int32_t read_networks(struct json_object *annotations, struct json_object **out, struct ome_err *err) {
  const char *text = json_object_get_string(json_get(annotations, NETWORKS));

  if (text && *text == '[') {
    int32_t rc = json_parse(text, strlen(text), 0, out, err);
    return rc == OME_OK ? rc : fail_prefix(err, "annotation " NETWORKS);
  }
  _cleanup_free_ char **names = text && *text ? str_split(text, ',') : NULL;
  *out = json_object_new_array();
  for (size_t i = 0; names && names[i]; i++) {
    char *name = names[i] + strspn(names[i], " ");
    name[strcspn(name, " ")] = '\0';
    (void)json_add(*out, attachment(name));
  }
  return *out ? OME_OK : fail_memory(err);
}

static int32_t add_networks(struct json_object *annotations, struct json_object *wanted, struct ome_err *err) {
  _cleanup_json_ struct json_object *list = NULL;
  size_t before;

  if (json_len(wanted) == 0)
    return OME_OK;
  int32_t rc = read_networks(annotations, &list, err);
  if (rc != OME_OK)
    return rc;
  before = json_len(list);
  for (size_t i = 0; i < json_len(wanted); i++) {
    struct json_object *a = attachment(json_object_get_string(json_index(wanted, i)));
    if (is_attached(list, a))
      json_unref(a);
    else
      (void)json_add(list, a);
  }
  if (json_len(list) == before)
    return OME_OK;
  _cleanup_free_ char *text = json_text(list);
  struct json_object *value = text ? json_object_new_string(text) : NULL;
  return value && json_put(annotations, NETWORKS, value) ? OME_OK : fail_memory(err);
}

/* ---- entry ------------------------------------------------------------------------------------------------------- */

static const char *annotation(struct json_object *annotations, const char *key, const char *dflt) {
  const char *v = json_object_get_string(json_get(annotations, key));

  return v && *v ? v : dflt;
}

int32_t rdma_apply(struct json_object *annotations, struct json_object *spec, struct json_object *profiles,
                   struct ome_err *err) {
  _cleanup_json_ struct json_object *profile = NULL;
  const char *container = annotation(annotations, "rdma.ome.io/container-name", "ome-container");

  if (!streq(annotation(annotations, "rdma.ome.io/auto-inject", ""), "true"))
    return OME_OK;
  int32_t rc =
      find_profile(annotation(annotations, "rdma.ome.io/profile", RDMA_DEFAULT_PROFILE), profiles, &profile, err);
  struct json_object *target = json_find(json_get(spec, "containers"), "name", container);
  if (rc != OME_OK || !target)
    return rc;
  if (json_get(profile, "devices"))
    add_volumes(spec, target, json_get(profile, "devices"));
  add_env(target, json_get(profile, "env"));
  add_rights(target, profile);
  add_resources(target, json_get(profile, "resources"));
  if (json_flag(profile, "hostNetwork", false) && !json_at(spec, "hostNetwork"))
    (void)json_set_bool(spec, "hostNetwork", true);
  return add_networks(annotations, json_get(profile, "networks"), err);
}
