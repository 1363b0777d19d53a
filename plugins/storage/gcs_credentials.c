#include "gcs_credentials.h"

#include "../common/identity.h"
#include "../common/secret.h"
#include "gcs_external.h"
#include "gcs_federation.h"
#include "gcs_key.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_FILE ((size_t)1 << 16)
#define MODEL_TOKEN_S 3600 /* that a model brings as it is: nobody says how long it lasts */

/* ---- service accounts and users ---------------------------------------------------------------------------------- */

struct with_key {
  const struct gcs_session *s;
  const struct gcs_key *key;
  const char *endpoint, *where;
};

static int32_t fetch_with_key(void *arg, struct oauth_token *out, struct ome_err *err) {
  static const struct ome_kv form[] = {{"content-type", "application/x-www-form-urlencoded"}};
  const struct with_key *w = arg;
  char what[120], *body = gcs_token_form(w->key, (int64_t)time(NULL));
  const struct oauth_asking asking = {w->s->gcs->host, w->s->call, what,
                                      "the key was taken back, or this machine's clock is wrong"};

  if (!body)
    return ome_fail(err, OME_E_DENIED, "gcs: %s: its private_key is no RSA key of 2048 bits or more in PEM", w->where);
  (void)snprintf(what, sizeof(what), "gcs: %.100s", w->where);
  const struct ome_http_req req = {
      .method = "POST", .url = w->endpoint, .headers = form, .nheaders = 1, .body = {body, strlen(body)}};
  int32_t rc = oauth_ask(&asking, req, out, err);
  secret_forget(body, strlen(body));
  return rc;
}

/* With the JSON TEXT that WHERE has. */
static int32_t with_json(const struct gcs_session *s, const char *text, int from_model, const char *where,
                         struct oauth_token *out, struct ome_err *err) {
  struct gcs_key *key = calloc(1, sizeof(*key));
  const char *endpoint = s->gcs->settings[GCS_TOKEN_ENDPOINT];
  char *id = NULL;

  if (!key)
    return ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  if (!from_model && gcs_is_external(text, strlen(text))) {
    free(key);
    return gcs_federate(s, text, where, out, err);
  }
  int32_t rc = gcs_key_read(text, strlen(text), from_model, where, key, err);
  struct with_key w = {s, key, endpoint ? endpoint : key->token_uri, where};
  if (rc == OME_OK && asprintf(&id, "%s\n%s", w.endpoint, text) < 0)
    rc = ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  if (rc == OME_OK) {
    rc = oauth_cache_get(&s->gcs->tokens, id, fetch_with_key, &w, out, err);
    secret_forget(id, strlen(id));
  }
  secret_forget((char *)key, sizeof(*key));
  return rc;
}

/* ---- the model's ------------------------------------------------------------------------------------------------- */

/* Secrets often have the names of files and variables. */
static const char *const json_names[] = {"credentials",
                                         "credentials.json",
                                         "key.json",
                                         "service_account.json",
                                         "service-account.json",
                                         "google_application_credentials",
                                         "gcp_credentials",
                                         NULL};
static const char *const token_names[] = {"access_token", "token", NULL};

static int is_json(const char *text) {
  return text[strspn(text, " \t\r\n")] == '{';
}

/* *FOUND: whether the model brings any. */
static int32_t models(const struct gcs_session *s, int *found, struct oauth_token *out, struct ome_err *err) {
  const char *json = gcs_param(s, json_names), *token = gcs_param(s, token_names);

  if (!json && token && is_json(token))
    json = token;
  *found = json || token;
  if (json)
    return with_json(s, json, 1, "the model's credentials", out, err);
  if (!token)
    return OME_OK;
  if (strlen(token) >= sizeof(out->text) || strpbrk(token, " \t\r\n"))
    return ome_fail(err, OME_E_INVALID, "gcs: the model's token is none: it is too long or holds white space");
  memcpy(out->text, token, strlen(token) + 1);
  out->expires_s = (int64_t)time(NULL) + MODEL_TOKEN_S;
  return OME_OK;
}

/* ---- this machine's ---------------------------------------------------------------------------------------------- */

/* What `gcloud auth application-default login` leaves. */
static void left_by_gcloud(char *out, size_t size) {
  const char *folder = env_text("CLOUDSDK_CONFIG"), *home = env_text("HOME");

  out[0] = '\0';
  if (folder)
    (void)snprintf(out, size, "%s/application_default_credentials.json", folder);
  else if (home)
    (void)snprintf(out, size, "%s/.config/gcloud/application_default_credentials.json", home);
}

static int32_t machines(const struct gcs_session *s, int *found, struct oauth_token *out, struct ome_err *err) {
  const char *text = s->gcs->settings[GCS_CREDENTIALS], *named = s->gcs->settings[GCS_CREDENTIALS_FILE];
  char path[1100];

  *found = 1;
  if (text)
    return with_json(s, text, 0, "the setting credentials", out, err);
  if (!named)
    named = env_text("GOOGLE_APPLICATION_CREDENTIALS");
  if (!named)
    left_by_gcloud(path, sizeof(path));
  char *json = secret_read_file(named ? named : path, MAX_FILE, NULL);
  if (!json) {
    *found = named != NULL;
    return named ? ome_fail(err, OME_E_NOT_FOUND,
                            "gcs: %.300s: cannot be read; credentials_file or GOOGLE_APPLICATION_CREDENTIALS names it",
                            named)
                 : OME_OK;
  }
  int32_t rc = with_json(s, json, 0, named ? named : path, out, err);
  secret_forget(json, strlen(json));
  return rc;
}

/* ---- the metadata server's --------------------------------------------------------------------------------------- */

/* Outside of Google's cloud there is none, which is no error: the bucket may be public. */
static int32_t fetch_from_metadata(void *arg, struct oauth_token *out, struct ome_err *err) {
  static const struct ome_kv flavor[] = {{"Metadata-Flavor", "Google"}};
  const struct gcs_session *s = arg;
  const char *host = env_text("GCE_METADATA_HOST"), *is_google;
  struct http_answer a = {0};
  char url[400];

  (void)snprintf(url, sizeof(url), "http://%.250s/computeMetadata/v1/instance/service-accounts/default/token",
                 host ? host : "169.254.169.254");
  const struct ome_http_req req = {.method = "GET", .url = url, .headers = flavor, .nheaders = 1};
  int32_t rc = identity_ask(s->gcs->host, s->call, IDENTITY_METADATA_MS, req, &a, err);
  if (rc == OME_OK && a.status == 200 && (is_google = http_answer_header(&a, "metadata-flavor")) &&
      strcmp(is_google, "Google") == 0) {
    if (oauth_token_read(a.body, a.len, (int64_t)time(NULL), out) != 0)
      rc = ome_fail(err, OME_E_UNAVAILABLE, "gcs: %s: its answer has no access token", url);
  } else if (rc == OME_OK && a.status / 100 == 5) {
    char what[420];
    (void)snprintf(what, sizeof(what), "gcs: %s", url);
    rc = http_refused(&a, what, NULL, NULL, err);
  } else if (rc != OME_E_CANCELLED && ome_check_cancelled(s->call, err) == OME_OK) {
    rc = OME_OK;
  }
  http_answer_fini(&a);
  return rc;
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

static int is_anonymous(const struct gcs_session *s) {
  static const char *const names[] = {"anonymous", NULL};
  const char *word = gcs_param(s, names);

  if (!word)
    word = s->gcs->settings[GCS_ANONYMOUS];
  return word && strcmp(word, "true") == 0;
}

int32_t gcs_identify(const struct gcs_session *s, struct oauth_token *out, struct ome_err *err) {
  const char *metadata = s->gcs->settings[GCS_METADATA];
  int found = 0;

  *out = (struct oauth_token){.expires_s = 0};
  if (is_anonymous(s))
    return OME_OK;
  int32_t rc = models(s, &found, out, err);
  if (rc != OME_OK || found || s->is_models_endpoint)
    return rc;
  rc = machines(s, &found, out, err);
  if (rc != OME_OK || found || s->is_emulator || (metadata && strcmp(metadata, "false") == 0))
    return rc;
  return oauth_cache_get(&s->gcs->tokens, "metadata", fetch_from_metadata, (void *)(uintptr_t)s, out, err);
}
