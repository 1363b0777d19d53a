/* Loopback addresses: each pod and each Service has one of its own in 127.0.0.0/8, so that many can listen on the same
 * port. */
#ifndef HOST_LOCAL_ADDRESS_H
#define HOST_LOCAL_ADDRESS_H

#include "base/strmap.h"

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_TEXT 16 /* "127.255.255.255" */

/* Blocks of 127.0.0.0/8 by their second octet; 127.0.x.x and 127.1.x.x are left to people. */
enum address_block { ADDRESS_PODS = 64, ADDRESS_SERVICES = 128 }; /* 64 octets each */

/* An address of BLOCK for KEY (a uid): by its hash, the next one as long as TAKEN says so.  False when the block is
 * full. */
bool address_pick(enum address_block block, const char *key, bool (*taken)(void *arg, const char *address), void *arg,
                  char out[ADDRESS_TEXT]);
bool address_in(enum address_block block, const char *address);

/* Whether some socket of this machine listens on ADDRESS itself (/proc/net/tcp). */
bool address_has_listener(const char *address);

/* Addresses given out, by owner; any thread. */
struct addresses;
struct addresses *addresses_new(enum address_block block);
void addresses_free(struct addresses *a);
DEFINE_CLEANUP(struct addresses *, addresses_free)
/* The address of OWNER: what it has; WANTED if that is in the block and free (NULL: no wish); or a new one. False: none
 * left or no memory. */
bool addresses_get(struct addresses *a, const char *owner, const char *wanted, char out[ADDRESS_TEXT]);
void addresses_release(struct addresses *a, const char *owner);

#endif
