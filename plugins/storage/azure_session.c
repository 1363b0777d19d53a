#include "azure_session.h"

#include "../common/secret.h"
#include "../common/settings.h"
#include "../common/storage.h"
#include "azure_answer.h"
#include "azure_credentials.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SKEW_S 300

/* ---- settings ---------------------------------------------------------------------------------------------------- */

STORAGE_KEY(endpoint, OME_KEY_STRING,
            "Address of the Blob service, in which {account} stands for the URI's; without it the account's at Azure.");
STORAGE_KEY(account_name, OME_KEY_STRING, "Account that account_key or sas_token is for; without it any.");
STORAGE_KEY(account_key, OME_KEY_SECRET, "Key of the account, for models that bring none of their own.");
STORAGE_KEY(sas_token, OME_KEY_SECRET, "Shared access signature instead of a key.");
STORAGE_KEY(connection_string, OME_KEY_SECRET, "All of that in one, as the portal shows it.");
STORAGE_KEY(tenant_id, OME_KEY_STRING, "Tenant of the identity; without it $AZURE_TENANT_ID.");
STORAGE_KEY(client_id, OME_KEY_STRING, "Client of the identity; without it $AZURE_CLIENT_ID.");
STORAGE_KEY(client_secret, OME_KEY_SECRET, "Its secret; without it $AZURE_CLIENT_SECRET.");
STORAGE_KEY(federated_token_file, OME_KEY_STRING,
            "Its token instead of a secret (workload identity); without it $AZURE_FEDERATED_TOKEN_FILE.");
STORAGE_KEY(authority_host, OME_KEY_STRING,
            "Address that its tokens are got at; without it $AZURE_AUTHORITY_HOST, https://login.microsoftonline.com.");
STORAGE_KEY(anonymous, OME_KEY_BOOL, "Send no credentials: public containers only.");
STORAGE_KEY(managed_identity, OME_KEY_BOOL,
            "Ask the instance's metadata service for a token where nothing else has any; true unless set.");

const struct ome_key *const azure_keys[] = {[AZURE_ENDPOINT] = &key_endpoint,
                                            [AZURE_ACCOUNT_NAME] = &key_account_name,
                                            [AZURE_ACCOUNT_KEY] = &key_account_key,
                                            [AZURE_SAS_TOKEN] = &key_sas_token,
                                            [AZURE_CONNECTION_STRING] = &key_connection_string,
                                            [AZURE_TENANT_ID] = &key_tenant_id,
                                            [AZURE_CLIENT_ID] = &key_client_id,
                                            [AZURE_CLIENT_SECRET] = &key_client_secret,
                                            [AZURE_FEDERATED_TOKEN_FILE] = &key_federated_token_file,
                                            [AZURE_AUTHORITY_HOST] = &key_authority_host,
                                            [AZURE_ANONYMOUS] = &key_anonymous,
                                            [AZURE_MANAGED_IDENTITY] = &key_managed_identity,
                                            NULL};

/* ---- life -------------------------------------------------------------------------------------------------------- */

void azure_destroy(void *self) {
  struct azure *z = self;

  if (!z)
    return;
  settings_forget(z->settings, AZURE_SETTINGS);
  oauth_cache_fini(&z->tokens);
  free(z);
}

int32_t azure_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                     struct ome_err *err) {
  struct azure *z = calloc(1, sizeof(*z));
  char endpoint[512];

  if (!z)
    return ome_fail(err, OME_E_NO_MEMORY, "azure: out of memory");
  z->host = host;
  oauth_cache_init(&z->tokens);
  int32_t rc = settings_keep(azure_keys, cfg, ncfg, z->settings, err);
  if (rc == OME_OK && z->settings[AZURE_ENDPOINT] &&
      azure_endpoint(z->settings[AZURE_ENDPOINT], "account", endpoint, sizeof(endpoint)) != 0)
    rc = ome_fail(err, OME_E_INVALID, "azure: endpoint is no http(s) address");
  if (rc != OME_OK)
    azure_destroy(z);
  else
    *out_self = z;
  return rc;
}

static int32_t find_where(struct azure_session *s, struct ome_err *err) {
  static const char *const names[] = {"endpoint", "azure_storage_blob_endpoint", NULL};
  const char *models = azure_param(s, names);
  const char *choices[] = {models, *s->own.endpoint ? s->own.endpoint : NULL, s->azure->settings[AZURE_ENDPOINT],
                           *s->machine.endpoint ? s->machine.endpoint : NULL};
  const char *where = NULL;
  char azures[128];

  s->is_models_endpoint = models != NULL;
  for (size_t i = 0; !where && i < sizeof(choices) / sizeof(*choices); i++)
    where = choices[i];
  if (!where) {
    (void)snprintf(azures, sizeof(azures), "https://%s.blob.%s", s->uri.account,
                   *s->uri.suffix ? s->uri.suffix : "core.windows.net");
    where = azures;
  }
  return azure_endpoint(where, s->uri.account, s->endpoint, sizeof(s->endpoint)) == 0
             ? OME_OK
             : ome_fail(err, OME_E_INVALID, "azure: the endpoint \"%.200s\" is no http(s) address", where);
}

/* A version's time, or that of the snapshot which the URI names: what a list of it says its revision is. */
static int take_revision(struct azure_session *s, const char *revision) {
  const char *time = strchr(s->uri.version, '=');

  if (!*revision || (time && strcmp(time + 1, revision) == 0))
    return 1;
  if (!azure_is_time(revision))
    return 0;
  (void)snprintf(s->uri.version, sizeof(s->uri.version), "versionid=%s", revision);
  return 1;
}

int32_t azure_session_open(struct azure *azure, const struct ome_call *call, const struct ome_model_ref *ref,
                           const char *permissions, struct azure_session **out, struct ome_err *err) {
  struct azure_session *s = calloc(1, sizeof(*s));

  *out = s;
  if (!s)
    return ome_fail(err, OME_E_NO_MEMORY, "azure: out of memory");
  s->azure = azure;
  s->call = call;
  s->ref = ref;
  if (azure_uri_parse(ref->uri, &s->uri) != 0)
    return ome_fail(err, OME_E_INVALID, "azure: \"%.200s\" is not az://ACCOUNT/CONTAINER/NAME",
                    ref->uri ? ref->uri : "");
  if (!take_revision(s, ref->revision ? ref->revision : ""))
    return ome_fail(err, OME_E_INVALID, "azure: the revision \"%.60s\" is no version of a blob, a time", ref->revision);
  int32_t rc = azure_connections(s, err);
  if (rc == OME_OK)
    rc = find_where(s, err);
  return rc == OME_OK ? azure_identify(s, permissions, err) : rc;
}

void azure_session_close(struct azure_session *s) {
  secret_forget((char *)s, sizeof(*s));
}

int azure_is_anonymous(const struct azure_session *s) {
  return !*s->query && !*s->authorization;
}

uint64_t azure_life_ms(const struct azure_session *s) {
  const struct oauth_token life = {.expires_s = s->expires_s};

  return s->expires_s ? oauth_life_ms(&life, (int64_t)time(NULL)) : 0;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

uint64_t azure_headers(const struct azure_session *s, struct ome_kv out[AZURE_HEADERS]) {
  uint64_t n = 0;

  out[n++] = (struct ome_kv){"x-ms-version", AZURE_VERSION};
  if (*s->authorization)
    out[n++] = (struct ome_kv){"authorization", s->authorization};
  return n;
}

int32_t azure_ask(const struct azure_session *s, const char *method, const char *url, struct http_answer *a,
                  struct ome_err *err) {
  char signed_url[2 * AZURE_MAX_URL];
  struct ome_kv headers[AZURE_HEADERS];
  const struct ome_http_req req = {.struct_size = sizeof(req),
                                   .flags = OME_HTTP_NO_REDIRECT,
                                   .method = method,
                                   .url = signed_url,
                                   .headers = headers,
                                   .nheaders = azure_headers(s, headers),
                                   .max_body = (uint64_t)32 << 20};

  if (azure_with_query(url, s->query, signed_url, sizeof(signed_url)) != 0)
    return ome_fail(err, OME_E_INVALID, "azure: %.200s: the name is too long", s->ref->uri);
  return http_perform(s->azure->host, s->call, &req, a, err);
}

/* By how much the server's clock is before ours; 0: not known. */
static int64_t skew_of(const struct http_answer *a) {
  const char *date = http_answer_header(a, "date");
  struct tm tm = {0};

  return date && strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm) ? (int64_t)timegm(&tm) - (int64_t)time(NULL) : 0;
}

int32_t azure_refused(const struct azure_session *s, const struct http_answer *a, const char *blob,
                      struct ome_err *err) {
  char message[120], why[200], what[600], clock[120];
  const char *code = http_answer_header(a, "x-ms-error-code");
  int anonymous = azure_is_anonymous(s);
  int64_t skew = a->status == 401 || a->status == 403 ? skew_of(a) : 0;

  azure_error_read(a->body, a->len, message, sizeof(message));
  (void)snprintf(why, sizeof(why), "%s%s%s", code ? code : "", code && *message ? ": " : "", message);
  const char *advice = azure_advice(code ? code : "", anonymous);
  if (skew > SKEW_S || skew < -SKEW_S) {
    (void)snprintf(clock, sizeof(clock), "the clock of this machine is %lld s %s the server's; set it (NTP)",
                   (long long)llabs(skew), skew > 0 ? "behind" : "before");
    advice = clock;
  }
  if (blob)
    (void)snprintf(what, sizeof(what), "azure: az://%s/%s/%.300s", s->uri.account, s->uri.container, blob);
  else
    (void)snprintf(what, sizeof(what), "azure: %.500s", s->ref->uri);
  return http_refused(a, what, *why ? why : NULL, advice, err);
}
