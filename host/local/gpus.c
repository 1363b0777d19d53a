/* Giving out GPUs. */
#include "local/gpus.h"

#include "base/str.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct gpus {
  pthread_mutex_t lock;
  int count;
  struct {
    char *uid, *container; /* NULL: free */
  } devices[GPUS_MAX];
};

int gpus_count(void) {
  DIR *d = opendir("/dev");
  int n = 0;

  for (struct dirent *e; d && (e = readdir(d));)
    n += has_prefix(e->d_name, "nvidia") && isdigit((unsigned char)e->d_name[strlen("nvidia")]);
  if (d)
    (void)closedir(d);
  return n < GPUS_MAX ? n : GPUS_MAX;
}

struct gpus *gpus_new(int count) {
  struct gpus *g = calloc(1, sizeof(*g));

  if (!g)
    return NULL;
  pthread_mutex_init(&g->lock, NULL);
  g->count = count < GPUS_MAX ? count : GPUS_MAX;
  return g;
}

static void give_back(struct gpus *g, int i) {
  free(g->devices[i].uid);
  free(g->devices[i].container);
  g->devices[i].uid = g->devices[i].container = NULL;
}

void gpus_free(struct gpus *g) {
  for (int i = 0; i < g->count; i++)
    give_back(g, i);
  pthread_mutex_destroy(&g->lock);
  free(g);
}

static bool is_of(const struct gpus *g, int i, const char *uid, const char *container) {
  return g->devices[i].uid && streq(g->devices[i].uid, uid) &&
         (!container || streq(g->devices[i].container, container));
}

/* Takes free devices until the container has N; how many it has then. */
static int take_locked(struct gpus *g, const char *uid, const char *container, int n) {
  int have = 0;

  for (int i = 0; i < g->count; i++)
    have += is_of(g, i, uid, container);
  for (int i = 0; i < g->count && have < n; i++) {
    if (g->devices[i].uid)
      continue;
    g->devices[i].uid = strdup(uid);
    g->devices[i].container = strdup(container);
    if (!g->devices[i].uid || !g->devices[i].container) {
      give_back(g, i);
      break;
    }
    have++;
  }
  return have;
}

bool gpus_take(struct gpus *g, const char *uid, const char *container, int n, char out[GPUS_TEXT]) {
  size_t len = 0;

  pthread_mutex_lock(&g->lock);
  bool enough = take_locked(g, uid, container, n) >= n;
  out[0] = '\0';
  for (int i = 0; i < g->count; i++) {
    if (!is_of(g, i, uid, container))
      continue;
    if (enough)
      len += (size_t)snprintf(out + len, GPUS_TEXT - len, "%s%d", len ? "," : "", i);
    else
      give_back(g, i);
  }
  pthread_mutex_unlock(&g->lock);
  return enough;
}

void gpus_release(struct gpus *g, const char *uid) {
  pthread_mutex_lock(&g->lock);
  for (int i = 0; i < g->count; i++)
    if (is_of(g, i, uid, NULL))
      give_back(g, i);
  pthread_mutex_unlock(&g->lock);
}
