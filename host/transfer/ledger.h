/* What of a transfer is on disk already: an append-only text file beside the staging folder
 * (DIR.ledger), one write a line.
 *
 *   F <identity> <piece bytes> <path>   a file begins, or begins again
 *   P <piece> <path>                    this piece of it is written
 *   V <sha256> <path>                   the file is verified and on stable storage
 *
 * A process that is killed loses the line it was about to write and nothing else; a torn last line is cut off.  After
 * the machine went down, pieces may be said to be there that never left memory: those of files with a digest are
 * found out when the file is verified, those without are not believed (the identity holds the boot id). */
#ifndef HOST_TRANSFER_LEDGER_H
#define HOST_TRANSFER_LEDGER_H

#include "base/cleanup.h"
#include "transfer/manifest.h"

#include <stdbool.h>

/* Open and free apart, any thread may call. */
struct ledger;

int32_t ledger_open(const char *dir, struct ledger **out, struct ome_err *err);
void ledger_free(struct ledger *l);
DEFINE_CLEANUP(struct ledger *, ledger_free)

/* What is known of F: a byte a piece, 1 where it is there, for pieces of *PIECE bytes, borrowed until the next call
 * on this file; begins the file anew when the ledger speaks of other content.  *SHA256 is "" or that of the verified
 * file. */
int32_t ledger_file(struct ledger *l, const struct manifest_file *f, uint64_t *piece, const uint8_t **done,
                    const char **sha256, struct ome_err *err);
/* Whether there is anything about F, of the same content; its SHA-256 when it is verified, "" otherwise. */
bool ledger_knows(struct ledger *l, const struct manifest_file *f, const char **sha256);
int32_t ledger_restart(struct ledger *l, const struct manifest_file *f, uint64_t piece, struct ome_err *err);
int32_t ledger_piece(struct ledger *l, const char *path, uint64_t index, struct ome_err *err);
int32_t ledger_verified(struct ledger *l, const char *path, const char *sha256, struct ome_err *err);
/* Lines are written with the next piece, or now. */
int32_t ledger_flush(struct ledger *l, struct ome_err *err);

static inline uint64_t piece_count(uint64_t size, uint64_t piece) {
  return size ? (size - 1) / piece + 1 : 1;
}

#endif
