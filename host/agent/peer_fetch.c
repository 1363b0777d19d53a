/* The engine asks; see struct transfer_swarm.  Called under the engine's lock, which is always taken before ours. */
#include "agent/measure.h"
#include "agent/peer_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

#define QUIET_MS 700u /* until somebody who did not have a piece is asked for one again */

METRIC_COUNTER(peer_failures, "model_agent_peer_failures_total",
               "Pieces that another node did not give as it should have.", "reason");

static struct peer_content *content_of(const struct peer_job *job, const struct manifest_file *f) {
  char id[STORE_CONTENT_ID];

  model_store_content_id(job->uri, job->revision, f, id);
  return *id ? strmap_get(job->group->contents, id) : NULL;
}

/* ---- a file begins ----------------------------------------------------------------------------------------------- */

/* Of what was here before nobody knows any more where it came from. */
static void note_done(struct peer_content *c, const uint8_t *done) {
  for (uint64_t i = 0; i < c->npieces; i++) {
    if (done[i] == 1 && !swarm_bit(c->have, i))
      c->sources[i] = PEER_UNKNOWN;
    swarm_set_bit(c->have, i, done[i] == 1);
  }
}

static bool prepare(struct peer_content *c, int fd, const uint8_t *done) {
  size_t n = (c->npieces + 7) / 8;

  if (c->fd < 0)
    c->fd = dup(fd);
  c->have = c->have ? c->have : calloc(n, 1);
  c->coming = c->coming ? c->coming : calloc(n, 1);
  c->refused = c->refused ? c->refused : calloc(c->npieces, 1);
  c->sources = c->sources ? c->sources : calloc(c->npieces, sizeof(*c->sources));
  c->passed_on = c->passed_on ? c->passed_on : calloc(n, 1);
  if (c->fd < 0 || !c->have || !c->coming || !c->refused || !c->sources || !c->passed_on)
    return false;
  memset(c->coming, 0, n);
  note_done(c, done);
  c->from_origin = 0;
  return true;
}

static bool opened(void *arg, const struct manifest_file *f, int fd, uint64_t piece, const uint8_t *done) {
  struct peer_job *job = arg;
  struct peers *p = job->peers;
  bool ok = false;

  if (piece != TRANSFER_SWARM_PIECE(f->size)) /* begun by somebody else, in other pieces */
    return false;
  (void)pthread_mutex_lock(&p->lock);
  struct peer_content *c = peer_content_of(job->group, job->uri, job->revision, f);
  if (c) {
    c->sha256[0] = '\0';
    ok = prepare(c, fd, done);
    peer_map_apply(p, job->group, c);
  }
  (void)pthread_mutex_unlock(&p->lock);
  return ok;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static int64_t pick(void *arg, const struct manifest_file *f, const uint8_t *state, uint64_t npieces,
                    struct transfer_source *out) {
  struct peer_job *job = arg;
  struct peers *p = job->peers;
  struct swarm_view view;
  uint32_t peer = SWARM_SELF;
  int64_t piece = -1;

  (void)pthread_mutex_lock(&p->lock);
  struct peer_content *c = content_of(job, f);
  _cleanup_free_ struct swarm_peer *room = calloc(p->nodes.len + 1, sizeof(*room));
  if (c && room && c->npieces == npieces && c->have) {
    peer_view(p, job->group, c, room, &view);
    piece = swarm_pick(&view, state, npieces, &peer);
  }
  out->peer = 0;
  if (piece >= 0 && peer != SWARM_SELF) {
    const struct peer_node *n = p->nodes.items[peer];
    static _Thread_local struct http_tls tls; /* for the call that follows */
    tls = (struct http_tls){.ca_pem = n->cert_pem, .cert_pem = p->identity.cert_pem, .key_pem = p->identity.key_pem};
    out->peer = peer + 1;
    out->tls = &tls;
    (void)snprintf(out->url, sizeof(out->url), "https://%s" PEER_PATH "%s/%s", n->address,
                   peer_key_at(p, job->group, c, peer), c->id);
    p->nodes.items[peer]->flying++;
  } else if (piece >= 0) {
    c->from_origin++;
    swarm_set_bit(c->coming, (uint64_t)piece, true);
  }
  (void)pthread_mutex_unlock(&p->lock);
  return piece;
}

static void landed_from_peer(struct peers *p, struct peer_content *c, uint64_t index, uint32_t node, int32_t code) {
  struct peer_node *n = p->nodes.items[node];

  n->flying -= n->flying > 0;
  if (code == OME_OK) {
    peer_answered(p, node);
    peer_note_absent(c, node, false);
    c->refused[index] = 0;
    return;
  }
  if (code == OME_E_CANCELLED)
    return;
  metric_add(METRIC(&peer_failures, err_name(code)), 1);
  bool said_so = node < c->theirs.len && swarm_bit(c->theirs.items[node], index);
  if (said_so)
    swarm_set_bit(c->theirs.items[node], index, false);
  /* Where many nodes share a slow way to the origin a piece takes its owner longer than we wait for it: to let another
   * one fetch it too would make all of them slower still. */
  if (code == OME_E_NOT_FOUND || code == OME_E_BUSY) {
    n->quiet_until_ms = mono_ms() + QUIET_MS;
    peer_answered(p, node);
    if (code == OME_E_BUSY || !said_so) /* else it has lost what it had: that says nothing of what it is to bring */
      peer_note_absent(c, node, code == OME_E_NOT_FOUND);
    return;
  }
  peer_set_aside(p, node); /* it is not there, or its link is full; or what it gave was no answer at all */
  if (code != OME_E_DEADLINE && code != OME_E_UNAVAILABLE && c->refused[index] < UINT8_MAX)
    c->refused[index]++;
}

static void keep_source(struct peer_content *c, const struct transfer_landed *piece) {
  swarm_set_bit(c->have, piece->index, true);
  if (c->suspects) /* they are kept until it is known who it was */
    return;
  c->sources[piece->index] = piece->peer;
  swarm_set_bit(c->passed_on, piece->index, piece->passed_on);
}

static void landed(void *arg, const struct manifest_file *f, const struct transfer_landed *piece) {
  struct peer_job *job = arg;
  struct peers *p = job->peers;

  measure_source(piece->peer != 0, piece->bytes);
  (void)pthread_mutex_lock(&p->lock);
  struct peer_content *c = content_of(job, f);
  if (c && c->have && piece->index < c->npieces) {
    if (piece->peer) {
      landed_from_peer(p, c, piece->index, piece->peer - 1, piece->code);
    } else {
      c->from_origin -= c->from_origin > 0;
      job->group->had_origin += piece->code == OME_OK;
      swarm_set_bit(c->coming, piece->index, false);
    }
    if (piece->code == OME_OK)
      keep_source(c, piece);
    else if (piece->peer && piece->code != OME_E_CANCELLED && piece->code != OME_E_NOT_FOUND)
      log_debug("agent", "%s: %s: %s", job->group->key, p->nodes.items[piece->peer - 1]->name, piece->why);
  }
  (void)pthread_mutex_unlock(&p->lock);
  if (piece->code == OME_OK && atomic_load(&p->nwaiters))
    loop_post(p->loop, peer_serve_waiting, p);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static bool digest_piece(const struct peer_content *c, int fd, uint64_t index, char out[65]) {
  uint64_t at = index * c->piece;
  size_t len = (size_t)(c->size - at < c->piece ? c->size - at : c->piece);
  _cleanup_free_ char *data = malloc(len);
  size_t got = 0;

  while (data && got < len) {
    ssize_t n = pread(fd, data + got, len - got, (off_t)(at + got));
    if (n <= 0)
      return false;
    got += (size_t)n;
  }
  if (data)
    sha256_hex(data, len, out);
  return data != NULL;
}

/* All of it is fetched from the origin now; what peers gave is remembered, to be compared.  C stays ours without the
 * lock: it goes with the group, which this job uses. */
static void corrupt(void *arg, const struct manifest_file *f, int fd) {
  struct peer_job *job = arg;
  struct peers *p = job->peers;

  (void)pthread_mutex_lock(&p->lock);
  struct peer_content *c = content_of(job, f);
  char(*digests)[65] = c && c->have && !c->suspects ? calloc(c->npieces, sizeof(*digests)) : NULL;
  if (digests)
    memset(c->have, 0, (c->npieces + 7) / 8); /* nobody gets it from here */
  (void)pthread_mutex_unlock(&p->lock);
  for (uint64_t i = 0; digests && i < c->npieces; i++)
    if (!c->sources[i] || c->sources[i] == PEER_UNKNOWN || !digest_piece(c, fd, i, digests[i]))
      digests[i][0] = '\0';
  if (!digests)
    return;
  (void)pthread_mutex_lock(&p->lock);
  c->suspects = digests;
  (void)pthread_mutex_unlock(&p->lock);
}

/* NODE is asked for nothing more, for what it did with F. */
static void drop(struct peer_job *job, uint32_t node, const struct manifest_file *f, const char *reason,
                 const char *what) {
  struct peers *p = job->peers;
  char message[700];

  (void)pthread_mutex_lock(&p->lock);
  struct peer_node *n = p->nodes.items[node];
  bool known = n->liar;
  n->liar = true;
  (void)snprintf(message, sizeof(message),
                 "node %.253s gave wrong bytes of %.200s (%s), which the origin's digest has shown; nothing more is "
                 "fetched from it until its agent starts again: check its disk and memory, and who may use it",
                 n->name, f->path, what);
  (void)pthread_mutex_unlock(&p->lock);
  if (known)
    return;
  metric_add(METRIC(&peer_failures, reason), 1);
  log_warning("agent", "%s: %s", job->group->key, message);
  if (p->cfg.report)
    p->cfg.report(p->cfg.arg, job->group->key, message);
}

/* NODE gave wrong bytes of F that it had from another one, which it cannot have known.  Whoever had them from the one
 * who lied finds that out as we did; but nobody is believed without end. */
static void doubt(struct peer_job *job, uint32_t node, const struct manifest_file *f) {
  struct peers *p = job->peers;

  (void)pthread_mutex_lock(&p->lock);
  struct peer_node *n = p->nodes.items[node];
  peer_set_aside(p, node);
  bool often = ++n->passed_on >= PEER_PASSED_ON_MOST;
  (void)pthread_mutex_unlock(&p->lock);
  log_info("agent", "%s: wrong bytes of %s came by way of node %s, which had them from another and not verified",
           job->group->key, f->path, n->name);
  if (often)
    drop(job, node, f, "passed_on", "as of other files before: from other nodes, as it says, and not verified");
}

/* Compares what came from the origin with what had come before. */
static void find_sources(struct peer_job *job, const struct peer_content *c, const struct manifest_file *f, int fd,
                         size_t nnodes) {
  _cleanup_free_ bool *doubted = calloc(nnodes, sizeof(*doubted));

  for (uint64_t i = 0; doubted && i < c->npieces; i++) {
    char now[65], what[40];
    if (!*c->suspects[i] || !digest_piece(c, fd, i, now) || streq(now, c->suspects[i]))
      continue;
    uint32_t node = c->sources[i] - 1;
    (void)snprintf(what, sizeof(what), "piece %llu", (unsigned long long)i);
    if (!swarm_bit(c->passed_on, i))
      drop(job, node, f, "lied", what);
    else if (!doubted[node])
      doubt(job, node, f);
    doubted[node] = true;
  }
}

static void verified(void *arg, const struct manifest_file *f, int fd) {
  struct peer_job *job = arg;
  struct peers *p = job->peers;

  (void)pthread_mutex_lock(&p->lock);
  const struct peer_content *c = content_of(job, f);
  bool has_suspects = c && c->suspects;
  size_t nnodes = p->nodes.len;
  (void)pthread_mutex_unlock(&p->lock);
  if (has_suspects)
    find_sources(job, c, f, fd, nnodes);
}

const struct transfer_swarm peer_swarm = {
    .opened = opened, .pick = pick, .landed = landed, .corrupt = corrupt, .verified = verified};
