/* What a watch cache keeps of an object, and indexes over it. */
#ifndef HOST_KUBE_ENTRY_H
#define HOST_KUBE_ENTRY_H

#include "base/strmap.h"
#include "base/vec.h"
#include "kube/cache.h"

/* Entries that have one value in common, in no order. */
struct bucket {
  VEC(struct entry *) entries;
};

/* One allocation, with its texts behind it: there are tens of thousands. */
struct entry {
  const char *text;
  const char *version;   /* metadata.resourceVersion */
  const char *owner_uid; /* of the controller owner; NULL: none */
  const char *value;     /* what the index goes by; NULL: nothing */
  char key[];
};

/* "ns/name", new; NS may be NULL. */
char *entry_key(const char *ns, const char *name);
/* New, to be freed with free(); NULL: out of memory.  INDEX may be NULL. */
struct entry *entry_new(struct json_object *o, kube_index_fn *index);

/* Whether resourceVersion A comes after B: as numbers, which they are, to be compared within a resource (KEP-5504).
 * False for NULL and for what is no number. */
bool version_is_later(const char *a, const char *b);
/* Whether VERSION tells nothing that E does not have; ECHO: also where it is an earlier one. */
bool entry_is_old(const struct entry *e, const char *version, bool echo);

/* E, borrowed, into and out of the bucket of VALUE (NULL: none) in INDEX, whose values entry_bucket_free() frees. False
 * when memory ran out. */
bool entry_index(struct strmap *index, const char *value, struct entry *e);
void entry_unindex(struct strmap *index, const char *value, const struct entry *e);
void entry_bucket_free(void *bucket);

#endif
