/* ome wait: until an object has a condition, or is gone. */
#include "base/clock.h"
#include "base/cond.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "kube/cache.h"
#include "kube/meta.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What is waited for, and the news that the cache's thread brings of it. */
struct waiting {
  const char *condition, *status; /* condition NULL: for the deletion */
  char text[256];                 /* the two above point into it */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool news;
};

static void on_change(void *arg, const struct kube_event *event) {
  struct waiting *w = arg;

  (void)event;
  (void)pthread_mutex_lock(&w->lock);
  w->news = true;
  (void)pthread_cond_signal(&w->changed);
  (void)pthread_mutex_unlock(&w->lock);
}

/* Until there is news; false at DUE_MS of mono_ms(). */
static bool wait_for_news(struct waiting *w, uint64_t due_ms) {
  (void)pthread_mutex_lock(&w->lock);
  while (!w->news && cond_wait_until(&w->changed, &w->lock, due_ms))
    continue;
  bool news = w->news;
  w->news = false;
  (void)pthread_mutex_unlock(&w->lock);
  return news;
}

/* "delete", "condition=NAME" or "condition=NAME=STATUS". */
static bool read_condition(struct waiting *w, const char *text) {
  if (streq(text, "delete"))
    return true;
  if (!has_prefix(text, "condition=") || strlen(text) >= sizeof(w->text))
    return false;
  (void)snprintf(w->text, sizeof(w->text), "%s", text + strlen("condition="));
  char *status = strchr(w->text, '=');
  if (status)
    *status++ = '\0';
  w->condition = w->text;
  w->status = status ? status : "True";
  return *w->condition && *w->status;
}

static bool is_met(const struct waiting *w, struct json_object *o) {
  if (!w->condition)
    return !o;
  const char *status = o ? meta_condition(o, w->condition) : NULL;
  return status && strcasecmp(status, w->status) == 0;
}

static int32_t wait_for(struct kube_client *client, const struct kube_resource *r, const char *ns, const char *name,
                        struct waiting *w, uint64_t timeout_s, struct ome_err *err) {
  _cleanup_free_ char *only = str_printf("metadata.name=%s", name);
  _cleanup_(kube_cache_freep) struct kube_cache *cache = NULL;
  const struct kube_cache_opts opts = {.ns = ns, .fields = only, .on_event = on_change, .arg = w};
  uint64_t due_ms = mono_ms() + timeout_s * 1000;
  int32_t rc = only ? kube_cache_new(client, r, &opts, &cache, err) : fail_memory(err);

  if (rc != OME_OK)
    return rc;
  if (!kube_cache_wait(cache, timeout_s * 1000))
    return fail(err, OME_E_DEADLINE, "%s %s: no answer within %llu s", r->kind, name, (unsigned long long)timeout_s);
  for (;;) {
    _cleanup_json_ struct json_object *o = kube_cache_get(cache, ns, name);
    if (is_met(w, o))
      return OME_OK;
    if (!o && w->condition)
      return fail(err, OME_E_NOT_FOUND, "%s %s is gone; it never had %s=%s", r->kind, name, w->condition, w->status);
    if (!wait_for_news(w, due_ms))
      return w->condition
                 ? fail(err, OME_E_DEADLINE, "%s %s: %s is still %s after %llu s, not %s", r->kind, name, w->condition,
                        meta_condition(o, w->condition) ? meta_condition(o, w->condition) : "unset",
                        (unsigned long long)timeout_s, w->status)
                 : fail(err, OME_E_DEADLINE, "%s %s is still there after %llu s", r->kind, name,
                        (unsigned long long)timeout_s);
  }
}

/* First asks for the object itself: a cache keeps trying where a plain answer says what is wrong. */
static int32_t look_and_wait(struct kube_client *client, const struct kube_resource *r, const char *ns,
                             const char *name, struct waiting *w, uint64_t timeout_s, struct ome_err *err) {
  _cleanup_json_ struct json_object *o = NULL;
  int32_t rc = kube_get(client, r, ns, name, &o, err);

  if (rc == OME_E_NOT_FOUND && !w->condition) { /* what is waited for to end has ended */
    err_clear(err);
    return OME_OK;
  }
  return rc == OME_OK ? wait_for(client, r, ns, name, w, timeout_s, err) : rc;
}

static int wait_main(const struct cli_command *self, int argc, char **argv) {
  const char *kubeconfig = NULL;
  const char *ns = NULL;
  const char *what = "condition=Ready";
  uint64_t timeout_s = 300;
  const struct cli_option options[] = {
      {0, "for", "WHAT", "condition=NAME[=STATUS] or delete (default: condition=Ready)", CLI_STRING, &what},
      {0, "timeout", "SECONDS", "give up after so long (default: 300)", CLI_UINT, &timeout_s},
      OPTION_NAMESPACE(&ns),
      OPTION_KUBECONFIG(&kubeconfig),
      {0},
  };
  struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER};
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  const struct kube_resource *r = NULL;
  struct ome_err err = ERR_INIT;

  cond_init(&w.changed);
  if (cli_parse(self, options, argc, argv) != 2 || !*argv[2])
    return cli_usage(self, "name a KIND and a NAME");
  if (!read_condition(&w, what))
    return cli_usage(self, "--for: \"%s\" is neither \"delete\" nor \"condition=NAME[=STATUS]\"", what);
  if (timeout_s > 86400)
    return cli_usage(self, "--timeout: at most 86400 seconds, one day");
  if (cli_connect(kubeconfig, NULL, &client, &err) != OME_OK || kube_discover_name(client, argv[1], &r, &err) != OME_OK)
    return cli_fail(&err);
  ns = !r->namespaced ? NULL : ns ? ns : kube_client_namespace(client);
  if (look_and_wait(client, r, ns, argv[2], &w, timeout_s, &err) != OME_OK)
    return cli_fail(&err);
  printf("%s/%s %s\n", r->resource, argv[2], w.condition ? "condition met" : "gone");
  return 0;
}

const struct cli_command cli_wait = {
    .name = "wait",
    .args = "KIND NAME",
    .summary = "wait until an object is ready, or gone",
    .help = "Exits with 1 when the time is over, and says what it waited for.\n\n"
            "  ome wait inferenceservice chat --timeout 60\n"
            "  ome wait clusterbasemodel tiny --for=delete",
    .run = wait_main,
};
