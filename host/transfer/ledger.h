/* Which ranges of a staged file are there: one small text file beside it, appended to as ranges arrive.
 *
 * Lines are numbers of ranges; a half line at the end (a killed process) is ignored.  Not thread-safe. */
#ifndef HOST_TRANSFER_LEDGER_H
#define HOST_TRANSFER_LEDGER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger;

/* PATH is the ledger's; KEY says what it is about (size, digest, etag): a ledger about something else starts empty. */
int32_t ledger_open(const char *path, const char *key, uint64_t size, uint64_t range_bytes, struct ledger **out,
                    struct ome_err *err);
void ledger_close(struct ledger *l);
void ledger_remove(struct ledger *l); /* the file is complete: forget it; closes */

bool ledger_has(const struct ledger *l, uint64_t range);
int32_t ledger_add(struct ledger *l, uint64_t range, struct ome_err *err);
int32_t ledger_reset(struct ledger *l, struct ome_err *err); /* nothing is there */
uint64_t ledger_ranges(const struct ledger *l);
uint64_t ledger_bytes(const struct ledger *l); /* there */
uint64_t ledger_range_length(const struct ledger *l, uint64_t range);

#endif
