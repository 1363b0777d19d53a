/* Kubernetes Events: what happened to an object, for `kubectl describe`.  Repeats are aggregated into a count. */
#ifndef HOST_KUBE_EVENT_H
#define HOST_KUBE_EVENT_H

#include "kube/client.h"

struct kube_recorder;

/* COMPONENT is the event source: "v1beta1Controllers". */
int32_t kube_recorder_new(struct kube_client *c, const char *component, struct kube_recorder **out,
                          struct ome_err *err);
void kube_recorder_free(struct kube_recorder *r);
DEFINE_CLEANUP(struct kube_recorder *, kube_recorder_free)

/* [any-thread]; returns at once, sends in the background, drops the oldest when 256 wait.  OBJ is read only now. */
void kube_record(struct kube_recorder *r, struct json_object *obj, bool warning, const char *reason, const char *fmt,
                 ...) __attribute__((format(printf, 5, 6)));

#endif
