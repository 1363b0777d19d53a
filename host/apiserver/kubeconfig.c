/* The server's identity: a CA, a certificate for loopback, a token, and the kubeconfig that ties them together. */
#include "apiserver/server.h"

#include "base/buf.h"
#include "base/str.h"
#include "net/tls.h"
#include "os/file.h"

#include <stdio.h>
#include <string.h>

#define CA_DAYS 3650
#define LEAF_DAYS 365
#define RENEW_S ((int64_t)30 * 86400)

static char *in_pki(const struct apiserver *s, const char *name) {
  return str_printf("%s/pki/%s", s->data_dir, name);
}

static int32_t read_text(const char *path, char **out, struct ome_err *err) {
  return file_read(path, 1 << 20, out, NULL, err);
}

/* Reads NAME.crt and NAME.key; NOT_FOUND when they are not there. */
static int32_t read_pair(const struct apiserver *s, const char *name, struct tls_pair *out, struct ome_err *err) {
  _cleanup_free_ char *base = in_pki(s, name);
  _cleanup_free_ char *cert = base ? str_printf("%s.crt", base) : NULL;
  _cleanup_free_ char *key = base ? str_printf("%s.key", base) : NULL;
  int32_t rc = cert && key ? read_text(cert, &out->cert_pem, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = read_text(key, &out->key_pem, err);
  if (rc != OME_OK)
    tls_pair_fini(out);
  return rc;
}

static int32_t write_pair(const struct apiserver *s, const char *name, const struct tls_pair *pair,
                          struct ome_err *err) {
  _cleanup_free_ char *base = in_pki(s, name);
  _cleanup_free_ char *cert = base ? str_printf("%s.crt", base) : NULL;
  _cleanup_free_ char *key = base ? str_printf("%s.key", base) : NULL;
  int32_t rc = cert && key ? file_write(key, pair->key_pem, strlen(pair->key_pem), 0600, err) : fail_memory(err);

  return rc == OME_OK ? file_write(cert, pair->cert_pem, strlen(pair->cert_pem), 0644, err) : rc;
}

static int32_t load_ca(const struct apiserver *s, struct tls_pair *ca, struct ome_err *err) {
  int32_t rc = read_pair(s, "ca", ca, err);

  if (rc != OME_E_NOT_FOUND)
    return rc;
  rc = tls_make_ca("ome", CA_DAYS, ca, err);
  return rc == OME_OK ? write_pair(s, "ca", ca, err) : rc;
}

/* A certificate for ADDRESS and loopback, made anew a month before it ends. */
static int32_t load_leaf(const struct apiserver *s, const char *address, const struct tls_pair *ca,
                         struct tls_pair *leaf, struct ome_err *err) {
  const char *const names[] = {"localhost",
                               "kubernetes",
                               "kubernetes.default",
                               "kubernetes.default.svc",
                               "127.0.0.1",
                               "::1",
                               address && !streq(address, "127.0.0.1") ? address : NULL,
                               NULL};
  int64_t left;
  int32_t rc = read_pair(s, "server", leaf, err);

  if (rc == OME_OK && tls_expires_in(leaf->cert_pem, &left, err) == OME_OK && left > RENEW_S)
    return OME_OK;
  tls_pair_fini(leaf);
  rc = tls_make_leaf(ca, "ome-apiserver", names, LEAF_DAYS, leaf, err);
  return rc == OME_OK ? write_pair(s, "server", leaf, err) : rc;
}

static int32_t load_token(struct apiserver *s, struct ome_err *err) {
  _cleanup_free_ char *path = in_pki(s, "token");
  char token[65];
  int32_t rc = path ? read_text(path, &s->token, err) : fail_memory(err);

  if (rc != OME_E_NOT_FOUND)
    return rc;
  random_hex(token, 64);
  s->token = strdup(token);
  return s->token ? file_write(path, token, strlen(token), 0600, err) : fail_memory(err);
}

int32_t identity_load(struct apiserver *s, const struct apiserver_config *cfg, struct tls_pair *ca,
                      struct tls_pair *leaf, struct ome_err *err) {
  _cleanup_free_ char *pki = path_join(s->data_dir, "pki");
  int32_t rc = pki ? dir_make(pki, 0700, err) : fail_memory(err);

  if (rc == OME_OK)
    rc = load_ca(s, ca, err);
  if (rc == OME_OK)
    rc = load_leaf(s, cfg->address, ca, leaf, err);
  return rc == OME_OK ? load_token(s, err) : rc;
}

int32_t kubeconfig_write(struct apiserver *s, const struct apiserver_config *cfg, const char *ca_pem,
                         struct ome_err *err) {
  _cleanup_free_ char *ca = base64_encode(ca_pem, strlen(ca_pem));
  const char *ns = cfg->context_namespace ? cfg->context_namespace : "default";
  _cleanup_buf_ struct buf b = BUF_INIT;

  if (!ca)
    return fail_memory(err);
  buf_addf(&b,
           "apiVersion: v1\nkind: Config\ncurrent-context: ome\nclusters:\n- name: ome\n  cluster:\n"
           "    server: https://%s:%u\n    certificate-authority-data: %s\ncontexts:\n- name: ome\n  context:\n"
           "    cluster: ome\n    user: ome\n    namespace: %s\nusers:\n- name: ome\n  user:\n    token: %s\n",
           cfg->address ? cfg->address : "127.0.0.1", http_server_port(s->http), ca, ns, s->token);
  return buf_ok(&b) ? file_write(s->kubeconfig, b.data, b.len, 0600, err) : fail_memory(err);
}
