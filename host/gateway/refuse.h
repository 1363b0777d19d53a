/* Refusing a request, whatever of it is still to come.  Loop thread. */
#ifndef HOST_GATEWAY_REFUSE_H
#define HOST_GATEWAY_REFUSE_H

#include "net/http_server.h"

/* Answers X with respond_error()'s document once its body has been read: a peer that is still sending would see its
 * connection reset instead of the answer.  A 503 says when to ask again.  X is gone afterwards. */
void refuse(struct http_exchange *x, int status, const char *type, const char *code, const char *message);

#endif
