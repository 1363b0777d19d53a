/* What the server gives a Service: cluster addresses and node ports, each once.  Which addresses is for the host to
 * say: without a cluster network a Service is where something on this machine listens, so they are loopback ones. */
#include "apiserver/server.h"

#include "base/str.h"
#include "base/strmap.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define NODE_PORT_FIRST 30000u
#define NODE_PORTS 2768u
#define TRIES 100000u

static bool is_given(const char *address) {
  return *address && !streq(address, "None");
}

/* What O holds goes into (or out of) the set of what is in use. */
static void note(struct strmap *used, struct json_object *o, bool holds) {
  struct json_object *ports = json_at(o, "spec.ports");
  const char *address = json_str(o, "spec.clusterIP", "");
  char port[16];

  if (is_given(address))
    (void)(holds ? strmap_put(used, address, NULL) : strmap_del(used, address));
  for (size_t i = 0; i < json_len(ports); i++) {
    int64_t n = json_i64(json_index(ports, i), "nodePort", 0);
    (void)snprintf(port, sizeof(port), "%lld", (long long)n);
    if (n)
      (void)(holds ? strmap_put(used, port, NULL) : strmap_del(used, port));
  }
}

static bool note_stored(void *arg, const char *ns, const char *name, const char *text, size_t len, const char *labels) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  (void)ns;
  (void)name;
  (void)labels;
  if (json_parse(text, len, SIZE_MAX, &o, &err) == OME_OK)
    note(arg, o, true);
  return true;
}

/* Read from the store when the first Service is written. */
static struct strmap *in_use(struct apiserver *s) {
  struct ome_err err = ERR_INIT;

  if (!s->service_use && (s->service_use = strmap_new(NULL)))
    (void)store_list(s->store, &(struct store_part){.collection = "/services"}, note_stored, s->service_use, &err);
  return s->service_use;
}

/* Where the search for what is free begins: chance, but the same for the same object, so that a write that runs again
 * (admission.h) comes to the same. */
static void chance_of(struct json_object *o, uint32_t salt, uint8_t out[32]) {
  _cleanup_free_ char *text = str_printf("%s/%u", meta_uid(o), salt);
  char hex[65];

  sha256_hex(text ? text : "", text ? strlen(text) : 0, hex);
  (void)hex_decode(hex, out, 32);
}

static bool pick_address(const struct apiserver *s, struct json_object *o, char out[16]) {
  unsigned first = s->cluster_network ? 10 : 127, second = s->cluster_network ? 96 : 128,
           span = s->cluster_network ? 16 : 64;

  for (uint32_t i = 0; i < TRIES; i++) {
    uint8_t b[32];
    chance_of(o, i, b);
    if (b[2] == 0 || b[2] == 255)
      continue;
    (void)snprintf(out, 16, "%u.%u.%u.%u", first, second + b[0] % span, b[1], b[2]);
    if (!strmap_has(s->service_use, out))
      return true;
  }
  return false;
}

static bool pick_port(const struct strmap *used, struct json_object *o, uint32_t index, int64_t *out) {
  uint8_t chance[32];
  char text[16];
  uint32_t start;

  chance_of(o, TRIES + index, chance);
  memcpy(&start, chance, sizeof(start));
  for (uint32_t i = 0; i < NODE_PORTS; i++) {
    *out = NODE_PORT_FIRST + (start % NODE_PORTS + i) % NODE_PORTS;
    (void)snprintf(text, sizeof(text), "%lld", (long long)*out);
    if (!strmap_has(used, text))
      return true;
  }
  return false;
}

static void set_addresses(struct json_object *o, const char *address) {
  const char *const addresses[] = {address, NULL};

  (void)json_set_str(o, "spec.clusterIP", address);
  (void)json_set(o, "spec.clusterIPs", json_strings(addresses));
  if (json_len(json_at(o, "spec.ipFamilies")) == 0)
    (void)json_add_str(json_ensure_array(o, "spec.ipFamilies"), "IPv4");
  if (!json_at(o, "spec.ipFamilyPolicy"))
    (void)json_set_str(o, "spec.ipFamilyPolicy", "SingleStack");
}

static void complete_ports(struct strmap *used, struct json_object *o, struct field_errors *out) {
  struct json_object *ports = json_at(o, "spec.ports");
  int64_t n;

  for (size_t i = 0; i < json_len(ports); i++) {
    struct json_object *p = json_index(ports, i);
    if (json_i64(p, "nodePort", 0) != 0)
      continue;
    if (pick_port(used, o, (uint32_t)i, &n))
      (void)json_set_i64(p, "nodePort", n);
    else
      field_errors_add(out, FIELD_INVALID, "spec.ports", "Internal error: no node port is free");
  }
}

void service_complete(struct apiserver *s, struct json_object *o, struct json_object *old, struct field_errors *out) {
  const char *type = json_str(o, "spec.type", "");
  const char *address = json_str(o, "spec.clusterIP", "");
  struct strmap *used = in_use(s);
  char picked[16];

  if (!used || !json_at(o, "spec") || streq(type, "ExternalName"))
    return;
  if (!*address && pick_address(s, o, picked))
    set_addresses(o, picked);
  else if (*address && !streq(address, json_str(old, "spec.clusterIP", "")) && strmap_has(used, address))
    field_errors_add(out, FIELD_INVALID, "spec.clusterIPs",
                     "Invalid value: []string{\"%s\"}: failed to allocate IP %s: provided IP is already allocated",
                     address, address);
  else {
    _cleanup_free_ char *same = strdup(address);
    if (same && *same)
      set_addresses(o, same);
  }
  if (streq(type, "NodePort") ||
      (streq(type, "LoadBalancer") && json_flag(o, "spec.allocateLoadBalancerNodePorts", true)))
    complete_ports(used, o, out);
}

void service_stored(struct apiserver *s, struct json_object *o, struct json_object *old) {
  struct strmap *used = in_use(s);

  if (!used)
    return;
  if (old)
    note(used, old, false);
  if (o)
    note(used, o, true);
}
