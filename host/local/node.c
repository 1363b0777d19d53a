/* The Node object: what this machine has, and that it is alive. */
#include "local/local_int.h"

#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"
#include "local/gpus.h"
#include "local/plan.h"
#include "os/file.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#define LEASE_NAMESPACE "kube-node-lease"
#define HEARTBEAT_MS 60000
#define LEASE_S 240

/* ---- the machine ------------------------------------------------------------------------------------------------- */

char *node_address(void) {
  struct ifaddrs *all = NULL;
  char text[INET_ADDRSTRLEN] = "127.0.0.1";

  if (getifaddrs(&all) != 0)
    return strdup(text);
  for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
    const struct sockaddr_in *in = (const void *)i->ifa_addr;
    if (!in || in->sin_family != AF_INET || (i->ifa_flags & IFF_LOOPBACK) || !(i->ifa_flags & IFF_UP))
      continue;
    (void)inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    break;
  }
  freeifaddrs(all);
  return strdup(text);
}

/* The value after KEY and SEPARATORS on its line of a small text file; new, NULL: absent. */
static char *text_field(const char *path, const char *key, const char *separators) {
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *text = NULL;

  if (file_read(path, 1 << 20, &text, NULL, &err) != OME_OK)
    return NULL;
  for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    if (has_prefix(line, key)) {
      const char *value = line + strlen(key);
      value += strspn(value, separators);
      return str_copy(value, strcspn(value, "\"\n"));
    }
  return NULL;
}

/* "NVIDIA-A100-SXM4-80GB", as the GPU operator labels it; new, NULL: unknown. */
static char *gpu_product(void) {
  DIR *d = opendir("/proc/driver/nvidia/gpus");
  char *product = NULL;

  for (struct dirent *e; d && !product && (e = readdir(d));) {
    _cleanup_free_ char *path = str_printf("/proc/driver/nvidia/gpus/%s/information", e->d_name);
    product = path && e->d_name[0] != '.' ? text_field(path, "Model:", " \t") : NULL;
  }
  if (d)
    (void)closedir(d);
  for (char *c = product; c && *c; c++)
    *c = isalnum((unsigned char)*c) || *c == '.' || *c == '_' ? *c : '-';
  return product;
}

static struct json_object *capacity(const struct local *l) {
  struct json_object *c = json_object_new_object();
  _cleanup_free_ char *memory = text_field("/proc/meminfo", "MemTotal:", " \t");
  struct statvfs fs;
  char text[64];

  (void)snprintf(text, sizeof(text), "%ld", sysconf(_SC_NPROCESSORS_ONLN));
  (void)json_object_object_add(c, "cpu", json_object_new_string(text));
  (void)snprintf(text, sizeof(text), "%.*sKi", (int)strspn(memory ? memory : "", "0123456789"), memory ? memory : "0");
  (void)json_object_object_add(c, "memory", json_object_new_string(text));
  if (statvfs(l->data_dir, &fs) == 0) {
    (void)snprintf(text, sizeof(text), "%lluKi", (unsigned long long)fs.f_blocks * fs.f_frsize / 1024);
    (void)json_object_object_add(c, "ephemeral-storage", json_object_new_string(text));
  }
  (void)json_object_object_add(c, "pods", json_object_new_string("110"));
  if (gpus_count()) {
    (void)snprintf(text, sizeof(text), "%d", gpus_count());
    (void)json_object_object_add(c, GPU_RESOURCE, json_object_new_string(text));
  }
  return c;
}

static const char *go_arch(const char *machine) {
  static const char *const names[][2] = {
      {"x86_64", "amd64"}, {"aarch64", "arm64"}, {"ppc64le", "ppc64le"}, {"s390x", "s390x"}, {"riscv64", "riscv64"}};

  for (size_t i = 0; i < ARRAY_LEN(names); i++)
    if (streq(machine, names[i][0]))
      return names[i][1];
  return machine;
}

/* ---- the object -------------------------------------------------------------------------------------------------- */

static void set_info(struct json_object *status) {
  _cleanup_free_ char *os = text_field("/etc/os-release", "PRETTY_NAME=", "\"");
  _cleanup_free_ char *machine_id = text_field("/etc/machine-id", "", "");
  _cleanup_free_ char *boot_id = text_field("/proc/sys/kernel/random/boot_id", "", "");
  struct utsname u;

  (void)uname(&u);
  const char *const fields[][2] = {{"machineID", machine_id},
                                   {"systemUUID", machine_id},
                                   {"bootID", boot_id},
                                   {"kernelVersion", u.release},
                                   {"osImage", os},
                                   {"containerRuntimeVersion", "ome://" OME_VERSION},
                                   {"kubeletVersion", "v" OME_VERSION "-ome"},
                                   {"kubeProxyVersion", "v" OME_VERSION "-ome"},
                                   {"operatingSystem", "linux"},
                                   {"architecture", go_arch(u.machine)}};
  struct json_object *info = json_ensure(status, "nodeInfo");
  for (size_t i = 0; i < ARRAY_LEN(fields); i++)
    (void)json_set_str(info, fields[i][0], fields[i][1] ? fields[i][1] : "");
}

static void set_conditions(struct json_object *status, int64_t now_ms) {
  static const struct {
    const char *type, *status, *reason, *message;
  } conditions[] = {
      {"MemoryPressure", "False", "KubeletHasSufficientMemory", "ome has sufficient memory available"},
      {"DiskPressure", "False", "KubeletHasNoDiskPressure", "ome has no disk pressure"},
      {"PIDPressure", "False", "KubeletHasSufficientPID", "ome has sufficient PID available"},
      {"Ready", "True", "KubeletReady", "ome is running pods as processes"},
  };

  for (size_t i = 0; i < ARRAY_LEN(conditions); i++)
    plan_condition(status, conditions[i].type, conditions[i].status, conditions[i].reason, conditions[i].message,
                   now_ms, false);
  /* The lease is the heartbeat; here it only says since when. */
  struct json_object *all = json_get(status, "conditions");
  for (size_t i = 0; i < json_len(all); i++) {
    struct json_object *c = json_index(all, i);
    if (!json_get(c, "lastHeartbeatTime"))
      (void)json_set_str(c, "lastHeartbeatTime", json_str(c, "lastTransitionTime", ""));
  }
}

static void set_addresses(const struct local *l, struct json_object *status) {
  const char *const addresses[][2] = {{"InternalIP", l->node_ip}, {"Hostname", l->node_name}};
  struct json_object *list = json_object_new_array();

  for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
    struct json_object *a = json_object_new_object();
    (void)json_set_str(a, "type", addresses[i][0]);
    (void)json_set_str(a, "address", addresses[i][1]);
    (void)json_object_array_add(list, a);
  }
  (void)json_set(status, "addresses", list);
}

/* Adds what is ours to STATUS; what others say of the node stays. */
static void fill_status(const struct local *l, struct json_object *status, int64_t now_ms) {
  static const char *const maps[] = {"capacity", "allocatable"};
  _cleanup_json_ struct json_object *ours = capacity(l);

  for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
    struct json_object *map = json_ensure(status, maps[i]);
    json_object_object_foreach (ours, key, v) {
      (void)json_object_object_add(map, key, json_object_get(v));
    }
  }
  set_info(status);
  set_conditions(status, now_ms);
  set_addresses(l, status);
}

static void fill_labels(const struct local *l, struct json_object *node) {
  _cleanup_free_ char *product = gpu_product();
  struct utsname u;

  (void)uname(&u);
  meta_set_label(node, "kubernetes.io/hostname", l->node_name);
  meta_set_label(node, "kubernetes.io/os", "linux");
  meta_set_label(node, "kubernetes.io/arch", go_arch(u.machine));
  if (product)
    meta_set_label(node, "nvidia.com/gpu.product", product);
}

static int32_t get_or_make(struct local *l, struct json_object **out, struct ome_err *err) {
  int32_t rc = kube_get(l->client, &KUBE_NODES, NULL, l->node_name, out, err);

  if (rc != OME_E_NOT_FOUND)
    return rc;
  err_clear(err);
  _cleanup_json_ struct json_object *node = json_object_new_object();
  if (!json_set_str(node, "apiVersion", "v1") || !json_set_str(node, "kind", "Node") ||
      !json_set_str(node, "metadata.name", l->node_name))
    return fail_memory(err);
  fill_labels(l, node);
  return kube_create(l->client, &KUBE_NODES, node, out, err);
}

static int32_t write_node(struct local *l, struct ome_err *err) {
  _cleanup_json_ struct json_object *node = NULL;
  int32_t rc = get_or_make(l, &node, err);

  if (rc != OME_OK)
    return rc;
  _cleanup_json_ struct json_object *labeled = json_copy(node);
  fill_labels(l, labeled);
  _cleanup_json_ struct json_object *diff = merge_diff(node, labeled);
  if (diff)
    rc = kube_patch(l->client, &KUBE_NODES, NULL, l->node_name, NULL, KUBE_PATCH_MERGE, diff, NULL, err);
  if (rc != OME_OK)
    return rc;
  struct json_object *before = json_get(node, "status");
  struct json_object *after = before ? json_copy(before) : json_object_new_object();
  fill_status(l, after, wall_ms());
  struct json_object *status_diff = merge_diff(before, after);
  json_unref(after);
  if (!status_diff)
    return OME_OK;
  _cleanup_json_ struct json_object *patch = json_object_new_object();
  (void)json_set(patch, "status", status_diff);
  return kube_patch(l->client, &KUBE_NODES, NULL, l->node_name, "status", KUBE_PATCH_MERGE, patch, NULL, err);
}

/* ---- the heartbeat ----------------------------------------------------------------------------------------------- */

static int32_t make_lease_namespace(struct local *l, struct ome_err *err) {
  _cleanup_json_ struct json_object *ns = json_object_new_object();

  if (!json_set_str(ns, "apiVersion", "v1") || !json_set_str(ns, "kind", "Namespace") ||
      !json_set_str(ns, "metadata.name", LEASE_NAMESPACE))
    return fail_memory(err);
  int32_t rc = kube_create(l->client, &KUBE_NAMESPACES, ns, NULL, err);
  return rc == OME_E_EXISTS || rc == OME_E_CONFLICT ? OME_OK : rc;
}

static int32_t renew_lease(struct local *l, struct ome_err *err) {
  _cleanup_json_ struct json_object *lease = json_object_new_object();
  char now[TIME_TEXT_US];

  time_format_us(wall_us(), now);
  if (!json_set_str(lease, "apiVersion", "coordination.k8s.io/v1") || !json_set_str(lease, "kind", "Lease") ||
      !json_set_str(lease, "metadata.name", l->node_name) ||
      !json_set_str(lease, "metadata.namespace", LEASE_NAMESPACE) ||
      !json_set_str(lease, "spec.holderIdentity", l->node_name) ||
      !json_set_i64(lease, "spec.leaseDurationSeconds", LEASE_S) || !json_set_str(lease, "spec.renewTime", now))
    return fail_memory(err);
  return kube_apply(l->client, &KUBE_LEASES, lease, NULL, "ome-local", true, NULL, err);
}

int32_t node_reconcile(void *arg, const char *ns UNUSED, const char *name UNUSED, uint64_t *requeue_ms,
                       struct ome_err *err) {
  struct local *l = arg;
  int32_t rc = write_node(l, err);
  if (!l->swept && local_synced(l)) {
    pods_sweep(l);
    l->swept = true;
  }

  if (rc == OME_OK)
    rc = renew_lease(l, err);
  if (rc == OME_E_NOT_FOUND && make_lease_namespace(l, err) == OME_OK)
    rc = renew_lease(l, err);
  *requeue_ms = HEARTBEAT_MS;
  return rc;
}
