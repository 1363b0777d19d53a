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

/* Answers nowhere before health_listen(). */
struct health *health_new(void);
/* Answers on ADDRESS (NULL: 127.0.0.1) and PORT (0: any free one), too, from a thread of its own; over TLS with a
 * certificate made now, which vouches for itself, where SECURE.  For HEALTH_SERVERS_MAX addresses. */
#define HEALTH_SERVERS_MAX 2
int32_t health_listen(struct health *h, const char *address, uint16_t port, bool secure, struct ome_err *err);
/* health_new() that listens at once. */
int32_t health_serve(const char *address, uint16_t port, struct health **out, struct ome_err *err);
void health_free(struct health *h);
DEFINE_CLEANUP(struct health *, health_free)
uint16_t health_port(const struct health *h); /* of the first address; 0: none */

/* CHECK is fine (WHY NULL) or failed because of WHY, one sentence.  Names are borrowed for good, WHY is copied.  H may
 * be NULL: nobody asks.  [any-thread] */
void health_report(struct health *h, enum health_scope scope, const char *check, const char *why);

#endif
