#include "gcs_session.h"

#include "../common/secret.h"
#include "../common/settings.h"
#include "../common/storage.h"
#include "gcs_answer.h"
#include "gcs_credentials.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings ---------------------------------------------------------------------------------------------------- */

STORAGE_KEY(endpoint, OME_KEY_STRING,
            "Address of the JSON API; without it $STORAGE_EMULATOR_HOST, then https://storage.googleapis.com.");
STORAGE_KEY(credentials, OME_KEY_SECRET, "JSON of a service account or a user, for models that bring none.");
STORAGE_KEY(credentials_file, OME_KEY_STRING,
            "File with such JSON; without it $GOOGLE_APPLICATION_CREDENTIALS, then what gcloud left.");
STORAGE_KEY(token_endpoint, OME_KEY_STRING, "Address that tokens are got at, instead of the credentials' token_uri.");
STORAGE_KEY(user_project, OME_KEY_STRING, "Project that pays for requests to buckets whose callers pay.");
STORAGE_KEY(anonymous, OME_KEY_BOOL, "Send no credentials: public buckets only.");
STORAGE_KEY(metadata, OME_KEY_BOOL, "Ask the metadata server for a token where nothing else has any; true unless set.");

const struct ome_key *const gcs_keys[] = {[GCS_ENDPOINT] = &key_endpoint,
                                          [GCS_CREDENTIALS] = &key_credentials,
                                          [GCS_CREDENTIALS_FILE] = &key_credentials_file,
                                          [GCS_TOKEN_ENDPOINT] = &key_token_endpoint,
                                          [GCS_USER_PROJECT] = &key_user_project,
                                          [GCS_ANONYMOUS] = &key_anonymous,
                                          [GCS_METADATA] = &key_metadata,
                                          NULL};

const char *gcs_param(const struct gcs_session *s, const char *const *names) {
  return kv_any(s->ref->params, s->ref->nparams, names);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void gcs_destroy(void *self) {
  struct gcs *g = self;

  if (!g)
    return;
  settings_forget(g->settings, GCS_SETTINGS);
  oauth_cache_fini(&g->tokens);
  free(g);
}

int32_t gcs_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                   struct ome_err *err) {
  struct gcs *g = calloc(1, sizeof(*g));
  char endpoint[512];

  if (!g)
    return ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  g->host = host;
  oauth_cache_init(&g->tokens);
  int32_t rc = settings_keep(gcs_keys, cfg, ncfg, g->settings, err);
  if (rc == OME_OK && g->settings[GCS_ENDPOINT] &&
      gcs_endpoint_parse(g->settings[GCS_ENDPOINT], endpoint, sizeof(endpoint)) != 0)
    rc = ome_fail(err, OME_E_INVALID, "gcs: endpoint is no http(s) address of a host");
  if (rc != OME_OK)
    gcs_destroy(g);
  else
    *out_self = g;
  return rc;
}

static int32_t find_where(struct gcs_session *s, struct ome_err *err) {
  static const char *const endpoint[] = {"endpoint", "storage_emulator_host", NULL};
  static const char *const project[] = {"user_project", NULL};
  const char *where = gcs_param(s, endpoint), *payer = gcs_param(s, project);

  s->is_models_endpoint = where != NULL;
  if (!where)
    where = s->gcs->settings[GCS_ENDPOINT];
  if (!where) {
    where = env_text("STORAGE_EMULATOR_HOST");
    s->is_emulator = where != NULL;
  }
  if (gcs_endpoint_parse(where ? where : "https://storage.googleapis.com", s->endpoint, sizeof(s->endpoint)) != 0)
    return ome_fail(err, OME_E_INVALID, "gcs: the endpoint \"%.200s\" is no http(s) address of a host", where);
  if (!payer)
    payer = s->gcs->settings[GCS_USER_PROJECT];
  if (payer && (size_t)snprintf(s->project, sizeof(s->project), "%s", payer) >= sizeof(s->project))
    return ome_fail(err, OME_E_INVALID, "gcs: user_project is too long");
  return OME_OK;
}

int32_t gcs_session_open(struct gcs *gcs, const struct ome_call *call, const struct ome_model_ref *ref,
                         struct gcs_session **out, struct ome_err *err) {
  struct gcs_session *s = calloc(1, sizeof(*s));
  const char *revision = ref->revision ? ref->revision : "";

  *out = s;
  if (!s)
    return ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  s->gcs = gcs;
  s->call = call;
  s->ref = ref;
  if (gcs_uri_parse(ref->uri, &s->uri) != 0)
    return ome_fail(err, OME_E_INVALID, "gcs: \"%.200s\" is not gs://BUCKET/OBJECT[#GENERATION]",
                    ref->uri ? ref->uri : "");
  if (strspn(revision, "0123456789") != strlen(revision) || strlen(revision) >= sizeof(s->uri.generation))
    return ome_fail(err, OME_E_INVALID, "gcs: the revision \"%.60s\" is no generation of an object, a number",
                    revision);
  if (*revision)
    memcpy(s->uri.generation, revision, strlen(revision) + 1);
  int32_t rc = find_where(s, err);
  if (rc == OME_OK)
    rc = gcs_identify(s, &s->token, err);
  if (rc == OME_OK && *s->token.text)
    (void)snprintf(s->authorization, sizeof(s->authorization), "Bearer %s", s->token.text);
  return rc;
}

void gcs_session_close(struct gcs_session *s) {
  secret_forget((char *)s, sizeof(*s));
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

uint64_t gcs_headers(const struct gcs_session *s, struct ome_kv out[GCS_HEADERS]) {
  uint64_t n = 0;

  if (*s->authorization)
    out[n++] = (struct ome_kv){"authorization", s->authorization};
  if (*s->project)
    out[n++] = (struct ome_kv){"x-goog-user-project", s->project};
  return n;
}

int32_t gcs_ask(const struct gcs_session *s, const char *url, struct http_answer *a, struct ome_err *err) {
  struct ome_kv headers[GCS_HEADERS];
  const struct ome_http_req req = {.struct_size = sizeof(req),
                                   .flags = OME_HTTP_NO_REDIRECT,
                                   .method = "GET",
                                   .url = url,
                                   .headers = headers,
                                   .nheaders = gcs_headers(s, headers),
                                   .max_body = (uint64_t)16 << 20};

  return http_perform(s->gcs->host, s->call, &req, a, err);
}

int32_t gcs_refused(const struct gcs_session *s, const struct http_answer *a, const char *object, struct ome_err *err) {
  char why[200], reason[64], what[600];

  gcs_error_read(a->body, a->len, why, sizeof(why), reason);
  if (object)
    (void)snprintf(what, sizeof(what), "gcs: gs://%s/%.300s", s->uri.bucket, object);
  else
    (void)snprintf(what, sizeof(what), "gcs: %.500s", s->ref->uri);
  int32_t rc = http_refused(a, what, *why ? why : NULL, gcs_advice(a->status, reason, !*s->authorization), err);
  if (a->status == 403 && strstr(reason, "ateLimitExceeded"))
    rc = err->code = OME_E_BUSY;
  return rc;
}
