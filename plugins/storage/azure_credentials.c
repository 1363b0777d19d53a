#include "azure_credentials.h"

#include "../common/identity.h"
#include "../common/secret.h"

#include <ome-sdk/error.h>
#include <ome-sdk/text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAS_LIFE_S 3600
#define MAX_TOKEN ((size_t)1 << 16)
#define METADATA "http://169.254.169.254"

const char *azure_param(const struct azure_session *s, const char *const *names) {
  return kv_any(s->ref->params, s->ref->nparams, names);
}

/* The plugin's setting, else the environment's. */
static const char *setting(const struct azure_session *s, enum azure_setting i, const char *env) {
  return s->azure->settings[i] ? s->azure->settings[i] : env_text(env);
}

/* ---- keys and signatures ----------------------------------------------------------------------------------------- */

/* What one place has of them; WHERE is for messages. */
struct place {
  const char *where, *account, *connection, *key, *sas;
};

static int32_t keep(const struct place *p, const char *what, const char *from, char *to, size_t size,
                    struct ome_err *err) {
  if (!from)
    return OME_OK;
  if (strlen(from) >= size)
    return ome_fail(err, OME_E_INVALID, "azure: %s: the %s is too long", p->where, what);
  memcpy(to, from, strlen(from) + 1);
  return OME_OK;
}

/* *FITS: whether it is for this account. */
static int32_t read_place(const struct azure_session *s, const struct place *p, struct azure_connection *out, int *fits,
                          struct ome_err *err) {
  int32_t rc = OME_OK;

  *fits = !p->account || strcmp(p->account, s->uri.account) == 0;
  if (p->connection) {
    if (azure_connection_parse(p->connection, out) != 0)
      return ome_fail(err, OME_E_INVALID,
                      "azure: %s: the connection string is none; it has AccountName and AccountKey, or "
                      "SharedAccessSignature",
                      p->where);
    *fits = !*out->account || strcmp(out->account, s->uri.account) == 0;
    return OME_OK;
  }
  rc = keep(p, "key", p->key, out->key, sizeof(out->key), err);
  return rc == OME_OK ? keep(p, "signature", p->sas, out->sas, sizeof(out->sas), err) : rc;
}

/* Secrets are often handed on as "token": it shows what it is. */
static void sort_token(const struct azure_session *s, struct place *p) {
  static const char *const names[] = {"token", NULL};
  const char *token = azure_param(s, names);

  if (!token || p->connection || p->key || p->sas)
    return;
  if (strstr(token, "AccountKey=") || strstr(token, "SharedAccessSignature="))
    p->connection = token;
  else if (strstr(token, "sig="))
    p->sas = token;
  else
    p->key = token;
}

int32_t azure_connections(struct azure_session *s, struct ome_err *err) {
  static const char *const accounts[] = {"account_name", "azure_account_name", "azure_storage_account",
                                         "azurestorageaccountname", NULL};
  static const char *const connections[] = {"connection_string", "azure_connection_string",
                                            "azure_storage_connection_string", NULL};
  static const char *const keys[] = {"account_key",       "azure_account_key",      "azure_storage_account_key",
                                     "azure_storage_key", "azurestorageaccountkey", NULL};
  static const char *const sas[] = {"sas_token", "azure_sas_token", "azure_storage_sas_token", NULL};
  char **set = s->azure->settings;
  struct place own = {"the model's credentials", azure_param(s, accounts), azure_param(s, connections),
                      azure_param(s, keys), azure_param(s, sas)};
  const struct place places[] = {{"the settings", set[AZURE_ACCOUNT_NAME], set[AZURE_CONNECTION_STRING],
                                  set[AZURE_ACCOUNT_KEY], set[AZURE_SAS_TOKEN]},
                                 {"the environment", env_text("AZURE_STORAGE_ACCOUNT"),
                                  env_text("AZURE_STORAGE_CONNECTION_STRING"), env_text("AZURE_STORAGE_KEY"),
                                  env_text("AZURE_STORAGE_SAS_TOKEN")}};
  int fits = 1;

  sort_token(s, &own);
  int32_t rc = read_place(s, &own, &s->own, &fits, err);
  if (rc == OME_OK && !fits)
    return ome_fail(err, OME_E_INVALID, "azure: %.200s: the model's credentials are for another account", s->ref->uri);
  for (size_t i = 0; rc == OME_OK && i < 2 && !*s->machine.key && !*s->machine.sas; i++) {
    rc = read_place(s, &places[i], &s->machine, &fits, err);
    if (!fits)
      explicit_bzero(&s->machine, sizeof(s->machine));
  }
  return rc;
}

static int32_t use(struct azure_session *s, const struct azure_connection *c, const char *permissions,
                   struct ome_err *err) {
  int64_t now_s = (int64_t)time(NULL);
  const struct azure_sas sas = {.account = s->uri.account,
                                .container = s->uri.container,
                                .blob = *s->uri.version ? s->uri.name : "",
                                .version = s->uri.version,
                                .permissions = *s->uri.version ? "r" : permissions,
                                .expires = (time_t)(now_s + SAS_LIFE_S)};

  if (!*c->key)
    return azure_sas_take(c->sas, s->query, sizeof(s->query)) == 0
               ? OME_OK
               : ome_fail(err, OME_E_INVALID,
                          "azure: %.200s: the shared access signature is none; it has sig=", s->ref->uri);
  s->expires_s = now_s + SAS_LIFE_S;
  return azure_sas_make(&sas, c->key, s->query, sizeof(s->query)) == 0
             ? OME_OK
             : ome_fail(err, OME_E_DENIED, "azure: %.200s: the account's key is none; it is base64", s->ref->uri);
}

/* ---- identities -------------------------------------------------------------------------------------------------- */

struct identity {
  const struct azure_session *s;
  const char *tenant, *client, *secret, *token_file, *authority;
};

static struct identity identity_of(const struct azure_session *s) {
  const char *authority = setting(s, AZURE_AUTHORITY_HOST, "AZURE_AUTHORITY_HOST");

  return (struct identity){.s = s,
                           .tenant = setting(s, AZURE_TENANT_ID, "AZURE_TENANT_ID"),
                           .client = setting(s, AZURE_CLIENT_ID, "AZURE_CLIENT_ID"),
                           .secret = setting(s, AZURE_CLIENT_SECRET, "AZURE_CLIENT_SECRET"),
                           .token_file = setting(s, AZURE_FEDERATED_TOKEN_FILE, "AZURE_FEDERATED_TOKEN_FILE"),
                           .authority = authority ? authority : "https://login.microsoftonline.com"};
}

/* The form of a client that shows its token (RFC 7523) or its secret; the caller's to forget; NULL. */
static char *identity_form(const struct identity *id, struct ome_err *err) {
  size_t size = 4 * MAX_TOKEN;
  char *form = malloc(size), *token = id->token_file ? secret_read_word(id->token_file, MAX_TOKEN) : NULL;
  struct ome_text t = {form, 0, size, 0};

  if (!form || (id->token_file && !token)) {
    (void)(form ? ome_fail(err, OME_E_NOT_FOUND, "azure: %.300s: cannot be read; AZURE_FEDERATED_TOKEN_FILE names it",
                           id->token_file)
                : ome_fail(err, OME_E_NO_MEMORY, "azure: out of memory"));
    free(form);
    return NULL;
  }
  form[0] = '\0';
  form_add(&t, "grant_type", "client_credentials");
  form_add(&t, "scope", "https://storage.azure.com/.default");
  form_add(&t, "client_id", id->client);
  if (token) {
    form_add(&t, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    form_add(&t, "client_assertion", token);
  } else {
    form_add(&t, "client_secret", id->secret);
  }
  secret_forget(token, token ? strlen(token) : 0);
  return form;
}

static int32_t fetch_of_client(void *arg, struct oauth_token *out, struct ome_err *err) {
  static const struct ome_kv type[] = {{"content-type", "application/x-www-form-urlencoded"}};
  const struct identity *id = arg;
  char url[800], what[120], *form = identity_form(id, err);
  const struct oauth_asking asking = {id->s->azure->host, id->s->call, what,
                                      "check the tenant, the client and its credential"};

  if (!form)
    return err->code;
  int slash = id->authority[strlen(id->authority) - 1] == '/';
  (void)snprintf(url, sizeof(url), "%.500s%s%.100s/oauth2/v2.0/token", id->authority, slash ? "" : "/", id->tenant);
  (void)snprintf(what, sizeof(what), "azure: identity %.80s", id->client);
  const struct ome_http_req req = {
      .method = "POST", .url = url, .headers = type, .nheaders = 1, .body = {form, strlen(form)}};
  int32_t rc = oauth_ask(&asking, req, out, err);
  secret_forget(form, strlen(form));
  return rc;
}

/* Of the machine; none is no error: the container may be public. */
static int32_t fetch_of_machine(void *arg, struct oauth_token *out, struct ome_err *err) {
  static const struct ome_kv metadata[] = {{"Metadata", "true"}};
  const struct identity *id = arg;
  const char *host = env_text("AZURE_POD_IDENTITY_AUTHORITY_HOST");
  char url[800];
  struct ome_text t = OME_TEXT(url);
  struct http_answer a = {0};

  ome_text_add(&t, host ? host : METADATA);
  ome_text_add(&t,
               "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fstorage.azure.com%2F");
  if (id->client)
    form_add(&t, "client_id", id->client);
  if (t.full)
    return ome_fail(err, OME_E_INVALID, "azure: the address of the metadata service is too long");
  const struct ome_http_req req = {.method = "GET", .url = url, .headers = metadata, .nheaders = 1};
  int32_t rc = identity_ask(id->s->azure->host, id->s->call, IDENTITY_METADATA_MS, req, &a, err);
  if (rc == OME_OK && a.status == 200) {
    if (oauth_token_read(a.body, a.len, (int64_t)time(NULL), out) != 0)
      rc = ome_fail(err, OME_E_UNAVAILABLE, "azure: %.100s: its answer has no access token", host ? host : METADATA);
  } else if (rc == OME_OK && (a.status / 100 == 5 || a.status == 429)) {
    rc = http_refused(&a, "azure: the metadata service", NULL, NULL, err);
  } else if (rc != OME_E_CANCELLED && ome_check_cancelled(id->s->call, err) == OME_OK) {
    rc = OME_OK;
  }
  http_answer_fini(&a);
  return rc;
}

static int32_t use_identity(struct azure_session *s, struct ome_err *err) {
  const char *managed = s->azure->settings[AZURE_MANAGED_IDENTITY];
  struct identity id = identity_of(s);
  int is_client = id.tenant && id.client && (id.secret || id.token_file);
  char name[900];

  if (!is_client && managed && strcmp(managed, "false") == 0)
    return OME_OK;
  (void)snprintf(name, sizeof(name), "%d %.500s %.100s %.200s", is_client, id.authority, id.tenant ? id.tenant : "",
                 id.client ? id.client : "");
  int32_t rc =
      oauth_cache_get(&s->azure->tokens, name, is_client ? fetch_of_client : fetch_of_machine, &id, &s->token, err);
  if (rc == OME_OK && *s->token.text) {
    (void)snprintf(s->authorization, sizeof(s->authorization), "Bearer %s", s->token.text);
    s->expires_s = s->token.expires_s;
  }
  return rc;
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

int32_t azure_identify(struct azure_session *s, const char *permissions, struct ome_err *err) {
  static const char *const names[] = {"anonymous", NULL};
  const char *anonymous = azure_param(s, names);

  if (!anonymous)
    anonymous = s->azure->settings[AZURE_ANONYMOUS];
  if (anonymous && strcmp(anonymous, "true") == 0)
    return OME_OK;
  if (*s->own.key || *s->own.sas)
    return use(s, &s->own, permissions, err);
  if (s->is_models_endpoint)
    return OME_OK;
  if (*s->machine.key || *s->machine.sas)
    return use(s, &s->machine, permissions, err);
  return use_identity(s, err);
}
