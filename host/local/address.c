/* Giving out loopback addresses. */
#include "local/address.h"

#include "base/str.h"
#include "os/file.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_SIZE (64u << 16)
#define TRIES 100000

struct addresses {
  enum address_block block;
  pthread_mutex_t lock;
  struct strmap *owners; /* owner -> address (new) */
  struct strmap *used;   /* address -> something */
};

bool address_pick(enum address_block block, const char *key, bool (*taken)(void *arg, const char *address), void *arg,
                  char out[ADDRESS_TEXT]) {
  char hex[65];
  uint8_t digest[4];

  sha256_hex(key, strlen(key), hex);
  hex[8] = '\0';
  (void)hex_decode(hex, digest, sizeof(digest));
  uint32_t at = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
  for (uint32_t i = 0; i < TRIES; i++) {
    uint32_t n = (at + i) % BLOCK_SIZE, last = n & 0xff;
    if (last == 0 || last == 255)
      continue;
    (void)snprintf(out, ADDRESS_TEXT, "127.%u.%u.%u", (unsigned)block + ((n >> 16) & 63), (n >> 8) & 0xff, last);
    if (!taken(arg, out))
      return true;
  }
  return false;
}

bool address_in(enum address_block block, const char *address) {
  struct in_addr in;

  if (!address || inet_pton(AF_INET, address, &in) != 1)
    return false;
  uint32_t n = ntohl(in.s_addr);
  return n >> 24 == 127 && ((n >> 16) & 0xff) >= (uint32_t)block && ((n >> 16) & 0xff) < (uint32_t)block + 64;
}

bool address_has_listener(const char *address) {
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *text = NULL;
  struct in_addr in;
  char pattern[16];

  if (inet_pton(AF_INET, address, &in) != 1 || file_read("/proc/net/tcp", 4 << 20, &text, NULL, &err) != OME_OK)
    return false;
  /* " LOCAL:PORT REMOTE:PORT STATE ": the pattern must be in the local half, the state 0A (listening). */
  (void)snprintf(pattern, sizeof(pattern), " %08X:", (unsigned)in.s_addr); /* as the kernel prints it: host order */
  for (const char *at = text; (at = strstr(at, pattern)); at++)
    if (strnlen(at, 32) == 32 && at[23] == ':' && has_prefix(at + 28, " 0A "))
      return true;
  return false;
}

struct addresses *addresses_new(enum address_block block) {
  struct addresses *a = calloc(1, sizeof(*a));

  if (!a)
    return NULL;
  a->block = block;
  pthread_mutex_init(&a->lock, NULL);
  a->owners = strmap_new(free);
  a->used = strmap_new(NULL);
  if (a->owners && a->used)
    return a;
  addresses_free(a);
  return NULL;
}

void addresses_free(struct addresses *a) {
  if (a->owners)
    strmap_free(a->owners);
  if (a->used)
    strmap_free(a->used);
  pthread_mutex_destroy(&a->lock);
  free(a);
}

static bool is_taken(void *arg, const char *address) {
  struct addresses *a = arg;

  return strmap_has(a->used, address) || address_has_listener(address);
}

static bool get_locked(struct addresses *a, const char *owner, const char *wanted, char out[ADDRESS_TEXT]) {
  const char *have = strmap_get(a->owners, owner);

  if (have) {
    (void)snprintf(out, ADDRESS_TEXT, "%s", have);
    return true;
  }
  if (wanted && address_in(a->block, wanted) && !is_taken(a, wanted))
    (void)snprintf(out, ADDRESS_TEXT, "%s", wanted);
  else if (!address_pick(a->block, owner, is_taken, a, out))
    return false;
  char *copy = strdup(out);
  if (copy && strmap_put(a->owners, owner, copy))
    return strmap_put(a->used, out, a);
  free(copy);
  return false;
}

bool addresses_get(struct addresses *a, const char *owner, const char *wanted, char out[ADDRESS_TEXT]) {
  pthread_mutex_lock(&a->lock);
  bool ok = get_locked(a, owner, wanted, out);
  pthread_mutex_unlock(&a->lock);
  return ok;
}

void addresses_release(struct addresses *a, const char *owner) {
  pthread_mutex_lock(&a->lock);
  const char *have = strmap_get(a->owners, owner);
  if (have)
    (void)strmap_del(a->used, have);
  (void)strmap_del(a->owners, owner);
  pthread_mutex_unlock(&a->lock);
}
