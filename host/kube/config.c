#include "kube/config.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/str.h"
#include "base/yaml.h"
#include "os/file.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_MAX ((size_t)1 << 20)
#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"

void kube_config_fini(struct kube_config *c) {
  char **const owned[] = {&c->server,    &c->ns,    &c->ca_pem,     &c->cert_pem, &c->key_pem, &c->tls_server_name,
                          &c->proxy_url, &c->token, &c->token_file, &c->username, &c->password};

  for (size_t i = 0; i < ARRAY_LEN(owned); i++)
    free(*owned[i]);
  json_unref(c->exec);
  memset(c, 0, sizeof(*c));
}

/* The object under "NAME" in the list at LIST, where each item is {name, <KEY>: {...}}. */
static struct json_object *named(struct json_object *config, const char *list, const char *name, const char *key) {
  return json_at(json_find(json_at(config, list), "name", name), key);
}

static char *dup_str(struct json_object *o, const char *path) {
  const char *s = json_str(o, path, NULL);

  return s && *s ? strdup(s) : NULL;
}

/* PATH as the kubeconfig in FOLDER means it, new. */
static char *resolve(const char *folder, const char *path) {
  return path[0] == '/' ? strdup(path) : path_join(folder, path);
}

/* DATA_KEY holds base64, FILE_KEY a path; absent both: *OUT stays NULL. */
static int32_t read_pem(struct json_object *o, const char *data_key, const char *file_key, const char *folder,
                        char **out, struct ome_err *err) {
  const char *data = json_str(o, data_key, NULL);
  const char *file = json_str(o, file_key, NULL);
  size_t len;

  if (data && *data) {
    *out = base64_decode(data, &len);
    return *out ? OME_OK : fail(err, OME_E_INVALID, "kubeconfig: %s is not base64", data_key);
  }
  if (!file || !*file)
    return OME_OK;
  _cleanup_free_ char *path = resolve(folder, file);
  return path ? file_read(path, CONFIG_MAX, out, NULL, err) : fail_memory(err);
}

static int32_t read_cluster(struct json_object *cluster, const char *folder, struct kube_config *c,
                            struct ome_err *err) {
  c->server = dup_str(cluster, "server");
  if (!c->server)
    return fail(err, OME_E_INVALID, "kubeconfig: the context's cluster names no server");
  while (has_suffix(c->server, "/"))
    c->server[strlen(c->server) - 1] = '\0';
  c->tls_server_name = dup_str(cluster, "tls-server-name");
  c->proxy_url = dup_str(cluster, "proxy-url");
  c->insecure = json_flag(cluster, "insecure-skip-tls-verify", false);
  return read_pem(cluster, "certificate-authority-data", "certificate-authority", folder, &c->ca_pem, err);
}

static int32_t read_user(struct json_object *user, const char *folder, struct kube_config *c, struct ome_err *err) {
  _cleanup_free_ char *token_file = dup_str(user, "tokenFile");
  int32_t rc = read_pem(user, "client-certificate-data", "client-certificate", folder, &c->cert_pem, err);

  if (rc == OME_OK)
    rc = read_pem(user, "client-key-data", "client-key", folder, &c->key_pem, err);
  c->token = dup_str(user, "token");
  c->token_file = token_file ? resolve(folder, token_file) : NULL;
  c->username = dup_str(user, "username");
  c->password = dup_str(user, "password");
  c->exec = json_copy(json_at(user, "exec"));
  return rc;
}

static int32_t read_file(const char *path, const char *context, struct kube_config *c, struct ome_err *err) {
  _cleanup_free_ char *text = NULL;
  _cleanup_json_ struct json_object *config = NULL;
  size_t len;
  int32_t rc = file_read(path, CONFIG_MAX, &text, &len, err);

  if (rc == OME_OK)
    rc = yaml_parse_one(path, text, len, &config, err);
  if (rc != OME_OK)
    return rc;
  const char *slash = strrchr(path, '/');
  _cleanup_free_ char *folder = slash ? str_copy(path, (size_t)(slash - path)) : strdup(".");
  const char *name = context ? context : json_str(config, "current-context", "");
  struct json_object *ctx = named(config, "contexts", name, "context");
  if (!ctx)
    return fail(err, OME_E_NOT_FOUND, "kubeconfig: %s: there is no context \"%s\"", path, name);
  c->ns = dup_str(ctx, "namespace");
  rc = read_cluster(named(config, "clusters", json_str(ctx, "cluster", ""), "cluster"), folder, c, err);
  if (rc == OME_OK)
    rc = read_user(named(config, "users", json_str(ctx, "user", ""), "user"), folder, c, err);
  return rc == OME_OK ? rc : fail_prefix(err, "%s", path);
}

static int32_t read_account(struct kube_config *c, struct ome_err *err) {
  const char *host = getenv("KUBERNETES_SERVICE_HOST");
  const char *port = getenv("KUBERNETES_SERVICE_PORT");

  c->server = str_printf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port ? port : "443");
  c->token_file = strdup(ACCOUNT "token");
  if (!c->server || !c->token_file)
    return fail_memory(err);
  if (file_read(ACCOUNT "namespace", 256, &c->ns, NULL, err) != OME_OK)
    c->ns = NULL;
  return file_read(ACCOUNT "ca.crt", CONFIG_MAX, &c->ca_pem, NULL, err);
}

int32_t kube_config_load(const char *path, const char *context, struct kube_config *out, struct ome_err *err) {
  struct kube_config c = {0};
  _cleanup_free_ char *home = NULL;
  int32_t rc;

  if (!path)
    path = getenv("KUBECONFIG");
  if (!path && getenv("KUBERNETES_SERVICE_HOST") && file_exists(ACCOUNT "token")) {
    rc = read_account(&c, err);
  } else {
    if (!path) {
      const char *dir = getenv("HOME");
      home = path_join(dir ? dir : "/root", ".kube/config");
      path = home;
    }
    rc = read_file(path, context, &c, err);
  }
  if (rc == OME_OK && !c.ns)
    c.ns = strdup("default");
  if (rc != OME_OK) {
    kube_config_fini(&c);
    return rc;
  }
  *out = c;
  return OME_OK;
}
