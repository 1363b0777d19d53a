/* Bytes between two connections, both ways, until both have ended: upgraded HTTP connections, and services' ports. */
#ifndef HOST_GATEWAY_TUNNEL_H
#define HOST_GATEWAY_TUNNEL_H

struct bufferevent;
struct tunnel;

/* Takes both; what either has read already goes over first.  Each direction buffers at most 256 KiB.  ON_END (may be
 * NULL) is called once when the tunnel is gone.  Loop thread.  NULL when memory ran out: both are freed, without
 * ON_END. */
struct tunnel *tunnel_start(struct bufferevent *a, struct bufferevent *b, void (*on_end)(void *arg), void *arg);
/* Ends it at once, without ON_END. */
void tunnel_free(struct tunnel *t);

#endif
