#include "gcs_subject.h"

#include "../common/identity.h"
#include "../common/process.h"
#include "../common/secret.h"
#include "aws_credentials.h"
#include "gcs_aws.h"
#include "gcs_credentials.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- a file, an address ------------------------------------------------------------------------------------------ */

static int32_t of_file(const struct gcs_subject *w, char **out, struct ome_err *err) {
  size_t len = 0;
  char *text = secret_read_file(w->x->file, 2 * GCS_SUBJECT_TOKEN, &len);

  if (text)
    *out = gcs_subject_token(w->x, text, len);
  secret_forget(text, text ? len : 0);
  return *out ? OME_OK
              : ome_fail(err, OME_E_DENIED, "gcs: %.100s: %.300s, the file of its credential_source, %s", w->where,
                         w->x->file,
                         text ? "has no token; check its format" : "cannot be read; check that it is mounted");
}

static int32_t of_url(const struct gcs_subject *w, char **out, struct ome_err *err) {
  const struct oauth_asking asking = {w->s->gcs->host, w->s->call, w->what,
                                      "check the url and headers of its credential_source"};
  struct ome_kv headers[GCS_EXTERNAL_HEADERS];
  struct http_answer a = {0};

  for (uint32_t i = 0; i < w->x->nheaders; i++)
    headers[i] = (struct ome_kv){w->x->headers[i].name, w->x->headers[i].value};
  const struct ome_http_req req = {.method = "GET", .url = w->x->url, .headers = headers, .nheaders = w->x->nheaders};
  int32_t rc = identity_ask(asking.host, asking.call, IDENTITY_MS, req, &a, err);
  if (rc == OME_OK && a.status != 200)
    rc = oauth_refused(&asking, w->x->url, &a, err);
  if (rc == OME_OK && a.body)
    *out = gcs_subject_token(w->x, a.body, a.len);
  if (rc == OME_OK && !*out)
    rc = ome_fail(err, OME_E_DENIED,
                  "gcs: %.100s: the answer of %.250s has no token; check the format of its credential_source", w->where,
                  w->x->url);
  http_answer_fini(&a);
  return rc;
}

/* ---- a program --------------------------------------------------------------------------------------------------- */

/* What it left in its output file and is good for more than a moment; otherwise it has to run. */
static int has_kept(const struct gcs_subject *w, const char *what, char **out) {
  struct ome_err ignored;
  size_t len = 0;
  char *text = *w->x->output_file ? secret_read_file(w->x->output_file, 2 * GCS_SUBJECT_TOKEN, &len) : NULL;
  int kept = text && gcs_program_token(text, len, 1, (int64_t)time(NULL), what, out, &ignored) == OME_OK;

  secret_forget(text, text ? len : 0);
  return kept;
}

enum { VARIABLES = 5, VARIABLE_TEXT = 1200 };

/* What Google's own clients tell it. */
static void variables_of(const struct gcs_external *x, char text[VARIABLES][VARIABLE_TEXT], char *out[VARIABLES + 1]) {
  char email[256];
  const struct {
    const char *name, *value;
  } all[VARIABLES] = {{"AUDIENCE", x->audience},
                      {"TOKEN_TYPE", x->subject_type},
                      {"INTERACTIVE", "0"},
                      {"IMPERSONATED_EMAIL", email},
                      {"OUTPUT_FILE", x->output_file}};
  size_t n = 0;

  gcs_impersonated(x, email, sizeof(email));
  for (size_t i = 0; i < VARIABLES; i++) {
    if (!*all[i].value)
      continue;
    (void)snprintf(text[n], VARIABLE_TEXT, "GOOGLE_EXTERNAL_ACCOUNT_%s=%s", all[i].name, all[i].value);
    out[n] = text[n];
    n++;
  }
  out[n] = NULL;
}

/* https://google.aip.dev/auth/4117, "executable-sourced credentials": no program runs unless the operator said so. */
static int32_t of_program(const struct gcs_subject *w, char **out, struct ome_err *err) {
  char what[200], text[VARIABLES][VARIABLE_TEXT], *also[VARIABLES + 1], *printed = NULL;
  const char *allowed = env_text("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES");
  const struct process p = {.what = what, .command = w->x->command, .also = also, .longest_s = w->x->timeout_s};

  (void)snprintf(what, sizeof(what), "gcs: %.100s: its executable", w->where);
  if (!allowed || strcmp(allowed, "1") != 0)
    return ome_fail(err, OME_E_DENIED,
                    "%s may not be run; set GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1 if it is to be", what);
  if (has_kept(w, what, out))
    return OME_OK;
  variables_of(w->x, text, also);
  int32_t rc = process_run(w->s->call, &p, &printed, err);
  if (rc == OME_OK && !*printed && has_kept(w, what, out)) { /* it may print nothing, then */
    secret_forget(printed, 0);
    return OME_OK;
  }
  if (rc == OME_OK)
    rc = gcs_program_token(printed, strlen(printed), 0, (int64_t)time(NULL), what, out, err);
  secret_forget(printed, printed ? strlen(printed) : 0);
  return rc;
}

/* ---- AWS --------------------------------------------------------------------------------------------------------- */

static int32_t region_of(const struct gcs_subject *w, const struct aws_sources *sources, char *out, size_t size,
                         struct ome_err *err) {
  if (aws_region(sources, out, size) == 0)
    return OME_OK;
  int32_t rc = ome_check_cancelled(w->s->call, err);
  return rc != OME_OK ? rc
                      : ome_fail(err, OME_E_DENIED,
                                 "gcs: %.100s: nothing says which region of AWS this is; set AWS_REGION", w->where);
}

/* Who we are there is found as for s3://, the order of AWS's own tools. */
static int32_t of_aws(const struct gcs_subject *w, char **out, struct ome_err *err) {
  struct aws_sources sources = {.host = w->s->gcs->host, .call = w->s->call, .metadata_url = w->x->url};
  struct aws_credentials *keys = calloc(1, sizeof(*keys));
  char region[64];

  if (!keys)
    return ome_fail(err, OME_E_NO_MEMORY, "gcs: out of memory");
  int32_t rc = region_of(w, &sources, region, sizeof(region), err);
  sources.region = region;
  if (rc == OME_OK)
    rc = aws_credentials_find(&sources, keys, err);
  if (rc == OME_OK && !*keys->access_key)
    rc = ome_fail(err, OME_E_DENIED,
                  "gcs: %.100s: no credentials of AWS were found; give this machine a role there, or set "
                  "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                  w->where);
  const struct gcs_aws_identity who = {keys->access_key, keys->secret_key, keys->session_token, region};
  if (rc == OME_OK && !(*out = gcs_aws_subject(&who, w->x->verify_url, w->x->audience, (int64_t)time(NULL))))
    rc = ome_fail(err, OME_E_INVALID,
                  "gcs: %.100s: its regional_cred_verification_url \"%.200s\" is no https address of AWS's STS",
                  w->where, w->x->verify_url);
  secret_forget((char *)keys, sizeof(*keys));
  return rc;
}

/* ---- a certificate ----------------------------------------------------------------------------------------------- */

/* Where gcloud keeps its configuration of certificates. */
static void usual_certificates(char *out, size_t size) {
  static const char name[] = "certificate_config.json";
  const char *named = env_text("GOOGLE_API_CERTIFICATE_CONFIG"), *folder = env_text("CLOUDSDK_CONFIG");
  const char *home = env_text("HOME");

  if (named)
    (void)snprintf(out, size, "%s", named);
  else if (folder)
    (void)snprintf(out, size, "%s/%s", folder, name);
  else
    (void)snprintf(out, size, "%s/.config/gcloud/%s", home ? home : "", name);
}

int32_t gcs_subject_certificate(const struct gcs_subject *w, char cert[GCS_PATH_TEXT], char key[GCS_PATH_TEXT],
                                struct ome_err *err) {
  char usual[GCS_PATH_TEXT];
  const char *path = *w->x->certificates ? w->x->certificates : usual;
  size_t len = 0;

  cert[0] = key[0] = '\0';
  if (w->x->source != GCS_SOURCE_CERTIFICATE)
    return OME_OK;
  usual_certificates(usual, sizeof(usual));
  char *text = secret_read_file(path, GCS_SUBJECT_TOKEN, &len);
  int rc = text ? gcs_certificate_files(text, len, cert, key) : -1;
  secret_forget(text, text ? len : 0);
  return rc == 0
             ? OME_OK
             : ome_fail(err, OME_E_DENIED, "gcs: %.100s: %.300s, its configuration of certificates, %s", w->where, path,
                        text ? "names no cert_path and key_path of a workload"
                             : "cannot be read; check that it is there");
}

static int32_t of_certificate(const struct gcs_subject *w, char **out, struct ome_err *err) {
  char cert[GCS_PATH_TEXT], key[GCS_PATH_TEXT];
  int32_t rc = gcs_subject_certificate(w, cert, key, err);
  size_t len = 0, chain_len = 0;

  if (rc != OME_OK)
    return rc;
  char *pem = secret_read_file(cert, GCS_SUBJECT_TOKEN, &len);
  char *chain = *w->x->chain ? secret_read_file(w->x->chain, GCS_SUBJECT_TOKEN, &chain_len) : NULL;
  if (!pem || (*w->x->chain && !chain))
    rc = ome_fail(err, OME_E_DENIED, "gcs: %.100s: %.300s, %s, cannot be read; check that it is there", w->where,
                  pem ? w->x->chain : cert, pem ? "its trust_chain_path" : "its certificate");
  else if (!(*out = gcs_certificate_subject(pem, chain)))
    rc = ome_fail(err, OME_E_DENIED,
                  "gcs: %.100s: %.300s holds no certificate in PEM, or its trust_chain_path has it not at its top",
                  w->where, cert);
  secret_forget(pem, pem ? len : 0);
  secret_forget(chain, chain ? chain_len : 0);
  return rc;
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

int32_t gcs_subject_of(const struct gcs_subject *w, char **out, struct ome_err *err) {
  static int32_t (*const sources[])(const struct gcs_subject *w, char **out,
                                    struct ome_err *err) = {[GCS_SOURCE_FILE] = of_file,
                                                            [GCS_SOURCE_URL] = of_url,
                                                            [GCS_SOURCE_PROGRAM] = of_program,
                                                            [GCS_SOURCE_AWS] = of_aws,
                                                            [GCS_SOURCE_CERTIFICATE] = of_certificate};

  *out = NULL;
  return sources[w->x->source](w, out, err);
}
