/* What a node has of a model, as it says to others:
 *
 *   {"bringing": true, "owners": ["node-1", ...], "contents": {"<id>": "*" | "<a bit a piece, hex>"}} */
#include "agent/peer_state.h"

#include "base/str.h"

#include <string.h>

static void hex_of(const uint8_t *bits, size_t n, char *out) {
  static const char digits[] = "0123456789abcdef";

  for (size_t i = 0; i < n; i++) {
    out[2 * i] = digits[bits[i] >> 4];
    out[2 * i + 1] = digits[bits[i] & 15];
  }
  out[2 * n] = '\0';
}

static int digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_into(const char *text, uint8_t *bits, size_t n) {
  if (strlen(text) != 2 * n)
    return false;
  for (size_t i = 0; i < n; i++) {
    int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0)
      return false;
    bits[i] = (uint8_t)(high << 4 | low);
  }
  return true;
}

static void add_content(struct json_object *out, const struct peer_content *c) {
  size_t n = (c->npieces + 7) / 8;
  _cleanup_free_ uint8_t *bits = calloc(n, 1);
  _cleanup_free_ char *text = malloc(2 * n + 1);

  if (*c->sha256) {
    (void)json_object_object_add(out, c->id, json_object_new_string("*"));
  } else if (c->have && bits && text) { /* what comes from the origin will be there: others wait for it */
    for (size_t i = 0; i < n; i++)
      bits[i] = (uint8_t)(c->have[i] | c->coming[i]);
    hex_of(bits, n, text);
    (void)json_object_object_add(out, c->id, json_object_new_string(text));
  }
}

struct json_object *peer_map_write(const struct peers *p, const struct peer_group *g) {
  struct json_object *o = json_object_new_object();
  struct json_object *contents = json_object_new_object();
  struct json_object *owners = json_object_new_array();

  for (struct strmap_iter it = strmap_first(g->contents); it.key; strmap_next(&it))
    add_content(contents, it.value);
  for (size_t i = 0; i < g->owners.len; i++) {
    uint32_t owner = g->owners.items[i];
    (void)json_object_array_add(owners,
                                json_object_new_string(owner == SWARM_SELF ? p->node : p->nodes.items[owner]->name));
  }
  (void)json_set(o, "bringing", json_object_new_boolean(peer_group_is_brought(g)));
  (void)json_set(o, "owners", owners);
  (void)json_set(o, "contents", contents);
  return o;
}

/* Its bits of C; new ones take the place of what it said before. */
static void learn(const struct peers *p, struct peer_content *c, uint32_t node, const char *text) {
  size_t n = (c->npieces + 7) / 8;
  uint8_t *bits = calloc(n, 1);
  bool all = streq(text, "*");

  while (c->theirs.len < p->nodes.len)
    if (!VEC_PUSH(&c->theirs, NULL))
      break;
  if (!bits || node >= c->theirs.len || (!all && !hex_into(text, bits, n))) {
    free(bits);
    return;
  }
  if (all)
    memset(bits, 0xff, n);
  free(c->theirs.items[node]);
  c->theirs.items[node] = bits;
}

static void apply(const struct peers *p, struct peer_content *c, uint32_t node, struct json_object *map) {
  struct json_object *text = map ? json_get(map, c->id) : NULL;

  if (!*c->sha256 && json_is(text, json_type_string))
    learn(p, c, node, json_object_get_string(text));
}

void peer_map_apply(const struct peers *p, struct peer_group *g, struct peer_content *c) {
  for (uint32_t i = 0; i < g->maps.len; i++)
    apply(p, c, i, g->maps.items[i]);
}

bool peer_map_read(struct peers *p, struct peer_group *g, uint32_t node, struct json_object *map) {
  struct json_object *contents = json_at(map, "contents");

  if (!json_is(contents, json_type_object))
    return false;
  while (g->maps.len < p->nodes.len)
    if (!VEC_PUSH(&g->maps, NULL))
      return false;
  json_unref(g->maps.items[node]);
  g->maps.items[node] = json_object_get(contents);
  for (struct strmap_iter it = strmap_first(g->contents); it.key; strmap_next(&it))
    apply(p, it.value, node, contents);
  return true;
}

/* ---- who owns what ----------------------------------------------------------------------------------------------- */

static const char *owner_name(const struct peers *p, uint32_t owner) {
  return owner == SWARM_SELF ? p->node : p->nodes.items[owner]->name;
}

/* Of two lists all nodes take the same one: the longer, else the one whose names come first. */
static bool is_better_list(const struct peers *p, const struct peer_group *g, struct json_object *owners) {
  if (json_len(owners) != g->owners.len)
    return json_len(owners) > g->owners.len;
  for (size_t i = 0; i < g->owners.len; i++) {
    struct json_object *o = json_index(owners, i);
    int order =
        strcmp(json_is(o, json_type_string) ? json_object_get_string(o) : "~", owner_name(p, g->owners.items[i]));
    if (order != 0)
      return order < 0;
  }
  return false;
}

void peer_map_adopt(struct peers *p, struct peer_group *g, struct json_object *map) {
  struct json_object *owners = json_at(map, "owners");
  VEC(uint32_t) list = {0};

  if (json_len(owners) < 1 || json_empty(json_at(map, "contents")) || !is_better_list(p, g, owners))
    return;
  for (size_t i = 0; i < json_len(owners); i++) {
    struct json_object *o = json_index(owners, i);
    const char *name = json_is(o, json_type_string) ? json_object_get_string(o) : "";
    uint32_t index = SWARM_SELF;
    if (!streq(name, p->node) && (!is_dns_subdomain(name) || !peer_node_find(p, name, &index)))
      continue;
    if (!VEC_PUSH(&list, index))
      break;
  }
  VEC_FREE(&g->owners);
  g->owners.items = list.items;
  g->owners.len = list.len;
  g->owners.cap = list.cap;
}
