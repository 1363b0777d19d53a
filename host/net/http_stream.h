/* The blocking form of a request whose answer is handed over as it comes, to the thread that asked. */
#ifndef HOST_NET_HTTP_STREAM_H
#define HOST_NET_HTTP_STREAM_H

#include "net/http_client.h"

/* Both on the caller's thread; a code other than OME_OK ends the request and is what http_stream() answers. */
struct http_stream_ops {
  int32_t (*head)(void *arg, int status, const char *headers, struct ome_err *err); /* of the final answer, once */
  int32_t (*body)(void *arg, const void *data, size_t len, struct ome_err *err);
};

/* As http_do(), but no more than 256 KiB of the answer, and what libcurl reads at a time, wait for OPS; the server is
 * held back meanwhile.  req->max_body bounds the whole.  A request that fails in the middle has handed over a part.
 * [any-thread] */
int32_t http_stream(struct http_client *c, const struct http_request *req, bool (*cancelled)(void *),
                    void *cancelled_arg, const struct http_stream_ops *ops, void *arg, struct ome_err *err);

#endif
