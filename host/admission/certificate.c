/* The Secret with CA and serving certificate. */
#include "admission/internal.h"

#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

#define SECRET "ome-webhook-server-cert"
#define CA_DAYS 3650
#define LEAF_DAYS 90
#define DAY_S INT64_C(86400)
#define CA_LEFT_S (365 * DAY_S) /* renewed when less is left */
#define LEAF_LEFT_S (30 * DAY_S)
#define TRIES 5 /* of replicas that write at once */

void certificate_fini(struct serving_certificate *i) {
  tls_pair_fini(&i->pair);
  free(i->ca_bundle);
  i->ca_bundle = NULL;
}

/* data[KEY] decoded, new; NULL: absent. */
static char *read_key(struct json_object *secret, const char *key) {
  const char *encoded = json_object_get_string(json_get(json_get(secret, "data"), key));
  size_t len;

  return encoded ? base64_decode(encoded, &len) : NULL;
}

static bool write_key(struct json_object *secret, const char *key, const char *value) {
  _cleanup_free_ char *encoded = base64_encode(value, strlen(value));
  struct json_object *data = json_ensure(secret, "data");

  return encoded && data && json_object_object_add(data, key, json_object_new_string(encoded)) == 0;
}

static bool lasts(const char *cert_pem, int64_t seconds) {
  struct ome_err err = ERR_INIT;
  int64_t left = 0;

  return cert_pem && tls_expires_in(cert_pem, &left, &err) == OME_OK && left > seconds;
}

/* A certificate made for other names is as none. */
static bool names_match(struct json_object *secret, const char *names) {
  return streq(meta_annotation(secret, "ome.io/certificate-names"), names);
}

static char *joined(const char *const *names) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; names[i]; i++)
    buf_addf(&b, "%s%s", i ? "," : "", names[i]);
  return buf_take(&b);
}

static int32_t complete_ca(struct json_object *secret, struct tls_pair *ca, bool *changed, struct ome_err *err) {
  if (ca->key_pem && lasts(ca->cert_pem, CA_LEFT_S))
    return OME_OK;
  *changed = true;
  if (ca->cert_pem && !write_key(secret, "ca-before.crt", ca->cert_pem))
    return fail_memory(err);
  tls_pair_fini(ca);
  int32_t rc = tls_make_ca("ome-webhook-ca", CA_DAYS, ca, err);
  if (rc != OME_OK)
    return rc;
  return write_key(secret, "ca.crt", ca->cert_pem) && write_key(secret, "ca.key", ca->key_pem) ? OME_OK
                                                                                               : fail_memory(err);
}

static int32_t complete_leaf(struct json_object *secret, const struct tls_pair *ca, const char *const *names,
                             bool *changed, struct ome_err *err) {
  _cleanup_free_ char *served = read_key(secret, "tls.crt");
  _cleanup_free_ char *wanted = joined(names);
  struct tls_pair leaf = {NULL, NULL};

  if (!wanted)
    return fail_memory(err);
  if (!*changed && lasts(served, LEAF_LEFT_S) && names_match(secret, wanted)) /* a new CA signs anew */
    return OME_OK;
  *changed = true;
  int32_t rc = tls_make_leaf(ca, names[0], names, LEAF_DAYS, &leaf, err);
  if (rc != OME_OK)
    return rc;
  bool ok = write_key(secret, "tls.crt", leaf.cert_pem) && write_key(secret, "tls.key", leaf.key_pem);
  meta_set_annotation(secret, "ome.io/certificate-names", wanted);
  tls_pair_fini(&leaf);
  return ok ? OME_OK : fail_memory(err);
}

/* Makes what SECRET lacks; *CHANGED when it has to be written. */
static int32_t complete(struct json_object *secret, const char *const *names, bool *changed, struct ome_err *err) {
  struct tls_pair ca = {read_key(secret, "ca.crt"), read_key(secret, "ca.key")};
  int32_t rc = complete_ca(secret, &ca, changed, err);

  if (rc == OME_OK)
    rc = complete_leaf(secret, &ca, names, changed, err);
  tls_pair_fini(&ca);
  return rc;
}

static int32_t take(struct json_object *secret, struct serving_certificate *out, struct ome_err *err) {
  _cleanup_free_ char *ca = read_key(secret, "ca.crt");
  _cleanup_free_ char *before = read_key(secret, "ca-before.crt");

  out->pair = (struct tls_pair){read_key(secret, "tls.crt"), read_key(secret, "tls.key")};
  /* The one before counts as long as it is valid. */
  out->ca_bundle = ca ? str_printf("%s%s", ca, lasts(before, 0) ? before : "") : NULL;
  return out->pair.cert_pem && out->pair.key_pem && out->ca_bundle ? OME_OK : fail_memory(err);
}

static struct json_object *new_secret(const char *ns) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set_str(o, "kind", "Secret");
  (void)json_set_str(o, "metadata.name", SECRET);
  (void)json_set_str(o, "metadata.namespace", ns);
  (void)json_set_str(o, "type", "Opaque");
  return o;
}

/* OME_E_CONFLICT: somebody else wrote first. */
static int32_t try_load(struct kube_client *c, const char *ns, const char *const *names,
                        struct serving_certificate *out, struct ome_err *err) {
  _cleanup_json_ struct json_object *secret = NULL;
  bool changed = false;
  int32_t rc = kube_get(c, &KUBE_SECRETS, ns, SECRET, &secret, err);
  bool absent = rc == OME_E_NOT_FOUND;

  if (absent) {
    err_clear(err);
    secret = new_secret(ns);
    rc = secret ? OME_OK : fail_memory(err);
  }
  if (rc == OME_OK)
    rc = complete(secret, names, &changed, err);
  if (rc == OME_OK && changed)
    rc = absent ? kube_create(c, &KUBE_SECRETS, secret, NULL, err) : kube_update(c, &KUBE_SECRETS, secret, NULL, err);
  return rc == OME_OK ? take(secret, out, err) : rc;
}

int32_t certificate_load(struct kube_client *c, const char *ns, const char *const *names,
                         struct serving_certificate *out, struct ome_err *err) {
  int32_t rc = OME_E_CONFLICT;

  for (int i = 0; i < TRIES && (rc == OME_E_CONFLICT || rc == OME_E_EXISTS); i++) {
    err_clear(err);
    rc = try_load(c, ns, names, out, err);
  }
  return rc;
}
