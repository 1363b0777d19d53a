#include "azure_uri.h"

#include "../common/http.h"
#include "../common/text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- the model's address ----------------------------------------------------------------------------------------- */

static const char *const suffixes[] = {"core.windows.net", "core.chinacloudapi.cn", "core.usgovcloudapi.net"};

/* "ACCOUNT" or "ACCOUNT.blob.SUFFIX". */
static int take_account(const char *host, size_t len, struct azure_uri *u) {
  const char *dot = memchr(host, '.', len);
  size_t n = dot ? (size_t)(dot - host) : len;

  if (text_copy(u->account, sizeof(u->account), host, n) != 0 || n < 3 ||
      strspn(u->account, "abcdefghijklmnopqrstuvwxyz0123456789") != n)
    return -1;
  for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
    char host_of[96];
    (void)snprintf(host_of, sizeof(host_of), ".blob.%s", suffixes[i]);
    if (strlen(host_of) == len - n && memcmp(host_of, dot, len - n) == 0)
      return text_copy(u->suffix, sizeof(u->suffix), suffixes[i], strlen(suffixes[i]));
  }
  return dot ? -1 : 0;
}

static int is_container(const char *name) {
  size_t n = strlen(name);

  return strcmp(name, "$root") == 0 || strcmp(name, "$web") == 0 ||
         (n >= 3 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && name[0] != '-');
}

int azure_is_time(const char *text) {
  size_t n = strlen(text);

  return n >= 20 && n < 40 && strspn(text, "0123456789-:.TZ") == n && text[n - 1] == 'Z';
}

/* Where "?snapshot=" or "?versionid=" begins; the end where there is none: names may have a '?' of their own. */
static const char *version_at(const char *name) {
  const char *mark = strrchr(name, '?');

  if (mark && (strncmp(mark, "?snapshot=", 10) == 0 || strncmp(mark, "?versionid=", 11) == 0) &&
      azure_is_time(strchr(mark, '=') + 1))
    return mark;
  return name + strlen(name);
}

int azure_uri_parse(const char *uri, struct azure_uri *out) {
  struct azure_uri u = {.is_folder = 0};

  if (!uri || strncmp(uri, "az://", 5) != 0)
    return -1;
  const char *host = uri + 5, *container = host + strcspn(host, "/");
  if (take_account(host, (size_t)(container - host), &u) != 0 || *container != '/')
    return -1;
  container++;
  const char *name = container + strcspn(container, "/");
  if (text_copy(u.container, sizeof(u.container), container, (size_t)(name - container)) != 0)
    return -1;
  name += *name == '/';
  const char *version = version_at(name);
  size_t len = (size_t)(version - name);
  if (text_copy(u.name, sizeof(u.name), name, len) != 0 ||
      text_copy(u.version, sizeof(u.version), version + (*version == '?'), strlen(version + (*version == '?'))) != 0)
    return -1;
  for (; len && u.name[len - 1] == '/'; u.is_folder = 1)
    u.name[--len] = '\0';
  if (!is_container(u.container) || text_has_control(u.name))
    return -1;
  *out = u;
  return 0;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

int azure_endpoint(const char *endpoint, const char *account, char *out, size_t size) {
  static const char mark[] = "{account}";
  const char *at = strstr(endpoint, mark);
  int n = at ? snprintf(out, size, "%.*s%s%s", (int)(at - endpoint), endpoint, account, at + sizeof(mark) - 1)
             : snprintf(out, size, "%s", endpoint);

  if (n <= 0 || (size_t)n >= size || strpbrk(out, "?#@ \\\"{}") || text_has_control(out))
    return -1;
  size_t scheme = strncmp(out, "https://", 8) == 0 ? 8 : strncmp(out, "http://", 7) == 0 ? 7 : 0, len = strlen(out);
  while (len > scheme && out[len - 1] == '/')
    out[--len] = '\0';
  return scheme && len > scheme && out[scheme] != '/' ? 0 : -1;
}

int azure_blob_url(const char *endpoint, const char *container, const char *name, const char *version, char *out,
                   size_t size) {
  int n = snprintf(out, size, "%s/%s%s", endpoint, container, *name ? "/" : "");

  if (n < 0 || (size_t)n >= size || uri_encode(name, 1, out + n, size - (size_t)n) != 0)
    return -1;
  size_t len = strlen(out);
  n = snprintf(out + len, size - len, "%s%s", *version ? "?" : "", version);
  return n >= 0 && (size_t)n < size - len ? 0 : -1;
}

int azure_with_query(const char *url, const char *query, char *out, size_t size) {
  int n = snprintf(out, size, "%s%s%s", url, !*query ? "" : strchr(url, '?') ? "&" : "?", query);

  return n >= 0 && (size_t)n < size ? 0 : -1;
}

/* ---- connection strings ------------------------------------------------------------------------------------------ */

/* Azure's own host from "EndpointSuffix", where no "BlobEndpoint" says it. */
static int complete(struct azure_connection *c, const char *suffix) {
  if (!*c->endpoint && *suffix) {
    int n = snprintf(c->endpoint, sizeof(c->endpoint), "https://%s.blob.%s", c->account, suffix);
    if (n < 0 || (size_t)n >= sizeof(c->endpoint))
      return -1;
  }
  return (*c->key && *c->account) || *c->sas ? 0 : -1;
}

int azure_connection_parse(const char *text, struct azure_connection *out) {
  struct azure_connection c = {.account = ""};
  char suffix[128] = "";
  const struct {
    const char *name;
    char *to;
    size_t size;
  } fields[] = {{"AccountName", c.account, sizeof(c.account)},
                {"AccountKey", c.key, sizeof(c.key)},
                {"SharedAccessSignature", c.sas, sizeof(c.sas)},
                {"BlobEndpoint", c.endpoint, sizeof(c.endpoint)},
                {"EndpointSuffix", suffix, sizeof(suffix)}};

  for (const char *at = text + strspn(text, "; \t\r\n"); *at; at += strspn(at, "; \t\r\n")) {
    size_t len = strcspn(at, ";\r\n"), name = strcspn(at, "=");
    if (name >= len)
      return -1;
    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
      if (strlen(fields[i].name) == name && strncasecmp(at, fields[i].name, name) == 0 &&
          text_copy(fields[i].to, fields[i].size, at + name + 1, len - name - 1) != 0)
        return -1;
    at += len;
  }
  if (complete(&c, suffix) != 0)
    return -1;
  *out = c;
  return 0;
}
