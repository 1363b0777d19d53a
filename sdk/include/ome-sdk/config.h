/* ome-sdk/config.h - look values up in what create() gets.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * The host has checked every value against the key's type and filled defaults in: what is there can be parsed.  The
 * strings are borrowed until create() returns; copy what is kept. */
#ifndef OME_SDK_CONFIG_H
#define OME_SDK_CONFIG_H

#include <ome/abi.h>
#include <stdlib.h>
#include <string.h>

/* The value of NAME among N pairs; DFLT when it is not set. */
static inline const char *ome_kv_get(const struct ome_kv *kv, uint64_t n, const char *name, const char *dflt) {
  uint64_t i;

  for (i = 0; i < n; i++)
    if (kv[i].key && strcmp(kv[i].key, name) == 0)
      return kv[i].value;
  return dflt;
}

/* OME_KEY_BOOL */
static inline int ome_kv_bool(const struct ome_kv *kv, uint64_t n, const char *name, int dflt) {
  const char *v = ome_kv_get(kv, n, name, NULL);

  return v ? strcmp(v, "true") == 0 : dflt;
}

/* OME_KEY_INT; OME_KEY_SIZE in bytes; OME_KEY_DURATION in milliseconds */
static inline int64_t ome_kv_int(const struct ome_kv *kv, uint64_t n, const char *name, int64_t dflt) {
  const char *v = ome_kv_get(kv, n, name, NULL);

  return v ? (int64_t)strtoll(v, NULL, 10) : dflt;
}

#endif
