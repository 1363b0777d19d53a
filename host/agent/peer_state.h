/* Shared by the files of node to node.  Everything is under peers.lock except what is marked. */
#ifndef HOST_AGENT_PEER_STATE_H
#define HOST_AGENT_PEER_STATE_H

#include "agent/peers.h"
#include "agent/swarm.h"
#include "base/buf.h"
#include "base/strmap.h"
#include "base/vec.h"
#include "hub/api.h"
#include "net/http_server.h"
#include "net/tls.h"

#include <pthread.h>
#include <stdatomic.h>

#define PEER_ANNOTATION "models.ome.io/peer"
#define PEER_PATH "/peers/v1/"
#define PEER_NAME_HEADER "X-Ome-Node"     /* how a node calls itself; its certificate has to be that of the Node */
#define PEER_NODES_MAX 4096u              /* that are remembered */
#define PEER_MAX_BODY ((size_t)256 << 10) /* of a request; only paths-info has one */
#define PEER_AWAY_MS 15000u               /* that a node does not answer, or give, until others do its part */
#define PEER_IDLE_MS 2000u                /* that a node says it brings nothing: it may be about to hear of it */
#define PEER_PASSED_ON_MOST 16u           /* files of which a node may pass on wrong bytes of others unverified */
#define PEER_UNKNOWN UINT32_MAX           /* among a content's sources: it was here when the agent started */

/* Another node's agent.  Its place in the list never changes: peer I of the engine is nodes[I - 1]. */
struct peer_node {
  char *name, *address;      /* "10.0.0.7:8473", "[fd00::7]:8473" */
  char *cert_pem, *metadata; /* METADATA: its Node's, as text */
  char fingerprint[65];
  uint32_t nearness;
  uint32_t flying;
  uint32_t failures;
  uint32_t passed_on; /* files of which it passed on wrong bytes */
  uint64_t set_aside_until_ms, quiet_until_ms;
  uint64_t failing_since_ms; /* 0: it answered when it was last asked */
  bool liar;                 /* nothing is fetched from it until it comes with another certificate */
};

/* A file's content, as far as it is here. */
struct peer_content {
  char id[STORE_CONTENT_ID];
  uint64_t size, piece, npieces;
  char sha256[65];      /* "" until it is whole and verified */
  int fd;               /* of one that is under way; -1: none */
  uint8_t *have;        /* a bit a piece; NULL: all, see SHA256 */
  uint8_t *coming;      /* from the origin, now */
  uint8_t *refused;     /* a piece: how often it went wrong */
  uint32_t *sources;    /* a piece: peer of the engine it came from, or PEER_UNKNOWN */
  uint8_t *passed_on;   /* a bit a piece: that peer had it from another one, and had not verified it */
  char (*suspects)[65]; /* a piece: what it was when the whole was wrong, "" from the origin; NULL: it never was */
  uint32_t from_origin;
  VEC(uint8_t *) theirs;         /* by node: a bit a piece; NULL: not known */
  VEC(uint64_t) absent_since_ms; /* by node: since when it has said that it does not bring this; 0: it has not */
};

/* A model: who has or wants it, and what is here of it. */
struct peer_group {
  char *key, *label;              /* LABEL: of nodes that have or want it; NULL: not fetched here */
  uint32_t had_origin;            /* pieces that came from there, of the job that goes on */
  uint32_t users;                 /* jobs and answers that rely on it */
  bool forgotten;                 /* goes with the last user */
  bool loaded;                    /* what the store has is in CONTENTS */
  struct strmap *contents;        /* struct peer_content by id */
  VEC(uint32_t) members;          /* nodes that have or want it, as last seen */
  VEC(uint32_t) owners;           /* as long as a job goes on: nodes, or SWARM_SELF */
  VEC(uint64_t) asked_ms;         /* by node: when its map was last asked for */
  VEC(uint64_t) idle_since_ms;    /* by node: since when it has said that it does not bring it; 0: it does */
  VEC(struct json_object *) maps; /* by node: "contents" of its map; NULL: not known */
};

struct peers {
  struct peers_config cfg;
  char *node, *address;
  struct tls_pair identity;
  char *announcement; /* the annotation's text */
  struct loop *loop;
  struct ssl_ctx_st *tls;
  struct http_server *server;
  struct hub_api *hub; /* NULL: none */
  struct http_client *http;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  pthread_t thread;
  bool has_thread;
  atomic_bool stop;
  bool must_announce;
  char *wanted_node; /* somebody unknown calls itself so */
  uint32_t njobs;
  VEC(struct peer_node *) nodes;
  struct strmap *groups; /* struct peer_group by key */
  char *own_labels;      /* our Node's labels, as text */
  VEC(char *) retired;   /* certificates of before, which requests may still be reading */
  /* the server's loop only */
  VEC(struct peer_waiter *) waiters;
  struct loop_timer *tick;
  bool ending;
  atomic_uint nwaiters;
};

struct peer_job {
  struct peers *peers;
  struct peer_group *group;
  char *uri, *revision;
  struct transfer_swarm swarm;
};

/* ---- peer_share.c: [locked] -------------------------------------------------------------------------------------- */

struct peer_group *peer_group_use(struct peers *p, const char *key); /* made when absent; NULL: out of memory */
void peer_group_leave(struct peers *p, struct peer_group *g);
void peer_group_free(void *group);
bool peer_group_is_brought(const struct peer_group *g); /* by this node, now */
struct peer_content *peer_content_open(struct peer_group *g, const char *id, uint64_t size, uint64_t piece);
/* That of F of URI at REVISION; NULL also where nothing pins what is in it. */
struct peer_content *peer_content_of(struct peer_group *g, const char *uri, const char *revision,
                                     const struct manifest_file *f);
/* C, a content of the group KEY; where nothing of it is here yet, that of another model which is brought before this
 * one and shares it.  *KEY becomes that model's. */
struct peer_content *peer_content_begun(const struct peers *p, struct peer_content *c, const char **key);
/* Whether bytes FROM to UPTO of C, which are here, are others' word: some came from peers, and the whole is not
 * verified. */
bool peer_content_is_hearsay(const struct peer_content *c, uint64_t from, uint64_t upto);
/* What the store has of G's model. */
void peer_group_load(struct peers *p, struct peer_group *g);
/* The one of NAME and its place, made when absent; NULL: out of memory, or there are too many. */
struct peer_node *peer_node_find(struct peers *p, const char *name, uint32_t *index);
void peer_node_free(struct peer_node *n);
bool peer_is_usable(const struct peers *p, uint32_t node);
/* G as swarm_pick() wants it for C, with room for one peer a node. */
void peer_view(const struct peers *p, const struct peer_group *g, const struct peer_content *c, struct swarm_peer *room,
               struct swarm_view *out);
/* The model by which NODE is asked for C, a content of G. */
const char *peer_key_at(const struct peers *p, const struct peer_group *g, const struct peer_content *c, uint32_t node);
/* NODE did not answer as it should: it is set aside for a while, longer each time. */
void peer_set_aside(struct peers *p, uint32_t node);
/* It did. */
void peer_answered(struct peers *p, uint32_t node);
/* NODE does not bring C now; FALSE: it does. */
void peer_note_absent(struct peer_content *c, uint32_t node, bool absent);

/* ---- peer_map.c: what one node says it has ----------------------------------------------------------------------- */

struct json_object *peer_map_write(const struct peers *p, const struct peer_group *g); /* [locked]; new */
/* NODE's map of G; false: it makes no sense.  [locked] */
bool peer_map_read(struct peers *p, struct peer_group *g, uint32_t node, struct json_object *map);
/* Takes over the owners that MAP names, where a job is under way, if that list is better than G's: of any two lists all
 * nodes take the same one.  [locked] */
void peer_map_adopt(struct peers *p, struct peer_group *g, struct json_object *map);
/* What maps that are known already say of C, a content of G.  [locked] */
void peer_map_apply(const struct peers *p, struct peer_group *g, struct peer_content *c);

/* ---- peer_fetch.c ------------------------------------------------------------------------------------------------ */

extern const struct transfer_swarm peer_swarm;

/* ---- peer_serve.c: the server's loop ----------------------------------------------------------------------------- */

void peer_serve(void *peers, struct http_exchange *x);
void peer_serve_waiting(void *peers); /* something has arrived */
void peer_serve_end(void *peers);
void peer_count_for_client(size_t n); /* bytes that went out by the Hub API */

#endif
