#include "agent/node_hub.h"

#include "agent/internal.h"
#include "base/str.h"
#include "compose/names.h"
#include "kube/meta.h"
#include "os/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HF "hf://"

/* ---- who may see what -------------------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *list) {
  for (; *list; list++)
    if (streq(text, *list))
      return true;
  return false;
}

bool node_hub_is_open(struct json_object *model, bool has_token) {
  static const char *const harmless[] = {"revision", "include", "exclude", "paths", "sha256", "maxRate", NULL};
  struct json_object *parameters = json_at(model, "spec.storage.parameters");
  const char *uri = json_str(model, "spec.storage.storageUri", "");

  if (*json_str(model, "spec.storage.key", ""))
    return false;
  if (json_is(parameters, json_type_object)) {
    json_object_object_foreach (parameters, key, v) {
      (void)v;
      if (!is_one_of(key, harmless))
        return false;
    }
  }
  if (has_prefix(uri, HF))
    return !has_token;
  /* "https://user:password@host/..." and signed addresses are credentials themselves */
  return (has_prefix(uri, "https://") || has_prefix(uri, "http://")) && !strpbrk(uri, "@?");
}

/* "org/name" of "hf://org/name[@revision]", "name" where there is no organisation; new.  NULL: it is of another kind,
 * or a part of a repository. */
static char *repository_of(const char *uri) {
  if (!has_prefix(uri, HF))
    return NULL;
  const char *name = uri + strlen(HF);
  size_t n = strcspn(name, "@");
  const char *slash = memchr(name, '/', n);

  if (slash && memchr(slash + 1, '/', n - (size_t)(slash + 1 - name)))
    return NULL;
  return str_copy(name, n);
}

char *node_hub_name(const char *ns, struct json_object *model) {
  char *repository = repository_of(json_str(model, "spec.storage.storageUri", ""));
  const char *name = meta_name(model), *api_ns = name_api_ns(ns);

  if (repository || !name)
    return repository;
  return api_ns ? str_printf("%s/%s", api_ns, name) : strdup(name);
}

/* The commit or branch that MODEL names. */
static const char *revision_of(struct json_object *model) {
  const char *uri = json_str(model, "spec.storage.storageUri", ""), *at = strchr(uri, '@');

  return json_str(model, "spec.storage.parameters.revision", at && at[1] ? at + 1 : HUB_BRANCH);
}

enum node_hub_fit node_hub_fits(struct json_object *model, const char *commit, const char *revision) {
  if (!has_prefix(json_str(model, "spec.storage.storageUri", ""), HF) || streq(revision, commit) ||
      streq(revision, revision_of(model)))
    return NODE_HUB_MEANT;
  return streq(revision, HUB_BRANCH) ? NODE_HUB_INSTEAD : NODE_HUB_OTHER;
}

/* Whether hf:// is read with a token of the agent's own, where $HF_TOKEN and its relatives say it is. */
static bool has_own_token(void) {
  const char *token = getenv("HF_TOKEN"), *path = getenv("HF_TOKEN_PATH");
  const char *hf = getenv("HF_HOME"), *home = getenv("HOME");
  _cleanup_free_ char *file = path   ? strdup(path)
                              : hf   ? path_join(hf, "token")
                              : home ? path_join(home, ".cache/huggingface/token")
                                     : NULL;

  return (token && *token) || (file && access(file, F_OK) == 0);
}

/* ---- which one --------------------------------------------------------------------------------------------------- */

static const enum agent_watch kinds[] = {WATCH_CLUSTER_MODELS, WATCH_MODELS, WATCH_WEIGHTS};

/* Whether MODEL of NS is called NAME, may be seen, and is Ready on NODE. */
static bool is_served(struct json_object *node, const char *ns, struct json_object *model, const char *name) {
  _cleanup_free_ char *called = node_hub_name(ns, model);

  if (!called || !streq(called, name) || meta_deleting(model) || !node_hub_is_open(model, has_own_token()))
    return false;
  _cleanup_free_ char *label = name_model_label(ns, meta_name(model));
  const char *said = label ? meta_label(node, label) : NULL;
  return said && streq(said, "Ready");
}

/* What a client asks for, and the best that was found. */
struct search {
  struct agent *agent;
  const char *name, *revision;
  char *key, *uri; /* of it; NULL: nothing fits */
  const struct node_store *home;
  enum node_hub_fit fit;
  bool is_known; /* NAME is served, at whatever revision */
};

static void consider(struct search *s, const char *ns, struct json_object *model) {
  _cleanup_free_ char *key = name_model_key(ns, meta_name(model));
  const struct node_store *home = key ? stores_holding(&s->agent->stores, key) : NULL;
  _cleanup_json_ struct json_object *o = home ? model_store_reference(home->files, key, NULL) : NULL;

  if (!o)
    return;
  s->is_known = true;
  enum node_hub_fit fit = node_hub_fits(model, json_str(o, "revision", ""), s->revision);
  if (fit <= s->fit)
    return;
  s->fit = fit;
  free(s->key);
  free(s->uri);
  s->key = TAKE_PTR(key);
  s->home = home;
  s->uri = strdup(json_str(model, "spec.storage.storageUri", ""));
}

/* S->key, S->uri and S->home of what is there for everybody. */
static void search(struct search *s) {
  struct agent *a = s->agent;
  _cleanup_json_ struct json_object *node = kube_cache_get(a->caches[WATCH_NODE], NULL, a->node);

  for (size_t k = 0; node && k < ARRAY_LEN(kinds); k++) {
    _cleanup_json_ struct json_object *models = kube_cache_list(a->caches[kinds[k]], NULL);
    for (size_t i = 0; i < json_len(models); i++) {
      struct json_object *m = json_index(models, i);
      const char *ns = kinds[k] == WATCH_WEIGHTS ? NS_WEIGHTS : meta_namespace(m);
      ns = ns && *ns ? ns : NULL;
      if (is_served(node, ns, m, s->name))
        consider(s, ns, m);
    }
  }
}

/* ---- the source -------------------------------------------------------------------------------------------------- */

/* What the hub says of F: the store's digest where that is enough, else git's id as well, for which it is read. */
static int32_t add_file(const struct node_hub *h, struct repository *r, const struct model_store *store,
                        const struct manifest_file *f, const struct timespec *changed, const atomic_bool *stop,
                        struct ome_err *err) {
  struct repo_file out = {.path = f->path, .size = f->size, .changed = *changed};
  struct stat st;
  int32_t rc = OME_OK;

  (void)memcpy(out.digests.sha256, f->sha256, sizeof(out.digests.sha256));
  if (!repo_file_is_lfs(&out)) {
    _cleanup_close_ int fd = model_store_open_content(store, f->sha256, f->size);
    rc = fd < 0 ? fail(err, OME_E_BUSY, "%s: it is not as it was verified; it is fetched again", f->path)
                : repository_digest(fd, f->path, h->digests, stop, &out.digests, &st, err);
  }
  if (rc != OME_OK)
    return rc;
  return repository_add(r, &out) ? OME_OK : fail_memory(err);
}

/* What was found. */
static int32_t read_files(const struct node_hub *h, const struct search *s, const atomic_bool *stop,
                          struct repository **out, struct ome_err *err) {
  _cleanup_manifest_ struct manifest manifest = {0};
  _cleanup_json_ struct json_object *o = model_store_reference(s->home->files, s->key, &manifest);
  const char *commit = json_str(o, "revision", "");
  struct stat st = {0};

  if (!s->uri || !json_flag(o, "complete", false) || !streq(json_str(o, "uri", ""), s->uri))
    return fail(err, OME_E_NOT_FOUND, "%s: it is not Ready here", s->name);
  _cleanup_(repository_freep) struct repository *r = repository_new(s->name, s->key);
  if (!r)
    return fail_memory(err);
  if (hub_is_commit(commit))
    (void)memcpy(r->commit, commit, HUB_COMMIT_LEN + 1);
  (void)stat(json_str(o, "path", ""), &st); /* when it was laid out */
  int32_t rc = OME_OK;
  for (size_t i = 0; rc == OME_OK && i < manifest.files.len; i++)
    rc = add_file(h, r, s->home->files, &manifest.files.items[i], &st.st_mtim, stop, err);
  if (rc == OME_OK)
    rc = repository_finish(r, err);
  if (rc == OME_OK)
    *out = TAKE_PTR(r);
  return rc;
}

static int32_t read_model(void *arg, const char *name, const char *revision, const atomic_bool *stop,
                          struct repository **out, struct ome_err *err) {
  const struct node_hub *h = arg;
  struct search s = {.agent = h->agent, .name = name, .revision = revision};
  int32_t rc;

  search(&s);
  if (s.key)
    rc = read_files(h, &s, stop, out, err);
  else if (s.is_known)
    rc = fail(err, OME_E_INVALID, "%s: no model of it is of %s", name, revision);
  else
    rc = fail(err, OME_E_NOT_FOUND, "%s: no model of this name is Ready here for everybody", name);
  free(s.key);
  free(s.uri);
  return rc;
}

static int open_file(void *arg, const struct repository *r, const struct repo_file *f) {
  const struct node_hub *h = arg;
  const struct node_store *home = stores_holding(&h->agent->stores, r->place);

  return home ? model_store_open_content(home->files, f->digests.sha256, f->size) : -1;
}

struct hub_source node_hub_source(struct node_hub *h) {
  return (struct hub_source){.read = read_model, .open = open_file, .arg = h};
}
