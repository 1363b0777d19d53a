#include "kube/resource.h"

#include <stdio.h>

#define KUBE_DEFINE_(id, group, version, resource, kind, namespaced)                                                   \
  const struct kube_resource KUBE_##id = {group, version, resource, kind, namespaced};
KUBE_RESOURCES(KUBE_DEFINE_)
#undef KUBE_DEFINE_

void kube_api_version(const struct kube_resource *r, char out[128]) {
  (void)snprintf(out, 128, "%s%s%s", r->group, *r->group ? "/" : "", r->version);
}
