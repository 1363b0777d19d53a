#include "s3_session.h"

#include "../common/secret.h"
#include "../common/settings.h"
#include "../common/storage.h"
#include "../common/xml.h"
#include "s3_answer.h"

#include <ome-sdk/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SPARE_S 300     /* credentials are renewed this long before they run out */
#define LOOK_AGAIN_S 60 /* where there were none */

/* ---- settings ---------------------------------------------------------------------------------------------------- */

STORAGE_KEY(endpoint, OME_KEY_STRING,
            "Address of the service; without it $AWS_ENDPOINT_URL_S3, $AWS_ENDPOINT_URL, the profile's, Amazon's.");
STORAGE_KEY(region, OME_KEY_STRING,
            "Region of buckets whose URI names none; without it $AWS_REGION, the profile's, us-east-1.");
STORAGE_KEY(addressing_style, OME_KEY_STRING, "auto, path (endpoint/bucket) or virtual (bucket.endpoint).");
STORAGE_KEY(profile, OME_KEY_STRING, "Profile of the AWS configuration files; without it $AWS_PROFILE, then default.");
STORAGE_KEY(access_key_id, OME_KEY_SECRET, "Access key for models that bring none of their own.");
STORAGE_KEY(secret_access_key, OME_KEY_SECRET, "Its secret key.");
STORAGE_KEY(session_token, OME_KEY_SECRET, "Its session token, where it is a temporary one.");
STORAGE_KEY(anonymous, OME_KEY_BOOL, "Sign nothing: public buckets only.");
STORAGE_KEY(request_payer, OME_KEY_STRING, "\"requester\" to pay for requests to buckets that ask for it.");
STORAGE_KEY(digest, OME_KEY_STRING,
            "\"none\" for services whose ETag and checksums cannot be trusted to be of the content.");
STORAGE_KEY(role_arn, OME_KEY_STRING, "Role to take with the web identity token; without it $AWS_ROLE_ARN.");
STORAGE_KEY(web_identity_token_file, OME_KEY_STRING, "Its token; without it $AWS_WEB_IDENTITY_TOKEN_FILE.");
STORAGE_KEY(credentials_file, OME_KEY_STRING, "Without it $AWS_SHARED_CREDENTIALS_FILE, then ~/.aws/credentials.");
STORAGE_KEY(config_file, OME_KEY_STRING, "Without it $AWS_CONFIG_FILE, then ~/.aws/config.");
STORAGE_KEY(sts_endpoint, OME_KEY_STRING,
            "Address that roles are taken at; without it $AWS_ENDPOINT_URL_STS, then Amazon's of the region.");
STORAGE_KEY(metadata, OME_KEY_BOOL,
            "Ask the instance's metadata service for credentials where nothing else has any; true unless set.");

const struct ome_key *const s3_keys[] = {[S3_ENDPOINT] = &key_endpoint,
                                         [S3_REGION] = &key_region,
                                         [S3_STYLE] = &key_addressing_style,
                                         [S3_PROFILE] = &key_profile,
                                         [S3_ACCESS_KEY] = &key_access_key_id,
                                         [S3_SECRET_KEY] = &key_secret_access_key,
                                         [S3_SESSION_TOKEN] = &key_session_token,
                                         [S3_ANONYMOUS] = &key_anonymous,
                                         [S3_REQUEST_PAYER] = &key_request_payer,
                                         [S3_DIGEST] = &key_digest,
                                         [S3_ROLE_ARN] = &key_role_arn,
                                         [S3_TOKEN_FILE] = &key_web_identity_token_file,
                                         [S3_CREDENTIALS_FILE] = &key_credentials_file,
                                         [S3_CONFIG_FILE] = &key_config_file,
                                         [S3_STS_ENDPOINT] = &key_sts_endpoint,
                                         [S3_METADATA] = &key_metadata,
                                         NULL};

/* Where else a setting may stand.  Parameters of a model are its owner's word, not the node's: what names files of the
 * node, or where the node's identity is sent, is not among them. */
static const struct {
  const char *params[3]; /* of the model, in any case: Secrets often have the environment's names */
  const char *env[3];
  const char *profile;
} places[S3_SETTINGS] = {
    [S3_ENDPOINT] = {{"endpoint", "aws_endpoint_url", NULL},
                     {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL},
                     "endpoint_url"},
    [S3_REGION] = {{"region", "aws_region", NULL}, {"AWS_REGION", "AWS_DEFAULT_REGION", NULL}, "region"},
    [S3_STYLE] = {{"addressing_style", NULL}, {NULL}, "s3.addressing_style"},
    [S3_PROFILE] = {{"profile", "aws_profile", NULL}, {NULL}, NULL},
    [S3_ACCESS_KEY] = {{"access_key_id", "aws_access_key_id", NULL}, {NULL}, NULL},
    [S3_SECRET_KEY] = {{"secret_access_key", "aws_secret_access_key", NULL}, {NULL}, NULL},
    [S3_SESSION_TOKEN] = {{"session_token", "aws_session_token", NULL}, {NULL}, NULL},
    [S3_ANONYMOUS] = {{"anonymous", NULL}, {NULL}, NULL},
    [S3_REQUEST_PAYER] = {{"request_payer", NULL}, {NULL}, NULL},
    [S3_DIGEST] = {{"digest", NULL}, {NULL}, NULL},
};

static const char *of_model(const struct s3_session *s, enum s3_setting i) {
  return kv_any(s->ref->params, s->ref->nparams, places[i].params);
}

/* The model's, the plugin's, the environment's; NULL: none of them. */
static const char *setting(const struct s3_session *s, enum s3_setting i) {
  const char *value = of_model(s, i);

  if (!value)
    value = s->s3->settings[i];
  for (const char *const *name = places[i].env; !value && *name; name++) {
    value = env_text(*name);
  }
  return value;
}

/* The same, and the profile's after it. */
static int32_t setting_text(const struct s3_session *s, const struct aws_sources *sources, enum s3_setting i, char *out,
                            size_t size, struct ome_err *err) {
  const char *value = setting(s, i);

  out[0] = '\0';
  if (!value) {
    (void)aws_profile_setting(sources, places[i].profile, out, size);
    return OME_OK;
  }
  if (strlen(value) >= size)
    return ome_fail(err, OME_E_INVALID, "s3: %s is too long", s3_keys[i]->name);
  memcpy(out, value, strlen(value) + 1);
  return OME_OK;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void s3_destroy(void *self) {
  struct s3 *s3 = self;

  if (!s3)
    return;
  settings_forget(s3->settings, S3_SETTINGS);
  (void)pthread_mutex_destroy(&s3->lock);
  explicit_bzero(s3, sizeof(*s3));
  free(s3);
}

int32_t s3_create(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                  struct ome_err *err) {
  struct s3 *s3 = calloc(1, sizeof(*s3));
  enum s3_style style;

  if (!s3)
    return ome_fail(err, OME_E_NO_MEMORY, "s3: out of memory");
  s3->host = host;
  (void)pthread_mutex_init(&s3->lock, NULL);
  int32_t rc = settings_keep(s3_keys, cfg, ncfg, s3->settings, err);
  if (rc == OME_OK && s3->settings[S3_STYLE] && s3_style_parse(s3->settings[S3_STYLE], &style) != 0)
    rc = ome_fail(err, OME_E_INVALID, "s3: addressing_style is none of auto, path, virtual");
  if (rc != OME_OK)
    s3_destroy(s3);
  else
    *out_self = s3;
  return rc;
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

static struct aws_sources sources_of(const struct s3_session *s) {
  struct s3 *s3 = s->s3;
  const char *profile = of_model(s, S3_PROFILE), *metadata = s3->settings[S3_METADATA];
  int own_keys = of_model(s, S3_ACCESS_KEY) || of_model(s, S3_SECRET_KEY);
  /* The parts of a key stand in one place. */
  const char *key[] = {[0] = own_keys ? of_model(s, S3_ACCESS_KEY) : s3->settings[S3_ACCESS_KEY],
                       [1] = own_keys ? of_model(s, S3_SECRET_KEY) : s3->settings[S3_SECRET_KEY],
                       [2] = own_keys ? of_model(s, S3_SESSION_TOKEN) : s3->settings[S3_SESSION_TOKEN]};

  if (profile && !own_keys) /* a model that names a profile wants that */
    key[0] = key[1] = key[2] = NULL;
  return (struct aws_sources){.host = s3->host,
                              .call = s->call,
                              .access_key = key[0],
                              .secret_key = key[1],
                              .session_token = key[2],
                              .profile = profile ? profile : s3->settings[S3_PROFILE],
                              .credentials_file = s3->settings[S3_CREDENTIALS_FILE],
                              .config_file = s3->settings[S3_CONFIG_FILE],
                              .role_arn = s3->settings[S3_ROLE_ARN],
                              .token_file = s3->settings[S3_TOKEN_FILE],
                              .sts_endpoint = s3->settings[S3_STS_ENDPOINT],
                              .region = s->region,
                              .no_metadata = metadata && strcmp(metadata, "false") == 0};
}

static int is_fresh(const struct s3 *s3, const char *wanted, int64_t now) {
  if (strcmp(s3->found_for, wanted) != 0)
    return 0;
  if (!*s3->found.access_key)
    return now - s3->found_s < LOOK_AGAIN_S;
  return s3->found.expires_s == 0 || now < s3->found.expires_s - SPARE_S;
}

/* Services are asked once for all calls, until what they gave is about to run out. */
static int32_t find_shared(struct s3_session *s, const struct aws_sources *sources, struct ome_err *err) {
  struct s3 *s3 = s->s3;
  int64_t now = (int64_t)time(NULL);
  char wanted[sizeof(s3->found_for)];
  int32_t rc = OME_OK;

  (void)snprintf(wanted, sizeof(wanted), "%.200s\n%s", sources->profile ? sources->profile : "", s->region);
  (void)pthread_mutex_lock(&s3->lock);
  if (!is_fresh(s3, wanted, now)) {
    s3->found_for[0] = '\0';
    rc = aws_credentials_find(sources, &s3->found, err);
    if (rc == OME_OK) {
      (void)snprintf(s3->found_for, sizeof(s3->found_for), "%s", wanted);
      s3->found_s = now;
    }
  }
  s->who = s3->found;
  (void)pthread_mutex_unlock(&s3->lock);
  return rc;
}

int32_t s3_session_renew(struct s3_session *s, struct ome_err *err) {
  const char *anonymous = setting(s, S3_ANONYMOUS);
  struct aws_sources sources = sources_of(s);

  if (anonymous && strcmp(anonymous, "true") == 0)
    return OME_OK;
  int32_t rc = sources.access_key || sources.secret_key ? aws_credentials_find(&sources, &s->who, err)
                                                        : find_shared(s, &sources, err);
  (void)snprintf(s->pair, sizeof(s->pair), "%s:%s", s->who.access_key, s->who.secret_key);
  return rc;
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

int32_t s3_session_move(struct s3_session *s, const char *region, struct ome_err *err) {
  char wanted[sizeof(s->region)];

  (void)snprintf(wanted, sizeof(wanted), "%s", region);
  if (!*wanted || strspn(wanted, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != strlen(region))
    return ome_fail(err, OME_E_INVALID, "s3: \"%.80s\" is no region", region);
  memcpy(s->region, wanted, sizeof(wanted));
  (void)snprintf(s->scope, sizeof(s->scope), "aws:amz:%s:s3", s->region);
  if (s3_base_url(*s->endpoint ? s->endpoint : NULL, s->style, s->uri.bucket, s->region, s->base, sizeof(s->base)) != 0)
    return ome_fail(err, OME_E_INVALID, "s3: the endpoint \"%.200s\" is no http(s) address", s->endpoint);
  return OME_OK;
}

static int32_t find_where(struct s3_session *s, struct ome_err *err) {
  struct aws_sources sources = sources_of(s);
  char region[sizeof(s->region)], style[16];
  const char *payer = setting(s, S3_REQUEST_PAYER), *digest = setting(s, S3_DIGEST);
  int32_t rc = setting_text(s, &sources, S3_ENDPOINT, s->endpoint, sizeof(s->endpoint), err);

  if (rc == OME_OK)
    rc = setting_text(s, &sources, S3_REGION, region, sizeof(region), err);
  if (rc == OME_OK)
    rc = setting_text(s, &sources, S3_STYLE, style, sizeof(style), err);
  if (rc != OME_OK)
    return rc;
  if (*style && s3_style_parse(style, &s->style) != 0)
    return ome_fail(err, OME_E_INVALID, "s3: addressing_style is none of auto, path, virtual");
  (void)snprintf(s->payer, sizeof(s->payer), "%s", payer ? payer : "");
  s->wants_digest = !digest || strcmp(digest, "none") != 0;
  return s3_session_move(s, *s->uri.region ? s->uri.region : *region ? region : "us-east-1", err);
}

int32_t s3_session_open(struct s3 *s3, const struct ome_call *call, const struct ome_model_ref *ref,
                        struct s3_session **out, struct ome_err *err) {
  struct s3_session *s = calloc(1, sizeof(*s));
  int32_t rc = OME_OK;

  *out = s;
  if (!s)
    return ome_fail(err, OME_E_NO_MEMORY, "s3: out of memory");
  s->s3 = s3;
  s->call = call;
  s->ref = ref;
  if (s3_uri_parse(ref->uri, &s->uri) != 0)
    return ome_fail(err, OME_E_INVALID, "s3: \"%.200s\" is not s3://BUCKET[@REGION]/KEY[?versionId=VERSION]",
                    ref->uri ? ref->uri : "");
  if (ref->revision && *ref->revision)
    (void)snprintf(s->uri.version, sizeof(s->uri.version), "%s", ref->revision);
  rc = find_where(s, err);
  return rc == OME_OK ? s3_session_renew(s, err) : rc;
}

void s3_session_close(struct s3_session *s) {
  if (s)
    explicit_bzero(s, sizeof(*s));
  free(s);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

uint64_t s3_headers(const struct s3_session *s, const char *sha256, struct ome_kv out[S3_HEADERS]) {
  uint64_t n = 0;

  if (*s->payer)
    out[n++] = (struct ome_kv){"x-amz-request-payer", s->payer};
  if (!*s->who.access_key)
    return n;
  /* Part of the signature, and libcurl 7.88 takes it from here. */
  out[n++] = (struct ome_kv){"x-amz-content-sha256", sha256};
  out[n++] = (struct ome_kv){OME_REQUEST_SIGV4, s->scope};
  out[n++] = (struct ome_kv){OME_REQUEST_CREDENTIALS, s->pair};
  if (*s->who.session_token)
    out[n++] = (struct ome_kv){"x-amz-security-token", s->who.session_token};
  return n;
}

int32_t s3_ask(const struct s3_session *s, const char *method, const char *url, const struct ome_kv *extra,
               struct http_answer *a, struct ome_err *err) {
  struct ome_kv headers[S3_HEADERS + 1];
  uint64_t n = s3_headers(s, S3_SHA256_OF_NOTHING, headers);

  if (extra)
    headers[n++] = *extra;
  const struct ome_http_req req = {.struct_size = sizeof(req),
                                   .flags = OME_HTTP_NO_REDIRECT, /* to another region: signed anew, by us */
                                   .method = method,
                                   .url = url,
                                   .headers = headers,
                                   .nheaders = n,
                                   .max_body = (uint64_t)16 << 20};
  return http_perform(s->s3->host, s->call, &req, a, err);
}

/* By how much the server's clock is before ours; 0: not known. */
static int64_t skew_of(const struct http_answer *a) {
  const char *date = http_answer_header(a, "date");
  struct tm tm = {0};

  if (!date || !strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm))
    return 0;
  return (int64_t)timegm(&tm) - (int64_t)time(NULL);
}

int32_t s3_refused(const struct s3_session *s, const struct http_answer *a, const char *object, struct ome_err *err) {
  char code[80], message[200], what[600], why[300], clock[120];
  int anonymous = !*s->who.access_key;

  (void)xml_text(a->body, a->len, "Error/Code", code, sizeof(code));
  (void)xml_text(a->body, a->len, "Error/Message", message, sizeof(message));
  const char *advice = s3_advice(*code ? code : a->status == 403 ? "AccessDenied" : "", anonymous);
  if (strcmp(code, "RequestTimeTooSkewed") == 0 && skew_of(a) != 0) {
    (void)snprintf(clock, sizeof(clock), "the clock of this machine is %lld s %s the server's; set it (NTP)",
                   (long long)llabs(skew_of(a)), skew_of(a) > 0 ? "behind" : "before");
    advice = clock;
  }
  if (object)
    (void)snprintf(what, sizeof(what), "s3: s3://%s/%.300s", s->uri.bucket, object);
  else
    (void)snprintf(what, sizeof(what), "s3: %s", s->ref->uri);
  (void)snprintf(why, sizeof(why), "%s%s%s", code, *code && *message ? ": " : "", message);
  return http_refused(a, what, *why ? why : NULL, advice, err);
}
