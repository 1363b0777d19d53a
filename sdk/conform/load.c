/* Checks of loading and of what the descriptor says. */
#include "internal.h"

#include <ctype.h>
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

bool subject_load(struct subject *s, struct verdict *v) {
  union {
    void *data;
    ome_plugin_fn *fn;
  } entry;
  void *module = dlopen(s->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

  if (!module) {
    const char *why = dlerror();
    verdict_fail(v, "%s", why ? why : "cannot be loaded");
    return false;
  }
  entry.data = dlsym(module, OME_PLUGIN_SYMBOL);
  s->plugin = entry.data ? entry.fn() : NULL;
  if (!s->plugin)
    verdict_fail(v, entry.data ? OME_PLUGIN_SYMBOL "() gave NULL" : "does not export " OME_PLUGIN_SYMBOL);
  else if (entry.fn() != s->plugin)
    verdict_fail(v, OME_PLUGIN_SYMBOL "() gives another descriptor each time");
  return s->plugin && v->outcome != CONFORM_FAIL;
}

void subject_name(const struct ome_factory *f, char *out, size_t size) {
  (void)snprintf(out, size, "%s %s", f->kind ? f->kind : "?", f->name ? f->name : "?");
}

/* ---- side effects ----------------------------------------------------------------------------------------------- */

/* What loading must leave as it is. */
struct world {
  size_t threads, fds;
  uint64_t environment, handlers;
};

static uint64_t mix(uint64_t hash, const void *data, size_t len) {
  const unsigned char *p = data;

  for (size_t i = 0; i < len; i++)
    hash = (hash ^ p[i]) * 0x100000001b3u;
  return hash;
}

static size_t count_entries(const char *folder) {
  DIR *d = opendir(folder);
  size_t n = 0;

  while (d && readdir(d))
    n++;
  if (d)
    (void)closedir(d);
  return n;
}

static struct world look(void) {
  struct world w = {.threads = count_entries("/proc/self/task"), .fds = count_entries("/proc/self/fd")};

  for (char **e = environ; e && *e; e++)
    w.environment = mix(w.environment, *e, strlen(*e) + 1);
  for (int sig = 1; sig < NSIG; sig++) {
    struct sigaction action;
    if (sigaction(sig, NULL, &action) == 0)
      w.handlers = mix(w.handlers, &action.sa_handler, sizeof(action.sa_handler));
  }
  return w;
}

void check_side_effects(struct subject *s, struct verdict *v) {
  struct world before = look();

  if (!subject_load(s, v))
    return;
  struct world after = look();
  if (before.threads != after.threads)
    verdict_fail(v, "loading it starts a thread");
  else if (before.fds != after.fds)
    verdict_fail(v, "loading it opens a file");
  else if (before.environment != after.environment)
    verdict_fail(v, "loading it changes the environment");
  else if (before.handlers != after.handlers)
    verdict_fail(v, "loading it changes a signal handler");
}

/* ---- the descriptor --------------------------------------------------------------------------------------------- */

void check_load(struct subject *s, struct verdict *v) {
  if (!subject_load(s, v))
    return;
  if (s->plugin->struct_size < UP_TO(ome_plugin, factories) || !s->plugin->factories) {
    verdict_fail(v, "its descriptor is too small or has no factories");
    return;
  }
  while (v->nfactories < 256 && s->plugin->factories[v->nfactories])
    v->nfactories++;
}

static bool is_name(const char *s) {
  size_t n = s ? strlen(s) : 0;

  if (n == 0 || n > 40 || s[0] == '-')
    return false;
  for (size_t i = 0; i < n; i++)
    if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-')
      return false;
  return true;
}

static const struct method *first_method(const char *kind) {
  for (const struct method *m = conform_methods; m->name; m++)
    if (strcmp(m->kind, kind) == 0)
      return m;
  return NULL;
}

static void check_factory(const struct ome_factory *f, struct verdict *v) {
  uint32_t ops_size = 0;

  if (f->struct_size < UP_TO(ome_factory, destroy))
    verdict_fail(v, "a factory's struct_size is %u, ABI 1.0 has %zu", f->struct_size, UP_TO(ome_factory, destroy));
  else if (!is_name(f->name))
    verdict_fail(v, "a factory's name is not of the form [a-z0-9][a-z0-9-]{0,39}");
  else if (!f->kind || !f->ops || !f->create != !f->destroy)
    verdict_fail(v, "%s: kind or ops is NULL, or only one of create and destroy is", f->name);
  else if (f->threads > OME_THREADS_PARALLEL)
    verdict_fail(v, "%s: unknown thread ceiling %u", f->name, f->threads);
  else {
    memcpy(&ops_size, f->ops, sizeof(ops_size));
    if (ops_size < sizeof(uint32_t) * 2 + sizeof(void *) || ops_size > 4096)
      verdict_fail(v, "%s: its table has struct_size %u", f->name, ops_size);
  }
}

static bool is_text(const char *s) {
  return s && *s;
}

static void check_plugin(const struct ome_plugin *p, struct verdict *v) {
  if (p->abi_epoch != OME_ABI_EPOCH)
    verdict_fail(v, "abi_epoch is %u, not %u", p->abi_epoch, OME_ABI_EPOCH);
  if (p->min_host_minor > p->abi_minor)
    verdict_fail(v, "min_host_minor %u is above its own abi_minor %u", p->min_host_minor, p->abi_minor);
  if (!is_text(p->name) || !is_text(p->version) || !is_text(p->license) || !is_text(p->summary))
    verdict_fail(v, "name, version, license or summary is missing");
  if (!p->factories[0])
    verdict_fail(v, "it has no factories");
}

void check_descriptor(struct subject *s, struct verdict *v) {
  if (!subject_load(s, v))
    return;
  check_plugin(s->plugin, v);
  for (size_t i = 0; s->plugin->factories[i] && v->outcome != CONFORM_FAIL; i++) {
    const struct ome_factory *f = s->plugin->factories[i];
    check_factory(f, v);
    for (size_t k = 0; k < i && v->outcome != CONFORM_FAIL; k++) {
      const struct ome_factory *other = s->plugin->factories[k];
      if (strcmp(f->kind, other->kind) == 0 && strcmp(f->name, other->name) == 0)
        verdict_fail(v, "there are two factories %s %s", f->kind, f->name);
    }
    if (v->outcome != CONFORM_FAIL && !first_method(f->kind))
      verdict_skip(v, "%s is of kind %s, which this kit does not know", f->name, f->kind);
  }
}

static bool is_key_name(const char *s) {
  if (!s || !islower((unsigned char)*s))
    return false;
  while (islower((unsigned char)*s) || isdigit((unsigned char)*s) || *s == '_')
    s++;
  return !*s;
}

static void check_key(const struct ome_factory *f, const struct ome_key *k, struct verdict *v) {
  if (k->struct_size < UP_TO(ome_key, doc) || !is_key_name(k->name))
    verdict_fail(v, "%s: a key is too small or its name is not of the form [a-z][a-z0-9_]*", f->name);
  else if (!k->doc || !*k->doc || strchr(k->doc, '\n'))
    verdict_fail(v, "%s: key %s needs a doc of one sentence", f->name, k->name);
  else if (k->type > OME_KEY_SECRET)
    verdict_fail(v, "%s: key %s is of unknown type %u", f->name, k->name, k->type);
  else if ((k->flags & OME_KEY_REQUIRED) && k->dflt)
    verdict_fail(v, "%s: key %s is required and has a default", f->name, k->name);
  else if (k->type == OME_KEY_SECRET && k->dflt)
    verdict_fail(v, "%s: key %s is a secret and has a default", f->name, k->name);
}

void check_keys(struct subject *s, struct verdict *v) {
  if (!subject_load(s, v))
    return;
  for (const struct ome_factory *const *f = s->plugin->factories; *f; f++)
    for (size_t i = 0; (*f)->keys && (*f)->keys[i]; i++) {
      check_key(*f, (*f)->keys[i], v);
      for (size_t k = 0; k < i && v->outcome != CONFORM_FAIL; k++)
        if (strcmp((*f)->keys[k]->name, (*f)->keys[i]->name) == 0)
          verdict_fail(v, "%s: there are two keys %s", (*f)->name, (*f)->keys[i]->name);
      if (v->outcome == CONFORM_FAIL)
        return;
    }
}
