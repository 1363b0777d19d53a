/* Held requests: a list in the order they came, each with the time it may wait. */
#include "gateway/hold.h"

#include "base/str.h"
#include "gateway/refuse.h"

#include <stdio.h>
#include <string.h>

#define HELD_MAX 1024 /* each holds a connection and its head; beyond, clients are told to come again */

struct held {
  struct gateway_core *g;
  struct held *next, *prev;
  struct http_exchange *x;
  struct match match; /* the table may have changed: its names count */
  char wakes[64];
  struct loop_timer *timer;
};

static void held_free(struct held *h) {
  if (h->timer)
    loop_timer_free(h->timer);
  if (h->next)
    h->next->prev = h->prev;
  else
    h->g->held_last = h->prev;
  if (h->prev)
    h->prev->next = h->next;
  else
    h->g->held = h->next;
  h->g->nheld--;
  free(h);
}

static void on_gone(void *arg, struct http_exchange *x UNUSED) {
  held_free(arg);
}

/* Lets go of H; its exchange is somebody else's now. */
static struct http_exchange *let_go(struct held *h) {
  struct http_exchange *x = h->x;

  http_on_close(x, NULL, NULL);
  held_free(h);
  return x;
}

static struct route *route_of(const struct held *h) {
  char key[132];

  (void)snprintf(key, sizeof(key), "%s.%s", h->match.name, h->match.ns);
  return strmap_get(h->g->table.routes, key);
}

static void on_timeout(void *arg) {
  struct held *h = arg;
  struct route *route = route_of(h);
  char message[1024];

  (void)snprintf(message, sizeof(message), "service %s in namespace %s did not become ready within %d s: %s",
                 h->match.name, h->match.ns, HELD_MS / 1000, route ? route->why : "it is gone");
  refuse(let_go(h), 504, "service_unavailable", "service_not_ready", message);
}

void hold(struct gateway_core *g, struct http_exchange *x, const struct match *match) {
  struct held *h = g->nheld < HELD_MAX ? calloc(1, sizeof(*h)) : NULL;
  char message[256];

  if (!h || !(h->timer = loop_timer_new(g->loop, HELD_MS, false, on_timeout, h))) {
    free(h);
    (void)snprintf(message, sizeof(message), "service %s in namespace %s has no replica yet, and %zu requests wait",
                   match->name, match->ns, g->nheld);
    refuse(x, 503, "service_unavailable", "too_many_waiting", message);
    return;
  }
  h->g = g;
  h->x = x;
  h->match = *match;
  (void)snprintf(h->wakes, sizeof(h->wakes), "%s", match->route->wakes);
  h->match.route = NULL;
  h->prev = g->held_last;
  if (h->prev)
    h->prev->next = h;
  else
    g->held = h;
  g->held_last = h;
  g->nheld++;
  http_on_close(x, on_gone, h);
  if (g->on_demand)
    g->on_demand(g->demand_arg, h->match.ns, h->wakes);
}

void held_release(struct gateway_core *g) {
  for (struct held *h = g->held, *next; h; h = next) {
    struct route *route = route_of(h);
    struct match match = h->match;
    next = h->next;
    if (route && !route->nbackends && route->wakes)
      continue;
    struct http_exchange *x = let_go(h);
    match.route = route;
    if (route && route->nbackends)
      stream_start(g, x, &match);
    else
      refuse(x, 503, "service_unavailable", "service_not_ready", "the service went while the request waited for it");
  }
}

size_t held_count(const struct gateway_core *g, const char *ns, const char *name) {
  size_t n = 0;

  for (const struct held *h = g->held; h; h = h->next)
    n += streq(h->match.ns, ns) && streq(h->wakes, name);
  return n;
}

void held_end(struct gateway_core *g) {
  while (g->held)
    http_abort(let_go(g->held));
}
