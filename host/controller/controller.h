/* The control plane: one reconciler a kind, over watch caches. */
#ifndef HOST_CONTROLLER_CONTROLLER_H
#define HOST_CONTROLLER_CONTROLLER_H

#include "kube/client.h"
#include "plugin/plugin.h"

struct controller;

struct controller_config {
  struct kube_client *client;
  struct plugins *plugins;
  const char *ome_namespace; /* where inferenceservice-config and node ConfigMaps are; NULL: "ome" */
  /* Embedded platform: "http://%s.%s.localhost:8080", for name and namespace; NULL: ingress decides. */
  const char *gateway_url;
  const char *program;      /* how a container starts ome; NULL: "ome" */
  const char *plugins_conf; /* that containers of `ome up` load too; NULL: the plugins beside ome */
  /* Revisions of a runtime that are kept, and how long one beyond them that no service uses stays; 0: 10, a day. */
  uint64_t revision_retention, revision_grace_ms;
};

int32_t controller_start(const struct controller_config *cfg, struct controller **out, struct ome_err *err);
void controller_stop(struct controller *c);
DEFINE_CLEANUP(struct controller *, controller_stop)

/* The kinds that services are made of, by number; NULL: no more.  [any-thread] */
const struct kube_resource *controller_child(size_t i);

#endif
