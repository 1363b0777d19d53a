/* Serves models of a folder over the HTTP API of the Hugging Face Hub: DIR/ORG/NAME/... is the repository ORG/NAME.
 *
 * Revisions: every branch name leads to the one commit there is, whose id is a digest of names, sizes and contents.
 * Digests are computed when a repository is first asked for, by a thread of their own, and kept until a file changes.
 */
#ifndef HOST_HUB_HUB_H
#define HOST_HUB_HUB_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdint.h>

struct hub;

struct hub_config {
  const char *dir;
  const char *address; /* NULL: 127.0.0.1 */
  uint16_t port;       /* 0: any */
  const char *digests; /* file that keeps digests across restarts; NULL: none */
  const char *token;   /* what clients must present; NULL: nothing */
  int fault_status;    /* answer every request so; 0: do not */
  uint64_t fault_cut;  /* end file bodies after so many bytes; 0: do not */
};

int32_t hub_start(const struct hub_config *cfg, struct hub **out, struct ome_err *err);
void hub_stop(struct hub *h);
DEFINE_CLEANUP(struct hub *, hub_stop)
uint16_t hub_port(const struct hub *h);

#endif
