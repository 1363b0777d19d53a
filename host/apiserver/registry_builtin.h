/* The resources that every server has, as Kubernetes has them. */
#ifndef HOST_APISERVER_REGISTRY_BUILTIN_H
#define HOST_APISERVER_REGISTRY_BUILTIN_H

#include "apiserver/registry.h"

struct builtin_resource {
  const char *group, *version, *kind, *plural;
  const char *short_names[3]; /* NULL-terminated */
  const char *categories[2];  /* NULL-terminated */
  bool namespaced;
  uint32_t subresources; /* SUB_* */
  uint32_t flags;        /* RES_* */
};

extern const struct builtin_resource builtin_resources[];
extern const size_t nbuiltin_resources;

#endif
