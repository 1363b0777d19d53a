#include "cli/progress.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/cache.h"
#include "kube/meta.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { WATCH_SERVICES, WATCH_PODS, WATCH_MODELS, WATCH_CLUSTER_MODELS, WATCH_NODES, WATCHES };

/* The controller may hear of a service before it hears of the model or runtime that was applied in front of it: what it
 * finds wrong then is gone in a moment. */
#define DOUBT_MS 2000u

struct progress {
  struct kube_client *client;
  struct json_object *docs;
  FILE *report;
  bool terminal;
  uint64_t due_ms;      /* mono_ms() */
  uint64_t doubt_until; /* mono_ms(): a service that is refused until then is; 0: none is */
  int64_t began_ms;     /* of the platform: what pods said before is of another one */
  int ready_fd;
  pthread_t thread;
  struct kube_cache *caches[WATCHES];
  struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool dirty, stop;
  } shared;
  char last[512]; /* the line printed last */
};

enum outcome { WAITING, READY, REFUSED /* a service, which may be a matter of order */, FAILED };

void progress_tell(FILE *report, int ready_fd, int code) {
  uint8_t byte = (uint8_t)code;
  _cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

  (void)fflush(report);
  if (null >= 0)
    (void)dup3(null, fileno(report), O_CLOEXEC);
  ssize_t n = write(ready_fd, &byte, 1);
  (void)n; /* nobody waits any more */
}

static void on_change(void *arg, const struct kube_event *event) {
  struct progress *p = arg;

  (void)event;
  (void)pthread_mutex_lock(&p->shared.lock);
  p->shared.dirty = true;
  (void)pthread_cond_signal(&p->shared.changed);
  (void)pthread_mutex_unlock(&p->shared.lock);
}

/* Waits for a change, the deadline or the end.  False at the end. */
static bool wait_for_change(struct progress *p) {
  uint64_t until = p->doubt_until && p->doubt_until < p->due_ms ? p->doubt_until : p->due_ms;

  (void)pthread_mutex_lock(&p->shared.lock);
  while (!p->shared.dirty && !p->shared.stop && cond_wait_until(&p->shared.changed, &p->shared.lock, until))
    continue;
  p->shared.dirty = false;
  bool go_on = !p->shared.stop;
  (void)pthread_mutex_unlock(&p->shared.lock);
  return go_on;
}

static void say(struct progress *p, const char *line, bool keep) {
  if (streq(line, p->last) && !keep)
    return;
  if (p->terminal)
    fprintf(p->report, "\r\033[K%s%s", line, keep ? "\n" : "");
  else
    fprintf(p->report, "%s\n", line);
  (void)fflush(p->report);
  (void)snprintf(p->last, sizeof(p->last), "%s", keep ? "" : line);
}

/* The node's record of model KEY (see agent/record.h): new; NULL when there is none. */
static struct json_object *node_entry(struct progress *p, const char *key) {
  _cleanup_json_ struct json_object *maps = kube_cache_list(p->caches[WATCH_NODES], "ome");
  struct ome_err err = ERR_INIT;

  for (size_t i = 0; i < json_len(maps); i++) {
    struct json_object *text = json_get(json_at(json_index(maps, i), "data"), key);
    struct json_object *entry = NULL;
    const char *s = text ? json_object_get_string(text) : NULL;
    if (s && json_parse(s, strlen(s), 0, &entry, &err) == OME_OK)
      return entry;
  }
  return NULL;
}

/* "12.3 MiB of 93.8 MiB, 40.1 MiB/s" */
static void describe_download(struct json_object *entry, char *out, size_t size) {
  char done[32];
  char total[32];
  char speed[32];
  struct json_object *rate = json_at(entry, "progress.speedBytesPerSec");

  format_bytes((uint64_t)json_i64(entry, "progress.completedBytes", 0), done);
  format_bytes((uint64_t)json_i64(entry, "progress.totalBytes", 0), total);
  format_bytes((uint64_t)(rate ? json_object_get_double(rate) : 0), speed);
  (void)snprintf(out, size, "%s of %s, %s/s", done, total, speed);
}

static enum outcome look_at_model(struct progress *p, struct json_object *doc, bool cluster, char *line, size_t size) {
  _cleanup_json_ struct json_object *model = kube_cache_get(p->caches[cluster ? WATCH_CLUSTER_MODELS : WATCH_MODELS],
                                                            cluster ? NULL : meta_namespace(doc), meta_name(doc));
  _cleanup_free_ char *key = cluster ? str_printf("clusterbasemodel.%s", meta_name(doc))
                                     : str_printf("%s.basemodel.%s", meta_namespace(doc), meta_name(doc));
  _cleanup_json_ struct json_object *entry = key ? node_entry(p, key) : NULL;
  const char *state = json_str(model, "status.state", "");
  const char *why = json_str(entry, "message", "");
  char download[160] = "waiting for a node";

  if (streq(state, "Ready"))
    return READY;
  if (json_at(entry, "progress"))
    describe_download(entry, download, sizeof(download));
  else if (*why)
    (void)snprintf(download, sizeof(download), "%s", why);
  (void)snprintf(line, size, "model %s: %s", meta_name(doc), download);
  if (streq(json_str(entry, "status", state), "Failed"))
    return FAILED;
  return WAITING;
}

static struct json_object *condition(struct json_object *o, const char *type) {
  return json_find(json_at(o, "status.conditions"), "type", type);
}

static bool is_serving(const struct progress *p, struct json_object *pod) {
  struct json_object *container = json_index(json_at(pod, "status.containerStatuses"), 0);
  int64_t started = 0;

  return streq(json_str(condition(pod, "Ready"), "status", ""), "True") &&
         time_parse(json_str(container, "state.running.startedAt", ""), &started) && started >= p->began_ms;
}

/* A service that was Ready when the platform stopped says so until its pods have started again.  One without pods is
 * served elsewhere, or scaled to zero. */
static bool is_served(const struct progress *p, struct json_object *service) {
  _cleanup_json_ struct json_object *pods = kube_cache_list(p->caches[WATCH_PODS], meta_namespace(service));
  bool any = false;

  for (size_t i = 0; i < json_len(pods); i++) {
    struct json_object *pod = json_index(pods, i);
    if (!streq(meta_label(pod, LABEL_SERVICE), meta_name(service)))
      continue;
    if (is_serving(p, pod))
      return true;
    any = true;
  }
  return !any;
}

static enum outcome look_at_service(struct progress *p, struct json_object *doc, char *line, size_t size) {
  _cleanup_json_ struct json_object *service =
      kube_cache_get(p->caches[WATCH_SERVICES], meta_namespace(doc), meta_name(doc));
  struct json_object *ready = condition(service, "Ready");
  const char *message = json_str(ready, "message", "waiting for the controller");
  const char *transition = json_str(service, "status.modelStatus.transitionStatus", "");

  if (streq(json_str(ready, "status", ""), "True") && json_at(service, "status.url")) {
    if (is_served(p, service))
      return READY;
    message = "its pods start again";
  }
  (void)snprintf(line, size, "service %s: %s", meta_name(doc),
                 *message ? message : json_str(ready, "reason", "starting"));
  return streq(transition, "BlockedByFailedLoad") || streq(transition, "InvalidSpec") ? REFUSED : WAITING;
}

/* All of DOCS together: the first that is not Ready decides what is said. */
static enum outcome look(struct progress *p, char *line, size_t size) {
  enum outcome all = READY;

  for (size_t i = 0; i < json_len(p->docs); i++) {
    struct json_object *doc = json_index(p->docs, i);
    const char *kind = json_str(doc, "kind", "");
    enum outcome one = READY;
    char text[512] = "";
    if (streq(kind, "ClusterBaseModel") || streq(kind, "BaseModel"))
      one = look_at_model(p, doc, streq(kind, "ClusterBaseModel"), text, sizeof(text));
    else if (streq(kind, "InferenceService"))
      one = look_at_service(p, doc, text, sizeof(text));
    if (one != READY && (all == READY || one > all)) {
      all = one;
      (void)snprintf(line, size, "%s", text);
    }
  }
  return all;
}

static void print_endpoints(struct progress *p) {
  for (size_t i = 0; i < json_len(p->docs); i++) {
    struct json_object *doc = json_index(p->docs, i);
    if (!streq(json_str(doc, "kind", ""), "InferenceService"))
      continue;
    _cleanup_json_ struct json_object *service =
        kube_cache_get(p->caches[WATCH_SERVICES], meta_namespace(doc), meta_name(doc));
    const char *url = json_str(service, "status.url", "");
    fprintf(p->report,
            "service %s is Ready: %s\n\n  curl %s/v1/chat/completions -H 'Content-Type: application/json' \\\n"
            "    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Say hello.\"}]}'\n\n",
            meta_name(doc), url, url);
  }
  (void)fflush(p->report);
}

static void finish(struct progress *p, enum outcome outcome, const char *line) {
  char text[600];

  if (outcome == READY) {
    say(p, "everything is Ready", true);
    print_endpoints(p);
  } else {
    (void)snprintf(text, sizeof(text), "%s: %s", outcome == FAILED ? "failed" : "not Ready in time", line);
    say(p, text, true);
  }
  if (p->ready_fd >= 0)
    progress_tell(p->report, p->ready_fd, outcome == READY ? 0 : 1);
}

/* What is refused for long enough has failed. */
static enum outcome without_doubt(struct progress *p, enum outcome outcome) {
  if (outcome != REFUSED) {
    p->doubt_until = 0;
    return outcome;
  }
  if (!p->doubt_until)
    p->doubt_until = mono_ms() + DOUBT_MS;
  return mono_ms() >= p->doubt_until ? FAILED : WAITING;
}

static void *follow(void *arg) {
  struct progress *p = arg;
  char line[512] = "";

  for (int i = 0; i < WATCHES; i++)
    (void)kube_cache_wait(p->caches[i], 10000);
  do {
    enum outcome outcome = without_doubt(p, look(p, line, sizeof(line)));
    bool late = mono_ms() >= p->due_ms;
    if (outcome != WAITING || late) {
      finish(p, outcome, line);
      return NULL;
    }
    say(p, line, false);
  } while (wait_for_change(p));
  return NULL;
}

static int32_t start_watches(struct progress *p, struct ome_err *err) {
  static const struct {
    const struct kube_resource *resource;
    const char *ns, *labels;
  } watches[WATCHES] = {
      [WATCH_SERVICES] = {&KUBE_INFERENCESERVICES, NULL, NULL},
      [WATCH_PODS] = {&KUBE_PODS, NULL, LABEL_SERVICE},
      [WATCH_MODELS] = {&KUBE_BASEMODELS, NULL, NULL},
      [WATCH_CLUSTER_MODELS] = {&KUBE_CLUSTERBASEMODELS, NULL, NULL},
      [WATCH_NODES] = {&KUBE_CONFIGMAPS, "ome", "models.ome/basemodel-status=true"},
  };

  for (int i = 0; i < WATCHES; i++) {
    const struct kube_cache_opts opts = {
        .ns = watches[i].ns, .labels = watches[i].labels, .on_event = on_change, .arg = p};
    int32_t rc = kube_cache_new(p->client, watches[i].resource, &opts, &p->caches[i], err);
    if (rc != OME_OK)
      return rc;
  }
  return OME_OK;
}

static void release(struct progress *p) {
  for (int i = 0; i < WATCHES; i++)
    kube_cache_free(p->caches[i]);
  (void)pthread_mutex_destroy(&p->shared.lock);
  (void)pthread_cond_destroy(&p->shared.changed);
  json_unref(p->docs);
  free(p);
}

int32_t progress_start(struct kube_client *client, struct json_object *docs, const struct progress_config *cfg,
                       struct progress **out, struct ome_err *err) {
  struct progress *p = calloc(1, sizeof(*p));

  if (!p)
    return fail_memory(err);
  p->client = client;
  p->docs = json_copy(docs);
  p->report = cfg->report;
  p->terminal = isatty(fileno(cfg->report)) == 1;
  p->due_ms = mono_ms() + cfg->timeout_ms;
  p->began_ms = cfg->began_ms / 1000 * 1000; /* pods tell whole seconds */
  p->ready_fd = cfg->ready_fd;
  (void)pthread_mutex_init(&p->shared.lock, NULL);
  cond_init(&p->shared.changed);
  int32_t rc = start_watches(p, err);
  if (rc == OME_OK && pthread_create(&p->thread, NULL, follow, p) != 0)
    rc = fail(err, OME_E_NO_MEMORY, "cannot start a thread");
  if (rc != OME_OK) {
    release(p);
    return rc;
  }
  *out = p;
  return OME_OK;
}

void progress_stop(struct progress *p) {
  if (!p)
    return;
  (void)pthread_mutex_lock(&p->shared.lock);
  p->shared.stop = true;
  (void)pthread_cond_signal(&p->shared.changed);
  (void)pthread_mutex_unlock(&p->shared.lock);
  (void)pthread_join(p->thread, NULL);
  release(p);
}
