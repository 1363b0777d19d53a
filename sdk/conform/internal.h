/* What the files of the kit share.  Everything here happens in a forked child. */
#ifndef OME_SDK_CONFORM_INTERNAL_H
#define OME_SDK_CONFORM_INTERNAL_H

#include "conform.h"

#include <ome/render.h>
#include <ome/scorer.h>
#include <ome/service.h>
#include <ome/storage.h>
#include <stdbool.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What a child tells its parent. */
struct verdict {
  enum conform_outcome outcome;
  uint32_t nfactories;
  char subject[96];
  char detail[512];
};

struct subject {
  const char *path;
  const char *uri; /* NULL: none was given */
  uint32_t index;  /* of the factory under attack */
  const struct ome_plugin *plugin;
  const struct ome_factory *factory;
};

typedef void (*check_fn)(struct subject *s, struct verdict *v);

void verdict_fail(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void verdict_skip(struct verdict *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Loads the file and calls its entry; false: V says why not. */
bool subject_load(struct subject *s, struct verdict *v);
/* "ome.storage/1 hf", also for a factory that lacks either. */
void subject_name(const struct ome_factory *f, char *out, size_t size);

/* An instance with a sample configuration; false: V says why there is none. */
bool subject_make(const struct subject *s, void **self, struct verdict *v);
void subject_unmake(const struct subject *s, void *self);

/* ---- the checks ------------------------------------------------------------------------------------------------- */

void check_elf(struct subject *s, struct verdict *v);
void check_exports(struct subject *s, struct verdict *v);
void check_imports(struct subject *s, struct verdict *v);

void check_load(struct subject *s, struct verdict *v);
void check_side_effects(struct subject *s, struct verdict *v);
void check_descriptor(struct subject *s, struct verdict *v);
void check_keys(struct subject *s, struct verdict *v);

void check_schemes(struct subject *s, struct verdict *v);
void check_lifecycle(struct subject *s, struct verdict *v);
void check_exact_structs(struct subject *s, struct verdict *v);
void check_larger_structs(struct subject *s, struct verdict *v);
void check_failing_sinks(struct subject *s, struct verdict *v);
void check_deadline(struct subject *s, struct verdict *v);
void check_cancelled(struct subject *s, struct verdict *v);
void check_bad_input(struct subject *s, struct verdict *v);
void check_same_bytes(struct subject *s, struct verdict *v);
void check_parallel(struct subject *s, struct verdict *v);

/* ---- one call of one method ------------------------------------------------------------------------------------- */

enum shape {
  SHAPE_EXACT,  /* as small as ABI 1.0 allows, right before an unmapped page */
  SHAPE_LARGER, /* as a later host makes them: longer, with bytes that mean nothing to this plugin */
};

/* The circumstances of a call. */
struct probe {
  enum shape shape;
  uint64_t deadline_ns;
  int32_t cancelled; /* what ome_call.cancelled() answers */
  int32_t sink_rc;   /* what every sink answers */
  bool garbage;      /* documents that are none */
};

#define MAX_BLOCKS 48

struct run {
  const struct subject *subject;
  void *self;
  const struct probe *probe;
  /* what came of it */
  bool absent; /* the factory does not have the method */
  int32_t rc;
  struct ome_err err;
  uint64_t digest; /* of everything that was pushed */
  uint32_t pushes;
  uint32_t pushes_after_failure;
  /* memory that was handed out for the call */
  struct {
    void *at;
    size_t size;
  } blocks[MAX_BLOCKS];
  size_t nblocks;
};

struct method {
  const char *kind;
  const char *name;
  bool fallible; /* returns OME_OK or OME_E_* and fills the error */
  void (*call)(struct run *r);
};

/* Ends with name NULL. */
extern const struct method conform_methods[];

/* Calls M as PROBE says; the run is complete and its memory released when this returns. */
void run_method(struct run *r, const struct method *m, const struct subject *s, void *self, const struct probe *probe);

/* A copy of the growable struct FROM, SIZE bytes of ABI 1.0, in the shape of the probe. */
void *shape_struct(struct run *r, const void *from, size_t size);
/* COUNT such structs as a list with a stride that is not their size. */
struct ome_list shape_list(struct run *r, const void *from, size_t size, uint32_t count);
/* TEXT without its NUL, right before an unmapped page. */
struct ome_bytes shape_bytes(struct run *r, const char *text);
/* The bytes up to and with MEMBER, the last one of ABI 1.0. */
#define UP_TO(type, member) (offsetof(struct type, member) + sizeof(((struct type *)0)->member))

/* What a sink does with a push of LEN bytes. */
int32_t run_pushed(struct run *r, const void *data, size_t len);

/* The host of the kit, the smallest that ABI 1.0 allows; its HTTP service answers with what no server says. */
const struct ome_host *conform_host(void);

/* Documents for render plugins. */
extern const char conform_service[];
extern const char conform_component[];
extern const char conform_components[];
extern const char conform_cluster[];

#endif
