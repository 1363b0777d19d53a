/* Objects in the protobuf form of the Kubernetes API (application/vnd.kubernetes.protobuf), which typed clients send
 * for built-in kinds. */
#ifndef HOST_APISERVER_KUBE_PB_H
#define HOST_APISERVER_KUBE_PB_H

#include "base/json.h"

/* The object in DATA, new, as its JSON form would be: what is zero and was not set by intent is left out.  Fields and
 * messages that are not known are skipped, kinds that are not known are OME_E_UNSUPPORTED.  Hostile input is
 * OME_E_INVALID.  Pure. */
int32_t kube_pb_decode(const void *data, size_t len, struct json_object **out, struct ome_err *err);

/* A message: "PACKAGE.Type", and its fields, "NAME=NUMBER[*|[]|{}]TYPE" with spaces between.  NAME is empty where the
 * fields of a message stand in the object itself.  "*" may be absent, so that zero means something; "[]" is a list,
 * "{}" a map by strings.  TYPE is a message, or s string, b boolean, i integer, d double, x bytes (base64 in JSON), Q
 * quantity, I integer or string, T time, R a document as it is, L a list of strings in a message of its own. */
struct kube_pb_message {
  const char *name;
  const char *fields;
};
extern const struct kube_pb_message kube_pb_messages[]; /* in order of their names */
extern const size_t kube_pb_nmessages;

#endif
