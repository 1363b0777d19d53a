/* What a role shows of itself over HTTP: /metrics for Prometheus; /readyz, /healthz and /livez for probes, with causes;
 * /healthz/CHECK for one check.
 *
 * Checks are named states that whoever knows reports; nothing is asked when a probe comes, so that a probe never waits.
 * Answers have the form of an API server's: a line a check, "[+]caches ok" or "[-]caches failed: <why>". */
#ifndef HOST_NET_HEALTH_H
#define HOST_NET_HEALTH_H

#include "net/http_server.h"

struct health;

enum health_scope {
  HEALTH_READY, /* a failed check fails /readyz: no traffic */
  HEALTH_SOUND, /* it fails /healthz too: somebody has to look */
  HEALTH_LIVE,  /* it fails /livez too: only a new process helps */
};

#define HEALTH_CHECKS_MAX 16 /* more are a mistake of ours: they are ignored */

/* A server on ADDRESS (NULL: 127.0.0.1) and PORT (0: any free one), and a thread of its own. */
int32_t health_serve(const char *address, uint16_t port, struct health **out, struct ome_err *err);
void health_free(struct health *h);
DEFINE_CLEANUP(struct health *, health_free)
uint16_t health_port(const struct health *h);

/* CHECK is fine (WHY NULL) or failed because of WHY, one sentence.  Names are borrowed for good, WHY is copied.  H may
 * be NULL: nobody asks.  [any-thread] */
void health_report(struct health *h, enum health_scope scope, const char *check, const char *why);

#endif
