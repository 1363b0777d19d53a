/* Values in a pod's document: $(VAR), paths below mounts, the downward API, service variables. */
#include "local/podspec.h"

#include "base/buf.h"
#include "base/quantity.h"
#include "base/str.h"
#include "kube/meta.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Expansion may multiply; a megabyte is beyond what execve takes for one string anyway (128 KiB). */
#define TEXT_MAX ((size_t)1 << 20)

char *expand_variables(const char *text, const struct strv *env) {
  _cleanup_buf_ struct buf out;

  buf_init(&out, TEXT_MAX);
  for (const char *c = text; *c;) {
    const char *end = c[0] == '$' && c[1] == '(' ? strchr(c, ')') : NULL;
    if (c[0] == '$' && c[1] == '$') {
      buf_addc(&out, '$');
      c += 2;
    } else if (end) {
      _cleanup_free_ char *name = str_copy(c + 2, (size_t)(end - c - 2));
      const char *value = name ? strv_getenv(env, name) : NULL;
      if (value)
        buf_adds(&out, value);
      else
        buf_add(&out, c, (size_t)(end + 1 - c));
      c = end + 1;
    } else
      buf_addc(&out, *c++);
  }
  return buf_take(&out);
}

static bool is_path_char(char c) {
  return isalnum((unsigned char)c) || strchr("_-./~", c);
}

/* The mount whose inside path stands at C, as a whole: the longest one. */
static const struct mount_map *mount_at(const struct mount_maps *maps, const char *c) {
  const struct mount_map *best = NULL;

  for (size_t i = 0; i < maps->list.len; i++) {
    const struct mount_map *m = &maps->list.items[i];
    size_t n = strlen(m->inside);
    char after = strncmp(c, m->inside, n) == 0 ? c[n] : 'x';
    if (after && after != '/' && is_path_char(after) && after != '.')
      continue;
    if (after == '.' && is_path_char(c[n + 1]) && c[n + 1]) /* "/data.old" is another path, "/data." ends a sentence */
      continue;
    if (!best || n > strlen(best->inside))
      best = m;
  }
  return best;
}

char *rewrite_paths(const char *text, const struct mount_maps *maps) {
  _cleanup_buf_ struct buf out;

  buf_init(&out, TEXT_MAX);
  for (const char *c = text; *c;) {
    bool starts = *c == '/' && (c == text || !is_path_char(c[-1]));
    const struct mount_map *m = starts ? mount_at(maps, c) : NULL;
    if (m) {
      buf_adds(&out, m->real);
      c += strlen(m->inside);
    } else
      buf_addc(&out, *c++);
  }
  return buf_take(&out);
}

void mount_maps_fini(struct mount_maps *m) {
  for (size_t i = 0; i < m->list.len; i++) {
    free(m->list.items[i].inside);
    free(m->list.items[i].real);
  }
  VEC_FREE(&m->list);
}

/* ---- downward API ------------------------------------------------------------------------------------------------ */

/* All of a map as key="escaped value" lines, for downwardAPI files. */
static char *map_lines(struct json_object *map) {
  _cleanup_buf_ struct buf out = BUF_INIT;

  if (!json_is(map, json_type_object))
    return strdup("");
  json_object_object_foreach (map, key, v) {
    buf_addf(&out, "%s%s=%s", out.len ? "\n" : "", key,
             json_object_to_json_string_ext(v, JSON_C_TO_STRING_NOSLASHESCAPE));
  }
  return buf_take(&out);
}

/* metadata.labels['KEY'] and metadata.annotations['KEY']. */
static char *map_entry(struct json_object *pod, const char *path) {
  const char *quote = strchr(path, '\'');
  size_t len = strlen(path);

  if (!quote || quote == path || quote >= path + len - 2 || strcmp(path + len - 2, "']") != 0 || quote[-1] != '[')
    return NULL;
  _cleanup_free_ char *map = str_copy(path, (size_t)(quote - path - 1));
  _cleanup_free_ char *key = str_copy(quote + 1, len - (size_t)(quote - path) - 3);
  if (!map || !key || (!streq(map, "metadata.labels") && !streq(map, "metadata.annotations")))
    return NULL;
  struct json_object *v = json_get(json_at(pod, map), key);
  return strdup(v ? json_object_get_string(v) : "");
}

char *field_value(struct json_object *pod, const char *path) {
  static const char *const plain[] = {"metadata.name",           "metadata.namespace", "metadata.uid", "spec.nodeName",
                                      "spec.serviceAccountName", "status.hostIP",      "status.podIP"};

  for (size_t i = 0; i < ARRAY_LEN(plain); i++)
    if (streq(path, plain[i]))
      return strdup(json_str(pod, path, ""));
  if (streq(path, "metadata.labels") || streq(path, "metadata.annotations"))
    return map_lines(json_at(pod, path));
  if (streq(path, "status.podIPs"))
    return strdup(json_str(pod, "status.podIP", ""));
  if (streq(path, "status.hostIPs"))
    return strdup(json_str(pod, "status.hostIP", ""));
  return map_entry(pod, path);
}

static struct json_object *find_container(struct json_object *pod, const char *name) {
  struct json_object *c = json_find(json_at(pod, "spec.containers"), "name", name);

  return c ? c : json_find(json_at(pod, "spec.initContainers"), "name", name);
}

char *resource_value(struct json_object *pod, struct json_object *node, const char *container,
                     struct json_object *ref) {
  const char *name = json_str(ref, "containerName", container), *resource = json_str(ref, "resource", "");
  const char *divisor_text = json_str(ref, "divisor", "1"), *dot = strchr(resource, '.');
  struct json_object *c = name ? find_container(pod, name) : NULL;
  int64_t value = 0, divisor = 1000;

  if (!c || !dot || (!has_prefix(resource, "limits.") && !has_prefix(resource, "requests.")))
    return NULL;
  _cleanup_free_ char *kind = str_copy(resource, (size_t)(dot - resource));
  struct json_object *resources = json_get(c, "resources");
  struct json_object *q = kind ? json_get(json_get(resources, kind), dot + 1) : NULL;
  if (!q && has_prefix(resource, "limits.")) /* without a limit: what the node has */
    q = json_get(json_at(node, "status.allocatable"), dot + 1);
  if (q && !quantity_milli(json_object_get_string(q), &value))
    return NULL;
  if (!quantity_milli(divisor_text, &divisor) || divisor <= 0)
    divisor = 1000;
  return str_printf("%lld", (long long)((value + divisor - 1) / divisor));
}

/* ---- service variables ------------------------------------------------------------------------------------------- */

static char *variable_name(const char *service, const char *suffix) {
  char *name = str_printf("%s%s", service, suffix);

  for (char *c = name; c && *c; c++)
    *c = *c == '-' || *c == '.' ? '_' : (char)toupper((unsigned char)*c);
  return name;
}

static void set_variable(struct strv *env, const char *service, const char *suffix, const char *value) {
  _cleanup_free_ char *name = variable_name(service, suffix);

  if (name)
    (void)strv_setenv(env, name, value);
}

static void port_variables(const char *name, const char *host, struct json_object *port, bool first, struct strv *env) {
  long long number = json_i64(port, "port", 0);
  const char *protocol = json_str(port, "protocol", "TCP"), *port_name = json_str(port, "name", NULL);
  _cleanup_free_ char *text = str_printf("%lld", number);
  _cleanup_free_ char *scheme = strdup(streq(protocol, "UDP") ? "udp" : "tcp");
  _cleanup_free_ char *url = str_printf("%s://%s:%lld", scheme, host, number);
  _cleanup_free_ char *prefix = str_printf("_PORT_%lld_%s", number, protocol);
  const struct {
    const char *suffix, *value;
  } parts[] = {{"", url}, {"_PROTO", scheme}, {"_PORT", text}, {"_ADDR", host}};

  if (!text || !scheme || !url || !prefix)
    return;
  if (first) {
    set_variable(env, name, "_SERVICE_HOST", host);
    set_variable(env, name, "_SERVICE_PORT", text);
    set_variable(env, name, "_PORT", url);
  }
  if (port_name && *port_name) {
    _cleanup_free_ char *suffix = str_printf("_SERVICE_PORT_%s", port_name);
    if (suffix)
      set_variable(env, name, suffix, text);
  }
  for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
    _cleanup_free_ char *suffix = str_printf("%s%s", prefix, parts[i].suffix);
    if (suffix)
      set_variable(env, name, suffix, parts[i].value);
  }
}

void service_variables(struct json_object *services, struct strv *env) {
  for (size_t i = 0; i < json_len(services); i++) {
    struct json_object *s = json_index(services, i), *ports = json_at(s, "spec.ports");
    const char *host = meta_annotation(s, SERVICE_ADDRESS_ANNOTATION);
    for (size_t k = 0; host && k < json_len(ports); k++)
      port_variables(meta_name(s), host, json_index(ports, k), k == 0, env);
  }
}
