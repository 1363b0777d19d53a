#include "http.h"

#include <ome-sdk/error.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- answers ----------------------------------------------------------------------------------------------------- */

void http_answer_fini(struct http_answer *a) {
  for (uint32_t i = 0; i < a->nheaders; i++) {
    free((char *)(uintptr_t)a->headers[i].key);
    free((char *)(uintptr_t)a->headers[i].value);
  }
  free(a->headers);
  free(a->body);
  memset(a, 0, sizeof(*a));
}

const char *http_answer_header(const struct http_answer *a, const char *name) {
  for (uint32_t i = 0; i < a->nheaders; i++)
    if (strcasecmp(a->headers[i].key, name) == 0)
      return a->headers[i].value;
  return NULL;
}

/* What Retry-After asks for (RFC 9110 §10.2.3, seconds), in milliseconds; 0: nothing. */
static uint32_t retry_ms(const struct http_answer *a) {
  const char *text = http_answer_header(a, "retry-after");
  long seconds = text ? strtol(text, NULL, 10) : 0;

  return seconds > 0 && seconds < 86400 ? (uint32_t)seconds * 1000 : 0;
}

static int32_t on_head(struct ome_http_sink *s, int32_t status, const struct ome_kv *headers, uint32_t nheaders) {
  struct http_answer *a = s->ctx;

  a->status = status;
  a->headers = calloc(nheaders ? nheaders : 1, sizeof(*a->headers));
  if (!a->headers)
    return OME_E_NO_MEMORY;
  for (uint32_t i = 0; i < nheaders; i++) {
    a->headers[i] = (struct ome_kv){strdup(headers[i].key), strdup(headers[i].value)};
    a->nheaders = i + 1;
    if (!a->headers[i].key || !a->headers[i].value)
      return OME_E_NO_MEMORY;
  }
  return OME_OK;
}

static int32_t on_body(struct ome_http_sink *s, const void *data, uint64_t len) {
  struct http_answer *a = s->ctx;

  if (len > a->max_body - a->len)
    return OME_E_INVALID;
  char *grown = realloc(a->body, a->len + (size_t)len + 1);
  if (!grown)
    return OME_E_NO_MEMORY;
  a->body = grown;
  memcpy(a->body + a->len, data, (size_t)len);
  a->len += (size_t)len;
  a->body[a->len] = '\0';
  return OME_OK;
}

/* The host's service; NULL where it has none. */
static const struct ome_http_service *service_of(const struct ome_host *host) {
  return host && OME_HAS(ome_host, host, service) ? host->service(host, OME_SERVICE_HTTP) : NULL;
}

int32_t http_perform(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                     struct http_answer *a, struct ome_err *err) {
  const struct ome_http_service *http = service_of(host);
  struct ome_http_sink sink = {.struct_size = sizeof(sink), .ctx = a, .head = on_head, .body = on_body};

  http_answer_fini(a);
  a->max_body = req->max_body ? req->max_body : HTTP_MAX_ANSWER;
  if (!http)
    return ome_fail(err, OME_E_UNSUPPORTED, "this host offers no %s", OME_SERVICE_HTTP);
  return http->perform(host, call, req, &sink, err);
}

struct taking {
  struct http_answer *a;
  http_take *take;
  void *arg;
  int32_t rc; /* of TAKE, and its ERR */
  struct ome_err err;
};

static int32_t take_head(struct ome_http_sink *s, int32_t status, const struct ome_kv *headers, uint32_t nheaders) {
  struct ome_http_sink plain = {.ctx = ((struct taking *)s->ctx)->a};

  return on_head(&plain, status, headers, nheaders);
}

static int32_t take_body(struct ome_http_sink *s, const void *data, uint64_t len) {
  struct taking *t = s->ctx;
  struct ome_http_sink plain = {.ctx = t->a};

  if (t->a->status != 200 && t->a->status != 206)
    return on_body(&plain, data, len);
  t->rc = t->take(t->arg, data, (size_t)len, &t->err);
  return t->rc;
}

int32_t http_perform_to(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                        struct http_answer *a, http_take *take, void *arg, struct ome_err *err) {
  const struct ome_http_service *http = service_of(host);
  struct taking t = {.a = a, .take = take, .arg = arg};
  struct ome_http_sink sink = {.struct_size = sizeof(sink), .ctx = &t, .head = take_head, .body = take_body};

  http_answer_fini(a);
  a->max_body = req->max_body ? req->max_body : HTTP_MAX_ANSWER;
  if (!http)
    return ome_fail(err, OME_E_UNSUPPORTED, "this host offers no %s", OME_SERVICE_HTTP);
  int32_t rc = http->perform(host, call, req, &sink, err);
  if (t.rc != OME_OK) {
    *err = t.err;
    rc = t.rc;
  }
  return rc;
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static const struct {
  int32_t first, last, code;
  const char *advice;
} classes[] = {
    {401, 401, OME_E_DENIED, "credentials are missing or not valid"},
    {403, 403, OME_E_DENIED, "these credentials may not read it, or it is not there"},
    {404, 404, OME_E_NOT_FOUND, "there is no such thing; check the name"},
    {408, 408, OME_E_UNAVAILABLE, "the server was too slow, try again later"},
    {409, 412, OME_E_CONFLICT, "it was changed meanwhile"},
    {429, 429, OME_E_BUSY, "the server limits the rate, try again later"},
    {300, 499, OME_E_INVALID, "check the address"},
    {500, 599, OME_E_UNAVAILABLE, "the server is in trouble, try again later"},
};

int32_t http_refused(const struct http_answer *a, const char *what, const char *why, const char *advice,
                     struct ome_err *err) {
  int32_t code = OME_E_UNAVAILABLE;
  const char *usual = "check the address";

  for (size_t i = sizeof(classes) / sizeof(*classes); i-- > 0;)
    if (a->status >= classes[i].first && a->status <= classes[i].last) {
      code = classes[i].code;
      usual = classes[i].advice;
    }
  (void)ome_fail(err, code, "%.200s: the server answered %d%s%.120s%s; %s", what, (int)a->status, why ? " (" : "",
                 why ? why : "", why ? ")" : "", advice ? advice : usual);
  err->retry_after_ms = retry_ms(a);
  return code;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

int uri_encode(const char *text, int keep_slash, char *out, size_t size) {
  static const char hex[] = "0123456789ABCDEF";
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  size_t n = 0;

  for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
    if (n + 4 > size)
      return -1;
    if (strchr(plain, *p) || (*p == '/' && keep_slash)) {
      out[n++] = (char)*p;
    } else {
      out[n++] = '%';
      out[n++] = hex[*p >> 4];
      out[n++] = hex[*p & 15];
    }
  }
  if (n >= size)
    return -1;
  out[n] = '\0';
  return 0;
}

static int hex_value(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                : -1;
}

int uri_decode(char *text, int plus) {
  char *out = text;

  for (const char *p = text; *p; p++) {
    if (*p != '%') {
      *out++ = plus && *p == '+' ? ' ' : *p;
      continue;
    }
    int high = hex_value(p[1]), low = high < 0 ? -1 : hex_value(p[2]);
    if (low < 0 || (high == 0 && low == 0))
      return -1;
    *out++ = (char)(high << 4 | low);
    p += 2;
  }
  *out = '\0';
  return 0;
}

void form_add(struct ome_text *form, const char *name, const char *value) {
  if (!value || !*value)
    return;
  ome_text_add(form, form->len ? "&" : "");
  ome_text_add(form, name);
  ome_text_add(form, "=");
  ome_text_add_url(form, value);
}

int uri_is_below(const char *url, const char *base) {
  size_t n = strlen(base);

  return strncmp(url, base, n) == 0 && (url[n] == '/' || url[n] == '?' || url[n] == '\0');
}

const char *kv_text(const struct ome_kv *kv, uint64_t n, const char *key) {
  for (uint64_t i = 0; i < n; i++)
    if (kv[i].key && kv[i].value && *kv[i].value && strcmp(kv[i].key, key) == 0)
      return kv[i].value;
  return NULL;
}

int32_t kv_push(struct ome_kv_sink *out, const struct ome_kv *kv, uint64_t n, struct ome_err *err) {
  for (uint64_t i = 0; i < n; i++) {
    int32_t rc = out->kv(out, kv[i].key, kv[i].value);
    if (rc != OME_OK)
      return ome_sink_failed(err, rc);
  }
  return OME_OK;
}

const char *kv_any(const struct ome_kv *kv, uint64_t n, const char *const *names) {
  for (; *names; names++)
    for (uint64_t i = 0; i < n; i++)
      if (kv[i].key && kv[i].value && *kv[i].value && strcasecmp(kv[i].key, *names) == 0)
        return kv[i].value;
  return NULL;
}
