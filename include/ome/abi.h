/* ome/abi.h - the core of the plugin contract: what a plugin is and how it meets the host.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * ISO C99; depends on <stddef.h> and <stdint.h> only.  docs/abi-policy.md states the promises in full.  In short:
 *
 *   - A plugin exports one symbol, ome_plugin_v1, and imports none from the host.
 *   - A struct is frozen (its size never changes) or growable (struct_size first, members only ever appended).
 *     Code that reads a growable struct made by the other side asks OME_HAS() before it touches a member newer
 *     than its own minimum.
 *   - Arguments are borrowed for the length of the call.  Results are pushed into sinks, which copy.  Nothing that
 *     one side allocated is freed by the other.
 *   - Strings are UTF-8 and NUL-terminated unless they travel as struct ome_bytes.
 *   - A function returns OME_OK or a negative OME_E_* and, on failure, fills its struct ome_err.
 *
 * Thread tags used on every method: [any-thread] may be called at any time from any thread; [serial] the host keeps
 * calls apart as the factory's thread ceiling asks; [no-block] must not wait; [no-io] must not touch files, network,
 * clock or environment.
 */
#ifndef OME_ABI_H
#define OME_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OME_ABI_EPOCH 1u /* another epoch would be another symbol name */
#define OME_ABI_MINOR 7u /* +1 whenever anything is appended to any header */
#define OME_PLUGIN_SYMBOL "ome_plugin_v1"
#define OME_EXPORT __attribute__((visibility("default")))

/* Whether the side that made *P knows member M and has set it.  OME_HAS(ome_call, call, cancelled) */
#define OME_HAS(type, p, m) ((p)->struct_size >= offsetof(struct type, m) + sizeof((p)->m) && (p)->m)

/* ---- frozen ------------------------------------------------------------------------------------------------- */

struct ome_bytes {
  const void *ptr;
  uint64_t len;
};

struct ome_kv {
  const char *key;
  const char *value;
};

/* An array of growable structs: walk it by stride, never by index. */
struct ome_list {
  const void *data;
  uint32_t count;
  uint32_t stride;
};

/* Filled by the side that fails; lives on the caller's stack.  msg is one sentence without newline or secret:
 * what failed, on which object or file, why, and what to do about it. */
struct ome_err {
  int32_t code;
  uint32_t retry_after_ms; /* 0: the host's own back-off */
  char msg[504];
};

/* Values are pinned and never reused. */
enum {
  OME_OK = 0,
  OME_E_INVALID = -1,     /* bad input; permanent until it changes */
  OME_E_NOT_FOUND = -2,   /* permanent */
  OME_E_EXISTS = -3,      /* permanent */
  OME_E_DENIED = -4,      /* unauthorised, forbidden, gated; permanent until credentials change */
  OME_E_BUSY = -5,        /* retry: rate limited, locked */
  OME_E_UNAVAILABLE = -6, /* retry: network, 5xx, not ready */
  OME_E_DEADLINE = -7,    /* retry: took too long */
  OME_E_CANCELLED = -8,   /* the caller asked to stop */
  OME_E_NO_SPACE = -9,    /* retry when there is room */
  OME_E_NO_MEMORY = -10,
  OME_E_CORRUPT = -11,     /* bytes are not what they should be */
  OME_E_CONFLICT = -12,    /* retry on a fresh read */
  OME_E_UNSUPPORTED = -13, /* this side cannot do that; permanent */
  OME_E_INTERNAL = -14,    /* a defect */
  OME_E_GATED = -15        /* since 1.3: as DENIED, until a person accepts the terms of what was asked for */
};

/* Thread ceilings of a factory: the host takes the locks. */
enum {
  OME_THREADS_SERIAL = 0,       /* one call at a time into all instances of the factory */
  OME_THREADS_PER_INSTANCE = 1, /* one call at a time into an instance */
  OME_THREADS_PARALLEL = 2      /* any number of calls at a time */
};

enum { OME_LOG_ERROR = 0, OME_LOG_WARNING = 1, OME_LOG_INFO = 2, OME_LOG_DEBUG = 3 };

/* Types of configuration keys. */
enum {
  OME_KEY_STRING = 0,
  OME_KEY_BOOL = 1,     /* "true" or "false" */
  OME_KEY_INT = 2,      /* decimal, fits int64_t */
  OME_KEY_SIZE = 3,     /* bytes; k, m, g, Ki, Mi, Gi accepted; handed over in decimal */
  OME_KEY_DURATION = 4, /* ms, s, m, h accepted; handed over in decimal milliseconds */
  OME_KEY_SECRET = 5    /* a string that is never printed, logged or listed */
};

enum { OME_KEY_REQUIRED = 1u }; /* ome_key.flags */

/* ---- growable ----------------------------------------------------------------------------------------------- */

/* The circumstances of one call.  Host-owned, valid until the callee returns. */
struct ome_call {
  uint32_t struct_size;
  uint32_t flags;                                    /* none defined */
  uint64_t deadline_ns;                              /* CLOCK_MONOTONIC; 0: none */
  const char *trace_id;                              /* for log lines; may be NULL */
  int32_t (*cancelled)(const struct ome_call *call); /* non-zero: return OME_E_CANCELLED soon [any-thread][no-block] */
};

/* What the host offers.  Host-owned, outlives every instance. */
struct ome_host {
  uint32_t struct_size;
  uint32_t abi_minor; /* the host's */
  void *ctx;
  void (*log)(const struct ome_host *host, int32_t level, const char *topic, const char *msg); /* [any-thread] */
  /* A table of further functions by id, for example "ome.http/1"; NULL where this host has none.  [any-thread] */
  const void *(*service)(const struct ome_host *host, const char *id);
};

/* One configuration key: the host parses, checks, documents and defaults it. */
struct ome_key {
  uint32_t struct_size;
  uint32_t type;  /* OME_KEY_* */
  uint32_t flags; /* OME_KEY_REQUIRED */
  uint32_t reserved;
  const char *name; /* [a-z][a-z0-9_]* */
  const char *dflt; /* NULL: unset */
  const char *doc;  /* one sentence */
};

/* One capability of a plugin. */
struct ome_factory {
  uint32_t struct_size;
  uint32_t threads;                  /* OME_THREADS_* */
  const char *kind;                  /* "ome.storage/1" */
  const char *name;                  /* "hf"; [a-z0-9][a-z0-9-]{0,39}, unique within its kind */
  const struct ome_key *const *keys; /* NULL-terminated, or NULL for none */
  const void *ops;                   /* the growable table that the kind names */
  /* CFG holds every declared key that has a value, defaults included.  Never overlaps another call into the same
   * instance.  A factory without state leaves create and destroy NULL; self is NULL then. */
  int32_t (*create)(const struct ome_host *host, const struct ome_kv *cfg, uint32_t ncfg, void **out_self,
                    struct ome_err *err);
  void (*destroy)(void *self); /* accepts what create made, and NULL */
};

/* Static in the plugin, valid for the life of the process. */
struct ome_plugin {
  uint32_t struct_size;
  uint32_t abi_epoch;      /* OME_ABI_EPOCH */
  uint32_t abi_minor;      /* OME_ABI_MINOR the plugin was built with */
  uint32_t min_host_minor; /* a host below this refuses the plugin */
  const char *name;
  const char *version;
  const char *license;                        /* SPDX expression */
  const char *summary;                        /* one sentence */
  const struct ome_factory *const *factories; /* NULL-terminated */
};

typedef const struct ome_plugin *ome_plugin_fn(void);

/* The one symbol.  No side effects; may be called at any time.  [any-thread] */
OME_EXPORT const struct ome_plugin *ome_plugin_v1(void);

#ifdef __cplusplus
}
#endif
#endif
