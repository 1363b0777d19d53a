/* The route table. */
#include "gateway/table.h"

#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Below these a host is NAME.NAMESPACE. */
static const char *const domains[] = {".localhost", ".svc.cluster.local", ".svc", ""};

static void route_free(void *arg) {
  struct route *r = arg;

  free(r->ns);
  free(r->name);
  free(r->why);
  free(r->wakes);
  free(r);
}

bool table_init(struct table *t) {
  t->routes = strmap_new(route_free);
  t->backends = strmap_new(free);
  return t->routes && t->backends;
}

void table_fini(struct table *t) {
  if (t->routes)
    strmap_free(t->routes);
  if (t->backends)
    strmap_free(t->backends);
}

/* The backend with ADDRESS, made when absent. */
static struct backend *backend_get(struct table *t, const char *address) {
  struct backend *b = strmap_get(t->backends, address);

  if (b)
    return b;
  b = calloc(1, sizeof(*b));
  if (!b)
    return NULL;
  (void)snprintf(b->address, sizeof(b->address), "%s", address);
  if (strmap_put(t->backends, address, b))
    return b;
  free(b);
  return NULL;
}

static bool add_backends(struct table *t, struct route *r, const char *list) {
  _cleanup_free_ char **parts = str_split(list, ',');

  for (size_t i = 0; parts && parts[i] && r->nbackends < BACKENDS_MAX; i++) {
    struct backend *b = *parts[i] ? backend_get(t, parts[i]) : NULL;
    if (*parts[i] && !b)
      return false;
    if (b)
      r->backends[r->nbackends++] = b;
  }
  return parts != NULL;
}

static struct route *route_new(struct table *t, const struct gateway_route *from) {
  struct route *r = calloc(1, sizeof(*r));

  if (!r)
    return NULL;
  r->ns = strdup(from->ns);
  r->name = strdup(from->name);
  r->why = strdup(from->not_ready_why ? from->not_ready_why : "not ready");
  r->wakes = from->wakes ? strdup(from->wakes) : NULL;
  if (r->ns && r->name && r->why && (!from->wakes || r->wakes) && (!from->backend || add_backends(t, r, from->backend)))
    return r;
  route_free(r);
  return NULL;
}

/* Backends that no route names and no request uses any more. */
static void drop_unused(struct table *t) {
  for (struct strmap_iter it = strmap_first(t->backends); it.key; strmap_next(&it)) {
    bool used = ((struct backend *)it.value)->busy > 0;
    for (struct strmap_iter r = strmap_first(t->routes); r.key && !used; strmap_next(&r)) {
      const struct route *route = r.value;
      for (size_t i = 0; i < route->nbackends && !used; i++)
        used = route->backends[i] == it.value;
    }
    if (!used)
      (void)strmap_del(t->backends, it.key);
  }
}

int32_t table_set(struct table *t, const struct gateway_route *routes, size_t n, struct ome_err *err) {
  struct strmap *next = strmap_new(route_free);

  if (!next)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++) {
    _cleanup_free_ char *key = str_printf("%s.%s", routes[i].name, routes[i].ns);
    struct route *r = key ? route_new(t, &routes[i]) : NULL;
    if (!r || !strmap_put(next, key, r)) {
      if (r)
        route_free(r);
      strmap_free(next);
      return fail_memory(err);
    }
  }
  strmap_free(t->routes);
  t->routes = next;
  drop_unused(t);
  return OME_OK;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

/* HOST in lower case without its port and a final dot; false when it does not fit. */
static bool plain_host(const char *host, char *out, size_t size) {
  size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

  if (n >= size || n > strlen(host))
    return false;
  for (size_t i = 0; i < n; i++)
    out[i] = (char)tolower((unsigned char)host[i]);
  while (n && out[n - 1] == '.')
    n--;
  out[n] = '\0';
  return true;
}

static bool take_label(char *out, size_t size, const char *from, size_t len) {
  if (!len || len >= size)
    return false;
  memcpy(out, from, len);
  out[len] = '\0';
  return true;
}

static struct route *find(const struct table *t, const struct match *m) {
  char key[132];

  (void)snprintf(key, sizeof(key), "%s.%s", m->name, m->ns);
  return strmap_get(t->routes, key);
}

/* NAME.NAMESPACE before one of the domains. */
static bool match_host(const struct table *t, const char *host, struct match *out) {
  for (size_t i = 0; i < ARRAY_LEN(domains); i++) {
    size_t n = strlen(host), d = strlen(domains[i]);
    if (n <= d || !has_suffix(host, domains[i]))
      continue;
    n -= d;
    const char *dot = memchr(host, '.', n);
    if (!dot || memchr(dot + 1, '.', n - (size_t)(dot + 1 - host)))
      continue;
    struct match m = {0};
    if (!take_label(m.name, sizeof(m.name), host, (size_t)(dot - host)) ||
        !take_label(m.ns, sizeof(m.ns), dot + 1, n - (size_t)(dot + 1 - host)))
      continue;
    m.route = find(t, &m);
    m.addressed = d > 0;
    if (m.route || m.addressed) {
      *out = m;
      return true;
    }
  }
  return false;
}

/* /NAMESPACE/NAME and what follows. */
static void match_path(const struct table *t, const char *path, struct match *out) {
  if (path[0] != '/')
    return;
  size_t ns = strcspn(path + 1, "/"), name = path[1 + ns] ? strcspn(path + 2 + ns, "/") : 0;
  struct match m = {0};

  if (!take_label(m.ns, sizeof(m.ns), path + 1, ns) || !take_label(m.name, sizeof(m.name), path + 2 + ns, name))
    return;
  m.route = find(t, &m);
  m.addressed = m.route != NULL;
  m.prefix_len = 2 + ns + name;
  *out = m;
}

void table_match(struct table *t, const char *host, const char *path, struct match *out) {
  char plain[256];

  *out = (struct match){0};
  if (host && plain_host(host, plain, sizeof(plain)) && match_host(t, plain, out))
    return;
  match_path(t, path, out);
}

struct backend *route_pick(struct route *r, const struct backend *avoid) {
  struct backend *best = NULL;

  for (size_t i = 0; i < r->nbackends; i++) {
    struct backend *b = r->backends[(r->next + i) % r->nbackends];
    if (b == avoid && r->nbackends > 1)
      continue;
    if (!best || b->busy < best->busy)
      best = b;
  }
  r->next++;
  return best;
}

static bool leads_to(const struct route *r, const struct backend *b) {
  for (size_t i = 0; i < r->nbackends; i++)
    if (r->backends[i] == b)
      return true;
  return false;
}

size_t table_busy(struct table *t, const char *ns, const char *name) {
  size_t n = 0;

  for (struct strmap_iter b = strmap_first(t->backends); b.key; strmap_next(&b)) {
    const struct backend *backend = b.value;
    for (struct strmap_iter it = strmap_first(t->routes); it.key; strmap_next(&it)) {
      const struct route *r = it.value;
      if (streq(r->ns, ns) && streq(r->wakes, name) && leads_to(r, backend)) {
        n += backend->busy;
        break;
      }
    }
  }
  return n;
}
