/* Copying between two connections. */
#include "gateway/tunnel.h"

#include "base/cleanup.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BUFFER_BYTES ((size_t)256 << 10)

struct side {
  struct tunnel *tunnel;
  struct side *other;
  struct bufferevent *bev;
  bool ended; /* nothing more comes from here */
  bool shut;  /* told the peer that nothing more comes for it */
};

struct tunnel {
  struct side sides[2];
  void (*on_end)(void *arg);
  void *arg;
};

void tunnel_free(struct tunnel *t) {
  bufferevent_free(t->sides[0].bev);
  bufferevent_free(t->sides[1].bev);
  free(t);
}

static void end(struct tunnel *t) {
  void (*on_end)(void *) = t->on_end;
  void *arg = t->arg;

  tunnel_free(t);
  if (on_end)
    on_end(arg);
}

static size_t waiting(const struct side *s) {
  return evbuffer_get_length(bufferevent_get_output(s->bev));
}

/* Passes on that FROM has ended, once everything from it is out.  False when that was the end of the tunnel. */
static bool pass_end(struct side *from) {
  struct side *to = from->other;

  if (!from->ended || to->shut || waiting(to))
    return true;
  to->shut = true;
  (void)shutdown(bufferevent_getfd(to->bev), SHUT_WR);
  if (!from->shut || !to->ended)
    return true;
  end(from->tunnel);
  return false;
}

/* Moves what FROM has read into the other's output; stops reading while too much of it waits there. */
static void on_read(struct bufferevent *bev, void *arg) {
  struct side *from = arg, *to = from->other;

  (void)evbuffer_add_buffer(bufferevent_get_output(to->bev), bufferevent_get_input(bev));
  if (waiting(to) >= BUFFER_BYTES)
    (void)bufferevent_disable(bev, EV_READ);
}

/* TO has written everything. */
static void on_write(struct bufferevent *bev UNUSED, void *arg) {
  struct side *to = arg, *from = to->other;

  if (pass_end(from) && !from->ended)
    (void)bufferevent_enable(from->bev, EV_READ);
}

static void on_event(struct bufferevent *bev, short what, void *arg) {
  struct side *s = arg;

  if (what & BEV_EVENT_CONNECTED)
    return;
  if (!(what & BEV_EVENT_EOF)) { /* an error: neither direction can be finished properly */
    end(s->tunnel);
    return;
  }
  on_read(bev, s);
  s->ended = true;
  (void)bufferevent_disable(bev, EV_READ);
  (void)pass_end(s);
}

struct tunnel *tunnel_start(struct bufferevent *a, struct bufferevent *b, void (*on_end)(void *arg), void *arg) {
  struct bufferevent *bevs[2] = {a, b};
  struct tunnel *t = calloc(1, sizeof(*t));

  if (!t) {
    bufferevent_free(a);
    bufferevent_free(b);
    return NULL;
  }
  t->on_end = on_end;
  t->arg = arg;
  for (int i = 0; i < 2; i++) {
    t->sides[i] = (struct side){.tunnel = t, .other = &t->sides[1 - i], .bev = bevs[i]};
    (void)bufferevent_set_timeouts(bevs[i], NULL, NULL);
    bufferevent_setwatermark(bevs[i], EV_READ, 0, BUFFER_BYTES);
    bufferevent_setwatermark(bevs[i], EV_WRITE, 0, 0);
    bufferevent_setcb(bevs[i], on_read, on_write, on_event, &t->sides[i]);
  }
  for (int i = 0; i < 2; i++) {
    (void)bufferevent_enable(bevs[i], EV_READ | EV_WRITE);
    on_read(bevs[i], &t->sides[i]); /* what was read before */
  }
  return t;
}
