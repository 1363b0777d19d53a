#include "oci_principal.h"

#include "../common/encode.h"
#include "../common/identity.h"
#include "../common/json.h"
#include "../common/rsa.h"
#include "../common/secret.h"
#include "oci_config.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define METADATA "http://169.254.169.254/opc/v2"
#define METADATA_MS 10000
#define MAX_FILE ((size_t)1 << 20)

static const char *const names[OCI_KINDS] = {"UserPrincipal", "InstancePrincipal", "ResourcePrincipal",
                                             "OkeWorkloadIdentity"};

int oci_kind_of(const char *name) {
  for (int i = 0; i < OCI_KINDS; i++)
    if (strcmp(names[i], name) == 0)
      return i;
  return -1;
}

void oci_identity_fini(struct oci_identity *who) {
  free(who->key_id);
  EVP_PKEY_free(who->key);
  memset(who, 0, sizeof(*who));
}

static int32_t no_memory(struct ome_err *err) {
  return ome_fail(err, OME_E_NO_MEMORY, "oci: out of memory");
}

static int copy_region(char out[OCI_REGION_TEXT], const char *region) {
  region = oci_region_of(region);
  if (!oci_region_is_name(region))
    return -1;
  (void)snprintf(out, OCI_REGION_TEXT, "%s", region);
  return 0;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

/* WHO speaks by TOKEN (with or without "ST$"), until three quarters of its life are over. */
static int32_t use_token(struct oci_identity *who, const char *token, struct ome_err *err) {
  time_t now = time(NULL);
  int64_t exp = 0;

  if (strncmp(token, "ST$", 3) == 0)
    token += 3;
  if (!*token || strpbrk(token, "\"\r\n ") || oci_token_expiry(token, &exp) != 0)
    return ome_fail(err, OME_E_UNAVAILABLE, "oci: the session token cannot be read");
  if (exp <= now)
    return ome_fail(err, OME_E_DENIED,
                    "oci: the session token ran out %lld s ago; get a new one, or correct this machine's clock",
                    (long long)(now - exp));
  who->fresh_until = now + (time_t)((exp - now) * 3 / 4);
  free(who->key_id);
  return asprintf(&who->key_id, "ST$%s", token) < 0 ? (who->key_id = NULL, no_memory(err)) : OME_OK;
}

static char *new_key(struct oci_identity *who, struct ome_err *err) {
  who->key = oci_key_new();
  char *text = who->key ? oci_key_public(who->key) : NULL;

  if (!text)
    (void)ome_fail(err, OME_E_NO_MEMORY, "oci: no session key could be made");
  return text;
}

/* ---- user principal ---------------------------------------------------------------------------------------------- */

/* ~ is the home folder. */
static void expand(const char *path, char *out, size_t size) {
  const char *home = env_text("HOME");

  if (path[0] == '~' && path[1] == '/' && home)
    (void)snprintf(out, size, "%s%s", home, path + 1);
  else
    (void)snprintf(out, size, "%s", path);
}

static void config_path(const struct oci *o, char *out, size_t size) {
  static const char *const variables[] = {"OCI_CONFIG_FILE", "OCI_CLI_CONFIG_FILE", "OCI_CONFIG_PATH"};
  const char *path = o->config_file;

  for (size_t i = 0; !path && i < sizeof(variables) / sizeof(variables[0]); i++)
    path = env_text(variables[i]);
  expand(path ? path : "~/.oci/config", out, size);
}

static int32_t read_profile(const struct oci *o, const struct ome_model_ref *ref, struct oci_profile *p,
                            struct ome_err *err) {
  const char *profile = kv_text(ref->params, ref->nparams, "profile");
  char path[1100];
  size_t len;

  if (!profile)
    profile = o->profile ? o->profile : env_text("OCI_CONFIG_PROFILE");
  if (!profile)
    profile = env_text("OCI_CLI_PROFILE");
  if (!profile)
    profile = "DEFAULT";
  config_path(o, path, sizeof(path));
  char *text = secret_read_file(path, MAX_FILE, &len);
  if (!text)
    return ome_fail(err, OME_E_NOT_FOUND,
                    "oci: %s: cannot be read; it holds the keys of UserPrincipal, or choose another `auth`", path);
  int rc = oci_config_read(text, len, profile, p);
  secret_forget(text, len);
  if (rc == -1)
    return ome_fail(err, OME_E_NOT_FOUND, "oci: %s: has no profile [%.60s]", path, profile);
  return rc == 0 ? OME_OK : ome_fail(err, OME_E_INVALID, "oci: %s: is no configuration of Oracle Cloud's tools", path);
}

/* What the model brings goes before the file: all of it, so that no identity is put together of two. */
static int32_t find_profile(const struct oci *o, const struct ome_model_ref *ref, const char *pem,
                            struct oci_profile *p, struct ome_err *err) {
  static const struct {
    const char *key;
    size_t offset, size;
  } fields[] = {{"user", offsetof(struct oci_profile, user), sizeof(p->user)},
                {"tenancy", offsetof(struct oci_profile, tenancy), sizeof(p->tenancy)},
                {"fingerprint", offsetof(struct oci_profile, fingerprint), sizeof(p->fingerprint)},
                {"region", offsetof(struct oci_profile, region), sizeof(p->region)},
                {"pass_phrase", offsetof(struct oci_profile, pass_phrase), sizeof(p->pass_phrase)}};

  if (!pem)
    return read_profile(o, ref, p, err);
  memset(p, 0, sizeof(*p));
  for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
    const char *value = kv_text(ref->params, ref->nparams, fields[i].key);
    if (value && (size_t)snprintf((char *)p + fields[i].offset, fields[i].size, "%s", value) >= fields[i].size)
      return ome_fail(err, OME_E_INVALID, "oci: the parameter %s is too long", fields[i].key);
  }
  return OME_OK;
}

/* The private key in PEM of the model's Secret or parameters; NULL. */
static const char *own_key(const struct ome_model_ref *ref) {
  static const char *const keys[] = {"private_key", "token"};

  for (size_t i = 0; i < 2; i++) {
    const char *value = kv_text(ref->params, ref->nparams, keys[i]);
    if (value && strstr(value, "-----BEGIN"))
      return value;
  }
  return NULL;
}

static int32_t load_key(const struct oci_profile *p, const char *pem, struct oci_identity *who, struct ome_err *err) {
  char path[1100] = "the model's private key", *text = NULL;
  size_t len = pem ? strlen(pem) : 0;

  if (!pem) {
    expand(p->key_file, path, sizeof(path));
    pem = text = secret_read_file(path, MAX_FILE, &len);
  }
  if (pem)
    who->key = rsa_key_read(pem, len, p->pass_phrase);
  int unread = pem == NULL;
  secret_forget(text, len);
  if (unread)
    return ome_fail(err, OME_E_NOT_FOUND, "oci: %s: cannot be read; `key_file` of the configuration names it",
                    *path ? path : "key_file");
  return who->key ? OME_OK
                  : ome_fail(err, OME_E_DENIED,
                             "oci: %s: is no RSA key of 2048 bits or more, or `pass_phrase` is wrong", path);
}

/* A token that `oci session authenticate` left, for the profile's session key. */
static int32_t use_token_file(const struct oci_profile *p, struct oci_identity *who, struct ome_err *err) {
  char path[1100];

  expand(p->security_token_file, path, sizeof(path));
  char *token = secret_read_word(path, MAX_FILE);
  if (!token)
    return ome_fail(err, OME_E_NOT_FOUND, "oci: %s: cannot be read; `oci session authenticate` writes it", path);
  int32_t rc = use_token(who, token, err);
  secret_forget(token, strlen(token));
  return rc;
}

static int32_t get_user(struct oci *o, const struct ome_call *call, const struct ome_model_ref *ref,
                        struct oci_identity *who, struct ome_err *err) {
  const char *pem = own_key(ref), *token = kv_text(ref->params, ref->nparams, "security_token");
  struct oci_profile p;
  char computed[48];
  int32_t rc = find_profile(o, ref, pem, &p, err);

  (void)call;
  if (rc == OME_OK)
    rc = load_key(&p, pem, who, err);
  explicit_bzero(p.pass_phrase, sizeof(p.pass_phrase));
  if (rc != OME_OK)
    return rc;
  if (*p.region && copy_region(who->region, p.region) != 0)
    return ome_fail(err, OME_E_INVALID, "oci: \"%.60s\" is no region", p.region);
  if (token)
    return use_token(who, token, err);
  if (*p.security_token_file)
    return use_token_file(&p, who, err);
  if (!*p.tenancy || !*p.user)
    return ome_fail(err, OME_E_INVALID, "oci: UserPrincipal needs tenancy and user; %s",
                    pem ? "give them as parameters beside the key" : "the configuration file does not say them");
  if (oci_key_fingerprint(who->key, computed) != 0)
    return no_memory(err);
  /* A typing error in the file would otherwise be "401" for ever. */
  if (*p.fingerprint && strcasecmp(p.fingerprint, computed) != 0)
    return ome_fail(err, OME_E_DENIED, "oci: the key's fingerprint is %s, but the configuration says %s", computed,
                    p.fingerprint);
  who->fresh_until = time(NULL) + 86400;
  return asprintf(&who->key_id, "%s/%s/%s", p.tenancy, p.user, computed) < 0 ? (who->key_id = NULL, no_memory(err))
                                                                             : OME_OK;
}

/* ---- requests to where principals come from ---------------------------------------------------------------------- */

/* GETs or POSTs as JSON; HEADERS of N.  Anything but 200 is an error. */
static int32_t ask(const struct oci *o, const struct ome_call *call, const char *url, const struct ome_kv *headers,
                   uint64_t n, const char *body, struct http_answer *a, struct ome_err *err) {
  const struct ome_http_req req = {.method = body ? "POST" : "GET",
                                   .url = url,
                                   .headers = headers,
                                   .nheaders = n,
                                   .body = {body, body ? strlen(body) : 0}};
  char what[300];
  int32_t rc = identity_ask(o->host, call, body ? IDENTITY_MS : METADATA_MS, req, a, err);

  if (rc == OME_OK && (a->status != 200 || !a->body)) {
    (void)snprintf(what, sizeof(what), "oci: %.200s", url);
    rc = http_refused(a, what, NULL, NULL, err);
  }
  return rc;
}

/* ---- instance principal ------------------------------------------------------------------------------------------ */

/* A text of the instance metadata service; the caller's to free. */
static int32_t metadata(const struct oci *o, const struct ome_call *call, const char *path, char **out,
                        struct ome_err *err) {
  const struct ome_kv headers[] = {{"authorization", "Bearer Oracle"}};
  const char *base = env_text("OCI_METADATA_BASE_URL");
  struct http_answer a = {0};
  char url[400];

  (void)snprintf(url, sizeof(url), "%.300s%s", base ? base : METADATA, path);
  int32_t rc = ask(o, call, url, headers, 1, NULL, &a, err);
  *out = rc == OME_OK ? a.body : NULL;
  if (rc == OME_OK)
    a.body = NULL;
  http_answer_fini(&a);
  return rc;
}

static int32_t instance_region(const struct oci *o, const struct ome_call *call, struct oci_identity *who,
                               struct ome_err *err) {
  char *text = NULL;
  int32_t rc = metadata(o, call, "/instance/regionInfo", &text, err);
  struct json_object *info = rc == OME_OK ? json_read(text, strlen(text)) : NULL;
  const char *domain = json_object_is_type(info, json_type_object) ? json_text_at(info, "realmDomainComponent") : "";
  const char *region = json_object_is_type(info, json_type_object) ? json_text_at(info, "regionIdentifier") : "";

  if (strlen(domain) < sizeof(who->domain) &&
      strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(domain))
    (void)snprintf(who->domain, sizeof(who->domain), "%s", domain);
  if (rc == OME_OK && copy_region(who->region, region) != 0)
    rc = ome_fail(err, OME_E_UNAVAILABLE, "oci: the instance metadata names no region");
  (void)json_object_put(info);
  free(text);
  return rc;
}

/* The leaf certificate with its key, and what signed it. */
struct credentials {
  char *cert, *key, *intermediate;
};

static void credentials_fini(struct credentials *c) {
  free(c->cert);
  secret_forget(c->key, c->key ? strlen(c->key) : 0);
  free(c->intermediate);
}

static int32_t get_credentials(const struct oci *o, const struct ome_call *call, struct credentials *c,
                               struct ome_err *err) {
  int32_t rc = metadata(o, call, "/identity/cert.pem", &c->cert, err);

  if (rc == OME_OK)
    rc = metadata(o, call, "/identity/key.pem", &c->key, err);
  return rc == OME_OK ? metadata(o, call, "/identity/intermediate.pem", &c->intermediate, err) : rc;
}

/* {certificate, publicKey, intermediateCertificates} */
static char *federation_body(const char *leaf, const char *intermediate, const char *public_key) {
  struct json_object *o = json_object_new_object(), *list = json_object_new_array();
  char *out = NULL;

  (void)json_object_object_add(o, "certificate", json_object_new_string(leaf));
  (void)json_object_object_add(o, "publicKey", json_object_new_string(public_key));
  (void)json_object_array_add(list, json_object_new_string(intermediate));
  (void)json_object_object_add(o, "intermediateCertificates", list);
  const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
  if (text)
    out = strdup(text);
  (void)json_object_put(o);
  return out;
}

static void federation_url(const struct oci *o, const struct oci_identity *who, char *out, size_t size) {
  const char *base = o->auth_endpoint ? o->auth_endpoint : env_text("OCI_SDK_AUTH_CLIENT_REGION_URL");

  if (base)
    (void)snprintf(out, size, "%s/v1/x509", base);
  else
    (void)snprintf(out, size, "https://auth.%s.%s/v1/x509", who->region, oci_domain_of(who->region, who->domain));
}

/* Exchanges the certificate for a token of WHO's new session key. */
static int32_t federate(const struct oci *o, const struct ome_call *call, const struct credentials *c,
                        struct oci_identity *who, struct ome_err *err) {
  struct oci_certificate leaf = {.base64 = NULL}, above = {.base64 = NULL};
  EVP_PKEY *key = rsa_key_read(c->key, strlen(c->key), NULL);
  struct oci_signed *s = malloc(sizeof(*s));
  struct json_object *answer = NULL;
  struct http_answer a = {0};
  char url[700], key_id[400], *public_key = new_key(who, err), *body = NULL;
  int32_t rc = public_key ? OME_OK : OME_E_NO_MEMORY;

  if (rc == OME_OK && (!key || oci_certificate_read(c->cert, strlen(c->cert), &leaf) != 0 || !*leaf.tenancy ||
                       oci_certificate_read(c->intermediate, strlen(c->intermediate), &above) != 0))
    rc = ome_fail(err, OME_E_UNAVAILABLE, "oci: the instance metadata's certificates cannot be read");
  if (rc == OME_OK && (!s || !(body = federation_body(leaf.base64, above.base64, public_key))))
    rc = no_memory(err);
  if (rc == OME_OK) {
    federation_url(o, who, url, sizeof(url));
    (void)snprintf(key_id, sizeof(key_id), "%s/fed-x509/%s", leaf.tenancy, leaf.fingerprint);
    const struct oci_request r = {"POST", url, body, strlen(body), 1};
    rc = oci_sign(&r, key_id, key, time(NULL), s) == 0
             ? ask(o, call, url, s->headers, s->n, body, &a, err)
             : ome_fail(err, OME_E_INVALID, "oci: %.200s: the request cannot be signed", url);
  }
  if (rc == OME_OK) {
    answer = json_read(a.body, a.len);
    rc = use_token(who, json_object_is_type(answer, json_type_object) ? json_text_at(answer, "token") : "", err);
  }
  (void)json_object_put(answer);
  http_answer_fini(&a);
  free(body);
  free(public_key);
  free(s);
  free(leaf.base64);
  free(above.base64);
  EVP_PKEY_free(key);
  return rc;
}

static int32_t get_instance(struct oci *o, const struct ome_call *call, const struct ome_model_ref *ref,
                            struct oci_identity *who, struct ome_err *err) {
  struct credentials c = {NULL, NULL, NULL};
  char why[200];
  int32_t rc = instance_region(o, call, who, err);

  (void)ref;
  if (rc == OME_OK)
    rc = get_credentials(o, call, &c, err);
  if (rc != OME_OK && rc != OME_E_CANCELLED) {
    (void)snprintf(why, sizeof(why), "%.199s", err->msg);
    rc =
        ome_fail(err, rc, "oci: InstancePrincipal: no instance metadata (%s); outside of Oracle Cloud set `auth`", why);
  }
  if (rc == OME_OK)
    rc = federate(o, call, &c, who, err);
  credentials_fini(&c);
  return rc;
}

/* ---- resource principal ------------------------------------------------------------------------------------------ */

/* A variable's value, or the content of the file that it names; the caller's to free. */
static char *value_or_file(const char *name) {
  const char *value = env_text(name);

  return !value ? NULL : value[0] == '/' ? secret_read_file(value, MAX_FILE, NULL) : strdup(value);
}

/* Token and key of a resource; secret. */
struct session {
  char *token, *pem, *phrase;
};

static void session_fini(struct session *s) {
  char *texts[] = {s->token, s->pem, s->phrase};

  for (size_t i = 0; i < 3; i++)
    secret_forget(texts[i], texts[i] ? strlen(texts[i]) : 0);
}

/* The environment has, or names files with, a session token and its key, which the service renews. */
static int32_t read_session(struct session *s, struct ome_err *err) {
  s->pem = value_or_file("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM");
  s->token = value_or_file("OCI_RESOURCE_PRINCIPAL_RPST");
  s->phrase = value_or_file("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE");
  if (!s->pem || !s->token)
    return ome_fail(err, OME_E_NOT_FOUND, "oci: ResourcePrincipal: %s is not set, or its file cannot be read",
                    s->pem ? "OCI_RESOURCE_PRINCIPAL_RPST" : "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM");
  s->token[strcspn(s->token, " \t\r\n")] = '\0';
  if (s->phrase)
    s->phrase[strcspn(s->phrase, "\r\n")] = '\0';
  return OME_OK;
}

/* Version 2.2. */
static int32_t get_resource(struct oci *o, const struct ome_call *call, const struct ome_model_ref *ref,
                            struct oci_identity *who, struct ome_err *err) {
  const char *version = env_text("OCI_RESOURCE_PRINCIPAL_VERSION"), *region = env_text("OCI_RESOURCE_PRINCIPAL_REGION");
  struct session s = {NULL, NULL, NULL};

  (void)o, (void)call, (void)ref;
  if (!version || strcmp(version, "2.2") != 0)
    return ome_fail(err, version ? OME_E_UNSUPPORTED : OME_E_NOT_FOUND,
                    "oci: ResourcePrincipal: OCI_RESOURCE_PRINCIPAL_VERSION is %.20s, not 2.2; run it in a "
                    "resource that has a principal, or say another auth",
                    version ? version : "not set");
  int32_t rc = read_session(&s, err);
  if (rc == OME_OK && !(who->key = rsa_key_read(s.pem, strlen(s.pem), s.phrase)))
    rc = ome_fail(
        err, OME_E_DENIED,
        "oci: ResourcePrincipal: OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM is no RSA key, or its passphrase is wrong");
  if (rc == OME_OK && region && copy_region(who->region, region) != 0)
    rc = ome_fail(err, OME_E_INVALID, "oci: OCI_RESOURCE_PRINCIPAL_REGION is no region");
  if (rc == OME_OK)
    rc = use_token(who, s.token, err);
  session_fini(&s);
  return rc;
}

/* ---- workload identity of OKE ------------------------------------------------------------------------------------ */

/* The answer: base64 of {"token": "ST$..."}, as a JSON string or bare. */
static int32_t use_proxymux(struct oci_identity *who, const struct http_answer *a, struct ome_err *err) {
  const char *text = a->body;
  size_t len = a->len;

  while (len && strchr("\" \r\n", text[len - 1]))
    len--;
  while (len && strchr("\" \r\n", *text)) {
    text++;
    len--;
  }
  unsigned char *raw = malloc(len + 1);
  int n = raw ? base64_read(text, len, raw, len) : -1;
  struct json_object *o = n > 0 ? json_read((const char *)raw, (size_t)n) : NULL;
  int32_t rc = use_token(who, json_object_is_type(o, json_type_object) ? json_text_at(o, "token") : "", err);

  (void)json_object_put(o);
  free(raw);
  return rc;
}

/* Exchanges the service account's TOKEN for one of WHO's new session key; CA: what the cluster's TLS is trusted by. */
static int32_t ask_proxymux(const struct oci *o, const struct ome_call *call, const char *url, const char *token,
                            const char *ca, struct oci_identity *who, struct ome_err *err) {
  char *bearer = NULL, *body = NULL, *public_key = new_key(who, err);
  struct http_answer a = {0};
  int32_t rc = public_key ? OME_OK : OME_E_NO_MEMORY;

  if (rc == OME_OK &&
      (asprintf(&bearer, "Bearer %s", token) < 0 || asprintf(&body, "{\"podKey\":\"%s\"}", public_key) < 0))
    rc = no_memory(err);
  if (rc == OME_OK) {
    const struct ome_kv headers[] = {
        {"authorization", bearer}, {"content-type", "application/json"}, {OME_REQUEST_CA, ca}};
    rc = ask(o, call, url, headers, 3, body, &a, err);
  }
  if (rc == OME_OK)
    rc = use_proxymux(who, &a, err);
  http_answer_fini(&a);
  secret_forget(bearer, bearer ? strlen(bearer) : 0);
  free(body);
  free(public_key);
  return rc;
}

static int32_t get_workload(struct oci *o, const struct ome_call *call, const struct ome_model_ref *ref,
                            struct oci_identity *who, struct ome_err *err) {
  const char *host = env_text("KUBERNETES_SERVICE_HOST"), *port = env_text("KUBERNETES_SERVICE_PORT_PROXYMUX");
  const char *folder = o->service_account ? o->service_account : "/var/run/secrets/kubernetes.io/serviceaccount";
  const char *region = env_text("OCI_RESOURCE_PRINCIPAL_REGION");
  char path[1100], ca[1100], url[400];

  (void)ref;
  (void)snprintf(path, sizeof(path), "%.1000s/token", folder);
  (void)snprintf(ca, sizeof(ca), "%.1000s/ca.crt", folder);
  char *token = host ? secret_read_word(path, MAX_FILE) : NULL;
  if (!token)
    return ome_fail(err, OME_E_NOT_FOUND, "oci: OkeWorkloadIdentity: %s; it works in pods of an enhanced OKE cluster",
                    host ? "there is no service account token" : "KUBERNETES_SERVICE_HOST is not set");
  int is_v6 = strchr(host, ':') != NULL;
  (void)snprintf(url, sizeof(url), "https://%s%.250s%s:%.8s/resourcePrincipalSessionTokens", is_v6 ? "[" : "", host,
                 is_v6 ? "]" : "", port ? port : "12250");
  if (region)
    (void)copy_region(who->region, region);
  int32_t rc = ask_proxymux(o, call, url, token, ca, who, err);
  secret_forget(token, strlen(token));
  return rc;
}

/* ---- which, and for how long ------------------------------------------------------------------------------------- */

static int32_t choose(const struct oci *o, const struct ome_model_ref *ref, int *kind, struct ome_err *err) {
  const char *auth = kv_text(ref->params, ref->nparams, "auth");
  char path[1100];
  FILE *f;

  if (!auth)
    auth = o->auth;
  if (!auth) {
    config_path(o, path, sizeof(path));
    f = own_key(ref) ? NULL : fopen(path, "re");
    *kind = f || own_key(ref) ? OCI_USER : OCI_INSTANCE;
    if (f)
      (void)fclose(f);
    return OME_OK;
  }
  *kind = oci_kind_of(auth);
  return *kind >= 0 ? OME_OK
                    : ome_fail(err, OME_E_INVALID, "oci: auth \"%.40s\" is none of %s, %s, %s, %s", auth, names[0],
                               names[1], names[2], names[3]);
}

static int32_t copy_identity(const struct oci_identity *from, struct oci_identity *to, struct ome_err *err) {
  *to = *from;
  to->key_id = strdup(from->key_id);
  if (!to->key_id || EVP_PKEY_up_ref(from->key) != 1) {
    to->key = NULL;
    oci_identity_fini(to);
    return no_memory(err);
  }
  return OME_OK;
}

int32_t oci_identify(struct oci *o, const struct ome_call *call, const struct ome_model_ref *ref,
                     struct oci_identity *who, struct ome_err *err) {
  static int32_t (*const get[OCI_KINDS])(struct oci *, const struct ome_call *, const struct ome_model_ref *,
                                         struct oci_identity *,
                                         struct ome_err *) = {get_user, get_instance, get_resource, get_workload};
  int kind;
  int32_t rc = choose(o, ref, &kind, err);

  memset(who, 0, sizeof(*who));
  if (rc != OME_OK)
    return rc;
  if (kind == OCI_USER || kind == OCI_RESOURCE) { /* files, which others renew */
    rc = get[kind](o, call, ref, who, err);
    if (rc != OME_OK)
      oci_identity_fini(who);
    return rc;
  }
  (void)pthread_mutex_lock(&o->lock);
  struct oci_identity *kept = &o->kept[kind];
  if (!kept->key_id || kept->fresh_until <= time(NULL)) {
    struct oci_identity fresh = {.key_id = NULL};
    rc = get[kind](o, call, ref, &fresh, err);
    if (rc == OME_OK) {
      oci_identity_fini(kept);
      *kept = fresh;
    } else {
      oci_identity_fini(&fresh);
    }
  }
  if (rc == OME_OK)
    rc = copy_identity(kept, who, err);
  (void)pthread_mutex_unlock(&o->lock);
  return rc;
}
