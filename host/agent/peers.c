/* Life, the announcement on our Node, and a thread that looks for others while there is something to fetch. */
#include "agent/peer_state.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/str.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CERT_DAYS 3650 /* as long as the process: a new start makes another one */
#define LOOK_MS 2000u  /* between looks for nodes, while something is fetched */
#define MAP_MS 3000u   /* between looks at what one of them has, and a little more for each of them */
#define MAP_EACH_MS 100u
#define MAP_TIMEOUT_MS 3000u
#define MAP_MAX ((size_t)16 << 20)
#define DENIED_MS 500u /* until somebody who does not know us is asked again */
#define ASK_STEPS 6u
#define SETTLE_STEP_MS 500u
#define SETTLE_STEPS 10u /* who begins at the same time is seen within five seconds */

static const char *const topology[] = {"topology.kubernetes.io/region", "topology.kubernetes.io/zone",
                                       "topology.kubernetes.io/rack"};

/* ---- the announcement -------------------------------------------------------------------------------------------- */

static char *announcement_of(const struct peers *p) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  bool v6 = strchr(p->address, ':') != NULL;
  char address[80];

  (void)snprintf(address, sizeof(address), "%s%s%s:%u", v6 ? "[" : "", p->address, v6 ? "]" : "",
                 http_server_port(p->server));
  (void)json_set_str(o, "address", address);
  (void)json_set_str(o, "certificate", p->identity.cert_pem);
  return json_text(o);
}

static int32_t announce(const struct peers *p, struct ome_err *err) {
  _cleanup_json_ struct json_object *patch = json_object_new_object();

  meta_set_annotation(patch, PEER_ANNOTATION, p->announcement);
  return kube_patch(p->cfg.client, &KUBE_NODES, NULL, p->node, NULL, KUBE_PATCH_MERGE, patch, NULL, err);
}

static void keep_own(struct peers *p, struct json_object *node) {
  char *text = json_text(json_at(node, "metadata.labels"));

  (void)pthread_mutex_lock(&p->lock);
  free(p->own_labels);
  p->own_labels = text;
  if (!streq(meta_annotation(node, PEER_ANNOTATION), p->announcement)) {
    p->must_announce = true;
    (void)pthread_cond_signal(&p->changed);
  }
  (void)pthread_mutex_unlock(&p->lock);
}

void peers_check_node(struct peers *p, struct json_object *node) {
  if (p && node)
    keep_own(p, node);
}

/* ---- who there is ------------------------------------------------------------------------------------------------ */

static uint32_t nearness_locked(const struct peers *p, struct json_object *node) {
  _cleanup_json_ struct json_object *own = NULL;
  struct ome_err err = ERR_INIT;
  uint32_t near = 0;

  if (!p->own_labels || json_parse(p->own_labels, strlen(p->own_labels), 0, &own, &err) != OME_OK)
    return 0;
  for (size_t i = 0; i < ARRAY_LEN(topology); i++) {
    const char *theirs = meta_label(node, topology[i]);
    struct json_object *ours = json_get(own, topology[i]);
    near += theirs && json_is(ours, json_type_string) && streq(theirs, json_object_get_string(ours));
  }
  return near;
}

/* Takes a value over; true when it is another one.  OLD goes to the retired. */
static bool take_over(struct peers *p, char **old, const char *value) {
  if (*old && streq(*old, value))
    return false;
  char *copy = strdup(value);
  if (!copy)
    return false;
  if (*old && !VEC_PUSH(&p->retired, *old))
    (void)0; /* lost until the process ends: somebody may be reading it */
  *old = copy;
  return true;
}

/* NODE says where its agent is and by what it is known; false: it says nothing of use. */
static bool learn_node_locked(struct peers *p, struct json_object *node, uint32_t *index) {
  const char *text = meta_annotation(node, PEER_ANNOTATION);
  _cleanup_json_ struct json_object *o = NULL;
  _cleanup_free_ char *metadata = json_text(node);
  struct ome_err err = ERR_INIT;
  char fingerprint[65];

  if (!text || !metadata || streq(meta_name(node), p->node) || json_parse(text, strlen(text), 8192, &o, &err) != OME_OK)
    return false;
  const char *address = json_str(o, "address", ""), *certificate = json_str(o, "certificate", "");
  if (!*address || strlen(address) > 79 || address[strspn(address, "0123456789abcdef.:[]")] ||
      !tls_fingerprint(certificate, fingerprint))
    return false;
  struct peer_node *n = peer_node_find(p, meta_name(node), index);
  if (!n)
    return false;
  free(n->metadata);
  n->metadata = TAKE_PTR(metadata);
  n->nearness = nearness_locked(p, node);
  bool moved = take_over(p, &n->address, address);
  if (take_over(p, &n->cert_pem, certificate) || moved) {
    n->liar = false;
    n->failures = 0;
    n->passed_on = 0;
    n->failing_since_ms = 0;
    n->set_aside_until_ms = 0;
    memcpy(n->fingerprint, fingerprint, sizeof(fingerprint));
  }
  return true;
}

/* The nodes that have or want G's model, *FOUND of them; the caller uses G. */
static int32_t look(struct peers *p, struct peer_group *g, size_t *found, struct ome_err *err) {
  _cleanup_free_ char *selector = str_printf("%s in (Updating,Ready)", g->label);
  _cleanup_json_ struct json_object *list = NULL;
  const struct kube_list_opts opts = {.labels = selector, .metadata_only = true};

  if (!selector)
    return fail_memory(err);
  int32_t rc = kube_list(p->cfg.client, &KUBE_NODES, NULL, &opts, &list, err);
  struct json_object *items = json_at(list, "items");
  if (rc != OME_OK)
    return rc;
  (void)pthread_mutex_lock(&p->lock);
  g->members.len = 0;
  for (size_t i = 0; i < json_len(items); i++) {
    uint32_t index;
    if (learn_node_locked(p, json_index(items, i), &index) && !VEC_PUSH(&g->members, index))
      break;
  }
  *found = g->members.len;
  (void)pthread_mutex_unlock(&p->lock);
  return OME_OK;
}

/* ---- what they have ---------------------------------------------------------------------------------------------- */

static bool is_stopping(void *arg) {
  const struct peers *p = arg;

  return atomic_load(&p->stop);
}

static int32_t ask(struct peers *p, const char *url, const char *cert_pem, struct json_object **out,
                   struct ome_err *err) {
  _cleanup_http_response_ struct http_response answer = {0};
  const struct http_tls tls = {.ca_pem = cert_pem, .cert_pem = p->identity.cert_pem, .key_pem = p->identity.key_pem};
  char name[300];
  const char *const headers[] = {name, NULL};
  const struct http_request req = {.url = url,
                                   .headers = headers,
                                   .tls = &tls,
                                   .proxy = "",
                                   .connect_timeout_ms = MAP_TIMEOUT_MS,
                                   .timeout_ms = 2 * MAP_TIMEOUT_MS,
                                   .max_body = MAP_MAX};
  (void)snprintf(name, sizeof(name), PEER_NAME_HEADER ": %.253s", p->node);
  int32_t rc = http_do(p->http, &req, is_stopping, p, &answer, err);

  if (rc != OME_OK)
    return rc;
  if (answer.status != 200)
    return fail_status(err, answer.status, buf_str(&answer.headers), "ask a peer", url);
  return json_parse(buf_str(&answer.body), answer.body.len, MAP_MAX, out, err);
}

/* Members whose maps are due: the next one from *AT on. */
static char *next_due_locked(struct peers *p, struct peer_group *g, size_t *at, uint32_t *node, char **cert) {
  uint64_t now = mono_ms(), pause = MAP_MS + MAP_EACH_MS * g->members.len;

  while (g->asked_ms.len < p->nodes.len)
    if (!VEC_PUSH(&g->asked_ms, 0))
      return NULL;
  for (; *at < g->members.len; ++*at) {
    *node = g->members.items[*at];
    if (!peer_is_usable(p, *node) || (g->asked_ms.items[*node] && now < g->asked_ms.items[*node] + pause))
      continue;
    g->asked_ms.items[*node] = now;
    ++*at;
    *cert = strdup(p->nodes.items[*node]->cert_pem);
    return str_printf("https://%s" PEER_PATH "%s", p->nodes.items[*node]->address, g->key);
  }
  return NULL;
}

/* What a node that does not bring the model is to fetch is others' after a while. */
static void note_bringing(struct peer_group *g, uint32_t node, bool bringing) {
  while (g->idle_since_ms.len <= node)
    if (!VEC_PUSH(&g->idle_since_ms, 0))
      return;
  uint64_t *since = &g->idle_since_ms.items[node];
  *since = bringing ? 0 : *since ? *since : mono_ms();
}

/* Asks the members of G, which the caller uses, what they have and who owns what. */
static void ask_members(struct peers *p, struct peer_group *g) {
  size_t at = 0;

  while (!atomic_load(&p->stop)) {
    _cleanup_json_ struct json_object *map = NULL;
    _cleanup_free_ char *cert = NULL;
    struct ome_err err = ERR_INIT;
    uint32_t node = 0;
    (void)pthread_mutex_lock(&p->lock);
    _cleanup_free_ char *url = next_due_locked(p, g, &at, &node, &cert);
    (void)pthread_mutex_unlock(&p->lock);
    if (!url || !cert)
      return;
    int32_t rc = ask(p, url, cert, &map, &err);
    (void)pthread_mutex_lock(&p->lock);
    if (rc == OME_OK && peer_map_read(p, g, node, map)) {
      peer_answered(p, node);
      note_bringing(g, node, json_flag(map, "bringing", false));
      peer_map_adopt(p, g, map);
    } else if (rc == OME_E_DENIED) { /* it has to look for us first */
      g->asked_ms.items[node] = mono_ms() + DENIED_MS - MAP_MS - MAP_EACH_MS * g->members.len;
    } else if (rc == OME_E_NOT_FOUND) { /* it wants it, and waits for something */
      _cleanup_json_ struct json_object *nothing = json_object_new_object();
      (void)json_set(nothing, "contents", json_object_new_object());
      (void)peer_map_read(p, g, node, nothing);
      peer_answered(p, node);
      note_bringing(g, node, false);
    } else if (rc != OME_E_CANCELLED) {
      peer_set_aside(p, node);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (rc != OME_OK)
      log_debug("agent", "%s: %s", url, err.msg);
  }
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

struct errand {
  bool announce, look;
  char *node; /* somebody unknown calls itself so */
};

/* Waits for something to do; false: it is over.  While nothing is fetched it sleeps. */
static bool wait_for_errand(struct peers *p, struct errand *out) {
  uint64_t due_ms = mono_ms() + LOOK_MS;
  bool due = false;

  (void)pthread_mutex_lock(&p->lock);
  while (!atomic_load(&p->stop) && !p->wanted_node && !p->must_announce && !due) {
    if (p->njobs == 0) {
      (void)pthread_cond_wait(&p->changed, &p->lock);
      due_ms = mono_ms() + LOOK_MS;
    } else {
      due = !cond_wait_until(&p->changed, &p->lock, due_ms);
    }
  }
  *out = (struct errand){.announce = p->must_announce, .look = due, .node = p->wanted_node};
  p->wanted_node = NULL;
  p->must_announce = false;
  (void)pthread_mutex_unlock(&p->lock);
  return !atomic_load(&p->stop);
}

/* The models that are being fetched, each used until it was looked at. */
static void look_for_all(struct peers *p) {
  VEC(struct peer_group *) groups = {0};
  struct ome_err err = ERR_INIT;

  (void)pthread_mutex_lock(&p->lock);
  for (struct strmap_iter it = strmap_first(p->groups); it.key; strmap_next(&it)) {
    struct peer_group *g = it.value;
    if (g->label && g->users && VEC_PUSH(&groups, g))
      g->users++;
  }
  (void)pthread_mutex_unlock(&p->lock);
  for (size_t i = 0; i < groups.len; i++) {
    size_t found;
    if (look(p, groups.items[i], &found, &err) != OME_OK)
      log_debug("agent", "peers of %s: %s", groups.items[i]->key, err.msg);
    ask_members(p, groups.items[i]);
    (void)pthread_mutex_lock(&p->lock);
    peer_group_leave(p, groups.items[i]);
    (void)pthread_mutex_unlock(&p->lock);
  }
  VEC_FREE(&groups);
}

static void meet(struct peers *p, const char *name) {
  _cleanup_free_ char *selector = str_printf("metadata.name=%s", name);
  _cleanup_json_ struct json_object *list = NULL;
  const struct kube_list_opts opts = {.fields = selector, .metadata_only = true};
  struct ome_err err = ERR_INIT;
  uint32_t index;

  if (!selector || kube_list(p->cfg.client, &KUBE_NODES, NULL, &opts, &list, &err) != OME_OK) {
    log_debug("agent", "a peer calls itself %.253s: %s", name, err.msg);
    return;
  }
  (void)pthread_mutex_lock(&p->lock);
  if (json_len(json_at(list, "items")) == 1)
    (void)learn_node_locked(p, json_index(json_at(list, "items"), 0), &index);
  (void)pthread_mutex_unlock(&p->lock);
}

static void *run(void *arg) {
  struct peers *p = arg;
  struct errand errand;

  (void)pthread_setname_np(pthread_self(), "peers");
  while (wait_for_errand(p, &errand)) {
    struct ome_err err = ERR_INIT;
    if (errand.announce && announce(p, &err) != OME_OK) {
      log_warning("agent", "node %s: annotation %s: %s", p->node, PEER_ANNOTATION, err.msg);
      err_clear(&err);
    }
    if (errand.node)
      meet(p, errand.node);
    free(errand.node);
    if (errand.look)
      look_for_all(p);
  }
  return NULL;
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b, void *peers) {
  const struct peers *p = peers;
  uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;

  return strcmp(i == SWARM_SELF ? p->node : p->nodes.items[i]->name,
                k == SWARM_SELF ? p->node : p->nodes.items[k]->name);
}

/* This node and those that have or want it, in the order of their names, which is the same everywhere. */
static void make_owners_locked(struct peers *p, struct peer_group *g) {
  bool ok = VEC_PUSH(&g->owners, SWARM_SELF);

  for (size_t i = 0; ok && i < g->members.len; i++)
    ok = VEC_PUSH(&g->owners, g->members.items[i]);
  qsort_r(g->owners.items, g->owners.len, sizeof(*g->owners.items), by_name, p);
}

static void nap(unsigned ms) {
  (void)nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

/* Looks until two looks in a row find the same nodes; the API being away is no reason not to fetch. */
static int32_t settle(struct peers *p, struct peer_group *g, bool (*cancelled)(void *), void *arg,
                      struct ome_err *err) {
  size_t before = SIZE_MAX, found;

  for (unsigned step = 0; step < SETTLE_STEPS; step++) {
    struct ome_err why = ERR_INIT;
    if (cancelled(arg) || atomic_load(&p->stop))
      return fail(err, OME_E_CANCELLED, "fetch: stopped");
    if (look(p, g, &found, &why) != OME_OK) {
      log_warning("agent", "%s: no other node is asked for it: %s", g->key, why.msg);
      return OME_OK;
    }
    if (found == before)
      return OME_OK;
    before = found;
    nap(SETTLE_STEP_MS);
  }
  return OME_OK;
}

/* Whether it is known of everybody who can be asked what there is. */
static bool all_have_answered(struct peers *p, const struct peer_group *g) {
  bool all = true;

  (void)pthread_mutex_lock(&p->lock);
  for (size_t i = 0; i < g->members.len; i++) {
    uint32_t node = g->members.items[i];
    all &= !peer_is_usable(p, node) || (node < g->maps.len && g->maps.items[node]);
  }
  (void)pthread_mutex_unlock(&p->lock);
  return all;
}

static struct peer_job *job_new(struct peers *p, const char *key, const char *label) {
  struct peer_job *job = calloc(1, sizeof(*job));

  if (!job)
    return NULL;
  job->peers = p;
  job->swarm = peer_swarm;
  job->swarm.arg = job;
  (void)pthread_mutex_lock(&p->lock);
  job->group = peer_group_use(p, key);
  if (job->group && !job->group->label)
    job->group->label = strdup(label);
  bool ok = job->group && job->group->label;
  p->njobs++;
  (void)pthread_cond_signal(&p->changed);
  (void)pthread_mutex_unlock(&p->lock);
  if (ok)
    return job;
  peers_leave(job);
  return NULL;
}

int32_t peers_begin(struct peers *p, const char *key, const char *label, struct peer_job **out, struct ome_err *err) {
  *out = p ? job_new(p, key, label) : NULL;
  return p && !*out ? fail_memory(err) : OME_OK;
}

/* What others may ask for from now on. */
static void expect_contents(struct peer_job *job, const struct manifest *m) {
  (void)pthread_mutex_lock(&job->peers->lock);
  for (size_t i = 0; i < m->files.len; i++)
    (void)peer_content_of(job->group, job->uri, job->revision, &m->files.items[i]);
  (void)pthread_mutex_unlock(&job->peers->lock);
}

int32_t peers_join(struct peer_job *job, const char *uri, const struct manifest *m, bool (*cancelled)(void *),
                   void *arg, struct ome_err *err) {
  if (!job)
    return OME_OK;
  struct peers *p = job->peers;
  job->uri = strdup(uri);
  job->revision = m->revision ? strdup(m->revision) : NULL;
  if (!job->uri || (m->revision && !job->revision))
    return fail_memory(err);
  expect_contents(job, m);
  int32_t rc = settle(p, job->group, cancelled, arg, err);
  if (rc != OME_OK)
    return rc;
  for (unsigned step = 0; step < ASK_STEPS && !cancelled(arg); step++) {
    ask_members(p, job->group);
    if (all_have_answered(p, job->group))
      break;
    nap(DENIED_MS);
  }
  (void)pthread_mutex_lock(&p->lock);
  if (job->group->owners.len == 0)
    make_owners_locked(p, job->group);
  (void)pthread_mutex_unlock(&p->lock);
  return OME_OK;
}

const struct transfer_swarm *peer_job_swarm(const struct peer_job *job) {
  return job ? &job->swarm : NULL;
}

void peers_leave(struct peer_job *job) {
  if (!job)
    return;
  struct peers *p = job->peers;
  (void)pthread_mutex_lock(&p->lock);
  p->njobs--;
  if (job->group) { /* what is in the store is read from there when somebody asks */
    job->group->forgotten = true;
    peer_group_leave(p, job->group);
  }
  (void)pthread_mutex_unlock(&p->lock);
  free(job->uri);
  free(job->revision);
  free(job);
}

void peers_forget(struct peers *p, const char *key) {
  if (!p)
    return;
  (void)pthread_mutex_lock(&p->lock);
  struct peer_group *g = strmap_get(p->groups, key);
  if (g && g->users)
    g->forgotten = true;
  else if (g)
    (void)strmap_del(p->groups, key);
  (void)pthread_mutex_unlock(&p->lock);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static int32_t start_server(struct peers *p, struct ome_err *err) {
  const char *const names[] = {p->address, NULL};
  int32_t rc = tls_make_own(p->node, names, CERT_DAYS, &p->identity, err);

  if (rc == OME_OK)
    rc = tls_server_context(&p->identity, TLS_ANY_CLIENT, &p->tls, err);
  if (rc == OME_OK)
    rc = loop_new("peers", &p->loop, err);
  if (rc == OME_OK)
    rc = http_client_new(NULL, &p->http, err);
  if (rc == OME_OK && p->cfg.models)
    rc = hub_api_new(p->loop, &(struct hub_api_config){.source = *p->cfg.models, .sent = peer_count_for_client},
                     &p->hub, err);
  const struct http_server_config cfg = {.address = p->address,
                                         .port = p->cfg.port,
                                         .tls = p->tls,
                                         .max_body = PEER_MAX_BODY,
                                         .max_bytes_per_second = p->cfg.max_bytes_per_second,
                                         .handler = peer_serve,
                                         .arg = p};
  if (rc == OME_OK)
    rc = http_server_new(p->loop, &cfg, &p->server, err);
  return rc == OME_OK ? rc : fail_prefix(err, "peers");
}

static int32_t start(struct peers *p, struct ome_err *err) {
  (void)pthread_mutex_init(&p->lock, NULL);
  cond_init(&p->changed);
  p->node = strdup(p->cfg.node);
  p->address = strdup(p->cfg.address);
  p->groups = strmap_new(peer_group_free);
  if (!p->node || !p->address || !p->groups)
    return fail_memory(err);
  int32_t rc = start_server(p, err);
  if (rc != OME_OK)
    return rc;
  p->announcement = announcement_of(p);
  p->must_announce = true;
  if (!p->announcement)
    return fail_memory(err);
  p->has_thread = pthread_create(&p->thread, NULL, run, p) == 0;
  return p->has_thread ? OME_OK : fail(err, OME_E_NO_MEMORY, "cannot start a thread");
}

int32_t peers_start(const struct peers_config *cfg, struct peers **out, struct ome_err *err) {
  struct peers *p = calloc(1, sizeof(*p));

  if (!p)
    return fail_memory(err);
  p->cfg = *cfg;
  int32_t rc = start(p, err);
  p->cfg.models = NULL; /* borrowed for the start */
  if (rc != OME_OK) {
    peers_stop(p);
    return rc;
  }
  *out = p;
  return OME_OK;
}

void peers_end(struct peers *p) {
  if (!p)
    return;
  (void)pthread_mutex_lock(&p->lock);
  atomic_store(&p->stop, true);
  (void)pthread_cond_broadcast(&p->changed);
  (void)pthread_mutex_unlock(&p->lock);
  if (p->has_thread)
    (void)pthread_join(p->thread, NULL);
  p->has_thread = false;
  if (p->server) {
    loop_call(p->loop, peer_serve_end, p);
    http_server_free(p->server);
  }
  p->server = NULL;
  hub_api_free(p->hub);
  p->hub = NULL;
}

void peers_stop(struct peers *p) {
  if (!p)
    return;
  peers_end(p);
  loop_free(p->loop);
  http_client_free(p->http);
  tls_context_free(p->tls);
  tls_pair_fini(&p->identity);
  if (p->groups)
    strmap_free(p->groups);
  for (size_t i = 0; i < p->nodes.len; i++)
    peer_node_free(p->nodes.items[i]);
  for (size_t i = 0; i < p->retired.len; i++)
    free(p->retired.items[i]);
  VEC_FREE(&p->nodes);
  VEC_FREE(&p->retired);
  VEC_FREE(&p->waiters);
  (void)pthread_cond_destroy(&p->changed);
  (void)pthread_mutex_destroy(&p->lock);
  free(p->announcement);
  free(p->own_labels);
  free(p->wanted_node);
  free(p->address);
  free(p->node);
  free(p);
}
