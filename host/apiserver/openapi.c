/* /openapi/v3: one document a group version, made when asked for. */
#include "apiserver/server.h"

#include "base/str.h"

bool openapi_handle(struct apiserver *s, struct http_exchange *x) {
  (void)s;
  (void)x;
  return false;
}
