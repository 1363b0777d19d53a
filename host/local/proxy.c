/* The TCP proxy in front of services. */
#include "local/proxy.h"

#include "base/str.h"
#include "base/strmap.h"
#include "gateway/tunnel.h"
#include "local/podspec.h"
#include "net/loop.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 5
#define TRIES 3 /* targets asked for one connection */

struct door {             /* one listening port */
  struct door *next_door; /* of the same service */
  struct proxies *proxies;
  struct evconnlistener *listener;
  char address[64];
  struct strv targets;
  size_t next;
};

struct doors { /* of one service */
  struct door *first;
};

struct passage { /* one connection */
  struct proxies *proxies;
  struct passage *next, *prev;
  struct bufferevent *client, *server; /* until both are the tunnel's */
  struct tunnel *tunnel;
  struct strv targets; /* still to be tried, from AT on */
  size_t at, tries;
};

struct proxies {
  struct loop *loop;
  struct strmap *services; /* key -> struct doors */
  struct passage *passages;
};

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void passage_free(struct passage *c) {
  if (c->next)
    c->next->prev = c->prev;
  if (c->prev)
    c->prev->next = c->next;
  else
    c->proxies->passages = c->next;
  if (c->client)
    bufferevent_free(c->client);
  if (c->server)
    bufferevent_free(c->server);
  strv_fini(&c->targets);
  free(c);
}

static void on_tunnel_end(void *arg) {
  passage_free(arg);
}

static bool try_next(struct passage *c);

static void on_server_event(struct bufferevent *bev, short what, void *arg) {
  struct passage *c = arg;

  if (what & BEV_EVENT_CONNECTED) {
    struct bufferevent *client = TAKE_PTR(c->client), *server = TAKE_PTR(c->server);
    c->tunnel = tunnel_start(client, server, on_tunnel_end, c);
    if (!c->tunnel)
      passage_free(c);
    return;
  }
  bufferevent_free(bev);
  c->server = NULL;
  if (!try_next(c))
    passage_free(c);
}

static bool try_next(struct passage *c) {
  const struct timeval limit = {CONNECT_TIMEOUT_S, 0};

  while (c->tries < TRIES && c->tries < c->targets.len) {
    struct sockaddr_storage sa;
    int len = sizeof(sa), on = 1;
    const char *target = c->targets.items[(c->at + c->tries++) % c->targets.len];
    if (evutil_parse_sockaddr_port(target, (struct sockaddr *)&sa, &len) != 0)
      continue;
    c->server =
        bufferevent_socket_new(loop_base(c->proxies->loop), -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
    if (!c->server)
      return false;
    bufferevent_setcb(c->server, NULL, NULL, on_server_event, c);
    (void)bufferevent_set_timeouts(c->server, NULL, &limit);
    if (bufferevent_socket_connect(c->server, (struct sockaddr *)&sa, len) == 0) {
      (void)setsockopt(bufferevent_getfd(c->server), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return true;
    }
    bufferevent_free(c->server);
    c->server = NULL;
  }
  return false;
}

static void on_client_event(struct bufferevent *bev UNUSED, short what, void *arg) {
  if (what & BEV_EVENT_ERROR) /* an end of file is the tunnel's business, once there is one */
    passage_free(arg);
}

static void on_accept(struct evconnlistener *listener UNUSED, evutil_socket_t fd, struct sockaddr *sa UNUSED,
                      int len UNUSED, void *arg) {
  struct door *d = arg;
  struct passage *c = d->targets.len ? calloc(1, sizeof(*c)) : NULL;
  int on = 1;

  if (!c) { /* nobody is ready: refused, as nearly as a connection that is open already can be */
    const struct linger reset = {1, 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    (void)close(fd);
    return;
  }
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  c->proxies = d->proxies;
  c->next = c->proxies->passages;
  if (c->next)
    c->next->prev = c;
  c->proxies->passages = c;
  c->at = d->next++;
  for (size_t i = 0; i < d->targets.len; i++)
    (void)strv_add(&c->targets, strdup(d->targets.items[i]));
  c->client = bufferevent_socket_new(loop_base(c->proxies->loop), fd, BEV_OPT_CLOSE_ON_FREE);
  if (!c->client)
    (void)close(fd);
  if (!c->client || !try_next(c)) {
    passage_free(c);
    return;
  }
  bufferevent_setcb(c->client, NULL, NULL, on_client_event, c);
}

/* ---- listeners --------------------------------------------------------------------------------------------------- */

static void door_free(struct door *d) {
  if (d->listener)
    evconnlistener_free(d->listener);
  strv_fini(&d->targets);
  free(d);
}

static void doors_free(void *arg) {
  struct doors *doors = arg;

  for (struct door *d = doors->first, *next; d; d = next) {
    next = d->next_door;
    door_free(d);
  }
  free(doors);
}

static struct door *door_new(struct proxies *p, const char *address, struct ome_err *err) {
  struct door *d = calloc(1, sizeof(*d));
  struct sockaddr_storage sa;
  int len = sizeof(sa);

  if (!d || evutil_parse_sockaddr_port(address, (struct sockaddr *)&sa, &len) != 0) {
    free(d);
    (void)fail(err, OME_E_INVALID, "listen on %s: not an address", address);
    return NULL;
  }
  d->proxies = p;
  (void)snprintf(d->address, sizeof(d->address), "%s", address);
  d->listener = evconnlistener_new_bind(loop_base(p->loop), on_accept, d,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 1024,
                                        (struct sockaddr *)&sa, len);
  if (d->listener)
    return d;
  (void)fail_errno(err, "listen on", address);
  free(d);
  return NULL;
}

static void door_set_targets(struct door *d, struct json_object *targets) {
  strv_fini(&d->targets);
  for (size_t i = 0; i < json_len(targets); i++)
    (void)strv_add(&d->targets, strdup(json_object_get_string(json_index(targets, i))));
}

/* Takes the door with ADDRESS out of DOORS; NULL: there is none. */
static struct door *take_door(struct doors *doors, const char *address) {
  for (struct door **at = doors ? &doors->first : NULL; at && *at; at = &(*at)->next_door)
    if (streq((*at)->address, address)) {
      struct door *d = *at;
      *at = d->next_door;
      return d;
    }
  return NULL;
}

struct set_call {
  struct proxies *p;
  const char *key, *address;
  const struct proxy_port *ports;
  size_t n;
  struct ome_err *err;
  int32_t rc;
};

static void do_set(void *arg) {
  struct set_call *c = arg;
  struct doors *old = strmap_get(c->p->services, c->key), *doors = calloc(1, sizeof(*doors));

  if (!doors) {
    c->rc = fail_memory(c->err);
    return;
  }
  for (size_t i = 0; i < c->n; i++) {
    struct ome_err err = ERR_INIT;
    _cleanup_free_ char *address = str_printf("%s:%u", c->address, c->ports[i].port);
    struct door *d = address ? take_door(old, address) : NULL;
    if (!d && address)
      d = door_new(c->p, address, &err);
    if (!d && c->rc == OME_OK) {
      *c->err = err;
      c->rc = err.code ? err.code : OME_E_NO_MEMORY;
    }
    if (!d)
      continue;
    door_set_targets(d, c->ports[i].targets);
    d->next_door = doors->first;
    doors->first = d;
  }
  if (!doors->first) {
    doors_free(doors);
    (void)strmap_del(c->p->services, c->key);
  } else if (!strmap_put(c->p->services, c->key, doors))
    doors_free(doors);
}

int32_t proxies_set(struct proxies *p, const char *key, const char *address, const struct proxy_port *ports, size_t n,
                    struct ome_err *err) {
  struct set_call c = {p, key, address, ports, n, err, OME_OK};

  loop_call(p->loop, do_set, &c);
  return c.rc;
}

/* ---- life
 * ------------------------------------------------------------------------------------------------------------------------
 */

static void end_all(void *arg) {
  struct proxies *p = arg;

  while (p->passages) {
    if (p->passages->tunnel)
      tunnel_free(p->passages->tunnel);
    passage_free(p->passages);
  }
  strmap_free(p->services);
}

void proxies_free(struct proxies *p) {
  loop_call(p->loop, end_all, p);
  loop_free(p->loop);
  free(p);
}

int32_t proxies_new(struct proxies **out, struct ome_err *err) {
  struct proxies *p = calloc(1, sizeof(*p));

  if (!p)
    return fail_memory(err);
  p->services = strmap_new(doors_free);
  int32_t rc = p->services ? loop_new("proxy", &p->loop, err) : fail_memory(err);
  if (rc == OME_OK) {
    *out = p;
    return OME_OK;
  }
  if (p->services)
    strmap_free(p->services);
  free(p);
  return rc;
}
