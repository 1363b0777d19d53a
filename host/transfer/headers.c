#include "transfer/headers.h"

#include "base/str.h"

#include <string.h>

void request_headers_fini(struct request_headers *h) {
  for (size_t i = 0; i < h->n; i++)
    free(h->lines[i]);
  free(h->url);
  free(h->sigv4);
  free(h->credentials);
  free(h->ca_file);
  free(h->cert_file);
  free(h->key_file);
  memset(h, 0, sizeof(*h));
}

/* Where the value of directive KEY is kept; NULL: not one of these. */
static char **slot_of(struct request_headers *h, const char *key) {
  const struct {
    const char *key;
    char **slot;
  } slots[] = {
      {OME_REQUEST_URL, &h->url},    {OME_REQUEST_SIGV4, &h->sigv4},    {OME_REQUEST_CREDENTIALS, &h->credentials},
      {OME_REQUEST_CA, &h->ca_file}, {OME_REQUEST_CERT, &h->cert_file}, {OME_REQUEST_KEY, &h->key_file}};

  for (size_t i = 0; i < ARRAY_LEN(slots); i++)
    if (streq(slots[i].key, key))
      return slots[i].slot;
  return NULL;
}

static int32_t add_directive(struct request_headers *h, const char *key, const char *value, struct ome_err *err) {
  char **slot = slot_of(h, key);

  if (slot) {
    free(*slot);
    *slot = strdup(value);
    return *slot ? OME_OK : fail_memory(err);
  }
  if (streq(key, OME_REQUEST_EXPIRES) && str_to_u64(value, &h->expires_ms))
    return OME_OK;
  return fail(err, OME_E_INVALID, "http: \"%.60s\" is no directive of this host, or its value is none", key);
}

int32_t request_headers_add(struct request_headers *h, const char *key, const char *value, struct ome_err *err) {
  if (!key || !value || strpbrk(key, "\r\n ") || strpbrk(value, "\r\n"))
    return fail(err, OME_E_INVALID, "http: request header %zu is not one line", h->n);
  if (key[0] == ':')
    return add_directive(h, key, value, err);
  if (strchr(key, ':') || !*key)
    return fail(err, OME_E_INVALID, "http: request header %zu has no proper name", h->n);
  if (h->n == REQUEST_HEADERS_MAX)
    return fail(err, OME_E_INVALID, "http: more than %u request headers", REQUEST_HEADERS_MAX);
  /* libcurl leaves out a header without a value unless it ends so. */
  h->lines[h->n] = *value ? str_printf("%s: %s", key, value) : str_printf("%s;", key);
  return h->lines[h->n] ? (h->n++, OME_OK) : fail_memory(err);
}

int32_t request_headers_add_all(struct request_headers *h, const struct ome_kv *pairs, uint64_t n,
                                struct ome_err *err) {
  int32_t rc = OME_OK;

  for (uint64_t i = 0; rc == OME_OK && i < n; i++)
    rc = request_headers_add(h, pairs[i].key, pairs[i].value, err);
  return rc;
}

bool answer_headers_split(struct answer_headers *h, char *text) {
  for (char *line = text; line && *line;) {
    char *end = strchr(line, '\n'), *colon = strstr(line, ": ");
    if (!end)
      break;
    *end = '\0';
    if (colon && colon < end) {
      *colon = '\0';
      if (!VEC_PUSH(&h->pairs, ((struct ome_kv){line, colon + 2})))
        return false;
    }
    line = end + 1;
  }
  return true;
}
