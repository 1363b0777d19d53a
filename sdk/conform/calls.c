/* Checks of a factory's methods. */
#include "internal.h"

#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROUNDS 1000u
#define ANSWER_MS 100u /* how soon a call without time left must be back */
#define MAX_KEYS 256

/* ---- instances -------------------------------------------------------------------------------------------------- */

/* Values for every key that has a default or must have one. */
static uint32_t sample_config(const struct ome_factory *f, struct ome_kv out[MAX_KEYS]) {
  static const char *const samples[] = {
      [OME_KEY_STRING] = "conform", [OME_KEY_BOOL] = "true",     [OME_KEY_INT] = "1",
      [OME_KEY_SIZE] = "1048576",   [OME_KEY_DURATION] = "1000", [OME_KEY_SECRET] = "conform",
  };
  uint32_t n = 0;

  for (size_t i = 0; f->keys && f->keys[i] && n < MAX_KEYS; i++) {
    const struct ome_key *k = f->keys[i];
    bool text = k->type == OME_KEY_STRING || k->type == OME_KEY_BOOL || k->type == OME_KEY_INT;
    if (k->dflt && text)
      out[n++] = (struct ome_kv){k->name, k->dflt};
    else if (k->dflt || (k->flags & OME_KEY_REQUIRED))
      out[n++] = (struct ome_kv){k->name, samples[k->type]};
  }
  return n;
}

static bool error_is_well_formed(int32_t rc, const struct ome_err *err, const char *method, struct verdict *v) {
  if (rc > 0)
    verdict_fail(v, "%s() returned %d; OME_OK or a negative OME_E_* is expected", method, rc);
  else if (rc < OME_OK && !memchr(err->msg, 0, sizeof(err->msg)))
    verdict_fail(v, "%s() failed and did not fill its error", method);
  else if (rc < OME_OK && err->code != rc)
    verdict_fail(v, "%s() returned %d and filled in the code %d", method, rc, err->code);
  else if (rc < OME_OK && (!err->msg[0] || strchr(err->msg, '\n')))
    verdict_fail(v, "%s() failed without a sentence of one line", method);
  return v->outcome != CONFORM_FAIL;
}

bool subject_make(const struct subject *s, void **self, struct verdict *v) {
  struct ome_kv config[MAX_KEYS];
  struct ome_err err;

  *self = NULL;
  if (!s->factory->create)
    return true;
  memset(&err, 0xA5, sizeof(err));
  int32_t rc = s->factory->create(conform_host(), config, sample_config(s->factory, config), self, &err);
  if (!error_is_well_formed(rc, &err, "create", v))
    return false;
  if (rc != OME_OK)
    verdict_skip(v, "create() refuses the sample configuration: %s", err.msg);
  return rc == OME_OK;
}

void subject_unmake(const struct subject *s, void *self) {
  if (s->factory->destroy)
    s->factory->destroy(self);
}

static size_t open_files(void) {
  DIR *d = opendir("/proc/self/fd");
  size_t n = 0;

  while (d && readdir(d))
    n++;
  if (d)
    (void)closedir(d);
  return n;
}

/* A thousand lives cost nothing that stays. */
void check_lifecycle(struct subject *s, struct verdict *v) {
  size_t files = 0;
  size_t memory = 0;
  void *self;

  if (!s->factory->create) {
    verdict_skip(v, "it has no state");
    return;
  }
  s->factory->destroy(NULL);
  for (uint32_t i = 0; i < ROUNDS + 10; i++) {
    if (i == 10) { /* the first rounds may fill caches */
      files = open_files();
      memory = mallinfo2().uordblks;
    }
    if (!subject_make(s, &self, v))
      return;
    subject_unmake(s, self);
  }
  size_t now = mallinfo2().uordblks;
  if (open_files() != files)
    verdict_fail(v, "%u lives leave files open", ROUNDS);
  else if (now > memory && now - memory >= ROUNDS)
    verdict_fail(v, "%u lives leave %zu bytes behind", ROUNDS, now - memory);
}

/* ---- every method once ------------------------------------------------------------------------------------------ */

typedef void (*judge_fn)(const struct method *m, const struct run *r, uint64_t ns, struct verdict *v);

static uint64_t now_ns(void) {
  struct timespec t;

  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* For how long this thread was ready and others ran, as far as the kernel says (sched-stats, "run_delay"). */
static uint64_t queued_ns(void) {
  FILE *f = fopen("/proc/thread-self/schedstat", "re");
  unsigned long long queued = 0;

  if (f && fscanf(f, "%*s %llu", &queued) != 1)
    queued = 0;
  if (f)
    (void)fclose(f);
  return queued;
}

/* The time without that: two of them say what was run and waited for in between, however busy the machine is. */
static uint64_t own_ns(void) {
  uint64_t now, queued;

  do {
    queued = queued_ns();
    now = now_ns();
  } while (queued_ns() != queued);
  return now - queued;
}

static void each_method(const struct subject *s, const struct probe *probe, judge_fn judge, struct verdict *v) {
  static struct run r; /* large; these checks have one thread */
  bool any = false;
  void *self;

  if (!subject_make(s, &self, v))
    return;
  for (const struct method *m = conform_methods; m->name && v->outcome != CONFORM_FAIL; m++) {
    if (strcmp(m->kind, s->factory->kind) != 0)
      continue;
    any = true;
    uint64_t start = own_ns();
    run_method(&r, m, s, self, probe);
    uint64_t took = own_ns() - start;
    /* Whose sink failed knows why: passing its code on needs no sentence. */
    bool quiet = !m->fallible || (r.pushes > 0 && r.rc == probe->sink_rc);
    if (!r.absent && (quiet || error_is_well_formed(r.rc, &r.err, m->name, v)) && judge)
      judge(m, &r, took, v);
  }
  subject_unmake(s, self);
  if (!any)
    verdict_skip(v, "this kit does not know the kind %s", s->factory->kind);
}

void check_exact_structs(struct subject *s, struct verdict *v) {
  each_method(s, &(struct probe){.shape = SHAPE_EXACT}, NULL, v);
}

void check_larger_structs(struct subject *s, struct verdict *v) {
  each_method(s, &(struct probe){.shape = SHAPE_LARGER}, NULL, v);
}

void check_bad_input(struct subject *s, struct verdict *v) {
  each_method(s, &(struct probe){.garbage = true}, NULL, v);
}

static void judge_sink(const struct method *m, const struct run *r, uint64_t ns, struct verdict *v) {
  (void)ns;
  if (!m->fallible || r->pushes == 0)
    return;
  if (r->rc != r->probe->sink_rc)
    verdict_fail(v, "%s(): its sink answered %d and it returned %d; pass it on", m->name, r->probe->sink_rc, r->rc);
  else if (r->pushes_after_failure)
    verdict_fail(v, "%s() went on pushing after its sink had failed", m->name);
}

void check_failing_sinks(struct subject *s, struct verdict *v) {
  each_method(s, &(struct probe){.sink_rc = OME_E_NO_SPACE}, judge_sink, v);
}

static void judge_time(const struct method *m, const struct run *r, uint64_t ns, struct verdict *v) {
  (void)r;
  if (ns > ANSWER_MS * 1000000u)
    verdict_fail(v, "%s() took %u ms to notice", m->name, (unsigned)(ns / 1000000u));
}

void check_deadline(struct subject *s, struct verdict *v) {
  each_method(s, &(struct probe){.deadline_ns = 1}, judge_time, v);
}

void check_cancelled(struct subject *s, struct verdict *v) {
  each_method(s, &(struct probe){.cancelled = 1}, judge_time, v);
}

/* ---- the same again --------------------------------------------------------------------------------------------- */

static bool is_pure(const struct ome_factory *f) {
  return strcmp(f->kind, OME_KIND_STORAGE) != 0;
}

/* The same request, later, in other memory, from another instance. */
void check_same_bytes(struct subject *s, struct verdict *v) {
  static struct run first, again;
  void *selves[2];

  if (!is_pure(s->factory)) {
    verdict_skip(v, "what a storage plugin lists may change");
    return;
  }
  if (!subject_make(s, &selves[0], v))
    return;
  if (!subject_make(s, &selves[1], v)) {
    subject_unmake(s, selves[0]);
    return;
  }
  for (const struct method *m = conform_methods; m->name; m++) {
    if (strcmp(m->kind, s->factory->kind) != 0)
      continue;
    run_method(&first, m, s, selves[0], &(struct probe){.shape = SHAPE_EXACT});
    for (int i = 0; i < 4 && v->outcome != CONFORM_FAIL; i++) {
      run_method(&again, m, s, selves[i % 2], &(struct probe){.shape = i < 2 ? SHAPE_EXACT : SHAPE_LARGER});
      if (first.rc != again.rc || first.digest != again.digest || first.pushes != again.pushes)
        verdict_fail(v, "%s() does not give the same bytes for the same request", m->name);
    }
  }
  subject_unmake(s, selves[0]);
  subject_unmake(s, selves[1]);
}

#define THREADS 8
#define HITS 50
#define HAMMER_MS 500u /* a slow plugin is hit less often */

struct hammer {
  const struct subject *s;
  const struct method *m;
  void *self;
  const struct run *expected;
  const char *differs; /* the method's name */
};

static void *hit(void *arg) {
  struct hammer *h = arg;
  uint64_t end = now_ns() + HAMMER_MS * 1000000u;
  struct run r;

  for (int i = 0; i < HITS && now_ns() < end; i++) {
    run_method(&r, h->m, h->s, h->self, &(struct probe){.shape = SHAPE_EXACT});
    if (r.rc != h->expected->rc || (is_pure(h->s->factory) && r.digest != h->expected->digest))
      h->differs = h->m->name;
  }
  return NULL;
}

static void hammer_method(const struct subject *s, const struct method *m, void *self, struct verdict *v) {
  static struct run expected;
  struct hammer hammers[THREADS];
  pthread_t threads[THREADS];
  size_t n = 0;

  run_method(&expected, m, s, self, &(struct probe){.shape = SHAPE_EXACT});
  if (expected.absent)
    return;
  for (; n < THREADS; n++) {
    hammers[n] = (struct hammer){.s = s, .m = m, .self = self, .expected = &expected};
    if (pthread_create(&threads[n], NULL, hit, &hammers[n]) != 0)
      break;
  }
  for (size_t i = 0; i < n; i++) {
    (void)pthread_join(threads[i], NULL);
    if (hammers[i].differs)
      verdict_fail(v, "%s() answers differently when %d threads call it", hammers[i].differs, THREADS);
  }
}

/* Best run with a plugin built for ThreadSanitizer, which then sees what luck hides here. */
void check_parallel(struct subject *s, struct verdict *v) {
  void *self;

  if (s->factory->threads != OME_THREADS_PARALLEL) {
    verdict_skip(v, "it does not claim OME_THREADS_PARALLEL");
    return;
  }
  if (!subject_make(s, &self, v))
    return;
  for (const struct method *m = conform_methods; m->name; m++)
    if (strcmp(m->kind, s->factory->kind) == 0)
      hammer_method(s, m, self, v);
  subject_unmake(s, self);
}
