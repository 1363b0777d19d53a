#include "oci_session.h"

#include <ome-sdk/error.h>

#include "oci_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKEW_SECONDS 300 /* that the service tolerates */
#define SIGNED_MS 240000 /* after which a request is signed anew */

/* ---- where ------------------------------------------------------------------------------------------------------- */

static int32_t find_endpoint(struct oci_session *s, struct ome_err *err) {
  const char *region = s->at.region, *domain = getenv("OCI_DEFAULT_REALM");
  const char *choices[] = {kv_text(s->ref->params, s->ref->nparams, "region"), s->oci->region, s->who.region,
                           getenv("OCI_REGION"), getenv("OCI_CLI_REGION")};

  if (s->oci->endpoint) {
    (void)snprintf(s->endpoint, sizeof(s->endpoint), "%s", s->oci->endpoint);
    return OME_OK;
  }
  for (size_t i = 0; !*region && i < sizeof(choices) / sizeof(choices[0]); i++)
    region = choices[i] ? choices[i] : "";
  if (!*region)
    return ome_fail(
        err, OME_E_INVALID,
        "oci: %s: no region; say it in the address (NAMESPACE@REGION), the parameter `region` or OCI_REGION", s->name);
  region = oci_region_of(region);
  if (!oci_region_is_name(region))
    return ome_fail(err, OME_E_INVALID, "oci: %s: \"%.60s\" is no region", s->name, region);
  domain = oci_domain_of(region, *s->who.domain ? s->who.domain : domain);
  (void)snprintf(s->endpoint, sizeof(s->endpoint), "https://objectstorage.%s.%.200s", region, domain);
  return OME_OK;
}

int32_t oci_session_init(struct oci_session *s, struct ome_err *err) {
  if (oci_uri_parse(s->ref->uri, &s->at) != 0)
    return ome_fail(
        err, OME_E_INVALID,
        "oci: \"%.200s\" is none of oci://n/NAMESPACE/b/BUCKET/o/PREFIX, oci://NAMESPACE@REGION/BUCKET/PREFIX, "
        "oci://BUCKET/PREFIX",
        s->ref->uri ? s->ref->uri : "");
  (void)snprintf(s->name, sizeof(s->name), "%s%s%s", s->at.ns, *s->at.ns ? "/" : "", s->at.bucket);
  int32_t rc = oci_identify(s->oci, s->call, s->ref, &s->who, err);
  return rc == OME_OK ? find_endpoint(s, err) : rc;
}

void oci_session_fini(struct oci_session *s) {
  oci_identity_fini(&s->who);
}

int32_t oci_session_find(struct oci_session *s, struct ome_err *err) {
  struct http_answer a = {0};
  char url[420], ns[400], bucket[800];
  int32_t rc = OME_OK;

  if (!*s->at.ns) { /* GetNamespace: of the caller's tenancy */
    (void)snprintf(url, sizeof(url), "%s/n", s->endpoint);
    rc = oci_ask(s, "GET", url, &a, err);
    if (rc == OME_OK && a.status != 200)
      rc = oci_refused(s, &a, "the tenancy's namespace", err);
    if (rc == OME_OK && oci_word_read(a.body, a.len, NULL, s->at.ns, sizeof(s->at.ns)) != 0)
      rc = ome_fail(err, OME_E_UNAVAILABLE,
                    "oci: %s: the server names no namespace; check that the endpoint is Object Storage", s->name);
    http_answer_fini(&a);
  }
  if (rc != OME_OK)
    return rc;
  (void)snprintf(s->name, sizeof(s->name), "%s/%s", s->at.ns, s->at.bucket);
  if (uri_encode(s->at.ns, 0, ns, sizeof(ns)) != 0 || uri_encode(s->at.bucket, 0, bucket, sizeof(bucket)) != 0)
    return ome_fail(err, OME_E_INVALID, "oci: %s: the name is too long", s->name);
  int n = snprintf(s->bucket, sizeof(s->bucket), "%s/n/%s/b/%s", s->endpoint, ns, bucket);
  return n > 0 && (size_t)n < sizeof(s->bucket)
             ? OME_OK
             : ome_fail(err, OME_E_INVALID, "oci: %s: the name is too long", s->name);
}

int oci_object_url(const struct oci_session *s, const char *folder, const char *name, char *out, size_t size) {
  int n = snprintf(out, size, "%s/%s/", s->bucket, folder);

  return n > 0 && (size_t)n < size ? uri_encode(name, 0, out + n, size - (size_t)n) : -1;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

int32_t oci_session_sign(struct oci_session *s, const char *method, const char *url, const char *body,
                         struct oci_signed *out, struct ome_err *err) {
  const struct oci_request r = {method, url, body, body ? strlen(body) : 0, 0};

  return oci_sign(&r, s->who.key_id, s->who.key, time(NULL), out) == 0
             ? OME_OK
             : ome_fail(err, OME_E_INVALID, "oci: %s: the request cannot be signed", s->name);
}

uint64_t oci_session_life_ms(const struct oci_session *s) {
  time_t now = time(NULL);
  uint64_t left = s->who.fresh_until > now ? (uint64_t)(s->who.fresh_until - now) * 1000 : 500;

  return left < SIGNED_MS ? left : SIGNED_MS;
}

int32_t oci_ask(struct oci_session *s, const char *method, const char *url, struct http_answer *a,
                struct ome_err *err) {
  struct oci_signed *signature = malloc(sizeof(*signature));
  int32_t rc = signature ? oci_session_sign(s, method, url, NULL, signature, err)
                         : ome_fail(err, OME_E_NO_MEMORY, "oci: out of memory");

  if (rc == OME_OK) {
    const struct ome_http_req req = {.struct_size = sizeof(req),
                                     .flags = OME_HTTP_NO_REDIRECT,
                                     .method = method,
                                     .url = url,
                                     .headers = signature->headers,
                                     .nheaders = signature->n};
    rc = http_perform(s->oci->host, s->call, &req, a, err);
  }
  free(signature);
  return rc;
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static const struct {
  const char *code, *advice;
} advices[] = {
    {"NotAuthenticated", "check the key, its fingerprint, the user, and that the key was uploaded for this user"},
    {"BucketNotFound", "there is no such bucket in this namespace and region, or no policy lets you read it"},
    {"BucketNotFoundOrUnauthorized",
     "there is no such bucket in this namespace and region, or no policy lets you read it"},
    {"NamespaceNotFound", "there is no such namespace; leave it out to use your tenancy's"},
    {"NotAuthorizedOrNotFound", "it is not there, or no policy lets you read it"},
    {"ObjectNotFound", "there is no such object; check the name"},
    {"TooManyRequests", "the service limits the rate, try again later"},
};

/* How far the server's clock is from ours, in seconds; 0 where it does not say. */
static long skew_of(const struct http_answer *a) {
  const char *date = http_answer_header(a, "date");
  struct tm t = {0};

  return date && strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &t) ? (long)(time(NULL) - timegm(&t)) : 0;
}

int32_t oci_refused(const struct oci_session *s, const struct http_answer *a, const char *what, struct ome_err *err) {
  char name[900], why[200], code[64], clock[120];
  const char *advice = NULL;
  long skew = a->status == 401 ? skew_of(a) : 0;

  oci_error_read(a->body, a->len, why, sizeof(why), code);
  for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
    if (strcmp(advices[i].code, code) == 0)
      advice = advices[i].advice;
  if (skew > SKEW_SECONDS || skew < -SKEW_SECONDS) {
    (void)snprintf(clock, sizeof(clock), "this machine's clock is %ld s %s; set it, 5 minutes are tolerated",
                   skew > 0 ? skew : -skew, skew > 0 ? "ahead" : "behind");
    advice = clock;
  }
  (void)snprintf(name, sizeof(name), "oci: %s: %.200s", s->name, what);
  return http_refused(a, name, *why ? why : NULL, advice, err);
}
