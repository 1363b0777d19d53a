/* What storage plugins share: asking a server through the host's HTTP service, and addresses. */
#ifndef PLUGINS_COMMON_HTTP_H
#define PLUGINS_COMMON_HTTP_H

#include <ome-sdk/text.h>
#include <ome/service.h>
#include <ome/storage.h>

#include <stddef.h>

#define HTTP_MAX_ANSWER ((uint64_t)64 << 20)

/* An answer as a whole; zeroed before use. */
struct http_answer {
  int32_t status;
  uint32_t nheaders;
  struct ome_kv *headers; /* names in lower case */
  char *body;             /* NUL-terminated; NULL: empty */
  size_t len;
  uint64_t max_body;
};
void http_answer_fini(struct http_answer *a);
/* NULL: absent. */
const char *http_answer_header(const struct http_answer *a, const char *name);

/* Performs REQ; any status is OME_OK.  A is emptied first and the caller's to end, also after a failure. */
int32_t http_perform(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                     struct http_answer *a, struct ome_err *err);

/* The same, but the body of a 200 or 206 goes to TAKE as it comes, and A has none of it; a code that is not OME_OK ends
 * the request and is what is answered, TAKE has filled in ERR. */
typedef int32_t http_take(void *arg, const void *data, size_t len, struct ome_err *err);
int32_t http_perform_to(const struct ome_host *host, const struct ome_call *call, const struct ome_http_req *req,
                        struct http_answer *a, http_take *take, void *arg, struct ome_err *err);

/* The error for a status that is none of success: WHAT is "s3: s3://bucket/prefix"; ADVICE (may be NULL) replaces what
 * the class of the status suggests.  WHY (may be NULL) is the server's own word. */
int32_t http_refused(const struct http_answer *a, const char *what, const char *why, const char *advice,
                     struct ome_err *err);

/* Percent-encodes TEXT into OUT (RFC 3986 unreserved kept, '/' with KEEP_SLASH); -1: does not fit. */
int uri_encode(const char *text, int keep_slash, char *out, size_t size);

/* Undoes percent-encoding in place, with PLUS also of ' ' as '+' (forms).  -1: not encoded, or it holds a NUL. */
int uri_decode(char *text, int plus);

/* Adds NAME=VALUE to a form (application/x-www-form-urlencoded); nothing where VALUE is NULL or "". */
void form_add(struct ome_text *form, const char *name, const char *value);

/* Whether URL is below the origin and path BASE (without trailing '/'): credentials for BASE may go there. */
int uri_is_below(const char *url, const char *base);

/* The value of KEY when it is set to more than "". */
const char *kv_text(const struct ome_kv *kv, uint64_t n, const char *key);
/* Pushes N pairs; what the sink answers when it takes no more. */
int32_t kv_push(struct ome_kv_sink *out, const struct ome_kv *kv, uint64_t n, struct ome_err *err);
/* The value of the first of NAMES, which NULL ends, that is set, in any case of letters. */
const char *kv_any(const struct ome_kv *kv, uint64_t n, const char *const *names);

#endif
