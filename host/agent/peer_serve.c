/* What other nodes are given: GET /peers/v1/KEY, the map of a model, and /peers/v1/KEY/ID, a content or a range of it.
 * A piece that is on its way from the origin is waited for a while.  All other paths are those of the Hub API. */
#include "agent/peer_state.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WAIT_MS 15000u       /* less than those who ask wait for the first byte */
#define WAIT_LITTLE_MS 5000u /* for what is not begun yet */
#define TICK_MS 1000u

METRIC_COUNTER(served_bytes, "model_agent_served_bytes_total",
               "Bytes of models given to other nodes, and to clients of the Hub API.", "to");

/* What is asked for of a content, and what there is of it. */
struct range {
  uint64_t from, upto; /* bytes; UPTO UINT64_MAX: to the end */
  uint64_t size;       /* of the whole */
  bool hearsay;        /* others' word: see peer_content_is_hearsay() */
  int fd;              /* of what is PRESENT; else -1 */
};

struct peer_waiter {
  struct http_exchange *x; /* NULL: it has gone */
  char *key;
  char id[STORE_CONTENT_ID];
  struct range range;
  uint64_t begin_ms;
};

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void count_served(size_t n) {
  metric_add(METRIC(&served_bytes, "node"), (double)n);
}

void peer_count_for_client(size_t n) {
  metric_add(METRIC(&served_bytes, "client"), (double)n);
}

/* Takes the file of R. */
static void send_range(struct http_exchange *x, const struct range *r) {
  bool part = http_header(x, "range") != NULL;
  uint64_t len = r->upto - r->from;
  char text[96];

  (void)snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, r->from, r->upto - 1, r->size);
  if (part)
    http_add_header(x, "Content-Range", text);
  if (r->hearsay)
    http_add_header(x, TRANSFER_PASSED_ON, "1");
  http_respond_start(x, part ? 206 : 200, "application/octet-stream", (int64_t)len);
  http_send_file(x, r->fd, r->from, len, count_served);
}

/* ---- what there is ----------------------------------------------------------------------------------------------- */

enum presence {
  ABSENT,
  EXPECTED, /* the model is being brought, and this file is not begun: it may be soon, or wait for something */
  COMING,   /* it is begun: all of it will be here */
  PRESENT,
};

static enum presence range_presence_locked(const struct peer_content *c, uint64_t from, uint64_t upto) {
  if (!c->have)
    return EXPECTED;
  for (uint64_t i = from / c->piece; i * c->piece < upto; i++)
    if (!swarm_bit(c->have, i))
      return COMING;
  return PRESENT;
}

/* C as the store has it; what it has no more, or damaged, is not claimed any longer. */
static int open_stored_locked(const struct peers *p, const char *key, struct peer_content *c) {
  const struct model_store *store = p->cfg.store_of(p->cfg.arg, key);
  int fd = store ? model_store_open_content(store, c->sha256, c->size) : -1;

  if (fd < 0)
    c->sha256[0] = '\0';
  return fd;
}

/* The same for R of C. */
static enum presence content_presence_locked(const struct peers *p, const char *key, struct peer_content *c,
                                             struct range *r) {
  if (r->from >= r->upto || r->upto > c->size)
    return ABSENT;
  if (*c->sha256) {
    r->fd = open_stored_locked(p, key, c);
    return r->fd < 0 ? ABSENT : PRESENT;
  }
  enum presence there = range_presence_locked(c, r->from, r->upto);
  r->fd = there == PRESENT ? dup(c->fd) : -1;
  r->hearsay = peer_content_is_hearsay(c, r->from, r->upto);
  return there == PRESENT && r->fd < 0 ? ABSENT : there;
}

/* What there is of the range. */
static enum presence open_range(struct peers *p, const char *key, const char *id, struct range *r) {
  enum presence there = EXPECTED; /* whoever has begun knows soon what it is about */

  r->fd = -1;
  r->hearsay = false;
  (void)pthread_mutex_lock(&p->lock);
  struct peer_group *g = strmap_get(p->groups, key);
  struct peer_content *c = g ? strmap_get(g->contents, id) : NULL;
  if (c) {
    c = peer_content_begun(p, c, &key);
    r->size = c->size;
    r->upto = r->upto == UINT64_MAX ? c->size : r->upto;
    there = content_presence_locked(p, key, c, r);
  }
  if (there == EXPECTED && !(g && peer_group_is_brought(g)))
    there = ABSENT;
  (void)pthread_mutex_unlock(&p->lock);
  return there;
}

static void refuse(struct http_exchange *x, int status, const char *why) {
  http_respond(x, status, "text/plain", why, strlen(why));
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static void waiter_gone(void *arg, struct http_exchange *x) {
  struct peer_waiter *w = arg;

  (void)x;
  w->x = NULL;
}

static uint64_t wait_of(enum presence there) {
  return there == COMING ? WAIT_MS : there == EXPECTED ? WAIT_LITTLE_MS : 0;
}

/* Whether it is over. */
static bool serve_waiter(struct peers *p, struct peer_waiter *w) {
  enum presence there = w->x ? open_range(p, w->key, w->id, &w->range) : ABSENT;

  if (!p->ending && mono_ms() - w->begin_ms < wait_of(there))
    return false;
  if (w->x)
    http_on_close(w->x, NULL, NULL);
  if (there == PRESENT)
    send_range(w->x, &w->range);
  else if (w->x)
    refuse(w->x, there == COMING ? 503 : 404, "not here yet\n");
  free(w->key);
  free(w);
  return true;
}

void peer_serve_waiting(void *arg) {
  struct peers *p = arg;
  VEC(struct peer_waiter *) all = {p->waiters.items, p->waiters.len, p->waiters.cap};

  memset(&p->waiters, 0, sizeof(p->waiters)); /* answers may lead to further requests at once */
  for (size_t i = 0; i < all.len; i++)
    if (!serve_waiter(p, all.items[i]) && !VEC_PUSH(&p->waiters, all.items[i])) {
      all.items[i]->begin_ms = 0; /* no memory to wait in */
      (void)serve_waiter(p, all.items[i]);
    }
  VEC_FREE(&all);
  atomic_store(&p->nwaiters, (unsigned)p->waiters.len);
  if (!p->waiters.len && p->tick) {
    loop_timer_free(p->tick);
    p->tick = NULL;
  }
}

void peer_serve_end(void *arg) {
  struct peers *p = arg;

  p->ending = true;
  peer_serve_waiting(p);
}

static void wait_for_range(struct peers *p, struct http_exchange *x, const char *key, const char *id,
                           const struct range *range) {
  struct peer_waiter *w = calloc(1, sizeof(*w));

  if (w)
    w->key = strdup(key);
  if (!w || !w->key || !VEC_PUSH(&p->waiters, w)) {
    if (w)
      free(w->key);
    free(w);
    refuse(x, 503, "out of memory\n");
    return;
  }
  (void)snprintf(w->id, sizeof(w->id), "%s", id);
  w->x = x;
  w->range = *range;
  w->begin_ms = mono_ms();
  http_on_close(x, waiter_gone, w);
  atomic_store(&p->nwaiters, (unsigned)p->waiters.len);
  if (!p->tick)
    p->tick = loop_timer_new(p->loop, TICK_MS, true, peer_serve_waiting, p);
  peer_serve_waiting(p); /* it may have arrived just now, before anybody was seen to wait */
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* "bytes=5-9" alone, or no range at all, which is all there is; false: anything else. */
static bool read_range(const struct http_exchange *x, struct range *out) {
  const char *text = http_header(x, "range");
  uint64_t last;
  char end;

  *out = (struct range){.upto = UINT64_MAX, .fd = -1};
  if (!text)
    return true;
  if (sscanf(text, "bytes=%" SCNu64 "-%" SCNu64 "%c", &out->from, &last, &end) != 2 || last < out->from ||
      last >= MANIFEST_MAX_FILE_BYTES)
    return false;
  out->upto = last + 1;
  return true;
}

static void serve_content(struct peers *p, struct http_exchange *x, const char *key, const char *id) {
  struct range range;

  if (!read_range(x, &range)) {
    refuse(x, 416, "one range within the file, please\n");
    return;
  }
  enum presence there = open_range(p, key, id, &range);
  if (there == PRESENT)
    send_range(x, &range);
  else if (there == ABSENT)
    refuse(x, 404, "not here\n");
  else
    wait_for_range(p, x, key, id, &range);
}

static void serve_map(struct peers *p, struct http_exchange *x, const char *key) {
  (void)pthread_mutex_lock(&p->lock);
  struct peer_group *g = strmap_get(p->groups, key);
  _cleanup_json_ struct json_object *map = g ? peer_map_write(p, g) : NULL;
  (void)pthread_mutex_unlock(&p->lock);
  _cleanup_free_ char *text = map ? json_text(map) : NULL;

  if (text)
    http_respond(x, 200, "application/json", text, strlen(text));
  else
    refuse(x, 404, "not here\n");
}

/* Its Node is looked at, and it asks again: it may be new here, or have other labels than when it was last seen. */
static void meet_again(struct peers *p, const char *name) {
  (void)pthread_mutex_lock(&p->lock);
  if (!p->wanted_node) {
    p->wanted_node = strdup(name);
    (void)pthread_cond_signal(&p->changed);
  }
  (void)pthread_mutex_unlock(&p->lock);
}

/* Who asks, by the certificate, and whether the model belongs there. */
static bool is_entitled(struct peers *p, const struct http_exchange *x, const char *key) {
  const char *fingerprint = http_client_fingerprint(x);
  const char *name = http_header(x, PEER_NAME_HEADER);
  _cleanup_free_ char *metadata = NULL;
  _cleanup_json_ struct json_object *node = NULL;
  struct ome_err err = ERR_INIT;

  (void)pthread_mutex_lock(&p->lock);
  for (size_t i = 0; *fingerprint && i < p->nodes.len; i++)
    if (streq(p->nodes.items[i]->fingerprint, fingerprint))
      metadata = strdup(p->nodes.items[i]->metadata);
  (void)pthread_mutex_unlock(&p->lock);
  bool is = metadata && json_parse(metadata, strlen(metadata), 0, &node, &err) == OME_OK &&
            p->cfg.entitled(p->cfg.arg, key, node);
  if (!is && *fingerprint && name && is_dns_subdomain(name))
    meet_again(p, name);
  return is;
}

/* The model's contents as the store has them, where nobody brings it now. */
static void load(struct peers *p, const char *key) {
  (void)pthread_mutex_lock(&p->lock);
  struct peer_group *g = p->cfg.store_of(p->cfg.arg, key) ? peer_group_use(p, key) : NULL;
  if (g && !g->loaded && g->users == 1)
    peer_group_load(p, g);
  if (g)
    peer_group_leave(p, g);
  (void)pthread_mutex_unlock(&p->lock);
}

void peer_serve(void *arg, struct http_exchange *x) {
  struct peers *p = arg;
  const char *path = http_path(x);
  const char *name = path + strlen(PEER_PATH);
  size_t len = has_prefix(path, PEER_PATH) ? strcspn(name, "/") : 0;
  char key[254];

  if (p->hub && !has_prefix(path, PEER_PATH)) {
    hub_api_handle(p->hub, x);
    return;
  }
  if (!streq(http_method(x), "GET") || !len || len >= sizeof(key)) {
    refuse(x, 404, "nothing here\n");
    return;
  }
  (void)snprintf(key, sizeof(key), "%.*s", (int)len, name);
  if (key[strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-.")] != '\0') {
    refuse(x, 404, "no model has such a name\n");
    return;
  }
  if (!is_entitled(p, x, key)) {
    refuse(x, 403, "the model does not belong on your node, or your node is not known here yet\n");
    return;
  }
  load(p, key);
  if (name[len] == '/')
    serve_content(p, x, key, name + len + 1);
  else
    serve_map(p, x, key);
}
