/* Swagger 2.0 documents in the protobuf form that kubectl asks for
 * (application/com.github.proto-openapi.spec.v2@v1.0+protobuf; message openapi.v2.Document). */
#ifndef HOST_APISERVER_OPENAPI_PB_H
#define HOST_APISERVER_OPENAPI_PB_H

#include "base/buf.h"
#include "base/json.h"

/* Appends DOCUMENT (as /openapi/v2 gives it in JSON) to OUT, which is to be asked for success.  Members that the
 * message has no field for are left out.  Pure. */
void openapi_pb_encode(struct json_object *document, struct buf *out);

#endif
