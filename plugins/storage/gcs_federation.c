#include "gcs_federation.h"

#include "../common/encode.h"
#include "../common/identity.h"
#include "../common/secret.h"
#include "gcs_external.h"
#include "gcs_subject.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- Google's ---------------------------------------------------------------------------------------------------- */

/* "Basic ..." where the pool wants a client; "" otherwise.  Secret. */
static void client_of(const struct gcs_external *x, char *out, size_t size) {
  char pair[sizeof(x->client_id) + sizeof(x->client_secret) + 1];
  int n = snprintf(pair, sizeof(pair), "%s:%s", x->client_id, x->client_secret);

  out[0] = '\0';
  if (*x->client_id) {
    (void)snprintf(out, size, "Basic ");
    (void)base64_write(pair, (size_t)n, out + 6, size - 6);
  }
  explicit_bzero(pair, sizeof(pair));
}

/* https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token */
static int32_t exchange(const struct gcs_subject *w, const char *subject, struct oauth_token *out,
                        struct ome_err *err) {
  char client[sizeof("Basic ") + BASE64_TEXT(sizeof(w->x->client_id) + sizeof(w->x->client_secret))];
  char cert[GCS_PATH_TEXT], key[GCS_PATH_TEXT];
  struct ome_kv headers[4] = {{"content-type", "application/x-www-form-urlencoded"}};
  int32_t rc = gcs_subject_certificate(w, cert, key, err);
  char *form = rc == OME_OK ? gcs_exchange_form(w->x, subject) : NULL;
  const struct oauth_asking asking = {w->s->gcs->host, w->s->call, w->what,
                                      "check the pool, its provider and who the subject's token is for"};
  uint64_t n = 1;

  if (!form)
    return rc != OME_OK ? rc : ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  client_of(w->x, client, sizeof(client));
  if (*client)
    headers[n++] = (struct ome_kv){"authorization", client};
  if (*cert) {
    headers[n++] = (struct ome_kv){OME_REQUEST_CERT, cert};
    headers[n++] = (struct ome_kv){OME_REQUEST_KEY, key};
  }
  const struct ome_http_req req = {
      .method = "POST", .url = w->x->token_url, .headers = headers, .nheaders = n, .body = {form, strlen(form)}};
  rc = oauth_ask(&asking, req, out, err);
  secret_forget(form, strlen(form));
  explicit_bzero(client, sizeof(client));
  return rc;
}

/* https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken */
static int32_t impersonate(const struct gcs_subject *w, struct oauth_token *token, struct ome_err *err) {
  char bearer[OAUTH_TOKEN_TEXT + 8], body[300];
  const struct ome_kv headers[] = {{"content-type", "application/json"}, {"authorization", bearer}};
  const struct oauth_asking asking = {w->s->gcs->host, w->s->call, w->what,
                                      "the subject needs the role Workload Identity User on that service account"};
  struct http_answer a = {0};

  (void)snprintf(bearer, sizeof(bearer), "Bearer %s", token->text);
  gcs_impersonation_body(w->x, body, sizeof(body));
  const struct ome_http_req req = {.method = "POST",
                                   .url = w->x->impersonation_url,
                                   .headers = headers,
                                   .nheaders = 2,
                                   .body = {body, strlen(body)}};
  int32_t rc = identity_ask(asking.host, asking.call, IDENTITY_MS, req, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = oauth_refused(&asking, w->x->impersonation_url, &a, err);
  else if (rc == OME_OK && gcs_impersonation_read(w->x, a.body, a.len, (int64_t)time(NULL), token) != 0)
    rc = ome_fail(err, OME_E_UNAVAILABLE, "gcs: %.300s: its answer has no access token", w->x->impersonation_url);
  explicit_bzero(bearer, sizeof(bearer));
  http_answer_fini(&a);
  return rc;
}

static int32_t fetch(void *arg, struct oauth_token *out, struct ome_err *err) {
  const struct gcs_subject *w = arg;
  char *subject = NULL;
  int32_t rc = gcs_subject_of(w, &subject, err);

  if (rc == OME_OK)
    rc = exchange(w, subject, out, err);
  if (rc == OME_OK && *w->x->impersonation_url)
    rc = impersonate(w, out, err);
  secret_forget(subject, subject ? strlen(subject) : 0);
  return rc;
}

int32_t gcs_federate(const struct gcs_session *s, const char *text, const char *where, struct oauth_token *out,
                     struct ome_err *err) {
  struct gcs_external *x = calloc(1, sizeof(*x));
  char what[120];

  if (!x)
    return ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  (void)snprintf(what, sizeof(what), "gcs: %.100s", where);
  int32_t rc = gcs_external_read(text, strlen(text), where, x, err);
  struct gcs_subject w = {s, x, where, what};
  if (rc == OME_OK)
    rc = oauth_cache_get(&s->gcs->tokens, text, fetch, &w, out, err);
  secret_forget((char *)x, sizeof(*x));
  return rc;
}
