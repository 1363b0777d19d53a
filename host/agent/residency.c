#include "agent/residency.h"

#include "base/str.h"
#include "base/strmap.h"

#include <stdio.h>
#include <stdlib.h>

/* One content, and how many models have it. */
struct held {
  uint64_t bytes;
  uint32_t holders, staying;
};

struct tally {
  struct strmap *contents; /* id -> struct held */
  uint64_t used, staying;
};

void residency_fini(struct residency_decision *d) {
  VEC_FREE(&d->evict);
}

struct residency_limits residency_limits_of(uint64_t capacity, unsigned percent_high, unsigned percent_low) {
  unsigned high = percent_high < 100 ? percent_high : 100;
  unsigned low = percent_low < high ? percent_low : high;

  return (struct residency_limits){capacity, capacity / 100 * high + capacity % 100 * high / 100,
                                   capacity / 100 * low + capacity % 100 * low / 100};
}

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static bool count_content(struct tally *t, const struct residency_content *c, bool stays) {
  struct held *h = strmap_get(t->contents, c->id);

  if (!h) {
    h = calloc(1, sizeof(*h));
    if (!h || !strmap_put(t->contents, c->id, h)) {
      free(h);
      return false;
    }
    h->bytes = c->bytes;
    t->used += h->bytes;
  }
  h->holders++;
  if (stays && h->staying++ == 0)
    t->staying += h->bytes;
  return true;
}

static int32_t count_all(struct tally *t, const struct resident *models, size_t n, struct ome_err *err) {
  t->contents = strmap_new(free);
  if (!t->contents)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < models[i].ncontents; j++)
      if (!count_content(t, &models[i].contents[j], models[i].stays))
        return fail_memory(err);
  return OME_OK;
}

/* ---- who goes ---------------------------------------------------------------------------------------------------- */

/* Whether anything of M would be free when all that may go has gone. */
static bool frees_anything(const struct tally *t, const struct resident *m) {
  for (size_t i = 0; i < m->ncontents; i++) {
    const struct held *h = strmap_get(t->contents, m->contents[i].id);
    if (h->staying == 0 && h->bytes)
      return true;
  }
  return false;
}

/* Bytes that are free when M goes after those before it.  A model lists a content once for each of its files. */
static uint64_t let_go(struct tally *t, const struct resident *m) {
  uint64_t freed = 0;

  for (size_t i = 0; i < m->ncontents; i++) {
    struct held *h = strmap_get(t->contents, m->contents[i].id);
    if (--h->holders == 0)
      freed += h->bytes;
  }
  return freed;
}

static int by_turn(const void *a, const void *b, void *arg) {
  const struct resident *models = arg;
  const struct resident *x = &models[*(const size_t *)a];
  const struct resident *y = &models[*(const size_t *)b];

  if (x->leaving != y->leaving)
    return x->leaving ? -1 : 1;
  if (x->used != y->used)
    return x->used < y->used ? -1 : 1;
  return strcmp(x->key, y->key);
}

/* All that may go, in the order of going. */
static int32_t candidates(const struct tally *t, const struct resident *models, size_t n,
                          struct residency_decision *out, struct ome_err *err) {
  for (size_t i = 0; i < n; i++)
    if (!models[i].stays && frees_anything(t, &models[i]) && !VEC_PUSH(&out->evict, i))
      return fail_memory(err);
  if (out->evict.len)
    qsort_r(out->evict.items, out->evict.len, sizeof(*out->evict.items), by_turn, (void *)(uintptr_t)models);
  return OME_OK;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void say(struct residency_decision *d, const struct residency_limits *limits, uint64_t coming, uint64_t need) {
  char wanted[32], all[32], staying[32], on_way[32];

  format_bytes(need, wanted);
  format_bytes(limits->capacity, all);
  format_bytes(d->staying, staying);
  format_bytes(coming, on_way);
  if (d->verdict == RESIDENCY_REFUSE)
    (void)snprintf(d->why, sizeof(d->why),
                   "it needs %s and the node's store holds %s at most; give the store more, or keep the model off this "
                   "node",
                   wanted, all);
  else
    (void)snprintf(d->why, sizeof(d->why),
                   "it needs %s of the store's %s, of which models in use, pinned or reserved have %s and others on "
                   "their way %s; it comes when there is room",
                   wanted, all, staying, on_way);
}

/* ---- decision ---------------------------------------------------------------------------------------------------- */

int32_t residency_decide(const struct residency_limits *limits, const struct resident *models, size_t n,
                         uint64_t coming, uint64_t need, struct residency_decision *out, struct ome_err *err) {
  struct tally t = {.contents = NULL};
  size_t going = 0;

  *out = (struct residency_decision){.verdict = RESIDENCY_FITS};
  int32_t rc = count_all(&t, models, n, err);
  if (rc == OME_OK)
    rc = candidates(&t, models, n, out, err);
  uint64_t total = t.used + coming + need;
  out->used = t.used;
  out->staying = t.staying;
  if (rc == OME_OK && total > limits->high)
    for (; going < out->evict.len && total > limits->low; going++)
      total -= let_go(&t, &models[out->evict.items[going]]);
  out->evict.len = going;
  if (need > limits->capacity)
    out->verdict = RESIDENCY_REFUSE;
  else if (total > limits->capacity && need)
    out->verdict = RESIDENCY_WAIT;
  else if (going)
    out->verdict = RESIDENCY_EVICT;
  if (out->verdict == RESIDENCY_REFUSE || out->verdict == RESIDENCY_WAIT) {
    out->evict.len = 0; /* nobody goes for nothing */
    say(out, limits, coming, need);
  }
  strmap_free(t.contents);
  return rc;
}
