/* What is known of nodes, models and contents. */
#include "agent/peer_state.h"

#include "base/clock.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define ASIDE_MS 2000u
#define ASIDE_MAX_MS 60000u

/* ---- contents ---------------------------------------------------------------------------------------------------- */

static void content_close(struct peer_content *c) {
  if (c->fd >= 0)
    (void)close(c->fd);
  c->fd = -1;
  free(c->have);
  free(c->coming);
  free(c->refused);
  free(c->sources);
  free(c->passed_on);
  free(c->suspects);
  c->have = c->coming = c->refused = c->passed_on = NULL;
  c->sources = NULL;
  c->suspects = NULL;
  for (size_t i = 0; i < c->theirs.len; i++)
    free(c->theirs.items[i]);
  VEC_FREE(&c->theirs);
  VEC_FREE(&c->absent_since_ms);
}

static void content_free(void *content) {
  struct peer_content *c = content;

  content_close(c);
  free(c);
}

struct peer_content *peer_content_open(struct peer_group *g, const char *id, uint64_t size, uint64_t piece) {
  struct peer_content *c = strmap_get(g->contents, id);

  if (c && c->size == size && c->piece == piece)
    return c;
  c = calloc(1, sizeof(*c));
  if (!c)
    return NULL;
  (void)snprintf(c->id, sizeof(c->id), "%s", id);
  c->fd = -1;
  c->size = size;
  c->piece = piece;
  c->npieces = size ? (size - 1) / piece + 1 : 1;
  if (strmap_put(g->contents, id, c))
    return c;
  free(c);
  return NULL;
}

struct peer_content *peer_content_of(struct peer_group *g, const char *uri, const char *revision,
                                     const struct manifest_file *f) {
  char id[STORE_CONTENT_ID];

  model_store_content_id(uri, revision, f, id);
  return *id ? peer_content_open(g, id, f->size, TRANSFER_SWARM_PIECE(f->size)) : NULL;
}

static bool is_begun(const struct peer_content *c) {
  return c->have || *c->sha256;
}

struct peer_content *peer_content_begun(const struct peers *p, struct peer_content *c, const char **key) {
  if (is_begun(c))
    return c;
  for (struct strmap_iter it = strmap_first(p->groups); it.key; strmap_next(&it)) {
    const struct peer_group *g = it.value;
    struct peer_content *other = strmap_get(g->contents, c->id);
    if (other && is_begun(other) && other->size == c->size && other->piece == c->piece) {
      *key = g->key;
      return other;
    }
  }
  return c;
}

bool peer_content_is_hearsay(const struct peer_content *c, uint64_t from, uint64_t upto) {
  if (*c->sha256 || c->suspects) /* what came again came from the origin alone */
    return false;
  for (uint64_t i = from / c->piece; c->sources && i * c->piece < upto; i++)
    if (c->sources[i])
      return true;
  return false;
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

void peer_group_free(void *group) {
  struct peer_group *g = group;

  strmap_free(g->contents);
  VEC_FREE(&g->members);
  VEC_FREE(&g->owners);
  VEC_FREE(&g->asked_ms);
  VEC_FREE(&g->idle_since_ms);
  for (size_t i = 0; i < g->maps.len; i++)
    json_unref(g->maps.items[i]);
  VEC_FREE(&g->maps);
  free(g->label);
  free(g->key);
  free(g);
}

struct peer_group *peer_group_use(struct peers *p, const char *key) {
  struct peer_group *g = strmap_get(p->groups, key);

  if (g) {
    g->users++;
    return g;
  }
  g = calloc(1, sizeof(*g));
  if (!g)
    return NULL;
  g->key = strdup(key);
  g->contents = strmap_new(content_free);
  g->users = 1;
  if (g->key && g->contents && strmap_put(p->groups, key, g))
    return g;
  strmap_free(g->contents);
  free(g->key);
  free(g);
  return NULL;
}

bool peer_group_is_brought(const struct peer_group *g) {
  return g->users && g->label;
}

void peer_group_leave(struct peers *p, struct peer_group *g) {
  if (--g->users == 0 && g->forgotten)
    (void)strmap_del(p->groups, g->key);
}

void peer_group_load(struct peers *p, struct peer_group *g) {
  _cleanup_manifest_ struct manifest m = {0};
  struct model_store *store = p->cfg.store_of(p->cfg.arg, g->key);
  _cleanup_json_ struct json_object *reference = store ? model_store_reference(store, g->key, &m) : NULL;

  g->loaded = true;
  for (size_t i = 0; json_flag(reference, "complete", false) && i < m.files.len; i++) {
    const struct manifest_file *f = &m.files.items[i];
    struct peer_content *c =
        peer_content_of(g, json_str(reference, "uri", ""), json_str(reference, "revision", NULL), f);
    if (!c)
      continue;
    content_close(c);
    memcpy(c->sha256, f->sha256, sizeof(c->sha256));
  }
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

struct peer_node *peer_node_find(struct peers *p, const char *name, uint32_t *index) {
  for (*index = 0; *index < p->nodes.len; ++*index)
    if (streq(p->nodes.items[*index]->name, name))
      return p->nodes.items[*index];
  if (p->nodes.len >= PEER_NODES_MAX)
    return NULL;
  struct peer_node *n = calloc(1, sizeof(*n));
  if (!n)
    return NULL;
  n->name = strdup(name);
  if (n->name && VEC_PUSH(&p->nodes, n))
    return n;
  peer_node_free(n);
  return NULL;
}

void peer_node_free(struct peer_node *n) {
  free(n->name);
  free(n->address);
  free(n->cert_pem);
  free(n->metadata);
  free(n);
}

bool peer_is_usable(const struct peers *p, uint32_t node) {
  const struct peer_node *n = p->nodes.items[node];

  return !n->liar && n->address && mono_ms() >= n->set_aside_until_ms;
}

void peer_set_aside(struct peers *p, uint32_t node) {
  struct peer_node *n = p->nodes.items[node];
  uint64_t ms = n->failures < 5 ? (uint64_t)ASIDE_MS << n->failures : ASIDE_MAX_MS;

  n->failures++;
  n->set_aside_until_ms = mono_ms() + ms;
  if (!n->failing_since_ms)
    n->failing_since_ms = mono_ms();
}

void peer_answered(struct peers *p, uint32_t node) {
  struct peer_node *n = p->nodes.items[node];

  n->failures = 0;
  n->failing_since_ms = 0;
}

void peer_note_absent(struct peer_content *c, uint32_t node, bool absent) {
  while (c->absent_since_ms.len <= node)
    if (!VEC_PUSH(&c->absent_since_ms, 0))
      return;
  uint64_t *since = &c->absent_since_ms.items[node];
  *since = !absent ? 0 : *since ? *since : mono_ms();
}

static bool lasts(uint64_t since_ms, uint64_t now_ms, uint64_t ms) {
  return since_ms && now_ms - since_ms > ms;
}

/* It has nothing of C and does not bring it: it waits for room, is cordoned, or did not hear yet what is wanted. */
static bool is_idle(const struct peer_group *g, const struct peer_content *c, uint32_t node, uint64_t now) {
  return node < g->idle_since_ms.len && lasts(g->idle_since_ms.items[node], now, PEER_IDLE_MS) &&
         !(node < g->maps.len && json_get(g->maps.items[node], c->id));
}

/* One that is only set aside keeps what is its own: a link that is full looks like that for a while. */
static bool is_away(const struct peers *p, const struct peer_group *g, const struct peer_content *c, uint32_t node,
                    uint64_t now) {
  const struct peer_node *n = p->nodes.items[node];

  return n->liar || !n->address || lasts(n->failing_since_ms, now, PEER_AWAY_MS) || is_idle(g, c, node, now) ||
         (node < c->absent_since_ms.len && lasts(c->absent_since_ms.items[node], now, PEER_AWAY_MS));
}

static bool is_member(const struct peer_group *g, uint32_t node) {
  for (size_t i = 0; i < g->members.len; i++)
    if (g->members.items[i] == node)
      return true;
  return false;
}

/* A number that is the same for a content on all nodes. */
static uint32_t turn_of(const struct peer_content *c) {
  uint32_t turn = 0;

  for (size_t i = 0; i < 6 && c->id[i]; i++)
    turn = turn * 31 + (uint8_t)c->id[i];
  return turn;
}

/* Where several models share a content, one of them decides on all nodes who fetches what of it: the first, by its key,
 * of those that a node brings.  By a list each, the owner by one could wait for the owner by another, and that one for
 * the first.  So whom a node waits for goes by the same model, and is the owner, or by an earlier one. */
static const struct peer_group *leader(const struct peers *p, const struct peer_group *g,
                                       const struct peer_content *c) {
  const struct peer_group *first = g;

  for (struct strmap_iter it = strmap_first(p->groups); it.key; strmap_next(&it)) {
    const struct peer_group *other = it.value;
    if (peer_group_is_brought(other) && other->owners.len && strcmp(other->key, first->key) < 0 &&
        strmap_has(other->contents, c->id))
      first = other;
  }
  return first;
}

const char *peer_key_at(const struct peers *p, const struct peer_group *g, const struct peer_content *c,
                        uint32_t node) {
  return is_member(g, node) ? g->key : leader(p, g, c)->key;
}

void peer_view(const struct peers *p, const struct peer_group *g, const struct peer_content *c, struct swarm_peer *room,
               struct swarm_view *out) {
  const struct peer_group *lead = leader(p, g, c);
  uint64_t now = mono_ms();

  for (uint32_t i = 0; i < p->nodes.len; i++) {
    bool leads = is_member(lead, i);
    room[i] = (struct swarm_peer){.usable = !c->suspects && (leads || is_member(g, i)) && peer_is_usable(p, i),
                                  .away = c->suspects || !leads || is_away(p, lead, c, i, now),
                                  .quiet = now < p->nodes.items[i]->quiet_until_ms,
                                  .nearness = p->nodes.items[i]->nearness,
                                  .flying = p->nodes.items[i]->flying,
                                  .have = i < c->theirs.len ? c->theirs.items[i] : NULL};
  }
  *out = (struct swarm_view){.peers = room,
                             .npeers = p->nodes.len,
                             .owners = lead->owners.items,
                             .nowners = lead->owners.len,
                             .turn = turn_of(c),
                             .refused = c->refused,
                             .from_origin = c->from_origin,
                             .had_origin = g->had_origin};
}
