#include "agent/retry.h"

#include "agent/cause.h"
#include "base/str.h"
#include "base/strmap.h"
#include "os/file.h"

#include <pthread.h>
#include <string.h>

#define FIRST_MS 1000u
#define SAY_AGAIN_MS 300000u

struct entry {
  char request[65]; /* hashed */
  uint64_t not_before_ms, told_ms;
  uint32_t failures;
  struct ome_err last, told;
};

struct retries {
  pthread_mutex_t lock;
  struct strmap *entries;
};

struct retries *retries_new(void) {
  struct retries *r = calloc(1, sizeof(*r));

  if (!r)
    return NULL;
  (void)pthread_mutex_init(&r->lock, NULL);
  r->entries = strmap_new(free);
  if (!r->entries) {
    retries_free(r);
    return NULL;
  }
  return r;
}

void retries_free(struct retries *r) {
  strmap_free(r->entries);
  (void)pthread_mutex_destroy(&r->lock);
  free(r);
}

static struct entry *find_locked(struct retries *r, const char *key, const char *request) {
  struct entry *e = strmap_get(r->entries, key);
  char hash[65];

  sha256_hex(request, strlen(request), hash);
  return e && streq(e->request, hash) ? e : NULL;
}

uint32_t retries_count(struct retries *r, const char *key, const char *request) {
  (void)pthread_mutex_lock(&r->lock);
  const struct entry *e = find_locked(r, key, request);
  uint32_t n = e ? e->failures : 0;
  (void)pthread_mutex_unlock(&r->lock);
  return n;
}

uint64_t retries_wait_ms(struct retries *r, const char *key, const char *request, uint64_t now_ms,
                         struct ome_err *why) {
  (void)pthread_mutex_lock(&r->lock);
  const struct entry *e = find_locked(r, key, request);
  uint64_t ms = e && e->not_before_ms > now_ms ? e->not_before_ms - now_ms : 0;
  if (ms && why)
    *why = e->last;
  (void)pthread_mutex_unlock(&r->lock);
  return ms;
}

static struct entry *make_locked(struct retries *r, const char *key, const char *request) {
  struct entry *e = calloc(1, sizeof(*e));

  if (e && !strmap_put(r->entries, key, e)) {
    free(e);
    return NULL;
  }
  if (e)
    sha256_hex(request, strlen(request), e->request);
  return e;
}

/* Twice as long each time, less up to a quarter by chance: nodes that failed together do not come back together. */
static uint64_t back_off_ms(uint32_t failures, uint64_t longest_ms) {
  uint64_t ms = failures < 16 ? (uint64_t)FIRST_MS << failures : longest_ms;
  uint32_t chance;

  ms = ms < longest_ms ? ms : longest_ms;
  random_bytes(&chance, sizeof(chance));
  return ms - chance % (ms / 4 + 1);
}

bool retries_failed(struct retries *r, const char *key, const char *request, const struct ome_err *err,
                    uint64_t now_ms) {
  bool tell = true;

  (void)pthread_mutex_lock(&r->lock);
  struct entry *e = find_locked(r, key, request);
  if (!e)
    e = make_locked(r, key, request);
  if (e) {
    uint64_t wait = back_off_ms(e->failures++, cause_longest_wait_ms(cause_of(err)));
    e->not_before_ms = now_ms + (err->retry_after_ms > wait ? err->retry_after_ms : wait);
    e->last = *err;
    tell = !streq(e->told.msg, err->msg) || now_ms - e->told_ms >= SAY_AGAIN_MS;
    if (tell) {
      e->told = *err;
      e->told_ms = now_ms;
    }
  }
  (void)pthread_mutex_unlock(&r->lock);
  return tell;
}

void retries_forget(struct retries *r, const char *key) {
  (void)pthread_mutex_lock(&r->lock);
  (void)strmap_del(r->entries, key);
  (void)pthread_mutex_unlock(&r->lock);
}

/* new: the keys of those that failed with CODE and wait, which they do no more; NULL: out of memory. */
static struct strmap *relieve(struct retries *r, int32_t code) {
  struct strmap *keys = strmap_new(NULL);

  (void)pthread_mutex_lock(&r->lock);
  for (struct strmap_iter it = strmap_first(r->entries); keys && it.key; strmap_next(&it)) {
    struct entry *e = it.value;
    if (e->last.code == code && e->not_before_ms && strmap_put(keys, it.key, keys))
      e->not_before_ms = 0;
  }
  (void)pthread_mutex_unlock(&r->lock);
  return keys;
}

void retries_relieve(struct retries *r, int32_t code, void (*look)(void *arg, const char *key), void *arg) {
  struct strmap *keys = relieve(r, code);

  if (!keys)
    return; /* they are tried again by themselves, later */
  for (struct strmap_iter it = strmap_first(keys); it.key; strmap_next(&it))
    look(arg, it.key);
  strmap_free(keys);
}
